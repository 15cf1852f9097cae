//! Lines on their way from one instance to the log, in order and never more than fit.
//!
//! A batch is taken every hundredth of a second, but whoever takes it may be late, and what a function
//! prints meanwhile is a stranger's. So a batch has bounds, of bytes, of lines and of entries, and
//! what does not fit is refused here and counted by [`Lines`](super::lines::Lines). The function's
//! output gets a part of each, so that the platform's lines and the one that tells of what is missing
//! find room beside it.
//!
//! Lines of output that came together are one entry, however many they are: an empty line takes one
//! byte here. They are cut apart only when they are written, a slice at a time.

use std::sync::Arc;
use std::time::Duration;

use model::RequestId;

/// Most text of one batch, bytes, and the part of it that output may have: beside half of it, where
/// readers pause, that is a line that was cut, a chunk, and what a pipe holds until an END.
pub(crate) const TEXT: usize = 1 << 20;
const OUTPUT_TEXT: usize = TEXT - 64 * 1024;
/// Most lines of one batch and output's part: fifteen times the default budget's rate.
pub(crate) const LINES: usize = 16 * 1024;
const OUTPUT_LINES: usize = LINES - 1024;
/// Most entries and output's part. The busiest instance makes some three hundred between two takes.
pub(crate) const ENTRIES: usize = 4096;
const OUTPUT_ENTRIES: usize = ENTRIES - 1024;

/// Most lines, and about how many bytes, that are handed to the log at once.
pub(crate) const SLICE_LINES: usize = 512;
const SLICE_TEXT: usize = 32 * 1024;

/// What is to be written to the log, in order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    entries: Vec<Entry>,
    /// The text of [`Entry::Lines`] and [`Entry::Text`], one after another.
    text: Vec<u8>,
    lines: usize,
    /// Lines that were dropped since the batch before.
    pub(crate) dropped: u64,
}

/// One line, many, or one moment that becomes lines.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    /// The next `length` bytes of the text: whole lines, an event each.
    Lines { at_ms: u64, length: usize },
    /// The next `length` bytes of the text: one event, of one line or more.
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
    /// Whether that was a restore.
    pub(crate) restored: bool,
    /// What ends the REPORT line if the event failed.
    pub(crate) status: Option<String>,
    /// The trace it belongs to, if that is sampled: as the function saw it.
    pub(crate) trace: Option<Arc<str>>,
}

/// What is written at once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Piece<'a> {
    /// Whole lines, an event each.
    Lines { at_ms: u64, text: &'a [u8], lines: usize },
    /// One event.
    Text { at_ms: u64, text: &'a [u8] },
    /// An event was delivered.
    Start { at_ms: u64, request_id: &'a RequestId },
    /// An event was answered.
    End { at_ms: u64, end: &'a End },
}

/// A batch, piece by piece.
#[derive(Debug)]
pub(crate) struct Pieces<'a> {
    entries: std::slice::Iter<'a, Entry>,
    /// What is left of the text.
    text: &'a [u8],
    /// What is left of lines that are being cut apart, and when they were printed.
    cut: Option<(u64, &'a [u8])>,
}

// === impl Batch ===

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether readers should wait until it is taken.
    pub(crate) fn is_half_full(&self) -> bool {
        self.text.len() >= TEXT / 2
            || self.lines >= LINES / 2
            || self.entries.len() >= OUTPUT_ENTRIES / 2
    }

    /// Whether there is room for more output.
    pub(crate) fn has_room(&self) -> bool {
        self.text.len() < OUTPUT_TEXT
            && self.lines < OUTPUT_LINES
            && self.entries.len() < OUTPUT_ENTRIES
    }

    /// Whether an invocation ended in it.
    pub(crate) fn has_end(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry, Entry::End { .. }))
    }

    /// Adds as many of the front of some lines of output as there is room for; how many bytes they
    /// have.
    pub(crate) fn add_lines(&mut self, lines: &[u8], at_ms: u64) -> usize {
        let together =
            matches!(self.entries.last(), Some(Entry::Lines { at_ms: at, .. }) if *at == at_ms);
        if !together && self.entries.len() >= OUTPUT_ENTRIES {
            return 0;
        }
        let room = lines.len().min(OUTPUT_TEXT.saturating_sub(self.text.len()));
        let most = OUTPUT_LINES.saturating_sub(self.lines);
        let (count, length) = front(&lines[..room], most, room);
        if count == 0 {
            return 0;
        }
        self.text.extend_from_slice(&lines[..length]);
        self.lines += count;
        match self.entries.last_mut() {
            Some(Entry::Lines { length: before, .. }) if together => *before += length,
            _ => self.entries.push(Entry::Lines { at_ms, length }),
        }
        length
    }

    /// Adds one event of the platform's, with its newline; false if there is no room for it.
    pub(crate) fn add_text(&mut self, text: &[u8], at_ms: u64) -> bool {
        let fits = self.text.len() + text.len() <= TEXT;
        let added = fits && self.add(Entry::Text { at_ms, length: text.len() }, 1);
        if added {
            self.text.extend_from_slice(text);
        }
        added
    }

    /// Adds a moment that becomes `lines` lines; false if there is no room for it.
    pub(crate) fn add(&mut self, entry: Entry, lines: usize) -> bool {
        let fits = self.lines + lines <= LINES && self.entries.len() < ENTRIES;
        if fits {
            self.lines += lines;
            self.entries.push(entry);
        }
        fits
    }

    /// Everything in order, in pieces that are small.
    pub(crate) fn pieces(&self) -> Pieces<'_> {
        Pieces { entries: self.entries.iter(), text: &self.text, cut: None }
    }

    /// Bytes, lines and entries that are held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize, usize) {
        (self.text.len(), self.lines, self.entries.len())
    }
}

// === impl Pieces ===

impl<'a> Pieces<'a> {
    fn next_text(&mut self, length: usize) -> &'a [u8] {
        let (text, rest) = self.text.split_at(length);
        self.text = rest;
        text
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        loop {
            if let Some((at_ms, text)) = self.cut.take_if(|(_, text)| !text.is_empty()) {
                let (lines, length) = front(text, SLICE_LINES, SLICE_TEXT);
                let (text, rest) = text.split_at(length);
                self.cut = Some((at_ms, rest));
                return Some(Piece::Lines { at_ms, text, lines });
            }
            match self.entries.next()? {
                Entry::Lines { at_ms, length } => {
                    self.cut = Some((*at_ms, self.next_text(*length)));
                }
                Entry::Text { at_ms, length } => {
                    let text = self.next_text(*length);
                    return Some(Piece::Text { at_ms: *at_ms, text });
                }
                Entry::Start { at_ms, request_id } => {
                    return Some(Piece::Start { at_ms: *at_ms, request_id });
                }
                Entry::End { at_ms, end } => return Some(Piece::End { at_ms: *at_ms, end }),
            }
        }
    }
}

/// The first lines of a text: at most `most`, none that begins at `bytes` or behind it; how many they
/// are, and their bytes.
fn front(text: &[u8], most: usize, bytes: usize) -> (usize, usize) {
    let mut found = (0, 0);
    for (count, end) in memchr::memchr_iter(b'\n', text).take(most).enumerate() {
        if found.1 >= bytes {
            break;
        }
        found = (count + 1, end + 1);
    }
    found
}

#[cfg(test)]
mod tests;
