//! Asynchronous invocation: accepted events, delivered at least once.
//!
//! ```text
//!                          ┌──────────── again: failed (1 min, 2 min), or did not get as far as
//!                          ▼             the function (1 s … 5 min)      │
//!   accept ─► on disk ─► QUEUED ─► TAKEN ─► the function is called ──────┤
//!             then 202     ▲         │                                   │ answered, out of attempts,
//!                          └─────────┘ we die, it gets lost              │ too old, may not run
//!                                                                        ▼
//!                                       ┌─── a destination is set ─── OVER ─── none ──┐
//!                                       ▼                                             ▼
//!                    its record is QUEUED for that function,         gone; counted, unless the
//!                    in the transaction that ends the event          function answered it
//! ```
//!
//! What is QUEUED is a row of `store::events`. TAKEN is known to this process alone: its death is the
//! end of every lease. So no commit stands between acceptance and start, an interrupted attempt is
//! repeated and does not count as one, and an event is delivered at least once.
//!
//! [`policy`] decides what becomes of an event, [`lanes`] which one is next; both are pure. [`Events`]
//! performs it. Who the functions are and how they are called is behind [`Functions`].

// Decided in pure code.
pub mod lanes;
pub mod lineage;
pub mod policy;
mod record;

// Performed.
mod clock;
mod delivery;
mod events;
mod functions;

pub use clock::Clock;
pub use events::{Call, Events};
pub use functions::{Answer, Attempt, Calling, Destination, Functions, Plan};
pub use lanes::Limits;

#[cfg(test)]
mod tests;
