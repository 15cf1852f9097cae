//! The AWS Lambda REST API: management and invocation.
//!
//! ```text
//!   request ─► route ─► credentials, or refuse ─► body, within the operation's limit ─► signature
//!                                                                                          │
//!   response ◄─ shape ◄─ store · code · pool ◄─ semantic validation ◄─ schema validation ◄─┘
//! ```
//!
//! [`router`] is one function in front of all operations: nothing but `/healthz` and `/readyz` is
//! answered to somebody who has not proven who they are. Paths, shapes, status codes and sentences
//! are AWS's; where Hearth has not what a request asks for, it says so in AWS's form instead of
//! accepting and ignoring it.
//!
//! Requests are checked in two layers, as AWS does. [`validate`] collects every violation of the
//! schema into one `ValidationException`; what remains is refused one by one by the operation.

mod account;
mod activation;
mod code;
mod concurrency;
mod configuration;
mod credentials;
mod download;
mod errors;
mod functions;
mod health;
mod invoke;
mod invoker;
mod listing;
mod logs;
mod operation;
mod patterns;
mod payload;
mod permissions;
mod presign;
mod query;
mod requests;
mod respond;
mod router;
mod server;
mod shapes;
mod tags;
mod target;
mod urls;
mod validate;
mod versions;

#[cfg(test)]
mod tests;

pub use activation::recover;
pub use credentials::Access;
pub use invoker::{Invoker, Invoking};
pub use router::router;
pub use server::{Api, Parts, UrlBase};
