//! One cell's leaves: made with limits, joined, changed once, killed, read, removed.
//!
//! Limits are written through `cgroups-rs`. Creating and removing directories is done here, because
//! that library logs a failed creation and goes on, and sleeps while removing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cgroups_rs::MaxValue;
use cgroups_rs::cpu::CpuController;
use cgroups_rs::memory::MemController;
use cgroups_rs::pid::PidController;

use super::{Controller, Tree, Version};

/// Bytes that socket buffers of one leaf may hold, in version 1, which counts them beside the memory
/// limit and by default without a limit of their own. They come out of a budget of the whole machine
/// (`net.ipv4.tcp_mem`), so that one sandbox could put every socket of the host under pressure. As
/// much as a few hundred busy connections need.
const SOCKET_BYTES: i64 = 32 << 20;

/// What a leaf enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafLimits {
    /// Bytes of memory of every kind, `/tmp` included; there is no swap on top.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Weight among the leaves, version 2's scale: 1..=10,000, 100 is ordinary.
    pub cpu_weight: u32,
}

/// What a cell used, read when everything in it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// How many of its processes the kernel killed for memory.
    pub memory_kills: u32,
    /// Most memory it ever had charged, in bytes; 0 where the kernel does not say.
    pub peak_bytes: u64,
}

/// Why a leaf could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    /// A directory or file operation failed.
    #[error("{operation} {path}")]
    File {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A limit was not accepted.
    #[error("set the {controller} limit to {value}")]
    Limit {
        /// Whose.
        controller: Controller,
        /// What it was to be.
        value: u64,
        /// What the library said.
        #[source]
        source: cgroups_rs::error::Error,
    },
}

/// The leaves of one cell.
#[derive(Debug)]
pub struct Leaf {
    /// One directory per hierarchy; the version-2 tree's among them.
    parts: Vec<Part>,
    /// `cgroup.kill`, kept open: it is written when nothing must be in the way. None where an ordinary
    /// user has no part of the version-2 tree; then the end of a cell's first process is what kills.
    kill: Option<File>,
}

#[derive(Debug)]
struct Part {
    version: Version,
    controllers: Vec<Controller>,
    path: PathBuf,
}

// === impl Leaf ===

impl Leaf {
    /// Makes the directories `name` in every tree, with limits, before anything can be in them.
    ///
    /// # Errors
    /// Whatever step failed; what had been made by then is removed again.
    pub fn create(trees: &[Tree], name: &str, limits: &LeafLimits) -> Result<Self, LeafError> {
        let mut parts = Vec::with_capacity(trees.len());
        let made = Self::try_create(trees, name, limits, &mut parts);
        made.map(|kill| Self { parts: std::mem::take(&mut parts), kill }).inspect_err(|_| {
            for part in parts.iter().rev() {
                // Nothing was ever in it; should this fail too, the next start sweeps it.
                let _swept_later = fs::remove_dir(&part.path);
            }
        })
    }

    fn try_create(
        trees: &[Tree],
        name: &str,
        limits: &LeafLimits,
        parts: &mut Vec<Part>,
    ) -> Result<Option<File>, LeafError> {
        let mut kill = None;
        for tree in trees {
            let path = tree.path.join(name);
            fs::create_dir(&path).map_err(failed("create", &path))?;
            parts.push(Part {
                version: tree.version,
                controllers: tree.controllers.clone(),
                path: path.clone(),
            });
            if tree.version == Version::V2 {
                if tree.controllers.contains(&Controller::Memory) {
                    // Whoever is above the limit ends as a whole: no function goes on with a part of
                    // it missing.
                    let file = path.join("memory.oom.group");
                    fs::write(&file, "1").map_err(failed("write", &file))?;
                }
                let path = path.join("cgroup.kill");
                kill =
                    Some(File::options().write(true).open(&path).map_err(failed("open", &path))?);
            }
        }
        set(parts, limits, Change::First)?;
        Ok(kill)
    }

    /// `cgroup.procs` of every leaf, open for writing: whoever writes `0` into one joins it.
    ///
    /// Permission is decided by who opened it, so that a process without any can be let in.
    ///
    /// # Errors
    /// What opening returns.
    pub fn doors(&self) -> Result<Vec<OwnedFd>, LeafError> {
        let open = |part: &Part| {
            let path = part.path.join("cgroup.procs");
            let door = OpenOptions::new().write(true).open(&path).map_err(failed("open", &path))?;
            Ok(door.into())
        };
        self.parts.iter().map(open).collect()
    }

    /// Changes the limits from those of an empty cell to those of a function.
    ///
    /// # Errors
    /// The limit that was not accepted.
    pub fn change(&self, limits: &LeafLimits) -> Result<(), LeafError> {
        set(&self.parts, limits, Change::Later)
    }

    /// Kills every process in it, whatever it is doing, frozen ones too.
    ///
    /// # Errors
    /// What writing returns.
    pub fn kill(&self) -> io::Result<()> {
        self.kill.as_ref().map_or(Ok(()), |mut kill| kill.write_all(b"1"))
    }

    /// The memory statistics, open for reading; `None` where memory is not limited.
    ///
    /// Version 1 has `total_rss` in it, version 2 `anon`: what counts against MemorySize.
    ///
    /// # Errors
    /// What opening returns.
    pub fn statistics(&self) -> Result<Option<OwnedFd>, LeafError> {
        let Some(part) = self.part(Controller::Memory) else { return Ok(None) };
        let path = part.path.join("memory.stat");
        let file = File::open(&path).map_err(failed("open", &path))?;
        Ok(Some(file.into()))
    }

    /// `cgroup.freeze`, open for writing; `None` where an ordinary user has no part of the version-2
    /// tree. There it exists even if the tree carries no controller.
    ///
    /// # Errors
    /// What opening returns.
    pub fn freezer(&self) -> Result<Option<OwnedFd>, LeafError> {
        let Some(part) = self.parts.iter().find(|part| part.version == Version::V2) else {
            return Ok(None);
        };
        let path = part.path.join("cgroup.freeze");
        let file = OpenOptions::new().write(true).open(&path).map_err(failed("open", &path))?;
        Ok(Some(file.into()))
    }

    /// The count of processes the kernel has killed for memory, open for reading; `None` where the
    /// kernel ends everything in it at once, or does not limit it.
    ///
    /// # Errors
    /// What opening returns.
    pub fn kills(&self) -> Result<Option<OwnedFd>, LeafError> {
        let part = self.part(Controller::Memory).filter(|part| part.version == Version::V1);
        let Some(part) = part else { return Ok(None) };
        let path = part.path.join("memory.oom_control");
        let file = File::open(&path).map_err(failed("open", &path))?;
        Ok(Some(file.into()))
    }

    /// What it used so far. Anything the kernel does not say is 0.
    pub fn usage(&self) -> Usage {
        let Some(part) = self.part(Controller::Memory) else { return Usage::default() };
        let (events, peak) = match part.version {
            Version::V1 => ("memory.oom_control", "memory.max_usage_in_bytes"),
            Version::V2 => ("memory.events", "memory.peak"),
        };
        let read = |name| fs::read_to_string(part.path.join(name)).unwrap_or_default();
        let kills = read(events)
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
        Usage {
            memory_kills: kills.unwrap_or(0),
            peak_bytes: read(peak).trim().parse().unwrap_or(0),
        }
    }

    /// Removes the directories, those that are left.
    ///
    /// # Errors
    /// `EBUSY` while something is still in one of them: try again when it has ended.
    pub fn remove(&mut self) -> Result<(), LeafError> {
        while let Some(part) = self.parts.last() {
            match fs::remove_dir(&part.path) {
                Ok(()) => {}
                Err(err) if err.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(failed("remove", &part.path)(source)),
            }
            self.parts.pop();
        }
        Ok(())
    }

    fn part(&self, controller: Controller) -> Option<&Part> {
        self.parts.iter().find(|part| part.controllers.contains(&controller))
    }
}

/// Whether the leaf still has the kernel's defaults (no limit), or limits of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    First,
    Later,
}

fn set(parts: &[Part], limits: &LeafLimits, change: Change) -> Result<(), LeafError> {
    for part in parts {
        let v2 = part.version == Version::V2;
        for controller in &part.controllers {
            let path = part.path.clone();
            let (value, written) = match controller {
                Controller::Memory => {
                    (limits.memory_bytes, set_memory(path, part.version, limits, change))
                }
                Controller::Pids => (
                    limits.pids.into(),
                    PidController::new(path, v2).set_pid_max(MaxValue::Value(limits.pids.into())),
                ),
                Controller::Cpu => {
                    let value = cpu_value(limits.cpu_weight, part.version);
                    (value, CpuController::new(path, v2).set_shares(value))
                }
            };
            written.map_err(|source| LeafError::Limit {
                controller: *controller,
                value,
                source,
            })?;
        }
    }
    Ok(())
}

/// Version 1 limits memory, and memory with swap; the second may never be below the first, so which
/// is written first depends on the direction: up, as a rule, so the second. Version 2 limits swap by
/// itself: to nothing. Socket buffers are part of the limit in version 2, and have one of their own in
/// version 1.
fn set_memory(
    path: PathBuf,
    version: Version,
    limits: &LeafLimits,
    change: Change,
) -> cgroups_rs::error::Result<()> {
    let bytes = i64::try_from(limits.memory_bytes).unwrap_or(i64::MAX);
    let swap_file = match version {
        Version::V1 => "memory.memsw.limit_in_bytes",
        Version::V2 => "memory.swap.max",
    };
    // Absent where the kernel does not count swap; the start-up checks ask whether there is any.
    let counted = path.join(swap_file).exists();
    let memory = MemController::new(path, version == Version::V2);
    let swap = |value| if counted { memory.set_memswap_limit(value) } else { Ok(()) };
    match (version, change) {
        (Version::V1, Change::First) => memory
            .set_limit(bytes)
            .and_then(|()| swap(bytes))
            .and_then(|()| memory.set_tcp_limit(SOCKET_BYTES)),
        (Version::V1, Change::Later) => match swap(bytes) {
            Ok(()) => memory.set_limit(bytes),
            Err(_below_the_first) => memory.set_limit(bytes).and_then(|()| swap(bytes)),
        },
        (Version::V2, Change::First) => memory.set_limit(bytes).and_then(|()| swap(0)),
        (Version::V2, Change::Later) => memory.set_limit(bytes),
    }
}

/// 100 on version 2's scale is 1,024 on version 1's, whose range is 2..=262,144.
pub(super) fn cpu_value(weight: u32, version: Version) -> u64 {
    match version {
        Version::V1 => (u64::from(weight) * 1024 / 100).clamp(2, 262_144),
        Version::V2 => weight.clamp(1, 10_000).into(),
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LeafError {
    let path = path.to_owned();
    move |source| LeafError::File { operation, path, source }
}
