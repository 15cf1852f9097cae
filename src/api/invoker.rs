//! Who runs functions: the one thing the API's own tests replace.

use std::future::Future;
use std::pin::Pin;

use model::Generation;
use pool::{Invocation, Outcome, Refusal};

/// What comes of a call, once it is there.
pub type Invoking<'a> = Pin<Box<dyn Future<Output = Result<Outcome, Refusal>> + Send + 'a>>;

/// Runs functions.
pub trait Invoker: Send + Sync {
    /// Calls a function and waits for its answer.
    fn invoke(&self, invocation: Invocation) -> Invoking<'_>;

    /// Starts nothing more of a generation, and ends its instances as they become idle.
    fn retire(&self, generation: Generation);

    /// Says how much concurrency all functions together have reserved.
    fn set_reserved(&self, total: u32);
}
