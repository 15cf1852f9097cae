//! What one spawner had on this machine, and what is left of it.
//!
//! Only what is its own beyond doubt, so that others may come and go meanwhile: processes by number
//! and start time, ids of its slot, groups with its slot's name, mounts with its directory in their line,
//! files of that directory. A namespace lives as long as a process is in it or a mount or a descriptor
//! keeps it, and its number is soon another's: where none of those is left, it is gone. The soak counts
//! them over the whole machine.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::super::harness::{Spawner, children_of, control_groups_of};

/// A process that cannot be mistaken for a later one of the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pid: u32,
    started: String,
}

/// What there was.
#[derive(Debug)]
pub(crate) struct Remains {
    slot: u32,
    state: PathBuf,
    family: Vec<Process>,
    /// Those the family was in, by the names that mounts which keep them would have.
    namespaces: BTreeSet<PathBuf>,
}

/// A process and everything that descends from it.
pub(crate) fn family(pid: u32) -> Vec<Process> {
    let mut found: Vec<Process> = Process::find(pid).into_iter().collect();
    let mut next = 0;
    while let Some(Process { pid, .. }) = found.get(next) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        found
            .extend(children.split_whitespace().filter_map(|pid| Process::find(pid.parse().ok()?)));
        next += 1;
    }
    found
}

/// Descriptors of the outer process, of the spawner proper, of the maker.
pub(crate) fn descriptors(spawner: &Spawner) -> [usize; 3] {
    let inner = spawner.inner_pid();
    let maker = children_of(inner)[0];
    [spawner.pid(), inner, maker]
        .map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).unwrap().filter(is_not_the_door).count())
}

/// The socket of an armed program is not the spawner's.
fn is_not_the_door(entry: &std::io::Result<fs::DirEntry>) -> bool {
    entry.as_ref().is_ok_and(|entry| entry.file_name() != "900")
}

// === impl Process ===

impl Process {
    fn find(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in brackets and may hold anything; the last `)` ends it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // What has ended and lost its parent is the host's init's to reap, some time.
        if fields.get(..2)? == ["Z", "1"] {
            return None;
        }
        Some(Self { pid, started: (*fields.get(19)?).to_owned() })
    }
}

// === impl Remains ===

impl Remains {
    /// What a spawner in `slot` has at this moment.
    pub(crate) fn of(slot: u32, state: &Path, family: &[Process]) -> Self {
        let own: BTreeSet<PathBuf> = namespaces("self").collect();
        let of = |process: &Process| namespaces(&process.pid.to_string());
        let namespaces = family.iter().flat_map(of).filter(|link| !own.contains(link)).collect();
        Self { slot, state: state.to_owned(), family: family.to_vec(), namespaces }
    }

    /// Everything that is left, in words.
    pub(crate) fn all(&self) -> Vec<String> {
        let mut left = self.processes();
        left.extend(self.users());
        left.extend(self.groups());
        left.extend(self.mounts());
        left.extend(self.keys());
        left.extend(self.files());
        left
    }

    /// The family's processes.
    pub(crate) fn processes(&self) -> Vec<String> {
        let there = self.family.iter().filter(|one| Process::find(one.pid).as_ref() == Some(*one));
        there.map(|process| format!("process {}", process.pid)).collect()
    }

    /// Groups of cells; the slot's own directories may be those of the next owner.
    pub(crate) fn groups_beneath(&self) -> Vec<String> {
        let own = control_groups_of(self.first_id());
        let beneath = own.iter().filter_map(|group| fs::read_dir(group).ok()).flatten().flatten();
        beneath
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| format!("group {}", entry.path().display()))
            .collect()
    }

    fn first_id(&self) -> u32 {
        sandbox::plan::FIRST_ID + self.slot * sandbox::plan::IDS_PER_SLOT
    }

    fn ids(&self) -> Range<u32> {
        self.first_id()..self.first_id() + sandbox::plan::IDS_PER_SLOT
    }

    /// Processes of whoever's that run with an id of the slot's.
    fn users(&self) -> Vec<String> {
        let found = super::super::harness::processes_of(self.ids());
        found.iter().map(|pid| format!("user of an id: process {pid}")).collect()
    }

    fn groups(&self) -> Vec<String> {
        let found = control_groups_of(self.first_id());
        found.iter().map(|group| format!("group {}", group.display())).collect()
    }

    /// In the host's table; that of the spawner goes with its namespace.
    fn mounts(&self) -> Vec<String> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let state = self.state.display().to_string();
        let ours = |line: &&str| {
            let root = line.split(' ').nth(3).unwrap_or_default();
            line.contains(&state) || self.namespaces.contains(Path::new(root))
        };
        table.lines().filter(ours).map(|line| format!("mount {line}")).collect()
    }

    /// A user that the kernel keeps has keys or keyrings.
    fn keys(&self) -> Vec<String> {
        let table = fs::read_to_string("/proc/key-users").unwrap();
        let ours = |line: &&str| {
            let user = line.split(':').next().unwrap_or_default().trim().parse();
            user.is_ok_and(|user: u32| self.ids().contains(&user))
        };
        table.lines().filter(ours).map(|line| format!("keys {line}")).collect()
    }

    fn files(&self) -> Vec<String> {
        let slot = format!("slot-{}", self.slot);
        let entries = fs::read_dir(&self.state).unwrap().flatten();
        entries
            .filter(|entry| entry.file_name() != slot.as_str())
            .map(|entry| format!("file {}", entry.path().display()))
            .collect()
    }
}

fn namespaces(process: &str) -> impl Iterator<Item = PathBuf> + use<> {
    let links = fs::read_dir(format!("/proc/{process}/ns")).into_iter().flatten().flatten();
    links.filter_map(|entry| fs::read_link(entry.path()).ok())
}
