//! Spawner ↔ template: fork into this cell; forked.
//!
//! A template is a program of ours without any privilege but one: it has the id that owns cells. What
//! it is handed beside an order, the namespaces of one cell, is all it can get into. Its answers are
//! believed no further than their form: the spawner looks for itself at what the pidfd refers to.
//!
//! ```text
//!   spawner                                        template
//!      │── Recipe: id, domain, last filter ────────► │   once, before anything else
//!      │ ◄───────────────────────────────── Ready ───│   everything is imported, there is one thread
//!      │── Fork{cell} + log, link, namespaces, doors │   one at a time
//!      │ ◄─────────────────── Forked{cell,pid} + fd ─│   its copy is in the cell
//!      │ ◄───────────── Failed{cell,step,errno} ─────│   instead: it is not, and left nothing there
//! ```
//!
//! Orders are read by `runner/python/fork.c`, which knows this format and has no library.

use crate::codec::{DecodeError, Reader, Writer};

/// The socket in the template.
pub const SOCKET: i32 = 3;
/// Longest message. A filter of a hundred instructions, a domain of a few rules.
pub const MAX_MESSAGE: usize = 4096;
/// Descriptors beside [`Order::Fork`], before the doors: log, link, and the cell's namespaces in the
/// order of [`NAMESPACES`].
pub const FIXED_DESCRIPTORS: usize = 2 + NAMESPACES.len();
/// The order in which a cell's namespaces are entered, by their names in `/proc/<pid>/ns`. Users first:
/// it gives what the others take; mounts last, because they end the view of everything else.
pub const NAMESPACES: [&str; 7] = ["user", "cgroup", "ipc", "uts", "net", "pid", "mnt"];
/// What a template does for an order, in its order; [`Answer::Failed`] has the place of what failed.
pub const STEPS: [&str; 6] = [
    "receive the order",
    "be a process of one thread",
    "clone the stage",
    "join the cell's control groups",
    "enter the cell's namespaces",
    "clone into the cell",
];

/// What a fork does to itself in its cell that only the spawner's side knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The one id inside.
    pub id: u32,
    /// Its Landlock domain; `None` where the kernel has none.
    pub domain: Option<Domain>,
    /// Instructions of the last filter, as the kernel takes them: eight bytes each.
    pub filter: Vec<u8>,
}

/// A Landlock domain, in the kernel's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// `handled_access_fs`.
    pub handled: u64,
    /// `scoped`.
    pub scoped: u64,
    /// Paths without a NUL, and what is allowed beneath each.
    pub rules: Vec<(String, u64)>,
}

/// Spawner → template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// How a fork becomes what a cell's process is.
    Recipe(Recipe),
    /// Fork into a cell, with [`FIXED_DESCRIPTORS`] descriptors and the doors of its control groups.
    Fork {
        /// Returned in the answer.
        cell: u32,
    },
}

/// Template → spawner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It can be forked from now on.
    Ready,
    /// It was forked; the pidfd is beside this.
    Forked {
        /// From the order.
        cell: u32,
        /// Its number in the template's, and the spawner's, pid namespace.
        pid: i32,
    },
    /// It was not.
    Failed {
        /// From the order.
        cell: u32,
        /// Place in [`STEPS`].
        step: u8,
        /// Of the call that failed.
        errno: u32,
    },
}

// === impl Order ===

impl Order {
    /// The bytes of one datagram.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Recipe(Recipe { id, domain, filter }) => {
                let mut out = Writer::tagged(1);
                let nothing = Domain { handled: 0, scoped: 0, rules: Vec::new() };
                let Domain { handled, scoped, rules } = domain.as_ref().unwrap_or(&nothing);
                out.u32(*id).u64(*handled).u64(*scoped);
                out.u32(u32::try_from(rules.len()).unwrap_or(u32::MAX));
                for (path, access) in rules {
                    // With its NUL, so that it need not be copied to be used.
                    out.u64(*access).bytes(&[path.as_bytes(), &[0]].concat());
                }
                out.bytes(filter).done()
            }
            Self::Fork { cell } => Writer::tagged(2).u32(*cell).done(),
        }
    }
}

// === impl Answer ===

impl Answer {
    /// The bytes of one datagram.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ready => Writer::tagged(1).done(),
            Self::Forked { cell, pid } => {
                Writer::tagged(2).u32(*cell).u32(pid.cast_unsigned()).done()
            }
            Self::Failed { cell, step, errno } => {
                Writer::tagged(3).u32(*cell).u8(*step).u32(*errno).done()
            }
        }
    }

    /// Reads one datagram.
    ///
    /// # Errors
    /// Whatever is not exactly one message with every field in range.
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::datagram(datagram, MAX_MESSAGE)?;
        let answer = match from.u8("answer")? {
            1 => Self::Ready,
            2 => {
                let cell = from.u32("cell")?;
                let pid = from.u32_in("pid", 2, i32::MAX.cast_unsigned())?;
                Self::Forked { cell, pid: pid.cast_signed() }
            }
            3 => {
                let (cell, step) = (from.u32("cell")?, from.u8("step")?);
                if usize::from(step) >= STEPS.len() {
                    return Err(DecodeError::OutOfRange {
                        field: "step",
                        value: step.into(),
                        min: 0,
                        max: STEPS.len() as u64 - 1,
                    });
                }
                Self::Failed { cell, step, errno: from.u32("errno")? }
            }
            tag => return Err(DecodeError::UnknownTag { what: "answer", tag }),
        };
        from.finish()?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
