//! The context, the environment.

use serde_json::json;
use wire::link::{Invoke, Kind};

use super::function;
use crate::instance::{ARN, REQUEST_ID, event, json};

#[test]
fn the_context_says_who_is_called() {
    let expected = json!({
        "callbackWaitsForEmptyEventLoop": true,
        "functionName": "probe",
        "functionVersion": "7",
        "invokedFunctionArn": ARN,
        "memoryLimitInMB": "512",
        "awsRequestId": REQUEST_ID,
        "logGroupName": "/aws/lambda/probe",
        "logStreamName": "2026/11/20/[7]0123456789abcdef0123456789abcdef",
        "kinds": ["function", "function", "function", "function"],
    });
    assert_eq!(function("surroundings.context").ready().call("{}"), expected);
}

#[test]
fn the_context_says_who_calls() {
    let client_context = r#"{"custom":{"a":"b"},"env":{},"client":{"installation_id":"i"}}"#;
    let call = Invoke {
        client_context,
        cognito_identity: r#"{"cognitoIdentityId":"id","cognitoIdentityPoolId":"pool"}"#,
        ..event(b"{}")
    };
    let seen = json(function("surroundings.context").ready().invoke(&call), Kind::Response);
    assert_eq!(seen["clientContext"].to_string().len(), client_context.len());
    assert_eq!(seen["clientContext"]["client"]["installation_id"], "i");
    let identity = json!({"cognitoIdentityId": "id", "cognitoIdentityPoolId": "pool"});
    assert_eq!(seen["identity"], identity);
}

#[test]
fn a_client_context_that_is_not_json_is_an_error_of_the_call() {
    let mut instance = function("surroundings.context").ready();
    let call = Invoke { client_context: "{", ..event(b"{}") };
    let document = json(instance.invoke(&call), Kind::Failed);
    let message = document["errorMessage"].as_str().expect("text");
    assert!(message.starts_with("Cannot parse ClientContext as json: SyntaxError"), "{message}");
    assert_eq!(instance.call("{}")["awsRequestId"], REQUEST_ID);
}

#[test]
fn the_remaining_time_counts_down_to_the_deadline() {
    let mut instance = function("surroundings.remaining").ready();
    let now = || {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
        since.as_millis() as u64
    };
    let before = now();
    let call = Invoke { deadline_ms: before + 3_600_000, ..event(b"{}") };
    let left = json(instance.invoke(&call), Kind::Response).as_u64().expect("a number");
    assert!(left <= 3_600_000 && left + (now() - before) + 1 >= 3_600_000, "{left}");
}

#[test]
fn the_trace_header_is_in_the_environment_of_its_own_event_only() {
    let mut instance = function("surroundings.trace").ready();
    assert_eq!(instance.call("{}"), json!(null));
    let call = Invoke { trace_id: "Root=1-2-3;Sampled=1", ..event(b"{}") };
    assert_eq!(json(instance.invoke(&call), Kind::Response), "Root=1-2-3;Sampled=1");
    assert_eq!(instance.call("{}"), json!(null));
}

#[test]
fn libraries_find_the_request_id_where_aws_client_puts_it() {
    assert_eq!(function("surroundings.requestId").ready().call("{}"), REQUEST_ID);
}

#[test]
fn a_function_finds_its_own_packages() {
    assert_eq!(function("surroundings.required").ready().call("{}"), "from node_modules");
}

#[test]
fn programs_that_a_function_starts_do_not_get_the_link() {
    assert_eq!(function("surroundings.starts").ready().call("{}"), json!([true, false]));
}
