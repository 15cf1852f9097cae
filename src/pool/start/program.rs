//! Which program an instance is, where there may be several.
//!
//! A custom runtime is an executable `bootstrap`: the package's own, or else the layers'. Which of them
//! is there only the sandbox knows; one that is not costs a message there and back.

use std::os::fd::BorrowedFd;

use images::manifest::{Kind, Start};
use model::Runnable;
use wire::runner::Request;

use crate::runner::{self, ExecuteError};
use crate::socket::Datagrams;

/// Where layers have theirs.
const OF_LAYERS: &str = "/opt/bootstrap";

/// The programs that a function may be, as arguments, in the order in which they are looked for.
pub(super) fn candidates(start: &Start, function: &Runnable) -> Vec<Vec<String>> {
    let mut all = vec![start.argv.clone()];
    if start.kind == Kind::Custom && function.layers.is_some() {
        all.push(vec![OF_LAYERS.to_owned()]);
    }
    all
}

/// Has the first of them executed that is there.
///
/// # Errors
/// The path of the one that was not executed, and why; if none is there, that of the first.
pub(super) async fn execute(
    runner: &Datagrams,
    candidates: Vec<Vec<String>>,
    env: Vec<Vec<u8>>,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), (String, ExecuteError)> {
    let mut missing = None;
    for candidate in candidates {
        let path = candidate.first().cloned().unwrap_or_default();
        let argv = candidate.into_iter().map(String::into_bytes).collect();
        let program = Request::Execute { argv, env: env.clone(), cwd: b"/var/task".to_vec() };
        match runner::execute(runner, &program, descriptors).await {
            Ok(()) => return Ok(()),
            Err(ExecuteError::Refused { errno }) if errno == libc::ENOENT as u32 => {
                missing.get_or_insert((path, ExecuteError::Refused { errno }));
            }
            Err(err) => return Err((path, err)),
        }
    }
    Err(missing.unwrap_or((String::new(), ExecuteError::Gone)))
}

#[cfg(test)]
mod tests;
