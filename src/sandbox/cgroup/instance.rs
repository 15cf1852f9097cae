//! One spawner's directory in every hierarchy: where it is.
//!
//! The directory is called `hearth-<slot>` and lies beneath the group the spawner was started in. In
//! a version-2 tree with controllers that group must hand them down, which makes leaves that can be
//! joined only beneath a group without processes of its own (or the root). Therefore, upwards from
//! the own group:
//!
//! ```text
//!   does not have them itself            ──► its parent
//!   has others' processes                ──► its parent
//!   the only processes in it are ours    ──► they move to hearth-main, then here
//!   has none, or is the root             ──► here
//! ```
//!
//! From hearth-main the processes move back when the directory is given up.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

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
    /// Nowhere from the own group up to the root are the controllers to be had.
    #[error("no group from {own} upwards hands down {missing}")]
    NotDelegated {
        /// Where the search began.
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
    /// Decides where each wanted controller's directory for `slot` is. Makes none of them, but may
    /// have a version-2 group hand its controllers down.
    ///
    /// # Errors
    /// [`InstanceError::NoUnifiedTree`], or reading which controllers the version-2 tree has.
    pub fn plan(layout: &Layout, slot: u32, wanted: &[Controller]) -> Result<Self, InstanceError> {
        let name = format!("hearth-{slot}");
        let unified = layout.v2.as_ref().ok_or(InstanceError::NoUnifiedTree)?;
        let mut trees: Vec<Tree> = Vec::new();
        let (in_v1, in_v2): (Vec<_>, Vec<_>) =
            wanted.iter().partition(|controller| layout.v1.contains_key(controller));
        for controller in in_v1 {
            let path = layout.v1[&controller].own.join(&name);
            // cpu and memory may share a hierarchy; they then share the directory too.
            match trees.iter_mut().find(|tree| tree.path == path) {
                Some(tree) => tree.controllers.push(controller),
                None => {
                    trees.push(Tree { version: Version::V1, controllers: vec![controller], path })
                }
            }
        }
        let parent = delegating_ancestor(unified, &in_v2)?;
        trees.push(Tree { version: Version::V2, controllers: in_v2, path: parent.join(&name) });
        Ok(Self { trees })
    }

    /// Every directory.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.trees.iter().map(|tree| tree.path.clone()).collect()
    }
}

/// The nearest group, from the own one upwards, that hands `wanted` down.
fn delegating_ancestor(unified: &Home, wanted: &[Controller]) -> Result<PathBuf, InstanceError> {
    if wanted.is_empty() {
        return Ok(unified.own.clone());
    }
    for group in unified.own.ancestors().take_while(|group| group.starts_with(&unified.mount)) {
        // What it does not have itself it cannot hand down; nobody is moved about for that.
        let there = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
        if !missing_controllers(&there, wanted).is_empty() {
            continue;
        }
        if make_room(group).is_ok() && hand_down(group, wanted).is_ok() {
            return Ok(group.to_owned());
        }
    }
    let names: Vec<&str> = wanted.iter().map(|controller| controller.name()).collect();
    Err(InstanceError::NotDelegated { own: unified.own.clone(), missing: names.join(", ") })
}

pub(super) fn hand_down(group: &Path, controllers: &[Controller]) -> io::Result<()> {
    let path = group.join("cgroup.subtree_control");
    let there = fs::read_to_string(&path)?;
    let missing = missing_controllers(&there, controllers);
    if missing.is_empty() { Ok(()) } else { fs::write(&path, missing) }
}

/// What has to be written to `subtree_control` so that it hands `wanted` down.
pub(super) fn missing_controllers(there: &str, wanted: &[Controller]) -> String {
    let missing = wanted
        .iter()
        .filter(|controller| !there.split_whitespace().any(|name| name == controller.name()))
        .map(|controller| format!("+{controller}"));
    missing.collect::<Vec<_>>().join(" ")
}

/// Where processes are that were in the way.
pub(super) const ASIDE: &str = "hearth-main";

/// Moves this process and its parent, if nobody else is there, into a group of their own.
///
/// It is not left to the kernel to refuse what is not empty: with `cpu` and `pids` alone it does not,
/// but makes a threaded group of it, beneath which no leaf can be joined.
fn make_room(group: &Path) -> io::Result<()> {
    // Only the root, which may have processes and hand down, has no type.
    if !group.join("cgroup.type").exists() {
        return Ok(());
    }
    let ours = [std::process::id(), std::os::unix::process::parent_id()];
    let there = processes(group)?;
    if there.is_empty() {
        return Ok(());
    }
    if there.iter().any(|pid| !ours.contains(pid)) {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    let aside = group.join(ASIDE);
    match fs::create_dir(&aside) {
        Err(err) if err.kind() != io::ErrorKind::AlreadyExists => return Err(err),
        _ => {}
    }
    move_to(&aside, &there)
}

/// Undoes what [`hand_down`] and [`make_room`] did to a group, unless another spawner lives beneath it.
pub(super) fn give_room_back(group: &Path, controllers: &[Controller]) -> io::Result<()> {
    let aside = group.join(ASIDE);
    if !aside.exists() {
        return Ok(());
    }
    let back: Vec<String> = controllers.iter().map(|controller| format!("-{controller}")).collect();
    match fs::write(group.join("cgroup.subtree_control"), back.join(" ")) {
        // Its directory has them too.
        Err(err) if err.kind() == io::ErrorKind::ResourceBusy => return Ok(()),
        done => done?,
    }
    move_to(group, &processes(&aside)?)?;
    fs::remove_dir(&aside)
}

fn processes(group: &Path) -> io::Result<Vec<u32>> {
    let text = fs::read_to_string(group.join("cgroup.procs"))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

fn move_to(group: &Path, processes: &[u32]) -> io::Result<()> {
    for pid in processes {
        match fs::write(group.join("cgroup.procs"), pid.to_string()) {
            // It has ended meanwhile.
            Err(err) if err.raw_os_error() == Some(Errno::ESRCH as i32) => {}
            done => done?,
        }
    }
    Ok(())
}

pub(super) fn failed(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> InstanceError {
    let path = path.to_owned();
    move |source| InstanceError::File { operation, path, source }
}
