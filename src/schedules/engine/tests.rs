//! Promises about the task: a clock that tests move, a taker that remembers like a database, and ends
//! in the middle of everything.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use model::schedule::{RetryPolicy, RuleInput, RuleTarget, ScheduleContent, ScheduleTarget};
use model::{AccountId, Region};
use store::{NewRule, NewSchedule, TargetChange};
use tokio::task::JoinHandle;

use super::*;
use crate::hand_over::{Forgetting, HandingOver, Marks};

const HOUR: i64 = 3_600_000;
/// A midnight of 2027.
const START: i64 = 1_804_377_600_000;

struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What was accepted, and the marks: what a database would hold.
#[derive(Default)]
struct Disk {
    accepted: Vec<Firing>,
    marks: HashMap<String, i64>,
    /// What the next answers are, instead of `Ok`.
    refuse: Vec<NotHanded>,
}

#[derive(Clone, Default)]
struct Taker(Arc<Mutex<Disk>>);

impl HandOver for Taker {
    fn hand_over(&self, firing: Firing) -> HandingOver<'_> {
        Box::pin(async move {
            let mut disk = self.0.lock().unwrap();
            if let Some(refusal) = disk.refuse.pop() {
                return Err(refusal);
            }
            let mark = firing.mark.clone();
            if disk.marks.get(&mark.key).is_some_and(|noted| *noted >= mark.instant_ms) {
                return Ok(Handed::Before);
            }
            disk.marks.insert(mark.key, mark.instant_ms);
            disk.accepted.push(firing);
            Ok(Handed::Now)
        })
    }

    fn marks(&self) -> Marks<'_> {
        Box::pin(async { Ok(self.0.lock().unwrap().marks.clone()) })
    }

    fn forget(&self, keys: Vec<String>) -> Forgetting<'_> {
        Box::pin(async move {
            let mut disk = self.0.lock().unwrap();
            disk.marks.retain(|key, _| !keys.contains(key));
        })
    }
}

/// An engine, and everything around it.
struct World {
    store: Arc<Store>,
    taker: Taker,
    clock: Arc<TestClock>,
    handle: Option<Handle>,
    task: JoinHandle<()>,
}

impl World {
    async fn start(path: &Path, taker: Taker, now_ms: i64) -> Self {
        let store = Arc::new(Store::open(&path.join("control.db")).unwrap());
        let clock = Arc::new(TestClock(AtomicI64::new(now_ms)));
        let parts = Parts {
            store: Arc::clone(&store),
            hand_over: Arc::new(taker.clone()),
            home: Home {
                region: Region::parse("us-east-1").unwrap(),
                account: AccountId::parse("000000000000").unwrap(),
            },
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            look: Duration::from_millis(1),
        };
        let (handle, run) = start(parts).await.unwrap();
        Self { store, taker, clock, handle: Some(handle), task: tokio::spawn(run) }
    }

    async fn create(&self, path: &str, change: impl FnOnce(&mut ScheduleContent)) {
        let mut content = ScheduleContent {
            expression: "rate(1 hour)".to_owned(),
            zone: None,
            start_ms: None,
            end_ms: None,
            description: None,
            enabled: true,
            window_minutes: None,
            delete_after: false,
            target: ScheduleTarget {
                arn: "arn:aws:lambda:us-east-1:000000000000:function:f:live".to_owned(),
                role: "arn:aws:iam::000000000000:role/r".to_owned(),
                input: None,
                retry: RetryPolicy::default(),
            },
        };
        change(&mut content);
        let new = NewSchedule {
            path: path.to_owned(),
            content,
            client_token: None,
            at_ms: self.clock.now_ms().cast_unsigned(),
            runs_at_once: false,
        };
        self.store.create_schedule(new).await.unwrap();
        self.changed(Changed::Schedule(path.to_owned()));
    }

    fn changed(&self, what: Changed) {
        self.handle.as_ref().unwrap().changed(what);
    }

    fn move_to(&self, hours: i64) {
        self.clock.0.store(START + hours * HOUR, Ordering::SeqCst);
    }

    fn accepted(&self) -> Vec<i64> {
        let disk = self.taker.0.lock().unwrap();
        disk.accepted.iter().map(|firing| (firing.mark.instant_ms - START) / HOUR).collect()
    }

    /// Waits until so many were accepted in all.
    async fn until(&self, count: usize) {
        self.eventually("they are accepted", |world| world.accepted().len() >= count).await;
        assert_eq!(self.accepted().len(), count);
    }

    async fn eventually(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(30), async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(waited.await.is_ok(), "{what}");
    }

    /// Ends in order.
    async fn stop(mut self) -> Taker {
        self.handle = None;
        self.task.await.unwrap();
        self.taker
    }

    /// Is killed: whatever it was doing is not done.
    async fn kill(self) -> Taker {
        self.task.abort();
        let _ = self.task.await;
        self.taker
    }
}

fn test(promise: impl AsyncFnOnce(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(promise(directory.path()));
}

#[test]
fn what_is_due_is_handed_over_with_its_mark() {
    test(async |path| {
        let world = World::start(path, Taker::default(), START).await;
        world.create("default/s", |_| ()).await;
        world.move_to(1);
        world.until(1).await;
        let firing = world.taker.0.lock().unwrap().accepted[0].clone();
        let id = world.store.snapshot().schedules().schedule("default/s").unwrap().id;
        assert_eq!(firing.mark, Mark { key: format!("schedule/{id}"), instant_ms: START + HOUR });
        assert_eq!(firing.function.as_str(), "f");
        assert_eq!(firing.qualifier.unwrap().to_string(), "live");
        assert!(firing.payload.contains("\"time\":\"2027-03-07T01:00:00Z\""));
        world.move_to(2);
        world.until(2).await;
        world.stop().await;
    });
}

#[test]
fn a_kill_between_two_instants_or_during_one_runs_nothing_twice() {
    test(async |path| {
        let mut world = World::start(path, Taker::default(), START).await;
        world.create("default/s", |_| ()).await;
        for hour in 1..12 {
            world.move_to(hour);
            if hour % 3 == 0 {
                world.until(hour as usize).await;
            }
            // Whether or not it was handed over: the next one knows, or finds it due.
            let taker = world.kill().await;
            world = World::start(path, taker, START + hour * HOUR).await;
            world.until(hour as usize).await;
        }
        assert_eq!(world.accepted(), (1..12).collect::<Vec<_>>());
        world.stop().await;
    });
}

#[test]
fn what_was_missed_while_nothing_ran_is_made_up_for_once() {
    test(async |path| {
        let world = World::start(path, Taker::default(), START).await;
        world.create("default/s", |_| ()).await;
        world.create("default/young", |content| content.target.retry.max_age_s = 60).await;
        let taker = world.stop().await;
        let world = World::start(path, taker, START + 7 * HOUR + HOUR / 2).await;
        world.until(1).await;
        assert_eq!(world.accepted(), [7], "not the one that is half an hour too old");
        world.move_to(8);
        world.until(3).await;
        world.stop().await;
    });
}

#[test]
fn a_change_is_obeyed_at_once() {
    test(async |path| {
        let world = World::start(path, Taker::default(), START).await;
        world.create("default/s", |content| content.expression = "rate(1 day)".into()).await;
        world.create("default/off", |content| content.enabled = false).await;
        world.create("default/gone", |_| ()).await;
        world.store.delete_schedule("default/gone".to_owned(), None).await.unwrap();
        world.changed(Changed::Schedule("default/gone".to_owned()));
        let there = world.store.snapshot().schedules().schedule("default/s").cloned().unwrap();
        let often = ScheduleContent { expression: "rate(2 hours)".into(), ..there.content.clone() };
        let new = NewSchedule {
            path: there.path.clone(),
            content: often,
            client_token: None,
            at_ms: START.cast_unsigned(),
            runs_at_once: false,
        };
        world.store.update_schedule(new).await.unwrap();
        world.changed(Changed::Schedule("default/s".to_owned()));
        world.move_to(2);
        world.until(1).await;
        world.move_to(4);
        world.until(2).await;
        assert_eq!(world.accepted(), [2, 4]);
        world.stop().await;
    });
}

#[test]
fn a_group_that_is_deleted_runs_no_more() {
    test(async |path| {
        let world = World::start(path, Taker::default(), START).await;
        let group = model::schedule::ScheduleGroup {
            name: "g".to_owned(),
            created_ms: 0,
            modified_ms: 0,
            tags: BTreeMap::new(),
            client_token: None,
        };
        world.store.create_schedule_group(group).await.unwrap();
        world.create("g/1", |_| ()).await;
        world.create("g/2", |_| ()).await;
        world.create("default/s", |_| ()).await;
        world.move_to(1);
        world.until(3).await;
        world.store.delete_schedule_group("g".to_owned()).await.unwrap();
        world.changed(Changed::Group("g".to_owned()));
        world.changed(Changed::Schedule("default/s".to_owned()));
        // The last of the changes has been seen when the agenda moves on; then only one is left.
        world.move_to(2);
        world.until(4).await;
        world.move_to(3);
        world.until(5).await;
        world.stop().await;
    });
}

#[test]
fn every_target_of_a_rule_runs_and_one_that_is_added_does_not_make_up() {
    test(async |path| {
        let world = World::start(path, Taker::default(), START).await;
        let rule = NewRule {
            name: "r".to_owned(),
            expression: "rate(1 hour)".to_owned(),
            description: None,
            role: None,
            enabled: true,
            tags: BTreeMap::new(),
            at_ms: START.cast_unsigned(),
        };
        world.store.put_rule(rule).await.unwrap();
        let target = |id: &str, hours: i64| RuleTarget {
            id: id.to_owned(),
            arn: "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
            role: None,
            input: RuleInput::Constant(format!("\"{id}\"")),
            max_age_s: None,
            max_attempts: None,
            since_ms: START + hours * HOUR,
        };
        let put = async |targets| {
            let change = TargetChange::Put(targets);
            world.store.change_targets("r".to_owned(), change).await.unwrap();
            world.changed(Changed::Rule("r".to_owned()));
        };
        put(vec![target("a", 0), target("b", 0)]).await;
        world.move_to(1);
        world.until(2).await;
        put(vec![target("c", 1)]).await;
        world.move_to(2);
        world.until(5).await;
        world.store.enable_rule("r".to_owned(), false, START as u64).await.unwrap();
        world.changed(Changed::Rule("r".to_owned()));
        // The engine has read this when it has run what comes after it.
        world.create("default/s", |_| ()).await;
        world.move_to(3);
        world.until(6).await;
        world.stop().await;
    });
}

#[test]
fn what_cannot_be_handed_over_is_tried_again_and_what_has_no_function_is_not() {
    test(async |path| {
        let taker = Taker::default();
        let later = NotHanded::Later { reason: "the disk is full".to_owned() };
        taker.0.lock().unwrap().refuse = vec![later.clone(), later];
        let world = World::start(path, taker, START).await;
        world.create("default/s", |_| ()).await;
        world.move_to(1);
        let refusals = |world: &World| world.taker.0.lock().unwrap().refuse.len();
        world.eventually("tried once", |world| refusals(world) == 1).await;
        world.clock.0.fetch_add(1_000, Ordering::SeqCst);
        world.eventually("tried twice", |world| refusals(world) == 0).await;
        world.clock.0.fetch_add(2_000, Ordering::SeqCst);
        world.until(1).await;
        world.taker.0.lock().unwrap().refuse = vec![NotHanded::NoFunction];
        world.move_to(2);
        world.eventually("refused", |world| refusals(world) == 0).await;
        world.move_to(3);
        world.until(2).await;
        assert_eq!(world.accepted(), [1, 3]);
        world.stop().await;
    });
}

#[test]
fn a_schedule_that_wants_it_is_deleted_after_its_last_run_and_not_before() {
    test(async |path| {
        let world = World::start(path, Taker::default(), START).await;
        let once = |content: &mut ScheduleContent| {
            content.expression = "at(2027-03-07T01:00:00)".into();
            content.delete_after = true;
        };
        world.create("default/once", once).await;
        world
            .create("default/twice", |content| {
                content.end_ms = Some(START + 2 * HOUR);
                content.delete_after = true;
            })
            .await;
        world
            .create("default/kept", |content| {
                content.expression = "at(2027-03-07T01:00:00)".into();
            })
            .await;
        let is_there = |path: &str| world.store.snapshot().schedules().schedule(path).is_some();
        world.move_to(1);
        world.until(3).await;
        world.eventually("the one is gone", |_| !is_there("default/once")).await;
        assert!(is_there("default/twice") && is_there("default/kept"));
        world.move_to(2);
        world.until(4).await;
        world.eventually("the other is gone", |_| !is_there("default/twice")).await;
        assert!(is_there("default/kept"));
        world.stop().await;
    });
}

#[test]
fn a_schedule_that_had_run_when_the_daemon_was_killed_is_deleted_by_the_next() {
    test(async |path| {
        let world = World::start(path, Taker::default(), START).await;
        world
            .create("default/once", |content| {
                content.expression = "at(2027-03-07T01:00:00)".into();
                content.delete_after = true;
            })
            .await;
        let id = world.store.snapshot().schedules().schedule("default/once").unwrap().id;
        let taker = world.kill().await;
        taker.0.lock().unwrap().marks.insert(format!("schedule/{id}"), START + HOUR);
        let world = World::start(path, taker, START + 2 * HOUR).await;
        world
            .eventually("it is gone", |world| {
                world.store.snapshot().schedules().schedule("default/once").is_none()
            })
            .await;
        assert!(world.accepted().is_empty());
        world.stop().await;
    });
}

#[test]
fn how_far_something_had_got_is_forgotten_with_it() {
    test(async |path| {
        let taker = Taker::default();
        taker.0.lock().unwrap().marks.insert("schedule/of-an-earlier-run".to_owned(), START);
        let world = World::start(path, taker, START).await;
        let marks = |world: &World| world.taker.0.lock().unwrap().marks.len();
        world.eventually("what has no owner is forgotten", |world| marks(world) == 0).await;
        world.create("default/s", |_| ()).await;
        world.create("default/kept", |_| ()).await;
        world
            .create("default/once", |content| {
                content.expression = "at(2027-03-07T01:00:00)".into();
                content.delete_after = true;
            })
            .await;
        world.move_to(1);
        world.until(3).await;
        world.store.delete_schedule("default/s".to_owned(), None).await.unwrap();
        world.changed(Changed::Schedule("default/s".to_owned()));
        world.eventually("one is left", |world| marks(world) == 1).await;
        world.changed(Changed::Schedule("default/kept".to_owned()));
        world.move_to(2);
        world.until(4).await;
        assert_eq!(marks(&world), 1);
        world.stop().await;
    });
}
