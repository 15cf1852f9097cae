//! Who runs functions: the one thing the API's own tests replace.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use model::{FunctionId, Generation, Runnable};
use pool::{Invocation, Outcome, Pool, Provision, Refusal};
use telemetry::metrics::FunctionStarts;

/// What comes of a call, once it is there.
pub type Invoking<'a> = Pin<Box<dyn Future<Output = Result<Outcome, Refusal>> + Send + 'a>>;

/// Runs functions.
pub trait Invoker: Send + Sync {
    /// Calls a function and waits for its answer.
    fn invoke(&self, invocation: Invocation) -> Invoking<'_>;

    /// Starts nothing more of a generation, and ends its instances as they become idle.
    fn retire(&self, generation: Generation);

    /// Says how much concurrency is set aside for functions, all together.
    fn set_reserved(&self, total: u32);

    /// What the calls of a function found ready.
    fn starts(&self, function: FunctionId) -> FunctionStarts;

    /// Says how many instances of which versions of a function are to be ready.
    fn provision(&self, function: FunctionId, floors: Vec<(Arc<Runnable>, u32)>);

    /// How far that is for one version, if anything is provisioned for it.
    fn provisioned(&self, generation: Generation) -> Option<Provision>;
}

impl Invoker for Pool {
    fn invoke(&self, invocation: Invocation) -> Invoking<'_> {
        Box::pin(Self::invoke(self, invocation))
    }

    fn retire(&self, generation: Generation) {
        Self::retire(self, generation);
    }

    fn set_reserved(&self, total: u32) {
        Self::set_reserved(self, total);
    }

    fn starts(&self, function: FunctionId) -> FunctionStarts {
        Self::starts(self, function)
    }

    fn provision(&self, function: FunctionId, floors: Vec<(Arc<Runnable>, u32)>) {
        Self::provision(self, function, floors);
    }

    fn provisioned(&self, generation: Generation) -> Option<Provision> {
        Self::provisioned(self, generation)
    }
}
