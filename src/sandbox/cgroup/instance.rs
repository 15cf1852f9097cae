//! One spawner's directory in every hierarchy: where it is.
//!
//! The directory is called `hearth-<slot>`. In version 1 it lies beneath the group the spawner was
//! started in, in a version-2 tree with controllers where [`Place`] says. Planning changes nothing:
//! directories are made, and controllers handed down, when it is claimed.

use std::io;
use std::path::{Path, PathBuf};

use super::room::{self, Place};
use super::{Controller, Home, Layout, Tree, Version};

/// The directories of one spawner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// One per hierarchy; the version-2 tree is always among them.
    pub trees: Vec<Tree>,
}

/// Why an instance's directories could not be had.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// `cgroup.kill` needs the version-2 tree.
    #[error("no cgroup2 file system is mounted")]
    NoUnifiedTree,
    /// A directory or file operation failed.
    #[error("{operation} {path}")]
    File {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Where the directory belongs, these controllers are not to be had.
    #[error("the control group {own} was not handed {missing}")]
    NotDelegated {
        /// The spawner's own group.
        own: PathBuf,
        /// The controllers.
        missing: String,
    },
    /// Something in the directory did not die.
    #[error("{path} could not be emptied in time")]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// Another spawner, alive, has this directory.
    #[error("{path} belongs to another spawner that is alive")]
    Held {
        /// The directory.
        path: PathBuf,
    },
}

// === impl Instance ===

impl Instance {
    /// Decides where each wanted controller's directory for `slot` is.
    ///
    /// # Errors
    /// [`InstanceError::NoUnifiedTree`], [`InstanceError::NotDelegated`].
    pub fn plan(layout: &Layout, slot: u32, wanted: &[Controller]) -> Result<Self, InstanceError> {
        let unified = layout.v2.as_ref().ok_or(InstanceError::NoUnifiedTree)?;
        let name = format!("hearth-{slot}");
        let (mut trees, in_v2) = Self::version_1(layout, &name, wanted);
        let parent = parent(unified, &in_v2)?;
        trees.push(Tree { version: Version::V2, controllers: in_v2, path: parent.join(&name) });
        Ok(Self { trees })
    }

    /// The same of an ordinary user, who has of the hierarchies what was delegated to him: it may be
    /// nothing at all.
    ///
    /// # Errors
    /// As [`Instance::plan`], but for the version-2 tree's absence.
    pub fn plan_delegated(
        layout: &Layout,
        slot: u32,
        wanted: &[Controller],
    ) -> Result<Self, InstanceError> {
        if layout.v2.is_some() {
            return Self::plan(layout, slot, wanted);
        }
        let (trees, nowhere) = Self::version_1(layout, &format!("hearth-{slot}"), wanted);
        match nowhere.is_empty() {
            true => Ok(Self { trees }),
            false => Err(InstanceError::NoUnifiedTree),
        }
    }

    /// Directories in version-1 hierarchies, and the controllers that are in none.
    fn version_1(
        layout: &Layout,
        name: &str,
        wanted: &[Controller],
    ) -> (Vec<Tree>, Vec<Controller>) {
        let mut trees: Vec<Tree> = Vec::new();
        let (in_v1, in_v2): (Vec<_>, Vec<_>) =
            wanted.iter().partition(|controller| layout.v1.contains_key(controller));
        for controller in in_v1 {
            let path = layout.v1[&controller].own.join(name);
            // cpu and memory may share a hierarchy; they then share the directory too.
            match trees.iter_mut().find(|tree| tree.path == path) {
                Some(tree) => tree.controllers.push(controller),
                None => {
                    trees.push(Tree { version: Version::V1, controllers: vec![controller], path })
                }
            }
        }
        (trees, in_v2)
    }

    /// Every directory.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.trees.iter().map(|tree| tree.path.clone()).collect()
    }
}

/// The group beneath which the directory of the version-2 tree lies.
fn parent(unified: &Home, wanted: &[Controller]) -> Result<PathBuf, InstanceError> {
    // Where nothing is limited, processes may be beside it.
    if wanted.is_empty() {
        return Ok(unified.own.clone());
    }
    let place = Place::find(unified, &room::ours());
    let there = place.as_ref().map_or(&[][..], |place| &place.controllers);
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|controller| !there.contains(controller))
        .map(|controller| controller.name())
        .collect();
    match place {
        Some(place) if missing.is_empty() => Ok(place.group),
        _ => {
            let (own, missing) = (unified.own.clone(), missing.join(", "));
            Err(InstanceError::NotDelegated { own, missing })
        }
    }
}

pub(super) fn failed(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> InstanceError {
    let path = path.to_owned();
    move |source| InstanceError::File { operation, path, source }
}
