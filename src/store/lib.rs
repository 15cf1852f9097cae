//! What survives a restart: functions, their versions, aliases, policies, URLs, tags, layers, and access
//! keys.
//!
//! ```text
//!   readers ──────────► Snapshot (immutable, swapped whole) ◄─────┐
//!                                                                 │ 3. publish
//!   writers ── job ──► writer thread ── 1. decide (pure) ── 2. COMMIT ── 4. release the waiters
//! ```
//!
//! A hot invocation reads the [`Snapshot`] and touches neither disk nor database. A change is
//! decided by pure code on the snapshot, written, and acknowledged only after its commit has reached
//! the disk; many changes share one commit.
//!
//! SQLite is known to `sqlite`, `writer` and `events` alone. A change is the difference of two [`Function`]
//! values, so another database is another pair of "save this difference" and "load everything".
//!
//! Accepted events are another file with a thread of its own ([`events`]): they come and go by the
//! thousand, and nobody reads all of them.
//!
//! Not here: deployment packages, which are files named by content, and function logs.

// Decided in pure code.
mod access;
mod alias;
mod event_invoke;
mod function;
mod layer;
mod lifecycle;
mod provisioned;
mod refusal;
mod schedules;
mod settings;

// What readers hold.
mod ordered;
mod snapshot;
mod snapshots;

// Accepted events, in a file of their own.
pub mod events;

// What is written, and by whom.
mod sqlite;
mod store;
mod writer;

#[cfg(test)]
mod example;

pub use access::{AccessKey, NewUrl, Policy, PolicyScope, UrlChange};
pub use alias::{AliasChange, NewAlias};
pub use event_invoke::{Destinations, EventInvoke, EventInvokeChange};
pub use function::{
    Code, ConfigurationChange, Failure, FailureCode, Function, FunctionVersion, LastUpdate, State,
};
pub use layer::{AboutLayer, Layer, LayerVersion, NewLayerVersion};
pub use lifecycle::{NewFunction, Publication, Settlement, Update};
pub use provisioned::{Provisioned, Provisioning};
pub use refusal::{ChangeError, Refusal, StorageError};
pub use schedules::{NewRule, NewSchedule, ScheduleRefusal, Schedules, TargetChange};
pub use settings::AllSettings;
pub use snapshot::{Snapshot, Totals};
pub use snapshots::{Optimization, Preparation};
pub use sqlite::{DocumentError, LoadError, MigrateError, OpenError};
pub use store::{Store, Unreserved};
