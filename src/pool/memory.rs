//! What a sandbox uses, and what the machine has left.
//!
//! *Anonymous* memory is what MemorySize bounds: `anon` of cgroup v2's `memory.stat`, `total_rss` of
//! v1's. The page cache a function reads and the files in its `/tmp` are charged to the same group and
//! are not counted.
//!
//! The group holds more than MemorySize, because of those files, and where that is not enough the
//! kernel kills. Version 2 then ends the whole sandbox. Version 1 ends one process, which may be a
//! child of the function's, and the rest would go on: there the group's own count of kills is read
//! as well, so that both versions end a function the same way.
//!
//! Where nobody counts for a group, because its limits are not enforced, the processes of the sandbox
//! are asked one by one. A child counts with what it has beyond its parent, because after a fork they
//! share what both have; a child that changes what it inherited has more than that, and it is not
//! seen. Nor is what comes and goes between two looks.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, openat};

/// How long a `memory.stat` gets: under 3 KiB in both versions on Linux 6.18; double that.
const STAT: usize = 8 * 1024;

/// How long version 1's `memory.oom_control` gets: three lines, of 42 bytes while no counter has a
/// second digit.
const KILLS: usize = 128;

/// More processes than any sandbox may have: what goes beyond is not looked at.
const MOST_PROCESSES: usize = 16 * 1024;

/// The smallest MemorySize, bytes.
const SMALLEST: u64 = 128 << 20;

/// Where one sandbox's memory can be read, kept open.
#[derive(Debug)]
pub(crate) struct Meter {
    gauge: Gauge,
    /// `memory.oom_control` of its group, where the kernel ends single processes.
    kills: Option<OwnedFd>,
}

#[derive(Debug)]
enum Gauge {
    /// `memory.stat` of its group.
    Group(OwnedFd),
    /// The directory of its first process in a `/proc`.
    Processes(OwnedFd),
}

// === impl Meter ===

impl Meter {
    pub(crate) fn new(statistics: OwnedFd, kills: Option<OwnedFd>) -> Self {
        let kind = fstat(&statistics).map(|facts| FileType::from_raw_mode(facts.st_mode));
        let gauge = match kind {
            Ok(FileType::Directory) => Gauge::Processes(statistics),
            _ => Gauge::Group(statistics),
        };
        Self { gauge, kills }
    }

    /// Whether the kernel has killed a process of the sandbox for memory and left others. It counts
    /// before it kills, so whoever hears of the death from the sandbox finds it counted.
    ///
    /// Asked before every answer is passed on: one read, a microsecond, and none with version 2.
    pub(crate) fn has_killed(&self) -> bool {
        let Some(kills) = &self.kills else { return false };
        let mut buffer = [0; KILLS];
        // A group that is gone has ended as a whole, and its last word says of what.
        let count = rustix::io::pread(kills, &mut buffer[..], 0).unwrap_or(0);
        value(&buffer[..count], b"oom_kill ").is_some_and(|kills| kills > 0)
    }

    /// Anonymous memory, bytes; `None` once the sandbox is gone.
    pub(crate) fn anonymous(&self) -> Option<u64> {
        match &self.gauge {
            Gauge::Group(stat) => {
                let mut buffer = [0; STAT];
                let count = rustix::io::pread(stat, &mut buffer[..], 0).ok()?;
                anonymous(&buffer[..count])
            }
            Gauge::Processes(first) => of_processes(first),
        }
    }
}

/// What the processes of a sandbox have: the first and all that descend from it. Whoever loses his
/// parent becomes the first one's child, so that is all of them.
fn of_processes(first: &OwnedFd) -> Option<u64> {
    let own = rss_anon(&read(first, "status").ok()?);
    let mut sum = own;
    let mut seen = HashSet::new();
    let mut waiting = vec![(children(first, "."), own)];
    while let Some((pids, inherited)) = waiting.last_mut() {
        let inherited = *inherited;
        let Some(pid) = pids.pop() else {
            waiting.pop();
            continue;
        };
        if seen.len() >= MOST_PROCESSES || !seen.insert(pid) {
            continue;
        }
        let path = format!("../{pid}");
        // One that has ended meanwhile has none.
        if let Ok(status) = read(first, &format!("{path}/status")) {
            let own = rss_anon(&status);
            sum += own.saturating_sub(inherited);
            waiting.push((children(first, &path), own));
        }
    }
    Some(sum)
}

/// Processes that any thread of this one has started and not waited for.
fn children(first: &OwnedFd, process: &str) -> Vec<u32> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let threads = openat(first, format!("{process}/task"), flags, Mode::empty());
    let Ok(threads) = threads.and_then(Dir::new) else { return Vec::new() };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        let name = thread.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let list = read(first, &format!("{process}/task/{name}/children")).unwrap_or_default();
        let list = String::from_utf8_lossy(&list).into_owned();
        found.extend(list.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    found
}

fn rss_anon(status: &[u8]) -> u64 {
    value(status, b"RssAnon:").unwrap_or(0) * 1024
}

fn read(directory: impl AsFd, path: &str) -> io::Result<Vec<u8>> {
    let file = openat(directory, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut std::fs::File::from(file), &mut bytes)?;
    Ok(bytes)
}

/// Reads either version's `memory.stat`.
fn anonymous(stat: &[u8]) -> Option<u64> {
    // v1 has an `rss` of its own beside the sum over children; v2 has neither.
    value(stat, b"total_rss ").or_else(|| value(stat, b"anon "))
}

/// Bytes the machine could still give.
///
/// # Errors
/// If the kernel does not say.
pub(crate) fn available() -> io::Result<u64> {
    available_in(&std::fs::read(Path::new("/proc/meminfo"))?)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Whether one function of the smallest MemorySize could use all of it beside what stays free.
pub(crate) fn has_room(available: u64, reserve: u64) -> bool {
    available >= reserve.saturating_add(SMALLEST)
}

fn available_in(meminfo: &[u8]) -> Option<u64> {
    Some(value(meminfo, b"MemAvailable:")? * 1024)
}

/// The number on the line that begins with `name`.
fn value(text: &[u8], name: &[u8]) -> Option<u64> {
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))?;
    let digits = line.trim_ascii_start();
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
