//! Reading the catalog back from disk when a process begins.
//!
//! ```text
//!   segment with an index that covers it ──► taken as it is
//!   any other ──► read; ──► not the last of its group: gets an index
//!                      └──► the last: its torn tail, if any, is cut off; it will be continued
//!   segment whose header is damaged ──► nothing in it can be recognised: removed, and said
//!   segment that cannot be read ──► left where it is, left out, and said
//! ```

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::catalog::{Catalog, Entry, Segment};
use super::record::SEGMENT_HEADER;
use super::segment::{self, Summary, index_path, log_path};
use super::{Limits, OpenError, name};

/// What is in `dir`, which is made if it is not there.
pub(super) fn recover(dir: &Path, limits: &Limits) -> Result<Catalog, OpenError> {
    let at = |source| OpenError::Directory { path: dir.to_owned(), source };
    // What functions print may be confidential: only the daemon's user looks in.
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at)?;
    let mut catalog = Catalog::default();
    visit(dir, PathBuf::new(), name::MAX_DEPTH, limits, &mut catalog)?;
    Ok(catalog)
}

/// Looks for groups in `root`/`below`.
fn visit(
    root: &Path,
    below: PathBuf,
    depth: usize,
    limits: &Limits,
    catalog: &mut Catalog,
) -> Result<(), OpenError> {
    let dir = root.join(&below);
    let at = |source| OpenError::Directory { path: dir.clone(), source };
    for entry in fs::read_dir(&dir).map_err(at)? {
        let entry = entry.map_err(at)?;
        let file_name = entry.file_name();
        let Some(component) = file_name.to_str() else { continue };
        if !entry.file_type().map_err(at)?.is_dir() {
            continue;
        }
        let path = below.join(component);
        if name::is_nested(component) {
            if depth > 1 {
                visit(root, path, depth - 1, limits, catalog)?;
            }
        } else if let Some(group) = name::group(&path) {
            let group_dir = root.join(&path);
            let entry = recover_group(&group_dir, limits)?;
            catalog.groups.insert(group.into(), entry);
        }
    }
    Ok(())
}

fn recover_group(dir: &Path, limits: &Limits) -> Result<Entry, OpenError> {
    let at = |source| OpenError::Directory { path: dir.to_owned(), source };
    let mut numbers = Vec::new();
    for file in fs::read_dir(dir).map_err(at)? {
        let file = file.map_err(at)?.file_name();
        let Some((number, kind)) = file.to_str().and_then(segment::parse_file_name) else {
            continue;
        };
        match kind {
            "log" => numbers.push(number),
            "idx" if log_path(dir, number).exists() => {}
            // An index without its segment, or one that was never finished.
            _ => fs::remove_file(dir.join(&file)).map_err(at)?,
        }
    }
    numbers.sort_unstable();
    let born = numbers.first().copied().or_else(|| born_ms(dir)).unwrap_or(0);
    let mut group = Entry::new(dir.to_owned(), born);
    let last = numbers.last().copied();
    for number in numbers {
        let path = log_path(dir, number);
        let path = path.display();
        let last = Some(number) == last;
        // One bad sector in a log is no reason for a daemon not to start.
        match recover_segment(dir, number, last) {
            Ok(Some((mut segment, summary))) => {
                if last && segment.bytes < u64::from(limits.segment_bytes) {
                    group.open = Some(summary);
                } else if segment.index_bytes == 0 {
                    segment.index_bytes = save_index(dir, number, &summary);
                }
                group.segments.push_back(segment);
            }
            Ok(None) => {
                tracing::warn!(segment = %path, "a log segment has a damaged header and is removed");
                if let Err(err) = remove(dir, number) {
                    tracing::error!(segment = %path, error = %err, "cannot remove a log segment");
                }
            }
            Err(err) => {
                tracing::error!(segment = %path, error = %err, "a log segment is left out");
            }
        }
    }
    Ok(group)
}

/// One segment; `None` if its header is damaged.
fn recover_segment(dir: &Path, number: u64, last: bool) -> io::Result<Option<(Segment, Summary)>> {
    let path = log_path(dir, number);
    let file = OpenOptions::new().read(true).write(true).open(&path)?;
    let end = file.metadata()?.len();
    let known = Summary::load(dir, number)?.filter(|(summary, _)| summary.covered <= end);
    let (mut summary, mut index_bytes) = known.unwrap_or_default();
    let mut bytes = end;
    if summary.covered < end || end == 0 {
        let Some(reading) = segment::read(&file, summary, end)? else {
            return Ok(None);
        };
        report(&path, &reading, end);
        summary = reading.summary;
        index_bytes = 0;
        if last {
            bytes = reading.whole.max(SEGMENT_HEADER as u64);
            file.set_len(bytes)?;
        }
        summary.covered = bytes;
    }
    let segment = Segment { number, bytes, index_bytes, extent: summary.extent() };
    Ok(Some((segment, summary)))
}

fn report(path: &Path, reading: &segment::Reading, end: u64) {
    let path = path.display();
    let torn = end.saturating_sub(reading.whole);
    if reading.damaged > 0 {
        tracing::warn!(segment = %path, bytes = reading.damaged, "a log segment is damaged");
    }
    if torn > 0 {
        tracing::info!(segment = %path, bytes = torn, "a log segment ends in half a record");
    }
}

/// Writes an index and returns its size. Without one the segment is read at every start.
fn save_index(dir: &Path, number: u64, summary: &Summary) -> u64 {
    summary.save(dir, number).unwrap_or_else(|err| {
        let path = index_path(dir, number);
        tracing::warn!(index = %path.display(), error = %err, "cannot write the index of a log segment");
        0
    })
}

fn remove(dir: &Path, number: u64) -> io::Result<()> {
    fs::remove_file(log_path(dir, number))?;
    match fs::remove_file(index_path(dir, number)) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        _ => Ok(()),
    }
}

/// When a directory was made, where the file system remembers.
fn born_ms(dir: &Path) -> Option<u64> {
    let born = fs::metadata(dir).and_then(|meta| meta.created()).ok()?;
    let since = born.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}
