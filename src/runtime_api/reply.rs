//! What a runtime is answered: statuses and bodies in the form of AWS's own implementation.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use pool::session::{Event, StateError};

use crate::body::MAX_RESPONSE;

/// A response of this crate.
pub(crate) type Reply = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What the runtime echoes with its answer, so that one to an earlier attempt is noticed.
pub(crate) const INVOCATION_ID: HeaderName =
    HeaderName::from_static("lambda-runtime-invocation-id");

/// What is answered to an answer.
const STATUS_OK: &[u8] = br#"{"status":"OK"}"#;

/// What an event says in headers, in AWS's spelling; `deadline` is `deadline_ms` in digits. Those
/// without a value are not sent.
fn event_headers<'a>(event: &'a Event, deadline: &'a str) -> [(&'static str, &'a str); 7] {
    [
        ("Lambda-Runtime-Aws-Request-Id", event.request_id.as_str()),
        ("Lambda-Runtime-Invocation-Id", event.invocation_id.as_str()),
        ("Lambda-Runtime-Deadline-Ms", deadline),
        ("Lambda-Runtime-Invoked-Function-Arn", &event.invoked_arn),
        ("Lambda-Runtime-Trace-Id", &event.trace_id),
        ("Lambda-Runtime-Client-Context", &event.client_context),
        ("Lambda-Runtime-Cognito-Identity", &event.cognito_identity),
    ]
}

/// 200: an event.
pub(crate) fn event(event: Event) -> Reply {
    let mut reply = Response::new(Full::new(event.payload.clone()));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    let deadline = event.deadline_ms.to_string();
    for (name, text) in event_headers(&event, &deadline) {
        let value: Vec<u8> = text.bytes().map(fit).collect();
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (false, Ok(name), Ok(value)) = (text.is_empty(), name, HeaderValue::try_from(value))
        {
            headers.insert(name, value);
        }
    }
    reply
}

/// The same as bytes, up to its body.
pub(crate) fn write_event_head(event: &Event, out: &mut Vec<u8>) {
    let deadline = event.deadline_ms.to_string();
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    for (name, text) in event_headers(event, &deadline) {
        if !text.is_empty() {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend(text.bytes().map(fit));
            out.extend_from_slice(b"\r\n");
        }
    }
    write_rest(event.payload.len(), out);
}

/// 202: an answer or an error was taken.
pub(crate) fn accepted() -> Reply {
    json(StatusCode::ACCEPTED, Bytes::from_static(STATUS_OK))
}

/// The same as bytes, all of it.
pub(crate) fn write_accepted(out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 202 Accepted\r\n");
    write_rest(STATUS_OK.len(), out);
    out.extend_from_slice(STATUS_OK);
}

/// 200: the listener is served.
pub(crate) fn pong() -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from_static(b"pong")));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    reply
}

/// What was refused by the session; `None` if the connection is to be closed instead.
pub(crate) fn refused(err: &StateError) -> Option<Reply> {
    Some(match err {
        StateError::Transition { .. } => {
            error(StatusCode::FORBIDDEN, "InvalidStateTransition", &err.to_string())
        }
        StateError::RequestId => {
            error(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID")
        }
        StateError::Stale => error(StatusCode::GONE, "InvokeTimeout", "Invoke timeout"),
        StateError::Closed => return None,
    })
}

/// 403: an answer is being read already. The states are named as AWS's implementation names them,
/// which leaves the state of a running invocation as soon as an answer begins.
pub(crate) fn already_answering(attempted: &'static str) -> Reply {
    let text = format!(
        "State transition from InvocationResponse to {attempted} failed for runtime. \
         Error: State transition is not allowed"
    );
    error(StatusCode::FORBIDDEN, "InvalidStateTransition", &text)
}

/// 413
pub(crate) fn too_large() -> Reply {
    let text = format!("Exceeded maximum allowed payload size ({MAX_RESPONSE} bytes).");
    error(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &text)
}

/// 400: the body ended before its end.
pub(crate) fn truncated() -> Reply {
    let text = "HTTP request detected as truncated";
    closing(error(StatusCode::BAD_REQUEST, "TruncatedHTTPRequest", text))
}

/// 400: a response mode that does not exist.
pub(crate) fn invalid_mode() -> Reply {
    let text = "Invalid function response mode";
    error(StatusCode::BAD_REQUEST, "InvalidFunctionResponseMode", text)
}

/// 404
pub(crate) fn no_such_path() -> Reply {
    error(StatusCode::NOT_FOUND, "NotFound", "There is no such path in the Lambda Runtime API")
}

/// 405
pub(crate) fn no_such_method() -> Reply {
    let text = "This path of the Lambda Runtime API has another method";
    error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", text)
}

/// The same reply, and the connection ends with it.
pub(crate) fn closing(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

fn error(status: StatusCode, kind: &str, text: &str) -> Reply {
    let document = serde_json::json!({ "errorMessage": text, "errorType": kind });
    json(status, document.to_string().into())
}

fn json(status: StatusCode, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, JSON);
    reply
}

/// What the head of every answer that is written by hand ends with.
fn write_rest(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Content-Type: application/json\r\nContent-Length: ");
    out.extend_from_slice(length.to_string().as_bytes());
    out.extend_from_slice(b"\r\nDate: ");
    write_date(out);
    out.extend_from_slice(b"\r\n\r\n");
}

/// The date as HTTP has it; put together once a second and remembered.
fn write_date(out: &mut Vec<u8>) {
    thread_local! {
        static LAST: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    LAST.with_borrow_mut(|(known, text)| {
        if *known != second {
            *text = httpdate::fmt_http_date(now);
            *known = second;
        }
        out.extend_from_slice(text.as_bytes());
    });
}

/// A byte as a header may hold it.
///
/// A client context may be JSON over several lines, and no header may hold a line break. Between the
/// tokens of JSON a blank means the same, and inside of a string a control character is no JSON.
fn fit(byte: u8) -> u8 {
    if matches!(byte, 0..0x20 | 0x7f) { b' ' } else { byte }
}

#[cfg(test)]
mod tests;
