//! Calls.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use pool::{FunctionError, Outcome, Refusal, Throttle};
use serde_json::json;

use super::server::{ARN, Reply, Server, echo};

const INVOKE: &str = "/2015-03-31/functions/f/invocations";

/// Calls with headers and a body.
async fn call(server: &Server, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut request = Request::builder().method("POST").uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    server.send(request.body(Body::from(body.to_vec())).unwrap()).await
}

async fn with_function() -> Server {
    let server = Server::open();
    server.create("f").await;
    server
}

#[tokio::test]
async fn the_event_goes_in_and_the_result_comes_back_byte_for_byte() {
    let server = with_function().await;
    let event = br#" {"b": 1.50, "a": "\u00e4 "} "#;
    let reply = call(&server, INVOKE, &[], event).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, event.as_slice());
    assert_eq!(reply.header("x-amz-executed-version"), Some("$LATEST"));
    assert_eq!(reply.header("x-amz-function-error"), None);
    assert_eq!(reply.header("x-amz-log-result"), None);
    let calls = server.pool.calls.lock().unwrap();
    let id = calls[0].request_id;
    assert_eq!(reply.header("x-amzn-requestid"), Some(id.as_str()), "the id the function sees");
    assert_eq!(&*calls[0].invoked_arn, format!("{ARN}:f"), "as invoked: unqualified");
}

#[tokio::test]
async fn no_payload_is_an_empty_object() {
    let server = with_function().await;
    assert_eq!(call(&server, INVOKE, &[], b"").await.body, "{}");
}

#[tokio::test]
async fn a_qualifier_chooses_the_version_and_qualifies_the_arn() {
    let server = with_function().await;
    server.call("POST", "/2015-03-31/functions/f/versions", json!({})).await;
    for path in [
        "/2015-03-31/functions/f/invocations?Qualifier=1".to_owned(),
        "/2015-03-31/functions/f:1/invocations".to_owned(),
        format!("/2015-03-31/functions/{ARN}:f:1/invocations"),
        format!("/2015-03-31/functions/{}/invocations", format!("{ARN}:f:1").replace(':', "%3A")),
    ] {
        let reply = call(&server, &path, &[], b"{}").await;
        assert_eq!(reply.header("x-amz-executed-version"), Some("1"), "{path}: {reply:?}");
        let calls = server.pool.calls.lock().unwrap();
        assert_eq!(&*calls.last().unwrap().invoked_arn, format!("{ARN}:f:1"));
    }
}

#[tokio::test]
async fn a_log_tail_comes_in_base64_if_it_is_asked_for() {
    let server = with_function().await;
    let reply = call(&server, INVOKE, &[("x-amz-log-type", "Tail")], b"{}").await;
    let tail = STANDARD.decode(reply.header("x-amz-log-result").unwrap()).unwrap();
    assert_eq!(tail, b"START\nEND\n");
}

#[tokio::test]
async fn a_function_error_is_an_answer_with_a_header() {
    let server = with_function().await;
    server.pool.behave(|call| {
        let payload = Bytes::from_static(b"{\"errorMessage\":\"no\"}");
        Ok(Outcome { payload, function_error: Some(FunctionError::Unhandled), ..echo(call) })
    });
    let reply = call(&server, INVOKE, &[], b"{}").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-amz-function-error"), Some("Unhandled"));
    assert_eq!(reply.body, "{\"errorMessage\":\"no\"}");
}

#[tokio::test]
async fn a_dry_run_checks_everything_and_calls_nothing() {
    let server = with_function().await;
    let dry = [("x-amz-invocation-type", "DryRun")];
    let reply = call(&server, INVOKE, &dry, b"{}").await;
    assert_eq!(reply.status, 204);
    assert!(reply.body.is_empty());
    assert!(server.pool.calls.lock().unwrap().is_empty());
    let missing = "/2015-03-31/functions/none/invocations";
    assert_eq!(call(&server, missing, &dry, b"{}").await.status, 404);
}

#[tokio::test]
async fn a_payload_that_is_not_json_is_refused_with_the_place() {
    let server = with_function().await;
    let source = "(`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)";
    let source = format!("[Source: REDACTED {source}");
    let begin = "Could not parse request body into json: Could not parse payload into json: ";
    let reply = call(&server, INVOKE, &[], b"{\"a\x87\":1}").await;
    reply.refused(
        400,
        "InvalidRequestContentException",
        &format!("{begin}Invalid UTF-8 start byte 0x87\n at {source}; line: 1, column: 4]"),
    );
    let reply = call(&server, INVOKE, &[], b"nonsense").await;
    let (status, code, message) = reply.error();
    assert_eq!((status, code.as_str()), (400, "InvalidRequestContentException"));
    assert!(message.starts_with(begin), "{message}");
    assert!(server.pool.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_payload_over_six_mebibytes_is_refused_with_its_size() {
    let server = with_function().await;
    let mut event = vec![b' '; 6 * 1024 * 1024];
    event[0] = b'1';
    assert_eq!(call(&server, INVOKE, &[], &event).await.status, 200);
    event.push(b' ');
    let length = event.len().to_string();
    let reply = call(&server, INVOKE, &[("content-length", &length)], &event).await;
    reply.refused(
        413,
        "RequestEntityTooLargeException",
        "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 \
         bytes)",
    );
}

#[tokio::test]
async fn a_client_context_is_decoded_and_bounded() {
    let server = with_function().await;
    let context = STANDARD.encode(r#"{"custom":{"a":"b"}}"#);
    call(&server, INVOKE, &[("x-amz-client-context", &context)], b"{}").await;
    let seen = server.pool.calls.lock().unwrap()[0].client_context.clone();
    assert_eq!(&*seen, r#"{"custom":{"a":"b"}}"#);
    for refused in ["bm90IGpzb24=", "***", &"A".repeat(3584)] {
        let reply = call(&server, INVOKE, &[("x-amz-client-context", refused)], b"{}").await;
        let (status, code, _) = reply.error();
        assert_eq!((status, code.as_str()), (400, "InvalidRequestContentException"));
    }
}

#[tokio::test]
async fn a_function_that_is_not_there_is_missed_at_latest() {
    let server = Server::open();
    let reply = call(&server, "/2015-03-31/functions/doesnotexist/invocations", &[], b"{}").await;
    let message = format!("Function not found: {ARN}:doesnotexist:$LATEST");
    reply.refused(404, "ResourceNotFoundException", &message);
    let path = "/2015-03-31/functions/doesnotexist/invocations?Qualifier=1";
    let message = format!("Function not found: {ARN}:doesnotexist:1");
    call(&server, path, &[], b"{}").await.refused(404, "ResourceNotFoundException", &message);
}

#[tokio::test]
async fn a_throttled_caller_is_told_why_and_when_to_come_again() {
    let server = with_function().await;
    server.pool.behave(|_| Err(Refusal::Throttled(Throttle::Function)));
    let reply = call(&server, INVOKE, &[], b"{}").await;
    reply.refused(429, "TooManyRequestsException", "Rate Exceeded.");
    assert_eq!(
        reply.json(),
        json!({
            "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
            "Type": "User",
            "message": "Rate Exceeded.",
        })
    );
    assert_eq!(reply.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_function_that_is_updated_on_the_way_is_looked_up_again() {
    let server = with_function().await;
    let once = std::sync::atomic::AtomicBool::new(false);
    server.pool.behave(move |call| match once.swap(true, std::sync::atomic::Ordering::Relaxed) {
        false => Err(Refusal::Retired),
        true => Ok(echo(call)),
    });
    assert_eq!(call(&server, INVOKE, &[], b"7").await.body, "7");
    let calls = server.pool.calls.lock().unwrap();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].request_id, calls[1].request_id);
}

#[tokio::test]
async fn our_own_failures_are_service_exceptions_without_details() {
    let server = with_function().await;
    for refusal in [
        Refusal::StartFailed { detail: "the secret reason".to_owned() },
        Refusal::Stopping,
        Refusal::Closed,
    ] {
        server.pool.behave(move |_| Err(refusal.clone()));
        let reply = call(&server, INVOKE, &[], b"{}").await;
        let (status, code, message) = reply.error();
        assert_eq!((status, code.as_str()), (500, "ServiceException"));
        assert!(!message.contains("secret"), "{message}");
    }
}

#[tokio::test]
async fn headers_with_values_that_are_none_are_refused_together() {
    let server = with_function().await;
    let headers = [("x-amz-invocation-type", "Later"), ("x-amz-log-type", "Head")];
    call(&server, INVOKE, &headers, b"{}").await.refused(
        400,
        "ValidationException",
        "2 validation errors detected: Value 'Later' at 'invocationType' failed to satisfy \
         constraint: Member must satisfy enum value set: [Event, RequestResponse, DryRun]; Value \
         'Head' at 'logType' failed to satisfy constraint: Member must satisfy enum value set: \
         [None, Tail]",
    );
}

/// Types and payloads of the events in a stream.
fn events(mut stream: &[u8]) -> Vec<(String, Vec<u8>)> {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    let mut found = Vec::new();
    while !stream.is_empty() {
        let (event, rest) = stream.split_at(number(stream));
        let headers = number(&event[4..]);
        let text = String::from_utf8_lossy(&event[12..12 + headers]).into_owned();
        let kind = ["PayloadChunk", "InvokeComplete"].into_iter().find(|kind| text.contains(kind));
        let payload = event[12 + headers..event.len() - 4].to_vec();
        found.push((kind.unwrap().to_owned(), payload));
        stream = rest;
    }
    found
}

#[tokio::test]
async fn an_answer_can_be_a_stream_of_events() {
    let server = with_function().await;
    let path = "/2021-11-15/functions/f/response-streaming-invocations";
    let event = format!("\"{}\"", "x".repeat(100_000)).into_bytes();
    let reply = call(&server, path, &[("x-amz-log-type", "Tail")], &event).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/vnd.amazon.eventstream"));
    assert_eq!(reply.header("x-amz-executed-version"), Some("$LATEST"));
    let events = events(&reply.body);
    let chunks: Vec<u8> = events
        .iter()
        .filter(|(kind, _)| kind == "PayloadChunk")
        .flat_map(|e| e.1.clone())
        .collect();
    assert!(chunks == event && events.len() == 3, "two chunks and the end");
    let end: serde_json::Value = serde_json::from_slice(&events[2].1).unwrap();
    assert_eq!(end, json!({ "LogResult": STANDARD.encode("START\nEND\n") }));

    let refused = call(&server, path, &[("x-amz-invocation-type", "Event")], b"{}").await;
    refused.refused(
        400,
        "ValidationException",
        "1 validation error detected: Value 'Event' at 'invocationType' failed to satisfy \
         constraint: Member must satisfy enum value set: [RequestResponse, DryRun]",
    );
    let dry = call(&server, path, &[("x-amz-invocation-type", "DryRun")], b"{}").await;
    assert_eq!(dry.status, 204, "{dry:?}");
}

#[tokio::test]
async fn a_stream_of_a_function_that_fails_ends_with_its_error() {
    let server = with_function().await;
    server.pool.behave(|call| {
        Ok(Outcome {
            payload: Bytes::from_static(br#"{"errorMessage":"no"}"#),
            function_error: Some(FunctionError::Unhandled),
            ..echo(call)
        })
    });
    let path = "/2021-11-15/functions/f/response-streaming-invocations";
    let reply = call(&server, path, &[], b"{}").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let events = events(&reply.body);
    let end: serde_json::Value = serde_json::from_slice(&events[0].1).unwrap();
    assert_eq!(events.len(), 1);
    let expected = json!({ "ErrorCode": "Unhandled", "ErrorDetails": "{\"errorMessage\":\"no\"}" });
    assert_eq!(end, expected);
}
