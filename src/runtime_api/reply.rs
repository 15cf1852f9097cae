//! What a runtime is answered: statuses and bodies in the form of AWS's own implementation.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use pool::session::{Event, StateError};

use crate::body::MAX_RESPONSE;

/// A response of this crate.
pub(crate) type Reply = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

const REQUEST_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-request-id");
const DEADLINE: HeaderName = HeaderName::from_static("lambda-runtime-deadline-ms");
const INVOKED_ARN: HeaderName = HeaderName::from_static("lambda-runtime-invoked-function-arn");
const TRACE_ID: HeaderName = HeaderName::from_static("lambda-runtime-trace-id");
const CLIENT_CONTEXT: HeaderName = HeaderName::from_static("lambda-runtime-client-context");
const IDENTITY: HeaderName = HeaderName::from_static("lambda-runtime-cognito-identity");

/// What the runtime echoes with its answer, so that one to an earlier attempt is noticed.
pub(crate) const INVOCATION_ID: HeaderName =
    HeaderName::from_static("lambda-runtime-invocation-id");

/// 200: an event.
pub(crate) fn event(event: Event) -> Reply {
    let mut reply = Response::new(Full::new(event.payload));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    let deadline = event.deadline_ms.to_string();
    for (name, text) in [
        (REQUEST_ID, event.request_id.as_str()),
        (INVOCATION_ID, event.invocation_id.as_str()),
        (DEADLINE, &deadline),
        (INVOKED_ARN, &event.invoked_arn),
        (TRACE_ID, &event.trace_id),
        (CLIENT_CONTEXT, &event.client_context),
        (IDENTITY, &event.cognito_identity),
    ] {
        if let Some(value) = header(text) {
            headers.insert(name, value);
        }
    }
    reply
}

/// 202: an answer or an error was taken.
pub(crate) fn accepted() -> Reply {
    json(StatusCode::ACCEPTED, Bytes::from_static(br#"{"status":"OK"}"#))
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

/// The value of a header that is sent; `None` for an empty one.
///
/// A client context may be JSON over several lines, and no header may hold a line break. Between the
/// tokens of JSON a blank means the same, and inside of a string a control character is no JSON.
fn header(text: &str) -> Option<HeaderValue> {
    if text.is_empty() {
        return None;
    }
    if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
        return Some(value);
    }
    let fit = |byte| if matches!(byte, 0..0x20 | 0x7f) { b' ' } else { byte };
    let bytes: Vec<u8> = text.bytes().map(fit).collect();
    HeaderValue::from_bytes(&bytes).ok()
}

#[cfg(test)]
mod tests;
