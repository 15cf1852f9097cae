//! AWS Signature Version 4: requests verified, and signed.
//!
//! The doors verify every management request with it and the command line, a client of the same
//! API, signs with it; both go through one canonicalisation, so they cannot drift apart.
//!
//! There is no I/O here and no clock: the caller passes the request's parts, the hash of its body,
//! the time, and a way to look up a secret. Verification has two halves, because bodies are large
//! and strangers are cheap: [`Claim::read`] needs the head alone and refuses whatever can be refused
//! without a secret; [`Claim::verify`] then needs the body.
//!
//! Not done: signing a body chunk by chunk (`STREAMING-*`), asymmetric signatures (SigV4A), and the
//! query form of *signing*. The first is refused, the others are not understood.

mod canonical;
pub mod claim;
pub mod credential;
pub mod refusal;
pub mod sign;
mod time;
pub mod verify;

pub use claim::{Claim, PathStyle, Policy, RequestParts};
pub use credential::{Credentials, Secret};
pub use refusal::Refusal;
pub use sign::{SignError, sign};
pub use verify::{Payload, Verified, verify};
