//! What a function sees from inside: the Lambda Runtime API, version 2018-06-01.
//!
//! A custom runtime asks for its next event and posts the answer, over HTTP, on a listener that lives
//! in its sandbox's network namespace: the connection itself says who is calling, there is nothing
//! to authenticate. Which request is allowed when is decided by [`pool::session`]; here requests
//! become calls on it, and what comes back becomes the status codes, headers and bodies that AWS's
//! runtime clients expect.
//!
//! The peer runs a stranger's code. Everything it can make this crate hold or do is bounded per
//! sandbox ([`Limits`]), and all of it ends with the session.

mod body;
mod budget;
mod direct;
mod exchange;
mod reply;
mod request;
mod route;
mod server;
mod socket;

pub use server::{Limits, RuntimeApi, Serving};
