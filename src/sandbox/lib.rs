//! A description becomes a jailed process: a printable plan and its one interpreter.
pub mod seccomp;
pub mod sys;
