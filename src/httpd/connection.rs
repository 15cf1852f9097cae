//! One connection, as those see it who watch over it.
//!
//! ```text
//!            first byte          head complete           body complete
//!   Fresh ───────────────► Head ──────────────► Receiving ───────────► Serving
//!                           ▲    └──────────────── no body ──────────────►│
//!                           │ first byte of the next head                 │ response given up
//!                           └──────────────────── Idle ◄──────────────────┘
//!
//!   any ──► Lingering: answered and closing, the rest of an unwanted body is thrown away
//!   any ──► gone: closed by the peer, by the protocol, by an overdue limit, by the end of a drain
//! ```
//!
//! The stream, the service and the bodies of one connection write here; a sweep over all connections
//! reads (`overdue` decides, `server` sweeps). The writers neither read a clock nor set a timer,
//! which is what keeps the limits off the path of a request: they count phases and bytes, and the
//! sweep sees for how long a count has not moved.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Waker};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Accepted; nothing has come yet.
    Fresh = 0,
    /// Part of a head has come.
    Head = 1,
    /// The head is with the service; the body is still coming.
    Receiving = 2,
    /// All of the request has come; the response is being made or written.
    Serving = 3,
    /// Between requests.
    Idle = 4,
    /// Closing, and throwing away what still comes.
    Lingering = 5,
}

/// What the watch asks of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Nothing.
    GoOn = 0,
    /// The body comes too slowly: tell the handler.
    TooSlow = 1,
    /// Finish the request in hand, take no other.
    Drain = 2,
    /// Close now.
    Cut = 3,
}

/// What the sweep sees of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Changes with every change of phase.
    pub(crate) turn: u64,
    /// The phase itself.
    pub(crate) phase: Phase,
    /// Bytes read since the connection was accepted.
    pub(crate) received: u64,
    /// Bytes written since then.
    pub(crate) sent: u64,
    /// Bytes of the room for large answers that its reader has not given back.
    pub(crate) held: usize,
    /// Whether the peer does not take what is there for it.
    pub(crate) blocked: bool,
    /// The handler is to be told that the body is too slow, and has not taken notice.
    pub(crate) unheard: bool,
}

/// Shared by the connection's own parts and the watch.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The other end.
    pub(crate) peer: SocketAddr,
    /// Number of the phase, shifted, and the phase in the lowest three bits.
    turn: AtomicU64,
    /// Bytes read; written by the stream.
    received: AtomicU64,
    /// Bytes written; written by the stream.
    sent: AtomicU64,
    /// Room held for the reader of a large answer; written by the hold on it.
    held: AtomicUsize,
    /// The last write was not taken; written by the stream.
    blocked: AtomicBool,
    /// A request's body was dropped before its end; written by the body, read by the stream.
    unread: AtomicBool,
    /// The highest [`Order`] so far; written by the watch.
    order: AtomicU8,
    /// Wakes the task that drives the connection.
    task: Mutex<Option<Waker>>,
    /// The head as it came, up to the limit; written by the stream, read where framing is checked.
    head: Mutex<Vec<u8>>,
    /// Room for bodies, shared by the listener's connections.
    room: Arc<Semaphore>,
    /// What this connection has taken of it, until its response is done.
    taken: Mutex<Option<OwnedSemaphorePermit>>,
}

// === impl Connection ===

impl Connection {
    pub(crate) fn new(peer: SocketAddr, room: Arc<Semaphore>) -> Self {
        Self {
            peer,
            turn: AtomicU64::new(Phase::Fresh as u64),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            held: AtomicUsize::new(0),
            blocked: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            order: AtomicU8::new(Order::GoOn as u8),
            task: Mutex::new(None),
            head: Mutex::new(Vec::new()),
            room,
            taken: Mutex::new(None),
        }
    }

    /// Begins a phase. Only parts of one task write, so load and store need not be one step.
    pub(crate) fn enter(&self, phase: Phase) {
        let turn = self.turn.load(Relaxed) >> 3;
        self.turn.store((turn + 1) << 3 | phase as u64, Relaxed);
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::of(self.turn.load(Relaxed))
    }

    /// The response is over, one way or another: its body's room is free, a new head may come.
    pub(crate) fn rest(&self) {
        drop(lock(&self.taken).take());
        lock(&self.head).clear();
        self.enter(Phase::Idle);
    }

    /// Counts bytes that were read, and keeps them if they belong to a head.
    pub(crate) fn read(&self, bytes: &[u8], head_limit: usize) {
        self.received.fetch_add(bytes.len() as u64, Relaxed);
        let phase = self.phase();
        if matches!(phase, Phase::Fresh | Phase::Idle) {
            self.enter(Phase::Head);
        }
        if matches!(phase, Phase::Fresh | Phase::Idle | Phase::Head) {
            let mut head = lock(&self.head);
            let keep = bytes.len().min(head_limit.saturating_sub(head.len()));
            head.extend_from_slice(&bytes[..keep]);
        }
    }

    /// Counts bytes that were written.
    pub(crate) fn wrote(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
        self.blocked.store(false, Relaxed);
    }

    /// Notes that a write was not taken.
    pub(crate) fn block(&self) {
        self.blocked.store(true, Relaxed);
    }

    /// The head as it came.
    pub(crate) fn head(&self) -> MutexGuard<'_, Vec<u8>> {
        lock(&self.head)
    }

    /// Notes that a body will not be read to its end.
    pub(crate) fn leave_unread(&self) {
        self.unread.store(true, Relaxed);
    }

    /// Whether bytes of a request may still come that nobody wants: the rest of a body, or of a head
    /// that was refused.
    pub(crate) fn expects_leftovers(&self) -> bool {
        self.unread.load(Relaxed) || self.phase() == Phase::Head
    }

    /// Takes room for `bytes` more of a body; `false` if there is none.
    pub(crate) fn take_room(&self, bytes: usize) -> bool {
        let Ok(bytes) = u32::try_from(bytes) else { return false };
        let Ok(more) = Arc::clone(&self.room).try_acquire_many_owned(bytes) else { return false };
        match &mut *lock(&self.taken) {
            Some(taken) => taken.merge(more),
            taken => *taken = Some(more),
        }
        true
    }

    /// Notes that room is held for the reader of a large answer.
    pub(crate) fn hold(&self, bytes: usize) {
        self.held.fetch_add(bytes, Relaxed);
    }

    /// Notes that it is no longer.
    pub(crate) fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Relaxed);
    }

    /// What was asked of this connection; the task is remembered as the one to wake for more.
    pub(crate) fn order(&self, cx: &Context<'_>) -> Order {
        {
            let mut task = lock(&self.task);
            if !task.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                *task = Some(cx.waker().clone());
            }
        }
        self.current_order()
    }

    pub(crate) fn current_order(&self) -> Order {
        match self.order.load(Relaxed) {
            0 => Order::GoOn,
            1 => Order::TooSlow,
            2 => Order::Drain,
            _ => Order::Cut,
        }
    }

    /// Asks something of the connection; what was asked before is only ever sharpened.
    pub(crate) fn command(&self, order: Order) {
        if self.order.fetch_max(order as u8, Relaxed) < order as u8
            && let Some(task) = &*lock(&self.task)
        {
            task.wake_by_ref();
        }
    }

    pub(crate) fn sample(&self) -> Sample {
        let turn = self.turn.load(Relaxed);
        Sample {
            turn,
            phase: Phase::of(turn),
            received: self.received.load(Relaxed),
            sent: self.sent.load(Relaxed),
            held: self.held.load(Relaxed),
            blocked: self.blocked.load(Relaxed),
            unheard: self.current_order() == Order::TooSlow,
        }
    }
}

// === impl Phase ===

impl Phase {
    fn of(turn: u64) -> Self {
        match turn & 7 {
            0 => Self::Fresh,
            1 => Self::Head,
            2 => Self::Receiving,
            3 => Self::Serving,
            4 => Self::Idle,
            _ => Self::Lingering,
        }
    }
}

/// Nothing here is left half-done by a panic, so a poisoned lock is as good as any.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poison| poison.into_inner())
}
