//! What is known about a segment without reading it, and the file that remembers it.
//!
//! ```text
//!   index   0       8         16      20
//!           ├ magic ┼ covered ┼ count ┼ streams: u16 length, name, three u64 … ┼ checksum u32
//! ```
//!
//! An index covers the first `covered` bytes of its segment. It is a convenience: one that is missing,
//! damaged, or covers too little is replaced by reading the segment.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::Record;
use super::scan::{Item, Scan, read_salt, read_stream};

const MAGIC: &[u8; 8] = b"HEARTHI1";

/// The streams of a segment, or of what was just added to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Bytes of the segment this is about.
    pub(super) covered: u64,
    /// When each stream was written to.
    pub(super) streams: HashMap<Arc<str>, Span>,
}

/// From when to when, milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Smallest timestamp.
    pub(super) first_ms: u64,
    /// Largest timestamp.
    pub(super) last_ms: u64,
    /// Last ingestion.
    pub(super) ingestion_ms: u64,
}

/// What reading a segment found.
#[derive(Debug)]
pub(super) struct Reading {
    /// The streams of everything that was read.
    pub(super) summary: Summary,
    /// Where the last record ends: the end of the file, unless its tail is torn.
    pub(super) whole: u64,
    /// Damaged bytes before that.
    pub(super) damaged: u64,
}

/// The path of a segment.
pub(super) fn log_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}.log"))
}

/// The path of a segment's index.
pub(super) fn index_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}.idx"))
}

/// The number in the name of a segment or an index, and which of them it is.
pub(super) fn parse_file_name(name: &str) -> Option<(u64, &str)> {
    let (number, kind) = name.split_once('.')?;
    let fits = number.len() == 16 && number.bytes().all(|b| b.is_ascii_hexdigit());
    let number = fits.then(|| u64::from_str_radix(number, 16).ok()).flatten()?;
    Some((number, kind))
}

/// Reads a segment from where `known` ends; `None` if its header is damaged.
pub(super) fn read(file: &File, known: Summary, end: u64) -> io::Result<Option<Reading>> {
    let Some(salt) = read_salt(file)? else {
        return Ok(None);
    };
    let mut reading = Reading { whole: known.covered, summary: known, damaged: 0 };
    let mut names: HashMap<u64, Arc<str>> = HashMap::new();
    let mut scan = Scan::new(file, salt, reading.whole, end);
    let mut gaps = 0;
    while let Some(item) = scan.next()? {
        let (offset, next, record) = match item {
            Item::Gap { length } => {
                gaps += length;
                continue;
            }
            Item::Record { offset, next, record } => (offset, next, record),
        };
        reading.damaged += std::mem::take(&mut gaps);
        reading.whole = next;
        match record {
            Some(Record::Stream { name }) => {
                names.insert(offset, name.into());
            }
            Some(Record::Event { stream, timestamp_ms, ingestion_ms, .. }) => {
                let stream = u64::from(stream);
                let name = match names.entry(stream) {
                    Entry::Occupied(known) => known.into_mut(),
                    // Announced before the part that is read now, or lost to damage.
                    Entry::Vacant(place) => {
                        place.insert(stream_name(read_stream(file, salt, stream)?))
                    }
                };
                reading.summary.add(name, Span::at(timestamp_ms, ingestion_ms));
            }
            None => {}
        }
    }
    reading.summary.covered = reading.whole;
    Ok(Some(reading))
}

/// The name of a stream, or what stands for it where damage has swallowed the announcement.
pub(super) fn stream_name(name: Option<String>) -> Arc<str> {
    name.map_or_else(|| "(unknown)".into(), Into::into)
}

// === impl Span ===

impl Span {
    /// Of a single event.
    pub(super) fn at(timestamp_ms: u64, ingestion_ms: u64) -> Self {
        Self { first_ms: timestamp_ms, last_ms: timestamp_ms, ingestion_ms }
    }

    /// Of both.
    pub(super) fn join(self, other: Self) -> Self {
        Self {
            first_ms: self.first_ms.min(other.first_ms),
            last_ms: self.last_ms.max(other.last_ms),
            ingestion_ms: self.ingestion_ms.max(other.ingestion_ms),
        }
    }
}

// === impl Summary ===

impl Summary {
    /// Takes note of events of a stream.
    pub(super) fn add(&mut self, stream: &Arc<str>, span: Span) {
        match self.streams.get_mut(stream) {
            Some(known) => *known = known.join(span),
            None => {
                self.streams.insert(Arc::clone(stream), span);
            }
        }
    }

    /// Of all streams together; `None` if there is none.
    pub(super) fn extent(&self) -> Option<Span> {
        self.streams.values().copied().reduce(Span::join)
    }

    /// Writes the index of a segment and returns its size, bytes. Not synchronised: a torn index is
    /// noticed by its checksum.
    pub(super) fn save(&self, dir: &Path, number: u64) -> io::Result<u64> {
        let path = index_path(dir, number);
        let temporary = path.with_extension("tmp");
        let bytes = self.encode();
        fs::write(&temporary, &bytes)?;
        fs::rename(&temporary, &path)?;
        Ok(bytes.len() as u64)
    }

    /// Reads the index of a segment and its size; `None` if it is missing or damaged.
    pub(super) fn load(dir: &Path, number: u64) -> io::Result<Option<(Self, u64)>> {
        match fs::read(index_path(dir, number)) {
            Ok(bytes) => Ok(Self::decode(&bytes).map(|summary| (summary, bytes.len() as u64))),
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(err) => Err(err),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.covered.to_le_bytes());
        let count = u32::try_from(self.streams.len()).expect("a segment is below 4 GiB");
        out.extend_from_slice(&count.to_le_bytes());
        for (name, span) in &self.streams {
            let length = u16::try_from(name.len()).expect("the queue refuses longer names");
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(name.as_bytes());
            for ms in [span.first_ms, span.last_ms, span.ingestion_ms] {
                out.extend_from_slice(&ms.to_le_bytes());
            }
        }
        let sum = crc32fast::hash(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (bytes, sum) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(bytes) != u32::from_le_bytes(*sum) {
            return None;
        }
        let rest = bytes.strip_prefix(MAGIC)?;
        let (covered, rest) = rest.split_first_chunk::<8>()?;
        let (count, mut rest) = rest.split_first_chunk::<4>()?;
        let mut summary = Self { covered: u64::from_le_bytes(*covered), ..Self::default() };
        for _ in 0..u32::from_le_bytes(*count) {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let (name, after) = after.split_at_checked(u16::from_le_bytes(*length).into())?;
            let (first, after) = after.split_first_chunk::<8>()?;
            let (last, after) = after.split_first_chunk::<8>()?;
            let (ingestion, after) = after.split_first_chunk::<8>()?;
            let span = Span {
                first_ms: u64::from_le_bytes(*first),
                last_ms: u64::from_le_bytes(*last),
                ingestion_ms: u64::from_le_bytes(*ingestion),
            };
            summary.streams.insert(std::str::from_utf8(name).ok()?.into(), span);
            rest = after;
        }
        rest.is_empty().then_some(summary)
    }
}
