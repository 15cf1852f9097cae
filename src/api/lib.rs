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
//! Requests are checked in two layers, as AWS does. `validate` collects every violation of the
//! schema into one `ValidationException`; what remains is refused one by one by the operation.

// The way in.
mod credentials;
mod operation;
mod router;
mod server;

// Reading requests, writing answers.
mod callee;
mod errors;
mod json_rpc;
mod listing;
mod patterns;
mod payload;
mod query;
mod requests;
mod respond;
mod shapes;
mod target;
mod trace;
mod validate;

// Operations, group by group.
mod account;
mod aliases;
mod asynchronous;
mod code;
mod code_signing;
mod concurrency;
mod configuration;
mod event_invoke;
mod event_sources;
mod functions;
mod invoke;
mod layers;
mod logs;
mod permissions;
mod provisioned;
mod rules;
mod scheduler;
mod settings;
mod snapshots;
mod streaming;
mod tags;
mod unserved;
mod urls;
mod versions;

// What is no operation of AWS's.
mod activation;
mod compiling;
mod deliveries;
mod download;
mod firings;
mod health;
mod invoker;
mod presign;

#[cfg(test)]
mod tests;

pub use activation::recover;
pub use credentials::Access;
pub use deliveries::Deliveries;
pub use event_sources::{EventSource, Mapped};
pub use firings::Firings;
pub use invoker::{Compiling, Invoker, Invoking, TakingSnapshot};
pub use router::router;
pub use server::{Api, Parts, UrlBase};
