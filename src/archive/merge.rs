//! Several trees laid over each other, as a function's layers are in `/opt`.
//!
//! ```text
//!   layer 1   python/a.py   python/b.py   bin/tool                 (first in the list)
//!   layer 2   python/a.py                 bin → elsewhere          (later, so it wins)
//!   ───────────────────────────────────────────────────────────
//!   merged    python/a.py   python/b.py   bin → elsewhere
//!             of layer 2    of layer 1    of layer 2
//! ```
//!
//! Directories of the same path become one; everything else is taken whole from the last layer that
//! has something there, so that a file hides a directory with all that is in it, and the reverse. The
//! layers are walked from the last to the first and what is there is never replaced: nothing has to be
//! deleted, and nobody has to know a whole tree. In what comes out, everything lies beneath real
//! directories, as it did in its layer: a link that stays within its layer stays within the whole.
//!
//! Files are not copied but linked: a tree of ours is never written to again, and a layer that ten
//! functions combine with others lies on the disk, and in memory, once. Where no link can be made (the
//! file has as many as the file system allows) it is copied.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use model::Digest;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat2, readlinkat};
use nix::sys::stat::{
    Mode, SFlag, UtimensatFlags, fchmod, fstat, fstatat, futimens, mkdirat, utimensat,
};
use nix::unistd::{linkat, symlinkat};
use sha2::{Digest as _, Sha256};

use crate::name;
use crate::unpack::{DIRECTORY, beneath, modified};

/// What a tree of several became.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Merged {
    /// Files and symbolic links.
    pub files: u64,
    /// Directories, the root not counted.
    pub directories: u64,
    /// Those of the files that had to be copied.
    pub copied: u64,
}

/// Why trees were not merged. None of this is a caller's fault.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A step failed.
    #[error("could not {step} \"{name}\" of a layer")]
    Step {
        /// What was being done.
        step: &'static str,
        /// To what, escaped and cut for messages.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A tree holds what no archive can have put there.
    #[error("\"{name}\" of a layer is neither a file, a directory nor a symbolic link")]
    Kind {
        /// What, escaped and cut for messages.
        name: String,
    },
}

/// Set apart from the digests of packages: no archive begins like this.
const DOMAIN: &[u8] = b"hearth: trees laid over each other, 1\0";

/// Names the tree that layers make in this order; one alone is its own tree, none make none.
pub fn merged_digest(layers: &[Digest]) -> Option<Digest> {
    match layers {
        [] => None,
        [one] => Some(*one),
        several => {
            let mut hash = Sha256::new_with_prefix(DOMAIN);
            several.iter().for_each(|layer| hash.update(layer.0));
            Some(Digest(hash.finalize().into()))
        }
    }
}

/// Lays `layers` over each other, later ones over earlier ones, in the empty directory `root`.
///
/// Nothing is synchronised to disk; after an error the caller removes what is in `root`. The same
/// layers give the same tree.
///
/// # Errors
/// [`MergeError`].
pub fn merge<L: AsFd>(layers: &[L], root: impl AsFd) -> Result<Merged, MergeError> {
    let mut merge = Merge { path: Vec::new(), done: Merged::default() };
    for layer in layers.iter().rev() {
        let failed = |errno| merge.failed("open", errno);
        let from = open_directory(layer.as_fd(), c".").map_err(failed)?;
        merge.lay(from, root.as_fd())?;
    }
    Ok(merge.done)
}

/// One merging under way.
struct Merge {
    /// Where it is, for messages.
    path: Vec<u8>,
    done: Merged,
}

// === impl Merge ===

impl Merge {
    /// Adds what is in a directory of a layer to the same directory of the whole, where nothing later
    /// is in its place.
    fn lay(&mut self, from: OwnedFd, onto: BorrowedFd<'_>) -> Result<(), MergeError> {
        let mut from = Dir::from_fd(from).map_err(|errno| self.failed("open", errno))?;
        for (name, kind) in self.list(&mut from)? {
            let length = self.path.len();
            if length > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.as_bytes());
            match kind {
                Type::Directory => self.directory(from.as_fd(), onto, &name)?,
                Type::File | Type::Symlink => {
                    self.file(from.as_fd(), onto, &name, kind)
                        .map_err(|errno| self.failed("link", errno))?;
                }
                _ => return Err(MergeError::Kind { name: name::printable(&self.path) }),
            }
            self.path.truncate(length);
        }
        // Its time is that of the last thing made in it, so it is set after everything.
        futimens(onto, &modified(), &modified()).map_err(|errno| self.failed("finish", errno))
    }

    fn list(&self, directory: &mut Dir) -> Result<Vec<(CString, Type)>, MergeError> {
        let failed = |errno| self.failed("list", errno);
        let mut found = Vec::new();
        for entry in directory.iter() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                found.push((name.to_owned(), entry.file_type()));
            }
        }
        found
            .into_iter()
            .map(|(name, kind)| {
                let kind = match kind {
                    Some(kind) => kind,
                    // Not every file system says so in its listings.
                    None => kind_of(directory.as_fd(), &name).map_err(failed)?,
                };
                Ok((name, kind))
            })
            .collect()
    }

    fn directory(
        &mut self,
        from: BorrowedFd<'_>,
        onto: BorrowedFd<'_>,
        name: &CString,
    ) -> Result<(), MergeError> {
        let mode = Mode::from_bits_truncate(DIRECTORY);
        let made = match mkdirat(onto, name.as_c_str(), mode) {
            Ok(()) => true,
            Err(Errno::EEXIST) => false,
            Err(errno) => return Err(self.failed("create", errno)),
        };
        let there = match open_directory(onto, name) {
            Ok(there) => there,
            // What a later layer has there is no directory.
            Err(Errno::ENOTDIR | Errno::ELOOP) if !made => return Ok(()),
            Err(errno) => return Err(self.failed("open", errno)),
        };
        if made {
            // What mkdir was asked for has been through the umask.
            fchmod(&there, mode).map_err(|errno| self.failed("finish", errno))?;
            self.done.directories += 1;
        }
        let below = open_directory(from, name).map_err(|errno| self.failed("open", errno))?;
        self.lay(below, there.as_fd())
    }

    fn file(
        &mut self,
        from: BorrowedFd<'_>,
        onto: BorrowedFd<'_>,
        name: &CString,
        kind: Type,
    ) -> nix::Result<()> {
        // Without AT_SYMLINK_FOLLOW it is the symbolic link itself that gets a second name.
        let linked = linkat(from, name.as_c_str(), onto, name.as_c_str(), AtFlags::empty());
        let (done, copied) = match (linked, kind) {
            (Err(Errno::EMLINK | Errno::EXDEV | Errno::EPERM), Type::Symlink) => {
                (copy_link(from, onto, name), 1)
            }
            (Err(Errno::EMLINK | Errno::EXDEV | Errno::EPERM), _) => {
                (copy_file(from, onto, name), 1)
            }
            (linked, _) => (linked, 0),
        };
        match done {
            Ok(()) => {
                self.done.files += 1;
                self.done.copied += copied;
                Ok(())
            }
            // A later layer has something there.
            Err(Errno::EEXIST) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn failed(&self, step: &'static str, errno: Errno) -> MergeError {
        MergeError::Step { step, name: name::printable(&self.path), source: errno.into() }
    }
}

fn open_directory(at: BorrowedFd<'_>, name: &std::ffi::CStr) -> nix::Result<OwnedFd> {
    openat2(at, name, beneath(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW))
}

fn kind_of(at: BorrowedFd<'_>, name: &CString) -> nix::Result<Type> {
    let mode = fstatat(at, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?.st_mode;
    Ok(match SFlag::from_bits_truncate(mode) & SFlag::S_IFMT {
        SFlag::S_IFDIR => Type::Directory,
        SFlag::S_IFREG => Type::File,
        SFlag::S_IFLNK => Type::Symlink,
        // Whatever it is, it is refused.
        _ => Type::CharacterDevice,
    })
}

/// A file of its own with the same contents, on the disk when this returns; `EEXIST` where a later layer
/// has something.
fn copy_file(from: BorrowedFd<'_>, onto: BorrowedFd<'_>, name: &CString) -> nix::Result<()> {
    let source = openat2(from, name.as_c_str(), beneath(OFlag::O_RDONLY | OFlag::O_NOFOLLOW))?;
    let mode = fstat(&source)?.st_mode;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    let how = beneath(flags).mode(Mode::S_IRUSR | Mode::S_IWUSR);
    let mut copy: File = openat2(onto, name.as_c_str(), how)?.into();
    let io = |err: io::Error| err.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    io::copy(&mut File::from(source), &mut copy).map_err(io)?;
    fchmod(&copy, Mode::from_bits_truncate(mode))?;
    futimens(&copy, &modified(), &modified())?;
    copy.sync_all().map_err(io)
}

fn copy_link(from: BorrowedFd<'_>, onto: BorrowedFd<'_>, name: &CString) -> nix::Result<()> {
    let target = readlinkat(from, name.as_c_str())?;
    symlinkat(target.as_bytes(), onto, name.as_c_str())?;
    let flag = UtimensatFlags::NoFollowSymlink;
    utimensat(onto, name.as_c_str(), &modified(), &modified(), flag)
}

#[cfg(test)]
mod tests;
