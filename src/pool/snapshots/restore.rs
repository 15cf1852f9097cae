//! Restoring a snapshot: a program in an empty cell becomes the process that it was taken of.
//!
//! ```text
//!   a cell with the code in it ──► link: one byte and the snapshot ──► executed ──► Hello
//! ```
//!
//! The program is ours (`runner/python/restore.c`) and runs as any program of the function's does. Up
//! to its Hello nothing of the function's has run, so that a failure until then is nobody's but ours.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use model::Runnable;
use wire::runner::Request;

use super::Snapshot;
use crate::link::{self, Incoming, Link, LinkError};
use crate::runner::{self, ExecuteError};
use crate::shell::Shell;
use crate::socket;
use crate::spawner::{Cell, SpawnerError};
use crate::start;
use crate::stock::Warm;

/// Why a snapshot was not restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    /// The cell did not become the function's.
    #[error("not assigned: {source}")]
    Assign {
        /// Why not.
        source: SpawnerError,
    },
    /// No pipe or socket for it.
    #[error("no descriptors: {source}")]
    Descriptors {
        /// Why not.
        source: std::io::Error,
    },
    /// Its program was not executed.
    #[error("{source}")]
    Execute {
        /// Why not.
        source: ExecuteError,
    },
    /// It did not say hello.
    #[error("not restored: {source}")]
    Greeting {
        /// What it did.
        source: LinkError,
    },
}

/// Restores a snapshot in an empty cell, up to its Hello.
///
/// # Errors
/// [`RestoreError`]; the cell is of no use for anything else then.
pub(crate) async fn restore(
    shell: &Arc<Shell>,
    function: &Runnable,
    program: &str,
    cell: &Cell,
    snapshot: &Snapshot,
) -> Result<Warm, RestoreError> {
    let trees = start::trees(function);
    let assigned = shell.spawner.assign(cell.id, trees, start::limits(function)).await;
    assigned.map_err(|source| RestoreError::Assign { source })?;
    let failed = |source| RestoreError::Descriptors { source };
    let (output, log) = socket::log_pipe().map_err(failed)?;
    let (ours, theirs) = socket::link_pair().map_err(failed)?;
    socket::send_descriptor(ours.as_fd(), snapshot.as_fd()).map_err(failed)?;
    execute(cell, program, &[log, theirs]).await?;
    let link = Link::new(ours).map_err(failed)?;
    let greeted = link::hello(&link, &mut Incoming::default()).await;
    greeted.map_err(|source| RestoreError::Greeting { source })?;
    Ok(Warm { link, output, greeted: true })
}

async fn execute(cell: &Cell, program: &str, given: &[OwnedFd; 2]) -> Result<(), RestoreError> {
    let argv = vec![program.as_bytes().to_vec()];
    // What is in its environment is in the snapshot.
    let program = Request::Execute { argv, env: Vec::new(), cwd: b"/var/task".to_vec() };
    let given: Vec<BorrowedFd<'_>> = given.iter().map(OwnedFd::as_fd).collect();
    let executed = runner::execute(&cell.runner, &program, &given).await;
    executed.map_err(|source| RestoreError::Execute { source })
}
