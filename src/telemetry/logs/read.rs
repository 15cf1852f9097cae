//! What readers ask: groups, streams, pages of events.
//!
//! A reader copies from the catalog which segments there are and how far they are complete, lets the
//! lock go, and reads files. A segment that is deleted meanwhile is one whose time had come: it is
//! passed over. One call reads a bounded amount, so that a search without hits cannot hold a thread
//! for ever; it answers with where to continue.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Shared;
use super::catalog::Segment;
use super::pattern::FilterPattern;
use super::position::{EventId, Position};
use super::record::{Record, SEGMENT_HEADER, Salt};
use super::scan::{Item, Scan, read_salt, read_stream};
use super::segment::{self, Summary, log_path, stream_name};

/// Bytes of messages in one page (an AWS limit); one event is returned whatever its size.
const PAGE_BYTES: usize = 1024 * 1024;
/// Bytes searched for one page: a tenth of a second or so.
const SEARCH_BYTES: u64 = 64 * 1024 * 1024;
/// What AWS assumes if no limit is given, and the most it allows.
const MAX_EVENTS: usize = 10_000;

/// A log group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: Arc<str>,
    /// Since when there is one, milliseconds since the epoch.
    pub created_ms: u64,
    /// Bytes on disk.
    pub stored_bytes: u64,
}

/// A log stream; times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// Smallest timestamp.
    pub first_ms: u64,
    /// Largest timestamp.
    pub last_ms: u64,
    /// When the last event was taken in.
    pub last_ingestion_ms: u64,
}

/// Which streams are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub enum StreamFilter<'a> {
    /// All.
    #[default]
    All,
    /// Those whose name begins so.
    Prefix(&'a str),
    /// These.
    Names(&'a [String]),
}

/// Which way to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Direction {
    /// From the oldest to the newest.
    #[default]
    Forward,
    /// From the newest to the oldest; a page is in order nevertheless.
    Backward,
}

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Which group.
    pub group: &'a str,
    /// Which streams of it.
    pub streams: StreamFilter<'a>,
    /// Smallest timestamp, milliseconds since the epoch.
    pub from_ms: Option<u64>,
    /// Timestamp before which events lie, milliseconds since the epoch.
    pub to_ms: Option<u64>,
    /// Where another page ended; `None` is the end the direction begins at.
    pub start: Option<Position>,
    /// Which way.
    pub direction: Direction,
    /// Most events, at least one.
    pub limit: usize,
    /// What messages must be like.
    pub pattern: Option<&'a FilterPattern>,
}

/// Some events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In the order they were appended.
    pub events: Vec<Event>,
    /// Where the next page in the same direction begins. At the end, it is where events that do not
    /// exist yet will be: whoever follows a log passes it back.
    pub next: Position,
    /// Where a page in the other direction begins.
    pub opposite: Position,
    /// Whether there may be more in this direction already.
    pub more: bool,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it happened, milliseconds since the epoch.
    pub timestamp_ms: u64,
    /// When it was taken in, milliseconds since the epoch.
    pub ingestion_ms: u64,
    /// Its stream.
    pub stream: Arc<str>,
    /// What was printed; bytes, because nothing makes a function print text.
    pub message: Vec<u8>,
    /// Its name.
    pub id: EventId,
}

/// Why logs could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such group.
    #[error("there is no log group {group}")]
    NoGroup {
        /// Its name.
        group: String,
    },
    /// A file could not be read.
    #[error("cannot read the log segment {}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What the catalog says about a group, copied.
struct Snapshot {
    dir: PathBuf,
    segments: Vec<Segment>,
    open: Option<Summary>,
}

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

pub(super) fn groups(shared: &Shared, prefix: &str) -> Vec<Group> {
    let catalog = shared.catalog();
    let matching = catalog.groups.iter().filter(|(name, _)| name.starts_with(prefix));
    matching
        .map(|(name, entry)| Group {
            name: Arc::clone(name),
            created_ms: entry.created_ms,
            stored_bytes: entry.bytes(),
        })
        .collect()
}

pub(super) fn streams(
    shared: &Shared,
    group: &str,
    prefix: &str,
) -> Result<Vec<Stream>, ReadError> {
    let snapshot = snapshot(shared, group, true)?;
    let mut all = Summary::default();
    let sealed = snapshot.segments.len() - usize::from(snapshot.open.is_some());
    for segment in &snapshot.segments[..sealed] {
        let path = log_path(&snapshot.dir, segment.number);
        let summary = passing_deleted(summary_of(&snapshot.dir, segment))
            .map_err(|source| ReadError::File { path, source })?;
        for (name, span) in summary.into_iter().flat_map(|summary| summary.streams) {
            all.add(&name, span);
        }
    }
    for (name, span) in snapshot.open.into_iter().flat_map(|summary| summary.streams) {
        all.add(&name, span);
    }
    let oldest = shared.now_ms().saturating_sub(shared.limits.max_age_ms());
    let mut streams: Vec<_> = all
        .streams
        .into_iter()
        .filter(|(name, span)| name.starts_with(prefix) && span.ingestion_ms >= oldest)
        .map(|(name, span)| Stream {
            name: name.as_ref().to_owned(),
            first_ms: span.first_ms,
            last_ms: span.last_ms,
            last_ingestion_ms: span.ingestion_ms,
        })
        .collect();
    streams.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(streams)
}

pub(super) fn events(shared: &Shared, query: &Query<'_>) -> Result<Page, ReadError> {
    let snapshot = snapshot(shared, query.group, false)?;
    let oldest = shared.now_ms().saturating_sub(shared.limits.max_age_ms());
    match query.direction {
        Direction::Forward => forward(query, &snapshot, oldest),
        Direction::Backward => backward(query, &snapshot, oldest),
    }
}

fn forward(query: &Query<'_>, snapshot: &Snapshot, oldest: u64) -> Result<Page, ReadError> {
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

fn backward(query: &Query<'_>, snapshot: &Snapshot, oldest: u64) -> Result<Page, ReadError> {
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

// === impl Snapshot ===

impl Snapshot {
    /// Behind the newest event.
    fn end(&self) -> Position {
        self.segments
            .last()
            .map_or(Position::START, |last| Position { segment: last.number, offset: last.bytes })
    }
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

// === impl Query ===

impl<'a> Query<'a> {
    /// Everything in a group, from its beginning.
    pub fn of(group: &'a str) -> Self {
        Self {
            group,
            streams: StreamFilter::All,
            from_ms: None,
            to_ms: None,
            start: None,
            direction: Direction::Forward,
            limit: MAX_EVENTS,
            pattern: None,
        }
    }

    fn limit(&self) -> usize {
        self.limit.max(1)
    }

    /// Whether the times of a segment leave room for what is wanted.
    fn may_be_in(&self, segment: &Segment, oldest: u64) -> bool {
        segment.extent.is_some_and(|extent| {
            self.from_ms.is_none_or(|from| from <= extent.last_ms)
                && self.to_ms.is_none_or(|to| extent.first_ms < to)
                && extent.ingestion_ms >= oldest
        })
    }
}

fn snapshot(shared: &Shared, group: &str, open: bool) -> Result<Snapshot, ReadError> {
    let catalog = shared.catalog();
    let entry = catalog.groups.get(group);
    let entry = entry.ok_or_else(|| ReadError::NoGroup { group: group.to_owned() })?;
    Ok(Snapshot {
        dir: entry.dir.clone(),
        segments: entry.segments.iter().copied().collect(),
        open: if open { entry.open.clone() } else { None },
    })
}

/// The streams of a sealed segment: from its index, or by reading it.
fn summary_of(dir: &Path, segment: &Segment) -> io::Result<Option<Summary>> {
    let known = Summary::load(dir, segment.number)?.map(|(summary, _)| summary);
    if let Some(summary) = known.filter(|summary| summary.covered >= segment.bytes) {
        return Ok(Some(summary));
    }
    let file = File::open(log_path(dir, segment.number))?;
    let reading = segment::read(&file, Summary::default(), segment.bytes)?;
    Ok(reading.map(|reading| reading.summary))
}

/// A file that is not there any more holds nothing.
fn passing_deleted<T>(result: io::Result<Option<T>>) -> io::Result<Option<T>> {
    match result {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other,
    }
}
