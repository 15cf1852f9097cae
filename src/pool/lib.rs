//! Performs what dispatch decides: the spawner's socket, links, log pipes, timers.
//!
//! A door calls [`Pool::invoke`]. The calling task is admitted, gets an instance, writes the event on
//! the instance's link and reads the answer, all by itself; no other task has a part in a warm
//! invocation until its answer is known. What can be done afterwards is done afterwards, by one task
//! for all instances (see `governor`).
//!
//! ```text
//!   doors ──► Pool ──► flight ──► shell (lock) ──► dispatch          who runs where
//!                        │          │ starts, ends
//!                        ▼          ▼
//!                      link      start ──► stock ──► spawner         a socket to the privileged side
//!                        │          │
//!                        ▼          ▼
//!                      a sandbox: function's process, PID 1, log pipe ──► watch ──► logs
//!                                        governor: time and memory      │
//!                                                └───────────────────► scribe ──► log store
//! ```
//!
//! Custom runtimes speak HTTP instead of the link; who serves it is given at composition
//! ([`RuntimeHook`]), and [`session`] is what it is given.

mod invocation;
mod phases;
mod pool;
pub mod session;

mod flight;
mod shell;

mod end;
mod start;
mod watch;

mod compile;

mod env;
mod fault;
mod freezer;
mod governor;
mod history;
mod instance;
mod link;
mod logs;
mod memory;
mod runner;
mod scribe;
mod snapshots;
mod socket;
mod spawner;
mod stock;

pub use compile::{CompileError, LARGEST as LARGEST_COMPILED};
pub use dispatch::{Limits, Provision, Shortfall, Stats, Throttle};
pub use invocation::{Durations, FunctionError, Invocation, Outcome, Refusal};
pub use logs::{LogBudget, LogSink};
pub use phases::{ColdStart, Phases, Rung};
pub use pool::{INIT_LIMIT, Pool, PoolConfig, READY_CELLS, READY_SPARES, RuntimeHook};
pub use snapshots::NotTaken;
pub use spawner::ConnectError;
pub use stock::TemplateSharing;
