//! A description becomes a jailed process: a printable plan and its one interpreter.
//!
//! Below the privilege line: nothing here knows of HTTP, functions or tenants, and nothing waits.
//! `unsafe` stands in [`sys`] alone.

pub mod budget;
pub mod capability;
pub mod cgroup;
pub mod checks;
pub mod failpoint;
pub mod identity;
pub mod landlock;
pub mod perform;
pub mod plan;
pub mod seccomp;
pub mod subordinate;
pub mod sys;

pub use identity::Identity;
pub use perform::{Stage, StepError};
pub use plan::{Plan, Spec};
