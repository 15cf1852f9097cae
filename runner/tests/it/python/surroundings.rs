//! The context, the search path, the environment.

use serde_json::json;
use wire::link::{Invoke, Kind};

use super::function;
use crate::instance::{ARN, REQUEST_ID, event, json, path};

#[test]
fn the_context_says_who_is_called() {
    let expected = json!({
        "function_name": "probe",
        "function_version": "7",
        "invoked_function_arn": ARN,
        "memory_limit_in_mb": "512",
        "aws_request_id": REQUEST_ID,
        "log_group_name": "/aws/lambda/probe",
        "log_stream_name": "2026/11/20/[7]0123456789abcdef0123456789abcdef",
        "tenant_id": null,
        "identity": [null, null],
        "client_context": null,
    });
    assert_eq!(function("surroundings.context").ready().call("{}"), expected);
}

#[test]
fn the_context_says_who_calls() {
    let client_context = json!({
        "custom": {"a": "b"},
        "env": {"locale": "de"},
        "client": {"installation_id": "i", "app_title": "t", "unknown": 1},
    })
    .to_string();
    let call = Invoke {
        client_context: &client_context,
        cognito_identity: r#"{"cognitoIdentityId":"id","cognitoIdentityPoolId":"pool"}"#,
        ..event(b"{}")
    };
    let seen = json(function("surroundings.context").ready().invoke(&call), Kind::Response);
    assert_eq!(seen["identity"], json!(["id", "pool"]));
    assert_eq!(seen["client_context"], json!({"custom": {"a": "b"}, "env": {"locale": "de"}}));
    let client = json!({
        "installation_id": "i",
        "app_title": "t",
        "app_version_name": null,
        "app_version_code": null,
        "app_package_name": null,
    });
    assert_eq!(seen["client"], client);
}

#[test]
fn a_client_context_that_is_not_json_is_an_error_of_the_call() {
    let mut instance = function("surroundings.context").ready();
    let call = Invoke { client_context: "{", ..event(b"{}") };
    let document = json(instance.invoke(&call), Kind::Failed);
    assert_eq!(document["errorType"], "Runtime.LambdaContextUnmarshalError");
    let message = document["errorMessage"].as_str().expect("text");
    assert!(message.starts_with("Unable to parse Client Context JSON: Expecting"), "{message}");
    assert_eq!(instance.call("{}")["client_context"], json!(null));
}

#[test]
fn the_remaining_time_counts_down_to_the_deadline_and_not_below_zero() {
    let mut instance = function("surroundings.remaining").ready();
    let now = || {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
        since.as_millis() as u64
    };
    let before = now();
    let call = Invoke { deadline_ms: before + 3_600_000, ..event(b"{}") };
    let left = json(instance.invoke(&call), Kind::Response).as_u64().expect("a number");
    assert!(left <= 3_600_000 && left + (now() - before) + 1 >= 3_600_000, "{left}");
    let call = Invoke { deadline_ms: 1, ..event(b"{}") };
    assert_eq!(json(instance.invoke(&call), Kind::Response), 0);
}

#[test]
fn the_context_shows_itself() {
    let expected = format!(
        "LambdaContext([aws_request_id={REQUEST_ID},log_group_name=/aws/lambda/probe,\
         log_stream_name=2026/11/20/[7]0123456789abcdef0123456789abcdef,function_name=probe,\
         memory_limit_in_mb=512,function_version=7,invoked_function_arn={ARN},\
         client_context=ClientContext([custom={{'a': 1}},env=None,client=None]),\
         identity=CognitoIdentity([cognito_identity_id=None,cognito_identity_pool_id=None]),\
         tenant_id=None])"
    );
    let call = Invoke { client_context: r#"{"custom":{"a":1}}"#, ..event(b"{}") };
    let shown = function("surroundings.shown").ready().invoke(&call);
    assert_eq!(json(shown, Kind::Response), expected);
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
fn the_functions_files_come_first_then_its_layers_then_the_rest() {
    let found = function("surroundings.path").ready().call("{}");
    let found: Vec<_> =
        found.as_array().expect("a list").iter().filter_map(|entry| entry.as_str()).collect();
    assert_eq!(found[0], path("tests/functions/python/").display().to_string());
    assert!(found[1].starts_with("/opt/python/lib/python3."), "{found:?}");
    assert!(found[1].ends_with("/site-packages"), "{found:?}");
    assert_eq!(found[2], "/opt/python");
    assert!(found[3..].iter().any(|entry| entry.contains("/lib/python3.")), "{found:?}");
}

#[test]
fn a_function_finds_the_builtins_of_an_ordinary_start() {
    assert_eq!(function("surroundings.builtins").ready().call("{}"), json!([true, true, true]));
}

#[test]
fn nothing_heavy_is_imported_for_a_function_that_does_not_ask_for_it() {
    let found = function("surroundings.modules").ready().call("{}");
    let found = found.as_array().expect("a list");
    for name in ["json", "logging", "traceback", "re", "threading", "decimal", "importlib"] {
        assert!(!found.contains(&json!(name)), "{name}");
    }
}
