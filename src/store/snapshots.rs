//! Versions that are initialised once, when they are published, and restored from then on.
//!
//! ```text
//!   published ──► Pending, Off ──► Active, On              it was initialised, and can be restored
//!                      │     └──► Active, Off + why        it initialises as any other does
//!                      └────────► Failed                   it cannot be initialised
//! ```
//!
//! What the snapshot is, and where, is the pool's business and ends with its process; what is kept here
//! is whether there is to be one.

use std::sync::Arc;

use model::configuration::SnapStart;
use model::{Generation, RevisionId, Version};

use crate::function::{Failure, Function, FunctionVersion, State};
use crate::lifecycle::Settlement;

/// Whether instances of a version are restored from a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Optimization {
    /// They are.
    On,
    /// Each initialises.
    Off {
        /// Why, if a snapshot was wanted and could not be.
        reason: Option<String>,
    },
}

/// How preparing a version went that was to be initialised when it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preparation {
    /// It can be invoked.
    Ready(Optimization),
    /// It cannot.
    Broken(Failure),
}

// === impl Optimization ===

impl Optimization {
    /// AWS's word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::On => "On",
            Self::Off { .. } => "Off",
        }
    }
}

impl Default for Optimization {
    fn default() -> Self {
        Self::Off { reason: None }
    }
}

// === impl FunctionVersion ===

impl FunctionVersion {
    /// Whether it is to be initialised before it is ready.
    pub fn takes_snapshot(&self) -> bool {
        self.version != Version::Latest
            && self.configuration.snap_start == SnapStart::PublishedVersions
    }
}

// === impl Function ===

impl Function {
    /// Versions that wait for being initialised, now that there is nothing else to wait for.
    pub fn to_be_prepared(&self) -> impl Iterator<Item = &Arc<FunctionVersion>> {
        let ready = !self.is_unsettled();
        self.versions
            .values()
            .filter(move |it| ready && it.state == State::Pending && it.takes_snapshot())
    }

    /// The same function with a version prepared; `None` if it does not wait for that, or is gone.
    pub(crate) fn prepared(&self, generation: Generation, how: &Preparation) -> Option<Self> {
        let waits = |it: &&Arc<FunctionVersion>| {
            it.generation == generation && it.state == State::Pending && it.takes_snapshot()
        };
        let version = self.versions.values().find(waits)?;
        let after = match how {
            Preparation::Ready(optimization) => FunctionVersion {
                optimization: optimization.clone(),
                ..version.settled(&Settlement::Ready, self)
            },
            Preparation::Broken(failure) => FunctionVersion {
                revision: RevisionId::random(),
                state: State::Failed(failure.clone()),
                ..(**version).clone()
            },
        };
        let Version::Number(number) = after.version else { return None };
        let mut versions = (*self.versions).clone();
        versions.insert(number, Arc::new(after));
        Some(Self { versions: Arc::new(versions), ..self.clone() })
    }
}

#[cfg(test)]
mod tests;
