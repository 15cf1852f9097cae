//! Deployment packages by content, on disk.
//!
//! ```text
//!   sha256/<hex>/package.zip      what was uploaded; not there where trees were merged
//!   sha256/<hex>/tree/            what is mounted at /var/task, or /opt
//!   sha256/<hex>/compiled/        what was compiled of it: see `compiled`
//!
//!   put:     .new-* ── package, tree, sync ──► rename to <hex> ──► sync sha256/
//!   merge:   .new-* ── tree, sync ───────────► rename to <hex> ──► sync sha256/
//!   remove:  <hex> ── rename to .old-* ──► sync sha256/ ──► delete
//!   sweep:   .new-*, .old-* and whatever nobody uses ──► delete           (at start only)
//! ```
//!
//! A directory named by digest is therefore always whole, also after a power failure. Two uploads of
//! the same content race harmlessly: one rename wins, the other finds the same thing there.
//!
//! Between the moment a package is stored and the moment a function that names it is committed,
//! nothing in the database refers to it; a [`Stored`] held across that gap keeps it from being
//! removed. What is *used* only the database knows, so [`CodeStore::remove`] asks, at the one moment
//! when the answer cannot change.
//!
//! All calls block on the disk; one daemon owns a store (the data directory is locked).

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Digest;
use sha2::{Digest as _, Sha256};

use crate::merge::{MergeError, merge, merged_digest};
use crate::plan::Limits;
use crate::unpack::{UnpackError, Unpacked, unpack};

/// The packages of one data directory.
#[derive(Debug)]
pub struct CodeStore {
    /// `sha256/`.
    packages: PathBuf,
    limits: Limits,
    pins: Arc<Pins>,
    /// Makes temporary names differ within this process.
    serial: AtomicU64,
}

/// A package that is there, and stays there while this is held.
#[derive(Debug)]
pub struct Stored {
    /// Names it.
    pub digest: Digest,
    /// Bytes of the zip: AWS's CodeSize.
    pub size: u64,
    /// What was unpacked; `None` where the same content was there already.
    pub unpacked: Option<Unpacked>,
    pins: Arc<Pins>,
}

/// What a sweep found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Packages and leftovers deleted.
    pub removed: usize,
    /// Digests in use whose package is not there.
    pub missing: Vec<Digest>,
}

/// Why a package was not stored.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// The archive was not accepted, or its tree could not be written.
    #[error("the package was not unpacked")]
    Unpack(#[from] UnpackError),
    /// Layers could not be laid over each other.
    #[error("layers were not merged")]
    Merge(#[from] MergeError),
    /// A step on the store itself failed.
    #[error("could not {step} {}", path.display())]
    Disk {
        /// What was being done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Digests that must not be removed, and how many hold each.
type Pins = Mutex<HashMap<Digest, usize>>;

const PACKAGE: &str = "package.zip";
const TREE: &str = "tree";
/// Above packages: the spawner passes through without rights of its own, nobody but us lists them.
const PASSAGE_MODE: u32 = 0o711;
/// A tree and what it lies in, whatever our umask: the sandboxes' users read it through a mount.
pub(crate) const DIRECTORY_MODE: u32 = 0o755;
/// Nobody but this process reads the zip again.
const PACKAGE_MODE: u32 = 0o600;
/// Up to here every file is synchronised by itself (0.13 ms each where this was measured); beyond,
/// one call for the whole file system is quicker (10 µs a file, but it also waits for what others
/// have written).
const SYNC_EACH: u64 = 64;

// === impl CodeStore ===

impl CodeStore {
    /// Opens the store in `directory`, making it where it is not there.
    ///
    /// # Errors
    /// [`CodeError::Disk`].
    pub fn open(directory: &Path, limits: Limits) -> Result<Self, CodeError> {
        let packages = directory.join("sha256");
        fs::create_dir_all(&packages).map_err(disk("create", &packages))?;
        for path in [directory, &packages] {
            fs::set_permissions(path, Permissions::from_mode(PASSAGE_MODE))
                .map_err(disk("set permissions of", path))?;
        }
        sync_directory(directory)?;
        Ok(Self { packages, limits, pins: Arc::default(), serial: AtomicU64::new(0) })
    }

    /// Stores a package, durably when it returns. The same content again costs a hash.
    ///
    /// # Errors
    /// [`CodeError::Unpack`] for what the archive is to blame for, [`CodeError::Disk`] otherwise.
    pub fn put(&self, zip: &[u8]) -> Result<Stored, CodeError> {
        let digest = Digest(Sha256::digest(zip).into());
        let mut stored = self.pinned(digest, zip.len() as u64);
        let place = self.path(&digest);
        if !is_there(&place)? {
            stored.unpacked = self.store(&place, |aside| self.fill(zip, aside))?;
        }
        Ok(stored)
    }

    /// Lays the trees of packages over each other, later ones over earlier ones, durably when it
    /// returns. The same list again costs a look; a list of one is that package.
    ///
    /// `None` where the list is empty or one of the packages is not there.
    ///
    /// # Errors
    /// [`CodeError::Merge`], [`CodeError::Disk`].
    pub fn merge(&self, layers: &[Digest]) -> Result<Option<Stored>, CodeError> {
        let (Some(digest), false) = (merged_digest(layers), layers.len() == 1) else {
            return layers.first().map_or(Ok(None), |only| self.hold(*only));
        };
        let stored = self.pinned(digest, 0);
        let place = self.path(&digest);
        if is_there(&place)? {
            return Ok(Some(stored));
        }
        // None of them goes away meanwhile.
        let mut held = Vec::with_capacity(layers.len());
        for layer in layers {
            match self.hold(*layer)? {
                Some(layer) => held.push(layer),
                None => return Ok(None),
            }
        }
        self.store(&place, |aside| self.lay(layers, aside))?;
        Ok(Some(stored))
    }

    /// Bytes of all files of a package's tree: what AWS's limit of 250 MB is about.
    ///
    /// # Errors
    /// [`CodeError::Disk`].
    pub fn unzipped(&self, digest: &Digest) -> Result<u64, CodeError> {
        let mut bytes = 0;
        let mut open = vec![self.tree_path(digest)];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).map_err(disk("list", &directory))? {
                let entry = entry.map_err(disk("list", &directory))?;
                let found = entry.metadata().map_err(disk("look at", &directory))?;
                if found.is_dir() {
                    open.push(entry.path());
                } else if found.is_file() {
                    bytes += found.len();
                }
            }
        }
        Ok(bytes)
    }

    /// Holds on to a package that is there already; `None` where it is not.
    ///
    /// # Errors
    /// [`CodeError::Disk`].
    pub fn hold(&self, digest: Digest) -> Result<Option<Stored>, CodeError> {
        let mut stored = self.pinned(digest, 0);
        let package = self.zip_path(&digest);
        match fs::metadata(&package) {
            Ok(found) => stored.size = found.len(),
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(disk("look at", &package)(source)),
        }
        Ok(Some(stored))
    }

    /// Where a package is kept, whether or not it is there.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.packages.join(digest.hex())
    }

    /// Its zip.
    pub fn zip_path(&self, digest: &Digest) -> PathBuf {
        self.path(digest).join(PACKAGE)
    }

    /// Its tree.
    pub fn tree_path(&self, digest: &Digest) -> PathBuf {
        self.path(digest).join(TREE)
    }

    /// Deletes a package, unless it is held or `used` says that it is used; whether it did.
    ///
    /// `used` runs while no package can become held, so nothing can come to be used behind its back.
    ///
    /// # Errors
    /// [`CodeError::Disk`]; the package is then either still there or gone for everyone but the next
    /// sweep.
    pub fn remove(&self, digest: &Digest, used: impl FnOnce() -> bool) -> Result<bool, CodeError> {
        let place = self.path(digest);
        let aside = self.packages.join(self.temporary("old"));
        {
            let pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
            if pins.contains_key(digest) || used() || !is_there(&place)? {
                return Ok(false);
            }
            fs::rename(&place, &aside).map_err(disk("remove", &place))?;
        }
        sync_directory(&self.packages)?;
        delete(&aside)?;
        Ok(true)
    }

    /// Deletes what an earlier run left half done and every package not in `used`.
    ///
    /// Takes the store for itself: what looks like a leftover may be an upload under way.
    ///
    /// # Errors
    /// [`CodeError::Disk`].
    pub fn sweep(&mut self, used: &HashSet<Digest>) -> Result<Swept, CodeError> {
        let mut swept = Swept::default();
        let mut found = HashSet::new();
        let listing = fs::read_dir(&self.packages).map_err(disk("list", &self.packages))?;
        for entry in listing {
            let entry = entry.map_err(disk("list", &self.packages))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let leftover = name.starts_with(".new-") || name.starts_with(".old-");
            match Digest::from_hex(&name) {
                Some(digest) if used.contains(&digest) => {
                    found.insert(digest);
                }
                // What we did not name we do not delete.
                None if !leftover => {}
                _ => {
                    delete(&entry.path())?;
                    swept.removed += 1;
                }
            }
        }
        swept.missing = used.difference(&found).copied().collect();
        swept.missing.sort_unstable();
        sync_directory(&self.packages)?;
        Ok(swept)
    }

    // Builds something aside and moves it into place; `None` where somebody else was quicker.
    fn store<T>(
        &self,
        place: &Path,
        fill: impl FnOnce(&Path) -> Result<T, CodeError>,
    ) -> Result<Option<T>, CodeError> {
        let aside = self.packages.join(self.temporary("new"));
        let result = fill(&aside).and_then(|filled| match fs::rename(&aside, place) {
            Ok(()) => sync_directory(&self.packages).map(|()| Some(filled)),
            Err(err) if err.kind() == io::ErrorKind::DirectoryNotEmpty => {
                delete(&aside)?;
                // The other may not have come to this yet.
                sync_directory(&self.packages).map(|()| None)
            }
            Err(source) => Err(disk("rename", &aside)(source)),
        });
        if result.is_err() && aside.exists() {
            // The first error is the one to report; what stays behind is swept at the next start.
            let _ = fs::remove_dir_all(&aside);
        }
        result
    }

    fn fill(&self, zip: &[u8], aside: &Path) -> Result<Unpacked, CodeError> {
        let (tree, package) = (aside.join(TREE), aside.join(PACKAGE));
        make_directory(aside)?;
        make_directory(&tree)?;
        let root = File::open(&tree).map_err(disk("open", &tree))?;
        let unpacked = unpack(zip, &root, &self.limits)?;
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(PACKAGE_MODE)
            .open(&package)
            .and_then(|mut file| file.write_all(zip).and_then(|()| file.sync_all()))
            .map_err(disk("write", &package))?;
        settle(aside, unpacked.files + unpacked.directories + unpacked.links)?;
        Ok(unpacked)
    }

    fn lay(&self, layers: &[Digest], aside: &Path) -> Result<(), CodeError> {
        let tree = aside.join(TREE);
        make_directory(aside)?;
        make_directory(&tree)?;
        let open = |path: &Path| File::open(path).map_err(disk("open", path));
        let trees = layers.iter().map(|layer| open(&self.tree_path(layer)));
        let trees = trees.collect::<Result<Vec<File>, _>>()?;
        let merged = merge(&trees, open(&tree)?)?;
        settle(aside, merged.files + merged.directories)
    }

    fn pinned(&self, digest: Digest, size: u64) -> Stored {
        *self.pins.lock().unwrap_or_else(PoisonError::into_inner).entry(digest).or_insert(0) += 1;
        Stored { digest, size, unpacked: None, pins: Arc::clone(&self.pins) }
    }

    /// A path that nobody else has: of a leftover, should it stay behind.
    pub(crate) fn temporary_path(&self, kind: &str) -> PathBuf {
        self.packages.join(self.temporary(kind))
    }

    fn temporary(&self, kind: &str) -> String {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        format!(".{kind}-{}-{serial}", std::process::id())
    }
}

// === impl Stored ===

impl Stored {
    /// What the API calls CodeSha256.
    pub fn code_sha256(&self) -> String {
        code_sha256(&self.digest)
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = pins.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.digest);
            }
        }
    }
}

/// What the API calls CodeSha256: the digest of the zip in base64.
pub fn code_sha256(digest: &Digest) -> String {
    STANDARD.encode(digest.0)
}

// === the disk ===

pub(crate) fn disk(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CodeError {
    let path = path.to_owned();
    move |source| CodeError::Disk { step, path, source }
}

pub(crate) fn is_there(path: &Path) -> Result<bool, CodeError> {
    path.try_exists().map_err(disk("look at", path))
}

pub(crate) fn make_directory(path: &Path) -> Result<(), CodeError> {
    fs::create_dir(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE)))
        .map_err(disk("create", path))
}

pub(crate) fn sync_directory(path: &Path) -> Result<(), CodeError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(disk("synchronise", path))
}

/// Synchronises a tree of so many nodes, and what it lies in.
fn settle(aside: &Path, nodes: u64) -> Result<(), CodeError> {
    if nodes <= SYNC_EACH {
        sync_tree(&aside.join(TREE))?;
        return sync_directory(aside);
    }
    File::open(aside)
        .and_then(|root| Ok(nix::unistd::syncfs(root)?))
        .map_err(disk("synchronise", aside))
}

fn sync_tree(tree: &Path) -> Result<(), CodeError> {
    for entry in fs::read_dir(tree).map_err(disk("list", tree))? {
        let entry = entry.map_err(disk("list", tree))?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(disk("list", tree))?);
        if kind.is_dir() {
            sync_tree(&path)?;
        } else if kind.is_file() {
            File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(disk("synchronise", &path))?;
        }
    }
    sync_directory(tree)
}

pub(crate) fn delete(path: &Path) -> Result<(), CodeError> {
    let kind = fs::symlink_metadata(path).map_err(disk("look at", path))?;
    if kind.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
        .map_err(disk("delete", path))
}

#[cfg(test)]
mod tests;
