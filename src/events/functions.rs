//! What this crate asks of whoever knows the functions and can call them.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use model::{FunctionId, FunctionName, Qualifier, Version};
use store::events::QueuedEvent;

/// What comes of a call, once it is there.
pub type Calling<'a> = Pin<Box<dyn Future<Output = Attempt> + Send + 'a>>;

/// Knows the functions and calls them.
pub trait Functions: Send + Sync + 'static {
    /// Whether there is a function of that name, and it is the one that is meant.
    fn exists(&self, function: FunctionId, name: &FunctionName) -> bool;

    /// How an event is to be treated, as it is configured now; `None` if what it was meant for is
    /// gone.
    fn plan(&self, event: &QueuedEvent) -> Option<Plan>;

    /// Calls the function with an event and waits for its answer.
    fn call(&self, event: &QueuedEvent, payload: Bytes) -> Calling<'_>;
}

/// How an event is to be treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// ARN of the function with the qualifier it was invoked by, `$LATEST` if by none.
    pub arn: String,
    /// `MaximumRetryAttempts`: how often the function may fail, but for the first time.
    pub retries: u32,
    /// `MaximumEventAgeInSeconds`, as milliseconds.
    pub max_age_ms: u64,
    /// Whether the function may not run at all (`ReservedConcurrentExecutions` 0).
    pub closed: bool,
    /// Whether it may be called by its own doing as often as it likes (`RecursiveLoop` `Allow`).
    pub may_recur: bool,
    /// `DestinationConfig.OnSuccess`.
    pub on_success: Option<Destination>,
    /// `DestinationConfig.OnFailure`.
    pub on_failure: Option<Destination>,
}

/// Who is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Another function.
    Function {
        /// Which.
        function: FunctionId,
        /// What it is called.
        name: FunctionName,
        /// Which version, if the configuration says.
        qualifier: Option<Qualifier>,
    },
    /// One that is not there any more.
    Gone,
}

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The function has answered, well or not.
    Answered(Answer),
    /// There was no room for it.
    Throttled,
    /// It could not be called, which is not its fault.
    System,
    /// What the event was meant for is gone.
    Gone,
}

/// What a function has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its result, or an error document.
    pub payload: Bytes,
    /// `Unhandled` and the like, if it is an error document.
    pub error: Option<&'static str>,
    /// Which version ran.
    pub version: Version,
}
