//! What the gateway asks of whoever runs functions.
//!
//! A trait of one method, so that the door can be tested without a sandbox. Dropping the future means
//! that the client has gone; what becomes of the invocation then is the engine's business.

use std::sync::Arc;

use bytes::Bytes;
use model::{RequestId, Runnable};

/// One invocation.
#[derive(Debug, Clone)]
pub struct Call {
    /// What to run.
    pub runnable: Arc<Runnable>,
    /// Its id.
    pub request_id: RequestId,
    /// The ARN as the URL means it: with the alias's name if the URL is an alias's.
    pub invoked_arn: String,
    /// The trace it belongs to.
    pub trace_id: String,
    /// The event.
    pub event: Bytes,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The handler returned this.
    Returned(Bytes),
    /// The function failed, in whatever way; its owner reads about it in the log.
    Failed,
    /// There is no room for it.
    Throttled,
    /// It was changed in between: resolve it again.
    Retired,
    /// Nothing new is served any more.
    Stopping,
}

/// Whoever runs functions.
pub trait Engine: Send + Sync + 'static {
    /// Runs one invocation to its end.
    fn invoke(&self, call: Call) -> impl Future<Output = Outcome> + Send;
}
