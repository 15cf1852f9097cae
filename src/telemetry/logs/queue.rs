//! Where lines wait for the writer: bounded, fair between groups, and cheap to append to.
//!
//! ```text
//!             append            take: lingers 10 ms, swaps           finish
//!   filling ──────────► filling ───────────────────────────► taken ─────────► empty
//!      ▲                                                                        │
//!      └──────────────────────── its memory is used again ──────────────────────┘
//! ```
//!
//! An append copies the message into one growing buffer. The writer is woken only when it sleeps,
//! that is once per idle period and not once per line; then it lingers, so that a busy daemon is
//! written in some hundred batches per second at most.
//!
//! Two batches exist, each of half the budget. A line is admitted while its group's share of the
//! batch does not exceed what is still free. One flooding group therefore gets half of a batch, two
//! a third each, and there is always room for a group that was silent before.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::name::MAX_NAME;
use super::record::MAX_MESSAGE;
use crate::metrics::METRICS;

/// How long a batch is collected; well below the 50 ms after which a follower would notice.
const LINGER: Duration = Duration::from_millis(10);
/// How long the writer sleeps at most: age limits are looked at even if nobody prints.
const TICK: Duration = Duration::from_secs(60);
/// Streams for which drops are remembered, so that a line can say so; beyond, they only count.
const MAX_REMEMBERED: usize = 1024;
/// Memory kept between batches.
const KEEP: usize = 256 * 1024;

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// The writer waits here.
    work: Condvar,
    /// `flush` and `sync` wait here.
    done: Condvar,
    /// Bytes of one batch, what is kept about each line included.
    budget: usize,
}

/// Lines on their way to disk.
#[derive(Debug, Default)]
pub(super) struct Batch {
    entries: Vec<Entry>,
    /// The messages, one after the other.
    bytes: Vec<u8>,
    /// Bytes of each group in this batch; their sum is what the batch takes of the budget.
    shares: HashMap<Arc<str>, usize>,
    taken: usize,
    /// Lines that found no room.
    pub(super) dropped: Drops,
    /// Whether somebody waits until the disk has it.
    pub(super) sync: bool,
    /// Whom [`Queue::finish`] answers: everybody who asked before this was taken.
    asked: u64,
}

/// How many lines are missing, by group and stream.
#[derive(Debug, Default)]
pub(super) struct Drops(HashMap<(Arc<str>, Arc<str>), u64>);

/// How many lines of one stream are missing.
#[derive(Debug)]
pub(super) struct Missing {
    /// Its group.
    pub(super) group: Arc<str>,
    /// The stream.
    pub(super) stream: Arc<str>,
    /// How many.
    pub(super) count: u64,
}

/// One line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Its group.
    pub(super) group: &'a Arc<str>,
    /// Its stream.
    pub(super) stream: &'a Arc<str>,
    /// When it was printed.
    pub(super) timestamp_ms: u64,
    /// When it was appended.
    pub(super) ingestion_ms: u64,
    /// What was printed.
    pub(super) message: &'a [u8],
    /// Of the writer's own note about missing lines, how many they are; otherwise 0.
    pub(super) missing: u64,
}

#[derive(Debug)]
struct Entry {
    group: Arc<str>,
    stream: Arc<str>,
    timestamp_ms: u64,
    ingestion_ms: u64,
    length: usize,
}

#[derive(Debug, Default)]
struct State {
    filling: Batch,
    /// How often somebody asked to be told when the writer has gone round, and up to which of
    /// them it has.
    asked: u64,
    answered: u64,
    /// One of those who ask wants it on disk.
    sync: bool,
    /// The writer sleeps and must be woken by the next line.
    asleep: bool,
    /// Somebody waits: do not linger.
    urgent: bool,
    /// No more lines.
    closed: bool,
    /// No more writer.
    gone: bool,
}

// === impl Queue ===

impl Queue {
    /// A queue that holds up to `bytes` in memory.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            budget: bytes / 2,
        }
    }

    /// Adds lines that were printed together; what finds no room is counted as dropped.
    pub(super) fn push<'a>(
        &self,
        group: &Arc<str>,
        stream: &Arc<str>,
        timestamp_ms: u64,
        ingestion_ms: u64,
        messages: impl Iterator<Item = &'a [u8]>,
    ) {
        // Half of a batch is what a single group can have at most.
        let limit = MAX_MESSAGE.min((self.budget / 2).saturating_sub(size_of::<Entry>()));
        let mut state = self.lock();
        if state.closed || state.gone || group.len() > MAX_NAME || stream.len() > MAX_NAME {
            METRICS.log_lines_dropped.add(messages.count() as u64);
            return;
        }
        let batch = &mut state.filling;
        let mut share = batch.shares.get(group).copied().unwrap_or(0);
        let mut dropped = 0;
        for message in messages {
            let cost = size_of::<Entry>() + message.len().min(limit);
            if share + cost > self.budget.saturating_sub(batch.taken) {
                dropped += 1;
                continue;
            }
            batch.taken += cost;
            share += cost;
            let before = batch.bytes.len();
            copy_cut(&mut batch.bytes, message, limit);
            let length = batch.bytes.len() - before;
            batch.entries.push(Entry {
                group: Arc::clone(group),
                stream: Arc::clone(stream),
                timestamp_ms,
                ingestion_ms,
                length,
            });
        }
        match batch.shares.get_mut(group) {
            Some(known) => *known = share,
            None if share > 0 => {
                batch.shares.insert(Arc::clone(group), share);
            }
            None => {}
        }
        if dropped > 0 {
            batch.dropped.add(group, stream, dropped);
            METRICS.log_lines_dropped.add(dropped);
        }
        // A batch that fills up while the writer lingers is taken early.
        let full = state.filling.taken > self.budget / 4 && !state.urgent;
        state.urgent |= full;
        let wake = mem::take(&mut state.asleep) || full;
        drop(state);
        if wake {
            self.work.notify_one();
        }
    }

    /// The next batch, for the writer, which gives back the one before: its memory is used again.
    ///
    /// An empty one means that time has passed or somebody waits; `None` that the queue is closed and
    /// everything was taken.
    pub(super) fn take(&self, mut spare: Batch) -> Option<Batch> {
        spare.clear();
        let mut state = self.lock();
        if state.idle() {
            if state.closed {
                return None;
            }
            state.asleep = true;
            state = self.wait(state, TICK, |state| state.asleep && !state.roused());
            state.asleep = false;
        }
        if !state.roused() {
            state = self.wait(state, LINGER, |state| !state.roused());
        }
        state.urgent = false;
        let mut batch = mem::replace(&mut state.filling, spare);
        batch.asked = state.asked;
        batch.sync = mem::take(&mut state.sync);
        Some(batch)
    }

    /// Everything in `batch` can be read now (and, if asked for, is on disk).
    pub(super) fn finish(&self, batch: &Batch) {
        self.lock().answered = batch.asked;
        self.done.notify_all();
    }

    /// Waits until every line pushed so far is finished, and the writer has gone round once.
    pub(super) fn flush(&self) {
        self.request(false);
    }

    /// The same, and until the disk has it.
    pub(super) fn sync(&self) {
        self.request(true);
    }

    fn request(&self, sync: bool) {
        let mut state = self.lock();
        state.asked += 1;
        state.sync |= sync;
        state.urgent = true;
        let number = state.asked;
        self.work.notify_one();
        let waited = self.done.wait_while(state, |state| !state.gone && state.answered < number);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes no more lines; the writer ends when it has written what is there.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_one();
    }

    /// The writer is gone, in good order or not: nobody waits for it any more.
    pub(super) fn abandon(&self) {
        self.lock().gone = true;
        self.done.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        limit: Duration,
        until: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        let waited = self.work.wait_timeout_while(state, limit, until);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

// === impl State ===

impl State {
    fn idle(&self) -> bool {
        self.filling.entries.is_empty() && self.filling.dropped.0.is_empty() && !self.urgent
    }

    fn roused(&self) -> bool {
        self.urgent || self.closed
    }
}

// === impl Batch ===

impl Batch {
    /// The lines, in the order they were appended.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let mut at = 0;
        self.entries.iter().map(move |entry| {
            let message = &self.bytes[at..at + entry.length];
            at += entry.length;
            Line {
                group: &entry.group,
                stream: &entry.stream,
                timestamp_ms: entry.timestamp_ms,
                ingestion_ms: entry.ingestion_ms,
                message,
                missing: 0,
            }
        })
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.shares.clear();
        self.dropped.0.clear();
        self.taken = 0;
        self.entries.shrink_to(KEEP / size_of::<Entry>());
        self.bytes.shrink_to(KEEP);
        self.shares.shrink_to(MAX_REMEMBERED);
    }
}

// === impl Drops ===

impl Drops {
    /// Remembers that so many lines of a stream are missing.
    pub(super) fn add(&mut self, group: &Arc<str>, stream: &Arc<str>, count: u64) {
        let key = (Arc::clone(group), Arc::clone(stream));
        if self.0.len() < MAX_REMEMBERED || self.0.contains_key(&key) {
            *self.0.entry(key).or_default() += count;
        }
    }

    /// Takes over what `others` remembers.
    pub(super) fn absorb(&mut self, others: Self) {
        for ((group, stream), count) in others.0 {
            self.add(&group, &stream, count);
        }
    }

    /// What is missing, in no order; forgotten by asking.
    pub(super) fn take(&mut self) -> Vec<Missing> {
        let all = mem::take(&mut self.0).into_iter();
        all.map(|((group, stream), count)| Missing { group, stream, count }).collect()
    }
}

/// Appends a message of at most `limit` bytes; a longer one is cut, and says so at its end.
fn copy_cut(out: &mut Vec<u8>, message: &[u8], limit: usize) {
    if message.len() <= limit {
        out.extend_from_slice(message);
        return;
    }
    let note = format!(" [cut: the line had {} bytes]\n", message.len());
    let mut keep = limit.saturating_sub(note.len());
    // Not through the middle of a character: a message that was text stays text.
    while keep > 0 && message[keep] & 0b1100_0000 == 0b1000_0000 {
        keep -= 1;
    }
    out.extend_from_slice(&message[..keep]);
    out.extend_from_slice(note.as_bytes());
}

#[cfg(test)]
mod tests;
