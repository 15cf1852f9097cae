//! Where in the version-2 tree a spawner's directory belongs, and making room for it there.
//!
//! A group that hands controllers down may have no processes of its own; only the root may. So a
//! directory whose leaves are limited lies beneath a group that is empty, or is the root:
//!
//! ```text
//!   the own group: it is the root ─────────────────────────────────────► here
//!                  no processes in it but ours: they move to hearth-main ► here
//!                  others' too (a shell's, a session's)
//!                     │
//!                     └─► of the groups above that hand controllers down already: the one that hands
//!                         down most of ours, the nearest of several
//! ```
//!
//! What can be limited there is what the group *has*, if it is the own one, and what it *hands down
//! already*, if it is not: in groups that were not given to us nothing is switched on, because that
//! would change how everything beneath them shares the machine. Nor does the answer depend on what an
//! earlier run did: two starts from the same group find the same place.
//!
//! From hearth-main our processes move back when the directory is given up.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use super::{Controller, Home};

/// Where processes are that were in the way.
const ASIDE: &str = "hearth-main";
/// How often the end of a process in there is waited for, and how long each time: a second in all.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// A group to put a directory beneath.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The group.
    pub group: PathBuf,
    /// What can be limited in groups beneath it.
    pub controllers: Vec<Controller>,
}

/// The processes that may be moved for a spawner: itself, and who started it.
pub fn ours() -> [u32; 2] {
    [std::process::id(), std::os::unix::process::parent_id()]
}

// === impl Place ===

impl Place {
    /// Finds it for a process that stands in `home`; `ours` are processes that may be moved.
    ///
    /// `None` where neither the own group nor any above it can be used. Nothing is changed.
    pub fn find(home: &Home, ours: &[u32]) -> Option<Self> {
        // Who was moved aside once is still meant to be where it was moved from.
        let own = match home.own.parent() {
            Some(parent) if home.own.ends_with(ASIDE) => parent,
            _ => &home.own,
        };
        if is_root(own) || is_domain(own) && is_occupied_by(own, ours) {
            let controllers = listed(&own.join("cgroup.controllers"));
            return Some(Self { group: own.to_owned(), controllers });
        }
        let above = own.ancestors().skip(1).take_while(|group| group.starts_with(&home.mount));
        let free = |group: &&Path| is_root(group) || is_occupied_by(group, &[]);
        let mut best: Option<Self> = None;
        for group in above.filter(free).filter(|group| may_make_groups(group)) {
            let controllers = listed(&group.join("cgroup.subtree_control"));
            if best.as_ref().is_none_or(|best| best.controllers.len() < controllers.len()) {
                best = Some(Self { group: group.to_owned(), controllers });
            }
        }
        best
    }
}

/// Lets groups beneath `group` be limited: our processes step aside, then it hands down. Returns what
/// it did not hand down before.
pub(super) fn make(
    group: &Path,
    ours: &[u32],
    wanted: &[Controller],
) -> io::Result<Vec<Controller>> {
    let path = group.join("cgroup.subtree_control");
    let there = listed(&path);
    let missing: Vec<_> = wanted.iter().copied().filter(|one| !there.contains(one)).collect();
    if !is_root(group) {
        step_aside(group, ours)?;
    }
    if !missing.is_empty() {
        fs::write(&path, switches('+', &missing))?;
    }
    Ok(missing)
}

/// Undoes [`make`], unless another spawner lives beneath the group; `made` is what it returned.
///
/// Where our processes stepped aside, nobody else can have had anything handed down, and all of it is
/// taken back: of an earlier run that was killed, too.
pub(super) fn give_back(group: &Path, made: &[Controller]) -> io::Result<()> {
    let aside = group.join(ASIDE);
    let stepped_aside = aside.exists();
    let path = group.join("cgroup.subtree_control");
    let back = if stepped_aside { listed(&path) } else { made.to_vec() };
    if !back.is_empty() {
        match fs::write(&path, switches('-', &back)) {
            // Its directory has them too.
            Err(err) if err.kind() == io::ErrorKind::ResourceBusy => return Ok(()),
            done => done?,
        }
    }
    if !stepped_aside {
        return Ok(());
    }
    let mut tries = 0;
    loop {
        move_to(group, &processes(&aside)?)?;
        match fs::remove_dir(&aside) {
            // One that is just ending is not listed any more, and still in it.
            Err(err) if err.kind() == io::ErrorKind::ResourceBusy && tries < TRIES => {
                tries += 1;
                std::thread::sleep(PAUSE);
            }
            done => return done,
        }
    }
}

/// It is not left to the kernel to refuse what is not empty: with `cpu` and `pids` alone it does not,
/// but makes a threaded group of it, beneath which no leaf can be joined.
fn step_aside(group: &Path, ours: &[u32]) -> io::Result<()> {
    let there = processes(group)?;
    if there.is_empty() {
        return Ok(());
    }
    if there.iter().any(|pid| !ours.contains(pid)) {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    let aside = group.join(ASIDE);
    match fs::create_dir(&aside) {
        Err(err) if err.kind() != io::ErrorKind::AlreadyExists => return Err(err),
        _ => {}
    }
    move_to(&aside, &there)
}

/// Only the root, which may have processes and hand down, has no type.
fn is_root(group: &Path) -> bool {
    !group.join("cgroup.type").exists()
}

/// An ordinary user may in what was handed to him.
pub(super) fn may_make_groups(group: &Path) -> bool {
    let may_write = |path: &Path| access(path, AccessFlags::W_OK).is_ok();
    may_write(group) && may_write(&group.join("cgroup.procs"))
}

/// A threaded group can have no leaf that processes join.
fn is_domain(group: &Path) -> bool {
    fs::read_to_string(group.join("cgroup.type")).is_ok_and(|kind| kind.trim() == "domain")
}

/// Whether every process in a group is one of `by`. One whose number is 0 is outside of our sight.
fn is_occupied_by(group: &Path, by: &[u32]) -> bool {
    processes(group).is_ok_and(|there| there.iter().all(|pid| by.contains(pid)))
}

/// The controllers of ours that a file names.
fn listed(path: &Path) -> Vec<Controller> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let named = |controller: &Controller| text.split_whitespace().any(|n| n == controller.name());
    Controller::ALL.into_iter().filter(named).collect()
}

/// What is written to `subtree_control`, such as `+memory +pids`.
fn switches(sign: char, controllers: &[Controller]) -> String {
    let names: Vec<String> = controllers.iter().map(|one| format!("{sign}{one}")).collect();
    names.join(" ")
}

fn processes(group: &Path) -> io::Result<Vec<u32>> {
    let text = fs::read_to_string(group.join("cgroup.procs"))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

fn move_to(group: &Path, processes: &[u32]) -> io::Result<()> {
    for pid in processes {
        match fs::write(group.join("cgroup.procs"), pid.to_string()) {
            // It has ended meanwhile.
            Err(err) if err.raw_os_error() == Some(Errno::ESRCH as i32) => {}
            done => done?,
        }
    }
    Ok(())
}
