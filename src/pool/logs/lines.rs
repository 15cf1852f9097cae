//! A function's output, taken apart into lines, with the platform's own between them.
//!
//! Pure: bytes and times go in; entries in the order in which things happened come out. An entry of
//! the platform's is kept unformatted until somebody has the time, because putting a REPORT line into
//! words takes longer than the rest of a warm invocation's bookkeeping; only where the caller asked
//! for the tail of the log are they put into words at once.

use std::time::Duration;

use model::RequestId;

/// Longest line that stays one event; AWS cuts there as well (256 KiB per log event).
pub(crate) const LINE_LIMIT: usize = 256 * 1024;
/// How much of the end of an invocation's log a caller can ask for (AWS: the last 4 KB).
pub(crate) const TAIL: usize = 4096;

/// What is to be written to the log, in order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    entries: Vec<Entry>,
    /// The text of [`Entry::Text`], one after another.
    text: Vec<u8>,
}

/// One line, or one moment that becomes lines.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    /// The next `length` bytes of the text.
    Text { at_ms: u64, length: usize },
    /// An event was delivered.
    Start { at_ms: u64, request_id: RequestId },
    /// An event was answered.
    End { at_ms: u64, end: End },
}

/// What an END and a REPORT line say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    /// Which invocation.
    pub(crate) request_id: RequestId,
    /// From the delivery of the event to its answer.
    pub(crate) duration: Duration,
    /// How long the initialisation took, if this was the first event.
    pub(crate) init: Option<Duration>,
    /// What ends the REPORT line if the event failed.
    pub(crate) status: Option<String>,
}

/// The state of one instance's output.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    batch: Batch,
    /// A line whose end has not come.
    partial: Vec<u8>,
    /// The end of the current invocation's log; `None` where nobody wants it.
    tail: Option<Vec<u8>>,
    /// Bytes dropped and not yet told of.
    dropped: u64,
}

// === impl Lines ===

impl Lines {
    /// Output of the function.
    pub(crate) fn output(&mut self, mut bytes: &[u8], at_ms: u64) {
        self.tell_dropped(at_ms);
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end + 1);
            bytes = rest;
            if self.partial.is_empty() && line.len() <= LINE_LIMIT {
                self.push(line, at_ms);
            } else {
                self.partial.extend_from_slice(line);
                self.cut(at_ms);
                self.finish_partial(at_ms);
            }
        }
        self.partial.extend_from_slice(bytes);
        self.cut(at_ms);
    }

    /// Output that was read and is not kept.
    pub(crate) fn drop_output(&mut self, bytes: &[u8]) {
        self.dropped += bytes.len() as u64;
    }

    /// A line of the platform's, with its newline.
    pub(crate) fn platform(&mut self, line: &str, at_ms: u64) {
        self.finish_output(at_ms);
        self.push(line.as_bytes(), at_ms);
    }

    /// Keeps the end of what follows, and of what is there already.
    pub(crate) fn want_tail(&mut self) {
        self.tail.get_or_insert_default();
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
        self.batch.entries.push(Entry::Start { at_ms, request_id });
    }

    /// An event was answered; its lines are put into words later.
    pub(crate) fn end(&mut self, end: End, at_ms: u64) {
        self.finish_output(at_ms);
        self.batch.entries.push(Entry::End { at_ms, end });
    }

    /// Ends a line that the function did not end, and tells of what was dropped.
    pub(crate) fn finish_output(&mut self, at_ms: u64) {
        if !self.partial.is_empty() {
            self.partial.push(b'\n');
            self.finish_partial(at_ms);
        }
        self.tell_dropped(at_ms);
    }

    /// Everything there is to write.
    pub(crate) fn take(&mut self) -> Batch {
        std::mem::take(&mut self.batch)
    }

    fn push(&mut self, line: &[u8], at_ms: u64) {
        self.batch.text.extend_from_slice(line);
        self.batch.entries.push(Entry::Text { at_ms, length: line.len() });
        if let Some(tail) = &mut self.tail {
            tail.extend_from_slice(&line[line.len().saturating_sub(TAIL)..]);
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

    fn tell_dropped(&mut self, at_ms: u64) {
        if self.dropped == 0 {
            return;
        }
        let dropped = std::mem::take(&mut self.dropped);
        // What of a line is there belongs before the gap.
        if !self.partial.is_empty() {
            self.partial.push(b'\n');
            self.finish_partial(at_ms);
        }
        let line = format!(
            "[hearth] log truncated: {dropped} bytes were dropped, more than a function may print\n"
        );
        self.push(line.as_bytes(), at_ms);
    }
}

// === impl Batch ===

impl Batch {
    /// Every entry in order; text with its bytes.
    pub(crate) fn each(&self, mut take: impl FnMut(&Entry, &[u8])) {
        let mut text = &self.text[..];
        for entry in &self.entries {
            match entry {
                Entry::Text { length, .. } => {
                    let (line, rest) = text.split_at(*length);
                    text = rest;
                    take(entry, line);
                }
                _ => take(entry, &[]),
            }
        }
    }

    /// Whether an invocation ended in it.
    pub(crate) fn has_end(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry, Entry::End { .. }))
    }
}

#[cfg(test)]
mod tests;
