//! How a function comes into being, changes, and is published. Pure: values in, values out.
//!
//! ```text
//!   create ──► Pending ──settle(Ready)──► Active ──update──► Active, InProgress
//!                 │                         ▲ ▲                │        │
//!            settle(Broken)                 │ └─settle(Ready)──┘        │
//!                 ▼                         │   (Successful)            │
//!               Failed ──update──► Pending  └──────settle(Broken)───────┘
//!                                               (Failed; what was before is back)
//! ```
//!
//! While an update is in progress the version shows what was asked for and serves what was there
//! before ([`FunctionVersion::previous`]). Every arrow draws a new revision id. A process that dies
//! before it settles leaves the state where it was; whoever starts next settles it.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::configuration::Description;
use model::{
    Configuration, Digest, FunctionId, FunctionName, Generation, Qualifier, RevisionId, Version,
};

use crate::access::PolicyScope;
use crate::event_invoke;
use crate::function::{
    Code, ConfigurationChange, Failure, Function, FunctionVersion, LastUpdate, State, runnable,
};
use crate::refusal::Refusal;
use crate::snapshots::Optimization;

/// A function to create.
#[derive(Debug, Clone)]
pub struct NewFunction {
    /// What it is called.
    pub name: FunctionName,
    /// Its package, which is already kept.
    pub code: Code,
    /// Its configuration.
    pub configuration: Configuration,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Whether version 1 is published with it.
    pub publish: bool,
    /// Now, milliseconds since the epoch.
    pub at_ms: u64,
}

/// A change of code, configuration, or both.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// The revision the caller has seen, if they say.
    pub revision: Option<String>,
    /// Another package, which is already kept.
    pub code: Option<Code>,
    /// What to change of the configuration.
    pub configuration: ConfigurationChange,
    /// Whether the result is published at once.
    pub publish: bool,
    /// Now, milliseconds since the epoch.
    pub at_ms: u64,
}

/// A version to publish from `$LATEST`.
#[derive(Debug, Clone, Default)]
pub struct Publication {
    /// The revision the caller has seen, if they say.
    pub revision: Option<String>,
    /// The code the caller means, if they say: `Some(None)` is something that is no digest.
    pub code: Option<Option<Digest>>,
    /// Another description than that of `$LATEST`.
    pub description: Option<Description>,
    /// Now, milliseconds since the epoch.
    pub at_ms: u64,
}

/// How making ready went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// It can be invoked.
    Ready,
    /// It cannot.
    Broken(Failure),
}

// === impl Function ===

impl Function {
    /// A new function, pending.
    pub(crate) fn create(
        id: FunctionId,
        new: NewFunction,
        mut next_generation: impl FnMut() -> Generation,
    ) -> Self {
        let latest = Draft {
            id,
            name: &new.name,
            version: Version::Latest,
            generation: next_generation(),
            code: new.code,
            configuration: new.configuration,
            reserved: None,
            at_ms: new.at_ms,
        }
        .pending();
        let function = Self {
            id,
            name: new.name,
            created_ms: new.at_ms,
            last_version: 0,
            reserved_concurrency: None,
            latest: Arc::new(latest),
            versions: Arc::default(),
            aliases: Arc::default(),
            tags: Arc::new(new.tags),
            policies: Arc::default(),
            urls: Arc::default(),
            provisioned: Arc::default(),
            event_invokes: Arc::default(),
        };
        if new.publish {
            return function.with_new_version(None, new.at_ms, next_generation()).0;
        }
        function
    }

    /// The same function with an update under way.
    pub(crate) fn begin_update(
        &self,
        update: &Update,
        mut next_generation: impl FnMut() -> Generation,
    ) -> Result<Self, Refusal> {
        self.check_revision(update.revision.as_deref())?;
        self.check_settled()?;
        let before = &self.latest;
        let draft = Draft {
            id: self.id,
            name: &self.name,
            version: Version::Latest,
            generation: next_generation(),
            code: update.code.unwrap_or(before.code),
            configuration: update.configuration.apply(&before.configuration),
            reserved: self.reserved_concurrency,
            at_ms: update.at_ms,
        };
        let latest = match before.state {
            State::Active => draft.in_progress(before),
            // There is nothing to serve meanwhile, and nothing to come back to.
            State::Pending | State::Failed(_) => draft.pending(),
        };
        let function = Self { latest: Arc::new(latest), ..self.clone() };
        if update.publish && function.unchanged_version().is_none() {
            return Ok(function.with_new_version(None, update.at_ms, next_generation()).0);
        }
        Ok(function)
    }

    /// The same function with everything settled that waits for `generation` of `$LATEST`; `None`
    /// if nothing does.
    pub(crate) fn settle(&self, generation: Generation, how: &Settlement) -> Option<Self> {
        if self.latest.generation != generation || !self.is_unsettled() {
            return None;
        }
        let latest = self.latest.settled(how, self);
        let mut versions = Arc::clone(&self.versions);
        // One that is to be initialised first waits for that: see `snapshots`.
        let waits = |version: &FunctionVersion| {
            version.state == State::Pending
                && (*how != Settlement::Ready || !version.takes_snapshot())
        };
        if versions.values().any(|version| waits(version)) {
            for version in Arc::make_mut(&mut versions).values_mut() {
                if waits(version) {
                    *version = Arc::new(version.settled(how, self));
                }
            }
        }
        Some(Self { latest: Arc::new(latest), versions, ..self.clone() })
    }

    /// Whether `$LATEST` waits for being settled.
    pub fn is_unsettled(&self) -> bool {
        self.latest.state == State::Pending
            || self.latest.last_update == Some(LastUpdate::InProgress)
    }

    /// The same function with `$LATEST` published, and the version; the one there is if nothing has
    /// changed since.
    pub(crate) fn publish(
        &self,
        publication: &Publication,
        next_generation: impl FnOnce() -> Generation,
    ) -> Result<(Self, Arc<FunctionVersion>), Refusal> {
        self.check_revision(publication.revision.as_deref())?;
        self.check_settled()?;
        if self.latest.state != State::Active {
            return Err(Refusal::NotActive { state: self.latest.state.name() });
        }
        let current = self.latest.code.digest;
        if publication.code.is_some_and(|meant| meant != Some(current)) {
            return Err(Refusal::OtherCode { current });
        }
        let description = publication.description.as_ref();
        if let Some(same) = self.unchanged_version() {
            return Ok((self.clone(), Arc::clone(same)));
        }
        let generation = next_generation();
        Ok(self.with_new_version(description.cloned(), publication.at_ms, generation))
    }

    /// The same function without a version, which no alias may point to.
    pub(crate) fn without_version(&self, number: u64) -> Result<Self, Refusal> {
        let aliases: Vec<_> = self.aliases_of(Version::Number(number)).cloned().collect();
        if !aliases.is_empty() {
            return Err(Refusal::VersionAliased { aliases });
        }
        let mut versions = (*self.versions).clone();
        versions.remove(&number);
        let scope = PolicyScope::Version(number);
        let mut policies = Arc::clone(&self.policies);
        if policies.contains_key(&scope) {
            Arc::make_mut(&mut policies).remove(&scope);
        }
        let mut provisioned = Arc::clone(&self.provisioned);
        let qualifier = Qualifier::Version(number);
        if provisioned.contains_key(&qualifier) {
            Arc::make_mut(&mut provisioned).remove(&qualifier);
        }
        let event_invokes = event_invoke::without(&self.event_invokes, &qualifier);
        let versions = Arc::new(versions);
        Ok(Self { versions, policies, provisioned, event_invokes, ..self.clone() })
    }

    /// The last published version, if publishing again would only repeat it.
    fn unchanged_version(&self) -> Option<&Arc<FunctionVersion>> {
        let (_, last) = self.versions.last_key_value()?;
        let same = last.does_the_same_as(&self.latest)
            && last.published_from.as_ref() == Some(&self.latest.configuration.description);
        same.then_some(last)
    }

    /// The same function with one version more; pending if `$LATEST` is not settled.
    fn with_new_version(
        &self,
        description: Option<Description>,
        at_ms: u64,
        generation: Generation,
    ) -> (Self, Arc<FunctionVersion>) {
        let number = self.last_version + 1;
        let source = &self.latest.configuration;
        let draft = Draft {
            id: self.id,
            name: &self.name,
            version: Version::Number(number),
            generation,
            code: self.latest.code,
            configuration: Configuration {
                description: description.unwrap_or_else(|| source.description.clone()),
                ..source.clone()
            },
            reserved: self.reserved_concurrency,
            at_ms,
        };
        let pending =
            FunctionVersion { published_from: Some(source.description.clone()), ..draft.pending() };
        let published = Arc::new(match self.is_unsettled() || pending.takes_snapshot() {
            true => pending,
            false => pending.settled(&Settlement::Ready, self),
        });
        let mut versions = (*self.versions).clone();
        versions.insert(number, Arc::clone(&published));
        // Publishing changes the revision of `$LATEST` too, as on AWS.
        let latest = FunctionVersion { revision: RevisionId::random(), ..(*self.latest).clone() };
        let function = Self {
            last_version: number,
            latest: Arc::new(latest),
            versions: Arc::new(versions),
            ..self.clone()
        };
        (function, published)
    }

    /// Whether the caller has seen the revision there is.
    fn check_revision(&self, seen: Option<&str>) -> Result<(), Refusal> {
        match seen {
            Some(seen) if seen != self.latest.revision.as_str() => Err(Refusal::FunctionRevision),
            _ => Ok(()),
        }
    }

    /// Whether nothing is under way.
    fn check_settled(&self) -> Result<(), Refusal> {
        if self.latest.state == State::Pending {
            return Err(Refusal::NotActive { state: self.latest.state.name() });
        }
        if self.latest.last_update == Some(LastUpdate::InProgress) {
            return Err(Refusal::UpdateInProgress);
        }
        Ok(())
    }
}

// === impl FunctionVersion ===

impl FunctionVersion {
    /// The same version after making ready went as it did.
    pub(crate) fn settled(&self, how: &Settlement, function: &Function) -> Self {
        let revision = RevisionId::random();
        match (how, &self.previous) {
            (Settlement::Ready, _) => Self {
                revision,
                state: State::Active,
                last_update: Some(LastUpdate::Successful),
                previous: None,
                runnable: runnable(
                    function.id,
                    &function.name,
                    self.version,
                    self.generation,
                    self.code,
                    &self.configuration,
                    function.reserved_concurrency,
                ),
                ..self.clone()
            },
            // What is served stays, with the reservation it may have got meanwhile.
            (Settlement::Broken(failure), Some(previous)) => Self {
                revision,
                last_update: Some(LastUpdate::Failed(failure.clone())),
                runnable: Arc::clone(&self.runnable),
                ..(**previous).clone()
            },
            (Settlement::Broken(failure), None) => {
                Self { revision, state: State::Failed(failure.clone()), ..self.clone() }
            }
        }
    }
}

/// A version that is not ready yet.
struct Draft<'a> {
    id: FunctionId,
    name: &'a FunctionName,
    version: Version,
    generation: Generation,
    code: Code,
    configuration: Configuration,
    reserved: Option<u32>,
    at_ms: u64,
}

// === impl Draft ===

impl Draft<'_> {
    /// For the first time.
    fn pending(self) -> FunctionVersion {
        let runnable = runnable(
            self.id,
            self.name,
            self.version,
            self.generation,
            self.code,
            &self.configuration,
            self.reserved,
        );
        FunctionVersion {
            version: self.version,
            generation: self.generation,
            revision: RevisionId::random(),
            modified_ms: self.at_ms,
            code: self.code,
            configuration: self.configuration,
            state: State::Pending,
            last_update: None,
            published_from: None,
            optimization: Optimization::default(),
            previous: None,
            runnable,
        }
    }

    /// While `before` goes on being served.
    fn in_progress(self, before: &Arc<FunctionVersion>) -> FunctionVersion {
        FunctionVersion {
            state: State::Active,
            last_update: Some(LastUpdate::InProgress),
            previous: Some(Arc::clone(before)),
            runnable: Arc::clone(&before.runnable),
            ..self.pending()
        }
    }
}

#[cfg(test)]
mod tests;
