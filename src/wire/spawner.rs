//! Control plane ↔ spawner: make a cell, fork a template into it, assign it, end it.
//!
//! No path, no argument vector and no environment crosses this boundary. Code and images are named
//! by digest and looked up by the spawner beneath directories it was given at start; cells and
//! templates are named by number, what a template executes by its index in the image. A control plane
//! that is taken over can therefore ask for more sandboxes of the permitted kinds, and for nothing
//! else.
//!
//! ```text
//!   control plane                      spawner
//!        │ ◄──────────── Hello ──────────│   once, before anything else
//!        │── Make{ticket,image} ───────► │
//!        │ ◄─ Made{ticket,cell} + fds ───│   or Failed{ticket}
//!        │─ Assign{cell,trees,limits} ─► │
//!        │ ◄──────── Assigned{cell} ─────│   or Failed{cell}, Short{cell}; the cell is then as it was
//!        │── End{cell} ────────────────► │
//!        │ ◄──── Quarantined{cell,uid} ──│   at most once: it does not die; Ended follows when it has
//!        │ ◄──────────── Ended{cell} ────│   always the last word about a cell, asked for or not
//!        │                               │
//!        │── Template{ticket,image,n} ─► │
//!        │ ◄─ TemplateReady{ticket,t} ───│   or Failed{ticket}
//!        │── Fork{cell,t} + 2 fds ─────► │   into an empty cell, once; before Assign or after it
//!        │ ◄──────────── Forked{cell} ───│   or Failed{cell}; the cell is then to be ended
//!        │ ◄──── Exited{cell,status} ────│   at most once: the process that was forked; then Ended
//!        │── EndTemplate{t} ───────────► │   what was forked from it goes on
//!        │ ◄──── TemplateEnded{t} ───────│   always the last word about a template, asked for or not
//! ```

mod trees;

use crate::codec::{DecodeError, Reader, Writer};

pub use trees::{Place, Trees};

/// Longest message in either direction, in bytes.
pub const MAX_MESSAGE: usize = 512;
/// Longest explanation in [`Reply::Failed`], in bytes.
pub const MAX_DETAIL: usize = 256;
/// Most descriptors beside [`Reply::Made`], in this order: the runner's socket, the Runtime-API
/// listener, a pidfd of the cell's PID 1, the memory statistics of its cgroup (read only); and, if
/// the message says so, `cgroup.freeze` of its cgroup (write only) and version 1's
/// `memory.oom_control` (read only).
pub const MADE_DESCRIPTORS: usize = 6;
/// Bit of the flag byte of [`Reply::Made`]: the freezer is among the descriptors.
const MADE_FREEZER: u8 = 1;
/// Bit of it: the count of kills is.
const MADE_KILLS: u8 = 2;
/// Descriptors beside [`Request::Fork`], in this order: the write end of the log pipe, which becomes
/// standard output and error, and the function's end of the link, which becomes
/// [`crate::runner::LINK_FD`]. No other request has any.
pub const FORK_DESCRIPTORS: usize = 2;

/// SHA-256 of a tree, by which code and images are named.
pub type Digest = [u8; 32];

/// Names one cell; never used again while its spawner lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellId(pub u32);

/// Names one template; never used again while its spawner lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TemplateId(pub u32);

/// What one function version may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Anonymous memory, MiB: [`Limits::MEMORY_MIB`].
    pub memory_mib: u32,
    /// Size of `/tmp`, MiB: [`Limits::TMP_MIB`].
    pub tmp_mib: u32,
    /// Processes and threads: [`Limits::PIDS`].
    pub pids: u32,
    /// CPU weight, cgroup v2's scale: [`Limits::CPU_WEIGHT`].
    pub cpu_weight: u32,
}

/// What the control plane asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Make an empty cell whose root is the image; answered with the same ticket.
    Make {
        /// Chosen by the control plane, returned in the answer.
        ticket: u64,
        /// Which image.
        image: Digest,
    },
    /// Mount code, and what else there is of the function, into an empty cell and set its limits; once
    /// per cell.
    Assign {
        /// Which cell.
        cell: CellId,
        /// What to mount, and where.
        trees: Trees,
        /// What it may use.
        limits: Limits,
    },
    /// Kill everything in the cell and take it down.
    End {
        /// Which cell.
        cell: CellId,
    },
    /// Start a template: a process that runs no user's code and is forked into cells; answered with
    /// the same ticket.
    Template {
        /// Chosen by the control plane among the tickets of [`Request::Make`], returned in the answer.
        ticket: u64,
        /// Which image.
        image: Digest,
        /// Which of the image's templates: what it executes stands in the image.
        index: u8,
    },
    /// End a template. What was forked from it goes on.
    EndTemplate {
        /// Which template.
        template: TemplateId,
    },
    /// Fork a template into a cell that nothing was put into yet, with [`FORK_DESCRIPTORS`]
    /// descriptors.
    Fork {
        /// Which cell.
        cell: CellId,
        /// Which template; one of the cell's image.
        template: TemplateId,
    },
}

/// What a failure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A cell that was to be made.
    Ticket(u64),
    /// A cell that exists.
    Cell(CellId),
    /// A template that was to be ended.
    Template(TemplateId),
}

/// What the spawner says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// First message of a connection.
    Hello {
        /// [`crate::VERSION`] of the spawner.
        version: u16,
        /// First host uid of the instance's range of 65,536.
        uid_base: u32,
        /// How many cells may live at once.
        capacity: u32,
    },
    /// A cell is ready, with its descriptors: see [`MADE_DESCRIPTORS`].
    Made {
        /// From the request.
        ticket: u64,
        /// Its name from now on.
        cell: CellId,
        /// The host uid that everything in it runs as.
        uid: u32,
        /// Whether a descriptor freezes it: `1` written into it stops everything in the cell
        /// where it stands, `0` lets it go on. False where an ordinary user has no version-2 group.
        freezer: bool,
        /// Whether the last descriptor counts the processes that the kernel has killed for memory:
        /// with version 1, where each dies alone.
        kills: bool,
    },
    /// A request was not carried out.
    Failed {
        /// Which request.
        subject: Subject,
        /// The step that failed and why, for the operator's log.
        detail: String,
    },
    /// A cell was not assigned, because the machine is short of something now: the same may succeed
    /// later. The cell is as it was.
    Short {
        /// Which cell.
        cell: CellId,
        /// The step that failed and why, for the operator's log.
        detail: String,
    },
    /// Code is mounted and limits are set.
    Assigned {
        /// Which cell.
        cell: CellId,
    },
    /// A cell is gone, with everything that was in it.
    Ended {
        /// Which cell.
        cell: CellId,
        /// How many of its processes the kernel killed for memory.
        memory_kills: u32,
        /// Most memory it ever had charged, bytes; 0 where the kernel does not say.
        peak_bytes: u64,
    },
    /// A cell does not end: its uid and its control groups are nobody else's until it has. May be
    /// about a cell that was never made.
    Quarantined {
        /// Which cell.
        cell: CellId,
        /// Its host uid.
        uid: u32,
        /// What stands in the way, for the operator's log.
        detail: String,
    },
    /// A template can be forked.
    TemplateReady {
        /// From the request.
        ticket: u64,
        /// Its name from now on.
        template: TemplateId,
    },
    /// A template's copy is in the cell, behind every wall, and about to say hello on its link.
    Forked {
        /// Which cell.
        cell: CellId,
    },
    /// The process that was forked into the cell ended; the cell is taken down.
    Exited {
        /// Which cell.
        cell: CellId,
        /// As `wait(2)` reports it.
        status: u32,
    },
    /// A template is gone.
    TemplateEnded {
        /// Which template.
        template: TemplateId,
    },
}

// === impl Limits ===

impl Limits {
    /// AWS's range of MemorySize is 128..=10,240; what Managed Instances add is not ours.
    pub const MEMORY_MIB: (u32, u32) = (128, 10_240);
    /// AWS's range of EphemeralStorage.
    pub const TMP_MIB: (u32, u32) = (512, 10_240);
    /// AWS allows 1,024 processes and threads; the floor keeps an interpreter able to start.
    pub const PIDS: (u32, u32) = (16, 4_096);
    /// cgroup v2's range of `cpu.weight`.
    pub const CPU_WEIGHT: (u32, u32) = (1, 10_000);

    fn encode(&self, out: &mut Writer) {
        out.u32(self.memory_mib).u32(self.tmp_mib).u32(self.pids).u32(self.cpu_weight);
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut field = |name, (min, max)| from.u32_in(name, min, max);
        Ok(Self {
            memory_mib: field("memory_mib", Self::MEMORY_MIB)?,
            tmp_mib: field("tmp_mib", Self::TMP_MIB)?,
            pids: field("pids", Self::PIDS)?,
            cpu_weight: field("cpu_weight", Self::CPU_WEIGHT)?,
        })
    }
}

// === impl Request ===

impl Request {
    /// The bytes of one datagram.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Make { ticket, image } => Writer::tagged(1).u64(*ticket).raw(image).done(),
            Self::Assign { cell, trees, limits } => {
                let mut out = Writer::tagged(2);
                out.u32(cell.0);
                trees.encode(&mut out);
                limits.encode(&mut out);
                out.done()
            }
            Self::End { cell } => Writer::tagged(3).u32(cell.0).done(),
            Self::Template { ticket, image, index } => {
                Writer::tagged(4).u64(*ticket).raw(image).u8(*index).done()
            }
            Self::EndTemplate { template } => Writer::tagged(5).u32(template.0).done(),
            Self::Fork { cell, template } => Writer::tagged(6).u32(cell.0).u32(template.0).done(),
        }
    }

    /// How many descriptors are beside it.
    pub fn descriptors(&self) -> usize {
        match self {
            Self::Fork { .. } => FORK_DESCRIPTORS,
            _ => 0,
        }
    }

    /// Reads one datagram.
    ///
    /// # Errors
    /// Whatever is not exactly one message with every field in range.
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::datagram(datagram, MAX_MESSAGE)?;
        let message = match from.u8("request")? {
            1 => Self::Make { ticket: from.u64("ticket")?, image: from.array("image")? },
            2 => Self::Assign {
                cell: CellId(from.u32("cell")?),
                trees: Trees::decode(&mut from)?,
                limits: Limits::decode(&mut from)?,
            },
            3 => Self::End { cell: CellId(from.u32("cell")?) },
            4 => Self::Template {
                ticket: from.u64("ticket")?,
                image: from.array("image")?,
                index: from.u8("index")?,
            },
            5 => Self::EndTemplate { template: TemplateId(from.u32("template")?) },
            6 => Self::Fork {
                cell: CellId(from.u32("cell")?),
                template: TemplateId(from.u32("template")?),
            },
            tag => return Err(DecodeError::UnknownTag { what: "request", tag }),
        };
        from.finish()?;
        Ok(message)
    }
}

// === impl Reply ===

impl Reply {
    /// The bytes of one datagram. Explanations longer than [`MAX_DETAIL`] are cut.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello { version, uid_base, capacity } => {
                Writer::tagged(1).u16(*version).u32(*uid_base).u32(*capacity).done()
            }
            Self::Made { ticket, cell, uid, freezer, kills } => {
                let flags = if *freezer { MADE_FREEZER } else { 0 };
                let flags = if *kills { flags | MADE_KILLS } else { flags };
                Writer::tagged(2).u64(*ticket).u32(cell.0).u32(*uid).u8(flags).done()
            }
            Self::Failed { subject, detail } => {
                let mut out = Writer::tagged(3);
                match subject {
                    Subject::Ticket(ticket) => out.u8(0).u64(*ticket),
                    Subject::Cell(cell) => out.u8(1).u32(cell.0),
                    Subject::Template(template) => out.u8(2).u32(template.0),
                };
                let cut = detail.floor_char_boundary(MAX_DETAIL);
                out.bytes(&detail.as_bytes()[..cut]).done()
            }
            Self::Short { cell, detail } => {
                let cut = detail.floor_char_boundary(MAX_DETAIL);
                Writer::tagged(11).u32(cell.0).bytes(&detail.as_bytes()[..cut]).done()
            }
            Self::Assigned { cell } => Writer::tagged(4).u32(cell.0).done(),
            Self::Ended { cell, memory_kills, peak_bytes } => {
                Writer::tagged(5).u32(cell.0).u32(*memory_kills).u64(*peak_bytes).done()
            }
            Self::Quarantined { cell, uid, detail } => {
                let cut = detail.floor_char_boundary(MAX_DETAIL);
                let mut out = Writer::tagged(6);
                out.u32(cell.0).u32(*uid).bytes(&detail.as_bytes()[..cut]).done()
            }
            Self::TemplateReady { ticket, template } => {
                Writer::tagged(7).u64(*ticket).u32(template.0).done()
            }
            Self::Forked { cell } => Writer::tagged(8).u32(cell.0).done(),
            Self::Exited { cell, status } => Writer::tagged(9).u32(cell.0).u32(*status).done(),
            Self::TemplateEnded { template } => Writer::tagged(10).u32(template.0).done(),
        }
    }

    /// Reads one datagram.
    ///
    /// # Errors
    /// Whatever is not exactly one message.
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::datagram(datagram, MAX_MESSAGE)?;
        let message = match from.u8("reply")? {
            1 => Self::Hello {
                version: from.u16("version")?,
                uid_base: from.u32("uid_base")?,
                capacity: from.u32("capacity")?,
            },
            2 => {
                let (ticket, cell) = (from.u64("ticket")?, CellId(from.u32("cell")?));
                let (uid, flags) = (from.u32("uid")?, from.u8("flags")?);
                if flags & !(MADE_FREEZER | MADE_KILLS) != 0 {
                    return Err(DecodeError::UnknownTag { what: "flags", tag: flags });
                }
                let (freezer, kills) = (flags & MADE_FREEZER != 0, flags & MADE_KILLS != 0);
                Self::Made { ticket, cell, uid, freezer, kills }
            }
            3 => {
                let subject = match from.u8("subject")? {
                    0 => Subject::Ticket(from.u64("ticket")?),
                    1 => Subject::Cell(CellId(from.u32("cell")?)),
                    2 => Subject::Template(TemplateId(from.u32("template")?)),
                    tag => return Err(DecodeError::UnknownTag { what: "subject", tag }),
                };
                Self::Failed { subject, detail: from.text("detail", MAX_DETAIL)?.to_owned() }
            }
            4 => Self::Assigned { cell: CellId(from.u32("cell")?) },
            5 => Self::Ended {
                cell: CellId(from.u32("cell")?),
                memory_kills: from.u32("memory_kills")?,
                peak_bytes: from.u64("peak_bytes")?,
            },
            6 => Self::Quarantined {
                cell: CellId(from.u32("cell")?),
                uid: from.u32("uid")?,
                detail: from.text("detail", MAX_DETAIL)?.to_owned(),
            },
            7 => Self::TemplateReady {
                ticket: from.u64("ticket")?,
                template: TemplateId(from.u32("template")?),
            },
            8 => Self::Forked { cell: CellId(from.u32("cell")?) },
            9 => Self::Exited { cell: CellId(from.u32("cell")?), status: from.u32("status")? },
            10 => Self::TemplateEnded { template: TemplateId(from.u32("template")?) },
            11 => Self::Short {
                cell: CellId(from.u32("cell")?),
                detail: from.text("detail", MAX_DETAIL)?.to_owned(),
            },
            tag => return Err(DecodeError::UnknownTag { what: "reply", tag }),
        };
        from.finish()?;
        Ok(message)
    }
}

#[cfg(test)]
mod tests;
