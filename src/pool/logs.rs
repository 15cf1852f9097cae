//! One instance's log: its pipe is drained here and its lines are put in order.
//!
//! Two readers share the pipe under one lock. The instance's watcher reads whenever there is
//! something, so that a function never waits for a reader; the task that has just received an answer
//! reads what is left before the END line is placed, so that every line stands with the request that
//! printed it. What is read goes into [`Lines`]; from there the governor takes it in batches, one at a
//! time of each instance, which keeps the order, and a task of its own (see `scribe`) writes them to
//! the log store, which is in nobody's way.
//!
//! ```text
//!   pipe ──► budget ──► Lines (bounded) ──► batch ──► scribe ──► log store
//!              └─ too much ─┴─ no room: dropped, counted, and one line says how much
//! ```

mod batch;
mod budget;
mod lines;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{RequestId, Runnable};
use telemetry::{LogStore, platform};
use tokio::io::unix::AsyncFd;

use crate::socket::watched;
pub(crate) use batch::{Batch, End, Piece, SLICE_LINES};
pub(crate) use budget::Budget;
pub use budget::LogBudget;
use lines::Lines;

/// Where lines go in the end.
pub trait LogSink: Send + Sync + 'static {
    /// Takes one event: a line with its newline. Must neither block nor fail; a full queue drops.
    fn append(&self, group: &Arc<str>, stream: &Arc<str>, at_ms: u64, message: &[u8]);

    /// Takes many events: lines, each with its newline, that were printed together. For a sink to which
    /// many cost less than each by itself.
    fn append_lines(&self, group: &Arc<str>, stream: &Arc<str>, at_ms: u64, lines: &[u8]) {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.append(group, stream, at_ms, line);
        }
    }
}

/// One instance's log.
#[derive(Debug)]
pub(crate) struct Journal {
    group: Arc<str>,
    stream: Arc<str>,
    version: String,
    memory_mib: u32,
    pipe: AsyncFd<OwnedFd>,
    budget: Arc<Budget>,
    /// Whether several events are served at once, whose lines then stand between each other's.
    shared: bool,
    lines: Mutex<Lines>,
}

/// What a look into the pipe came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    /// It is empty.
    All,
    /// It is empty, and there was little in it.
    Trickle,
    /// There is more, but it has been long enough.
    Some,
    /// More is printed than may be.
    Flooded,
    /// Nobody holds its other end.
    Closed,
}

/// How much is read at once: what a pipe holds unless somebody enlarged it.
const CHUNK: usize = 64 * 1024;
/// What is less than this was not worth a look of its own.
const LITTLE: usize = CHUNK / 4;
/// Most that is read before an END line. A pipe holds at most 1 MiB (`fs.pipe-max-size`) unless root
/// says otherwise; whatever comes later was written after the answer.
const BEFORE_END: usize = 1 << 20;

thread_local! {
    static BUFFER: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; CHUNK]);
}

// === impl LogStore ===

impl LogSink for LogStore {
    fn append(&self, group: &Arc<str>, stream: &Arc<str>, at_ms: u64, message: &[u8]) {
        Self::append(self, group, stream, at_ms, message);
    }

    fn append_lines(&self, group: &Arc<str>, stream: &Arc<str>, at_ms: u64, lines: &[u8]) {
        Self::append_lines(self, group, stream, at_ms, lines);
    }
}

// === impl Journal ===

impl Journal {
    pub(crate) fn new(
        function: &Runnable,
        stream: Arc<str>,
        pipe: OwnedFd,
        budget: Arc<Budget>,
    ) -> io::Result<Self> {
        let mut lines = Lines::default();
        // What is printed while initialising belongs to the first invocation's tail; whether that
        // one wants a tail is not known yet.
        lines.want_tail();
        Ok(Self {
            group: function.log_group.as_str().into(),
            stream,
            version: function.version.text(),
            memory_mib: function.memory_mib,
            pipe: watched(pipe)?,
            budget,
            shared: function.concurrency > 1,
            lines: Mutex::new(lines),
        })
    }

    /// The name of the log stream.
    pub(crate) fn stream(&self) -> &str {
        &self.stream
    }

    /// Waits until the function has printed something, or can no more.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.pipe.readable().await?.retain_ready();
        Ok(())
    }

    /// Reads a pipe that was said to be readable; `now` is the pool's time. Until it was found
    /// empty, [`Journal::readable`] says at once that there is more. Nothing is read while what was
    /// read before has not been taken: the function waits, and nothing is lost.
    pub(crate) fn drain_ready(&self, now: Duration, at_ms: u64) -> Drained {
        let mut found = Drained::All;
        let _reported = self.pipe.try_io(tokio::io::Interest::READABLE, |_| {
            let mut lines = self.lines();
            found = match lines.is_half_full() {
                true => Drained::Flooded,
                false => self.drain_into(&mut lines, CHUNK, now, at_ms),
            };
            match found {
                Drained::All | Drained::Trickle => Err(io::ErrorKind::WouldBlock.into()),
                _ => Ok(()),
            }
        });
        found
    }

    /// Reads what is left when nothing more will come, and ends the last line.
    pub(crate) fn drain_last(&self, now: Duration, at_ms: u64) {
        let mut lines = self.lines();
        self.drain_into(&mut lines, BEFORE_END, now, at_ms);
        lines.finish_output(at_ms);
    }

    /// The instance is about to be ended: what it prints from now on is dropped, unless an event is still
    /// to be written down; then what it prints after that.
    pub(crate) fn seal(&self, now: Duration, at_ms: u64) {
        let mut lines = self.lines();
        self.drain_into(&mut lines, BEFORE_END, now, at_ms);
        lines.finish_output(at_ms);
        lines.sealed = true;
    }

    fn drain_into(&self, lines: &mut Lines, most: usize, now: Duration, at_ms: u64) -> Drained {
        let mut read = 0;
        let mut flooded = false;
        let emptied = |read, flooded| match flooded {
            true => Drained::Flooded,
            false if read < LITTLE => Drained::Trickle,
            false => Drained::All,
        };
        BUFFER.with_borrow_mut(|buffer| {
            while read < most {
                let count = match rustix::io::read(self.pipe.get_ref(), &mut buffer[..]) {
                    Ok(0) => return Drained::Closed,
                    Ok(count) => count,
                    Err(rustix::io::Errno::INTR) => continue,
                    // Nothing else than an empty pipe makes a read from one fail.
                    Err(_empty) => return emptied(read, flooded),
                };
                read += count;
                if lines.is_shut() {
                    continue;
                }
                let output = &buffer[..count];
                let (kept, surplus) = output.split_at(self.budget.keep(output, now));
                if !kept.is_empty() {
                    lines.output(kept, at_ms);
                }
                if !surplus.is_empty() {
                    flooded = true;
                    lines.drop_output(surplus);
                }
                // A pipe gives less than it is asked for only when that was all (one of packets would
                // give one, but `O_DIRECT` is refused to functions). Asking again would cost a call for
                // every event of a function that prints.
                if count < CHUNK {
                    return emptied(read, flooded);
                }
            }
            if flooded { Drained::Flooded } else { Drained::Some }
        })
    }

    /// An event is about to be delivered. With `tail`, the end of its log is kept.
    pub(crate) fn start(&self, request_id: RequestId, tail: bool, at_ms: u64) {
        let mut lines = self.lines();
        lines.open += 1;
        if tail {
            lines.want_tail();
            lines.readers += 1;
            lines.platform(&platform::start(request_id.as_str(), &self.version), at_ms);
        } else {
            if !self.shared || lines.readers == 0 {
                lines.take_tail();
            }
            lines.start(request_id, at_ms);
        }
    }

    /// An event was answered: what it printed is read, then its END is placed.
    pub(crate) fn end(&self, end: End, now: Duration, at_ms: u64) {
        let mut lines = self.lines();
        self.drain_into(&mut lines, BEFORE_END, now, at_ms);
        lines.end(end, at_ms);
        lines.open = lines.open.saturating_sub(1);
    }

    /// The same for a caller who wants the tail, which is returned. `memory` is bytes.
    pub(crate) fn end_with_tail(
        &self,
        end: &End,
        memory: u64,
        now: Duration,
        at_ms: u64,
    ) -> Option<Vec<u8>> {
        let mut lines = self.lines();
        self.drain_into(&mut lines, BEFORE_END, now, at_ms);
        lines.platform(&platform::end(end.request_id.as_str()), at_ms);
        lines.platform(&self.report(end, memory), at_ms);
        lines.open = lines.open.saturating_sub(1);
        lines.readers = lines.readers.saturating_sub(1);
        // Others read on.
        if self.shared && lines.readers > 0 { lines.tail() } else { lines.take_tail() }
    }

    /// A line of the platform's.
    pub(crate) fn platform(&self, line: &str, at_ms: u64) {
        self.lines().platform(line, at_ms);
    }

    /// Takes everything there is to write; nothing while what was taken before is not written, or the
    /// order would be lost. Only the governor calls this.
    pub(crate) fn take(&self) -> Option<Batch> {
        self.lines().take()
    }

    /// What was taken has been written; whether there is more.
    pub(crate) fn written(&self) -> bool {
        self.lines().written()
    }

    /// Writes a part of what was taken. `memory` is the most the instance has used, bytes.
    pub(crate) fn write(&self, sink: &dyn LogSink, piece: &Piece<'_>, memory: u64) {
        let append = |at_ms, line: &[u8]| sink.append(&self.group, &self.stream, at_ms, line);
        match *piece {
            Piece::Lines { at_ms, text, .. } => {
                sink.append_lines(&self.group, &self.stream, at_ms, text);
            }
            Piece::Text { at_ms, text } => append(at_ms, text),
            Piece::Start { at_ms, request_id } => {
                append(at_ms, platform::start(request_id.as_str(), &self.version).as_bytes());
            }
            Piece::End { at_ms, end } => {
                append(at_ms, platform::end(end.request_id.as_str()).as_bytes());
                append(at_ms, self.report(end, memory).as_bytes());
            }
        }
    }

    /// The REPORT line; that of an event that failed says how, as AWS's does.
    fn report(&self, end: &End, memory: u64) -> String {
        // Memory is looked at, not stopped, at the limit; a number above it is one AWS never prints.
        let memory = memory.div_ceil(1 << 20).min(self.memory_mib.into());
        let mut line = platform::Report {
            request_id: end.request_id.as_str(),
            duration: end.duration,
            memory_size_mib: self.memory_mib,
            max_memory_mib: u32::try_from(memory).unwrap_or(self.memory_mib),
            init: end.init,
            restored: end.restored,
        }
        .line();
        if let Some(status) = &end.status {
            line.truncate(line.trim_end_matches('\n').len());
            line.push_str(status);
            line.push('\n');
        }
        if let Some(trace) = end.trace.as_deref().and_then(platform::traced) {
            line.push_str(&trace);
        }
        line
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
