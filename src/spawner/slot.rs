//! Which part of the machine is this spawner's: a number that ids and control groups follow from.
//!
//! Every spawner of a machine locks one file `slot-<n>` in a shared directory for as long as it lives.
//! The lock is the truth; the text in the file only says who had the slot last, and where its control
//! groups were, so that the next owner sweeps them even when it was started somewhere else. A spawner
//! prefers the slot its data directory had before, and takes the lowest free one otherwise.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag};

/// A slot that is ours.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Its number.
    pub(crate) number: u32,
    /// Control groups its last owner left word of.
    pub(crate) left_behind: Vec<PathBuf>,
    /// Locked as long as any process holds it open.
    file: Flock<File>,
}

/// Why there is no slot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SlotError {
    /// The directory or a file in it.
    #[error("{operation} {path}")]
    File {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Every slot has an owner.
    #[error("all {slots} slots of this machine or user are taken")]
    AllTaken {
        /// How many there are.
        slots: u32,
    },
}

// === impl Slot ===

impl Slot {
    /// Takes one of so many slots for `instance`; none of those in `except`.
    pub(crate) fn take(
        state: &Path,
        instance: &str,
        except: &[u32],
        slots: u32,
    ) -> Result<Self, SlotError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(state)
            .map_err(failed("create", state))?;
        let preferred = previous(state, instance).map_err(failed("list", state))?;
        let preferred = preferred.filter(|number| *number < slots);
        for number in preferred.into_iter().chain(0..slots) {
            if !except.contains(&number)
                && let Some(slot) = Self::try_take(state, number)?
            {
                return Ok(slot);
            }
        }
        Err(SlotError::AllTaken { slots })
    }

    fn try_take(state: &Path, number: u32) -> Result<Option<Self>, SlotError> {
        let path = path(state, number);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&path)
            .map_err(failed("open", &path))?;
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => return Err(failed("lock", &path)(errno.into())),
        };
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed("read", &path))?;
        Ok(Some(Self { number, left_behind: left_behind(&text, number), file }))
    }

    /// Writes down whose the slot is and where its control groups are.
    pub(crate) fn record(&mut self, instance: &str, groups: &[PathBuf]) -> io::Result<()> {
        let mut text = format!("{instance}\n");
        for group in groups {
            text.push_str(&format!("{}\n", group.display()));
        }
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())
    }

    /// A process of the host that runs with one of the ids that would be ours, if there is one.
    pub(crate) fn stranger(ids: &Range<u32>) -> Option<u32> {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        processes
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            // One that is gone meanwhile has no file any more, and no id.
            .find(|pid| {
                has_id(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default(), ids)
            })
    }
}

/// Whether the text of a process's status names one of these ids as its user.
fn has_id(status: &str, ids: &Range<u32>) -> bool {
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    users.split_whitespace().any(|id| id.parse().is_ok_and(|id| ids.contains(&id)))
}

fn path(state: &Path, number: u32) -> PathBuf {
    state.join(format!("slot-{number}"))
}

/// The slot whose file names this instance, if one does.
fn previous(state: &Path, instance: &str) -> io::Result<Option<u32>> {
    for entry in fs::read_dir(state)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("slot-")?.parse().ok());
        let Some(number) = number else { continue };
        // One that cannot be read is not ours.
        let text = fs::read_to_string(path(state, number)).unwrap_or_default();
        if text.lines().next() == Some(instance) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// The recorded directories, as far as they can be what they should be: whatever the file says, a
/// sweep touches nothing that is not called after this very slot.
fn left_behind(text: &str, number: u32) -> Vec<PathBuf> {
    let name = format!("hearth-{number}");
    text.lines()
        .skip(1)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute() && path.ends_with(&name))
        .filter(|path| !path.components().any(|part| part.as_os_str() == ".."))
        .collect()
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SlotError {
    let path = path.to_owned();
    move |source| SlotError::File { operation, path, source }
}

#[cfg(test)]
mod tests;
