//! Control plane ↔ PID 1 of a sandbox: execute one program, hear how it ended.
//!
//! The runner owns nothing a function could want: it never holds the link and has no privilege. Its
//! socket reaches it as descriptor [`RUNNER_FD`]; when the other end closes, the runner exits and the
//! kernel ends the sandbox with it.
//!
//! ```text
//!   control plane                                   runner
//!        │── Execute{argv,env,cwd} + log [+ link] ──► │   once
//!        │ ◄────── Executed{pid} | Refused{errno} ────│
//!        │── Signal{number} ────────────────────────► │   any number of times
//!        │ ◄──────────────── Exited{status} ──────────│   once, after Executed
//! ```

use crate::codec::{DecodeError, Reader, Writer};

/// The runner's socket in the runner.
pub const RUNNER_FD: i32 = 3;
/// The link in the function's process.
pub const LINK_FD: i32 = 3;
/// Longest datagram: AWS's 4 KiB of user environment, our own variables and an argument vector fit
/// several times; the kernel's default socket buffer (208 KiB) holds it whole.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// Most entries in an argument vector or environment.
pub const MAX_STRINGS: usize = 1024;

/// What the control plane asks of a runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Start the function's process. Beside it: the write end of the log pipe, which becomes its
    /// standard output and error, and optionally the link, which becomes [`LINK_FD`].
    Execute {
        /// Program and arguments; the first is an absolute path and not empty.
        argv: Vec<Vec<u8>>,
        /// `NAME=value` entries: the whole environment.
        env: Vec<Vec<u8>>,
        /// Absolute working directory.
        cwd: Vec<u8>,
    },
    /// Send a signal to the function's process.
    Signal {
        /// Its number, 1..=64.
        number: u8,
    },
}

/// What a runner says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// The program was executed.
    Executed {
        /// Its process id inside the sandbox.
        pid: u32,
    },
    /// The program could not be executed.
    Refused {
        /// `errno` of the call that failed; `EBUSY` if a program was executed before.
        errno: u32,
    },
    /// The function's process ended.
    Exited {
        /// As `wait(2)` reports it.
        status: u32,
    },
}

// === impl Request ===

impl Request {
    /// The bytes of one datagram.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Execute { argv, env, cwd } => {
                let mut out = Writer::tagged(1);
                out.bytes(cwd);
                for list in [argv, env] {
                    out.u16(u16::try_from(list.len()).unwrap_or(u16::MAX));
                    for item in list {
                        out.bytes(item);
                    }
                }
                out.done()
            }
            Self::Signal { number } => Writer::tagged(2).u8(*number).done(),
        }
    }

    /// Reads one datagram.
    ///
    /// # Errors
    /// Whatever is not exactly one message; strings with a NUL, too many strings, an empty argument
    /// vector, relative paths.
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::datagram(datagram, MAX_MESSAGE)?;
        let message = match from.u8("request")? {
            1 => {
                let cwd = string(&mut from, "cwd")?;
                let argv = strings(&mut from, "argv")?;
                let env = strings(&mut from, "env")?;
                let absolute = |path: &Vec<u8>| path.first() == Some(&b'/');
                if !absolute(&cwd) {
                    return Err(DecodeError::NotText { field: "cwd" });
                }
                if !argv.first().is_some_and(absolute) {
                    return Err(DecodeError::NotText { field: "argv" });
                }
                Self::Execute { argv, env, cwd }
            }
            2 => {
                let number = from.u8("number")?;
                if !(1..=64).contains(&number) {
                    return Err(DecodeError::OutOfRange {
                        field: "number",
                        value: number.into(),
                        min: 1,
                        max: 64,
                    });
                }
                Self::Signal { number }
            }
            tag => return Err(DecodeError::UnknownTag { what: "request", tag }),
        };
        from.finish()?;
        Ok(message)
    }
}

fn string(from: &mut Reader<'_>, field: &'static str) -> Result<Vec<u8>, DecodeError> {
    let bytes = from.bytes(field, MAX_MESSAGE)?;
    if bytes.contains(&0) {
        return Err(DecodeError::NotText { field });
    }
    Ok(bytes.to_vec())
}

fn strings(from: &mut Reader<'_>, field: &'static str) -> Result<Vec<Vec<u8>>, DecodeError> {
    let count = from.u16(field)? as usize;
    if count > MAX_STRINGS {
        return Err(DecodeError::TooLong {
            field,
            length: count as u64,
            limit: MAX_STRINGS as u64,
        });
    }
    // Each entry takes at least its own length field, so a lying count cannot reserve much.
    let mut out = Vec::with_capacity(count.min(from.remaining() / 4));
    for _ in 0..count {
        out.push(string(from, field)?);
    }
    Ok(out)
}

// === impl Report ===

impl Report {
    /// The bytes of one datagram.
    pub fn encode(&self) -> Vec<u8> {
        let (tag, value) = match self {
            Self::Executed { pid } => (1, *pid),
            Self::Refused { errno } => (2, *errno),
            Self::Exited { status } => (3, *status),
        };
        Writer::tagged(tag).u32(value).done()
    }

    /// Reads one datagram.
    ///
    /// # Errors
    /// Whatever is not exactly one message.
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::datagram(datagram, MAX_MESSAGE)?;
        let tag = from.u8("report")?;
        let value = from.u32("report")?;
        let message = match tag {
            1 => Self::Executed { pid: value },
            2 => Self::Refused { errno: value },
            3 => Self::Exited { status: value },
            tag => return Err(DecodeError::UnknownTag { what: "report", tag }),
        };
        from.finish()?;
        Ok(message)
    }
}

#[cfg(test)]
mod tests;
