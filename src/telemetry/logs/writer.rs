//! The one thread that writes.
//!
//! Each round takes a batch from the queue, encodes its lines into a buffer per group, writes each
//! buffer with one system call, and only then lets readers see it by publishing the new size. A write
//! that fails is undone by cutting the segment to its published size, and its lines are counted as
//! dropped: a full or broken disk costs logs, never an invocation.
//!
//! Trouble is said once when it begins and once when it is over, not for every line.

mod open;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::mem;
use std::path::Path;
use std::sync::Arc;

use super::catalog::Entry;
use super::queue::{Batch, Drops, Line, Missing};
use super::segment::{Summary, index_path, log_path};
use super::{Shared, name, retention};
use crate::metrics::METRICS;
use open::{Loss, Open};

/// Segments kept open between rounds: enough for the functions that print all the time, few enough
/// to be forgotten among the daemon's descriptors.
const MAX_OPEN: usize = 64;

/// The writer.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    open: HashMap<Arc<str>, Open>,
    /// Lines that are missing, and of which the streams do not say so yet.
    owed: Drops,
    /// The file system is too full to write.
    full: bool,
    /// The last write failed.
    failing: bool,
    /// Number of the round.
    round: u64,
    /// When age limits were last looked at, milliseconds since the epoch.
    aged_ms: u64,
}

/// Tells those who wait for the writer that there is none any more, however it ended.
struct Farewell(Arc<Shared>);

// === impl Writer ===

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            open: HashMap::new(),
            owed: Drops::default(),
            full: false,
            failing: false,
            round: 0,
            aged_ms: 0,
        }
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let farewell = Farewell(Arc::clone(&self.shared));
        let mut spare = Batch::default();
        while let Some(mut batch) = self.shared.queue.take(spare) {
            self.perform(&mut batch);
            self.shared.queue.finish(&batch);
            spare = batch;
        }
        self.settle();
        drop(farewell);
    }

    fn perform(&mut self, batch: &mut Batch) {
        self.round += 1;
        self.look_at_free_space();
        for line in batch.lines() {
            self.add(&line);
        }
        self.owed.absorb(mem::take(&mut batch.dropped));
        self.say_what_is_missing();
        let groups: Vec<_> = self.open.keys().cloned().collect();
        for group in groups {
            self.commit(&group);
        }
        self.enforce_limits();
        if batch.sync {
            self.sync();
        }
        self.close_unused();
    }

    /// Encodes a line behind what its group already has to write.
    fn add(&mut self, line: &Line<'_>) {
        if self.full {
            self.lose(line.group, line.stream, Loss::of(line));
            return;
        }
        let open = match self.segment_for(line) {
            Ok(open) => open,
            Err(err) => {
                self.fails(&err);
                self.lose(line.group, line.stream, Loss::of(line));
                return;
            }
        };
        open.push(line);
        if open.is_due() {
            self.commit(line.group);
        }
    }

    /// The open segment of the line's group, with room for the line.
    fn segment_for(&mut self, line: &Line<'_>) -> io::Result<&mut Open> {
        let now = line.ingestion_ms;
        if !self.open.contains_key(line.group) {
            let open = self.open_segment(line.group, now)?;
            self.open.insert(Arc::clone(line.group), open);
        }
        if self.open[line.group].must_end(line, &self.shared.limits) {
            self.commit(line.group);
            self.seal(line.group);
            let open = self.open_segment(line.group, now)?;
            self.open.insert(Arc::clone(line.group), open);
        }
        let open = self.open.get_mut(line.group).expect("it was opened above");
        open.used = self.round;
        Ok(open)
    }

    /// Opens the segment a group continues with.
    fn open_segment(&mut self, group: &Arc<str>, now_ms: u64) -> io::Result<Open> {
        let (dir, current, number) = {
            let mut catalog = self.shared.catalog();
            if !catalog.groups.contains_key(group) {
                let path = name::directory(group).ok_or(io::ErrorKind::InvalidFilename)?;
                let entry = Entry::new(self.shared.dir.join(path), now_ms);
                catalog.groups.insert(Arc::clone(group), entry);
            }
            let entry = &catalog.groups[group];
            (entry.dir.clone(), entry.current(), entry.next_number(now_ms))
        };
        match current {
            Some(segment) => match Open::resume(&dir, segment)? {
                Some(open) => Ok(open),
                None => {
                    // Somebody has damaged the header since the start: leave the segment as it is.
                    self.seal(group);
                    Open::create(dir, number)
                }
            },
            None => Open::create(dir, number),
        }
    }

    /// Writes what a group has to write and shows it to readers.
    fn commit(&mut self, group: &Arc<str>) {
        let Some(open) = self.open.get_mut(group).filter(|open| open.has_pending()) else {
            return;
        };
        match open.write() {
            Ok(added) => {
                METRICS.log_lines.add(added.lines);
                let (number, complete) = (open.number, open.complete);
                if let Some(entry) = self.shared.catalog().groups.get_mut(group) {
                    entry.publish(number, complete, added.summary);
                }
                if mem::take(&mut self.failing) {
                    tracing::info!("function logs can be written again");
                }
            }
            Err(err) => {
                let open = self.open.remove(group).expect("it was there");
                self.fails(&err);
                if let Err(err) = open.undo() {
                    // Whoever opens the segment again cuts it first, or does not write.
                    tracing::warn!(error = %err, "half a write is left in a log segment");
                }
                for (stream, loss) in open.into_losses() {
                    self.lose(group, &stream, loss);
                }
            }
        }
    }

    /// Ends a group's segment: its index is written, the next line begins another.
    fn seal(&mut self, group: &Arc<str>) {
        self.open.remove(group);
        let sealed = {
            let mut catalog = self.shared.catalog();
            let entry = catalog.groups.get_mut(group);
            entry.and_then(|entry| {
                let number = entry.segments.back()?.number;
                Some((entry.dir.clone(), number, entry.open.take()?))
            })
        };
        if let Some((dir, number, summary)) = sealed {
            self.save_index(group, &dir, number, &summary);
        }
    }

    /// Writes an index; without one the segment is read at the next start.
    fn save_index(&mut self, group: &Arc<str>, dir: &Path, number: u64, summary: &Summary) {
        match summary.save(dir, number) {
            Ok(bytes) => {
                let mut catalog = self.shared.catalog();
                let segments = catalog.groups.get_mut(group).map(|entry| &mut entry.segments);
                let mut found = segments.into_iter().flatten();
                if let Some(segment) = found.find(|segment| segment.number == number) {
                    segment.index_bytes = bytes;
                }
            }
            Err(err) => self.fails(&err),
        }
    }

    /// Says in each stream how many of its lines are missing.
    fn say_what_is_missing(&mut self) {
        if self.full {
            return;
        }
        let now = self.shared.now_ms();
        for Missing { group, stream, count } in self.owed.take() {
            let lines = if count == 1 { "line was" } else { "lines were" };
            let message = format!(
                "[hearth] {count} {lines} dropped: more was printed than could be written\n"
            );
            self.add(&Line {
                group: &group,
                stream: &stream,
                timestamp_ms: now,
                ingestion_ms: now,
                message: message.as_bytes(),
                missing: count,
            });
        }
    }

    fn look_at_free_space(&mut self) {
        let floor = self.shared.limits.min_free_bytes;
        let free = match self.shared.machine.free_bytes(&self.shared.dir) {
            Ok(free) => free,
            Err(err) => return self.fails(&err),
        };
        let full = free < floor;
        if full && !self.full {
            tracing::warn!(
                free_bytes = free,
                floor_bytes = floor,
                "function logs are not written: the file system is almost full"
            );
        } else if !full && self.full {
            tracing::info!(free_bytes = free, "function logs are written again");
        }
        self.full = full;
    }

    fn enforce_limits(&mut self) {
        /// Age is measured in days; it need not be looked at a hundred times per second.
        const AGE_EVERY_MS: u64 = 1_000;
        let now = self.shared.now_ms();
        let limits = &self.shared.limits;
        let due = now.abs_diff(self.aged_ms) >= AGE_EVERY_MS;
        let victims = {
            let mut catalog = self.shared.catalog();
            let over = catalog.bytes() > limits.total_bytes
                || self.open.keys().any(|group| {
                    catalog.groups.get(group).is_some_and(|e| e.bytes() > limits.group_bytes)
                });
            if !due && !over {
                return;
            }
            retention::choose(&mut catalog, limits, now)
        };
        self.aged_ms = now;
        for victim in victims {
            if self.open.get(&victim.group).is_some_and(|open| open.number == victim.number) {
                self.open.remove(&victim.group);
            }
            for path in
                [log_path(&victim.dir, victim.number), index_path(&victim.dir, victim.number)]
            {
                match fs::remove_file(&path) {
                    Err(err) if err.kind() != io::ErrorKind::NotFound => self.fails(&err),
                    _ => {}
                }
            }
        }
    }

    /// Every segment there is: one that has nothing to write costs next to nothing.
    fn sync(&mut self) {
        let paths: Vec<_> = {
            let catalog = self.shared.catalog();
            let groups = catalog.groups.values();
            groups
                .flat_map(|group| {
                    group.segments.iter().map(|segment| log_path(&group.dir, segment.number))
                })
                .collect()
        };
        for path in paths {
            if let Err(err) = File::open(path).and_then(|file| file.sync_data()) {
                self.fails(&err);
            }
        }
    }

    fn close_unused(&mut self) {
        while self.open.len() > MAX_OPEN {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.used);
            let Some(group) = oldest.map(|(group, _)| Arc::clone(group)) else { return };
            self.open.remove(&group);
        }
    }

    /// Leaves an index beside every open segment, so that the next start has nothing to read.
    fn settle(&mut self) {
        let open: Vec<_> = {
            let catalog = self.shared.catalog();
            let groups = catalog.groups.iter();
            groups
                .filter_map(|(group, entry)| {
                    let summary = entry.open.clone()?;
                    let number = entry.segments.back()?.number;
                    Some((Arc::clone(group), entry.dir.clone(), number, summary))
                })
                .collect()
        };
        for (group, dir, number, summary) in open {
            self.save_index(&group, &dir, number, &summary);
        }
    }

    fn lose(&mut self, group: &Arc<str>, stream: &Arc<str>, loss: Loss) {
        METRICS.log_lines_dropped.add(loss.lines);
        self.owed.add(group, stream, loss.missing);
    }

    fn fails(&mut self, err: &io::Error) {
        if !mem::replace(&mut self.failing, true) {
            tracing::error!(error = %err, "function logs cannot be written");
        }
    }
}

// === impl Farewell ===

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.queue.abandon();
    }
}
