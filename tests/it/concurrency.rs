//! Reserved concurrency as AWS's own clients set it and see it.
//!
//! What the limits do to calls is in `scaling`; here is what clients make of it.

use serde_json::{Value, json};

use crate::harness::tools::{aws, boto3};
use crate::harness::{Daemon, Deployed, Function, Home, Options};

const ECHO: &str = "def handler(event, context):\n    return event\n";

#[test]
fn boto3_reserves_concurrency_is_throttled_and_gives_it_back() {
    // A daemon of its own, because what is unreserved is everybody's.
    let daemon = Daemon::start();
    let function = Function::python(ECHO).deploy(&daemon);
    let said = boto3(&daemon, include_str!("clients/concurrency.py"), &[&function.name]);
    assert_eq!(said["throttled"]["Code"], "TooManyRequestsException", "{said}");
    assert_eq!(said["throttled"]["Message"], "Rate Exceeded.", "{said}");
    assert_eq!(said["reason"], "ReservedFunctionConcurrentInvocationLimitExceeded", "{said}");
    assert_eq!((&said["status"], &said["retry_after"]), (&json!(429), &json!("1")), "{said}");
    assert_eq!(said["beyond"]["Code"], "InvalidParameterValueException", "{said}");
}

#[test]
fn the_aws_cli_reserves_concurrency_and_gives_it_back() {
    let daemon = Daemon::start();
    let function = Function::python(ECHO).deploy(&daemon);
    let call = |verb: &str, more: &[&str]| {
        let arguments = [&["lambda", verb, "--function-name", &function.name], more].concat();
        let ran = aws(&daemon, &[&arguments[..], &["--output", "json"]].concat()).succeeded();
        serde_json::from_str::<Value>(&ran.stdout).unwrap_or(Value::Null)
    };
    let five = json!({"ReservedConcurrentExecutions": 5});
    let put = call("put-function-concurrency", &["--reserved-concurrent-executions", "5"]);
    assert_eq!(put, five);
    assert_eq!(call("get-function-concurrency", &[]), five);
    assert_eq!(call("get-function", &[])["Concurrency"], five);
    call("delete-function-concurrency", &[]);
    assert_eq!(call("get-function-concurrency", &[]), Value::Null, "nothing is printed of nothing");
}

#[test]
fn what_is_reserved_survives_a_restart() {
    let home = Home::new();
    let daemon = Daemon::start_in(&home, &Options::default());
    let function = Function::python(ECHO).deploy(&daemon);
    let path = function.path("concurrency").replace("2015-03-31", "2017-10-31");
    daemon.api("PUT", &path, &json!({"ReservedConcurrentExecutions": 0})).expect(200);
    let name = function.keep();
    daemon.stop();
    let daemon = Daemon::start_in(&home, &Options::default());
    let function = Deployed::existing(&daemon, &name);
    assert_eq!(function.get()["Concurrency"], json!({"ReservedConcurrentExecutions": 0}));
    let refused = function.invoke(&json!({})).response;
    let body = refused.refused(429, "TooManyRequestsException", "Rate Exceeded.");
    assert_eq!(body["Reason"], "ReservedFunctionConcurrentInvocationLimitExceeded");
    assert_eq!(refused.header("retry-after"), Some("1"));
}
