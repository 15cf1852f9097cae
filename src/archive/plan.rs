//! Decides about a whole archive before anything is written.
//!
//! One walk over the central directory, in memory: names, kinds, conflicts, declared sizes, places.
//! What it costs is bounded by [`Limits::nodes`], which is compared with the end record before the
//! walk and with what was found during it, so an archive that announces or holds a million entries
//! is refused without a table of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::time::Duration;

use crate::content::{DEFLATED, STORED};
use crate::directory::{Directory, Entry};
use crate::name::{self, Name};
use crate::unpack::UnpackError;

/// How much an archive may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the archive.
    pub zipped: u64,
    /// Bytes of all contents together.
    pub unzipped: u64,
    /// Files, links and directories, those only implied by names included.
    pub nodes: usize,
    /// How long unpacking may take.
    pub time: Duration,
}

/// An entry that is not accepted, for what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadEntry {
    /// Needs a password.
    #[error("it is encrypted")]
    Encrypted,
    /// Neither stored nor deflated.
    #[error("it is compressed with method {method}; only stored (0) and deflated (8) are accepted")]
    Method {
        /// As APPNOTE.TXT numbers them.
        method: u16,
    },
    /// A device, a pipe, a socket, or nothing known.
    #[error("it is neither a file, a directory nor a symbolic link")]
    Kind,
    /// A directory that holds bytes of its own.
    #[error("it is a directory with contents")]
    DirectoryWithContents,
    /// Its path is taken by another entry.
    #[error("its name is given twice")]
    Twice,
    /// Something above it is not a directory.
    #[error("it lies beneath a file or symbolic link")]
    BelowFile,
    /// Its compression cannot yield so much.
    #[error("it declares {declared} bytes, which {packed} packed ones cannot hold")]
    Impossible {
        /// Size of its contents by the central directory.
        declared: u64,
        /// Size in the archive by the central directory.
        packed: u64,
    },
    /// Its local header is missing or differs, or its data is outside the archive.
    #[error("its local header is not where the central directory says")]
    Misplaced,
    /// It shares bytes of the archive with another entry.
    #[error("it overlaps another entry")]
    Overlaps,
}

/// What a path will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File { executable: bool },
    Link,
}

/// An archive that may be written.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) directory: Directory<'a>,
    nodes: HashMap<&'a [u8], Kind>,
}

/// Deflate's best: 258 bytes from two bits. More is not compression but a lie.
const MAX_RATIO: u64 = 1_032;
const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;
const EXECUTE: u32 = 0o111;

// === impl Limits ===

impl Limits {
    /// AWS's sizes. AWS names no number of entries: 100,000 is several times the largest
    /// `node_modules` met in the wild, and what one package may cost in inodes. A minute is how long
    /// boto3 waits for an answer.
    pub const AWS: Self = Self {
        zipped: 52_428_800,
        unzipped: 262_144_000,
        nodes: 100_000,
        time: Duration::from_secs(60),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::AWS
    }
}

// === impl Plan ===

impl<'a> Plan<'a> {
    /// Reads the archive's central directory and the headers it points to, none of its contents.
    ///
    /// # Errors
    /// Whatever makes the archive unacceptable as far as can be known before inflating it.
    pub(crate) fn decide(zip: &'a [u8], limits: &Limits) -> Result<Self, UnpackError> {
        let size = zip.len() as u64;
        if size > limits.zipped {
            return Err(UnpackError::ZippedTooLarge { size, limit: limits.zipped });
        }
        let directory = Directory::find(zip)?;
        if directory.announced() > limits.nodes as u64 {
            return Err(UnpackError::TooManyEntries { limit: limits.nodes });
        }
        // What is announced is within the limit, so a lie here reserves a few MiB and touches none;
        // growing by doubling would touch more.
        let announced = directory.announced() as usize;
        let mut plan = Self { directory, nodes: HashMap::with_capacity(announced) };
        let mut places = Vec::with_capacity(announced);
        let mut unzipped = 0_u64;
        for entry in directory.entries() {
            let entry = entry?;
            let name = Name::parse(entry.name).map_err(|source| UnpackError::Name {
                name: name::printable(entry.name),
                source,
            })?;
            let refused = |source| UnpackError::Entry { name: name::printable(entry.name), source };
            let kind = classify(&entry, &name).map_err(refused)?;
            plan.add(name.path, kind).map_err(refused)?;
            if plan.nodes.len() > limits.nodes {
                return Err(UnpackError::TooManyEntries { limit: limits.nodes });
            }
            unzipped = unzipped.saturating_add(entry.size);
            if unzipped > limits.unzipped {
                return Err(UnpackError::UnzippedTooLarge { limit: limits.unzipped });
            }
            let span = directory.locate(&entry).ok_or_else(|| refused(BadEntry::Misplaced))?;
            places.push((span.header_at, span.data.end, entry.name));
        }
        places.sort_unstable();
        if let Some(pair) = places.windows(2).find(|pair| pair[1].0 < pair[0].1) {
            let name = name::printable(pair[1].2);
            return Err(UnpackError::Entry { name, source: BadEntry::Overlaps });
        }
        Ok(plan)
    }

    /// Every directory, parents before what lies in them.
    pub(crate) fn directories(&self) -> Vec<&'a [u8]> {
        let is_directory = |(path, kind): (&&'a [u8], &Kind)| {
            (*kind == Kind::Directory && !path.is_empty()).then_some(*path)
        };
        let mut paths: Vec<_> = self.nodes.iter().filter_map(is_directory).collect();
        paths.sort_unstable();
        paths
    }

    /// Every entry that is not a directory, in the archive's order.
    pub(crate) fn members(&self) -> impl Iterator<Item = (Entry<'a>, &'a [u8], Kind)> {
        // The walk and every name succeeded once, over the same bytes.
        self.directory.entries().flatten().filter_map(|entry| {
            let path = Name::parse(entry.name).ok()?.path;
            let kind = *self.nodes.get(path)?;
            (kind != Kind::Directory).then_some((entry, path, kind))
        })
    }

    // Directories may be named again, or after what lies in them: nothing hangs on it. Everything
    // else has one name once.
    fn add(&mut self, path: &'a [u8], kind: Kind) -> Result<(), BadEntry> {
        match self.nodes.entry(path) {
            Slot::Vacant(slot) => {
                slot.insert(kind);
            }
            Slot::Occupied(slot) if *slot.get() == Kind::Directory && kind == Kind::Directory => {}
            Slot::Occupied(_) => return Err(BadEntry::Twice),
        }
        let mut child = path;
        while let Some(parent) = name::parent(child) {
            match self.nodes.entry(parent) {
                Slot::Vacant(slot) => {
                    slot.insert(Kind::Directory);
                }
                // Its own parents were entered with it.
                Slot::Occupied(slot) if *slot.get() == Kind::Directory => break,
                Slot::Occupied(_) => return Err(BadEntry::BelowFile),
            }
            child = parent;
        }
        Ok(())
    }
}

fn classify(entry: &Entry<'_>, name: &Name<'_>) -> Result<Kind, BadEntry> {
    if entry.encrypted {
        return Err(BadEntry::Encrypted);
    }
    let most = match entry.method {
        STORED => entry.packed,
        DEFLATED => entry.packed.saturating_mul(MAX_RATIO),
        method => return Err(BadEntry::Method { method }),
    };
    if entry.size > most {
        return Err(BadEntry::Impossible { declared: entry.size, packed: entry.packed });
    }
    let mode = entry.mode.unwrap_or(0);
    let kind = match (mode & TYPE, name.directory) {
        (0 | REGULAR, false) => Kind::File { executable: mode & EXECUTE != 0 },
        (0 | REGULAR | DIRECTORY, true) | (DIRECTORY, false) => Kind::Directory,
        (SYMLINK, false) => Kind::Link,
        _ => return Err(BadEntry::Kind),
    };
    if kind == Kind::Directory && entry.size != 0 {
        return Err(BadEntry::DirectoryWithContents);
    }
    Ok(kind)
}
