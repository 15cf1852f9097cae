//! The pool's promises, against a spawner and programs played by the test.
//!
//! * [`serving`]: events are served, reused, queued, bounded; callers may go away.
//! * [`failing`]: every way in which a function fails is told apart, in AWS's words.
//! * [`turns`]: an answer reaches the caller whose event it answers, and nobody else.
//! * [`starting`]: every way in which a start fails, and how long anybody waits for one.
//! * [`spares`]: a start takes the best that stands ready, and no spare's end is a caller's.
//! * [`templates`]: spares are forked where there is a template, and no template's end is a caller's.
//! * [`logging`]: which line stands where, tails, floods.
//! * [`custom`]: functions that fetch their events themselves.
//! * [`several`]: the same, several at once.
//! * [`freezing`]: who is stopped between events, and who is not.
//! * [`provisioned`]: instances that are there before anybody calls.
//! * [`compiling`]: code is compiled in a cell of its own, which ends whatever comes of it.
//! * [`ending`]: retirement, draining, a spawner that dies.
//!
//! [`double`] plays the spawner, [`programs`] the functions, [`rig`] holds a test's things together.

#![allow(missing_docs, unreachable_pub, reason = "helpers of a test are public to nobody but it")]

mod double;
mod programs;
mod rig;

mod compiling;
mod custom;
mod ending;
mod failing;
mod freezing;
mod logging;
mod provisioned;
mod serving;
mod several;
mod spares;
mod starting;
mod templates;
mod turns;
