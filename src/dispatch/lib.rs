//! Who runs where and when, decided in pure code.
//!
//! What happens goes in as a call, what is to be done comes out as [`Action`]s, and the clock is an
//! argument. There is no lock, no task and no system call here, so every promise below is tested on a
//! clock that stands still. The crate `pool` performs what is decided.
//!
//! An event joins the queue of its generation and is bound to an instance as late as possible. Idle
//! instances are a stack: the most recently used one serves, so that surplus ones age out. Where none
//! is idle one is started, *and the event keeps waiting for whichever comes first*.
//!
//! ```text
//!              start: caused by an event that waits
//!                │
//!        ┌───────▼──────┐  ready, nobody waits   ┌──────┐
//!        │   Starting   ├───────────────────────►│ Idle │◄──────────────┐
//!        │ init, invoke │                        └┬────┬┘               │ done,
//!        └┬─────┬─────┬─┘               an event  │    │ expired,       │ nobody waits
//!   no    │     │     │ ready, an event arrives   │    │ evicted,       │
//!   cell  │     │     └─ waits ──┐                │    │ retired,       │
//!         │     │                │                │    │ died           │
//!         │     │ init failed,   │           ┌────▼──┐ │               │
//!         │     │ died, overran  └──────────►│ Busy  ├─┼───────────────┘
//!         │     │                            └┬──▲─┬─┘ │
//!         │     │                 done, next  │  │ │   │
//!         │     │                 event waits └──┘ │ broken, or done and retired
//!         │     │                                  │   │
//!         │   ┌─▼──────────────────────────────────▼───▼─┐
//!         │   │ Ending: holds its cell until it is gone   │
//!         │   └─────────────────┬─────────────────────────┘
//!         ▼                     ▼ ended
//!        gone                  gone
//! ```
//!
//! Which idle instance goes first, how long each is kept, and whose is started before it is called, is
//! asked of [`keep`]: by what starting again would cost, how often it is used, and what it holds.
//!
//! A start that fails answers exactly one event, the oldest that waits, and nothing is started in its
//! place: a function that cannot start is started once per call and never spins. The one exception is
//! AWS's own: an initialisation that takes longer than its limit is ended and begun again, once, on
//! the time of the event (phase *invoke*).
//!
//! A generation may have a floor (see `provisioned`): instances that are started without an event and
//! kept without one. They serve before others do.
//!
//! What this crate does not know: processes, sockets, what an event contains, how long things take.

mod action;
mod admission;
mod engine;
mod hash;
pub mod keep;
mod provisioned;
mod rate;
mod time;

pub use action::{
    Action, Arrival, Decision, EndReason, EventId, Fate, Initialization, InstanceId, Next, Phase,
    Refusal, StartFailure, Stats,
};
pub use admission::{Facts, Limits, Throttle};
pub use engine::Dispatch;
pub use hash::{IdHasher, IdMap};
pub use provisioned::{Floor, Provision, Shortfall};
pub use time::Time;
