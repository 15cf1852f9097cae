//! What runs by the clock.
//!
//! [`Expression`] reads what AWS's schedules say, [`Recurrence`] knows their instants, and [`Agenda`]
//! which of them are due, on a clock that is passed in. [`engine`] is the one task that looks at a real
//! clock: it hands what is due to a [`HandOver`], which keeps the event and the note that its instant
//! is taken in one commit.

// When: pure.
pub mod cron;
pub mod expression;
pub mod recurrence;

// What is due: pure.
pub mod agenda;
pub mod plan;

// With what: pure.
pub mod event;
pub mod transform;

// Who looks at the clock, and who takes what is due.
pub mod engine;
pub mod hand_over;

pub use agenda::Agenda;
pub use engine::{Changed, Clock, Handle, WallClock};
pub use expression::{Dialect, Expression};
pub use hand_over::{Firing, HandOver, Handed, NotHanded};
pub use recurrence::Recurrence;
