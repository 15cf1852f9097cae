//! From an archive to a directory tree.
//!
//! ```text
//!   Plan::decide ──► directories ──► files ──► symbolic links ──► times of directories
//!        │                               │            │
//!        └ refused, nothing written      └────────────┴ refused, the caller removes what is there
//! ```
//!
//! Every path is resolved by the kernel beneath one descriptor, through no symbolic link
//! (`openat2`), and everything is created, never opened: the plan already guarantees both, and the
//! calls do not rely on it. Links come last, so nothing could be written through one in any case.
//!
//! Files are 0644 or 0755, directories 0755, whatever the archive says and the umask is; every time
//! is that of the first zip, so that the same package gives the same tree. Owners, extended
//! attributes and setuid bits have no way in.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, UtimensatFlags, fchmod, futimens, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::symlinkat;

use crate::content::{BadContent, Contents};
use crate::directory::{Entry, Malformed};
use crate::link::{self, BadLink, MAX_TARGET};
use crate::name::{self, BadName};
use crate::plan::{BadEntry, Kind, Limits, Plan};

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unpacked {
    /// Regular files.
    pub files: u64,
    /// Directories, the root not counted.
    pub directories: u64,
    /// Symbolic links.
    pub links: u64,
    /// Bytes in regular files.
    pub bytes: u64,
}

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive itself is over the limit.
    #[error("the archive has {size} bytes, more than {limit}")]
    ZippedTooLarge {
        /// Of the archive.
        size: u64,
        /// [`Limits::zipped`].
        limit: u64,
    },
    /// Its contents declare more than the limit.
    #[error("the archive unpacks to more than {limit} bytes")]
    UnzippedTooLarge {
        /// [`Limits::unzipped`].
        limit: u64,
    },
    /// More files, links and directories than the limit.
    #[error("the archive holds more than {limit} files and directories")]
    TooManyEntries {
        /// [`Limits::nodes`].
        limit: usize,
    },
    /// It took too long.
    #[error("unpacking took longer than {seconds} s")]
    TooSlow {
        /// [`Limits::time`].
        seconds: u64,
    },
    /// Not a whole archive.
    #[error("the archive is damaged")]
    Malformed(#[from] Malformed),
    /// An entry's name is not accepted.
    #[error("entry \"{name}\" is refused")]
    Name {
        /// Escaped and cut for messages.
        name: String,
        /// Why.
        source: BadName,
    },
    /// An entry is not accepted for what it is.
    #[error("entry \"{name}\" is refused")]
    Entry {
        /// Escaped and cut for messages.
        name: String,
        /// Why.
        source: BadEntry,
    },
    /// An entry's contents are not what the archive declares.
    #[error("entry \"{name}\" is refused")]
    Content {
        /// Escaped and cut for messages.
        name: String,
        /// Why.
        source: BadContent,
    },
    /// A symbolic link is not accepted.
    #[error("entry \"{name}\" is refused")]
    Link {
        /// Escaped and cut for messages.
        name: String,
        /// Why.
        source: BadLink,
    },
    /// The tree could not be written: not the archive's fault.
    #[error("could not {step} \"{name}\" of a package")]
    Write {
        /// What was being done.
        step: &'static str,
        /// To which entry, escaped and cut for messages.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// What a caller of the API is told about an [`UnpackError`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// `RequestEntityTooLargeException`, 413, with this message.
    TooLarge(String),
    /// `InvalidParameterValueException`, 400, with this message.
    Invalid(String),
    /// `ServiceException`, 500: the archive is not to blame; the error is for the log.
    Internal,
}

/// AWS's sentence for whatever it cannot unzip.
pub const COULD_NOT_UNZIP: &str =
    "Could not unzip uploaded file. Please check your file, then try to upload again.";
/// 1980-01-01T00:00:00Z: the earliest time a zip can express, which every tool that packs the tree
/// again accepts.
pub const MODIFIED: i64 = 315_532_800;
const FILE: u32 = 0o644;
const EXECUTABLE: u32 = 0o755;
pub(crate) const DIRECTORY: u32 = 0o755;

/// Unpacks `zip` into the empty directory `root`, which nobody else writes to.
///
/// Nothing is synchronised to disk; after an error the caller removes what is in `root`.
///
/// # Errors
/// [`UnpackError`]; [`UnpackError::answer`] says what to tell whom.
pub fn unpack(zip: &[u8], root: impl AsFd, limits: &Limits) -> Result<Unpacked, UnpackError> {
    let started = Instant::now();
    let plan = Plan::decide(zip, limits)?;
    let mut writer = Writer {
        root: root.as_fd(),
        started,
        limits,
        contents: Contents::new(),
        done: Unpacked::default(),
    };
    let directories = plan.directories();
    for path in &directories {
        writer.directory(path)?;
    }
    for (entry, path, kind) in plan.members() {
        if let Kind::File { executable } = kind {
            writer.file(&plan, &entry, path, executable)?;
        }
    }
    for (entry, path, kind) in plan.members() {
        if kind == Kind::Link {
            writer.link(&plan, &entry, path)?;
        }
    }
    for path in directories.iter().rev() {
        writer.settle(path)?;
    }
    writer.settle(b"")?;
    Ok(writer.done)
}

// === impl UnpackError ===

impl UnpackError {
    /// What to tell the caller who sent the archive: AWS's words, and the reason behind them where
    /// an archive is whole but not accepted.
    pub fn answer(&self) -> Answer {
        let because = |reason: String| Answer::Invalid(format!("{COULD_NOT_UNZIP} ({reason})"));
        let entry = |name: &str, why: &dyn std::fmt::Display| because(format!("\"{name}\": {why}"));
        match self {
            Self::ZippedTooLarge { limit, .. } => {
                Answer::TooLarge(format!("Zipped size must be smaller than {limit} bytes"))
            }
            Self::UnzippedTooLarge { limit } => {
                Answer::Invalid(format!("Unzipped size must be smaller than {limit} bytes"))
            }
            Self::TooManyEntries { .. } | Self::TooSlow { .. } => because(self.to_string()),
            Self::Malformed(_) => Answer::Invalid(COULD_NOT_UNZIP.to_owned()),
            Self::Name { name, source } => entry(name, source),
            Self::Entry { name, source } => entry(name, source),
            Self::Content { name, source } => entry(name, source),
            Self::Link { name, source } => entry(name, source),
            Self::Write { .. } => Answer::Internal,
        }
    }
}

// === Writer ===

/// Writes one archive beneath `root`.
struct Writer<'w> {
    root: BorrowedFd<'w>,
    started: Instant,
    limits: &'w Limits,
    contents: Contents,
    done: Unpacked,
}

/// Why a chunk was not written; told apart from what is wrong with the chunk itself.
enum Stopped {
    Content(BadContent),
    Write(io::Error),
    TooSlow,
}

impl From<BadContent> for Stopped {
    fn from(why: BadContent) -> Self {
        Self::Content(why)
    }
}

impl Writer<'_> {
    fn directory(&mut self, path: &[u8]) -> Result<(), UnpackError> {
        self.check_time()?;
        let make = || {
            mkdirat(self.parent(path)?, name::leaf(path), Mode::from_bits_truncate(DIRECTORY))?;
            // What mkdir was asked for has been through the umask.
            fchmod(self.open_directory(path)?, Mode::from_bits_truncate(DIRECTORY))
        };
        make().map_err(|errno| failed("create", path, errno))?;
        self.done.directories += 1;
        Ok(())
    }

    fn file(
        &mut self,
        plan: &Plan<'_>,
        entry: &Entry<'_>,
        path: &[u8],
        executable: bool,
    ) -> Result<(), UnpackError> {
        let data = packed(plan, entry, path)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let how = beneath(flags).mode(Mode::S_IRUSR | Mode::S_IWUSR);
        let mut file: File =
            openat2(self.root, path, how).map_err(|errno| failed("create", path, errno))?.into();
        let (started, limits) = (self.started, self.limits);
        let written = self.contents.read(entry, data, |chunk| {
            if started.elapsed() > limits.time {
                return Err(Stopped::TooSlow);
            }
            file.write_all(chunk).map_err(Stopped::Write)
        });
        written.map_err(|stopped| self.stopped("write", path, stopped))?;
        let mode = if executable { EXECUTABLE } else { FILE };
        fchmod(&file, Mode::from_bits_truncate(mode))
            .and_then(|()| futimens(&file, &modified(), &modified()))
            .map_err(|errno| failed("finish", path, errno))?;
        self.done.files += 1;
        self.done.bytes += entry.size;
        Ok(())
    }

    fn link(&mut self, plan: &Plan<'_>, entry: &Entry<'_>, path: &[u8]) -> Result<(), UnpackError> {
        self.check_time()?;
        let data = packed(plan, entry, path)?;
        let refused = |source| UnpackError::Link { name: name::printable(path), source };
        if entry.size > MAX_TARGET as u64 {
            return Err(refused(BadLink::TooLong));
        }
        let mut target = Vec::new();
        let read = self.contents.read(entry, data, |chunk| {
            target.extend_from_slice(chunk);
            Ok(())
        });
        read.map_err(|stopped| self.stopped("read", path, stopped))?;
        link::check(path, &target).map_err(refused)?;
        let make = || {
            let parent = self.parent(path)?;
            let leaf = name::leaf(path);
            symlinkat(target.as_slice(), &parent, leaf)?;
            utimensat(&parent, leaf, &modified(), &modified(), UtimensatFlags::NoFollowSymlink)
        };
        make().map_err(|errno| failed("create", path, errno))?;
        self.done.links += 1;
        Ok(())
    }

    // A directory's time is that of the last thing created in it, so it is set after everything.
    fn settle(&self, path: &[u8]) -> Result<(), UnpackError> {
        self.open_directory(path)
            .and_then(|directory| futimens(directory, &modified(), &modified()))
            .map_err(|errno| failed("finish", path, errno))
    }

    fn parent(&self, path: &[u8]) -> nix::Result<OwnedFd> {
        self.open_directory(name::parent(path).unwrap_or(b""))
    }

    fn open_directory(&self, path: &[u8]) -> nix::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        openat2(self.root, path, beneath(OFlag::O_RDONLY | OFlag::O_DIRECTORY))
    }

    fn check_time(&self) -> Result<(), UnpackError> {
        if self.started.elapsed() > self.limits.time {
            return Err(self.too_slow());
        }
        Ok(())
    }

    fn too_slow(&self) -> UnpackError {
        UnpackError::TooSlow { seconds: self.limits.time.as_secs() }
    }

    fn stopped(&self, step: &'static str, path: &[u8], stopped: Stopped) -> UnpackError {
        let name = name::printable(path);
        match stopped {
            Stopped::Content(source) => UnpackError::Content { name, source },
            Stopped::Write(source) => UnpackError::Write { step, name, source },
            Stopped::TooSlow => self.too_slow(),
        }
    }
}

fn packed<'a>(plan: &Plan<'a>, entry: &Entry<'a>, path: &[u8]) -> Result<&'a [u8], UnpackError> {
    let span = plan.directory.locate(entry).ok_or_else(|| UnpackError::Entry {
        name: name::printable(path),
        source: BadEntry::Misplaced,
    })?;
    Ok(plan.directory.bytes(span.data))
}

pub(crate) fn beneath(flags: OFlag) -> OpenHow {
    OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(
        ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS,
    )
}

pub(crate) fn modified() -> TimeSpec {
    TimeSpec::new(MODIFIED, 0)
}

fn failed(step: &'static str, path: &[u8], errno: nix::Error) -> UnpackError {
    UnpackError::Write { step, name: name::printable(path), source: errno.into() }
}
