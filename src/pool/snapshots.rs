//! Snapshots of initialised functions, from which their instances are restored.

use std::time::Duration;

/// Why there is no snapshot of a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It initialises, and could not be restored from what it is then.
    #[error("no snapshot can be taken: {reason}")]
    Unfit {
        /// What stands in the way, for its owner.
        reason: String,
    },
    /// It does not initialise.
    #[error("it does not initialise: {reason}")]
    Failed {
        /// In the runtime's words.
        reason: String,
    },
    /// It had not initialised in time.
    #[error("it did not initialise within {} s", limit.as_secs())]
    TimedOut {
        /// What it had.
        limit: Duration,
    },
    /// There was no room, now.
    #[error("no snapshot could be taken: {detail}")]
    Unavailable {
        /// Which step failed and why; for the operator.
        detail: String,
    },
    /// The spawner is gone, or the pool stops.
    #[error("the service is stopping")]
    Closed,
}
