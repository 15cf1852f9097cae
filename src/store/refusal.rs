//! Why a change did not happen.
//!
//! A [`Refusal`] is an answer: the caller asked for something that cannot be. A [`StorageError`] is
//! a failure: nobody knows the answer. The sentences callers read are the API's.

use model::name::AliasName;
use model::{Digest, LayerName, Version};

use crate::schedules::ScheduleRefusal;

/// What stands against a change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no function of that name.
    #[error("there is no such function")]
    NoFunction,
    /// The function has no such version or alias.
    #[error("there is no such version")]
    NoVersion,
    /// The function has no such version.
    #[error("there is no version {version}")]
    VersionMissing {
        /// Which.
        version: Version,
    },
    /// There is an alias of that name.
    #[error("the alias exists")]
    AliasExists,
    /// There is no alias of that name.
    #[error("there is no such alias")]
    NoAlias,
    /// An alias would point to the same version twice.
    #[error("the alias points to version {version} already")]
    VersionRepeated {
        /// Which.
        version: Version,
    },
    /// An alias would divide its calls between `$LATEST` and another.
    #[error("calls of $LATEST cannot be divided")]
    LatestWeighted,
    /// An alias would divide its calls between versions with different roles.
    #[error("the versions have different roles")]
    RolesDiffer,
    /// Aliases send calls to the version.
    #[error("aliases point to the version")]
    VersionAliased {
        /// Which, by name.
        aliases: Vec<AliasName>,
    },
    /// There is a function of that name.
    #[error("the function exists")]
    FunctionExists,
    /// The caller has seen another revision of the function.
    #[error("the function has changed since")]
    FunctionRevision,
    /// The caller has seen another revision of the policy.
    #[error("the policy has changed since")]
    PolicyRevision,
    /// Another update has not settled.
    #[error("an update is in progress")]
    UpdateInProgress,
    /// The function is not ready for this.
    #[error("the function is {state}")]
    NotActive {
        /// AWS's name of its state.
        state: &'static str,
    },
    /// The caller wants to publish other code than there is.
    #[error("the code is {current}")]
    OtherCode {
        /// What `$LATEST` has.
        current: Digest,
    },
    /// More than 50 tags.
    #[error("too many tags")]
    TooManyTags,
    /// Too little concurrency would be left for everybody else.
    #[error("less than {minimum} would stay unreserved")]
    Unreserved {
        /// What has to be left.
        minimum: u32,
    },
    /// What is provisioned would not fit into what would be reserved.
    #[error("{reserved} are fewer than the {provisioned} that are provisioned")]
    BelowProvisioned {
        /// What was to be reserved.
        reserved: u32,
        /// What is provisioned.
        provisioned: u64,
    },
    /// More would be provisioned than the function has reserved.
    #[error("more than is reserved for the function")]
    BeyondReserved,
    /// More would be provisioned than nobody has reserved.
    #[error("more than the {left} that are unreserved")]
    BeyondUnreserved {
        /// What nobody has reserved or provisioned.
        left: u64,
    },
    /// Provisioning would leave too little concurrency for everybody else.
    #[error("less than {minimum} would stay unreserved")]
    Unprovisioned {
        /// What has to be left.
        minimum: u32,
    },
    /// The version that the alias points to is provisioned itself.
    #[error("the version is provisioned")]
    VersionProvisioned,
    /// `$LATEST`, or an alias that points to it, cannot be provisioned.
    #[error("what is not published cannot be provisioned")]
    Unpublished,
    /// What is provisioned for an alias cannot be set while it divides its calls.
    #[error("the alias divides its calls")]
    AliasWeighted,
    /// An alias that points to the version is provisioned.
    #[error("an alias of the version is provisioned")]
    AliasProvisioned,
    /// A version that is restored from a snapshot cannot be provisioned as well.
    #[error("the version has SnapStart")]
    SnapStartProvisioned,
    /// Nothing is configured for events of that qualifier.
    #[error("nothing is configured for events")]
    NoEventInvoke,
    /// A function is to have a layer that there is not, or not any more.
    #[error("there is no version {version} of layer '{name}'")]
    NoLayer {
        /// Of which layer.
        name: LayerName,
        /// Which version.
        version: u64,
    },
    /// The layer has no such version.
    #[error("there is no such version of a layer")]
    NoLayerVersion,
    /// There is a URL for that qualifier.
    #[error("the URL exists")]
    UrlExists,
    /// There is no URL for that qualifier.
    #[error("there is no URL")]
    NoUrl,
    /// The policy has a statement of that name.
    #[error("the statement exists")]
    StatementExists,
    /// The policy has no statement of that name.
    #[error("there is no such statement")]
    NoStatement,
    /// There is no such code signing configuration.
    #[error("there is no such code signing configuration")]
    NoSigning,
    /// A function refers to the code signing configuration.
    #[error("a function refers to the code signing configuration")]
    SigningUsed,
    /// Of something that runs by the clock.
    #[error(transparent)]
    Schedule(ScheduleRefusal),
    /// The policy would be longer than 20 KiB.
    #[error("the policy would take {bytes} bytes")]
    PolicyTooLong {
        /// How long it would be.
        bytes: usize,
    },
}

/// The database could not do it. Nothing was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// This change, and those it shared a transaction with, were rolled back; the next may succeed.
    #[error("the change could not be written and was undone: {reason}")]
    RolledBack {
        /// What the database said.
        reason: String,
    },
    /// The disk is full. This change, and those it shared a transaction with, were rolled back; the
    /// next may succeed as soon as there is room.
    #[error("the disk is full; the change was undone")]
    Full,
    /// A commit failed, so that nobody knows what is on the disk: no more changes until a restart
    /// has read it again.
    #[error("the store takes no more changes since a commit failed")]
    Poisoned,
    /// The queue of events is being closed.
    #[error("the store is closed")]
    Closed,
}

/// A change that did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// It cannot be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
