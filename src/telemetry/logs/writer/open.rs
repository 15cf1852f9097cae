//! A segment that is being written to.
//!
//! Lines are encoded into a buffer and written with one system call; [`Open::complete`] moves only
//! after that has succeeded.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::mem;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::Limits;
use super::super::catalog::Segment;
use super::super::queue::Line;
use super::super::record::{EVENT_OVERHEAD, RECORD_HEADER, SEGMENT_HEADER, Salt};
use super::super::scan::read_salt;
use super::super::segment::{Span, Summary, log_path};

/// A buffer is written before it grows beyond this, whatever the round still brings.
const MAX_BUFFER: usize = 256 * 1024;

/// A segment that is being written to.
#[derive(Debug)]
pub(super) struct Open {
    file: File,
    dir: PathBuf,
    /// Its number.
    pub(super) number: u64,
    salt: Salt,
    /// Bytes that readers may see.
    pub(super) complete: u64,
    /// What comes behind them.
    buffer: Vec<u8>,
    /// What the buffer holds, for the catalog.
    pending: Summary,
    /// And what each stream loses if it cannot be written.
    at_stake: HashMap<Arc<str>, Loss>,
    /// Where streams were announced.
    announced: HashMap<Arc<str>, u32>,
    /// The round it was last used in.
    pub(super) used: u64,
}

/// What a write has added.
#[derive(Debug)]
pub(super) struct Added {
    /// By stream, for the catalog.
    pub(super) summary: Summary,
    /// In all.
    pub(super) lines: u64,
}

/// What a stream loses by a line that cannot be written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Loss {
    /// Lines that the function printed.
    pub(super) lines: u64,
    /// Lines that are missing then: those, and the ones that a lost note was about.
    pub(super) missing: u64,
}

// === impl Open ===

impl Open {
    /// Begins a segment.
    pub(super) fn create(dir: PathBuf, number: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let path = log_path(&dir, number);
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        let salt = Salt::new(model::id::random_bytes());
        Ok(Self { buffer: salt.header().to_vec(), ..Self::of(file, dir, number, salt, 0) })
    }

    /// Continues a segment; `None` if its header is damaged.
    pub(super) fn resume(dir: &Path, segment: Segment) -> io::Result<Option<Self>> {
        let path = log_path(dir, segment.number);
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let Some(salt) = read_salt(&file)? else {
            return Ok(None);
        };
        // Behind what is complete may stand half of a write that failed.
        file.set_len(segment.bytes)?;
        Ok(Some(Self::of(file, dir.to_owned(), segment.number, salt, segment.bytes)))
    }

    fn of(file: File, dir: PathBuf, number: u64, salt: Salt, complete: u64) -> Self {
        Self {
            file,
            dir,
            number,
            salt,
            complete,
            buffer: Vec::new(),
            pending: Summary::default(),
            at_stake: HashMap::new(),
            announced: HashMap::new(),
            used: 0,
        }
    }

    /// Bytes, with what is not written yet.
    fn size(&self) -> u64 {
        self.complete + self.buffer.len() as u64
    }

    /// Whether the line belongs into another segment: there is no room for it here, or the oldest
    /// event here is so old that it should not have to wait for newer ones before it is deleted.
    pub(super) fn must_end(&self, line: &Line<'_>, limits: &Limits) -> bool {
        let announcement = RECORD_HEADER + 1 + line.stream.len();
        let cost = (announcement + EVENT_OVERHEAD + line.message.len()) as u64;
        let full = self.size() + cost > u64::from(limits.segment_bytes);
        let old = line.ingestion_ms.saturating_sub(self.number) > limits.max_age_ms() / 8;
        (full || old) && self.size() > SEGMENT_HEADER as u64
    }

    /// Whether there is something to write.
    pub(super) fn has_pending(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Whether so much is pending that it should be written now.
    pub(super) fn is_due(&self) -> bool {
        self.buffer.len() >= MAX_BUFFER
    }

    /// Writes what is pending behind what is complete.
    pub(super) fn write(&mut self) -> io::Result<Added> {
        self.file.write_all_at(&self.buffer, self.complete)?;
        self.complete += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(MAX_BUFFER);
        let lines = self.at_stake.drain().map(|(_, loss)| loss.lines).sum();
        Ok(Added { summary: mem::take(&mut self.pending), lines })
    }

    /// What each stream has lost.
    pub(super) fn into_losses(self) -> HashMap<Arc<str>, Loss> {
        self.at_stake
    }

    /// Takes back what a failed write may have left.
    pub(super) fn undo(&self) -> io::Result<()> {
        match self.complete {
            0 => fs::remove_file(log_path(&self.dir, self.number)),
            complete => self.file.set_len(complete),
        }
    }

    /// Encodes a line.
    pub(super) fn push(&mut self, line: &Line<'_>) {
        let stream = match self.announced.get(line.stream) {
            Some(offset) => *offset,
            None => {
                let offset = u32::try_from(self.size()).expect("a segment is below 4 GiB");
                self.salt.write_stream(&mut self.buffer, line.stream);
                self.announced.insert(Arc::clone(line.stream), offset);
                offset
            }
        };
        self.salt.write_event(
            &mut self.buffer,
            stream,
            line.timestamp_ms,
            line.ingestion_ms,
            line.message,
        );
        self.pending.add(line.stream, Span::at(line.timestamp_ms, line.ingestion_ms));
        self.at_stake.entry(Arc::clone(line.stream)).or_default().add(Loss::of(line));
    }
}

// === impl Loss ===

impl Loss {
    /// By this line.
    pub(super) fn of(line: &Line<'_>) -> Self {
        match line.missing {
            0 => Self { lines: 1, missing: 1 },
            missing => Self { lines: 0, missing },
        }
    }

    fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.missing += other.missing;
    }
}
