//! The programs of this crate, run as programs. Nothing here is in a sandbox, and nothing needs root.
//!
//! * [`program`]: `hearth-runner` over its socket: executing, reporting, burying, ending.
//!   [`supervised`] is the control plane's side of it.
//! * [`python`] and [`node`]: the language bootstraps over the link, with the interpreters of this
//!   machine and the small functions in `tests/functions/`. [`instance`] is the control plane's side
//!   of it; `HEARTH_PYTHON` and `HEARTH_NODE` name other interpreters than the system's.

mod instance;
mod node;
mod program;
mod python;
mod supervised;
