//! Where images lie, shared by every daemon on the machine.
//!
//! ```text
//!   <images>/lock                              held while an image is being made
//!   <images>/sha256/<hex>/manifest.json        an image; its directory is there whole or not at all
//!   <images>/sha256/<hex>/tree/
//!   <images>/sha256/.new-*                     one being made
//! ```
//!
//! What lies here becomes the root of sandboxes and is executed there, by way of a privileged
//! process; so a cache that anybody else could write to is not used.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use model::Digest;

use crate::manifest::Manifest;

/// A directory of images.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
}

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What it is.
    pub manifest: Manifest,
    /// What becomes `/`.
    pub tree: PathBuf,
}

/// Why a cache or an image in it is not usable.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A step failed.
    #[error("could not {step} {}", path.display())]
    Disk {
        /// What was being done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Somebody else could put programs there.
    #[error(
        "{} belongs to user {owner} with mode {mode:o}; it must belong to user {expected} and be \
         writable by no one else",
        path.display()
    )]
    Exposed {
        /// Which directory.
        path: PathBuf,
        /// Its user.
        owner: u32,
        /// Its permissions.
        mode: u32,
        /// Whose it must be.
        expected: u32,
    },
    /// Its manifest is not one, or another's.
    #[error("{} is not this image's manifest; delete its directory to have it made again", path.display())]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, where it is not JSON of the right form.
        source: Option<serde_json::Error>,
    },
}

/// The right to make images; given back when dropped, or when the process ends.
pub(crate) struct Lock {
    _file: File,
}

const MODE: u32 = 0o755;

// === impl Cache ===

impl Cache {
    /// Opens the cache in `root`, making it where it is not there.
    ///
    /// # Errors
    /// [`CacheError::Disk`]; [`CacheError::Exposed`], for a directory that others may write to.
    pub fn open(root: &Path) -> Result<Self, CacheError> {
        let images = root.join("sha256");
        DirBuilder::new()
            .recursive(true)
            .mode(MODE)
            .create(&images)
            .map_err(disk("create", &images))?;
        Self::owned_by(nix::unistd::geteuid().as_raw(), root)
    }

    /// Opens the cache that root keeps in `root`, for somebody who may look up what is there.
    ///
    /// # Errors
    /// The same; and if it is not there.
    pub fn open_to_read(root: &Path) -> Result<Self, CacheError> {
        Self::owned_by(0, root)
    }

    fn owned_by(expected: u32, root: &Path) -> Result<Self, CacheError> {
        for path in [root, &root.join("sha256")] {
            let found = fs::symlink_metadata(path).map_err(disk("look at", path))?;
            let (owner, mode) = (found.uid(), found.mode() & 0o7777);
            if owner != expected || mode & 0o022 != 0 || !found.is_dir() {
                return Err(CacheError::Exposed { path: path.to_owned(), owner, mode, expected });
            }
        }
        Ok(Self { root: root.to_owned() })
    }

    /// The image of this name, if it is there.
    ///
    /// # Errors
    /// [`CacheError::Manifest`], where there is something else under its name.
    pub fn load(&self, digest: Digest) -> Result<Option<Image>, CacheError> {
        let path = self.place(digest).join("manifest.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(disk("read", &path)(source)),
        };
        let wrong = |source| CacheError::Manifest { path: path.clone(), source };
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|source| wrong(Some(source)))?;
        if manifest.digest != digest {
            return Err(wrong(None));
        }
        Ok(Some(Image { manifest, tree: Self::tree_in(&self.root, digest) }))
    }

    /// Where the tree of an image lies in the cache in `root`, whether or not it is there.
    pub fn tree_in(root: &Path, digest: Digest) -> PathBuf {
        root.join("sha256").join(digest.hex()).join("tree")
    }

    /// Waits until nobody else is making an image, and removes what a maker that died left.
    pub(crate) fn lock(&self) -> Result<Lock, CacheError> {
        let path = self.root.join("lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(disk("open", &path))?;
        file.lock().map_err(disk("lock", &path))?;
        let images = self.root.join("sha256");
        for entry in fs::read_dir(&images).map_err(disk("list", &images))? {
            let entry = entry.map_err(disk("list", &images))?;
            if entry.file_name().to_string_lossy().starts_with(".new-") {
                let path = entry.path();
                fs::remove_dir_all(&path).map_err(disk("delete", &path))?;
            }
        }
        Ok(Lock { _file: file })
    }

    /// An empty directory in which to make an image; its tree goes into `tree`.
    pub(crate) fn begin(&self, _lock: &Lock, digest: Digest) -> Result<PathBuf, CacheError> {
        let aside = self.root.join("sha256").join(format!(".new-{digest}"));
        fs::create_dir(&aside)
            .and_then(|()| fs::set_permissions(&aside, Permissions::from_mode(MODE)))
            .map_err(disk("create", &aside))?;
        Ok(aside)
    }

    /// Makes the image that lies in `aside` durable and gives it its name.
    pub(crate) fn publish(
        &self,
        _lock: &Lock,
        aside: &Path,
        manifest: Manifest,
    ) -> Result<Image, CacheError> {
        let path = aside.join("manifest.json");
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|source| CacheError::Manifest { path: path.clone(), source: Some(source) })?;
        let mut file = File::create_new(&path).map_err(disk("create", &path))?;
        file.write_all(&text)
            .and_then(|()| file.set_permissions(Permissions::from_mode(0o644)))
            .map_err(disk("write", &path))?;
        // Thousands of files: one call for the file system is far quicker than one for each.
        nix::unistd::syncfs(&file).map_err(|errno| disk("synchronise", aside)(errno.into()))?;
        let place = self.place(manifest.digest);
        fs::rename(aside, &place).map_err(disk("rename", aside))?;
        let images = self.root.join("sha256");
        File::open(&images).and_then(|it| it.sync_all()).map_err(disk("synchronise", &images))?;
        Ok(Image { manifest, tree: place.join("tree") })
    }

    fn place(&self, digest: Digest) -> PathBuf {
        self.root.join("sha256").join(digest.hex())
    }
}

fn disk(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    let path = path.to_owned();
    move |source| CacheError::Disk { step, path, source }
}

#[cfg(test)]
mod tests;
