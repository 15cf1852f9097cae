//! How an invocation ended, and what that is called in payloads, log lines and metrics.

use bytes::Bytes;
use model::RequestId;
use telemetry::metrics::ErrorClass;
use telemetry::{METRICS, platform};

use crate::fault::{self, Fault};
use crate::invocation::Refusal;

/// How an invocation ended, before it is put into an outcome.
#[derive(Debug)]
pub(super) enum Ending {
    Response(Bytes),
    /// The runtime's own error document.
    Failed(Bytes),
    /// The runtime's own error document, from its initialisation.
    InitFailed(Bytes),
    Oversize,
    Fault(Fault),
}

// === impl Ending ===

impl Ending {
    pub(super) fn payload(self, id: RequestId) -> (Bytes, bool) {
        match self {
            Self::Response(body) => (body, false),
            Self::Failed(body) | Self::InitFailed(body) => (body, true),
            Self::Oversize => (fault::oversize(), true),
            Self::Fault(fault) => (fault.document(id.as_str()), true),
        }
    }

    pub(super) fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::Response(_) => None,
            Self::Failed(_) => Some(ErrorClass::Function),
            Self::InitFailed(_) => Some(ErrorClass::Init),
            Self::Oversize => Some(ErrorClass::Oversize),
            Self::Fault(fault) => Some(fault.class()),
        }
    }

    pub(super) fn status(&self) -> Option<String> {
        match self {
            Self::Fault(fault) => Some(fault.status()),
            Self::InitFailed(document) => Some(fault::init_status(document)),
            Self::Response(_) | Self::Failed(_) | Self::Oversize => None,
        }
    }
}

/// The lines that say what went wrong, before END.
pub(super) fn explanation(fault: &Fault, id: RequestId, now_ms: u64) -> String {
    match fault {
        Fault::Timeout(limit) => platform::timed_out(now_ms, id.as_str(), *limit),
        other => format!("RequestId: {id} Error: {}\n{}\n", other.text(), other.error_type()),
    }
}

/// What is refused at the door.
pub(super) fn refusal(refusal: dispatch::Refusal) -> Refusal {
    use dispatch::Throttle as By;
    use telemetry::metrics::Throttle;
    match refusal {
        dispatch::Refusal::Throttled(by) => {
            METRICS
                .throttles
                .of(match by {
                    By::Function => Throttle::Function,
                    By::Rate => Throttle::Rate,
                    By::Account => Throttle::Account,
                    By::Memory | By::Capacity => Throttle::Memory,
                })
                .inc();
            Refusal::Throttled(by)
        }
        dispatch::Refusal::Retired => Refusal::Retired,
        dispatch::Refusal::Stopping => Refusal::Stopping,
    }
}
