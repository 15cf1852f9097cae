//! Function logs on disk.
//!
//! ```text
//!   append ──► queue (bounded, in memory) ──► writer (one thread) ──► segment files
//!                 │ full: counted, and said                              │
//!                 ▼ in the stream itself                                 ▼
//!              "N lines were dropped"             reader ◄── catalog: which bytes are complete
//! ```
//!
//! A group is a directory, a log a row of append-only segments in it. The catalog in memory knows of
//! each segment how many bytes of it are complete, and readers never look beyond them, so nobody
//! sees half a record. Everything in the catalog can be read from the segments again; beside a
//! segment that is full lies an index (`.idx`) that only saves the reading.
//!
//! ```text
//!   segment:   open ──(full, or an eighth of the age limit old)──► sealed ──(limits)──► deleted
//!                └──(kill -9)──► torn tail ──(next start)──► cut off, open again
//! ```
//!
//! What a function prints is a stranger's: it cannot block its caller ([`LogStore::append`] only
//! copies), grow memory (the queue is bounded, and a group that floods it leaves room for others),
//! fill the disk (limits per group, in total and by free space), or forge records (see the
//! `record` module). Logs are not synchronised to disk: a crash of the process loses what was in
//! the queue, a power failure the last seconds. They are not in SQLite either, which would pay for
//! every line with a transaction.

mod catalog;
mod name;
mod pattern;
mod position;
mod queue;
mod read;
mod record;
mod retention;
mod scan;
mod segment;
mod start;
mod writer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

pub use pattern::{FilterPattern, PatternError};
pub use position::{EventId, Position};
pub use read::{Direction, Event, Group, Page, Query, ReadError, Stream, StreamFilter};

use catalog::Catalog;
use queue::Queue;
use writer::Writer;

/// How much may be kept, and how much may wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes on disk of one group; beyond them its oldest segments go.
    pub group_bytes: u64,
    /// Bytes on disk of all groups; beyond them the oldest segment of the largest group goes.
    pub total_bytes: u64,
    /// Events older than this are no longer shown, and deleted with the segment they are in.
    pub max_age: Duration,
    /// Bytes after which a segment is full; at most a quarter of a group's limit is used.
    pub segment_bytes: u32,
    /// Bytes of memory in which lines may wait for the writer.
    pub queue_bytes: usize,
    /// Free bytes on the file system below which nothing more is written.
    pub min_free_bytes: u64,
}

/// The function logs of one data directory. Share it by `Arc`; dropping it writes what waits.
#[derive(Debug)]
pub struct LogStore {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// Why the logs could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A directory could not be made or read.
    #[error("cannot read the log directory {}", path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The writer could not be started.
    #[error("cannot start the thread that writes logs")]
    Thread {
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What appenders, readers and the writer have in common.
#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    limits: Limits,
    machine: Arc<dyn Machine>,
    queue: Queue,
    catalog: Mutex<Catalog>,
}

/// What is outside: the time and the file system's free space. Tests have their own.
trait Machine: fmt::Debug + Send + Sync {
    /// Milliseconds since the epoch.
    fn now_ms(&self) -> u64;

    /// What an unprivileged process may still write to the file system of `path`, bytes.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// The machine we run on.
#[derive(Debug)]
struct RealMachine;

// === impl Limits ===

impl Default for Limits {
    /// A month of logs in at most 4 GiB, and 16 functions may be as chatty as they like; no AWS
    /// limit stands behind these.
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            group_bytes: 256 * MIB,
            total_bytes: 4096 * MIB,
            max_age: Duration::from_secs(30 * 24 * 60 * 60),
            segment_bytes: 8 * MIB as u32,
            // A function that prints some megabytes at once loses none of them.
            queue_bytes: 32 * MIB as usize,
            min_free_bytes: 512 * MIB,
        }
    }
}

impl Limits {
    /// The same with segments so small that a limit is kept by deleting a part of a log and not all
    /// of it, and that an offset in one fits into 32 bits.
    fn reconciled(mut self) -> Self {
        /// Far below 4 GiB, far above what anybody would ask for.
        const MAX_SEGMENT: u32 = 1 << 30;
        for whole in [self.group_bytes, self.total_bytes] {
            let part = u32::try_from(whole / 4).unwrap_or(MAX_SEGMENT);
            self.segment_bytes = self.segment_bytes.min(part);
        }
        self.segment_bytes = self.segment_bytes.min(MAX_SEGMENT);
        self
    }

    /// The age limit in the unit of every timestamp.
    fn max_age_ms(&self) -> u64 {
        u64::try_from(self.max_age.as_millis()).unwrap_or(u64::MAX)
    }
}

// === impl LogStore ===

impl LogStore {
    /// Opens the logs in `dir`, which is made if it is not there, and starts the writer.
    ///
    /// Torn tails are cut off, segments without an index are read, what is too old is deleted. One
    /// process at a time: the caller holds the lock of the data directory.
    ///
    /// # Errors
    /// If directories cannot be read or no thread can be started. What is wrong with a single segment
    /// is reported and passed over.
    pub fn open(dir: &Path, limits: Limits) -> Result<Self, OpenError> {
        Self::open_on(dir, limits, Arc::new(RealMachine))
    }

    fn open_on(dir: &Path, limits: Limits, machine: Arc<dyn Machine>) -> Result<Self, OpenError> {
        let limits = limits.reconciled();
        let catalog = start::recover(dir, &limits)?;
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            queue: Queue::new(limits.queue_bytes),
            limits,
            machine,
            catalog: Mutex::new(catalog),
        });
        let writer = Writer::new(Arc::clone(&shared));
        let writer = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| OpenError::Thread { source })?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// Adds one event to a stream.
    ///
    /// Never waits for the disk and never fails: what finds no room is dropped and counted, and a
    /// line in the stream says how many lines are missing. A message over 256 KiB is cut.
    ///
    /// `timestamp_ms` is milliseconds since the epoch; events are kept in the order of the calls.
    pub fn append(&self, group: &Arc<str>, stream: &Arc<str>, timestamp_ms: u64, message: &[u8]) {
        self.append_all(group, stream, timestamp_ms, std::iter::once(message));
    }

    /// Adds every line of `lines` as an event of its own, in one go. Like so many calls of
    /// [`LogStore::append`], for less.
    pub fn append_lines(
        &self,
        group: &Arc<str>,
        stream: &Arc<str>,
        timestamp_ms: u64,
        lines: &[u8],
    ) {
        let lines = lines.split_inclusive(|byte| *byte == b'\n');
        self.append_all(group, stream, timestamp_ms, lines);
    }

    fn append_all<'a>(
        &self,
        group: &Arc<str>,
        stream: &Arc<str>,
        timestamp_ms: u64,
        messages: impl Iterator<Item = &'a [u8]>,
    ) {
        let now = self.shared.now_ms();
        self.shared.queue.push(group, stream, timestamp_ms, now, messages);
    }

    /// Waits until everything appended before can be read.
    pub fn flush(&self) {
        self.shared.queue.flush();
    }

    /// Waits until everything appended before would survive a power failure.
    pub fn sync(&self) {
        self.shared.queue.sync();
    }

    /// The groups whose name begins with `prefix`, sorted by name.
    pub fn groups(&self, prefix: &str) -> Vec<Group> {
        read::groups(&self.shared, prefix)
    }

    /// The streams of a group whose name begins with `prefix`, sorted by name. Reads files.
    ///
    /// # Errors
    /// If there is no such group, or a file cannot be read.
    pub fn streams(&self, group: &str, prefix: &str) -> Result<Vec<Stream>, ReadError> {
        read::streams(&self.shared, group, prefix)
    }

    /// A page of events. Reads files.
    ///
    /// # Errors
    /// If there is no such group, or a file cannot be read.
    pub fn events(&self, query: &Query<'_>) -> Result<Page, ReadError> {
        read::events(&self.shared, query)
    }
}

impl Drop for LogStore {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the log writer had panicked");
        }
    }
}

// === impl Shared ===

impl Shared {
    /// The catalog. A holder that panicked left it usable: every change is made in one step.
    fn catalog(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.machine.now_ms()
    }
}

// === impl RealMachine ===

impl Machine for RealMachine {
    /// A clock before the epoch counts as standing at it.
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = nix::sys::statvfs::statvfs(path)?;
        Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
    }
}

#[cfg(test)]
mod tests;
