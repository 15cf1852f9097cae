//! The shell: what [`Lanes`] says is done, one task per delivery, one that waits.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use model::{FunctionId, FunctionName, Qualifier, RequestId};
use store::StorageError;
use store::events::{EventQueue, Mark, NewEvent, QueuedEvent};
use telemetry::metrics::{AsyncDrop, METRICS};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::clock::Clock;
use crate::delivery;
use crate::functions::Functions;
use crate::lanes::{Action, Lanes, Limits};
use crate::policy::LONGEST_PAUSE_MS;

/// How long something that the disk refused waits before it is tried again: for the first time, and
/// at most.
pub(crate) const DISK_PAUSES: (Duration, Duration) =
    (Duration::from_millis(50), Duration::from_secs(1));

/// How often the age of the oldest event is looked at.
const AGE_EVERY_MS: u64 = 10_000;

/// An event that somebody wants delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The id its caller is told.
    pub id: RequestId,
    /// Whose it is.
    pub function: FunctionId,
    /// What that is called.
    pub name: FunctionName,
    /// Which version, if the caller said.
    pub qualifier: Option<Qualifier>,
    /// X-Ray trace header; empty if there is none.
    pub trace: Arc<str>,
    /// The event, JSON, at most 1 MiB.
    pub payload: Bytes,
}

/// Accepts events and delivers them.
pub struct Events {
    pub(crate) inner: Arc<Inner>,
    timekeeper: AbortHandle,
}

/// What deliveries share.
pub(crate) struct Inner {
    pub(crate) queue: EventQueue,
    pub(crate) functions: Arc<dyn Functions>,
    pub(crate) clock: Clock,
    lanes: Mutex<Lanes>,
    /// Something may have to be waited for that was not.
    changed: Notify,
    /// A delivery has ended.
    pub(crate) landed: Notify,
}

// === impl Events ===

impl Events {
    /// Delivers what is in the queue, and what will be. Has to be called within a runtime.
    pub fn start(
        queue: EventQueue,
        functions: Arc<dyn Functions>,
        clock: Clock,
        limits: Limits,
    ) -> Self {
        let found = queue.found().clone();
        if found.events > 0 {
            let (events, functions) = (found.events, found.functions.len());
            tracing::info!(events, functions, "accepted events wait from before");
        }
        let lanes = Mutex::new(Lanes::new(limits));
        let (changed, landed) = (Notify::new(), Notify::new());
        let inner = Arc::new(Inner { queue, functions, clock, lanes, changed, landed });
        tokio::spawn(recover(Arc::clone(&inner), found.functions));
        let timekeeper = tokio::spawn(keep_time(Arc::clone(&inner))).abort_handle();
        Self { inner, timekeeper }
    }

    /// Accepts an event: it will be delivered, whatever happens to this process. If the caller goes
    /// away meanwhile, it is accepted none the less.
    ///
    /// # Errors
    /// If it is not known to be on the disk.
    pub async fn accept(&self, call: Call) -> Result<(), StorageError> {
        self.keep(call, None).await.map(|_| ())
    }

    /// The same for somebody who hands over one event for each of its instants and notes how far it has
    /// got: whether the event was accepted, and not one for that instant or a later one before.
    ///
    /// # Errors
    /// If it is not known to be on the disk; it can be asked for again.
    pub async fn accept_once(&self, call: Call, mark: Mark) -> Result<bool, StorageError> {
        self.keep(call, Some(mark)).await
    }

    /// How far everybody has got.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn marks(&self) -> Result<Vec<Mark>, StorageError> {
        self.inner.queue.marks().await
    }

    /// Takes marks away whose owners are gone for ever.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn forget_marks(&self, keys: Vec<String>) -> Result<(), StorageError> {
        self.inner.queue.forget(keys).await.map(drop)
    }

    /// Accepts an event, unless its mark says that it was; whether it was now.
    async fn keep(&self, call: Call, mark: Option<Mark>) -> Result<bool, StorageError> {
        let inner = Arc::clone(&self.inner);
        let kept = async move {
            let Call { id, function, name, qualifier, trace, payload } = call;
            let accepted_ms = inner.clock.now_ms();
            let lineage = Arc::from("");
            let new =
                NewEvent { id, function, name, qualifier, accepted_ms, trace, lineage, payload };
            let number = match mark {
                None => inner.queue.accept(new.clone()).await.map(Some),
                Some(mark) => inner.queue.accept_once(new.clone(), mark).await,
            };
            match number {
                Ok(Some(number)) => {
                    METRICS.events_async_accepted.inc();
                    inner.queued(QueuedEvent::of(number, &new), new.payload);
                    Ok(true)
                }
                Ok(None) => Ok(false),
                Err(err) => {
                    // It was not promised, and may be there.
                    inner.lanes(|lanes, now_ms| lanes.look_soon(function, now_ms));
                    Err(err)
                }
            }
        };
        // A task of its own, because an HTTP request ends wherever its caller hangs up.
        tokio::spawn(kept).await.unwrap_or(Err(StorageError::Closed))
    }

    /// Drops what is queued for a function that was deleted.
    pub fn forget(&self, function: FunctionId, name: &FunctionName) {
        let (inner, name) = (Arc::clone(&self.inner), name.clone());
        tokio::spawn(async move { inner.purge(function, &name).await });
    }

    /// Starts no more deliveries.
    pub fn stop(&self) {
        self.inner.lanes(|lanes, _| lanes.stop());
    }

    /// Waits until nothing is being delivered, which may be for ever unless [`Events::stop`] was
    /// called.
    pub async fn landed(&self) {
        loop {
            let landed = self.inner.landed.notified();
            tokio::pin!(landed);
            landed.as_mut().enable();
            if self.inner.lanes(|lanes, _| lanes.flying()) == 0 {
                return;
            }
            landed.await;
        }
    }
}

impl Drop for Events {
    /// What is being delivered lands by itself.
    fn drop(&mut self) {
        self.stop();
        self.timekeeper.abort();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

// === impl Inner ===

impl Inner {
    /// Tells the lanes something, and does what follows from it.
    pub(crate) fn lanes<T>(self: &Arc<Self>, tell: impl FnOnce(&mut Lanes, u64) -> T) -> T {
        let now_ms = self.clock.now_ms();
        let (told, actions, sooner) = {
            let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            let before = lanes.next_wake_ms();
            let told = tell(&mut lanes, now_ms);
            (told, lanes.take_actions(), lanes.next_wake_ms() != before)
        };
        self.perform(actions, now_ms);
        if sooner {
            self.changed.notify_one();
        }
        told
    }

    fn perform(self: &Arc<Self>, actions: Vec<Action>, now_ms: u64) {
        for action in actions {
            match action {
                Action::Start(work) => {
                    tokio::spawn(delivery::deliver(Arc::clone(self), work));
                }
                Action::Read { function, limit, but } => {
                    let inner = Arc::clone(self);
                    tokio::spawn(async move {
                        let due = inner.queue.due(function, now_ms, limit, but).await;
                        inner.lanes(|lanes, now_ms| match due {
                            Ok(due) => lanes.read(function, due, now_ms),
                            Err(_) => lanes.unreadable(function, now_ms),
                        });
                    });
                }
            }
        }
    }

    /// An event is on the disk and due.
    pub(crate) fn queued(self: &Arc<Self>, event: QueuedEvent, payload: Bytes) {
        self.lanes(|lanes, now_ms| lanes.accepted(event, payload, now_ms));
    }

    /// Drops what is queued for a function that is gone; until that is written, however long it takes.
    async fn purge(self: &Arc<Self>, function: FunctionId, name: &FunctionName) {
        self.lanes(|lanes, now_ms| lanes.forget(function, now_ms));
        let mut pause = DISK_PAUSES.0;
        let events = loop {
            match self.queue.purge(function).await {
                Ok(events) => break events,
                // What is left is found by the next start.
                Err(StorageError::Closed) => return,
                Err(err) => tracing::error!(%err, %name, "events are not dropped yet"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(DISK_PAUSES.1);
        };
        if events > 0 {
            METRICS.events_async_dropped.of(AsyncDrop::Deleted).add(events);
            tracing::warn!(%name, events, "a function was deleted; its events were dropped");
        }
    }
}

/// Looks at what an earlier process has left.
async fn recover(inner: Arc<Inner>, functions: Vec<(FunctionId, FunctionName)>) {
    match inner.queue.tame(inner.clock.now_ms(), LONGEST_PAUSE_MS).await {
        Ok(0) => {}
        Ok(events) => tracing::warn!(events, "the clock was set back; events are due at once"),
        Err(err) => tracing::error!(%err, "times of accepted events cannot be looked at"),
    }
    for (function, name) in functions {
        if inner.functions.exists(function, &name) {
            inner.lanes(|lanes, now_ms| lanes.look(function, now_ms));
        } else {
            inner.purge(function, &name).await;
        }
    }
}

/// Waits for what is due later, and looks how old the oldest event is.
async fn keep_time(inner: Arc<Inner>) {
    let mut look_ms = inner.clock.now_ms();
    loop {
        let changed = inner.changed.notified();
        let wake_ms = inner.lanes(|lanes, _| lanes.next_wake_ms());
        let queued = METRICS.events_async_queued.get() > 0;
        let next_ms = wake_ms.into_iter().chain(queued.then_some(look_ms)).min();
        tokio::select! {
            () = changed => {}
            () = inner.clock.until(next_ms.unwrap_or(u64::MAX)) => {}
        }
        inner.lanes(|lanes, now_ms| lanes.wake(now_ms));
        let now_ms = inner.clock.now_ms();
        if now_ms >= look_ms {
            look_ms = now_ms + AGE_EVERY_MS;
            if let Ok(oldest) = inner.queue.oldest().await {
                let age_ms = oldest.map_or(0, |oldest| now_ms.saturating_sub(oldest));
                METRICS.events_async_oldest.set(age_ms / 1000);
            }
        }
    }
}
