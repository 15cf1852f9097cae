//! What the doors share: listeners that strangers may lean on, and answers in AWS's form.
//!
//! [`Server`] accepts connections, serves HTTP/1.1 on them within [`Limits`], and drains. It is
//! generic over a `tower` service: an `axum::Router` where there are routes, a plain function where
//! there are none. The rest is what handlers need around their own work: bodies read with a limit
//! ([`collect_body`]), paths taken apart once ([`path`]), errors turned into responses
//! ([`AwsError`]), and the check that keeps web pages away from an unauthenticated loopback
//! listener ([`local_only`]).
//!
//! Not here: TLS and HTTP/2. Both belong in front, or into a listener of their own.

mod answers;
mod body;
mod connection;
mod crowd;
mod framing;
mod limits;
pub mod local_only;
mod overdue;
pub mod path;
mod respond;
mod server;
mod stream;

pub use body::{BodyError, collect_body};
pub use limits::Limits;
pub use path::{PathError, Segments};
pub use respond::{AwsError, Fault, MessageKey};
pub use server::{Drained, Peer, ServeError, Server};
