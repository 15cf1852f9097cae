//! One spawner's directories, held: made, emptied of what a crash left, removed at the end.
//!
//! A directory is locked (`flock`) for as long as any process of its spawner lives. The lock is on the
//! very thing that would be destroyed: whatever slot files say, wherever they are kept, nobody sweeps
//! the control groups of a spawner that is alive.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cgroups_rs::MaxValue;
use cgroups_rs::cpu::CpuController;
use cgroups_rs::memory::MemController;
use cgroups_rs::pid::PidController;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::instance::{Instance, InstanceError, failed};
use super::leaf::cpu_value;
use super::{Controller, Tree, Version, room};

/// How long a sweep waits for what it killed. Killing a thousand cells takes well under a second;
/// more means a process that cannot die.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks meanwhile.
const INTERVAL: Duration = Duration::from_millis(2);
/// Version 2's weight of an ordinary group.
const ORDINARY_WEIGHT: u32 = 100;
/// What the smallest kernels allow (`pid_max` without configuration): taken where it cannot be read.
const FEWEST_NUMBERS: i64 = 32_768;
/// How often a directory may vanish between being made and being locked: each time, its previous
/// owner was just removing it.
const TRIES: usize = 8;

/// Directories that are ours, empty when claimed.
#[derive(Debug)]
pub struct Claim {
    held: Vec<Held>,
    /// The groups in which room was made, and what they did not hand down before.
    above: Vec<(PathBuf, Vec<Controller>)>,
    /// How many directories of an earlier run were removed.
    pub swept: usize,
}

/// A directory and its lock. A copy of this process, made by `fork`, holds the same lock.
#[derive(Debug)]
struct Held {
    path: PathBuf,
    /// Whether it was not there before.
    made: bool,
    _lock: Flock<File>,
}

// === impl Claim ===

impl Claim {
    /// Locks and empties an instance's directories, which are made if need be; and removes those in
    /// `left_behind`, which an earlier owner of the same slot may have had elsewhere.
    ///
    /// # Errors
    /// [`InstanceError::Held`] when one of them belongs to a living spawner, before anything in any
    /// of them is touched; [`InstanceError::Occupied`] when something in them does not die.
    pub fn new(instance: &Instance, left_behind: &[PathBuf]) -> Result<Self, InstanceError> {
        let ours = instance.paths();
        let elsewhere = left_behind.iter().filter(|path| !ours.contains(path));
        // All locks before the first kill.
        let mut old = Vec::new();
        for path in elsewhere {
            old.extend(lock(path, false)?);
        }
        let mut held = Vec::new();
        for path in &ours {
            match lock(path, true) {
                Ok(locked) => held.extend(locked),
                Err(err) => {
                    give_back(&held);
                    return Err(err);
                }
            }
        }
        let mut claim = Self { held, above: Vec::new(), swept: 0 };
        match claim.settle(&instance.trees, old) {
            Ok(()) => Ok(claim),
            Err(err) => {
                // What fails here too is swept by whoever has the slot next.
                let _the_first_counts = claim.release();
                Err(err)
            }
        }
    }

    /// Sweeps, makes room, and bounds what all cells have together.
    fn settle(&mut self, trees: &[Tree], old: Vec<Held>) -> Result<(), InstanceError> {
        self.swept = empty(&old)? + empty(&self.held)?;
        for old in old {
            remove(&old.path)?;
            // Who was killed has not undone what it did to the group above.
            if let Some(above) = old.path.parent() {
                undo(above, &[])?;
            }
        }
        for tree in trees {
            let parent = tree.path.parent().filter(|_| tree.version == Version::V2);
            if let Some(parent) = parent.filter(|_| !tree.controllers.is_empty()) {
                self.make_room(parent, tree)?;
            }
            for controller in &tree.controllers {
                match controller {
                    Controller::Cpu => give_weight(tree)?,
                    Controller::Pids => bound_processes(tree)?,
                    Controller::Memory => bound_memory(tree)?,
                }
            }
        }
        Ok(())
    }

    /// Has `parent` and the directory beneath it hand the controllers down.
    fn make_room(&mut self, parent: &Path, tree: &Tree) -> Result<(), InstanceError> {
        let make = |group: &Path| room::make(group, &room::ours(), &tree.controllers);
        let mut tries = 0;
        loop {
            tries += 1;
            let made = make(parent).map_err(failed("hand controllers down in", parent))?;
            self.above.push((parent.to_owned(), made));
            match make(&tree.path) {
                // Whoever had switched them on above has just switched them off again.
                Err(err) if err.kind() == io::ErrorKind::NotFound && tries < TRIES => {}
                done => {
                    return done.map(drop).map_err(failed("hand controllers down in", &tree.path));
                }
            }
        }
    }

    /// Empties and removes the directories; processes that had to make room for them go back.
    ///
    /// # Errors
    /// The first that could not be removed; the others were tried.
    pub fn release(self) -> Result<(), InstanceError> {
        empty(&self.held)?;
        self.held.iter().map(|held| remove(&held.path)).fold(Ok(()), Result::and)?;
        self.above.iter().map(|(group, made)| undo(group, made)).fold(Ok(()), Result::and)
    }
}

/// Gives room back in a group that a directory was beneath.
fn undo(group: &Path, made: &[Controller]) -> Result<(), InstanceError> {
    room::give_back(group, made).map_err(failed("undo what was handed down in", group))
}

/// An ordinary weight on every processor.
///
/// A group's weight is spread over the processors it runs on. With that of a single process, which
/// is what the kernel gives it, all functions together would count as one process on a version-1
/// host, where whatever else runs stands right beside this directory.
fn give_weight(tree: &Tree) -> Result<(), InstanceError> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let weight = u32::try_from(processors).unwrap_or(u32::MAX).saturating_mul(ORDINARY_WEIGHT);
    let value = cpu_value(weight, tree.version);
    CpuController::new(tree.path.clone(), tree.version == Version::V2)
        .set_shares(value)
        .map_err(|err| failed("set the CPU weight of", &tree.path)(io::Error::other(err)))
}

/// All cells together never get more than half of the process numbers there are: each may be within
/// its own limit and a few dozen of them still leave the host none to start a shell with.
fn bound_processes(tree: &Tree) -> Result<(), InstanceError> {
    let number = |file: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.trim().parse::<i64>().unwrap_or(FEWEST_NUMBERS)
    };
    let there = number("/proc/sys/kernel/pid_max").min(number("/proc/sys/kernel/threads-max"));
    PidController::new(tree.path.clone(), tree.version == Version::V2)
        .set_pid_max(MaxValue::Value(there / 2))
        .map_err(|err| failed("bound the processes of", &tree.path)(io::Error::other(err)))
}

/// All cells together never get the host's last tenth of memory. Who starts how many is decided above
/// by what is measured; this holds where measuring is too slow.
fn bound_memory(tree: &Tree) -> Result<(), InstanceError> {
    let table = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = table
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    let Some(kib) = total.filter(|kib: &i64| *kib > 0) else {
        return Err(failed("size the memory of", &tree.path)(io::ErrorKind::InvalidData.into()));
    };
    MemController::new(tree.path.clone(), tree.version == Version::V2)
        .set_limit(kib / 10 * 9 * 1024)
        .map_err(|err| failed("bound the memory of", &tree.path)(io::Error::other(err)))
}

/// Takes a directory, or says that there is none.
fn lock(path: &Path, make: bool) -> Result<Option<Held>, InstanceError> {
    for _ in 0..TRIES {
        let mut made = false;
        if make {
            match fs::create_dir(path) {
                Ok(()) => made = true,
                Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
                Err(err) => return Err(failed("create", path)(err)),
            }
        }
        let file = match File::open(path) {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::NotFound && make => continue,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(failed("open", path)(err)),
        };
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => {
                return Err(InstanceError::Held { path: path.to_owned() });
            }
            Err((_, errno)) => return Err(failed("lock", path)(errno.into())),
        };
        // Its previous owner may have removed it before we had the lock: then this is the lock of a
        // directory that is not there any more.
        let locked = lock.metadata().map_err(failed("examine", path))?;
        match fs::metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (locked.dev(), locked.ino()) => {
                return Ok(Some(Held { path: path.to_owned(), made, _lock: lock }));
            }
            _ => {}
        }
    }
    Err(InstanceError::Held { path: path.to_owned() })
}

/// Removes what was made for a claim that did not come to be.
fn give_back(held: &[Held]) {
    for held in held.iter().filter(|held| held.made) {
        // Empty and ours; should it fail, whoever has the slot next finds it and removes it.
        let _swept_later = fs::remove_dir(&held.path);
    }
}

/// Kills what is in these directories and removes everything beneath them, depth first.
fn empty(directories: &[Held]) -> Result<usize, InstanceError> {
    let deadline = Instant::now() + PATIENCE;
    // All of them first: only the version-2 directory can kill, and the processes in a version-1
    // directory, which has no such file, are the same ones.
    for Held { path, .. } in directories {
        let file = File::options().write(true).open(path.join("cgroup.kill"));
        match file.and_then(|mut file| file.write_all(b"1")) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => {
                return Err(failed("kill everything in", path)(err));
            }
            _ => {}
        }
    }
    let mut removed = 0;
    let mut first = Ok(());
    for Held { path, .. } in directories {
        first = first.and(remove_beneath(path, deadline, &mut removed));
    }
    first.map(|()| removed)
}

fn remove_beneath(
    path: &Path,
    deadline: Instant,
    removed: &mut usize,
) -> Result<(), InstanceError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed("list", path)(source)),
    };
    for entry in entries {
        let entry = entry.map_err(failed("list", path))?;
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        remove_beneath(&path, deadline, removed)?;
        while let Err(err) = remove(&path) {
            let busy = matches!(&err, InstanceError::File { source, .. }
                if source.kind() == io::ErrorKind::ResourceBusy);
            match busy {
                false => return Err(err),
                true if Instant::now() >= deadline => {
                    return Err(InstanceError::Occupied { path });
                }
                true => std::thread::sleep(INTERVAL),
            }
        }
        *removed += 1;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), InstanceError> {
    match fs::remove_dir(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(err)),
        _ => Ok(()),
    }
}
