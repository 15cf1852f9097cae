//! Answers that are not errors.

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use httpd::AwsError;
use serde::Serialize;

use crate::errors;

/// What an operation answers.
pub(crate) type Answer = Result<Response<Body>, AwsError>;

/// A body of JSON.
pub(crate) fn json(status: StatusCode, shape: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(shape).map_err(|err| {
        tracing::error!(%err, "a response could not be written as JSON");
        errors::internal()
    })?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// No body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    Ok(response)
}
