//! One sandbox with a function's process in it, as the control plane sees it.
//!
//! Whoever finds that an instance must not go on *condemns* it: the first cause is kept and the
//! conversation is shut from our side, so that a task which waits for an answer learns of it at once,
//! however long the kill takes. Ending the cell itself is what dispatching then asks for.
//!
//! Descriptors while idle: the runner's socket, the link (or the inner listener), the log pipe, the
//! memory statistics and the freezer, with version-1 control groups the count of kills as well; six of
//! the six there are to spend.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use dispatch::InstanceId;
use model::Runnable;
use tokio::sync::{Notify, oneshot};
use wire::runner::Report;
use wire::spawner::CellId;

use crate::fault::Cause;
use crate::freezer::Freezer;
use crate::link::{Link, LinkError};
use crate::logs::Journal;
use crate::memory::Meter;
use crate::phases::ColdStart;
use crate::runner;
use crate::session::Handle;
use crate::socket::Datagrams;
use crate::spawner::Ended;

/// How events reach the function.
#[derive(Debug)]
pub(crate) enum Transport {
    /// Our own bootstrap, on a socket.
    Link(Link),
    /// The package's own program, over the Runtime API.
    Session(Handle),
}

/// One instance.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) id: InstanceId,
    pub(crate) function: Arc<Runnable>,
    pub(crate) cell: CellId,
    pub(crate) transport: Transport,
    pub(crate) journal: Journal,
    /// If this is a second start: when it began, in the pool's time.
    pub(crate) second_start: Option<Duration>,
    /// The conversation with PID 1; read by the watcher alone.
    pub(crate) runner: Datagrams,
    meter: Meter,
    pub(crate) freezer: Freezer,
    /// When the current event must be answered, nanoseconds of the pool's time; [`NONE`] without an
    /// event, [`EXPIRED`] once the governor has decided that it is too late.
    deadline: AtomicU64,
    /// What decides the deadline of one that serves several events.
    crowd: Mutex<Crowd>,
    /// Anonymous memory when last looked at, and the most ever seen, bytes.
    last: AtomicU64,
    peak: AtomicU64,
    /// When it was last looked at, nanoseconds of the pool's time.
    looked: AtomicU64,
    /// How many events were delivered to it.
    calls: AtomicU64,
    /// Whether the initialisation is over, well or not.
    initialised: AtomicBool,
    /// How long it took; taken by the first event. Nanoseconds, 0 when taken.
    init: AtomicU64,
    /// How it was started; set before it is ready, for the first event.
    cold: OnceLock<ColdStart>,
    cause: OnceLock<Cause>,
    /// What the spawner said when the cell was gone; `None` inside if the spawner went first.
    ended: OnceLock<Option<Ended>>,
    /// Tells of `cause` and `ended`.
    changed: Notify,
    /// Arrives once the cell is gone; taken by whoever ends the instance.
    last_word: Mutex<Option<oneshot::Receiver<Ended>>>,
    /// Arrives when a forked process ends; taken by the watcher.
    exited: Mutex<Option<oneshot::Receiver<u32>>>,
    /// Whether the governor has this instance on its list.
    pub(crate) listed: AtomicBool,
}

/// Several events on one instance.
#[derive(Debug, Default)]
struct Crowd {
    events: u32,
    /// When the last of them is due, and a moment.
    latest: Duration,
}

/// How long after the last of several events was due the governor waits for their own tasks.
const OVERDUE: Duration = Duration::from_secs(1);

/// No event is being served.
const NONE: u64 = 0;
/// The event was not answered in time.
const EXPIRED: u64 = u64::MAX;

/// How long the reason of a broken conversation may take to arrive: PID 1 reports an exit within
/// microseconds of the link's end, and with twice the work that a machine can do after more than half a
/// second.
const REASON: Duration = Duration::from_secs(2);

/// What an instance is made of.
pub(crate) struct Parts {
    pub(crate) id: InstanceId,
    pub(crate) function: Arc<Runnable>,
    pub(crate) cell: CellId,
    pub(crate) transport: Transport,
    pub(crate) journal: Journal,
    pub(crate) second_start: Option<Duration>,
    pub(crate) runner: Datagrams,
    pub(crate) meter: Meter,
    pub(crate) freezer: Freezer,
    pub(crate) exited: oneshot::Receiver<u32>,
    pub(crate) last_word: oneshot::Receiver<Ended>,
}

// === impl Instance ===

impl Instance {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            id: parts.id,
            function: parts.function,
            cell: parts.cell,
            transport: parts.transport,
            journal: parts.journal,
            second_start: parts.second_start,
            runner: parts.runner,
            meter: parts.meter,
            freezer: parts.freezer,
            deadline: AtomicU64::new(NONE),
            crowd: Mutex::default(),
            last: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            looked: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            initialised: AtomicBool::new(false),
            init: AtomicU64::new(0),
            cold: OnceLock::new(),
            cause: OnceLock::new(),
            ended: OnceLock::new(),
            changed: Notify::new(),
            last_word: Mutex::new(Some(parts.last_word)),
            exited: Mutex::new(Some(parts.exited)),
            listed: AtomicBool::new(false),
        })
    }

    /// An event is about to be delivered; it must be answered by `deadline`.
    ///
    /// Of several at once each keeps its own time; the instance as a whole is due when the last of them
    /// is and its task has not seen to it.
    pub(crate) fn begin(&self, deadline: Duration) {
        if !self.is_shared() {
            return self.deadline.store(stamp(deadline), Ordering::Release);
        }
        let mut crowd = self.crowd();
        crowd.events += 1;
        crowd.latest = crowd.latest.max(deadline + OVERDUE);
        self.deadline.store(stamp(crowd.latest), Ordering::Release);
    }

    /// Whether it serves several events at once.
    pub(crate) fn is_shared(&self) -> bool {
        self.function.concurrency > 1 && matches!(self.transport, Transport::Session(_))
    }

    /// An event was delivered.
    pub(crate) fn count_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// How many events were delivered to it.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The same, to be counted elsewhere from now on.
    pub(crate) fn take_calls(&self) -> u64 {
        self.calls.swap(0, Ordering::Relaxed)
    }

    /// The event was answered; false if the governor had already decided that it is too late.
    pub(crate) fn finish(&self) -> bool {
        if self.is_shared() {
            let mut crowd = self.crowd();
            crowd.events -= 1;
            if crowd.events == 0 {
                *crowd = Crowd::default();
                self.deadline.store(NONE, Ordering::Release);
            }
            self.freezer.release();
            return true;
        }
        let in_time = self.deadline.swap(NONE, Ordering::AcqRel) != EXPIRED;
        self.freezer.release();
        in_time
    }

    /// Whether nothing is left to be done in it: a runtime that fetches its events has come back for
    /// the next one.
    pub(crate) fn rests(&self) -> bool {
        match &self.transport {
            Transport::Link(_) => true,
            Transport::Session(handle) => handle.rests(),
        }
    }

    /// When the current event must be answered, if there is one.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match self.deadline.load(Ordering::Acquire) {
            NONE | EXPIRED => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Condemns the instance if the event with this deadline is still being served.
    pub(crate) fn expire(&self, deadline: Duration) -> bool {
        let nanos = deadline.as_nanos() as u64;
        // Exchanged, not stored: the event may have been answered just now and another one begun,
        // which must not die of its predecessor's deadline.
        let (acquire, relaxed) = (Ordering::AcqRel, Ordering::Acquire);
        let still = self.deadline.compare_exchange(nanos, EXPIRED, acquire, relaxed).is_ok();
        still && self.condemn(Cause::TimedOut)
    }

    /// Gives the instance up for a cause; false if it had one already.
    pub(crate) fn condemn(&self, cause: Cause) -> bool {
        let first = self.cause.set(cause).is_ok();
        match &self.transport {
            Transport::Link(link) => link.shut(),
            Transport::Session(handle) => handle.close(),
        }
        self.changed.notify_waiters();
        first
    }

    /// Why the instance must not go on, if it must not.
    pub(crate) fn cause(&self) -> Option<&Cause> {
        self.cause.get()
    }

    /// Waits for a cause.
    pub(crate) async fn condemned(&self) -> &Cause {
        self.until(|| self.cause.get()).await
    }

    /// Why a conversation broke: what was recorded, or will be in a moment.
    pub(crate) async fn reason(&self) -> Cause {
        if tokio::time::timeout(REASON, self.condemned()).await.is_err() {
            // Its process lives on and has closed its link.
            self.condemn(Cause::Protocol(LinkError::Closed));
        }
        self.cause().cloned().unwrap_or(Cause::HungUp)
    }

    /// Waits until the cell is gone; `None` if the spawner went first.
    pub(crate) async fn gone(&self) -> Option<Ended> {
        *self.until(|| self.ended.get()).await
    }

    /// The cell is gone.
    pub(crate) fn set_gone(&self, ended: Option<Ended>) {
        if self.ended.set(ended).is_ok() {
            self.changed.notify_waiters();
        }
    }

    /// What arrives once the cell is gone; to the first who asks.
    pub(crate) fn take_last_word(&self) -> Option<oneshot::Receiver<Ended>> {
        self.last_word.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What arrives when a forked process ends; to the first who asks.
    pub(crate) fn take_exited(&self) -> Option<oneshot::Receiver<u32>> {
        self.exited.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps how the instance was started and how long that took, for the first event.
    pub(crate) fn set_init(&self, took: Duration, cold: ColdStart) {
        // Whoever starts it says so once.
        let _first = self.cold.set(cold);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.init.store(nanos.max(1), Ordering::Relaxed);
    }

    /// The initialisation is over.
    pub(crate) fn set_initialised(&self) {
        self.initialised.store(true, Ordering::Relaxed);
    }

    /// Whether the instance no longer initialises.
    pub(crate) fn has_initialised(&self) -> bool {
        self.initialised.load(Ordering::Relaxed) || self.cause().is_some()
    }

    /// How long the initialisation took; to the first who asks.
    pub(crate) fn take_init(&self) -> Option<Duration> {
        // A plain look first: a swap takes the cache line from whoever else looks at the instance.
        if self.init.load(Ordering::Relaxed) == 0 {
            return None;
        }
        match self.init.swap(0, Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// How the instance was started, once it is ready.
    pub(crate) fn cold(&self) -> Option<ColdStart> {
        self.cold.get().copied()
    }

    /// Measures anonymous memory, bytes, and condemns the instance if it is above MemorySize or the
    /// kernel has killed a part of it. `now` is the pool's time. `None` once the cell is gone.
    pub(crate) fn measure(&self, now: Duration) -> Option<u64> {
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.looked.store(nanos, Ordering::Relaxed);
        let bytes = self.meter.anonymous()?;
        self.last.store(bytes, Ordering::Relaxed);
        self.peak.fetch_max(bytes, Ordering::Relaxed);
        if bytes > u64::from(self.function.memory_mib) << 20 || self.meter.has_killed() {
            self.condemn(Cause::Memory);
        }
        Some(bytes)
    }

    /// Condemns the instance if the kernel has killed a part of it for memory; whether it has.
    pub(crate) fn is_maimed(&self) -> bool {
        let maimed = self.meter.has_killed();
        if maimed {
            self.condemn(Cause::Memory);
        }
        maimed
    }

    /// When it was last measured, in the pool's time.
    pub(crate) fn looked(&self) -> Duration {
        Duration::from_nanos(self.looked.load(Ordering::Relaxed))
    }

    /// Anonymous memory when last looked at, bytes.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Most anonymous memory seen, bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Waits for PID 1 to say something; `None` when it is gone.
    pub(crate) async fn report(&self) -> io::Result<Option<Report>> {
        runner::report(&self.runner).await
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until<T>(&self, look: impl Fn() -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(seen) = look() {
                return seen;
            }
            changed.await;
        }
    }
}

/// A deadline as it is kept.
fn stamp(deadline: Duration) -> u64 {
    let nanos = u64::try_from(deadline.as_nanos()).unwrap_or(EXPIRED - 1);
    nanos.clamp(NONE + 1, EXPIRED - 1)
}
