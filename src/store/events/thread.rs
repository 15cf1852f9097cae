//! The one thread that reads and writes `events.db`, and how many changes share one commit.
//!
//! ```text
//!   OPEN ── first job ──► reads are answered ──► BEGIN, every change that waits, COMMIT
//!    ▲                                                │
//!    ├──── told that it is on the disk ◄──────────────┤ it succeeded
//!    ├──── ROLLBACK, told that it is not ◄────────────┤ the disk is full
//!    │                                                │ anything else
//!    │                                                ▼
//!    └── opened again, log emptied into the file ◄── BROKEN: nothing is believed, all is refused
//! ```
//!
//! After a failed `fsync` the kernel may have dropped what was to be written and report success next
//! time, so that a later commit in the same log would be lost with the one before it although its own
//! `fsync` succeeded. A file that failed is therefore closed and opened anew, which reads the log as
//! far as its checksums go; what that gives is copied into the database and the log is begun again
//! before anything is acknowledged.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::FunctionId;
use rusqlite::{Connection, ErrorCode};
use telemetry::metrics::METRICS;
use tokio::sync::{mpsc, oneshot};

use crate::events::queue::Found;
use crate::events::{EventNumber, Mark, NewEvent, Settled, Verdict, rows};
use crate::refusal::StorageError;
use crate::sqlite::{self, OpenError};

/// Changes that share one commit at most, so that the first of them does not wait for ever.
const BATCH: usize = 256;

/// Bytes of payload that share one commit at most, beside one event of any size.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// How long a broken file is left alone before it is opened again; meanwhile everything is refused.
const REST: Duration = Duration::from_millis(100);

/// Where a test can make something go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The transaction is filled and not yet committed.
    Filled,
    /// It is on the disk, and nobody has been told.
    Committed,
    /// A broken file is about to be opened again.
    Reopening,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full.
    Full,
    /// An I/O error, as `fsync` reports one: what is on the disk is not known.
    Io,
    /// The process is gone: nothing is answered, now or later.
    Dead,
}

/// Asked at every step; says what goes wrong there, if anything.
pub type Probe = Box<dyn FnMut(Step) -> Option<Fault> + Send>;

/// Tells one caller what became of his change.
type Answer<T> = oneshot::Sender<Result<T, StorageError>>;

/// Looks at the file; says whether it could.
type Look = Box<dyn FnOnce(Result<&Connection, StorageError>) -> bool + Send>;

/// What is asked of the thread.
pub(super) enum Job {
    /// Something is to be read.
    Read(Look),
    /// Something is to be changed.
    Change(Change),
}

/// A change, and who waits for it.
#[derive(Debug)]
pub(super) enum Change {
    /// See [`super::EventQueue::accept`].
    Accept { new: NewEvent, answer: Answer<EventNumber> },
    /// See [`super::EventQueue::accept_once`].
    AcceptOnce { new: NewEvent, mark: Mark, answer: Answer<Option<EventNumber>> },
    /// See [`super::EventQueue::forget`].
    Forget { keys: Vec<String>, answer: Answer<u64> },
    /// See [`super::EventQueue::settle`].
    Settle {
        number: EventNumber,
        verdict: Verdict,
        follow: Option<NewEvent>,
        answer: Answer<Settled>,
    },
    /// See [`super::EventQueue::purge`].
    Purge { function: FunctionId, limit: u32, answer: Answer<u64> },
    /// See [`super::EventQueue::tame`].
    Tame { now_ms: u64, horizon_ms: u64, answer: Answer<u64> },
}

/// What a change came to, if its transaction is committed.
enum Done {
    Number(EventNumber),
    Once(Option<EventNumber>),
    Settled(Settled),
    Rows(u64),
}

/// The file, as far as it can be believed.
enum File {
    Open(Connection),
    Broken {
        since: Instant,
    },
    /// A test has ended it.
    Dead,
}

/// What the thread owns.
pub(super) struct Thread {
    path: PathBuf,
    file: File,
    /// The last number given out; never one twice while this process lives.
    last: u64,
    /// How many events there are.
    count: u64,
    probe: Option<Probe>,
}

// === impl Thread ===

impl Thread {
    pub(super) fn open(path: &Path, probe: Option<Probe>) -> Result<(Self, Found), OpenError> {
        let connection = sqlite::open(path, sqlite::EVENTS)?;
        let failed = |source| OpenError::Open { path: path.to_owned(), source };
        let last = rows::last_number(&connection).map_err(failed)?;
        let events = rows::count(&connection).map_err(failed)?;
        let functions = rows::functions(&connection).map_err(failed)?;
        METRICS.events_async_queued.set(events);
        let (path, file) = (path.to_owned(), File::Open(connection));
        Ok((Self { path, file, last, count: events, probe }, Found { events, functions }))
    }

    pub(super) fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut changes = Vec::new();
            let (mut next, mut bytes, mut taken) = (Some(first), 0, 0);
            while let Some(job) = next {
                taken += 1;
                match job {
                    Job::Read(look) => self.read(look),
                    Job::Change(change) => {
                        bytes += change.bytes();
                        changes.push(change);
                    }
                }
                let more = taken < BATCH && bytes < BATCH_BYTES;
                next = if more { waiting.try_recv().ok() } else { None };
            }
            if !changes.is_empty() {
                self.write(changes);
            }
            if matches!(self.file, File::Dead) {
                return;
            }
        }
    }

    /// What was asked for before the changes of the same batch, or beside them; either order is one
    /// in which they could have come.
    fn read(&mut self, look: Look) {
        let file = self.usable();
        let asked_file = file.is_ok();
        let well = look(file);
        if asked_file && !well {
            tracing::error!("accepted events cannot be read; the file is opened again");
            self.file = File::Broken { since: Instant::now() };
        }
    }

    fn write(&mut self, changes: Vec<Change>) {
        let outcome = self.commit(&changes);
        if matches!(self.file, File::Dead) {
            return;
        }
        match outcome {
            Ok(done) => {
                for (change, done) in changes.into_iter().zip(done) {
                    change.succeed(done);
                }
            }
            Err(err) => {
                tracing::error!(%err, changes = changes.len(), "events were not written");
                for change in changes {
                    change.fail(&err);
                }
            }
        }
    }

    /// One transaction.
    fn commit(&mut self, changes: &[Change]) -> Result<Vec<Done>, StorageError> {
        let mut last = self.last;
        let filled = fill(self.usable()?, changes, &mut last);
        // A number is given out once, whatever becomes of the transaction.
        self.last = last;
        let filled = match self.fault(Step::Filled) {
            Some(Fault::Dead) => {
                self.file = File::Dead;
                return Err(StorageError::Closed);
            }
            Some(Fault::Full) => Err(failure(ErrorCode::DiskFull)),
            Some(Fault::Io) => {
                // What `fsync` failed on may be on the disk all the same.
                let _ = self.usable()?.execute_batch("COMMIT");
                Err(failure(ErrorCode::SystemIoFailure))
            }
            None => filled,
        };
        let committed = filled.and_then(|done| {
            let File::Open(connection) = &self.file else { return Ok(done) };
            connection.execute_batch("COMMIT").map(|()| done)
        });
        let done = committed.map_err(|err| self.failed(&err))?;
        for (change, done) in changes.iter().zip(&done) {
            let (more, less) = done.rows(change);
            self.count = (self.count + more).saturating_sub(less);
        }
        METRICS.events_async_queued.set(self.count);
        match self.fault(Step::Committed) {
            None => Ok(done),
            Some(Fault::Dead) => {
                self.file = File::Dead;
                Err(StorageError::Closed)
            }
            Some(_) => Err(self.failed(&failure(ErrorCode::SystemIoFailure))),
        }
    }

    /// Takes back what failed, and stops believing the file unless the disk was merely full.
    fn failed(&mut self, because: &rusqlite::Error) -> StorageError {
        let full = because.sqlite_error_code() == Some(ErrorCode::DiskFull);
        if let File::Open(connection) = &self.file {
            let undone = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
            if full && undone {
                return StorageError::Full;
            }
        }
        tracing::error!(err = %because, "the file of accepted events is opened again");
        self.file = File::Broken { since: Instant::now() };
        StorageError::RolledBack { reason: because.to_string() }
    }

    /// The file, opened again if it was broken.
    fn usable(&mut self) -> Result<&Connection, StorageError> {
        if let File::Broken { since } = self.file
            && since.elapsed() >= REST
        {
            self.file = match self.reopen() {
                Ok(connection) => File::Open(connection),
                Err(err) => {
                    tracing::error!(%err, "the file of accepted events cannot be opened again");
                    File::Broken { since: Instant::now() }
                }
            };
        }
        match &self.file {
            File::Open(connection) => Ok(connection),
            File::Broken { .. } => {
                Err(StorageError::RolledBack { reason: "the file is being opened again".into() })
            }
            File::Dead => Err(StorageError::Closed),
        }
    }

    /// Opens the file again, with an empty log.
    fn reopen(&mut self) -> Result<Connection, OpenError> {
        let failed = |source| OpenError::Open { path: self.path.clone(), source };
        if self.probe.as_mut().is_some_and(|probe| probe(Step::Reopening).is_some()) {
            return Err(failed(failure(ErrorCode::SystemIoFailure)));
        }
        let connection = sqlite::open(&self.path, sqlite::EVENTS)?;
        let busy: i64 = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(failed)?;
        if busy != 0 {
            return Err(failed(failure(ErrorCode::DatabaseBusy)));
        }
        // What was not acknowledged may be there, with a number that was given out.
        let last = rows::last_number(&connection).map_err(failed)?;
        let count = rows::count(&connection).map_err(failed)?;
        (self.last, self.count) = (self.last.max(last), count);
        tracing::info!("the file of accepted events is in use again");
        Ok(connection)
    }

    fn fault(&mut self, step: Step) -> Option<Fault> {
        self.probe.as_mut().and_then(|probe| probe(step))
    }
}

/// Everything of a transaction but its end.
fn fill(
    connection: &Connection,
    changes: &[Change],
    last: &mut u64,
) -> Result<Vec<Done>, rusqlite::Error> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let mut keep = |new: &NewEvent| {
        *last += 1;
        let number = EventNumber(*last);
        rows::insert(connection, number, new).map(|()| number)
    };
    let apply = |change: &Change| match change {
        Change::Accept { new, .. } => keep(new).map(Done::Number),
        Change::AcceptOnce { new, mark, .. } => match rows::advance(connection, mark)? {
            true => keep(new).map(|number| Done::Once(Some(number))),
            false => Ok(Done::Once(None)),
        },
        Change::Forget { keys, .. } => rows::forget(connection, keys).map(Done::Rows),
        Change::Settle { number, verdict, follow, .. } => {
            let there = rows::settle(connection, *number, *verdict)?;
            let follow = follow.as_ref().filter(|_| there);
            let follow = follow.map(&mut keep).transpose()?;
            Ok(Done::Settled(Settled { there, follow }))
        }
        Change::Purge { function, limit, .. } => {
            rows::purge(connection, *function, *limit).map(Done::Rows)
        }
        Change::Tame { now_ms, horizon_ms, .. } => {
            rows::tame(connection, *now_ms, *horizon_ms).map(Done::Rows)
        }
    };
    changes.iter().map(apply).collect()
}

/// An error as SQLite would give it.
fn failure(code: ErrorCode) -> rusqlite::Error {
    let extended_code = code as i32;
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error { code, extended_code }, None)
}

// === impl Done ===

impl Done {
    /// How many events came by that, and how many went.
    fn rows(&self, change: &Change) -> (u64, u64) {
        match (self, change) {
            (Self::Number(_) | Self::Once(Some(_)), _) => (1, 0),
            (Self::Settled(settled), Change::Settle { verdict, .. }) => {
                let over = *verdict == Verdict::Over && settled.there;
                (u64::from(settled.follow.is_some()), u64::from(over))
            }
            (Self::Rows(rows), Change::Purge { .. }) => (0, *rows),
            (Self::Once(None) | Self::Settled(_) | Self::Rows(_), _) => (0, 0),
        }
    }
}

// === impl Change ===

impl Change {
    /// Bytes of payload in it.
    fn bytes(&self) -> usize {
        match self {
            Self::Accept { new, .. } | Self::AcceptOnce { new, .. } => new.payload.len(),
            Self::Settle { follow, .. } => follow.as_ref().map_or(0, |new| new.payload.len()),
            Self::Purge { .. } | Self::Tame { .. } | Self::Forget { .. } => 0,
        }
    }

    /// Tells whoever waits; one that has gone away needs no answer.
    fn succeed(self, done: Done) {
        match (self, done) {
            (Self::Accept { answer, .. }, Done::Number(number)) => drop(answer.send(Ok(number))),
            (Self::AcceptOnce { answer, .. }, Done::Once(number)) => drop(answer.send(Ok(number))),
            (Self::Settle { answer, .. }, Done::Settled(settled)) => drop(answer.send(Ok(settled))),
            (
                Self::Purge { answer, .. }
                | Self::Tame { answer, .. }
                | Self::Forget { answer, .. },
                Done::Rows(rows),
            ) => drop(answer.send(Ok(rows))),
            // Never: `fill` gives each its own. Whoever waits sees the other end gone.
            (change, _) => drop(change),
        }
    }

    fn fail(self, err: &StorageError) {
        match self {
            Self::Accept { answer, .. } => drop(answer.send(Err(err.clone()))),
            Self::AcceptOnce { answer, .. } => drop(answer.send(Err(err.clone()))),
            Self::Settle { answer, .. } => drop(answer.send(Err(err.clone()))),
            Self::Purge { answer, .. }
            | Self::Tame { answer, .. }
            | Self::Forget { answer, .. } => {
                drop(answer.send(Err(err.clone())));
            }
        }
    }
}
