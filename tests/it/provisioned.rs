//! Provisioned concurrency: up before it is said to be, there when nobody calls, back after a restart.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::function::Invocation;
use crate::harness::tools::{aws, boto3, hearth};
use crate::harness::{Daemon, Deployed, Function, Home, Options, Request, eventually, shared};

/// Answers with why it was started, and which instance it is; sleeps as long as it is told to, or
/// ends its process.
const WHO: &str = "
    import os
    import time
    import uuid

    instance = str(uuid.uuid4())

    def handler(event, context):
        if event.get('exit'):
            os._exit(3)
        time.sleep(event.get('seconds', 0))
        return [os.environ['AWS_LAMBDA_INITIALIZATION_TYPE'], instance]
    ";

/// A function with as many versions.
fn published<'d>(function: Function, daemon: &'d Daemon) -> Deployed<'d> {
    let function = function.deploy(daemon);
    daemon.api("POST", &function.path("versions"), &json!({})).expect(201);
    function
}

fn path(function: &Deployed<'_>) -> String {
    let path = function.path("provisioned-concurrency").replace("2015-03-31", "2019-09-30");
    format!("{path}?Qualifier=1")
}

fn put(daemon: &Daemon, function: &Deployed<'_>, wanted: u32) {
    let body = json!({"ProvisionedConcurrentExecutions": wanted});
    daemon.api("PUT", &path(function), &body).expect(202);
}

/// Waits until it is as far as that.
#[track_caller]
fn status(daemon: &Daemon, function: &Deployed<'_>, status: &str) -> Value {
    eventually(status, Duration::from_secs(60), || {
        let now = daemon.api("GET", &path(function), &Value::Null).expect(200).json();
        (now["Status"] == status).then_some(now)
    })
}

/// Calls version 1.
fn call(function: &Deployed<'_>, event: &Value) -> Invocation {
    let path = format!("{}?Qualifier=1", function.path("invocations"));
    function.invoke_with(Request::new("POST", &path).json(event))
}

#[test]
fn boto3_provisions_a_version_waits_until_it_is_ready_and_gives_it_back() {
    let daemon = shared();
    let function = published(Function::python(WHO), &daemon);
    let said = boto3(&daemon, include_str!("clients/provisioned.py"), &[&function.name]);
    assert_eq!(said["latest"], "InvalidParameterValueException");
    assert_eq!(said["gone"], "ProvisionedConcurrencyConfigNotFoundException");
    assert_eq!(said["kind"][0], "provisioned-concurrency");
    let log = STANDARD.decode(said["log"].as_str().expect("a tail")).expect("base64");
    let log = String::from_utf8(log).expect("text");
    assert!(log.contains("REPORT RequestId") && !log.contains("Init Duration"), "{log}");
    function.log_until("both say why they were started", |lines| {
        let provisioned = "\tInitialization Type: provisioned-concurrency";
        lines.iter().filter(|line| line.trim_end().ends_with(provisioned)).count() == 2
    });
}

#[test]
fn the_aws_cli_provisions_lists_and_gives_back() {
    let daemon = shared();
    let function = published(
        Function::node(
            "export const handler = async () => process.env.AWS_LAMBDA_INITIALIZATION_TYPE;",
        ),
        &daemon,
    );
    let run = |verb: &str, more: &[&str]| {
        let arguments = [&["lambda", verb, "--function-name", &function.name], more].concat();
        aws(&daemon, &[&arguments[..], &["--output", "json"]].concat())
    };
    let call_json = |verb: &str, more: &[&str]| {
        let ran = run(verb, more).succeeded();
        serde_json::from_str::<Value>(&ran.stdout).unwrap_or(Value::Null)
    };
    let put = call_json(
        "put-provisioned-concurrency-config",
        &["--qualifier", "1", "--provisioned-concurrent-executions", "1"],
    );
    assert_eq!(put["Status"], "IN_PROGRESS", "{put}");
    status(&daemon, &function, "READY");
    let got = call_json("get-provisioned-concurrency-config", &["--qualifier", "1"]);
    assert_eq!(got["Status"], "READY", "{got}");
    let listed = call_json("list-provisioned-concurrency-configs", &[]);
    assert_eq!(listed["ProvisionedConcurrencyConfigs"][0]["Status"], "READY", "{listed}");
    assert_eq!(call(&function, &json!({})).answer(), "provisioned-concurrency");
    call_json("delete-provisioned-concurrency-config", &["--qualifier", "1"]);
    let gone = run("get-provisioned-concurrency-config", &["--qualifier", "1"]);
    let code = "(ProvisionedConcurrencyConfigNotFoundException)";
    assert!(gone.code != 0 && gone.stderr.contains(code), "{gone:#?}");
}

#[test]
fn what_is_provisioned_outlives_idleness_and_calls_beyond_it_spill_over() {
    let config = Some("idle_seconds = 1\n".to_owned());
    let daemon = Daemon::start_in(&Home::new(), &Options { config, ..Options::default() });
    let function = published(Function::python(WHO), &daemon);
    put(&daemon, &function, 2);
    status(&daemon, &function, "READY");
    let at_once = |calls: usize| -> Vec<Value> {
        thread::scope(|scope| {
            let one = || call(&function, &json!({"seconds": 1})).answer();
            let all: Vec<_> = (0..calls).map(|_| scope.spawn(one)).collect();
            all.into_iter().map(|one| one.join().expect("answered")).collect()
        })
    };
    let of = |kind: &str, answers: &[Value]| -> HashSet<String> {
        let own = answers.iter().filter(|answer| answer[0] == kind);
        own.map(|answer| answer[1].to_string()).collect()
    };
    let first = at_once(3);
    let kept = of("provisioned-concurrency", &first);
    assert_eq!((kept.len(), of("on-demand", &first).len()), (2, 1), "{first:?}");
    // The one that nobody needs is gone; the others are who they were.
    eventually("the surplus has expired", Duration::from_secs(30), || {
        let metrics = daemon.api("GET", "/metrics", &Value::Null).expect(200).text();
        let count = |line: &str| line.rsplit(' ').next().and_then(|text| text.parse::<u32>().ok());
        let all = metrics.lines().filter(|line| line.starts_with("hearth_instances{"));
        (all.filter_map(count).sum::<u32>() == 2).then_some(())
    });
    assert_eq!(of("provisioned-concurrency", &at_once(2)), kept);
}

#[test]
fn what_breaks_is_replaced_and_what_cannot_start_is_said_to() {
    let daemon = shared();
    let function = published(Function::python(WHO), &daemon);
    put(&daemon, &function, 1);
    status(&daemon, &function, "READY");
    let before = call(&function, &json!({})).answer();
    let failed = call(&function, &json!({"exit": true})).failure();
    assert_eq!(failed["errorType"], "Runtime.ExitError", "{failed}");
    status(&daemon, &function, "READY");
    let after = call(&function, &json!({})).answer();
    assert_eq!(after[0], "provisioned-concurrency");
    assert_ne!(after[1], before[1]);

    let described = hearth(&daemon, &["describe", &function.name], "").succeeded();
    let row = described.stdout.lines().find(|line| line.starts_with("ProvisionedConcurrency.1"));
    assert!(row.is_some_and(|row| row.ends_with("READY, 1 of 1")), "{described:#?}");

    let broken = published(Function::python("raise RuntimeError('never')\n"), &daemon);
    put(&daemon, &broken, 1);
    let said = status(&daemon, &broken, "FAILED");
    assert_eq!(said["StatusReason"], "FUNCTION_ERROR_INIT_FAILURE", "{said}");
    assert_eq!(said["AvailableProvisionedConcurrentExecutions"], 0);
}

#[test]
fn what_is_provisioned_is_initialised_again_after_a_restart() {
    let home = Home::new();
    let daemon = Daemon::start_in(&home, &Options::default());
    let function = published(Function::python(WHO), &daemon);
    put(&daemon, &function, 2);
    let before = status(&daemon, &function, "READY");
    let name = function.keep();
    daemon.stop();
    let daemon = Daemon::start_in(&home, &Options::default());
    let function = Deployed::existing(&daemon, &name);
    assert_eq!(status(&daemon, &function, "READY"), before);
    let invocation = call(&function, &json!({}));
    assert!(!invocation.log.contains("Init Duration"), "{}", invocation.log);
    assert_eq!(invocation.answer()[0], "provisioned-concurrency");
}
