//! What readers ask: groups, streams, pages of events.
//!
//! A reader copies from the catalog which segments there are and how far they are complete, lets the
//! lock go, and reads files. A segment that is deleted meanwhile is one whose time had come: it is
//! passed over. One call reads a bounded amount, so that a search without hits cannot hold a thread
//! for ever; it answers with where to continue.

mod page;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Shared;
use super::catalog::Segment;
use super::pattern::FilterPattern;
use super::position::{EventId, Position};
use super::segment::{self, Summary, log_path};

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
        Direction::Forward => page::forward(query, &snapshot, oldest),
        Direction::Backward => page::backward(query, &snapshot, oldest),
    }
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
