//! Accepted asynchronous events: a queue on disk, in a database of its own.
//!
//! ```text
//!                 accept                       settle: over
//!   nobody's ───────────────► queued ─────────────────────────────► gone
//!               COMMIT, then    ▲  │        COMMIT, together with the event
//!               the caller is   └──┘        that follows from it, if one does
//!               told            settle: again, at a later time
//! ```
//!
//! An event is in the file from the moment its acceptance is acknowledged until it is settled, and
//! what is being delivered looks there like what waits: only this process reads the file (the data
//! directory is locked), so that its death gives back whatever it had taken. Who has taken what, and
//! when something is tried again, is the business of the crate `events`.
//!
//! What follows from an event (a record for its destination) is accepted in the very transaction in
//! which the event ends. There is no moment at which neither is there, or both.

mod queue;
mod rows;
pub(crate) mod schema;
mod thread;

use std::sync::Arc;

use bytes::Bytes;
use model::{FunctionId, FunctionName, Qualifier, RequestId};

pub use queue::{EventQueue, Found};
pub use thread::{Fault, Probe, Step};

/// An event that is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The id its caller was told; the function sees it in every attempt.
    pub id: RequestId,
    /// Whose it is.
    pub function: FunctionId,
    /// What that was called.
    pub name: FunctionName,
    /// Which version, if the caller said.
    pub qualifier: Option<Qualifier>,
    /// Now, milliseconds since the epoch; it is due at once.
    pub accepted_ms: u64,
    /// X-Ray trace header; empty if there is none.
    pub trace: Arc<str>,
    /// Which functions it has come through, in the form that the crate `events` reads.
    pub lineage: Arc<str>,
    /// The event, JSON.
    pub payload: Bytes,
}

/// How far something has got that hands over one event for each of its instants, noted together with
/// the event. It never goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Whose.
    pub key: String,
    /// The latest instant that an event was accepted for, milliseconds since the epoch.
    pub instant_ms: i64,
}

/// Names a queued event within its file; later ones have higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventNumber(pub u64);

/// An event that waits, but for its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedEvent {
    /// Its name within the file.
    pub number: EventNumber,
    /// See [`NewEvent::id`].
    pub id: RequestId,
    /// See [`NewEvent::function`].
    pub function: FunctionId,
    /// See [`NewEvent::name`].
    pub name: FunctionName,
    /// See [`NewEvent::qualifier`].
    pub qualifier: Option<Qualifier>,
    /// When it was accepted, milliseconds since the epoch.
    pub accepted_ms: u64,
    /// When it may be tried next, milliseconds since the epoch.
    pub due_ms: u64,
    /// How often the function has answered it.
    pub attempts: u32,
    /// How often in a row it did not get as far as the function.
    pub setbacks: u32,
    /// See [`NewEvent::trace`].
    pub trace: Arc<str>,
    /// See [`NewEvent::lineage`].
    pub lineage: Arc<str>,
    /// Length of the payload, bytes.
    pub bytes: u64,
}

/// What becomes of an event after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing more: it is taken out.
    Over,
    /// It is tried again.
    Again {
        /// Not before, milliseconds since the epoch.
        due_ms: u64,
        /// See [`QueuedEvent::attempts`].
        attempts: u32,
        /// See [`QueuedEvent::setbacks`].
        setbacks: u32,
    },
}

/// What settling an event came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Whether it was still there.
    pub there: bool,
    /// The number of what follows from it, if anything does and it was still there.
    pub follow: Option<EventNumber>,
}

/// A function's events that are due, as far as they were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// The longest due first.
    pub events: Vec<QueuedEvent>,
    /// When the first that is not among them is due, milliseconds since the epoch; if it is the past,
    /// there are more. `None` if there are no others.
    pub next_ms: Option<u64>,
}

// === impl QueuedEvent ===

impl QueuedEvent {
    /// A new event as it is queued.
    pub fn of(number: EventNumber, new: &NewEvent) -> Self {
        Self {
            number,
            id: new.id,
            function: new.function,
            name: new.name.clone(),
            qualifier: new.qualifier.clone(),
            accepted_ms: new.accepted_ms,
            due_ms: new.accepted_ms,
            attempts: 0,
            setbacks: 0,
            trace: Arc::clone(&new.trace),
            lineage: Arc::clone(&new.lineage),
            bytes: new.payload.len() as u64,
        }
    }
}
