//! What was compiled of a package, beside it.
//!
//! ```text
//!   sha256/<code>/compiled/<image>/<runtime>      one file for each interpreter that compiled it
//!
//!   begin:   .new-* (a file) ── whoever compiles writes into it
//!   keep:    sync ──► rename to its place ──► sync ──► delete what older images made
//! ```
//!
//! It is a stranger's data: opaque bytes, bounded by whoever receives them, in one file that is made
//! here under a name that is made here. Nothing reads it but the interpreters in the sandboxes of
//! functions with this very code and this very image, where the directory is mounted; so nobody is hurt
//! by what is in it but whoever uploaded the code that made it.
//!
//! It goes with the package. A file that lies there is whole, also after a power failure; what was
//! being written when the process ended is a leftover that the next sweep deletes.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use model::Digest;

use crate::code::{CodeError, CodeStore, Stored, delete, disk, is_there, make_directory};
use crate::code::{DIRECTORY_MODE, sync_directory};

/// Of which package, by what, for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edition {
    /// The package.
    pub code: Digest,
    /// The image whose interpreter compiles it and runs it.
    pub image: Digest,
    /// The interpreter, as the image calls it: `python3.11`.
    pub runtime: String,
}

/// A file that is being written and is nothing yet; gone when it is dropped.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    kept: bool,
}

/// The directory beside a package's tree.
const COMPILED: &str = "compiled";
/// A file that the sandboxes' users read through a mount.
const FILE_MODE: u32 = 0o644;

// === impl CodeStore ===

impl CodeStore {
    /// Whether an edition is there.
    ///
    /// # Errors
    /// [`CodeError::Disk`].
    pub fn is_compiled(&self, edition: &Edition) -> Result<bool, CodeError> {
        is_there(&self.compiled_path(edition))
    }

    /// Where an edition is kept, whether or not it is there.
    pub fn compiled_path(&self, Edition { code, image, runtime }: &Edition) -> PathBuf {
        self.compiled_root(code).join(image.hex()).join(runtime)
    }

    /// Where everything is kept that was compiled of a package, whether or not it is there.
    pub fn compiled_root(&self, code: &Digest) -> PathBuf {
        self.path(code).join(COMPILED)
    }

    /// Makes an empty file for an edition: what to keep, and what to write to.
    ///
    /// # Errors
    /// [`CodeError::Disk`].
    pub fn begin_compiled(&self) -> Result<(Draft, File), CodeError> {
        let path = self.temporary_path("new");
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(disk("create", &path))?;
        Ok((Draft { path, kept: false }, file))
    }

    /// Puts what was written where instances find it, and deletes what other images made of the package
    /// than `images`, which are those that are in use.
    ///
    /// # Errors
    /// [`CodeError::Disk`]; the package is then as if it had never been compiled, or compiled.
    pub fn keep_compiled(
        &self,
        stored: &Stored,
        edition: &Edition,
        mut draft: Draft,
        images: &BTreeSet<Digest>,
    ) -> Result<(), CodeError> {
        // Held, so it is not removed meanwhile.
        debug_assert_eq!(stored.digest, edition.code);
        let place = self.compiled_path(edition);
        let package = self.path(&edition.code);
        let compiled = self.compiled_root(&edition.code);
        let image = compiled.join(edition.image.hex());
        File::open(&draft.path)
            .and_then(|file| {
                // The mode it was made with went through our umask.
                file.set_permissions(Permissions::from_mode(FILE_MODE))?;
                file.sync_all()
            })
            .map_err(disk("synchronise", &draft.path))?;
        for directory in [&compiled, &image] {
            match make_directory(directory) {
                Err(CodeError::Disk { source, .. })
                    if source.kind() == io::ErrorKind::AlreadyExists =>
                {
                    // Should an earlier process have ended before it had set its mode.
                    fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE))
                        .map_err(disk("set permissions of", directory))?;
                }
                made => made?,
            }
        }
        fs::rename(&draft.path, &place).map_err(disk("rename", &draft.path))?;
        draft.kept = true;
        for directory in [&image, &compiled, &package] {
            sync_directory(directory)?;
        }
        for entry in fs::read_dir(&compiled).map_err(disk("list", &compiled))? {
            let entry = entry.map_err(disk("list", &compiled))?;
            let made_by = Digest::from_hex(&entry.file_name().to_string_lossy());
            if made_by.is_none_or(|image| image != edition.image && !images.contains(&image)) {
                delete(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Whether the files of a package whose names end with one of `suffixes` have `bytes` bytes at
    /// least, taken together.
    ///
    /// # Errors
    /// [`CodeError::Disk`].
    pub fn has_sources(
        &self,
        code: &Digest,
        suffixes: &[&str],
        bytes: u64,
    ) -> Result<bool, CodeError> {
        let mut found = 0;
        let mut open = vec![self.tree_path(code)];
        while let Some(directory) = open.pop() {
            let failed = |source| disk("list", &directory)(source);
            for entry in fs::read_dir(&directory).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let kind = entry.file_type().map_err(failed)?;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if kind.is_dir() {
                    open.push(entry.path());
                } else if kind.is_file() && suffixes.iter().any(|suffix| name.ends_with(suffix)) {
                    found += entry.metadata().map_err(failed)?.len();
                }
                if found >= bytes {
                    return Ok(true);
                }
            }
        }
        Ok(found >= bytes)
    }
}

// === impl Draft ===

impl Draft {
    /// Where it lies until it is kept.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // Should that fail, the next sweep deletes it.
            let _left = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
