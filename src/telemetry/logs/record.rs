//! The bytes of a segment: a header, then records, each checked on its own.
//!
//! ```text
//!   segment   0       8        12     16        20          24
//!             ├ magic ┼ marker ┼ seed ┼ zeros   ┼ checksum  ┼ record, record, …
//!
//!   record    0        4        8          12     13
//!             ├ marker ┼ length ┼ checksum ┼ kind ┼ …          `length` counts from `kind` on
//!
//!   stream    kind 1, name                                     announces a stream
//!   event     kind 2, u32 stream, u64 timestamp, u64 ingestion, message
//! ```
//!
//! Everything is little-endian. An event names its stream by the offset of the record that announced
//! it in the same segment, so that a reader can begin anywhere and needs no table.
//!
//! A reader that meets damage looks for the next marker behind which a record checks out. Messages
//! are a stranger's bytes and could contain such a thing on purpose; marker and seed are therefore
//! random for each segment, and nobody outside can know them.

use crc32fast::Hasher;

/// Bytes of a segment's header.
pub(super) const SEGMENT_HEADER: usize = 24;
/// Bytes of a record before its kind.
pub(super) const RECORD_HEADER: usize = 12;
/// Bytes of an event before its message, header included.
pub(super) const EVENT_OVERHEAD: usize = RECORD_HEADER + 21;
/// Longest message; the queue cuts longer ones. AWS cut at 256 KiB for most of Lambda's life.
pub(super) const MAX_MESSAGE: usize = 256 * 1024;

const MAGIC: [u8; 8] = *b"HEARTHL1";
const MAX_BODY: usize = EVENT_OVERHEAD - RECORD_HEADER + MAX_MESSAGE;
const STREAM: u8 = 1;
const EVENT: u8 = 2;

/// What makes the records of one segment recognisable, and unforgeable from inside a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Salt {
    marker: [u8; 4],
    seed: u32,
}

/// One record, its bytes still where they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// A stream's name.
    Stream { name: &'a str },
    /// One line.
    Event { stream: u32, timestamp_ms: u64, ingestion_ms: u64, message: &'a [u8] },
}

/// What the front of some bytes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Front {
    /// A record of this many bytes, for [`decode`].
    Whole(usize),
    /// The beginning of what may be a record; this many bytes are needed to tell.
    Short(usize),
    /// No record.
    Damaged,
}

// === impl Salt ===

impl Salt {
    /// A new one, from sixteen random bytes.
    pub(super) fn new(random: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = random;
        Self { marker: [a, b, c, d], seed: u32::from_le_bytes([e, f, g, h]) }
    }

    /// The header of a segment.
    pub(super) fn header(self) -> [u8; SEGMENT_HEADER] {
        let mut out = [0; SEGMENT_HEADER];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&self.marker);
        out[12..16].copy_from_slice(&self.seed.to_le_bytes());
        let sum = crc32fast::hash(&out[..20]);
        out[20..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads what [`Salt::header`] writes.
    pub(super) fn parse(header: &[u8; SEGMENT_HEADER]) -> Option<Self> {
        let [.., a, b, c, d] = *header;
        let whole = crc32fast::hash(&header[..20]) == u32::from_le_bytes([a, b, c, d]);
        if !whole || header[..8] != MAGIC {
            return None;
        }
        let mut random = [0; 16];
        random[..8].copy_from_slice(&header[8..16]);
        Some(Self::new(random))
    }

    /// Appends the announcement of a stream.
    pub(super) fn write_stream(self, out: &mut Vec<u8>, name: &str) {
        self.write(out, STREAM, &[name.as_bytes()]);
    }

    /// Appends an event.
    pub(super) fn write_event(
        self,
        out: &mut Vec<u8>,
        stream: u32,
        timestamp_ms: u64,
        ingestion_ms: u64,
        message: &[u8],
    ) {
        self.write(
            out,
            EVENT,
            &[
                &stream.to_le_bytes(),
                &timestamp_ms.to_le_bytes(),
                &ingestion_ms.to_le_bytes(),
                message,
            ],
        );
    }

    fn write(self, out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
        let start = out.len();
        out.extend_from_slice(&self.marker);
        out.extend_from_slice(&[0; 8]);
        out.push(kind);
        for part in parts {
            out.extend_from_slice(part);
        }
        let body = start + RECORD_HEADER;
        let length = u32::try_from(out.len() - body).expect("a message is cut before it is queued");
        let sum = self.checksum(length, &out[body..]);
        out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
        out[start + 8..body].copy_from_slice(&sum.to_le_bytes());
    }

    /// Looks at the front of `bytes`. A length is checked before anything is read by it.
    pub(super) fn check(self, bytes: &[u8]) -> Front {
        let known = bytes.len().min(4);
        if bytes[..known] != self.marker[..known] {
            return Front::Damaged;
        }
        let Some((header, rest)) = bytes.split_first_chunk::<RECORD_HEADER>() else {
            return Front::Short(RECORD_HEADER);
        };
        let [_, _, _, _, a, b, c, d, e, f, g, h] = *header;
        let length = u32::from_le_bytes([a, b, c, d]);
        let size = length as usize;
        if size == 0 || size > MAX_BODY {
            return Front::Damaged;
        }
        let Some(body) = rest.get(..size) else {
            return Front::Short(RECORD_HEADER + size);
        };
        if self.checksum(length, body) != u32::from_le_bytes([e, f, g, h]) {
            return Front::Damaged;
        }
        Front::Whole(RECORD_HEADER + size)
    }

    /// Where, after the first byte, a record may begin.
    pub(super) fn find(self, bytes: &[u8]) -> Option<usize> {
        memchr::memmem::find(bytes.get(1..)?, &self.marker).map(|at| at + 1)
    }

    fn checksum(self, length: u32, body: &[u8]) -> u32 {
        let mut hasher = Hasher::new_with_initial(self.seed);
        hasher.update(&length.to_le_bytes());
        hasher.update(body);
        hasher.finalize()
    }
}

/// Reads a record that [`Salt::check`] found whole; `None` if it is of a kind nobody wrote yet.
pub(super) fn decode(record: &[u8]) -> Option<Record<'_>> {
    let (kind, rest) = record.get(RECORD_HEADER..)?.split_first()?;
    match *kind {
        STREAM => Some(Record::Stream { name: std::str::from_utf8(rest).ok()? }),
        EVENT => {
            let (stream, rest) = rest.split_first_chunk::<4>()?;
            let (timestamp, rest) = rest.split_first_chunk::<8>()?;
            let (ingestion, message) = rest.split_first_chunk::<8>()?;
            Some(Record::Event {
                stream: u32::from_le_bytes(*stream),
                timestamp_ms: u64::from_le_bytes(*timestamp),
                ingestion_ms: u64::from_le_bytes(*ingestion),
                message,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
