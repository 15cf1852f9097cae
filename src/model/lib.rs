//! The words of the domain, parsed once and valid ever after.
//!
//! A value of one of these types is within AWS's limits for it; code that holds one never checks
//! again. Nothing here is `Serialize`: the shapes of the API belong to the crate that speaks it, and
//! the columns of the database to the one that keeps them.

pub mod account;
pub mod alias;
pub mod configuration;
pub mod digest;
pub mod environment;
pub mod function;
pub mod id;
pub mod layer;
pub mod name;
pub mod policy;
pub mod schedule;
pub mod settings;
pub mod url;

pub use account::{AccountId, Home, Region};
pub use configuration::Configuration;
pub use digest::Digest;
pub use environment::Environment;
pub use function::{FunctionId, Generation, Runnable, Version};
pub use id::{RequestId, RevisionId};
pub use layer::{AttachedLayer, AttachedLayers, LayerName};
pub use name::{FunctionName, Qualifier};
