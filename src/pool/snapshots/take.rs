//! Taking a snapshot: a version is initialised, says what it is made of, and ends.
//!
//! ```text
//!   a cell ──► code, limits ──► executed ──► Hello ──► Pages … ──► Snapshot ──► restored once, for trial
//!                                              │ Unfit: it cannot be restored          │ it cannot
//!                                              │ InitFailed, it ended: it is broken    ▼
//!                                              ▼                                    no snapshot
//!                                         no snapshot
//! ```
//!
//! The process that is initialised here serves nobody: it ends with its cell. What it prints is the
//! version's log.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use images::manifest;
use model::id::random_bytes;
use model::{Generation, Runnable};
use telemetry::platform;
use wire::link::Kind;
use wire::runner::Request;

use super::{Draft, NotTaken, SHARE, Snapshot, restore};
use crate::env;
use crate::link::{self, Incoming, Link, LinkError};
use crate::logs::Journal;
use crate::memory;
use crate::runner;
use crate::shell::{Shell, wall_ms};
use crate::socket;
use crate::spawner::{Cell, SpawnerError};
use crate::start;
use crate::stock::Taken;

/// How long a version may take at least to initialise for its snapshot (an AWS limit: this, or its
/// timeout if that is longer).
const INIT_LIMIT: Duration = Duration::from_secs(130);
/// How long restoring it for trial may take: a thousand times what it takes.
const TRIAL: Duration = Duration::from_secs(10);

/// Takes the snapshot of a version, and keeps it.
///
/// # Errors
/// [`NotTaken`], if there is none afterwards.
pub(crate) async fn take(shell: &Arc<Shell>, function: &Arc<Runnable>) -> Result<(), NotTaken> {
    let generation = function.generation;
    shell.snapshots.begin(generation);
    let taken = attempt(shell, function).await;
    match taken {
        Ok((snapshot, room)) => {
            shell.snapshots.keep(generation, Arc::new(snapshot), room);
            Ok(())
        }
        Err(not_taken) => {
            shell.snapshots.give_up(generation);
            Err(not_taken)
        }
    }
}

async fn attempt(
    shell: &Arc<Shell>,
    function: &Arc<Runnable>,
) -> Result<(Snapshot, u64), NotTaken> {
    let unfit = |reason: &str| NotTaken::Unfit { reason: reason.to_owned() };
    let served = shell.images.resolve(&function.runtime);
    let served = served.ok_or_else(|| unfit("no image on this server serves its runtime"))?;
    let how = served.start.snapshot.as_ref();
    let how = how.ok_or_else(|| unfit("its runtime cannot be restored on this server"))?;
    // The pool lives as long as the semaphore is open.
    let _turn = shell.snapshots.turn.acquire().await.map_err(|_closed| NotTaken::Closed)?;
    let available = memory::available().map_err(unavailable)?;
    if !memory::has_room(available, shell.stock.reserve()) {
        return Err(NotTaken::Unavailable { detail: "too little memory is free".to_owned() });
    }
    let room = available.saturating_sub(shell.stock.reserve()) / SHARE;
    let limit = function.timeout.max(INIT_LIMIT);
    let cell = cell(shell, served.image.0).await?;
    let sitting = sit(shell, function, &how.take, &cell, room);
    let draft = tokio::time::timeout(limit, sitting).await;
    shell.stock.discard(cell).await;
    let snapshot = match draft {
        Ok(draft) => draft?.seal().map_err(unavailable)?,
        Err(_elapsed) => return Err(NotTaken::TimedOut { limit }),
    };
    // One that was never restored is only a hope.
    let cell = self::cell(shell, served.image.0).await?;
    let trial = restore(shell, function, &how.restore, &cell, &snapshot);
    let restored = tokio::time::timeout(TRIAL, trial).await;
    shell.stock.discard(cell).await;
    match restored {
        Ok(Ok(_warm)) => Ok((snapshot, room)),
        Ok(Err(err)) if shell.spawner.is_closed() => {
            tracing::debug!(%err, "a snapshot was being tried");
            Err(NotTaken::Closed)
        }
        failed => {
            let why = match failed {
                Ok(Err(err)) => err.to_string(),
                _ => "it took too long".to_owned(),
            };
            tracing::warn!(function = %function.name, why, "a snapshot cannot be restored");
            Err(unfit("this server cannot restore it"))
        }
    }
}

async fn cell(shell: &Shell, image: wire::spawner::Digest) -> Result<Cell, NotTaken> {
    match shell.stock.take(image, None, false).await {
        Ok(Taken::Cell(cell, _)) => Ok(cell),
        Ok(Taken::Spare(spare)) => Ok(spare.cell),
        Err(err) => Err(not_given(&err)),
    }
}

fn not_given(err: &SpawnerError) -> NotTaken {
    match err {
        SpawnerError::Closed => NotTaken::Closed,
        err => NotTaken::Unavailable { detail: err.to_string() },
    }
}

fn unavailable(err: impl std::fmt::Display) -> NotTaken {
    NotTaken::Unavailable { detail: err.to_string() }
}

/// Initialises a version in a cell and writes down what it is then, at most `most` bytes.
async fn sit(
    shell: &Shell,
    function: &Arc<Runnable>,
    argv: &[String],
    cell: &Cell,
    most: u64,
) -> Result<Draft, NotTaken> {
    let assigned = shell.spawner.assign(cell.id, start::trees(function), start::limits(function));
    assigned.await.map_err(|err| not_given(&err))?;
    let (pipe, output) = socket::log_pipe().map_err(unavailable)?;
    let (ours, theirs) = socket::link_pair().map_err(unavailable)?;
    let link = Link::new(ours).map_err(unavailable)?;
    let stream = platform::stream_name(wall_ms(), &function.version.text(), random_bytes());
    let journal =
        Journal::new(function, stream.as_str().into(), pipe, shell.budget(function.function));
    let journal = journal.map_err(unavailable)?;
    announce(shell, function, &journal);
    let env = env::of_snapshot(&shell.home, function, manifest::Kind::Python, &stream);
    let argv = argv.iter().map(|argument| argument.clone().into_bytes()).collect();
    let program = Request::Execute { argv, env, cwd: b"/var/task".to_vec() };
    let given: [OwnedFd; 2] = [output, theirs];
    let beside = [given[0].as_fd(), given[1].as_fd()];
    runner::execute(&cell.runner, &program, &beside).await.map_err(unavailable)?;
    // Ours are closed, or the link would not end with the process.
    drop(given);
    let listened = tokio::select! {
        listened = listen(&link, most) => listened,
        never = print(shell, &journal) => match never {},
    };
    journal.drain_last(shell.now(), wall_ms());
    if let Err(NotTaken::Failed { reason }) = &listened {
        let line = format!("INIT_REPORT Phase: init\tStatus: error\tError Type: {reason}\n");
        journal.platform(&line, wall_ms());
    }
    write(shell, &journal);
    listened
}

fn announce(shell: &Shell, function: &Runnable, journal: &Journal) {
    if let Some(served) = shell.images.resolve(&function.runtime) {
        let arn = format!("arn:aws:lambda:{}::runtime:{}", shell.home.region, served.image);
        let version = start::version(&function.runtime, &served.start);
        journal.platform(&platform::init_start(&version, &arn, false), wall_ms());
    }
}

/// Hears what a process says until it has said what it is made of.
async fn listen(link: &Link, most: u64) -> Result<Draft, NotTaken> {
    let mut incoming = Incoming::default();
    link::hello(link, &mut incoming).await.map_err(broken)?;
    let mut draft = Draft::new().map_err(unavailable)?;
    loop {
        let (kind, body) = link.read(&mut incoming).await.map_err(broken)?;
        match kind {
            Kind::Pages if draft.bytes + body.len() as u64 > most => {
                let reason = format!("it would take more than the {} MiB there are", most >> 20);
                return Err(NotTaken::Unfit { reason });
            }
            Kind::Pages => draft.write(&body).map_err(unavailable)?,
            Kind::Snapshot if draft.bytes > 0 => return Ok(draft),
            Kind::Unfit => {
                let reason = String::from_utf8_lossy(&body).into_owned();
                return Err(NotTaken::Unfit { reason });
            }
            Kind::InitFailed => {
                let reason = crate::fault::error_type(&body).unwrap_or("Runtime.Unknown");
                return Err(NotTaken::Failed { reason: reason.to_owned() });
            }
            kind => return Err(broken(LinkError::Unexpected { kind })),
        }
    }
}

/// It did not keep to the protocol, or ended.
fn broken(err: LinkError) -> NotTaken {
    NotTaken::Failed {
        reason: match err {
            LinkError::Closed => "Runtime.ExitError".to_owned(),
            _ => "Runtime.ProtocolError".to_owned(),
        },
    }
}

/// Takes what it prints for as long as it prints.
async fn print(shell: &Shell, journal: &Journal) -> std::convert::Infallible {
    while journal.readable().await.is_ok() {
        if let crate::logs::Drained::Closed = journal.drain_ready(shell.now(), wall_ms()) {
            break;
        }
        write(shell, journal);
        tokio::task::yield_now().await;
    }
    std::future::pending().await
}

/// Nobody else takes lines of this journal.
fn write(shell: &Shell, journal: &Journal) {
    while let Some(batch) = journal.take() {
        for piece in batch.pieces() {
            journal.write(&*shell.logs, &piece, 0);
        }
        journal.written();
    }
}

/// Takes one that was expected, in the background.
pub(crate) fn retake(shell: &Arc<Shell>, function: &Arc<Runnable>, generation: Generation) {
    if !shell.snapshots.is_due(generation) {
        return;
    }
    let (shell, function) = (Arc::clone(shell), Arc::clone(function));
    let runtime = shell.runtime.clone();
    runtime.spawn(async move {
        if let Err(err) = take(&shell, &function).await {
            tracing::warn!(function = %function.name, %err, "there is no snapshot of a version any more");
        }
    });
}
