//! The queue as the rest of the program sees it.

use std::path::Path;
use std::thread::JoinHandle;

use bytes::Bytes;
use model::{FunctionId, FunctionName};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::events::thread::{Change, Job, Probe, Thread};
use crate::events::{Due, EventNumber, Mark, NewEvent, Settled, Verdict, rows};
use crate::refusal::StorageError;
use crate::sqlite::OpenError;

/// Jobs that wait at most before callers are made to wait.
const QUEUE: usize = 1024;

/// Events that are taken out of a deleted function's queue in one step, so that nobody waits long
/// behind it: about a millisecond's work.
const PURGED_AT_ONCE: u32 = 512;

/// Accepted events, on disk.
///
/// Every change is on the disk when its method returns `Ok`. Dropping the future of a change does not
/// take it back. After an error nobody knows whether the change was made; all of them can be repeated.
#[derive(Debug)]
pub struct EventQueue {
    /// `None` once it is being closed.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    found: Found,
}

/// What was in the file when it was opened.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// How many events.
    pub events: u64,
    /// Every function that has some, with the name it had.
    pub functions: Vec<(FunctionId, FunctionName)>,
}

// === impl EventQueue ===

impl EventQueue {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// If it cannot be used, or was written by a newer program.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::start(path, None)
    }

    /// The same with a probe that is asked at every durable step what goes wrong there; for tests.
    ///
    /// # Errors
    /// As [`EventQueue::open`].
    pub fn open_probed(path: &Path, probe: Probe) -> Result<Self, OpenError> {
        Self::start(path, Some(probe))
    }

    fn start(path: &Path, probe: Option<Probe>) -> Result<Self, OpenError> {
        let (thread, found) = Thread::open(path, probe)?;
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("events-writer".to_owned())
            .spawn(move || thread.run(waiting))
            .map_err(|source| OpenError::Thread { source })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), found })
    }

    /// What was in the file when it was opened.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// Keeps an event.
    ///
    /// # Errors
    /// If it is not known to be on the disk. It may be there all the same.
    pub async fn accept(&self, new: NewEvent) -> Result<EventNumber, StorageError> {
        let (answer, answered) = oneshot::channel();
        self.change(Change::Accept { new, answer }, answered).await
    }

    /// Keeps an event and notes its mark, both or neither, unless the mark had got as far before: then
    /// `None`. So it can be asked for again after an error, and the event is kept once.
    ///
    /// # Errors
    /// If it is not known to be on the disk. It may be there all the same.
    pub async fn accept_once(
        &self,
        new: NewEvent,
        mark: Mark,
    ) -> Result<Option<EventNumber>, StorageError> {
        let (answer, answered) = oneshot::channel();
        self.change(Change::AcceptOnce { new, mark, answer }, answered).await
    }

    /// Every mark.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn marks(&self) -> Result<Vec<Mark>, StorageError> {
        self.read(rows::marks).await
    }

    /// Takes marks away whose owners are gone for ever; how many it were.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn forget(&self, keys: Vec<String>) -> Result<u64, StorageError> {
        let (answer, answered) = oneshot::channel();
        self.change(Change::Forget { keys, answer }, answered).await
    }

    /// Writes what becomes of an event, and keeps what follows from it, together. An event that is
    /// over already stays over, and nothing follows from it again.
    ///
    /// # Errors
    /// If it is not known to be on the disk; it can be asked for again.
    pub async fn settle(
        &self,
        number: EventNumber,
        verdict: Verdict,
        follow: Option<NewEvent>,
    ) -> Result<Settled, StorageError> {
        let (answer, answered) = oneshot::channel();
        self.change(Change::Settle { number, verdict, follow, answer }, answered).await
    }

    /// Takes out every event of a function; how many it were. What is on its way to the disk at this
    /// moment may stay.
    ///
    /// # Errors
    /// If some of them may still be there.
    pub async fn purge(&self, function: FunctionId) -> Result<u64, StorageError> {
        let mut all = 0;
        loop {
            let (answer, answered) = oneshot::channel();
            let limit = PURGED_AT_ONCE;
            let gone = self.change(Change::Purge { function, limit, answer }, answered).await?;
            all += gone;
            if gone == 0 {
                return Ok(all);
            }
        }
    }

    /// Brings times that cannot be, because the clock was set back, to what can: nothing was accepted
    /// after `now_ms`, and nothing is due later than `horizon_ms` after it. How many it were.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn tame(&self, now_ms: u64, horizon_ms: u64) -> Result<u64, StorageError> {
        let (answer, answered) = oneshot::channel();
        self.change(Change::Tame { now_ms, horizon_ms, answer }, answered).await
    }

    /// What of a function is due at `now_ms`: at most `limit` of those that are not in `but`.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn due(
        &self,
        function: FunctionId,
        now_ms: u64,
        limit: usize,
        but: Vec<EventNumber>,
    ) -> Result<Due, StorageError> {
        self.read(move |file| rows::due(file, function, now_ms, limit, &but)).await
    }

    /// A payload; `None` if the event is over.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn payload(&self, number: EventNumber) -> Result<Option<Bytes>, StorageError> {
        self.read(move |file| rows::payload(file, number)).await
    }

    /// How many events there are; looks at each of them.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn count(&self) -> Result<u64, StorageError> {
        self.read(rows::count).await
    }

    /// When the oldest event was accepted, milliseconds since the epoch.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn oldest(&self) -> Result<Option<u64>, StorageError> {
        self.read(rows::oldest).await
    }

    async fn change<T>(
        &self,
        change: Change,
        answered: oneshot::Receiver<Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let jobs = self.jobs.as_ref().ok_or(StorageError::Closed)?;
        jobs.send(Job::Change(change)).await.map_err(|_| StorageError::Closed)?;
        answered.await.map_err(|_| StorageError::Closed)?
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Read(Box::new(move |file| {
            let found = match file {
                Ok(file) => read(file),
                Err(err) => {
                    let _ = answer.send(Err(err));
                    return true;
                }
            };
            let well = found.is_ok();
            // A caller that has gone away needs no answer.
            let _ = answer
                .send(found.map_err(|err| StorageError::RolledBack { reason: err.to_string() }));
            well
        }));
        let jobs = self.jobs.as_ref().ok_or(StorageError::Closed)?;
        jobs.send(job).await.map_err(|_| StorageError::Closed)?;
        answered.await.map_err(|_| StorageError::Closed)?
    }
}

impl Drop for EventQueue {
    /// Lets the thread finish what was asked of it and close the file in order.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes events panicked");
        }
    }
}

#[cfg(test)]
mod tests;
