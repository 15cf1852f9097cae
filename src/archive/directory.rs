//! The table of contents of a zip, read in place.
//!
//! ```text
//!   [prefix] local header, data │ local header, data │ … │ central directory │ [zip64 end] │ end
//! ```
//!
//! The end record says where the central directory lies, the central directory what the archive
//! holds; local headers are only asked where data begins, and must agree. Nothing is allocated: a
//! directory is walked as often as it is needed, and an entry borrows from the archive.
//!
//! A prefix (a self-extracting stub) is accepted, as everywhere; an archive on several disks and
//! bytes after the end record are not. Archives past 4 GiB are above every limit here, but their
//! record formats are read: tools write them for small archives too.

use std::ops::Range;

/// An archive whose records do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not a zip, or cut short.
    #[error("there is no end-of-central-directory record at its end")]
    NoEnd,
    /// Part of a set.
    #[error("it is one part of an archive on several disks")]
    SeveralDisks,
    /// The end record names a place that is not in the archive.
    #[error("its central directory does not lie where its end record says")]
    DirectoryElsewhere,
    /// A record of the central directory is cut short or is not one.
    #[error("record {index} of its central directory is broken")]
    BrokenRecord {
        /// Which, from 0.
        index: u64,
    },
    /// More or fewer records than the end record says.
    #[error("its end record announces {announced} entries, its central directory holds {found}")]
    WrongCount {
        /// By the end record.
        announced: u64,
        /// By walking, as far as it went.
        found: u64,
    },
}

/// The central directory of one archive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Directory<'a> {
    zip: &'a [u8],
    /// Length of what was put before the archive; every offset in it counts from here.
    prefix: usize,
    start: usize,
    end: usize,
    announced: u64,
}

/// One record of the central directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// As written, unchecked.
    pub(crate) name: &'a [u8],
    /// 0 stored, 8 deflated.
    pub(crate) method: u16,
    /// Needs a password.
    pub(crate) encrypted: bool,
    /// Of the contents.
    pub(crate) crc: u32,
    /// Bytes in the archive.
    pub(crate) packed: u64,
    /// Bytes of the contents, as declared.
    pub(crate) size: u64,
    /// `st_mode`, where the archive was made on a system that has one.
    pub(crate) mode: Option<u32>,
    /// Of the local header, from the prefix's end.
    offset: u64,
}

/// Walks the records; ends after the first error.
#[derive(Debug, Clone)]
pub(crate) struct Entries<'a> {
    directory: Directory<'a>,
    position: usize,
    found: u64,
    done: bool,
}

const END: u32 = 0x0605_4b50;
const END_LENGTH: usize = 22;
const END64: u32 = 0x0606_4b50;
const END64_LENGTH: usize = 56;
const LOCATOR: u32 = 0x0706_4b50;
const LOCATOR_LENGTH: usize = 20;
const RECORD: u32 = 0x0201_4b50;
const RECORD_LENGTH: usize = 46;
const LOCAL: u32 = 0x0403_4b50;
const LOCAL_LENGTH: usize = 30;
/// Longest comment behind the end record: its length is 16 bits.
const MAX_COMMENT: usize = 65_535;
/// In a 32-bit field: the value is in a zip64 record.
const ELSEWHERE: u64 = 0xffff_ffff;
/// Extra field that holds what did not fit 32 bits.
const EXTRA_ZIP64: u16 = 1;
/// General-purpose bits 0 (encrypted), 6 (strong encryption) and 13 (masked headers).
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
/// "Version made by", high byte: systems whose external attributes hold `st_mode`.
const HOSTS_WITH_MODE: [u8; 2] = [3, 19];

// === impl Directory ===

impl<'a> Directory<'a> {
    /// Finds the central directory; reads none of its records.
    ///
    /// # Errors
    /// [`Malformed`], for whatever is not a whole archive.
    pub(crate) fn find(zip: &'a [u8]) -> Result<Self, Malformed> {
        let end_at = find_end(zip).ok_or(Malformed::NoEnd)?;
        let end = &zip[end_at..end_at + END_LENGTH];
        let disks = [u16_at(end, 4), u16_at(end, 6)];
        let mut announced = u64::from(u16_at(end, 10));
        let announced_here = u64::from(u16_at(end, 8));
        let mut length = u64::from(u32_at(end, 12));
        let mut offset = u64::from(u32_at(end, 16));
        let mut directory_end = end_at;

        if let Some(record_at) = find_end64(zip, end_at) {
            let record = &zip[record_at..record_at + END64_LENGTH];
            if u32_at(record, 16) != 0 || u32_at(record, 20) != 0 {
                return Err(Malformed::SeveralDisks);
            }
            announced = u64_at(record, 32);
            length = u64_at(record, 40);
            offset = u64_at(record, 48);
            directory_end = record_at;
        } else if disks != [0, 0] || announced_here != announced {
            return Err(Malformed::SeveralDisks);
        }

        let place = || {
            let start = directory_end.checked_sub(usize::try_from(length).ok()?)?;
            Some((start, start.checked_sub(usize::try_from(offset).ok()?)?))
        };
        let (start, prefix) = place().ok_or(Malformed::DirectoryElsewhere)?;
        Ok(Self { zip, prefix, start, end: directory_end, announced })
    }

    /// How many entries the end record announces: to be refused before they are looked at.
    pub(crate) fn announced(&self) -> u64 {
        self.announced
    }

    pub(crate) fn entries(&self) -> Entries<'a> {
        Entries { directory: *self, position: self.start, found: 0, done: false }
    }

    /// Where an entry lies: from its local header to the end of its data.
    ///
    /// `None`, where its local header is not there, contradicts the central directory, or its data
    /// reaches into the central directory.
    pub(crate) fn locate(&self, entry: &Entry<'a>) -> Option<Span> {
        let header_at = self.prefix.checked_add(usize::try_from(entry.offset).ok()?)?;
        let header = self.zip.get(header_at..header_at.checked_add(LOCAL_LENGTH)?)?;
        if u32_at(header, 0) != LOCAL || u16_at(header, 8) != entry.method {
            return None;
        }
        let name_at = header_at + LOCAL_LENGTH;
        let name_end = name_at + usize::from(u16_at(header, 26));
        if self.zip.get(name_at..name_end)? != entry.name {
            return None;
        }
        let data_at = name_end + usize::from(u16_at(header, 28));
        let data_end = data_at.checked_add(usize::try_from(entry.packed).ok()?)?;
        (data_end <= self.start).then_some(Span { header_at, data: data_at..data_end })
    }

    pub(crate) fn bytes(&self, data: Range<usize>) -> &'a [u8] {
        &self.zip[data]
    }
}

/// The place of one entry in the archive.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    /// First byte of its local header.
    pub(crate) header_at: usize,
    /// Its packed contents.
    pub(crate) data: Range<usize>,
}

// === impl Entries ===

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let Directory { announced, end, .. } = self.directory;
        if self.position == end || self.found == announced {
            self.done = true;
            let complete = self.position == end && self.found == announced;
            // Records behind the last announced one are counted as one more: no need to walk them.
            let found = self.found + u64::from(self.position != end);
            return (!complete).then_some(Err(Malformed::WrongCount { announced, found }));
        }
        match self.read() {
            Some(entry) => {
                self.found += 1;
                Some(Ok(entry))
            }
            None => {
                self.done = true;
                Some(Err(Malformed::BrokenRecord { index: self.found }))
            }
        }
    }
}

impl<'a> Entries<'a> {
    fn read(&mut self) -> Option<Entry<'a>> {
        let rest = self.directory.zip.get(self.position..self.directory.end)?;
        let record = rest.get(..RECORD_LENGTH)?;
        if u32_at(record, 0) != RECORD {
            return None;
        }
        let name_end = RECORD_LENGTH + usize::from(u16_at(record, 28));
        let extra_end = name_end + usize::from(u16_at(record, 30));
        let comment_end = extra_end + usize::from(u16_at(record, 32));
        let name = rest.get(RECORD_LENGTH..name_end)?;
        let extra = rest.get(name_end..extra_end)?;
        rest.get(extra_end..comment_end)?;

        let sizes = [u32_at(record, 24), u32_at(record, 20), u32_at(record, 42)].map(u64::from);
        let [size, packed, offset] = widen(sizes, extra)?;
        let host = record[5];
        let mode = HOSTS_WITH_MODE.contains(&host).then(|| u32_at(record, 38) >> 16);
        self.position += comment_end;
        Some(Entry {
            name,
            method: u16_at(record, 10),
            encrypted: u16_at(record, 8) & ENCRYPTED != 0,
            crc: u32_at(record, 16),
            packed,
            size,
            mode: mode.filter(|mode| *mode != 0),
            offset,
        })
    }
}

// The last end record whose comment reaches exactly to the end of the archive. Of several
// candidates the last is taken: an earlier one would be inside what the last calls data.
fn find_end(zip: &[u8]) -> Option<usize> {
    let last = zip.len().checked_sub(END_LENGTH)?;
    let first = last.saturating_sub(MAX_COMMENT);
    (first..=last).rev().find(|&at| {
        let record = &zip[at..at + END_LENGTH];
        u32_at(record, 0) == END && usize::from(u16_at(record, 20)) == last - at
    })
}

// The zip64 end record and its locator stand directly before the end record, without the
// extension that nobody writes.
fn find_end64(zip: &[u8], end_at: usize) -> Option<usize> {
    let locator_at = end_at.checked_sub(LOCATOR_LENGTH)?;
    let record_at = locator_at.checked_sub(END64_LENGTH)?;
    let record = &zip[record_at..locator_at];
    let both = u32_at(&zip[locator_at..], 0) == LOCATOR && u32_at(record, 0) == END64;
    (both && u64_at(record, 4) == END64_LENGTH as u64 - 12).then_some(record_at)
}

// Replaces each value that says "elsewhere" by the next of the zip64 extra field. Where there is no
// such field the value stands for itself, and is then past the end of every archive we accept.
fn widen(mut values: [u64; 3], mut extra: &[u8]) -> Option<[u64; 3]> {
    if !values.contains(&ELSEWHERE) {
        return Some(values);
    }
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let mut field = extra.get(4..4 + length)?;
        extra = &extra[4 + length..];
        if id != EXTRA_ZIP64 {
            continue;
        }
        for value in values.iter_mut().filter(|value| **value == ELSEWHERE) {
            *value = u64_at(field.get(..8)?, 0);
            field = &field[8..];
        }
        break;
    }
    Some(values)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
