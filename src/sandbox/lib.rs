//! A description becomes a jailed process: a printable plan and its one interpreter.
pub mod budget;
pub mod cgroup;
pub mod perform;
pub mod plan;
pub mod seccomp;
pub mod sys;
