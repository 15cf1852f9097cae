//! Promises about headers and bodies, where the order of JSON's members is AWS's too.

use http_body_util::BodyExt as _;
use model::RequestId;
use pool::session::Operation;

use super::*;

async fn text(reply: Reply) -> (u16, String) {
    let status = reply.status().as_u16();
    let body = reply.into_body().collect().await.expect("it is all there").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

fn an_event() -> Event {
    Event {
        request_id: RequestId::random(),
        invocation_id: RequestId::random(),
        deadline_ms: 1_795_132_800_000,
        trace_id: "".into(),
        client_context: "".into(),
        cognito_identity: "".into(),
        invoked_arn: "arn:aws:lambda:us-east-1:000000000000:function:f".into(),
        payload: Bytes::from_static(b"{}"),
    }
}

#[test]
fn an_event_has_the_headers_that_are_not_empty() {
    let reply = event(an_event());
    let mut names: Vec<_> = reply.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "content-type",
            "lambda-runtime-aws-request-id",
            "lambda-runtime-deadline-ms",
            "lambda-runtime-invocation-id",
            "lambda-runtime-invoked-function-arn",
        ]
    );
    assert_eq!(reply.headers()["lambda-runtime-deadline-ms"], "1795132800000");
    assert_eq!(reply.headers()["content-type"], "application/json");
}

#[test]
fn a_context_over_several_lines_becomes_one_line() {
    let context = "{\n\t\"name\": \"é\",\r\n\"x\": 1\n}";
    let reply = event(Event { client_context: context.into(), ..an_event() });
    let value = reply.headers()["lambda-runtime-client-context"].as_bytes();
    assert_eq!(std::str::from_utf8(value), Ok("{  \"name\": \"é\",  \"x\": 1 }"));
}

#[tokio::test]
async fn refusals_have_awss_status_type_and_text() {
    let transition = StateError::Transition { from: "ResponseSent", to: Operation::Response };
    let cases = [
        (
            refused(&transition),
            403,
            r#"{"errorMessage":"State transition from ResponseSent to InvocationResponse failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}"#,
        ),
        (
            refused(&StateError::RequestId),
            400,
            r#"{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}"#,
        ),
        (
            refused(&StateError::Stale),
            410,
            r#"{"errorMessage":"Invoke timeout","errorType":"InvokeTimeout"}"#,
        ),
        (
            Some(too_large()),
            413,
            r#"{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}"#,
        ),
        (
            Some(truncated()),
            400,
            r#"{"errorMessage":"HTTP request detected as truncated","errorType":"TruncatedHTTPRequest"}"#,
        ),
        (
            Some(invalid_mode()),
            400,
            r#"{"errorMessage":"Invalid function response mode","errorType":"InvalidFunctionResponseMode"}"#,
        ),
        (Some(accepted()), 202, r#"{"status":"OK"}"#),
        (Some(pong()), 200, "pong"),
    ];
    for (reply, status, body) in cases {
        assert_eq!(text(reply.expect("an answer")).await, (status, body.to_owned()));
    }
    assert!(refused(&StateError::Closed).is_none());
}
