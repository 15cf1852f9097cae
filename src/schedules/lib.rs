//! What runs by the clock.
//!
//! [`Expression`] reads what AWS's schedules say, [`Recurrence`] knows their instants, and [`Agenda`]
//! which of them are due, on a clock that is passed in. None of them has a task, a lock, or a clock of
//! its own.

// When: pure.
pub mod cron;
pub mod expression;
pub mod recurrence;

// What is due: pure.
pub mod agenda;

pub use agenda::Agenda;
pub use expression::{Dialect, Expression};
pub use recurrence::Recurrence;
