//! Pages of events: searching segments in one direction or the other, within bounds.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::sync::Arc;

use super::super::catalog::Segment;
use super::super::position::{EventId, Position};
use super::super::record::{Record, SEGMENT_HEADER, Salt};
use super::super::scan::{Item, Scan, read_salt, read_stream};
use super::super::segment::{log_path, stream_name};
use super::{Event, Page, Query, ReadError, Snapshot, StreamFilter, passing_deleted};

/// Bytes of messages in one page (an AWS limit); one event is returned whatever its size.
const PAGE_BYTES: usize = 1024 * 1024;
/// Bytes searched for one page: a tenth of a second or so.
const SEARCH_BYTES: u64 = 64 * 1024 * 1024;

/// The events found in one segment.
#[derive(Default)]
struct Found {
    events: VecDeque<Event>,
    bytes: usize,
    /// Forward: the page is full, and the search ended here.
    stopped: Option<u64>,
    /// Backward: earlier hits of this segment had to make room.
    dropped: bool,
}

/// From the oldest on.
pub(super) fn forward(
    query: &Query<'_>,
    snapshot: &Snapshot,
    oldest: u64,
) -> Result<Page, ReadError> {
    let start = query.start.unwrap_or(Position::START).min(snapshot.end());
    let mut page = Page { events: Vec::new(), next: start, opposite: start, more: false };
    let (mut bytes, mut searched) = (0, 0);
    for segment in snapshot.segments.iter().filter(|segment| segment.number >= start.segment) {
        let here = segment.number;
        let from = if here == start.segment { start.offset } else { 0 };
        if from < segment.bytes && query.may_be_in(segment, oldest) {
            if searched > SEARCH_BYTES {
                page.more = true;
                return Ok(page);
            }
            searched += segment.bytes - from;
            let room = query.limit() - page.events.len();
            let budget = PAGE_BYTES.saturating_sub(bytes);
            let first = page.events.is_empty();
            let mut found = Found::default();
            search(snapshot, segment, (from, segment.bytes), query, oldest, &mut |event| {
                let size = event.message.len();
                let none = first && found.events.is_empty();
                if !none && (found.events.len() >= room || found.bytes + size > budget) {
                    found.stopped = Some(event.id.position().offset);
                    return false;
                }
                found.bytes += size;
                found.events.push_back(event);
                true
            })?;
            bytes += found.bytes;
            page.events.extend(found.events);
            if let Some(offset) = found.stopped {
                page.next = Position { segment: here, offset };
                page.more = true;
                return Ok(page);
            }
        }
        page.next = Position { segment: here, offset: segment.bytes };
    }
    Ok(page)
}

/// From the newest back.
pub(super) fn backward(
    query: &Query<'_>,
    snapshot: &Snapshot,
    oldest: u64,
) -> Result<Page, ReadError> {
    let start = query.start.unwrap_or(Position::END).min(snapshot.end());
    let mut page = Page { events: Vec::new(), next: start, opposite: start, more: false };
    let (mut pages, mut count, mut bytes, mut searched) = (Vec::new(), 0, 0, 0);
    for segment in snapshot.segments.iter().rev().filter(|one| one.number <= start.segment) {
        let here = segment.number;
        let to =
            if here == start.segment { start.offset.min(segment.bytes) } else { segment.bytes };
        if to > SEGMENT_HEADER as u64 && query.may_be_in(segment, oldest) {
            if searched > SEARCH_BYTES || count >= query.limit() || bytes >= PAGE_BYTES {
                page.more = true;
                break;
            }
            searched += to;
            let room = query.limit() - count;
            let budget = PAGE_BYTES - bytes;
            let mut found = Found::default();
            search(snapshot, segment, (0, to), query, oldest, &mut |event| {
                found.bytes += event.message.len();
                found.events.push_back(event);
                while found.events.len() > room.max(1)
                    || (found.bytes > budget && found.events.len() > 1)
                {
                    let gone = found.events.pop_front().map_or(0, |event| event.message.len());
                    found.bytes -= gone;
                    found.dropped = true;
                }
                true
            })?;
            count += found.events.len();
            bytes += found.bytes;
            let first = found.events.front().map(|event| event.id.position());
            pages.push(found.events);
            if let (Some(first), true) = (first, found.dropped) {
                page.next = first;
                page.more = true;
                break;
            }
        }
        page.next = Position { segment: here, offset: 0 };
    }
    page.events = pages.into_iter().rev().flatten().collect();
    Ok(page)
}

/// Hands every wanted event of a part of a segment to `take`, until that says no.
fn search(
    snapshot: &Snapshot,
    segment: &Segment,
    (from, to): (u64, u64),
    query: &Query<'_>,
    oldest: u64,
    take: &mut dyn FnMut(Event) -> bool,
) -> Result<(), ReadError> {
    let path = log_path(&snapshot.dir, segment.number);
    let mut read = || {
        let file = File::open(&path)?;
        let Some(salt) = read_salt(&file)? else { return Ok(()) };
        let mut streams =
            Streams { file: &file, salt, filter: query.streams, seen: HashMap::new() };
        let mut scan = Scan::new(&file, salt, from, to);
        while let Some(item) = scan.next()? {
            let Item::Record { offset, record: Some(record), .. } = item else { continue };
            let (stream, timestamp_ms, ingestion_ms, message) = match record {
                Record::Stream { name } => {
                    streams.announce(offset, name.into());
                    continue;
                }
                Record::Event { stream, timestamp_ms, ingestion_ms, message } => {
                    (stream, timestamp_ms, ingestion_ms, message)
                }
            };
            let wanted = query.from_ms.is_none_or(|from| from <= timestamp_ms)
                && query.to_ms.is_none_or(|to| timestamp_ms < to)
                && ingestion_ms >= oldest;
            if !wanted {
                continue;
            }
            let Some(stream) = streams.wanted(stream)? else { continue };
            if query.pattern.is_some_and(|pattern| !pattern.matches(message)) {
                continue;
            }
            let id = EventId::new(Position { segment: segment.number, offset });
            let message = message.to_vec();
            if !take(Event { timestamp_ms, ingestion_ms, stream, message, id }) {
                break;
            }
        }
        Ok(())
    };
    passing_deleted(read().map(Some)).map_err(|source| ReadError::File { path, source })?;
    Ok(())
}

/// The names of the streams of one segment, as far as they were met, and whether each is wanted.
struct Streams<'a> {
    file: &'a File,
    salt: Salt,
    filter: StreamFilter<'a>,
    seen: HashMap<u64, (Arc<str>, bool)>,
}

// === impl Streams ===

impl Streams<'_> {
    fn announce(&mut self, offset: u64, name: Arc<str>) {
        let wanted = match self.filter {
            StreamFilter::All => true,
            StreamFilter::Prefix(prefix) => name.starts_with(prefix),
            StreamFilter::Names(names) => names.iter().any(|wanted| **wanted == *name),
        };
        self.seen.insert(offset, (name, wanted));
    }

    /// The name of the stream announced at an offset, if it is wanted.
    fn wanted(&mut self, offset: u32) -> io::Result<Option<Arc<str>>> {
        let offset = u64::from(offset);
        if !self.seen.contains_key(&offset) {
            let name = stream_name(read_stream(self.file, self.salt, offset)?);
            self.announce(offset, name);
        }
        let (name, wanted) = &self.seen[&offset];
        Ok(wanted.then(|| Arc::clone(name)))
    }
}
