//! What readers may see: every group, its segments, and how many bytes of each are complete.
//!
//! Only the writer changes it; each change is made in one step while the lock is held, and no file is
//! touched meanwhile. The streams of full segments are not kept in memory: a function that starts an
//! instance per call has hundreds of thousands of them.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use super::segment::{Span, Summary};

/// All groups, by name.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    pub(super) groups: BTreeMap<Arc<str>, Entry>,
}

/// One group.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where its segments are.
    pub(super) dir: PathBuf,
    /// Since when there is one, milliseconds since the epoch.
    pub(super) created_ms: u64,
    /// Oldest first.
    pub(super) segments: VecDeque<Segment>,
    /// The streams of the last segment while it is written to; `None` once it is sealed.
    pub(super) open: Option<Summary>,
}

/// One segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its number: milliseconds since the epoch when it was begun, or one more than the last.
    pub(super) number: u64,
    /// Complete bytes.
    pub(super) bytes: u64,
    /// Bytes of its index.
    pub(super) index_bytes: u64,
    /// From when to when; `None` if it holds no event.
    pub(super) extent: Option<Span>,
}

// === impl Catalog ===

impl Catalog {
    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.groups.values().map(Entry::bytes).sum()
    }
}

// === impl Entry ===

impl Entry {
    /// A group without segments.
    pub(super) fn new(dir: PathBuf, created_ms: u64) -> Self {
        Self { dir, created_ms, segments: VecDeque::new(), open: None }
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(Segment::total).sum()
    }

    /// The segment to continue, if there is one.
    pub(super) fn current(&self) -> Option<Segment> {
        self.open.as_ref().and(self.segments.back().copied())
    }

    /// A number for the next segment; they rise even if the clock does not.
    pub(super) fn next_number(&self, now_ms: u64) -> u64 {
        self.segments.back().map_or(now_ms, |last| now_ms.max(last.number + 1))
    }

    /// Segment `number` is complete up to byte `bytes`; `added` is what came since the last time.
    pub(super) fn publish(&mut self, number: u64, bytes: u64, added: Summary) {
        if self.segments.back().is_none_or(|last| last.number != number) {
            let fresh = Segment { number, bytes: 0, index_bytes: 0, extent: None };
            self.segments.push_back(fresh);
            self.open = None;
        }
        let segment = self.segments.back_mut().expect("there is one now");
        segment.bytes = bytes;
        segment.extent = match (segment.extent, added.extent()) {
            (Some(old), Some(new)) => Some(old.join(new)),
            (old, new) => old.or(new),
        };
        let summary = self.open.get_or_insert_default();
        summary.covered = bytes;
        for (stream, span) in added.streams {
            summary.add(&stream, span);
        }
    }
}

// === impl Segment ===

impl Segment {
    /// Bytes on disk.
    pub(super) fn total(&self) -> u64 {
        self.bytes + self.index_bytes
    }
}
