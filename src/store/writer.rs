//! The one thread that writes, and how many changes share one commit.
//!
//! ```text
//!   idle ── first job ──► BEGIN IMMEDIATE ──► run it, and whatever else is waiting ──► COMMIT
//!    ▲                                                                                   │
//!    ├──── publish the snapshot, release every waiter ◄──────────────── it succeeded ────┤
//!    ├──── ROLLBACK, tell every waiter ◄──────────── a statement failed, the disk is full┤
//!    └──── poisoned: nothing is written again ◄──────────────── anything else failed ────┘
//! ```
//!
//! A job decides on the snapshot as the jobs before it in the same transaction left it, and refuses
//! before it writes; so a refusal never has to undo anything. Nobody sees a change before its commit:
//! after a failed `fsync` the kernel may have dropped the pages and report success next time, which
//! is why a commit that fails is believed to be unknown, not undone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use model::{FunctionId, Generation};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot};

use crate::access::AccessKey;
use crate::function::Function;
use crate::layer::Layer;
use crate::refusal::{ChangeError, Refusal, StorageError};
use crate::snapshot::Snapshot;
use crate::sqlite::{layers, rows};

/// Jobs that share one commit at most, so that the first of them does not wait for ever.
const BATCH: usize = 256;

/// Jobs that wait at most before callers are made to wait.
const QUEUE: usize = 1024;

/// What a transaction has made of the snapshot so far.
pub(crate) struct Batch<'a> {
    connection: &'a Connection,
    snapshot: Snapshot,
    counters: Counters,
    changed: bool,
}

/// The last identifiers given out; they are saved with what they were given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counters {
    /// The last [`FunctionId`].
    pub(crate) function: u64,
    /// The last [`Generation`].
    pub(crate) generation: u64,
}

/// A change on its way to the thread and back.
trait Job: Send {
    /// Decides and writes. An error is the database's, and ends the transaction.
    fn decide(&mut self, batch: &mut Batch<'_>) -> Result<(), rusqlite::Error>;

    /// Tells whoever waits for it; `committed` says whether what was decided holds.
    fn release(self: Box<Self>, committed: Result<(), StorageError>);
}

/// The only kind of job: a closure, what it came to, and who waits.
struct Change<T, F> {
    decide: Option<F>,
    decided: Option<Result<T, Refusal>>,
    answer: oneshot::Sender<Result<T, ChangeError>>,
}

/// The way to the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    /// `None` once it is being stopped.
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    poisoned: Arc<AtomicBool>,
}

/// What the thread owns.
struct Thread {
    connection: Connection,
    published: Arc<ArcSwap<Snapshot>>,
    counters: Counters,
    poisoned: Arc<AtomicBool>,
}

// === impl Batch ===

impl Batch<'_> {
    /// Everything, as the jobs before left it.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The function of that name.
    pub(crate) fn function(&self, name: &str) -> Result<Arc<Function>, Refusal> {
        self.snapshot.function(name).cloned().ok_or(Refusal::NoFunction)
    }

    /// An identifier for a function.
    pub(crate) fn next_function(&mut self) -> FunctionId {
        self.counters.function += 1;
        FunctionId(self.counters.function)
    }

    /// A generation.
    pub(crate) fn next_generation(&mut self) -> Generation {
        self.counters.generation += 1;
        Generation(self.counters.generation)
    }

    /// Everything of a transaction but its end.
    fn fill(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), rusqlite::Error> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        for job in jobs {
            job.decide(self)?;
        }
        if self.changed {
            rows::save_counters(self.connection, self.counters)?;
        }
        Ok(())
    }

    /// Saves a function as it is now.
    pub(crate) fn put(&mut self, function: Function) -> Result<Arc<Function>, rusqlite::Error> {
        let function = Arc::new(function);
        let before = self.snapshot.put(Arc::clone(&function));
        self.changed = true;
        rows::save(self.connection, before.as_deref(), &function)?;
        Ok(function)
    }

    /// Deletes a function.
    pub(crate) fn remove(&mut self, function: &Function) -> Result<(), rusqlite::Error> {
        self.snapshot.remove(function.name.as_str());
        self.changed = true;
        rows::delete(self.connection, function.id)
    }

    /// Saves a layer as it is now.
    pub(crate) fn put_layer(&mut self, layer: Layer) -> Result<(), rusqlite::Error> {
        let layer = Arc::new(layer);
        let before = self.snapshot.put_layer(Arc::clone(&layer));
        self.changed = true;
        layers::save(self.connection, before.as_deref(), &layer)
    }

    /// Changes what belongs to no function: in the database and in the snapshot, as the caller does.
    pub(crate) fn beside<T>(
        &mut self,
        change: impl FnOnce(&Connection, &mut Snapshot) -> Result<T, rusqlite::Error>,
    ) -> Result<T, rusqlite::Error> {
        self.changed = true;
        change(self.connection, &mut self.snapshot)
    }

    /// Saves an access key.
    pub(crate) fn put_key(&mut self, key: AccessKey) -> Result<(), rusqlite::Error> {
        rows::save_key(self.connection, &key)?;
        self.snapshot.put_key(key);
        self.changed = true;
        Ok(())
    }
}

// === impl Writer ===

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(crate) fn start(
        connection: Connection,
        published: Arc<ArcSwap<Snapshot>>,
        counters: Counters,
    ) -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let poisoned = Arc::new(AtomicBool::new(false));
        let thread = Thread { connection, published, counters, poisoned: Arc::clone(&poisoned) };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || thread.run(waiting))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), poisoned })
    }

    /// Whether it has stopped writing for good.
    pub(crate) fn is_poisoned(&self) -> bool {
        let thread_is_gone = self.jobs.as_ref().is_none_or(mpsc::Sender::is_closed);
        self.poisoned.load(Ordering::Relaxed) || thread_is_gone
    }

    /// Has a change made, and waits until it is on the disk. If the caller goes away, the change is
    /// made none the less.
    ///
    /// `decide` returns `Ok(Err(refusal))` before it has written anything, or writes.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Batch<'_>) -> Result<Result<T, Refusal>, rusqlite::Error>
        + Send
        + 'static,
    ) -> Result<T, ChangeError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Change { decide: Some(decide), decided: None, answer });
        let jobs = self.jobs.as_ref().ok_or(StorageError::Poisoned)?;
        jobs.send(job).await.map_err(|_| StorageError::Poisoned)?;
        answered.await.map_err(|_| StorageError::Poisoned)?
    }
}

impl Drop for Writer {
    /// Lets the thread finish what was asked of it and close the database in order.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer thread panicked");
        }
    }
}

// === impl Change ===

impl<T, F> Job for Change<T, F>
where
    T: Send,
    F: FnOnce(&mut Batch<'_>) -> Result<Result<T, Refusal>, rusqlite::Error> + Send,
{
    fn decide(&mut self, batch: &mut Batch<'_>) -> Result<(), rusqlite::Error> {
        if let Some(decide) = self.decide.take() {
            self.decided = Some(decide(batch)?);
        }
        Ok(())
    }

    fn release(self: Box<Self>, committed: Result<(), StorageError>) {
        let result = match (committed, self.decided) {
            (Ok(()), Some(decided)) => decided.map_err(ChangeError::from),
            (Err(err), _) => Err(err.into()),
            (Ok(()), None) => Err(StorageError::Poisoned.into()),
        };
        // A caller that has gone away needs no answer.
        let _ = self.answer.send(result);
    }
}

// === impl Thread ===

impl Thread {
    fn run(mut self, mut waiting: mpsc::Receiver<Box<dyn Job>>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut jobs: Vec<Box<dyn Job>> = std::iter::once(first)
                .chain(std::iter::from_fn(|| waiting.try_recv().ok()))
                .take(BATCH)
                .collect();
            let outcome = self.commit(&mut jobs);
            if let Err(err) = &outcome {
                tracing::error!(%err, jobs = jobs.len(), "changes were not written");
            }
            for job in jobs {
                job.release(outcome.clone());
            }
        }
    }

    /// One transaction.
    fn commit(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), StorageError> {
        if self.poisoned.load(Ordering::Relaxed) {
            return Err(StorageError::Poisoned);
        }
        let mut batch = Batch {
            connection: &self.connection,
            snapshot: (**self.published.load()).clone(),
            counters: self.counters,
            changed: false,
        };
        if let Err(err) = batch.fill(jobs) {
            return Err(self.undo(&err));
        }
        let Batch { snapshot, counters, changed, .. } = batch;
        match self.connection.execute_batch("COMMIT") {
            Ok(()) => {
                self.counters = counters;
                if changed {
                    self.published.store(Arc::new(snapshot));
                }
                Ok(())
            }
            // Nothing reached the log, so there is nothing that could be unknown.
            Err(err) if err.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                Err(self.undo(&err))
            }
            Err(err) => {
                tracing::error!(%err, "a commit failed; the store takes no more changes");
                self.poisoned.store(true, Ordering::Relaxed);
                Err(StorageError::Poisoned)
            }
        }
    }

    /// Takes a transaction back.
    fn undo(&self, because: &rusqlite::Error) -> StorageError {
        if !self.connection.is_autocommit()
            && let Err(err) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%err, "a rollback failed; the store takes no more changes");
            self.poisoned.store(true, Ordering::Relaxed);
            return StorageError::Poisoned;
        }
        match because.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StorageError::Full,
            _ => StorageError::RolledBack { reason: because.to_string() },
        }
    }
}

#[cfg(test)]
mod tests;
