//! The privileged program: receive, check, act, reply.
//!
//! ```text
//!   hearth (control plane, no privilege)
//!      │  SEQPACKET on descriptor 3, the messages of `wire::spawner`
//!      │
//!   outer      takes a slot of the machine, sweeps, waits, cleans up            host's pid namespace
//!      ├─ sweeper: cleans up if the outer process is killed
//!      └─ spawner proper: PID 1 of Hearth's pid namespace, own root, no network
//!           ├─ maker: bears the others; capabilities only in the nursery user namespace
//!           ├─ template: an interpreter that is forked into cells; owns them, has no capability
//!           ├─ cell: PID 1 is the runner
//!           └─ cell …
//! ```
//!
//! If the control plane goes, the spawner proper reads the end of its socket and exits; if the
//! spawner proper goes, the kernel ends everything beneath it; if the outer process goes, the spawner
//! proper is killed with it. Nobody has to be told.
//!
//! Started by an ordinary user, the spawner proper is in a user namespace of its own, in which it is
//! what root's is on the host; the outer process has no privilege at all.
//!
//! No tokio, no HTTP, no JSON: one thread, one `epoll`, and a closed set of operations.

mod arguments;
mod cells;
mod control;
mod exit;
mod inner;
mod library;
mod limits;
mod log;
mod machine;
mod maker;
mod mapping;
mod order;
mod outer;
mod readiness;
mod service;
mod slot;
mod sweeper;
mod templates;

pub use arguments::{Arguments, ArgumentsError};
pub use exit::Exit;
pub use outer::run;
