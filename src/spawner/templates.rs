//! What is known about each template, and what may happen to it next.
//!
//! ```text
//!                    Template: asked for, while there are few
//!                       │ prepare: leaves with limits, trees, a socket, a pipe for its words
//!       ┌──────────  ORDERED     whether there is a process is not known       Phase::Ordered
//!       │               │ the maker says Born, with a pidfd
//!       ├──────────   BORN       it builds its walls                           Phase::Born
//!       │               │ it says `ready` and executes what its image names
//!       ├──────────  STARTING    it was sent the recipe; it imports            Phase::Starting
//!   a step failed,      │ it says Ready, and has one thread and no privilege: TemplateReady
//!   it died, or       READY ◄──► one Fork after the other                      Phase::Ready
//!   30 s are over       │
//!       │               │ EndTemplate; it died; it took 5 s for a fork; it said nonsense
//!       ▼               ▼
//!     KILLED ◄──────────┘        orders it had not carried out fail            Phase::Killed
//!       │
//!     ENDED                      its leaves are gone: TemplateEnded, if it was ever ready
//! ```
//!
//! A template is ours, and trusted with what it is: the owner of cells. It is not trusted with saying
//! who it is and what it did. Whether it has one thread, no capability and its filter is read from the
//! kernel, and what it says it forked is looked at through the descriptor: it must be in a pid
//! namespace beneath ours.
//!
//! Replacing a template is the control plane's business: what was forked from one does not end with it.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use sandbox::cgroup::Leaf;
use sandbox::sys::process::{Child, Ending as How};
use wire::spawner::{CellId, Digest, TemplateId};

use crate::cells::{Ending, Making};

/// Most templates at once: two of each interpreter, and more of each while a burst lasts.
pub(crate) const MOST_TEMPLATES: usize = 64;
/// As many of a template's words are kept, from the first on, for the log.
const WORDS: usize = 1024;

/// A template that was asked for.
#[derive(Debug)]
pub(crate) struct WantedTemplate {
    pub(crate) ticket: u64,
    pub(crate) image: Digest,
    pub(crate) index: u8,
}

/// One template, from ORDERED on.
#[derive(Debug)]
pub(crate) struct Template {
    /// Which image it is of: it is forked into cells of the same.
    pub(crate) image: Digest,
    /// Its control groups.
    pub(crate) leaf: Leaf,
    /// Its process: from BORN until it is reaped.
    pub(crate) process: Option<Child>,
    /// What it writes to its standard output and error; non-blocking.
    pub(crate) words: File,
    /// What it wrote.
    pub(crate) said: Vec<u8>,
    /// Where it is in the diagram.
    pub(crate) phase: Phase,
}

/// Where a template is in the diagram.
#[derive(Debug)]
pub(crate) enum Phase {
    /// The maker has yet to say if there is a process.
    Ordered(Making),
    /// There is one, on its way to its program.
    Born(Making),
    /// Its program runs and is not ready yet.
    Starting(Making),
    /// It can be forked.
    Ready(Forks),
    /// It is being taken down.
    Killed(Ending),
}

/// What a template has to do.
#[derive(Debug)]
pub(crate) struct Forks {
    /// Where it is told.
    pub(crate) socket: OwnedFd,
    /// The cell it is forking into, and when that has taken too long.
    pub(crate) current: Option<(CellId, Instant)>,
    /// Those that come next.
    pub(crate) next: VecDeque<Fork>,
}

/// A fork that was asked for.
#[derive(Debug)]
pub(crate) struct Fork {
    pub(crate) cell: CellId,
    /// The log and the link, as they came.
    pub(crate) beside: Vec<OwnedFd>,
}

/// All templates.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    last: u32,
    templates: HashMap<TemplateId, Template>,
    /// Processes that were reaped while a template was forking, and nobody's: the stage of the fork,
    /// and perhaps what was forked, if it ended before its template could say that it exists.
    strangers: HashMap<i32, How>,
}

/// Why a template cannot be what it says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// The kernel could not be asked.
    #[error("read {what} of process {pid}")]
    Unreadable {
        what: &'static str,
        pid: i32,
        #[source]
        source: io::Error,
    },
    /// It is not as it should be.
    #[error("{field} is {value}, and must be {expected}")]
    Field { field: &'static str, value: String, expected: &'static str },
    /// What it says it forked is something else.
    #[error("process {pid} is not in a cell")]
    Outside { pid: i32 },
}

// === impl Templates ===

impl Templates {
    /// A number never used before, while there is room.
    pub(crate) fn reserve(&mut self) -> Option<TemplateId> {
        if self.templates.len() >= MOST_TEMPLATES {
            return None;
        }
        self.last = self.last.checked_add(1)?;
        Some(TemplateId(self.last))
    }

    pub(crate) fn insert(&mut self, number: TemplateId, template: Template) {
        self.templates.insert(number, template);
    }

    pub(crate) fn get_mut(&mut self, number: TemplateId) -> Option<&mut Template> {
        self.templates.get_mut(&number)
    }

    pub(crate) fn remove(&mut self, number: TemplateId) {
        self.templates.remove(&number);
    }

    /// Those that are forking.
    pub(crate) fn busy(&self) -> Vec<TemplateId> {
        let busy = self.templates.iter().filter(|(_, template)| template.current().is_some());
        busy.map(|(number, _)| *number).collect()
    }

    /// A process with this number was reaped: whose it was, if a template's.
    pub(crate) fn reaped(&mut self, pid: i32) -> Option<TemplateId> {
        let is = |template: &Template| template.process.as_ref().is_some_and(|it| it.pid == pid);
        let number = self.templates.iter().find(|(_, template)| is(template)).map(|(it, _)| *it)?;
        self.templates.get_mut(&number)?.process = None;
        Some(number)
    }

    /// A process that is nobody's was reaped.
    pub(crate) fn note_stranger(&mut self, pid: i32, how: How) {
        if !self.busy().is_empty() {
            self.strangers.insert(pid, how);
        }
    }

    /// How a process ended that its template has told of only now, if it has.
    pub(crate) fn take_stranger(&mut self, pid: i32) -> Option<How> {
        self.strangers.remove(&pid)
    }

    /// Nobody is told of any more.
    pub(crate) fn forget_strangers(&mut self) {
        if self.busy().is_empty() {
            self.strangers.clear();
        }
    }
}

// === impl Template ===

impl Template {
    /// The cell it is forking into, and until when.
    pub(crate) fn current(&self) -> Option<(CellId, Instant)> {
        match &self.phase {
            Phase::Ready(forks) => forks.current,
            _ => None,
        }
    }

    /// Reads what it wrote; whether that was the last.
    pub(crate) fn hear_words(&mut self) -> bool {
        let mut buffer = [0; 256];
        loop {
            match self.words.read(&mut buffer) {
                Ok(0) => return true,
                Ok(count) => {
                    let room = WORDS - self.said.len().min(WORDS);
                    self.said.extend_from_slice(&buffer[..count.min(room)]);
                }
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                // Nothing there now, or nothing that can be read.
                Err(err) => return err.kind() != io::ErrorKind::WouldBlock,
            }
        }
    }

    /// What it wrote, in one line: the end of it, where an interpreter says what went wrong.
    pub(crate) fn words(&self) -> String {
        let text = String::from_utf8_lossy(&self.said);
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.next_back().unwrap_or("nothing").to_owned()
    }
}

impl Phase {
    /// What is kept of a template that is being made.
    pub(crate) fn making(&mut self) -> Option<&mut Making> {
        match self {
            Self::Ordered(making) | Self::Born(making) | Self::Starting(making) => Some(making),
            Self::Ready(_) | Self::Killed(_) => None,
        }
    }
}

/// Looks in the kernel whether a process is what a template must be.
pub(crate) fn examine(pid: i32) -> Result<(), Unfit> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))
        .map_err(|source| Unfit::Unreadable { what: "the status", pid, source })?;
    check(&text)
}

/// Whether the text of a `status` is that of a process that may be forked.
fn check(status: &str) -> Result<(), Unfit> {
    const NONE: &str = "0000000000000000";
    // A fork has one thread, which would wait for ever for what another one held.
    for (field, expected) in [
        ("Threads", "1"),
        ("CapInh", NONE),
        ("CapPrm", NONE),
        ("CapEff", NONE),
        ("CapBnd", NONE),
        ("CapAmb", NONE),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
    ] {
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let value = line.unwrap_or_default().trim();
        if value != expected {
            return Err(Unfit::Field { field, value: value.to_owned(), expected });
        }
    }
    Ok(())
}

/// Looks whether a descriptor refers to the process that it is said to, in a cell; `false` if that has
/// ended and was reaped.
pub(crate) fn is_inside(pidfd: BorrowedFd<'_>, pid: i32) -> Result<bool, Unfit> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = fs::read_to_string(path).map_err(|source| Unfit::Unreadable {
        what: "the descriptor",
        pid,
        source,
    })?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let numbers = line.unwrap_or_default().split_whitespace();
        numbers.map(|number| number.parse().unwrap_or(0)).collect::<Vec<i32>>()
    };
    match (&field("Pid")[..], field("NSpid").len()) {
        ([-1], _) => Ok(false),
        // Its number here, and at least one further down.
        ([number], 2..) if *number == pid => Ok(true),
        _ => Err(Unfit::Outside { pid }),
    }
}

#[cfg(test)]
mod tests;
