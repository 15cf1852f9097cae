//! CloudWatch Logs, as far as `aws logs tail`, `sam logs` and boto3's paginators use it:
//! DescribeLogGroups, DescribeLogStreams, FilterLogEvents, GetLogEvents.
//!
//! Its protocol is JSON 1.1: everything is `POST /`, the operation in `X-Amz-Target`. Tokens are
//! positions in the log, so that they stay good while the log grows; whoever follows a log passes
//! back what he got.

mod describe;
mod events;

use http::StatusCode;
use httpd::AwsError;
use telemetry::logs::ReadError;

use crate::errors;
use crate::json_rpc::{json, parse, target};
use crate::respond::Answer;
use crate::router::Call;

const PREFIX: &str = "Logs_20140328.";

/// Answers whichever operation is asked for.
pub(crate) async fn answer(call: &Call<'_>) -> Answer {
    match target(call.headers).and_then(|target| target.strip_prefix(PREFIX)) {
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
