//! Reading a segment from somewhere to somewhere, over damage if there is any.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::record::{Front, Record, SEGMENT_HEADER, Salt, decode};

/// Bytes read at once; a record may need more.
const CHUNK: usize = 256 * 1024;

/// A pass over the records of one segment.
#[derive(Debug)]
pub(super) struct Scan<'f> {
    file: &'f File,
    salt: Salt,
    /// Bytes of the file from `base` on.
    bytes: Vec<u8>,
    base: u64,
    /// How many of `bytes` are behind us.
    at: usize,
    /// Where in the file to stop.
    end: u64,
}

/// What a pass meets.
#[derive(Debug)]
pub(super) enum Item<'a> {
    /// A record at `offset`; the next one begins at `next`. `None` is one of an unknown kind.
    Record { offset: u64, next: u64, record: Option<Record<'a>> },
    /// So many bytes that are no record.
    Gap { length: u64 },
}

/// Reads a segment's header; `None` if it is damaged or not there.
pub(super) fn read_salt(file: &File) -> io::Result<Option<Salt>> {
    let mut header = [0; SEGMENT_HEADER];
    match file.read_exact_at(&mut header, 0) {
        Ok(()) => Ok(Salt::parse(&header)),
        Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(err) => Err(err),
    }
}

/// The name announced at `offset`; `None` if no announcement is there.
pub(super) fn read_stream(file: &File, salt: Salt, offset: u64) -> io::Result<Option<String>> {
    let end = file.metadata()?.len();
    if offset >= end {
        return Ok(None);
    }
    Ok(match Scan::new(file, salt, offset, end).next()? {
        Some(Item::Record { record: Some(Record::Stream { name }), .. }) => Some(name.to_owned()),
        _ => None,
    })
}

// === impl Scan ===

impl<'f> Scan<'f> {
    /// A pass from byte `from`, which need not be where a record begins, to byte `end`.
    pub(super) fn new(file: &'f File, salt: Salt, from: u64, end: u64) -> Self {
        let base = from.max(SEGMENT_HEADER as u64);
        Self { file, salt, bytes: Vec::new(), base, at: 0, end }
    }

    /// The next record or gap.
    pub(super) fn next(&mut self) -> io::Result<Option<Item<'_>>> {
        let mut gap = None;
        let size = loop {
            let here = self.position();
            if here >= self.end {
                return Ok(gap.map(|from| Item::Gap { length: here - from }));
            }
            match self.salt.check(&self.bytes[self.at..]) {
                Front::Whole(size) => match gap {
                    None => break size,
                    Some(from) => return Ok(Some(Item::Gap { length: here - from })),
                },
                Front::Short(size) if self.fill(size)? => {}
                Front::Short(_) | Front::Damaged => {
                    gap.get_or_insert(here);
                    self.skip();
                }
            }
        };
        let (offset, start) = (self.position(), self.at);
        self.at += size;
        let record = decode(&self.bytes[start..self.at]);
        Ok(Some(Item::Record { offset, next: offset + size as u64, record }))
    }

    /// Where in the file the pass is.
    fn position(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Makes `size` bytes available from here on; `false` if there are not so many before the end.
    fn fill(&mut self, size: usize) -> io::Result<bool> {
        if self.position() + size as u64 > self.end {
            return Ok(false);
        }
        self.bytes.drain(..self.at);
        self.base += self.at as u64;
        self.at = 0;
        let left = usize::try_from(self.end - self.base).unwrap_or(usize::MAX);
        let had = self.bytes.len();
        self.bytes.resize(size.max(CHUNK).min(left).max(had), 0);
        let mut filled = had;
        while filled < self.bytes.len() {
            match self.file.read_at(&mut self.bytes[filled..], self.base + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        if filled < self.bytes.len() {
            // The file is shorter than it was said to be.
            self.bytes.truncate(filled);
            self.end = self.base + filled as u64;
        }
        Ok(filled >= size)
    }

    /// Moves on, by at least one byte, to where a record may begin.
    fn skip(&mut self) {
        let rest = &self.bytes[self.at..];
        if rest.is_empty() {
            self.base = self.end;
            self.bytes.clear();
            self.at = 0;
            return;
        }
        // Without a marker in sight, one may still begin in the last three bytes.
        self.at += self.salt.find(rest).unwrap_or_else(|| rest.len().saturating_sub(3).max(1));
    }
}
