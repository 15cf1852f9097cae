//! A spare: a cell with an interpreter in it, warmed, that has run nothing of a user's.
//!
//! ```text
//!   cell ──► execute, ──► Hello ──► Spare ──► on the shelf ──► taken ──► a function's
//!              fork         │         │            │             │
//!              │            │         │            │             │
//!              └────────────┴─────────┴────────────┴─────────────┴──► ended: its cell is given back
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
use wire::spawner::TemplateId;

use crate::link::{self, Incoming, Link, LinkError, Quiet};
use crate::memory::Meter;
use crate::runner::{self, ExecuteError};
use crate::socket;
use crate::spawner::{Cell, Spawner, SpawnerError};

/// How long one may take to start and to warm itself: as long as a function's first initialisation.
const WARM: Duration = crate::pool::INIT_LIMIT;
/// How long one may take to warm itself that was forked: it has little to do, and somebody may wait.
const FORKED: Duration = Duration::from_secs(3);
/// How often a fork is looked after.
const LOOK: Duration = Duration::from_millis(500);
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

/// A warm interpreter in a cell that somebody else keeps.
#[derive(Debug)]
pub(crate) struct Warm {
    pub(crate) link: Link,
    /// Our end of its output.
    pub(crate) output: OwnedFd,
    /// Whether it has said that it is warm.
    pub(crate) greeted: bool,
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
pub(crate) enum FillError {
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
    /// It was not forked.
    #[error("not forked: {source}")]
    Fork {
        /// Why not.
        source: SpawnerError,
    },
    /// What it was to be forked from says nothing.
    #[error("the template hangs")]
    Hangs,
    /// It did not say what a spare says.
    #[error("{source}")]
    Greeting {
        /// What it did.
        source: LinkError,
    },
    /// It was not ready in time.
    #[error("not ready in time")]
    Slow,
}

// === impl Spare ===

impl Spare {
    /// Puts together a cell and what was made warm in it.
    pub(super) fn new(cell: Cell, Warm { link, output, .. }: Warm) -> Self {
        let bytes = measure(&cell);
        Self { cell, link, output, bytes }
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

/// Executes an interpreter in an empty cell and waits until it is warm.
pub(super) async fn execute(cell: &Cell, how: &manifest::Spare) -> Result<Warm, FillError> {
    let bytes = |list: &[String]| list.iter().map(|it| it.clone().into_bytes()).collect();
    // Not where the code will be: it is mounted over that directory later.
    let program =
        Request::Execute { argv: bytes(&how.argv), env: bytes(&how.env), cwd: b"/".into() };
    let (mut warm, theirs) = plumb()?;
    let link = &warm.link;
    let warming = async move {
        let given = [theirs.0.as_fd(), theirs.1.as_fd()];
        let executed = runner::execute(&cell.runner, &program, &given).await;
        executed.map_err(|source| FillError::Execute { source })?;
        // Ours are closed, or the link would not end with the process.
        drop(theirs);
        alone(link).await
    };
    tokio::time::timeout(WARM, warming).await.map_err(|_elapsed| FillError::Slow)??;
    warm.greeted = true;
    Ok(warm)
}

/// Forks a template into an empty cell; its copy says later that it is warm, unless it is assigned
/// before. `hangs` says whether there is no more to be waited for, whenever it is asked.
pub(super) async fn fork(
    spawner: &Spawner,
    cell: &Cell,
    template: TemplateId,
    hangs: impl Fn() -> bool,
) -> Result<Warm, FillError> {
    let (warm, (output, link)) = plumb()?;
    {
        let forking = spawner.fork(cell.id, template, output.as_fd(), link.as_fd());
        tokio::pin!(forking);
        loop {
            match tokio::time::timeout(LOOK, &mut forking).await {
                Ok(forked) => break forked.map_err(|source| FillError::Fork { source })?,
                Err(_elapsed) if hangs() => return Err(FillError::Hangs),
                Err(_elapsed) => {}
            }
        }
    }
    drop((output, link));
    Ok(warm)
}

/// Waits until what was forked, for nobody, says that it is warm.
pub(super) async fn settle(mut warm: Warm) -> Result<Warm, FillError> {
    let greeting = alone(&warm.link);
    tokio::time::timeout(FORKED, greeting).await.map_err(|_elapsed| FillError::Slow)??;
    warm.greeted = true;
    Ok(warm)
}

/// A link and an output, and the ends that go into the sandbox: output, link.
fn plumb() -> Result<(Warm, (OwnedFd, OwnedFd)), FillError> {
    let failed = |source| FillError::Descriptors { source };
    let (output, theirs) = socket::log_pipe().map_err(failed)?;
    let (ours, link) = socket::link_pair().map_err(failed)?;
    let warm = Warm { link: Link::new(ours).map_err(failed)?, output, greeted: false };
    Ok((warm, (theirs, link)))
}

/// Waits until it says that it is warm, and nothing else.
async fn alone(link: &Link) -> Result<(), FillError> {
    let mut incoming = Incoming::default();
    let greeting = greet(link, &mut incoming).await;
    let greeting = greeting.and_then(|()| match incoming.has_more() {
        true => Err(LinkError::TwoAnswers),
        false => Ok(()),
    });
    greeting.map_err(|source| FillError::Greeting { source })
}

/// Waits until one that was forked says that it is warm: not long, since it has little to do.
pub(crate) async fn meet(link: &Link, incoming: &mut Incoming) -> Result<(), FillError> {
    let greeting = tokio::time::timeout(FORKED, greet(link, incoming)).await;
    let greeting = greeting.map_err(|_elapsed| FillError::Slow)?;
    greeting.map_err(|source| FillError::Greeting { source })
}

async fn greet(link: &Link, incoming: &mut Incoming) -> Result<(), LinkError> {
    link::hello(link, incoming).await?;
    match link.read(incoming).await? {
        (Kind::Spare, _) => Ok(()),
        (kind, _) => Err(LinkError::Unexpected { kind }),
    }
}

/// Anonymous memory of a cell, bytes; 0 where it cannot be told, and then none is counted.
fn measure(cell: &Cell) -> u64 {
    let statistics = cell.memory.try_clone().ok();
    statistics.and_then(|file| Meter::new(file, None).anonymous()).unwrap_or(0)
}
