//! Who runs functions: the one thing the API's own tests replace.

use std::fs::File;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use model::{Digest, FunctionId, Generation, Runnable};
use pool::{CompileError, Invocation, NotTaken, Outcome, Pool, Provision, Refusal};
use telemetry::metrics::FunctionStarts;

/// What comes of a call, once it is there.
pub type Invoking<'a> = Pin<Box<dyn Future<Output = Result<Outcome, Refusal>> + Send + 'a>>;

/// Whether there is a snapshot, once that is known.
pub type TakingSnapshot<'a> = Pin<Box<dyn Future<Output = Result<(), NotTaken>> + Send + 'a>>;

/// How many bytes were compiled, once they are there.
pub type Compiling<'a> = Pin<Box<dyn Future<Output = Result<u64, CompileError>> + Send + 'a>>;

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

    /// Initialises a published version, and keeps what it is then for its instances to be restored
    /// from.
    fn take_snapshot(&self, function: Arc<Runnable>) -> TakingSnapshot<'_>;

    /// Says that there is to be a snapshot of a version as soon as somebody calls it.
    fn expect_snapshot(&self, generation: Generation);

    /// Compiles code for instances of a runtime, into a file.
    fn compile<'a>(&'a self, runtime: &'a str, code: Digest, into: File) -> Compiling<'a>;
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

    fn take_snapshot(&self, function: Arc<Runnable>) -> TakingSnapshot<'_> {
        Box::pin(Self::take_snapshot(self, function))
    }

    fn expect_snapshot(&self, generation: Generation) {
        Self::expect_snapshot(self, generation);
    }

    fn compile<'a>(&'a self, runtime: &'a str, code: Digest, into: File) -> Compiling<'a> {
        Box::pin(Self::compile(self, runtime, code, into))
    }
}
