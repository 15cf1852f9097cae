//! How asynchronous events of a function are treated, as configured.
//!
//! There is at most one configuration for each way a function can be invoked: `$LATEST`, which is also
//! what is meant by giving no qualifier, a published version, an alias. What is not configured is AWS's
//! default, which is the business of whoever delivers events.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{FunctionName, Qualifier};

use crate::function::Function;
use crate::refusal::{ChangeError, Refusal};
use crate::store::Store;

/// What is configured for one qualifier.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventInvoke {
    /// `MaximumRetryAttempts`, 0 to 2.
    pub retries: Option<u32>,
    /// `MaximumEventAgeInSeconds`, 60 to 21,600.
    pub max_age_s: Option<u32>,
    /// Who is told.
    pub destinations: Destinations,
    /// When that was configured, milliseconds since the epoch.
    pub modified_ms: u64,
}

/// Who is told how an event ended: ARNs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Destinations {
    /// Of a success.
    pub on_success: Option<String>,
    /// Of a failure.
    pub on_failure: Option<String>,
}

/// A change of what is configured; what is `None` stays as it is, or as it is by default.
#[derive(Debug, Clone)]
pub struct EventInvokeChange {
    /// For which way to invoke the function.
    pub qualifier: Qualifier,
    /// Whether what was configured before is forgotten; if not, there must be something.
    pub anew: bool,
    /// See [`EventInvoke::retries`].
    pub retries: Option<u32>,
    /// See [`EventInvoke::max_age_s`].
    pub max_age_s: Option<u32>,
    /// See [`EventInvoke::destinations`].
    pub destinations: Option<Destinations>,
    /// Now, milliseconds since the epoch.
    pub at_ms: u64,
}

// === impl Function ===

impl Function {
    /// Whether there is what a qualifier names.
    pub fn has(&self, qualifier: &Qualifier) -> bool {
        self.version(Some(qualifier)).is_some()
    }

    /// The same function with something configured, and that.
    pub(crate) fn with_event_invoke(
        &self,
        change: EventInvokeChange,
    ) -> Result<(Self, EventInvoke), Refusal> {
        if !self.has(&change.qualifier) {
            return Err(Refusal::NoVersion);
        }
        let before = match self.event_invokes.get(&change.qualifier) {
            _ if change.anew => EventInvoke::default(),
            Some(before) => before.clone(),
            None => return Err(Refusal::NoEventInvoke),
        };
        let now = EventInvoke {
            retries: change.retries.or(before.retries),
            max_age_s: change.max_age_s.or(before.max_age_s),
            destinations: change.destinations.unwrap_or(before.destinations),
            modified_ms: change.at_ms,
        };
        let mut all = (*self.event_invokes).clone();
        all.insert(change.qualifier, now.clone());
        Ok((Self { event_invokes: Arc::new(all), ..self.clone() }, now))
    }

    /// The same function with nothing configured for a qualifier.
    pub(crate) fn without_event_invoke(&self, qualifier: &Qualifier) -> Result<Self, Refusal> {
        let event_invokes = without(&self.event_invokes, qualifier);
        match Arc::ptr_eq(&event_invokes, &self.event_invokes) {
            true => Err(Refusal::NoEventInvoke),
            false => Ok(Self { event_invokes, ..self.clone() }),
        }
    }
}

/// Configurations without that of a qualifier; the same ones if there was none.
pub(crate) fn without(
    all: &Arc<BTreeMap<Qualifier, EventInvoke>>,
    qualifier: &Qualifier,
) -> Arc<BTreeMap<Qualifier, EventInvoke>> {
    let mut left = Arc::clone(all);
    if left.contains_key(qualifier) {
        Arc::make_mut(&mut left).remove(qualifier);
    }
    left
}

// === impl Store ===

impl Store {
    /// Configures how events are treated.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`], [`Refusal::NoVersion`], [`Refusal::NoEventInvoke`].
    pub async fn configure_events(
        &self,
        name: &FunctionName,
        change: EventInvokeChange,
    ) -> Result<EventInvoke, ChangeError> {
        self.change_function(name, move |function| {
            function.with_event_invoke(change).map(|(function, now)| (Some(function), now))
        })
        .await
    }

    /// Configures nothing any more for a qualifier.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`], [`Refusal::NoEventInvoke`].
    pub async fn unconfigure_events(
        &self,
        name: &FunctionName,
        qualifier: Qualifier,
    ) -> Result<(), ChangeError> {
        self.change_function(name, move |function| {
            function.without_event_invoke(&qualifier).map(|function| (Some(function), ()))
        })
        .await
    }
}

#[cfg(test)]
mod tests;
