//! A function's output, taken apart into lines, with the platform's own between them.
//!
//! Pure: bytes and times go in; entries in the order in which things happened come out. An entry of
//! the platform's is kept unformatted until somebody has the time, because putting a REPORT line into
//! words takes longer than the rest of a warm invocation's bookkeeping; only where the caller asked
//! for the tail of the log are they put into words at once.
//!
//! What is held is bounded (see [`Batch`]). What finds no room, and what is not let in at all, is
//! counted, and one line says how much it was, where it is missing.

use model::RequestId;

use super::batch::{Batch, End, Entry};

/// Longest line that stays one event; AWS cuts there as well (256 KiB per log event).
pub(crate) const LINE_LIMIT: usize = 256 * 1024;
/// How much of the end of an invocation's log a caller can ask for (AWS: the last 4 KB).
pub(crate) const TAIL: usize = 4096;

/// The state of one instance's output.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    batch: Batch,
    /// A batch that was taken is still being written.
    writing: bool,
    /// A line whose end has not come.
    partial: Vec<u8>,
    /// The end of the current invocation's log; `None` where nobody wants it.
    tail: Option<Vec<u8>>,
    /// How many events under way want it; more than one where several are served at once.
    pub(super) readers: u32,
    /// Events that have begun and have no END yet.
    pub(super) open: u32,
    /// Whether the instance is being ended.
    pub(super) sealed: bool,
    /// What was dropped and not yet told of.
    dropped: Dropped,
}

/// How much is missing.
#[derive(Debug, Clone, Copy, Default)]
struct Dropped {
    bytes: u64,
    lines: u64,
}

// === impl Lines ===

impl Lines {
    /// Output of the function.
    pub(crate) fn output(&mut self, bytes: &[u8], at_ms: u64) {
        // A gap goes on for as long as there is no room, and is told of when there is again.
        if self.dropped.any() && !(self.batch.has_room() && self.tell_dropped(at_ms)) {
            return self.drop_output(bytes);
        }
        // No piece holds a line that is too long by itself.
        for mut piece in bytes.chunks(LINE_LIMIT) {
            if !self.partial.is_empty() {
                let end = memchr::memchr(b'\n', piece).map_or(piece.len(), |end| end + 1);
                let (rest_of_line, rest) = piece.split_at(end);
                piece = rest;
                self.partial.extend_from_slice(rest_of_line);
                self.cut(at_ms);
                if self.partial.ends_with(b"\n") {
                    self.finish_partial(at_ms);
                }
            }
            let whole = memchr::memrchr(b'\n', piece).map_or(0, |end| end + 1);
            let (lines, begun) = piece.split_at(whole);
            self.push(lines, at_ms);
            self.partial.extend_from_slice(begun);
        }
    }

    /// Output that was read and is not kept.
    pub(crate) fn drop_output(&mut self, bytes: &[u8]) {
        let lines = memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.drop(Dropped { bytes: bytes.len() as u64, lines });
    }

    /// A line of the platform's, with its newline.
    pub(crate) fn platform(&mut self, line: &str, at_ms: u64) {
        self.finish_output(at_ms);
        if self.batch.add_text(line.as_bytes(), at_ms) {
            self.keep_tail(line.as_bytes());
        } else {
            self.drop(Dropped { bytes: line.len() as u64, lines: 1 });
        }
    }

    /// Keeps the end of what follows, and of what is there already.
    pub(crate) fn want_tail(&mut self) {
        self.tail.get_or_insert_default();
    }

    /// The end as it is now, which goes on being kept.
    pub(crate) fn tail(&self) -> Option<Vec<u8>> {
        let tail = self.tail.as_ref()?;
        Some(tail[tail.len().saturating_sub(TAIL)..].to_vec())
    }

    /// Stops keeping the end; what there was of it.
    pub(crate) fn take_tail(&mut self) -> Option<Vec<u8>> {
        let mut tail = self.tail.take()?;
        tail.drain(..tail.len().saturating_sub(TAIL));
        Some(tail)
    }

    /// An event is delivered; its line is put into words later.
    pub(crate) fn start(&mut self, request_id: RequestId, at_ms: u64) {
        self.finish_output(at_ms);
        self.moment(Entry::Start { at_ms, request_id }, 1);
    }

    /// An event was answered; its lines are put into words later.
    pub(crate) fn end(&mut self, end: End, at_ms: u64) {
        self.finish_output(at_ms);
        self.moment(Entry::End { at_ms, end }, 2);
    }

    /// Ends a line that the function did not end, and tells of what was dropped.
    pub(crate) fn finish_output(&mut self, at_ms: u64) {
        if !self.partial.is_empty() {
            self.partial.push(b'\n');
            self.finish_partial(at_ms);
        }
        self.tell_dropped(at_ms);
    }

    /// Everything there is to write, until [`Lines::written`] only once.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        if self.writing || self.batch.is_empty() {
            return None;
        }
        self.writing = true;
        Some(std::mem::take(&mut self.batch))
    }

    /// What was taken has been written; whether there is more.
    pub(crate) fn written(&mut self) -> bool {
        self.writing = false;
        !self.batch.is_empty()
    }

    /// Whether what is printed now belongs to nothing.
    pub(super) fn is_shut(&self) -> bool {
        self.sealed && self.open == 0
    }

    /// Whether so much is held that readers should wait.
    pub(crate) fn is_half_full(&self) -> bool {
        self.batch.is_half_full()
    }

    /// Adds whole lines of output, as far as there is room.
    fn push(&mut self, lines: &[u8], at_ms: u64) {
        if lines.is_empty() {
            return;
        }
        let kept = self.batch.add_lines(lines, at_ms);
        let (kept, rest) = lines.split_at(kept);
        self.keep_tail(kept);
        if !rest.is_empty() {
            self.drop_output(rest);
        }
    }

    fn moment(&mut self, entry: Entry, lines: usize) {
        if !self.batch.add(entry, lines) {
            self.drop(Dropped { bytes: 0, lines: lines as u64 });
        }
    }

    fn keep_tail(&mut self, text: &[u8]) {
        if let Some(tail) = &mut self.tail {
            tail.extend_from_slice(&text[text.len().saturating_sub(TAIL)..]);
            // Cut now and then rather than at every line.
            if tail.len() > 4 * TAIL {
                tail.drain(..tail.len() - TAIL);
            }
        }
    }

    /// Writes as many whole events as an overlong line has.
    fn cut(&mut self, at_ms: u64) {
        while self.partial.len() > LINE_LIMIT {
            let rest = self.partial.split_off(LINE_LIMIT);
            let mut piece = std::mem::replace(&mut self.partial, rest);
            piece.push(b'\n');
            self.push(&piece, at_ms);
        }
    }

    fn finish_partial(&mut self, at_ms: u64) {
        let line = std::mem::take(&mut self.partial);
        self.push(&line, at_ms);
        // The allocation is kept for the next line, unless it has become a large one.
        if line.capacity() <= 4096 {
            self.partial = line;
            self.partial.clear();
        }
    }

    fn drop(&mut self, more: Dropped) {
        self.dropped.bytes += more.bytes;
        self.dropped.lines += more.lines;
        self.batch.dropped += more.lines;
    }

    /// Says what is missing; false if there is no room to say it yet.
    fn tell_dropped(&mut self, at_ms: u64) -> bool {
        if !self.dropped.any() {
            return true;
        }
        // What of a line is there belongs before the gap.
        if !self.partial.is_empty() {
            self.partial.push(b'\n');
            self.finish_partial(at_ms);
        }
        let Dropped { bytes, lines } = self.dropped;
        let line = format!(
            "[hearth] log truncated: {bytes} bytes ({lines} lines) were dropped, more than a \
             function may print\n"
        );
        let told = self.batch.add_text(line.as_bytes(), at_ms);
        if told {
            self.dropped = Dropped::default();
            self.keep_tail(line.as_bytes());
        }
        told
    }
}

// === impl Dropped ===

impl Dropped {
    fn any(self) -> bool {
        self.bytes > 0 || self.lines > 0
    }
}

#[cfg(test)]
mod tests;
