//! Events that are delivered later, and how they are treated.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use pool::{FunctionError, Invocation, Outcome, Refusal, Throttle};
use serde_json::{Value, json};

use super::server::{ARN, Reply, Server, echo};

const EVENT: [(&str, &str); 1] = [("x-amz-invocation-type", "Event")];
const CONFIG: &str = "/2019-09-25/functions/f/event-invoke-config";
const INVALID: &str = "InvalidParameterValueException";

async fn invoke(server: &Server, name: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let path = format!("/2015-03-31/functions/{name}/invocations");
    let mut request = Request::builder().method("POST").uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    server.send(request.body(Body::from(body.to_vec())).unwrap()).await
}

/// A server with functions `f` and `g`.
async fn server() -> Server {
    let server = Server::open();
    server.create("f").await;
    server.create("g").await;
    server
}

/// Waits until a function was called so often, and gives its calls.
async fn calls(server: &Server, name: &str, times: usize) -> Vec<Invocation> {
    for _ in 0..1000 {
        let calls = server.pool.calls.lock().unwrap().clone();
        let calls: Vec<_> =
            calls.into_iter().filter(|call| call.function.name.as_str() == name).collect();
        assert!(calls.len() <= times, "called too often");
        if calls.len() == times {
            return calls;
        }
        // A delivery is a task of its own and a commit.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{name} was not called {times} times");
}

/// Waits until a function was called so often at least.
async fn reached(server: &Server, name: &str, times: usize) {
    for _ in 0..1000 {
        let calls = server.pool.calls.lock().unwrap().clone();
        if calls.iter().filter(|call| call.function.name.as_str() == name).count() >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{name} was not called {times} times");
}

fn failed(call: &Invocation) -> Result<Outcome, Refusal> {
    let payload = Bytes::from_static(b"{\"errorMessage\":\"no\"}");
    Ok(Outcome { payload, function_error: Some(FunctionError::Unhandled), ..echo(call) })
}

#[tokio::test]
async fn an_event_is_accepted_with_an_empty_answer_and_delivered_with_the_same_id() {
    let server = server().await;
    let event = br#" {"b": 1.50, "a": "\u00e4 "} "#;
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1";
    let headers = [EVENT[0], ("x-amzn-trace-id", trace), ("x-amz-log-type", "Tail")];
    let reply = invoke(&server, "f", &headers, event).await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (202, 0));
    assert_eq!(reply.header("x-amz-executed-version"), None);
    let call = &calls(&server, "f", 1).await[0];
    assert_eq!(reply.header("x-amzn-requestid"), Some(call.request_id.as_str()));
    assert_eq!(call.payload, event.as_slice());
    assert_eq!((&*call.invoked_arn, &*call.trace_id), (&*format!("{ARN}:f"), trace));
}

#[tokio::test]
async fn invoke_async_is_the_same_by_another_name() {
    let server = server().await;
    let reply = server.call("POST", "/2014-11-13/functions/f/invoke-async/", json!({"x": 1})).await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (202, 0));
    assert_eq!(calls(&server, "f", 1).await[0].payload, "{\"x\":1}");
    let reply = server.call("POST", "/2014-11-13/functions/none/invoke-async/", json!({})).await;
    assert_eq!(reply.status, 404);
}

#[tokio::test]
async fn a_version_is_called_as_that_version() {
    let server = server().await;
    server.call("POST", "/2015-03-31/functions/f/versions", json!({})).await;
    assert_eq!(invoke(&server, "f:1", &EVENT, b"{}").await.status, 202);
    let call = &calls(&server, "f", 1).await[0];
    assert_eq!(&*call.invoked_arn, format!("{ARN}:f:1"));
    assert_eq!(call.function.version, model::Version::Number(1));
}

#[tokio::test]
async fn what_would_be_refused_at_once_is_refused_at_once() {
    let server = server().await;
    let missing = format!("Function not found: {ARN}:none:$LATEST");
    let reply = invoke(&server, "none", &EVENT, b"{}").await;
    reply.refused(404, "ResourceNotFoundException", &missing);
    let reply = invoke(&server, "f", &EVENT, b"{").await;
    assert_eq!(reply.error().1, "InvalidRequestContentException");
    assert!(server.pool.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn both_sides_of_the_longest_event() {
    let server = server().await;
    let event = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2)).into_bytes();
    let reply = invoke(&server, "f", &EVENT, &event(1_048_576)).await;
    assert_eq!(reply.status, 202);
    let reply = invoke(&server, "f", &EVENT, &event(1_048_577)).await;
    reply.refused(
        413,
        "RequestEntityTooLargeException",
        "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
    );
    assert_eq!(calls(&server, "f", 1).await[0].payload.len(), 1_048_576);
}

#[tokio::test]
async fn a_function_that_fails_is_tried_three_times_and_its_destination_told() {
    let server = server().await;
    let g = format!("{ARN}:g");
    let to = json!({ "DestinationConfig": { "OnFailure": { "Destination": g } } });
    assert_eq!(server.call("PUT", CONFIG, to).await.status, 200);
    server.pool.behave(|call| match call.function.name.as_str() {
        "f" => failed(call),
        _ => Ok(echo(call)),
    });
    let reply = invoke(&server, "f", &EVENT, b"[1]").await;
    let tries = calls(&server, "f", 3).await;
    assert!(
        tries.iter().all(|call| Some(call.request_id.as_str()) == reply.header("x-amzn-requestid"))
    );
    let record: Value = serde_json::from_slice(&calls(&server, "g", 1).await[0].payload).unwrap();
    let context = &record["requestContext"];
    assert_eq!(context["requestId"].as_str(), reply.header("x-amzn-requestid"));
    assert_eq!(context["functionArn"], format!("{ARN}:f:$LATEST"));
    assert_eq!(context["condition"], "RetriesExhausted");
    assert_eq!(context["approximateInvokeCount"], 3);
    assert_eq!(record["requestPayload"], json!([1]));
    assert_eq!(record["responseContext"]["functionError"], "Unhandled");
    assert_eq!(record["responsePayload"], json!({ "errorMessage": "no" }));
}

#[tokio::test]
async fn a_function_that_may_not_run_is_not_called_and_its_destination_told() {
    let server = server().await;
    let g = format!("{ARN}:g:$LATEST");
    let to = json!({ "DestinationConfig": { "OnFailure": { "Destination": g } } });
    server.call("PUT", CONFIG, to).await;
    let none = json!({ "ReservedConcurrentExecutions": 0 });
    server.call("PUT", "/2017-10-31/functions/f/concurrency", none).await;
    assert_eq!(invoke(&server, "f", &EVENT, b"{}").await.status, 202);
    let told = &calls(&server, "g", 1).await[0];
    assert_eq!(&*told.invoked_arn, g, "as it is configured");
    let record: Value = serde_json::from_slice(&told.payload).unwrap();
    assert_eq!(record["requestContext"]["condition"], "ZeroReservedConcurrency");
    calls(&server, "f", 0).await;
}

#[tokio::test]
async fn a_circle_of_destinations_ends_unless_its_functions_may_recur() {
    for (setting, calls_of_f) in [("Terminate", 16), ("Allow", 40)] {
        let server = server().await;
        for (from, to) in [("f", "g"), ("g", "f")] {
            let to = json!({
                "DestinationConfig": { "OnSuccess": { "Destination": format!("{ARN}:{to}") } },
            });
            let config = format!("/2019-09-25/functions/{from}/event-invoke-config");
            assert_eq!(server.call("PUT", &config, to).await.status, 200);
            let recursion = format!("/2024-08-31/functions/{from}/recursion-config");
            let put = server.call("PUT", &recursion, json!({ "RecursiveLoop": setting })).await;
            assert_eq!(put.status, 200);
        }
        // One that may recur would do so for ever.
        let left = AtomicUsize::new(2 * calls_of_f);
        server.pool.behave(move |call| {
            let payload = Bytes::from_static(b"1");
            match left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            {
                Ok(_) => Ok(Outcome { payload, ..echo(call) }),
                Err(_) => Err(Refusal::Throttled(Throttle::Account)),
            }
        });
        invoke(&server, "f", &EVENT, b"{}").await;
        if setting == "Terminate" {
            calls(&server, "g", calls_of_f).await;
            calls(&server, "f", calls_of_f).await;
        } else {
            reached(&server, "f", calls_of_f).await;
        }
    }
}

#[tokio::test]
async fn throttles_and_what_the_server_has_not_are_tried_again() {
    let server = server().await;
    let refusals = std::sync::Mutex::new(vec![
        Refusal::StartFailed { detail: String::new() },
        Refusal::Throttled(Throttle::Account),
        Refusal::Retired,
    ]);
    server.pool.behave(move |call| match refusals.lock().unwrap().pop() {
        Some(refusal) => Err(refusal),
        None => Ok(echo(call)),
    });
    invoke(&server, "f", &EVENT, b"{}").await;
    calls(&server, "f", 4).await;
}

#[tokio::test]
async fn events_of_a_function_that_is_deleted_go_with_it_and_not_to_another_of_its_name() {
    let server = server().await;
    server.pool.behave(|_| Err(Refusal::Throttled(Throttle::Account)));
    for _ in 0..20 {
        assert_eq!(invoke(&server, "f", &EVENT, b"{\"old\": 1}").await.status, 202);
    }
    let deleted = server.call("DELETE", "/2015-03-31/functions/f", Value::Null).await;
    assert_eq!(deleted.status, 204);
    server.create("f").await;
    server.pool.behave(|call| Ok(echo(call)));
    server.pool.calls.lock().unwrap().clear();
    invoke(&server, "f", &EVENT, b"{\"new\": 1}").await;
    assert_eq!(calls(&server, "f", 1).await[0].payload, "{\"new\": 1}");
}

#[tokio::test]
async fn what_is_configured_is_shown_as_aws_shows_it() {
    let server = server().await;
    let nothing = format!("The function {ARN}:f:$LATEST doesn't have an EventInvokeConfig");
    server.get(CONFIG).await.refused(404, "ResourceNotFoundException", &nothing);
    let to = json!({
        "MaximumRetryAttempts": 1,
        "DestinationConfig": { "OnSuccess": { "Destination": format!("{ARN}:g") } },
    });
    let put = server.call("PUT", CONFIG, to).await.json();
    assert!(put["LastModified"].as_f64().unwrap() > 1_700_000_000.0, "{put}");
    assert_eq!(put["FunctionArn"], format!("{ARN}:f:$LATEST"));
    assert_eq!(put["MaximumRetryAttempts"], 1);
    assert!(put.get("MaximumEventAgeInSeconds").is_none());
    let destinations = json!({
        "OnSuccess": { "Destination": format!("{ARN}:g") }, "OnFailure": {},
    });
    assert_eq!(put["DestinationConfig"], destinations);
    assert_eq!(server.get(CONFIG).await.json(), put);
    // An update leaves what it does not give.
    let update = server.call("POST", CONFIG, json!({ "MaximumEventAgeInSeconds": 60 })).await;
    assert_eq!(update.json()["DestinationConfig"], destinations);
    assert_eq!(update.json()["MaximumRetryAttempts"], 1);
    // The empty ARN is nobody's.
    let nobody = json!({ "DestinationConfig": { "OnSuccess": { "Destination": "" } } });
    let update = server.call("POST", CONFIG, nobody).await.json();
    assert_eq!(update["DestinationConfig"], json!({ "OnSuccess": {}, "OnFailure": {} }));
    // One that is put forgets what was there.
    let put = server.call("PUT", CONFIG, json!({ "MaximumRetryAttempts": 0 })).await.json();
    assert!(put.get("MaximumEventAgeInSeconds").is_none(), "{put}");
    let deleted = server.call("DELETE", CONFIG, Value::Null).await;
    assert_eq!((deleted.status.as_u16(), deleted.body.len()), (204, 0));
    let again = server.call("DELETE", CONFIG, Value::Null).await;
    again.refused(404, "ResourceNotFoundException", &nothing);
    let update = server.call("POST", CONFIG, json!({ "MaximumRetryAttempts": 0 })).await;
    update.refused(404, "ResourceNotFoundException", &nothing);
}

#[tokio::test]
async fn every_qualifier_has_a_configuration_of_its_own_and_all_are_listed() {
    let server = server().await;
    server.call("POST", "/2015-03-31/functions/f/versions", json!({})).await;
    for path in [CONFIG.to_owned(), format!("{CONFIG}?Qualifier=1")] {
        let put = server.call("PUT", &path, json!({ "MaximumRetryAttempts": 0 })).await;
        assert_eq!(put.status, 200, "{put:?}");
    }
    let list = |query: &str| format!("{CONFIG}/list{query}");
    let all = server.get(&list("")).await.json();
    let arns = |page: &Value| -> Vec<String> {
        let configs = page["FunctionEventInvokeConfigs"].as_array().unwrap();
        configs.iter().map(|one| one["FunctionArn"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(arns(&all), [format!("{ARN}:f:$LATEST"), format!("{ARN}:f:1")]);
    let first = server.get(&list("?MaxItems=1")).await.json();
    let marker = first["NextMarker"].as_str().unwrap();
    let second = server.get(&list(&format!("?MaxItems=1&Marker={marker}"))).await.json();
    assert_eq!((arns(&second), second.get("NextMarker")), (vec![format!("{ARN}:f:1")], None));
    let missing = server.get("/2019-09-25/functions/none/event-invoke-config/list").await;
    missing.refused(404, "ResourceNotFoundException", "The function doesn't exist.");
    let nothing = format!("The function {ARN}:f:7 doesn't have an EventInvokeConfig");
    let seven = format!("{CONFIG}?Qualifier=7");
    server.get(&seven).await.refused(404, "ResourceNotFoundException", &nothing);
    let put = server.call("PUT", &seven, json!({ "MaximumRetryAttempts": 0 })).await;
    put.refused(404, "ResourceNotFoundException", "The function doesn't exist.");
}

#[tokio::test]
async fn both_sides_of_every_limit_and_every_destination_that_cannot_be() {
    let server = server().await;
    let put = async |body: Value| server.call("PUT", CONFIG, body).await;
    for (member, inside, outside) in [
        ("MaximumRetryAttempts", vec![0, 2], vec![-1, 3]),
        ("MaximumEventAgeInSeconds", vec![60, 21_600], vec![59, 21_601]),
    ] {
        for value in inside {
            assert_eq!(put(json!({ member: value })).await.status, 200, "{member} {value}");
        }
        for value in outside {
            let (status, code, _) = put(json!({ member: value })).await.error();
            assert_eq!((status, code.as_str()), (400, "ValidationException"), "{member} {value}");
        }
    }
    let nothing = "You must specify at least one of error handling or destination setting.";
    put(json!({})).await.refused(400, INVALID, nothing);
    server.call("POST", CONFIG, json!({})).await.refused(400, INVALID, nothing);

    let to = |arn: &str| json!({ "DestinationConfig": { "OnFailure": { "Destination": arn } } });
    let own = "You can't specify the function as a destination for itself.";
    for arn in [format!("{ARN}:f"), format!("{ARN}:f:$LATEST")] {
        put(to(&arn)).await.refused(400, INVALID, own);
    }
    for arn in [
        format!("{ARN}:none"),
        format!("{ARN}:g:7"),
        "arn:aws:lambda:eu-west-1:000000000000:function:g".to_owned(),
        "arn:aws:lambda:us-east-1:111111111111:function:g".to_owned(),
        "arn:aws:sqs:us-east-1:000000000000:queue".to_owned(),
        "arn:aws:sns:us-east-1:000000000000:topic".to_owned(),
        "arn:aws:events:us-east-1:000000000000:event-bus/default".to_owned(),
        "arn:aws:s3:::bucket".to_owned(),
    ] {
        let message = format!("The destination ARN {arn} is invalid.");
        put(to(&arn)).await.refused(400, INVALID, &message);
    }
    let strange = "arn:aws:iam:us-east-1:000000000000:function:g";
    let message = format!(
        "The provided destination config DestinationConfig(onSuccess=null, \
         onFailure=OnFailure(destination={strange})) is invalid."
    );
    put(to(strange)).await.refused(400, INVALID, &message);
    let (status, code, message) = put(to("arn:aws:_-/!lambda:x")).await.error();
    assert_eq!((status, code.as_str()), (400, "ValidationException"));
    assert!(message.contains("'destinationConfig.onFailure.destination'"), "{message}");
}
