//! What a template executes, as its image says it.
//!
//! `/var/runtime/templates/<index>` holds strings, each ended by a NUL: the arguments, the first of
//! them the program's path; an empty one; the environment. The image is the operator's and read-only;
//! it is read by the process itself, inside of it and without any privilege outside.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::execve;

/// Where images keep them.
const DIRECTORY: &str = "/var/runtime/templates";
/// Longest file: an interpreter, a script and a dozen variables take a few hundred bytes.
const MAX_BYTES: u64 = 16 * 1024;

/// A program to be executed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Program {
    argv: Vec<CString>,
    env: Vec<CString>,
}

// === impl Program ===

impl Program {
    /// Reads what the image at `/` says.
    ///
    /// `EINVAL` for what is not such a file, `E2BIG` for one that is too long.
    pub(super) fn read(index: u8) -> nix::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let path = format!("{DIRECTORY}/{index}");
        let file = File::from(open(path.as_str(), flags, Mode::empty())?);
        let mut bytes = Vec::new();
        let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|err| err.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Errno::E2BIG);
        }
        Self::parse(&bytes).ok_or(Errno::EINVAL)
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut strings = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == 0) {
            strings.push(CStr::from_bytes_with_nul(part).ok()?);
        }
        let end = strings.iter().position(|string| string.is_empty())?;
        let (argv, env) = (&strings[..end], &strings[end + 1..]);
        let absolute = argv.first()?.to_bytes().first() == Some(&b'/');
        let assigns = |string: &&CStr| string.to_bytes().contains(&b'=');
        let owned = |strings: &[&CStr]| strings.iter().map(|string| (*string).to_owned()).collect();
        (absolute && env.iter().all(assigns)).then(|| Self { argv: owned(argv), env: owned(env) })
    }

    /// Executes it; returns only if that fails.
    pub(super) fn execute(&self) -> Errno {
        match execve(&self.argv[0], &self.argv, &self.env) {
            Err(errno) => errno,
        }
    }
}

#[cfg(test)]
mod tests;
