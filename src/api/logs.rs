//! CloudWatch Logs, as far as `aws logs tail`, `sam logs` and boto3's paginators use it:
//! DescribeLogGroups, DescribeLogStreams, FilterLogEvents, GetLogEvents.
//!
//! Its protocol is JSON 1.1: everything is `POST /`, the operation in `X-Amz-Target`. Tokens are
//! positions in the log, so that they stay good while the log grows; whoever follows a log passes
//! back what he got.

mod describe;
mod events;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use httpd::AwsError;
use serde::{Deserialize, Serialize};
use telemetry::logs::ReadError;

use crate::errors;
use crate::respond::Answer;
use crate::router::Call;

const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const PREFIX: &str = "Logs_20140328.";

/// Answers whichever operation is asked for.
pub(crate) async fn answer(call: &Call<'_>) -> Answer {
    let target = call.headers.get(TARGET).and_then(|value| value.to_str().ok());
    match target.and_then(|target| target.strip_prefix(PREFIX)) {
        Some("DescribeLogGroups") => describe::groups(call).await,
        Some("DescribeLogStreams") => describe::streams(call).await,
        Some("FilterLogEvents") => events::filter(call).await,
        Some("GetLogEvents") => events::get(call).await,
        _ => Err(AwsError::new(
            StatusCode::BAD_REQUEST,
            "UnknownOperationException",
            "This server has the DescribeLogGroups, DescribeLogStreams, FilterLogEvents and \
             GetLogEvents operations of CloudWatch Logs.",
        )),
    }
}

/// Reads a request.
fn parse<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, AwsError> {
    let text: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(text).map_err(|err| {
        AwsError::new(StatusCode::BAD_REQUEST, "SerializationException", err.to_string())
    })
}

/// Writes a response.
fn json(shape: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(shape).map_err(|err| {
        tracing::error!(%err, "a response could not be written as JSON");
        errors::internal()
    })?;
    let mut response = Response::new(Body::from(body));
    let kind = HeaderValue::from_static("application/x-amz-json-1.1");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

/// Reads logs where waiting for the disk holds nobody up.
async fn read<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, AwsError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|err| {
        tracing::error!(%err, "reading logs did not finish");
        errors::internal()
    })?;
    done.map_err(|err| match err {
        ReadError::NoGroup { .. } => AwsError::new(
            StatusCode::BAD_REQUEST,
            "ResourceNotFoundException",
            "The specified log group does not exist.",
        ),
        err => {
            tracing::error!(%err, "logs could not be read");
            errors::internal()
        }
    })
}

/// The group that is meant, by its name or by an identifier, which may be its ARN.
fn group(name: Option<String>, identifier: Option<String>) -> Result<String, AwsError> {
    if name.is_some() && identifier.is_some() {
        return Err(invalid("Only one of logGroupName and logGroupIdentifier may be given."));
    }
    let Some(text) = name.or(identifier) else {
        return Err(invalid("One of logGroupName and logGroupIdentifier must be given."));
    };
    let named = text.split_once(":log-group:").map_or(text.as_str(), |(_, name)| name);
    Ok(named.strip_suffix(":*").unwrap_or(named).to_owned())
}

/// How many entries of a page are asked for.
fn limit(given: Option<i64>, most: usize) -> Result<usize, AwsError> {
    match given {
        None => Ok(most),
        Some(number) => usize::try_from(number)
            .ok()
            .filter(|number| (1..=most).contains(number))
            .ok_or_else(|| {
                invalid(format!(
                    "1 validation error detected: Value '{number}' at 'limit' failed to satisfy \
                     constraint: Member must have value between 1 and {most}"
                ))
            }),
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> AwsError {
    AwsError::new(StatusCode::BAD_REQUEST, "InvalidParameterException", message)
}
