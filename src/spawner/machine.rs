//! The machine's own lock of a slot's ids, whatever directory a spawner keeps its slots in.
//!
//! Ids are the kernel's, one range for the whole machine. Slot files lie where `--state` says, so two
//! spawners that were told different directories, in the same moment, would each take slot 0 and with
//! it the same ids. Therefore whoever is root also locks `ids-<n>` in one directory that nobody can
//! choose. The lock is held as long as any process of the spawner lives; the file is removed with it.
//!
//! It cannot reach a spawner in another mount namespace with a `/run` of its own. That one is seen by
//! its processes: [`crate::slot::Slot::stranger`]. An abstract socket or a lock on a file of the
//! kernel's would reach further, but anybody could hold them; nobody but root can open these files.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag};
use nix::unistd::{UnlinkatFlags, unlinkat};

/// Not a setting: it is the same for every spawner of the machine, or of no use.
const DIRECTORY: &str = "/run/hearth";
/// How often a file may vanish between being opened and being locked: each time, its owner was just
/// letting go of it.
const TRIES: usize = 8;

/// Ids that are ours.
#[derive(Debug)]
pub(crate) struct Ids {
    path: PathBuf,
    _lock: Flock<File>,
}

/// Why nobody can tell whose the ids are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdsError {
    /// The directory or the file.
    #[error("{operation} {path}")]
    File {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Somebody else than root could hold locks in it, or remove them.
    #[error("{path} is not a directory that only root can write to")]
    NotRoots { path: PathBuf },
}

// === impl Ids ===

impl Ids {
    /// Locks the ids of a slot; `None` if another spawner has them.
    pub(crate) fn lock(slot: u32) -> Result<Option<Self>, IdsError> {
        Self::lock_in(Path::new(DIRECTORY), slot)
    }

    fn lock_in(directory: &Path, slot: u32) -> Result<Option<Self>, IdsError> {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o755)
            .create(directory)
            .map_err(failed("create", directory))?;
        let facts = fs::symlink_metadata(directory).map_err(failed("examine", directory))?;
        if !facts.is_dir() || facts.uid() != 0 || facts.mode() & 0o022 != 0 {
            return Err(IdsError::NotRoots { path: directory.to_owned() });
        }
        let path = directory.join(format!("ids-{slot}"));
        for _ in 0..TRIES {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(OFlag::O_NOFOLLOW.bits())
                .open(&path)
                .map_err(failed("open", &path))?;
            let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => lock,
                Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
                Err((_, errno)) => return Err(failed("lock", &path)(errno.into())),
            };
            // Its owner may have removed it before we had the lock: then this is the lock of a file
            // that is not there any more.
            let locked = lock.metadata().map_err(failed("examine", &path))?;
            let there = fs::symlink_metadata(&path);
            if there.is_ok_and(|there| (there.dev(), there.ino()) == (locked.dev(), locked.ino())) {
                return Ok(Some(Self { path, _lock: lock }));
            }
        }
        Ok(None)
    }
}

impl Drop for Ids {
    fn drop(&mut self) {
        // Still locked. Should it stay, the next owner of the slot takes it over. The outer process's
        // filter knows this call, and not the older one of the standard library.
        let _taken_over_later = unlinkat(AT_FDCWD, &self.path, UnlinkatFlags::NoRemoveDir);
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> IdsError {
    let path = path.to_owned();
    move |source| IdsError::File { operation, path, source }
}

#[cfg(test)]
mod tests;
