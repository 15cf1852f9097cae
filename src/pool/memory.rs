//! What a sandbox uses, and what the machine has left.
//!
//! *Anonymous* memory is what MemorySize bounds: `anon` of cgroup v2's `memory.stat`, `total_rss` of
//! v1's. The page cache a function reads and the files in its `/tmp` are charged to the same group and
//! are not counted.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// How long a `memory.stat` gets: under 3 KiB in both versions on Linux 6.18; double that.
const STAT: usize = 8 * 1024;

/// The statistics of one sandbox's group, kept open.
#[derive(Debug)]
pub(crate) struct Meter {
    stat: OwnedFd,
}

// === impl Meter ===

impl Meter {
    pub(crate) fn new(stat: OwnedFd) -> Self {
        Self { stat }
    }

    /// Anonymous memory, bytes; `None` once the group is gone.
    pub(crate) fn anonymous(&self) -> Option<u64> {
        let mut buffer = [0; STAT];
        let count = rustix::io::pread(&self.stat, &mut buffer[..], 0).ok()?;
        anonymous(&buffer[..count])
    }
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
