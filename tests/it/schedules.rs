//! What runs by the clock: EventBridge Scheduler and EventBridge's rules through AWS's own clients, and
//! what of it survives the death of the daemon.
//!
//! A schedule has whole seconds at best, a rule whole minutes: the one test that waits for a rule's
//! minute has its kill and its restart meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::eventually::patience;
use crate::harness::signature::Signer;
use crate::harness::tools::{aws, boto3};
use crate::harness::{
    Daemon, Deployed, Function, Home, Options, Request, Response, eventually, shared,
};

/// Says what it was called with, on a line of its own.
const TELLS: &str = "
    import json

    def handler(event, context):
        print('RAN', json.dumps(event))
    ";

const ROLE: &str = "arn:aws:iam::000000000000:role/any";

/// What a function that tells was called with, one after the other.
fn ran(lines: &[String]) -> Vec<Value> {
    let told = lines.iter().filter_map(|line| line.strip_prefix("RAN "));
    told.map(|text| serde_json::from_str(text).expect("it printed JSON")).collect()
}

/// Waits until it was called so often.
fn ran_so_often(function: &Deployed<'_>, count: usize) -> Vec<Value> {
    let what = format!("the function ran {count} times");
    ran(&function.log_until(&what, |lines| ran(lines).len() >= count))
}

/// `at(…)` so many seconds from now.
fn at(seconds: i64) -> String {
    let time = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    time.strftime("at(%Y-%m-%dT%H:%M:%S)").to_string()
}

/// What makes a schedule that calls a function.
fn schedule(function: &Deployed<'_>, expression: &str) -> Value {
    json!({
        "ScheduleExpression": expression,
        "Target": { "Arn": function.arn(), "RoleArn": ROLE },
        "FlexibleTimeWindow": { "Mode": "OFF" },
    })
}

/// A call of a service other than Lambda, signed for it.
fn call(daemon: &Daemon, service: &str, request: Request) -> Response {
    let signer = Signer { service: service.to_owned(), ..daemon.signer() };
    signer.sign(request, &daemon.api.to_string()).send(daemon.api)
}

#[test]
fn boto3_takes_schedules_and_groups_through_their_whole_life() {
    let daemon = shared();
    let function = Function::python(TELLS).deploy(&daemon);
    let script = include_str!("clients/schedules.py");
    let said = boto3(&daemon, script, &[&function.name, &function.arn()]);
    let events = ran_so_often(&function, 2);
    // The rate ran when it was made, the one-time schedule two seconds later; in any order.
    let rate = events.iter().find(|event| event["source"] == "aws.scheduler").expect("the rate's");
    assert_eq!(rate["detail-type"], "Scheduled Event");
    assert_eq!(rate["detail"], "{}");
    assert_eq!(rate["resources"], json!([said["rate"]]));
    let once = events.iter().find(|event| event["I"] == "was told").expect("the other's");
    assert_eq!(once["by"], said["once"]);
    assert!(said["at"].as_str().unwrap().starts_with(once["at"].as_str().unwrap()), "{said}");
    eventually("the schedule deletes itself", patience(Duration::from_secs(10)), || {
        let gone = aws(&daemon, &["scheduler", "get-schedule", "--name", "once-of-boto3"]);
        gone.stderr.contains("(ResourceNotFoundException)").then_some(())
    });
}

#[test]
fn boto3_takes_rules_and_targets_through_their_whole_life() {
    let daemon = shared();
    let function = Function::python(TELLS).deploy(&daemon);
    let script = include_str!("clients/rules.py");
    let said = boto3(&daemon, script, &[&function.name, &function.arn()]);
    assert_eq!(said["pattern"]["Code"], "ValidationException", "{said}");
    let invalid = json!({
        "Code": "ValidationException",
        "Message": "Parameter ScheduleExpression is not valid.",
    });
    assert_eq!(said["invalid"], invalid);
}

#[test]
fn the_aws_cli_makes_lists_changes_and_deletes_schedules_and_rules() {
    let daemon = shared();
    let function = Function::python(TELLS).deploy(&daemon);
    let call = |arguments: &[&str]| {
        let ran = aws(&daemon, &[arguments, &["--output", "json"]].concat()).succeeded();
        serde_json::from_str::<Value>(&ran.stdout).unwrap_or(Value::Null)
    };
    let target = json!({ "Arn": function.arn(), "RoleArn": ROLE }).to_string();
    let (window, name) = (r#"{"Mode":"OFF"}"#, format!("cli-{}", function.name));
    let named = |verb: &'static str| ["scheduler", verb, "--name", name.as_str()].to_vec();
    let said = |expression: &'static str| {
        let said = ["--schedule-expression", expression, "--target", target.as_str()];
        [&said[..], &["--flexible-time-window", window]].concat()
    };
    call(&[named("create-schedule"), said("cron(0 3 * * ? *)")].concat());
    let shown = call(&named("get-schedule"));
    assert_eq!(shown["ScheduleExpression"], "cron(0 3 * * ? *)");
    let disabled = [said("rate(1 hours)"), vec!["--state", "DISABLED"]].concat();
    call(&[named("update-schedule"), disabled].concat());
    let listed = call(&["scheduler", "list-schedules", "--name-prefix", &name]);
    assert_eq!(listed["Schedules"][0]["State"], "DISABLED", "{listed}");
    call(&named("delete-schedule"));
    let gone = aws(&daemon, &named("get-schedule"));
    assert!(gone.stderr.contains("(ResourceNotFoundException)"), "{gone:#?}");

    let rule = ["--name", name.as_str()];
    call(&[&["events", "put-rule"], &rule[..], &["--schedule-expression", "rate(1 day)"]].concat());
    let targets = format!("Id=one,Arn={}", function.arn());
    call(&["events", "put-targets", "--rule", &name, "--targets", &targets]);
    call(&[&["events", "disable-rule"], &rule[..]].concat());
    let shown = call(&[&["events", "describe-rule"], &rule[..]].concat());
    assert_eq!((&shown["State"], &shown["Name"]), (&json!("DISABLED"), &json!(name)));
    let listed = call(&["events", "list-rule-names-by-target", "--target-arn", &function.arn()]);
    assert_eq!(listed["RuleNames"], json!([name]));
    let in_use = aws(&daemon, &[&["events", "delete-rule"], &rule[..]].concat());
    assert!(in_use.stderr.contains("Rule can't be deleted since it has targets."), "{in_use:#?}");
    call(&["events", "remove-targets", "--rule", &name, "--ids", "one"]);
    call(&[&["events", "delete-rule"], &rule[..]].concat());
    let listed = call(&["events", "list-rules", "--name-prefix", &name]);
    assert_eq!(listed["Rules"], json!([]));
}

#[test]
fn a_signature_for_another_service_opens_no_schedules() {
    let daemon = shared();
    let request = || Request::new("GET", "/schedules");
    let refused = call(&daemon, "lambda", request());
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("correct service: 'scheduler'"), "{}", refused.text());
    call(&daemon, "scheduler", request()).expect(200);
    let unsigned = Request::new("GET", "/schedules").send(daemon.api);
    assert_eq!(unsigned.status, 403);
}

#[test]
fn a_run_missed_while_the_daemon_was_killed_is_made_up_for_once_and_none_is_repeated() {
    let home = Home::new();
    let mut daemon = Daemon::start_in(&home, &Options::default());
    let function = Function::python(TELLS).deploy(&daemon);
    let make = |name: &str, expression: &str| {
        let body = schedule(&function, expression);
        let request = Request::new("POST", &format!("/schedules/{name}")).json(&body);
        call(&daemon, "scheduler", request).expect(200);
    };
    // One that runs now, and has run when the daemon is killed; its next is an hour away.
    make("ran", "rate(1 hour)");
    ran_so_often(&function, 1);
    // A rule for every full minute: the second daemon sees one, and the third does not repeat it.
    let rule = |operation: &str, body: Value| {
        let request = Request::new("POST", "/")
            .header("x-amz-target", &format!("AWSEvents.{operation}"))
            .json(&body);
        call(&daemon, "events", request).expect(200);
    };
    rule("PutRule", json!({ "Name": "r", "ScheduleExpression": "cron(* * * * ? *)" }));
    let target = json!({ "Id": "t", "Arn": function.arn() });
    rule("PutTargets", json!({ "Rule": "r", "Targets": [target] }));
    make("missed", &at(2));
    let due = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let name = function.keep();
    daemon.signal(Signal::SIGKILL);
    daemon.wait();
    eventually("its time passes", patience(Duration::from_secs(5)), || {
        (jiff::Timestamp::now() > due).then_some(())
    });

    let mut daemon = Daemon::start_in(&home, &Options::default());
    let function = Deployed::existing(&daemon, &name);
    eventually("the minute comes", patience(Duration::from_secs(90)), || {
        let events = ran(&function.log_until("the log is there", |_| true));
        events.iter().any(|event| event["source"] == "aws.events").then_some(())
    });
    function.keep();
    daemon.signal(Signal::SIGKILL);
    daemon.wait();

    let daemon = Daemon::start_in(&home, &Options::default());
    let function = Deployed::existing(&daemon, &name);
    // It runs at once, after whatever a start makes up for.
    let last = schedule(&function, "rate(1 hour)");
    let request = Request::new("POST", "/schedules/last").json(&last);
    call(&daemon, "scheduler", request).expect(200);
    let of = |event: &Value, name: &str| event["resources"][0].as_str().unwrap().ends_with(name);
    let lines = function.log_until("the last has run", |lines| {
        ran(lines).iter().any(|event| of(event, "default/last"))
    });
    let events = ran(&lines);
    // An event that a kill interrupts is delivered again; it is the same one, of the same id.
    let mut ids: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for event in &events {
        let of = (event["resources"].to_string(), event["time"].to_string());
        ids.entry(of).or_default().insert(event["id"].to_string());
    }
    assert!(ids.values().all(|ids| ids.len() == 1), "no instant has two events: {ids:?}");
    for (name, instants) in [("default/ran", 1), ("default/missed", 1), ("default/last", 1)] {
        let found = ids.keys().filter(|(resources, _)| resources.contains(name)).count();
        assert_eq!(found, instants, "{name}: {ids:?}");
    }
    drop(function);
    daemon.stop();
}
