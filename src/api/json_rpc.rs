//! AWS's JSON 1.1 protocol, which CloudWatch Logs and EventBridge speak: everything is `POST /`, the
//! operation stands in `X-Amz-Target`.

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use httpd::AwsError;
use serde::{Deserialize, Serialize};

use crate::errors;
use crate::respond::Answer;

const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// What is asked for: a service, a dot, and an operation.
pub(crate) fn target(headers: &HeaderMap) -> Option<&str> {
    headers.get(TARGET).and_then(|value| value.to_str().ok())
}

/// Reads a request.
///
/// # Errors
/// If it is not JSON of that shape.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, AwsError> {
    let text: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(text).map_err(|err| {
        AwsError::new(StatusCode::BAD_REQUEST, "SerializationException", err.to_string())
    })
}

/// Writes a response.
///
/// # Errors
/// If it cannot be written as JSON, which is our fault.
pub(crate) fn json(shape: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(shape).map_err(|err| {
        tracing::error!(%err, "a response could not be written as JSON");
        errors::internal()
    })?;
    Ok(of_bytes(Body::from(body)))
}

/// A response without a body, which is how operations without an output answer.
pub(crate) fn empty() -> Answer {
    Ok(of_bytes(Body::empty()))
}

fn of_bytes(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/x-amz-json-1.1");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
