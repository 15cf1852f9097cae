//! What the tests stand on: tools fetched once, real daemons, and a client that can misbehave.
//!
//! Nothing here is shared with the product: requests are written byte by byte ([`http`]) and signed by
//! code of their own ([`signature`]), so that a mistake of the product cannot hide behind itself.

pub mod account;
pub mod daemon;
pub mod eventually;
pub mod function;
pub mod http;
pub mod leftovers;
pub mod manager;
pub mod package;
pub mod raw_zip;
pub mod setup;
pub mod signature;
pub mod systemd;
pub mod tools;

pub use account::{Account, Means};
pub use daemon::{Daemon, Home, Options, shared};
pub use eventually::eventually;
pub use function::{Deployed, Function};
pub use http::{Request, Response};
pub use manager::Manager;
pub use package::Package;
pub use systemd::Systemd;
