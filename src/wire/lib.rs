//! The bytes between Hearth's own processes.
//!
//! Four conversations, each a closed set of messages:
//!
//! * [`spawner`]: control plane ↔ spawner, one message per `SEQPACKET` datagram, descriptors beside
//!   it. The privileged side believes nothing: every field is checked while it is decoded, and once
//!   more where it is used.
//! * [`runner`]: control plane ↔ PID 1 of one sandbox, the same way.
//! * [`template`]: spawner ↔ a template, the same way.
//! * [`link`]: control plane ↔ the function's process, frames on a stream. The peer runs a
//!   stranger's code, so a length is checked before a byte is allocated for it.
//!
//! This crate holds no socket and makes no system call: it turns messages into bytes and back, which
//! is what lets it be fuzzed, and what lets it stand on both sides of the privilege line.

pub mod codec;
#[cfg(test)]
mod corpus;
pub mod link;
pub mod runner;
pub mod spawner;
pub mod template;

pub use codec::DecodeError;

/// Version of every protocol in this crate; the two ends of a conversation must agree on it.
///
/// All parts are built together and shipped in one file, so a mismatch means a mixed installation:
/// it is refused, never negotiated.
pub const VERSION: u16 = 4;
