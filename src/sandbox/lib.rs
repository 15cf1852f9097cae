//! A description becomes a jailed process: a printable plan and its one interpreter.
pub mod budget;
pub mod cgroup;
pub mod seccomp;
pub mod sys;
