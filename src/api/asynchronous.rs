//! Invoke with InvocationType Event, and InvokeAsync: accepted, delivered later.
//!
//! What is refused is refused as a call would be: a function that is not there or not ready, an event
//! that is not JSON. Whether there is room for it now does not matter.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderValue;
use httpd::AwsError;
use model::{Qualifier, Runnable};

use crate::respond::{Answer, empty};
use crate::router::Call;
use crate::{errors, trace};

/// Largest event, bytes (an AWS limit).
pub(crate) const MAX: usize = 1024 * 1024;

/// Whether an event is small enough.
///
/// # Errors
/// In AWS's words, if not.
pub(crate) fn check_length(body: &Bytes) -> Result<(), AwsError> {
    match body.len() {
        0..=MAX => Ok(()),
        bytes => Err(errors::too_large(format!(
            "{bytes} byte payload is too large for the Event invocation type (limit {MAX} bytes)"
        ))),
    }
}

/// Keeps an event for a function, which is there.
pub(crate) async fn accept(
    call: &Call<'_>,
    function: &Runnable,
    qualifier: Option<Qualifier>,
    payload: Bytes,
    trace: Arc<str>,
) -> Answer {
    let event = events::Call {
        id: call.request_id,
        function: function.function,
        name: function.name.clone(),
        qualifier,
        trace: Arc::clone(&trace),
        payload,
    };
    call.api.events.accept(event).await.map_err(|err| {
        tracing::error!(%err, request_id = %call.request_id, "an event was not accepted");
        AwsError::service("The event could not be kept; the server's log says more.")
    })?;
    let mut response = empty(StatusCode::ACCEPTED)?;
    if let Ok(value) = HeaderValue::from_str(&trace) {
        response.headers_mut().insert(trace::HEADER, value);
    }
    Ok(response)
}
