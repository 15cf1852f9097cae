//! A spare: a cell with an interpreter in it, warmed, that has run nothing of a user's.
//!
//! ```text
//!   cell ──► execute ──► Hello ──► Spare ──► on the shelf ──► taken ──► a function's
//!              │           │         │            │             │
//!              └───────────┴─────────┴────────────┴─────────────┴──► ended: its cell is given back
//! ```
//!
//! It may die at any moment, like every process. On the shelf that is found when the shelf is looked
//! through; whoever takes one looks at it once more, and finds out the rest when he assigns it.
//!
//! What it printed before it belonged to anybody is read and thrown away when it is handed over: the
//! pipe is the function's log from then on, and nobody else's words may be in it.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use images::manifest;
use tokio::sync::oneshot::error::TryRecvError;
use wire::link::Kind;
use wire::runner::Request;

use crate::link::{self, Incoming, Link, LinkError, Quiet};
use crate::memory::Meter;
use crate::runner::{self, ExecuteError};
use crate::socket;
use crate::spawner::{Cell, SpawnerError};

/// How long one may take to start and to warm itself: as long as a function's first initialisation.
const WARM: Duration = crate::pool::INIT_LIMIT;
/// Most that is read of what one has printed; whatever else it printed, it is not what we started.
const MOST_SAID: usize = 1 << 20;

/// One that can be given to a function.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) cell: Cell,
    pub(crate) link: Link,
    /// Our end of its output.
    pub(crate) output: OwnedFd,
    /// What it was seen to use when it was ready, bytes.
    pub(super) bytes: u64,
}

/// Whether a spare can be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// As far as has been seen.
    Good,
    /// Its process is gone or has said something; its cell is there.
    Broken,
    /// Its cell is gone, too.
    Gone,
}

/// Why there is no spare.
#[derive(Debug, thiserror::Error)]
pub(super) enum FillError {
    /// No cell for it.
    #[error("no cell: {source}")]
    Cell {
        /// Why not.
        source: SpawnerError,
    },
    /// No pipe or socket for it.
    #[error("no descriptors: {source}")]
    Descriptors {
        /// Why not.
        source: std::io::Error,
    },
    /// Its interpreter was not executed.
    #[error("{source}")]
    Execute {
        /// Why not.
        source: ExecuteError,
    },
    /// It did not say what a spare says.
    #[error("{source}")]
    Greeting {
        /// What it did.
        source: LinkError,
    },
    /// It was not ready in time.
    #[error("not ready within {} s", WARM.as_secs())]
    Slow,
}

// === impl Spare ===

impl Spare {
    /// Executes an interpreter in an empty cell and waits until it is warm. The cell comes back if it
    /// does not become so.
    pub(super) async fn execute(
        cell: Cell,
        how: &manifest::Spare,
    ) -> Result<Self, (Cell, FillError)> {
        match tokio::time::timeout(WARM, warm(&cell, how)).await {
            Ok(Ok((link, output))) => {
                let bytes = measure(&cell);
                Ok(Self { cell, link, output, bytes })
            }
            Ok(Err(err)) => Err((cell, err)),
            Err(_elapsed) => Err((cell, FillError::Slow)),
        }
    }

    /// Looks at it.
    pub(super) fn health(&mut self) -> Health {
        match self.cell.ended.try_recv() {
            Err(TryRecvError::Empty) if self.link.quiet() == Quiet::Yes => Health::Good,
            Err(TryRecvError::Empty) => Health::Broken,
            Ok(_) | Err(TryRecvError::Closed) => Health::Gone,
        }
    }
}

/// Throws away what is in a spare's output; how many bytes that was.
pub(crate) fn hush(output: &OwnedFd) -> usize {
    let mut scratch = [0; 4096];
    let mut said = 0;
    while said < MOST_SAID {
        match rustix::io::read(output, &mut scratch[..]) {
            Ok(0) => break,
            Ok(count) => said += count,
            Err(rustix::io::Errno::INTR) => {}
            // Empty, as it should be.
            Err(_) => break,
        }
    }
    said
}

async fn warm(cell: &Cell, how: &manifest::Spare) -> Result<(Link, OwnedFd), FillError> {
    let plumb = |source| FillError::Descriptors { source };
    let (pipe, output) = socket::log_pipe().map_err(plumb)?;
    let (ours, theirs) = socket::link_pair().map_err(plumb)?;
    let link = Link::new(ours).map_err(plumb)?;
    let bytes = |list: &[String]| list.iter().map(|it| it.clone().into_bytes()).collect();
    // Not where the code will be: it is mounted over that directory later.
    let program =
        Request::Execute { argv: bytes(&how.argv), env: bytes(&how.env), cwd: b"/".into() };
    let given = [output.as_fd(), theirs.as_fd()];
    let executed = runner::execute(&cell.runner, &program, &given).await;
    executed.map_err(|source| FillError::Execute { source })?;
    // Ours are closed, or the link would not end with the process.
    drop((output, theirs));
    greet(&link).await.map_err(|source| FillError::Greeting { source })?;
    Ok((link, pipe))
}

/// Waits until it says that it is warm.
async fn greet(link: &Link) -> Result<(), LinkError> {
    let mut incoming = Incoming::default();
    link::hello(link, &mut incoming).await?;
    let (kind, _) = link.read(&mut incoming).await?;
    if kind != Kind::Spare {
        return Err(LinkError::Unexpected { kind });
    }
    if incoming.has_more() {
        return Err(LinkError::TwoAnswers);
    }
    Ok(())
}

/// Anonymous memory of a cell, bytes; 0 where it cannot be told, and then none is counted.
fn measure(cell: &Cell) -> u64 {
    let statistics = cell.memory.try_clone().ok();
    statistics.and_then(|file| Meter::new(file, None).anonymous()).unwrap_or(0)
}
