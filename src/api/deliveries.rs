//! Deliveries of asynchronous events: which function is meant, how it is configured, how it is called.
//!
//! Everything is looked up when it is needed and never remembered: between acceptance and delivery lie
//! up to six hours, in which the function may be updated, configured anew, or deleted.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use events::policy::{MAX_AGE_S, RETRIES};
use events::{Answer, Attempt, Calling, Destination, Functions, Plan};
use model::alias::Roll;
use model::settings::RecursiveLoop;
use model::{FunctionId, FunctionName, Home, Qualifier, Runnable};
use pool::{Invocation, Refusal};
use store::events::QueuedEvent;
use store::{Function, State, Store};

use crate::invoker::Invoker;
use crate::target::Target;

/// How often a function that is updated while it is called is looked up again; what comes of more is
/// an event that is tried again a second later.
const LOOKS: usize = 4;

/// Calls functions with events that were accepted before.
pub struct Deliveries {
    store: Arc<Store>,
    pool: Arc<dyn Invoker>,
    home: Home,
}

/// What is to be called, now.
enum Callable {
    Now(Arc<Runnable>),
    /// Its sandbox cannot be made yet, or not any more.
    NotNow,
    Gone,
}

// === impl Deliveries ===

impl Deliveries {
    /// With these functions, run by that.
    pub fn new(store: Arc<Store>, pool: Arc<dyn Invoker>, home: Home) -> Self {
        Self { store, pool, home }
    }

    /// The very function that an event was accepted for.
    fn function(&self, function: FunctionId, name: &FunctionName) -> Option<Arc<Function>> {
        let snapshot = self.store.snapshot();
        snapshot.function(name.as_str()).filter(|found| found.id == function).cloned()
    }

    fn callable(&self, event: &QueuedEvent) -> Callable {
        let Some(function) = self.function(event.function, &event.name) else {
            return Callable::Gone;
        };
        match function.serving(event.qualifier.as_ref(), || Roll::of(&event.id)) {
            None => Callable::Gone,
            Some(version) if version.state == State::Active => {
                Callable::Now(Arc::clone(&version.runnable))
            }
            Some(_) => Callable::NotNow,
        }
    }

    /// Who an ARN names; it was looked at when it was configured.
    fn destination(&self, arn: &str) -> Destination {
        let found = Target::parse(arn).and_then(|target| {
            let qualifier = target.qualifier.map(Qualifier::parse).transpose().ok()?;
            let snapshot = self.store.snapshot();
            let function = snapshot.function(target.name)?;
            let there = qualifier.as_ref().is_none_or(|qualifier| function.has(qualifier));
            there.then(|| Destination::Function {
                function: function.id,
                name: function.name.clone(),
                qualifier,
            })
        });
        found.unwrap_or(Destination::Gone)
    }

    /// Whether a function may be called by its own doing as often as it likes.
    fn may_recur(&self, name: &FunctionName) -> bool {
        let snapshot = self.store.snapshot();
        let settings = snapshot.settings().function(name.as_str());
        settings.is_some_and(|settings| settings.recursion == RecursiveLoop::Allow)
    }

    async fn attempt(&self, event: &QueuedEvent, payload: Bytes) -> Attempt {
        let invoked_arn: Arc<str> = match &event.qualifier {
            None => self.home.function_arn(&event.name).into(),
            Some(qualifier) => self.home.qualified_arn(&event.name, qualifier).into(),
        };
        for _ in 0..LOOKS {
            let function = match self.callable(event) {
                Callable::Now(function) => function,
                Callable::NotNow => return Attempt::System,
                Callable::Gone => return Attempt::Gone,
            };
            let invocation = Invocation {
                trace_id: Arc::clone(&event.trace),
                ..Invocation::new(function, event.id, Arc::clone(&invoked_arn), payload.clone())
            };
            match self.pool.invoke(invocation).await {
                Ok(outcome) => {
                    return Attempt::Answered(Answer {
                        payload: outcome.payload,
                        error: outcome.function_error.map(|error| error.as_str()),
                        version: outcome.executed_version,
                    });
                }
                Err(Refusal::Retired) => {}
                Err(Refusal::Throttled(_)) => return Attempt::Throttled,
                Err(refusal) => {
                    tracing::warn!(%refusal, request_id = %event.id, "an event was not delivered");
                    return Attempt::System;
                }
            }
        }
        Attempt::System
    }
}

impl Functions for Deliveries {
    fn exists(&self, function: FunctionId, name: &FunctionName) -> bool {
        self.function(function, name).is_some()
    }

    fn plan(&self, event: &QueuedEvent) -> Option<Plan> {
        let function = self.function(event.function, &event.name)?;
        let qualifier = event.qualifier.clone().unwrap_or(Qualifier::Latest);
        if !function.has(&qualifier) {
            return None;
        }
        let configured = function.event_invokes.get(&qualifier).cloned().unwrap_or_default();
        let max_age_s = configured.max_age_s.unwrap_or(MAX_AGE_S);
        let destination = |arn: &Option<String>| arn.as_ref().map(|arn| self.destination(arn));
        Some(Plan {
            arn: self.home.qualified_arn(&event.name, &qualifier),
            retries: configured.retries.unwrap_or(RETRIES),
            max_age_ms: u64::from(max_age_s) * 1000,
            closed: function.reserved_concurrency == Some(0),
            may_recur: self.may_recur(&event.name),
            on_success: destination(&configured.destinations.on_success),
            on_failure: destination(&configured.destinations.on_failure),
        })
    }

    fn call(&self, event: &QueuedEvent, payload: Bytes) -> Calling<'_> {
        let event = event.clone();
        Box::pin(async move { self.attempt(&event, payload).await })
    }
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries").field("home", &self.home).finish_non_exhaustive()
    }
}
