//! Runtime images: which identifiers are served, by what tree, started how.
//!
//! An image is a directory tree beside a small manifest, named by a digest and never changed once it
//! is there. [`host`] makes one out of the server's own interpreters; the [`Catalogue`] answers, for
//! all that is loaded, the one question the engine and the API have: who serves `python3.11`, and how
//! is it started?
//!
//! Images are made before privileges are dropped, from the server's files and the recipes in
//! `rootfs/` alone; nothing a stranger sent is looked at here.

pub mod cache;
pub mod catalogue;
pub mod environment;
pub mod host;
pub mod identifier;
mod looks;
pub mod manifest;

pub use cache::{Cache, CacheError, Image};
pub use catalogue::{Catalogue, Served, Unserved};
pub use host::{HostError, HostImage, Progress};
pub use identifier::{Identifier, Language, RuntimePath};
pub use manifest::{Kind, Manifest, Spare, Start};
