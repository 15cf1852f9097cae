//! What goes into the pool and what comes out.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use dispatch::Throttle;
use model::{RequestId, Runnable, Version};

use crate::phases::ColdStart;

/// One call of a function.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// What to run.
    pub function: Arc<Runnable>,
    /// The id the caller sees and the function gets.
    pub request_id: RequestId,
    /// The event, JSON, at most [`wire::link::MAX_EVENT`] bytes.
    pub payload: Bytes,
    /// The ARN as invoked: qualified if and only if the caller qualified it.
    pub invoked_arn: Arc<str>,
    /// X-Ray trace header; empty if there is none.
    pub trace_id: Arc<str>,
    /// Client context as JSON (not base64); empty if there is none.
    pub client_context: Arc<str>,
    /// Whether the caller wants the end of the log (`X-Amz-Log-Type: Tail`).
    pub log_tail: bool,
}

/// A text that is not there; one for all, because every one is an allocation.
pub(crate) static NOTHING: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));

/// What a call came to. A function that failed has answered, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The handler's result, or an error document.
    pub payload: Bytes,
    /// Whether it is an error document (`X-Amz-Function-Error`).
    pub function_error: Option<FunctionError>,
    /// The last 4 KiB of the log with its START, END and REPORT lines, if they were wanted.
    pub log_tail: Option<Vec<u8>>,
    /// Which version ran (`X-Amz-Executed-Version`).
    pub executed_version: Version,
    /// Where the time went.
    pub durations: Durations,
}

/// The one kind of function error AWS still knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionError {
    /// The function failed, whether by its own word or not.
    Unhandled,
}

/// Where the time of a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Durations {
    /// From the call until an instance got the event.
    pub queue: Duration,
    /// How long that instance took to initialise, if this was its first event.
    pub init: Option<Duration>,
    /// From then until the answer.
    pub run: Duration,
    /// How that instance was started, if this was its first event.
    pub cold: Option<ColdStart>,
}

/// Why a call was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No room: 429 `TooManyRequestsException`; [`Throttle::reason`] is the `Reason`.
    #[error("no room: {}", .0.reason())]
    Throttled(Throttle),
    /// The version was updated or deleted while the call was on its way: resolve the function again,
    /// and call what it is now.
    #[error("the function changed meanwhile")]
    Retired,
    /// No sandbox could be made or prepared: 500 `ServiceException`.
    #[error("no sandbox could be started: {detail}")]
    StartFailed {
        /// Which step failed and why; for the operator, not for the caller.
        detail: String,
    },
    /// The pool is shutting down: 500 `ServiceException`.
    #[error("the service is stopping")]
    Stopping,
    /// The spawner is gone, and with it every instance: 500 `ServiceException`.
    #[error("the service lost its sandboxes")]
    Closed,
}

// === impl Invocation ===

impl Invocation {
    /// A plain call: no trace, no client context, no log.
    pub fn new(
        function: Arc<Runnable>,
        request_id: RequestId,
        invoked_arn: Arc<str>,
        payload: Bytes,
    ) -> Self {
        Self {
            function,
            request_id,
            payload,
            invoked_arn,
            trace_id: Arc::clone(&NOTHING),
            client_context: Arc::clone(&NOTHING),
            log_tail: false,
        }
    }
}

// === impl FunctionError ===

impl FunctionError {
    /// As the header says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unhandled => "Unhandled",
        }
    }
}
