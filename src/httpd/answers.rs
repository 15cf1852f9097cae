//! Room for large answers: what waits for its readers is bounded, for all of a listener together.
//!
//! An answer is in memory until its reader has taken it. With 6 MB each, some thousand readers that
//! take a few bytes a second would hold more than the machine has. So an answer above 64 KiB takes
//! its size from the listener's room before its head is written, and gives it back when the last of
//! it has been written: what is written in part is still one piece of memory, and still held.
//!
//! ```text
//!              room                                    written, or its connection cut
//!   large ──────────────────────────────► being read ──────────────────────────────► given back
//!     │                                       ▲
//!     │ no room              room in time     │
//!     ├──────────► in line ───────────────────┘
//!     │               │ not in time
//!     └───────────────┴──► 503
//!       no room in line
//! ```
//!
//! The sweep makes room among readers that are slow (`crowd`), from seven eighths on or when somebody
//! is in line. Waiting for that beats refusing at once: the function has run, and whoever is refused
//! will run it again. Those in line hold their answers too, so the line has a bound of its own, an
//! eighth of the whole, and lasts no longer than it takes to find out who is slow.
//!
//! An answer that is read from somewhere while it is written counts for what is read ahead of it.
//! Small answers have no part in any of this: nothing is counted, locked or timed for them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connection::Connection;
use crate::crowd::{Marks, TICK};
use crate::overdue::READER_GRACE;

/// Answers up to this size need no room, and together 256 MiB on 4,096 connections.
const FREE: u64 = 64 * 1024;
/// What of a longer answer is in memory if it comes in pieces: as much as hyper queues, and a piece.
const AHEAD: usize = 512 * 1024;
/// Longest wait for room. Whoever was slow when it began has been found out by then: the grace is
/// over, and the sweep, which may have to see them twice, has come by several times.
const WAIT: Duration = READER_GRACE.saturating_add(TICK.saturating_mul(8));

/// A listener's room for large answers.
#[derive(Debug)]
pub(crate) struct Answers {
    /// One permit per byte that may be held for readers.
    room: Arc<Semaphore>,
    /// How many there are in all.
    size: usize,
    /// Bytes that may wait for room.
    line: usize,
    /// Bytes that do.
    waiting: AtomicUsize,
    marks: Marks,
}

/// Room that is held; given back when the last piece of the answer is gone.
#[derive(Debug)]
pub(crate) struct Hold {
    permit: OwnedSemaphorePermit,
    /// Whose reader it is held for; the sweep reads there how much that is.
    connection: Arc<Connection>,
}

/// A piece of an answer, with its part in the room.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Dropped before the room is given back, as fields are dropped in order.
    bytes: Bytes,
    _hold: Option<Arc<Hold>>,
}

/// A place in the line.
struct Waiting<'a> {
    answers: &'a Answers,
    bytes: usize,
}

/// How much of an answer has to be in memory.
#[derive(Debug)]
pub(crate) struct Weight {
    /// Bytes of room it needs; none if it is small.
    pub(crate) bytes: usize,
    /// The first piece, if it was taken to find out.
    pub(crate) first: Option<Result<Frame<Bytes>, axum::Error>>,
}

// === impl Answers ===

impl Answers {
    /// Room for so many bytes in all, of those being read and those in line.
    pub(crate) fn new(bytes: usize) -> Self {
        // A permit request is a `u32`; a room of 4 GiB is as good as any larger one.
        let bytes = bytes.min(u32::MAX as usize);
        let line = bytes / 8;
        let size = (bytes - line).max(1);
        Self {
            room: Arc::new(Semaphore::new(size)),
            size,
            line,
            waiting: AtomicUsize::new(0),
            marks: Marks::of(size),
        }
    }

    /// Whether slow readers have to be looked for.
    pub(crate) fn tight(&self) -> bool {
        self.waiting.load(Relaxed) > 0
            || self.marks.crowded(self.size - self.room.available_permits())
    }

    /// Bytes that slow readers have to give back, of those `held`, beside those of connections that
    /// are `leaving`.
    pub(crate) fn shortage(&self, held: usize, leaving: usize) -> usize {
        self.marks.shortage(held, self.waiting.load(Relaxed), leaving)
    }

    /// Takes room at once, or waits in line for it; `None` if there is none in time.
    ///
    /// `tight` is called if slow readers have to be looked for.
    pub(crate) async fn take(
        &self,
        bytes: usize,
        connection: &Arc<Connection>,
        tight: impl Fn(),
    ) -> Option<Arc<Hold>> {
        // What is larger than all of the room takes all of it.
        let bytes = bytes.min(self.size);
        let permits = u32::try_from(bytes).ok()?;
        let permit = match Arc::clone(&self.room).try_acquire_many_owned(permits) {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = self.queue(bytes)?;
                tight();
                let acquire = Arc::clone(&self.room).acquire_many_owned(permits);
                // Either error is the same answer; the semaphore is never closed.
                tokio::time::timeout(WAIT, acquire).await.ok()?.ok()?
            }
        };
        let hold = Hold::new(permit, Arc::clone(connection));
        if self.tight() {
            tight();
        }
        Some(Arc::new(hold))
    }

    /// A place in the line; one that is longer than the line may stand there alone.
    fn queue(&self, bytes: usize) -> Option<Waiting<'_>> {
        let join = |waiting: usize| {
            let more = waiting.saturating_add(bytes);
            (waiting == 0 || more <= self.line).then_some(more)
        };
        self.waiting.fetch_update(Relaxed, Relaxed, join).ok()?;
        Some(Waiting { answers: self, bytes })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.answers.waiting.fetch_sub(self.bytes, Relaxed);
    }
}

// === impl Hold ===

impl Hold {
    fn new(permit: OwnedSemaphorePermit, connection: Arc<Connection>) -> Self {
        connection.hold(permit.num_permits());
        Self { permit, connection }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.connection.release(self.permit.num_permits());
    }
}

// === impl Weight ===

impl Weight {
    /// Weighs an answer before its head is written.
    ///
    /// Its length does not tell whether it is in memory, its first piece does: that of an answer that
    /// has been made is all of it.
    pub(crate) async fn of(body: &mut Body) -> Self {
        match body.size_hint().upper() {
            Some(length) if length <= FREE => Self { bytes: 0, first: None },
            // Nobody knows when the first piece of such a one comes: its head does not wait for it.
            None => Self { bytes: AHEAD, first: None },
            Some(length) => {
                let first = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
                let piece = first.as_ref().and_then(|first| first.as_ref().ok());
                let piece = piece.and_then(Frame::data_ref).map_or(0, Bytes::len);
                let ahead = usize::try_from(length).unwrap_or(usize::MAX).min(AHEAD);
                Self { bytes: piece.max(ahead), first }
            }
        }
    }
}

// === impl Piece ===

impl Piece {
    pub(crate) fn new(bytes: Bytes, hold: Option<Arc<Hold>>) -> Self {
        Self { bytes, _hold: hold }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

#[cfg(test)]
mod tests;
