//! One function with everything that belongs to it, as one immutable value.
//!
//! A change makes a new [`Function`] that shares what did not change: the parts are behind `Arc`s,
//! and what is saved is whatever is not the same allocation as before. Nothing here knows a
//! database; nothing here waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::alias::Alias;
use model::configuration::{
    Description, EphemeralStorage, Handler, LogGroup, MemorySize, RoleArn, RuntimeId, SnapStart,
    Timeout,
};
use model::name::AliasName;
use model::url::UrlConfig;
use model::{
    AttachedLayers, Configuration, Digest, Environment, FunctionId, FunctionName, Generation,
    Qualifier, RevisionId, Runnable, Version,
};

use crate::access::{Policy, PolicyScope};
use crate::event_invoke::EventInvoke;
use crate::provisioned::Provisioned;
use crate::snapshots::Optimization;

/// A function: `$LATEST`, what was published from it, and what is attached to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// Unique for all time; the name is not.
    pub id: FunctionId,
    /// What it is called.
    pub name: FunctionName,
    /// When it was created, milliseconds since the epoch.
    pub created_ms: u64,
    /// The highest version number ever published; numbers are not reused.
    pub last_version: u64,
    /// ReservedConcurrentExecutions, if set.
    pub reserved_concurrency: Option<u32>,
    /// `$LATEST`.
    pub latest: Arc<FunctionVersion>,
    /// Published versions by number.
    pub versions: Arc<BTreeMap<u64, Arc<FunctionVersion>>>,
    /// Aliases by name.
    pub aliases: Arc<BTreeMap<AliasName, Arc<Alias>>>,
    /// Tags, at most 50.
    pub tags: Arc<BTreeMap<String, String>>,
    /// Resource policies, one per qualifier that has any.
    pub policies: Arc<BTreeMap<PolicyScope, Policy>>,
    /// Function URLs, at most one per alias and one for `$LATEST`.
    pub urls: Arc<Vec<Arc<UrlConfig>>>,
    /// Provisioned concurrency, by published version or alias.
    pub provisioned: Arc<BTreeMap<Qualifier, Provisioned>>,
    /// How asynchronous events are treated, by the qualifier they name; `$LATEST` for none.
    pub event_invokes: Arc<BTreeMap<Qualifier, EventInvoke>>,
}

/// What a function has that has no versions, aliases, tags, policies, URLs or anything provisioned: the
/// same for all of them, or each would pay for six empty allocations.
#[derive(Debug, Default)]
pub(crate) struct Nothing {
    pub(crate) versions: Arc<BTreeMap<u64, Arc<FunctionVersion>>>,
    pub(crate) aliases: Arc<BTreeMap<AliasName, Arc<Alias>>>,
    pub(crate) tags: Arc<BTreeMap<String, String>>,
    pub(crate) policies: Arc<BTreeMap<PolicyScope, Policy>>,
    pub(crate) urls: Arc<Vec<Arc<UrlConfig>>>,
    pub(crate) provisioned: Arc<BTreeMap<Qualifier, Provisioned>>,
    pub(crate) event_invokes: Arc<BTreeMap<Qualifier, EventInvoke>>,
}

/// One version: its code, its configuration, and how far along it is.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionVersion {
    /// `$LATEST` or a number.
    pub version: Version,
    /// Of this code and configuration; what is served may be the one before.
    pub generation: Generation,
    /// Changes with every transition.
    pub revision: RevisionId,
    /// When code or configuration last changed, milliseconds since the epoch.
    pub modified_ms: u64,
    /// The deployment package.
    pub code: Code,
    /// Everything else.
    pub configuration: Configuration,
    /// Whether it can be invoked.
    pub state: State,
    /// How the last update went; `None` until it is active for the first time.
    pub last_update: Option<LastUpdate>,
    /// For a published version: the description `$LATEST` had, which publishing may override.
    pub published_from: Option<Description>,
    /// Whether its instances are restored from a snapshot.
    pub optimization: Optimization,
    /// While an update is in progress: what is served meanwhile, and comes back if it fails.
    pub previous: Option<Arc<FunctionVersion>>,
    /// What is served.
    pub runnable: Arc<Runnable>,
}

/// A deployment package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Its SHA-256.
    pub digest: Digest,
    /// Its size as uploaded, bytes.
    pub size: u64,
}

/// Whether a version can be invoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Being made ready.
    Pending,
    /// Ready.
    Active,
    /// Could not be made ready.
    Failed(Failure),
}

/// How the last update of `$LATEST` went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastUpdate {
    /// What is configured is what is served.
    Successful,
    /// What was configured before is still served.
    InProgress,
    /// It could not be made ready, and what was there before is configured again.
    Failed(Failure),
}

/// Why something could not be made ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In AWS's vocabulary.
    pub code: FailureCode,
    /// For a human.
    pub reason: String,
}

/// The `StateReasonCode`s that Hearth gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureCode {
    /// The package is not what was uploaded, or is gone.
    InvalidZipFile,
    /// It did not initialise in time, when a snapshot was to be taken.
    InitTimeout,
    /// It did not initialise, then.
    InitError,
    /// Anything that is not the owner's fault.
    InternalError,
}

/// What `UpdateFunctionConfiguration` gives; what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConfigurationChange {
    /// `Runtime`.
    pub runtime: Option<RuntimeId>,
    /// `Handler`.
    pub handler: Option<Handler>,
    /// `Role`.
    pub role: Option<RoleArn>,
    /// `Description`.
    pub description: Option<Description>,
    /// `Timeout`.
    pub timeout: Option<Timeout>,
    /// `MemorySize`.
    pub memory: Option<MemorySize>,
    /// `EphemeralStorage`.
    pub tmp: Option<EphemeralStorage>,
    /// `Environment`.
    pub environment: Option<Environment>,
    /// `LoggingConfig.LogGroup`.
    pub log_group: Option<LogGroup>,
    /// `SnapStart.ApplyOn`.
    pub snap_start: Option<SnapStart>,
    /// `Layers`: others, or `Some(None)` for none any more.
    pub layers: Option<Option<Arc<AttachedLayers>>>,
}

// === impl Function ===

impl Function {
    /// The version a qualifier names; without one, `$LATEST`. Of two that an alias divides its calls
    /// between it is the first; who calls asks [`Function::serving`].
    pub fn version(&self, qualifier: Option<&Qualifier>) -> Option<&Arc<FunctionVersion>> {
        match qualifier {
            None | Some(Qualifier::Latest) => Some(&self.latest),
            Some(Qualifier::Version(number)) => self.versions.get(number),
            Some(Qualifier::Alias(name)) => self.numbered(self.alias(name)?.version),
        }
    }

    /// `$LATEST` first, then what was published, oldest first.
    pub fn all_versions(&self) -> impl Iterator<Item = &Arc<FunctionVersion>> {
        std::iter::once(&self.latest).chain(self.versions.values())
    }

    /// Every generation that may have instances: what is served, and what is about to be.
    pub fn generations(&self) -> Vec<Generation> {
        let mut all: Vec<Generation> = self
            .all_versions()
            .flat_map(|version| [version.runnable.generation, version.generation])
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Every package a version may still need, its layers' and what they were merged into among them.
    pub fn packages(&self) -> impl Iterator<Item = Digest> {
        self.all_versions().flat_map(|version| {
            version.packages().chain(version.previous.iter().flat_map(|before| before.packages()))
        })
    }

    /// Bytes of all packages as uploaded, counted once per version as AWS does.
    pub fn code_size(&self) -> u64 {
        self.all_versions().map(|version| version.code.size).sum()
    }

    /// The same function with another reservation, in every version that is served.
    pub(crate) fn with_reserved_concurrency(&self, reserved: Option<u32>) -> Self {
        let with =
            |version: &Arc<FunctionVersion>| Arc::new(version.with_reserved_concurrency(reserved));
        let versions = self.versions.iter().map(|(number, version)| (*number, with(version)));
        Self {
            reserved_concurrency: reserved,
            latest: with(&self.latest),
            versions: Arc::new(versions.collect()),
            ..self.clone()
        }
    }

    /// The same function with other tags.
    pub(crate) fn with_tags(&self, tags: BTreeMap<String, String>) -> Self {
        Self { tags: Arc::new(tags), ..self.clone() }
    }
}

// === impl FunctionVersion ===

impl FunctionVersion {
    /// Every package it needs: its code, its layers, and what they were merged into.
    pub fn packages(&self) -> impl Iterator<Item = Digest> {
        let layers = self.configuration.layers.iter().flat_map(|layers| layers.packages());
        [self.code.digest].into_iter().chain(layers)
    }

    /// The same version, revision included, with another reservation in what is served.
    fn with_reserved_concurrency(&self, reserved_concurrency: Option<u32>) -> Self {
        let runnable = Runnable { reserved_concurrency, ..(*self.runnable).clone() };
        let with = |previous: &Arc<Self>| {
            Arc::new(previous.with_reserved_concurrency(reserved_concurrency))
        };
        Self {
            runnable: Arc::new(runnable),
            previous: self.previous.as_ref().map(with),
            ..self.clone()
        }
    }

    /// Whether code and configuration are the same, descriptions aside.
    pub(crate) fn does_the_same_as(&self, other: &Self) -> bool {
        let plain = |version: &Self| Configuration {
            description: Description::default(),
            ..version.configuration.clone()
        };
        self.code.digest == other.code.digest && plain(self) == plain(other)
    }
}

/// A part of a function, or the one that all share who have nothing in it.
pub(crate) fn shared<T: Default + PartialEq>(part: T, nothing: &Arc<T>) -> Arc<T> {
    if part == **nothing { Arc::clone(nothing) } else { Arc::new(part) }
}

/// What the engine needs to run some code with some configuration.
pub(crate) fn runnable(
    function: FunctionId,
    name: &FunctionName,
    version: Version,
    generation: Generation,
    code: Code,
    configuration: &Configuration,
    reserved_concurrency: Option<u32>,
) -> Arc<Runnable> {
    let environment = configuration.environment.iter().flat_map(Environment::iter);
    let log_group = configuration.log_group.as_ref();
    Arc::new(Runnable {
        function,
        generation,
        name: name.clone(),
        version,
        runtime: configuration.runtime.as_str().to_owned(),
        handler: configuration.handler.as_str().to_owned(),
        code: code.digest,
        layers: configuration.layers.as_ref().map(|layers| layers.tree()),
        memory_mib: configuration.memory.mib(),
        tmp_mib: configuration.tmp.mib(),
        timeout: Duration::from_secs(configuration.timeout.seconds().into()),
        environment: environment.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        log_group: log_group
            .map_or_else(|| format!("/aws/lambda/{name}"), |group| group.as_str().to_owned()),
        reserved_concurrency,
        // Our own bootstraps serve one event at a time.
        concurrency: match configuration.runtime.is_custom() {
            true => configuration.environment.as_ref().and_then(Environment::concurrency),
            false => None,
        }
        .unwrap_or(1),
    })
}

// === impl State ===

impl State {
    /// AWS's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Active => "Active",
            Self::Failed(_) => "Failed",
        }
    }
}

// === impl LastUpdate ===

impl LastUpdate {
    /// AWS's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Successful => "Successful",
            Self::InProgress => "InProgress",
            Self::Failed(_) => "Failed",
        }
    }
}

// === impl FailureCode ===

impl FailureCode {
    /// AWS's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidZipFile => "InvalidZipFileException",
            Self::InitTimeout => "FunctionError.InitTimeout",
            Self::InitError => "FunctionError.RuntimeInitError",
            Self::InternalError => "InternalError",
        }
    }

    /// Reads what [`FailureCode::name`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let all = [Self::InvalidZipFile, Self::InitTimeout, Self::InitError, Self::InternalError];
        all.into_iter().find(|code| code.name() == text)
    }
}

// === impl ConfigurationChange ===

impl ConfigurationChange {
    /// The configuration with this change made.
    pub fn apply(&self, to: &Configuration) -> Configuration {
        let mut out = to.clone();
        set(&mut out.runtime, &self.runtime);
        set(&mut out.handler, &self.handler);
        set(&mut out.role, &self.role);
        set(&mut out.description, &self.description);
        set(&mut out.timeout, &self.timeout);
        set(&mut out.memory, &self.memory);
        set(&mut out.tmp, &self.tmp);
        set(&mut out.snap_start, &self.snap_start);
        if self.environment.is_some() {
            out.environment.clone_from(&self.environment);
        }
        if self.log_group.is_some() {
            out.log_group.clone_from(&self.log_group);
        }
        set(&mut out.layers, &self.layers);
        out
    }
}

fn set<T: Clone>(field: &mut T, given: &Option<T>) {
    if let Some(value) = given {
        field.clone_from(value);
    }
}
