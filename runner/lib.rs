//! The other side of the glass: PID 1 of a sandbox.
//!
//! `hearth-runner` is the first process of every sandbox and stands there before any code of a
//! user's. It executes one program for the control plane, reports how that ended, buries whatever
//! else dies, and takes the sandbox with it when its socket closes. It owns nothing a function could
//! want: no privilege, no link, no secret.
//!
//! Beside it lie the language bootstraps, `python/bootstrap.py` and `node/bootstrap.cjs`: what it
//! executes for a function in one of these languages, and what speaks [`wire::link`] there. They are
//! not compiled into this crate; runtime images carry them at `/var/runtime/`.

mod life;
mod supervisor;
mod sys;

pub use supervisor::{Failure, supervise};
