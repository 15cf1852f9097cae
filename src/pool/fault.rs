//! How an instance ends badly, and what its caller is told: AWS's words for each.
//!
//! A [`Cause`] is what was seen; a [`Fault`] is what it is taken to mean once the cell's last word is
//! in (a process that was killed may have been killed for memory). A fault is an answer: HTTP 200, an
//! error document as payload, `FunctionError: Unhandled`.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use telemetry::metrics::ErrorClass;

use crate::link::LinkError;
use crate::spawner::Ended;

/// What was seen first when an instance ended. The first cause wins: what follows from killing a
/// sandbox is not a cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The function's process ended; its status as `wait(2)` reports it.
    Exited(u32),
    /// Its sandbox or its link is gone and nothing said why.
    HungUp,
    /// It was still serving at its deadline, and was killed.
    TimedOut,
    /// It was still initialising at its limit, and was killed.
    Overran,
    /// Its anonymous memory was above MemorySize, or the kernel killed a part of it for memory, and
    /// the rest was killed.
    Memory,
    /// It said something that the protocol does not have.
    Protocol(LinkError),
    /// The spawner is gone, and with it everything.
    SpawnerGone,
    /// It was ended on purpose.
    Stopped,
}

/// What the caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process ended by itself.
    Exit(u32),
    /// The process was killed for memory.
    OutOfMemory,
    /// It took longer than the function's timeout.
    Timeout(Duration),
    /// It broke the protocol, or went away without a word.
    Protocol(String),
    /// The program could not be started.
    Entrypoint(String),
}

// === impl Cause ===

impl Cause {
    /// Whether the cell's last word could change what this is taken for.
    pub(crate) fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Exited(_) | Self::HungUp | Self::Protocol(LinkError::Closed))
    }

    /// What it is taken for. `timeout` is the function's.
    pub(crate) fn fault(&self, ended: Option<Ended>, timeout: Duration) -> Fault {
        let killed = ended.is_some_and(|ended| ended.memory_kills > 0);
        match self {
            Self::Memory => Fault::OutOfMemory,
            cause if killed && cause.is_ambiguous() => Fault::OutOfMemory,
            Self::Exited(status) => Fault::Exit(*status),
            Self::TimedOut | Self::Overran => Fault::Timeout(timeout),
            Self::Protocol(err) => Fault::Protocol(err.to_string()),
            Self::HungUp | Self::SpawnerGone | Self::Stopped => {
                Fault::Protocol("the sandbox is gone".to_owned())
            }
        }
    }
}

// === impl Fault ===

impl Fault {
    /// What the caller gets as payload.
    pub(crate) fn document(&self, request_id: &str) -> Bytes {
        let text = format!("RequestId: {request_id} Error: {}", self.text());
        document(self.error_type(), &text)
    }

    /// AWS's name for it.
    pub(crate) fn error_type(&self) -> &'static str {
        match self {
            Self::Exit(_) => "Runtime.ExitError",
            Self::OutOfMemory => "Runtime.OutOfMemory",
            Self::Timeout(_) => "Sandbox.Timedout",
            // AWS has no name for this; it keeps the form that names have.
            Self::Protocol(_) => "Runtime.ProtocolError",
            Self::Entrypoint(_) => "Runtime.InvalidEntrypoint",
        }
    }

    /// What follows `Error: `.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Exit(0) => "Runtime exited without providing a reason".to_owned(),
            Self::Exit(status) => format!("Runtime exited with error: {}", ending(*status)),
            Self::OutOfMemory => "Runtime exited with error: signal: killed".to_owned(),
            Self::Timeout(limit) => {
                format!("Task timed out after {:.2} seconds", limit.as_secs_f64())
            }
            Self::Protocol(what) => format!("Runtime broke off: {what}"),
            Self::Entrypoint(what) => what.clone(),
        }
    }

    /// What ends the REPORT line of its invocation.
    pub(crate) fn status(&self) -> String {
        match self {
            Self::Timeout(_) => "Status: timeout".to_owned(),
            other => format!("Status: error\tError Type: {}", other.error_type()),
        }
    }

    /// Under what it is counted.
    pub(crate) fn class(&self) -> ErrorClass {
        match self {
            Self::OutOfMemory => ErrorClass::Memory,
            Self::Timeout(_) => ErrorClass::Timeout,
            Self::Exit(_) | Self::Protocol(_) => ErrorClass::Crash,
            Self::Entrypoint(_) => ErrorClass::Init,
        }
    }
}

/// What a caller gets whose answer was too long.
pub(crate) fn oversize() -> Bytes {
    let limit = wire::link::MAX_RESPONSE;
    Bytes::from(format!(
        "{{\"errorMessage\":\"Response payload size exceeded maximum allowed payload size \
         ({limit} bytes).\",\"errorType\":\"Function.ResponseSizeTooLarge\"}}"
    ))
}

/// What ends the REPORT line of an event whose function could not be initialised, from the
/// runtime's own document.
pub(crate) fn init_status(document: &[u8]) -> String {
    format!("Status: error\tError Type: {}", error_type(document).unwrap_or("Runtime.Unknown"))
}

/// The `errorType` of an error document, if it has AWS's form. The document is a stranger's and may
/// be anything; looked for is the key as JSON writes it, which no text inside a string can look like.
pub(crate) fn error_type(document: &[u8]) -> Option<&str> {
    const KEY: &[u8] = b"\"errorType\"";
    let at = memchr::memmem::find(document, KEY)?;
    let rest = document[at + KEY.len()..].trim_ascii_start().strip_prefix(b":")?;
    let value = rest.trim_ascii_start().strip_prefix(b"\"")?;
    let value = &value[..memchr::memchr(b'"', value)?];
    let name = value.strip_prefix(b"Runtime.").or_else(|| value.strip_prefix(b"Function."))?;
    let fits = name.first()?.is_ascii_uppercase() && name.iter().all(u8::is_ascii_alphabetic);
    if fits { std::str::from_utf8(value).ok() } else { None }
}

fn document(error_type: &str, message: &str) -> Bytes {
    let mut out = format!("{{\"errorType\":\"{error_type}\",\"errorMessage\":\"");
    for c in message.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push_str("\"}");
    Bytes::from(out)
}

/// How a process ended, in the words of Go's `os.ProcessState`, which are what AWS prints.
fn ending(status: u32) -> String {
    let signal = status & 0x7f;
    if signal == 0 {
        return format!("exit status {}", status >> 8 & 0xff);
    }
    let dumped = if status & 0x80 != 0 { " (core dumped)" } else { "" };
    let name = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        16 => "stack fault",
        // A call that the filter forbids ends a process with this one.
        31 => "bad system call",
        other => return format!("signal: signal {other}{dumped}"),
    };
    format!("signal: {name}{dumped}")
}

#[cfg(test)]
mod tests;
