//! Control groups: where each controller is, and one leaf per cell in each of them.
//!
//! ```text
//!   layout.rs    /proc/self/cgroup + mountinfo → where am I, per controller     (pure)
//!   delegated.rs which of these an ordinary user has
//!   room.rs      which group of a version-2 tree can hold limited leaves; making room in it
//!   instance.rs  the directory hearth-<slot> in each hierarchy
//!   claim.rs     the same, held: locked, emptied of what a crash left, removed
//!   leaf.rs      hearth-<slot>/c<cell>: limits, killing, what it used, removal
//!   swift.rs     what makes joining a group take microseconds instead of milliseconds
//! ```
//!
//! A controller is used where it is found: memory, pids and cpu may each live in a version-1
//! hierarchy or in the version-2 tree. The version-2 tree is joined in any case, even where it
//! carries no controller: its `cgroup.kill` is the only way to end *everything* in a cell at once.
//! Version 1's freezer is not used: what it froze cannot be killed, and the version-2 tree freezes.

mod claim;
mod delegated;
mod instance;
mod layout;
mod leaf;
mod room;
mod swift;

pub use claim::Claim;
pub use instance::{Instance, InstanceError};
pub use layout::{Controller, Home, Layout, Version};
pub use leaf::{Leaf, LeafError, LeafLimits, Usage};
pub use room::{Place, ours};
pub use swift::Swift;

/// One hierarchy a cell has a leaf in, as a directory that holds the leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// What files in it are called.
    pub version: Version,
    /// The controllers that are set there; none in a version-2 tree that is only for killing.
    pub controllers: Vec<Controller>,
    /// Where the leaves are, in whatever mount namespace the user of this value is.
    pub path: std::path::PathBuf,
}

#[cfg(test)]
mod tests;
