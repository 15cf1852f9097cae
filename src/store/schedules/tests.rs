//! Promises about what is kept of schedules and rules.

use model::schedule::{RetryPolicy, RuleInput, ScheduleId, ScheduleTarget};

use super::*;
use crate::refusal::ChangeError;
use crate::store::Store;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn open(directory: &tempfile::TempDir) -> Store {
    Store::open(&directory.path().join("control.db")).unwrap()
}

fn content() -> ScheduleContent {
    ScheduleContent {
        expression: "rate(1 hour)".to_owned(),
        zone: None,
        start_ms: None,
        end_ms: None,
        description: None,
        enabled: true,
        window_minutes: None,
        delete_after: false,
        target: ScheduleTarget {
            arn: "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
            role: "arn:aws:iam::000000000000:role/r".to_owned(),
            input: None,
            retry: RetryPolicy::default(),
        },
    }
}

fn new(path: &str, at_ms: u64) -> NewSchedule {
    NewSchedule {
        path: path.to_owned(),
        content: content(),
        client_token: None,
        at_ms,
        runs_at_once: false,
    }
}

fn group(name: &str) -> ScheduleGroup {
    ScheduleGroup {
        name: name.to_owned(),
        created_ms: 1000,
        modified_ms: 1000,
        tags: BTreeMap::from([("a".to_owned(), "ü\"".to_owned())]),
        client_token: Some("token".to_owned()),
    }
}

fn rule(name: &str, at_ms: u64) -> NewRule {
    NewRule {
        name: name.to_owned(),
        expression: "rate(5 minutes)".to_owned(),
        description: Some("every five".to_owned()),
        role: None,
        enabled: true,
        tags: BTreeMap::from([("b".to_owned(), String::new())]),
        at_ms,
    }
}

fn target(id: &str, since_ms: i64) -> RuleTarget {
    RuleTarget {
        id: id.to_owned(),
        arn: "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
        role: None,
        input: RuleInput::Template {
            paths: BTreeMap::from([("t".to_owned(), "$.time".to_owned())]),
            template: "{\"at\": <t>}".to_owned(),
        },
        max_age_s: Some(60),
        max_attempts: None,
        since_ms,
    }
}

/// Everything, to be compared.
fn all(store: &Store) -> (Vec<ScheduleGroup>, Vec<Schedule>, Vec<Rule>) {
    let snapshot = store.snapshot();
    let there = snapshot.schedules();
    (
        there.groups(None).map(|group| (**group).clone()).collect(),
        there.schedules(None).map(|schedule| (**schedule).clone()).collect(),
        there.rules(None).map(|rule| (**rule).clone()).collect(),
    )
}

fn refused<T: std::fmt::Debug>(result: Result<T, ChangeError>) -> ScheduleRefusal {
    match result.unwrap_err() {
        ChangeError::Refused(Refusal::Schedule(refusal)) => refusal,
        other => panic!("{other}"),
    }
}

#[test]
fn schedules_groups_and_rules_are_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(&directory);
        store.create_schedule_group(group("g")).await.unwrap();
        let rich = NewSchedule {
            content: ScheduleContent {
                expression: "cron(0 0 * * ? *)".to_owned(),
                zone: Some("Europe/Berlin".to_owned()),
                start_ms: Some(-5),
                end_ms: Some(9_000_000_000_000),
                description: Some("ü\n".to_owned()),
                enabled: false,
                window_minutes: Some(15),
                delete_after: true,
                target: ScheduleTarget { input: Some("{}".to_owned()), ..content().target },
            },
            client_token: Some("t".to_owned()),
            ..new("g/rich", 5000)
        };
        store.create_schedule(rich).await.unwrap();
        store.create_schedule(new("default/plain", 6000)).await.unwrap();
        store.put_rule(rule("r", 7000)).await.unwrap();
        let inputs =
            [RuleInput::Event, RuleInput::Constant("1".into()), RuleInput::Part("$".into())];
        let others = inputs.into_iter().zip(["x", "y", "z"]);
        let mut targets: Vec<_> =
            others.map(|(input, id)| RuleTarget { input, ..target(id, 7) }).collect();
        targets.push(target("template", 8));
        store.change_targets("r".to_owned(), TargetChange::Put(targets)).await.unwrap();
        let before = all(&store);
        drop(store);
        assert_eq!(all(&open(&directory)), before);
        assert_eq!((before.0.len(), before.1.len(), before.2[0].targets.len()), (2, 2, 4));
    });
}

#[test]
fn the_default_group_is_always_there() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(&directory);
        assert!(store.snapshot().schedules().group("default").is_some());
        let deleted = store.delete_schedule_group("default".to_owned()).await;
        assert_eq!(refused(deleted), ScheduleRefusal::DefaultGroup);
    });
}

#[test]
fn a_group_takes_its_schedules_with_it_and_no_others() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(&directory);
        for name in ["a", "a-b"] {
            store.create_schedule_group(group(name)).await.unwrap();
        }
        for path in ["a/1", "a/2", "a-b/1", "default/a"] {
            store.create_schedule(new(path, 1000)).await.unwrap();
        }
        store.delete_schedule_group("a".to_owned()).await.unwrap();
        let paths = |store: &Store| -> Vec<String> {
            all(store).1.into_iter().map(|schedule| schedule.path).collect()
        };
        assert_eq!(paths(&store), ["a-b/1", "default/a"]);
        drop(store);
        assert_eq!(paths(&open(&directory)), ["a-b/1", "default/a"]);
    });
}

#[test]
fn what_is_not_there_or_is_there_already_is_refused() {
    use ScheduleRefusal as R;
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(&directory);
        let (none, r) = (|| "none".to_owned(), || "r".to_owned());
        assert_eq!(refused(store.create_schedule(new("none/s", 1)).await), R::NoGroup);
        assert_eq!(refused(store.update_schedule(new("default/s", 1)).await), R::NoSchedule);
        assert_eq!(refused(store.delete_schedule(none(), None).await), R::NoSchedule);
        assert_eq!(refused(store.delete_schedule_group(none()).await), R::NoGroup);
        assert_eq!(refused(store.tag_schedule_group(none(), 1, |_| ()).await), R::NoGroup);
        assert_eq!(refused(store.enable_rule(none(), true, 1).await), R::NoRule);
        assert_eq!(refused(store.tag_rule(none(), |_| ()).await), R::NoRule);
        assert!(!store.delete_rule(none()).await.unwrap());

        let schedule = store.create_schedule(new("default/s", 1)).await.unwrap();
        assert_eq!(refused(store.create_schedule(new("default/s", 1)).await), R::ScheduleExists);
        let other = Some(ScheduleId::random());
        let deleted = store.delete_schedule("default/s".to_owned(), other).await;
        assert_eq!(refused(deleted), R::NoSchedule, "another of that name");
        store.delete_schedule("default/s".to_owned(), Some(schedule.id)).await.unwrap();

        store.put_rule(rule("r", 1)).await.unwrap();
        let five: Vec<_> = (0..5).map(|number| target(&number.to_string(), 1)).collect();
        store.change_targets(r(), TargetChange::Put(five)).await.unwrap();
        let sixth = TargetChange::Put(vec![target("sixth", 1)]);
        assert_eq!(refused(store.change_targets(r(), sixth).await), R::TooManyTargets);
        let again = TargetChange::Put(vec![target("4", 1)]);
        store.change_targets(r(), again).await.unwrap();
        assert_eq!(refused(store.delete_rule(r()).await), R::HasTargets);
        let all = (0..5).map(|number| number.to_string()).collect();
        store.change_targets(r(), TargetChange::Remove(all)).await.unwrap();
        assert!(store.delete_rule(r()).await.unwrap());

        let tags = |many: usize| (0..many).map(|n| (n.to_string(), String::new()));
        store.put_rule(rule("r", 1)).await.unwrap();
        store.tag_rule(r(), move |all| *all = tags(50).collect()).await.unwrap();
        let more = store.tag_rule(r(), move |all| *all = tags(51).collect()).await;
        assert_eq!(refused(more), R::TooManyTags);
    });
}

#[test]
fn the_same_request_again_is_answered_again() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(&directory);
        let marked = |token: &str| NewSchedule {
            client_token: Some(token.to_owned()),
            ..new("default/s", 1000)
        };
        let first = store.create_schedule(marked("one")).await.unwrap();
        let again = store.create_schedule(marked("one")).await.unwrap();
        assert_eq!(first.id, again.id);
        let other = store.create_schedule(marked("two")).await;
        assert_eq!(refused(other), ScheduleRefusal::ScheduleExists);
        store.create_schedule_group(group("g")).await.unwrap();
        store.create_schedule_group(group("g")).await.unwrap();
        let other = ScheduleGroup { client_token: None, ..group("g") };
        let other = store.create_schedule_group(other).await;
        assert_eq!(refused(other), ScheduleRefusal::GroupExists);
    });
}

#[test]
fn only_a_change_of_time_or_of_state_changes_from_when_on_a_schedule_runs() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(&directory);
        let at = |anchor_ms, since_ms| Timing { anchor_ms, since_ms };
        let made = store.create_schedule(new("default/s", 10_500)).await.unwrap();
        assert_eq!(made.timing, at(10_000, 10_000));
        let updated = async |at_ms, change: fn(&mut ScheduleContent)| {
            let mut new = new("default/s", at_ms);
            change(&mut new.content);
            store.update_schedule(new).await.unwrap().timing
        };
        let described = updated(20_000, |content| content.description = Some("d".into())).await;
        assert_eq!(described, at(10_000, 10_000));
        let disabled = updated(30_000, |content| content.enabled = false).await;
        assert_eq!(disabled, at(10_000, 10_000));
        // What was missed meanwhile stays missed, and the rate keeps its beat.
        let enabled = updated(40_000, |_| ()).await;
        assert_eq!(enabled, at(10_000, 40_000));
        let longer = updated(50_000, |content| content.end_ms = Some(1)).await;
        assert_eq!(longer, at(10_000, 50_000));
        let other = updated(60_000, |content| content.expression = "rate(2 hours)".into()).await;
        assert_eq!(other, at(60_000, 60_000));
        let started = updated(70_000, |content| content.start_ms = Some(90_000)).await;
        assert_eq!(started, at(90_000, 70_000));
        let at_once = NewSchedule { runs_at_once: true, ..new("default/t", 80_000) };
        let at_once = store.create_schedule(at_once).await.unwrap();
        assert_eq!(at_once.timing, at(80_000, 79_999));
    });
}

#[test]
fn a_rule_that_is_put_again_keeps_its_beat_its_targets_and_its_tags() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(&directory);
        let first = store.put_rule(rule("r", 10_000)).await.unwrap();
        let targets = TargetChange::Put(vec![target("t", 11_000)]);
        store.change_targets("r".to_owned(), targets).await.unwrap();
        let again = NewRule { tags: BTreeMap::new(), description: None, ..rule("r", 20_000) };
        let again = store.put_rule(again).await.unwrap();
        assert_eq!((again.id, again.timing), (first.id, first.timing));
        assert_eq!((&again.tags, &again.description), (&first.tags, &None));
        // A target that is put again has not just been added.
        let targets = TargetChange::Put(vec![target("t", 90_000)]);
        store.change_targets("r".to_owned(), targets).await.unwrap();
        assert_eq!(all(&store).2[0].targets[0].since_ms, 11_000);

        store.enable_rule("r".to_owned(), true, 30_000).await.unwrap();
        assert_eq!(all(&store).2[0].timing.since_ms, 10_000, "it was enabled");
        store.enable_rule("r".to_owned(), false, 40_000).await.unwrap();
        store.enable_rule("r".to_owned(), true, 50_000).await.unwrap();
        let timing = all(&store).2[0].timing;
        assert_eq!(timing, Timing { anchor_ms: 10_000, since_ms: 50_000 });
        let other = NewRule { expression: "rate(1 day)".to_owned(), ..rule("r", 60_000) };
        let other = store.put_rule(other).await.unwrap();
        assert_eq!(other.timing, Timing { anchor_ms: 60_000, since_ms: 60_000 });
    });
}
