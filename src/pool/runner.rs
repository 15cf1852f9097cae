//! The conversation with PID 1 of a cell: execute this, what became of it.

use std::io;
use std::os::fd::BorrowedFd;

use wire::runner::{Report, Request};

use crate::socket::Datagrams;

/// Why a program was not executed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecuteError {
    /// The kernel refused.
    #[error("the program was refused: errno {errno}")]
    Refused {
        /// Why.
        errno: u32,
    },
    /// It ended before it was said to run.
    #[error("the program ended at once with status {status}")]
    Exited {
        /// As `wait(2)` reports it.
        status: u32,
    },
    /// PID 1 is gone.
    #[error("the sandbox is gone")]
    Gone,
    /// Its socket failed.
    #[error("the runner's socket failed")]
    Socket {
        /// How.
        #[source]
        source: io::Error,
    },
}

/// Has a program executed and waits until it has been. `descriptors` are its output and, if it has
/// one, its link.
pub(crate) async fn execute(
    runner: &Datagrams,
    program: &Request,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), ExecuteError> {
    let failed = |source| ExecuteError::Socket { source };
    runner.send(&program.encode(), descriptors).await.map_err(failed)?;
    match report(runner).await.map_err(failed)? {
        Some(Report::Executed { .. }) => Ok(()),
        Some(Report::Refused { errno }) => Err(ExecuteError::Refused { errno }),
        Some(Report::Exited { status }) => Err(ExecuteError::Exited { status }),
        None => Err(ExecuteError::Gone),
    }
}

/// Waits for PID 1 to say something; `None` when it is gone.
pub(crate) async fn report(runner: &Datagrams) -> io::Result<Option<Report>> {
    let mut buffer = [0; 16];
    let got = runner.receive(&mut buffer).await?;
    if got.length == 0 {
        return Ok(None);
    }
    let report = Report::decode(&buffer[..got.length]);
    report.map(Some).map_err(|err| io::Error::new(io::ErrorKind::InvalidData, err))
}
