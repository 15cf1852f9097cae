//! What the gateway asks of whoever runs functions: the pool, or in tests something that notes down
//! what it is asked.
//!
//! Dropping the future means that the client has gone; the pool then finishes what was begun and
//! drops the result.

use std::sync::Arc;

use pool::{Invocation, Outcome, Pool, Refusal};

/// Whoever runs functions.
pub trait Engine: Send + Sync + 'static {
    /// Runs one invocation to its end.
    ///
    /// # Errors
    /// If the function did not run.
    fn invoke(
        &self,
        invocation: Invocation,
    ) -> impl Future<Output = Result<Outcome, Refusal>> + Send;
}

// === impl Engine ===

impl Engine for Arc<Pool> {
    async fn invoke(&self, invocation: Invocation) -> Result<Outcome, Refusal> {
        Pool::invoke(self, invocation).await
    }
}
