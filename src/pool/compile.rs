//! Compiling code when it is taken in: a sandbox of its own, whose only word is the result.
//!
//! ```text
//!   an empty cell ──► code mounted ──► the image's compiler ──► its link: length, so many bytes, end
//!                                      is executed                            │
//!                                                                             ▼
//!   ended, whatever came of it ◄────────────────────────────────────────── a file
//! ```
//!
//! It is an ordinary cell with every wall, and it knows nothing of any function: no name, no environment,
//! no event, so what it says depends on the code and the image alone. What it says is a stranger's data:
//! the code may have taken over the compiler. It is bounded here in size and in time, written to a file
//! as it is, and read by nobody but instances with the same code.
//!
//! The cell counts as one that was taken for a start does; nobody's call waits for it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use images::manifest::Compiler;
use model::Digest;
use wire::runner::Request;
use wire::spawner::{Limits, Trees};

use crate::memory;
use crate::runner::{self, ExecuteError};
use crate::shell::Shell;
use crate::socket;
use crate::spawner::{Cell, SpawnerError};
use crate::stock::Taken;

/// Why code was not compiled. It runs all the same.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The image has no compiler for the runtime, or no image serves it.
    #[error("nothing compiles for {runtime}")]
    NoCompiler {
        /// Which runtime.
        runtime: String,
    },
    /// The machine has no memory to spare for it now.
    #[error("the machine has too little memory free")]
    NoMemory,
    /// No sandbox for it.
    #[error("no sandbox: {detail}")]
    NoCell {
        /// Why not.
        detail: String,
    },
    /// No descriptors for it.
    #[error("could not connect its sandbox")]
    Descriptors(#[source] io::Error),
    /// The compiler could not be executed.
    #[error("the compiler was not executed: {detail}")]
    NotExecuted {
        /// Why not.
        detail: String,
    },
    /// It took too long.
    #[error("it took longer than {limit:?}")]
    Slow {
        /// How long it might have taken.
        limit: Duration,
    },
    /// It ended before it had said everything.
    #[error("the compiler ended after {bytes} bytes of its result")]
    CutShort {
        /// How many it had said.
        bytes: u64,
    },
    /// It said more than is taken.
    #[error("its result is larger than {} bytes", LARGEST)]
    TooLarge,
    /// It went on after the end.
    #[error("its result has more bytes than it announced")]
    Trailing,
    /// The result could not be written.
    #[error("its result could not be kept")]
    Write(#[source] io::Error),
    /// The pool is at its end.
    #[error("the server is stopping")]
    Stopping,
}

/// Most that is taken of a compiler; it knows, and leaves out what goes beyond.
pub const LARGEST: u64 = 64 << 20;
/// How long it may wait for a cell: those who are called wait, too, and go first.
const CELL_PATIENCE: Duration = Duration::from_secs(5);
/// What it may use: what the largest source that is compiled takes, several times, and what all
/// results together may be.
const LIMITS: Limits = Limits { memory_mib: 512, tmp_mib: 512, pids: 64, cpu_weight: 72 };

/// Compiles code for a runtime, into a file; how many bytes that were.
///
/// # Errors
/// [`CompileError`]; what is in the file is then nothing.
pub(crate) async fn run(
    shell: &Arc<Shell>,
    runtime: &str,
    code: Digest,
    into: File,
) -> Result<u64, CompileError> {
    let served = shell.images.resolve(runtime);
    let compiler = served.and_then(|served| Some((served.image, served.start.compiler.clone()?)));
    let Some((image, compiler)) = compiler else {
        return Err(CompileError::NoCompiler { runtime: runtime.to_owned() });
    };
    // Nobody has to have it. Where memory cannot be read the governor says so.
    if memory::available().is_ok_and(|bytes| bytes < u64::from(LIMITS.memory_mib) << 20) {
        return Err(CompileError::NoMemory);
    }
    // A task of its own: it gives the cell back even if nobody waits for the result any more.
    let shell = Arc::clone(shell);
    let job = tokio::spawn(async move {
        let taking = shell.stock.take(image.0, None, false);
        let cell = match tokio::time::timeout(CELL_PATIENCE, taking).await {
            Ok(Ok(Taken::Cell(cell, _))) => cell,
            Ok(Ok(Taken::Spare(spare))) => spare.cell,
            Ok(Err(err)) => return Err(CompileError::NoCell { detail: err.to_string() }),
            Err(_elapsed) => {
                let detail = "none was ready in time".to_owned();
                return Err(CompileError::NoCell { detail });
            }
        };
        let compiling = compile(&shell, &cell, &compiler, code, into);
        // As long as a function may take to be initialised; a compiler stops by itself before that.
        let limit = shell.init_limit;
        let compiled = tokio::time::timeout(limit, compiling).await;
        shell.stock.discard(cell).await;
        compiled.unwrap_or(Err(CompileError::Slow { limit }))
    });
    job.await.unwrap_or(Err(CompileError::Stopping))
}

async fn compile(
    shell: &Shell,
    cell: &Cell,
    compiler: &Compiler,
    code: Digest,
    into: File,
) -> Result<u64, CompileError> {
    let assigned = shell.spawner.assign(cell.id, Trees::of(code.0), LIMITS).await;
    assigned.map_err(|err| match err {
        SpawnerError::Closed => CompileError::Stopping,
        err => CompileError::NoCell { detail: err.to_string() },
    })?;
    let (ours, theirs) = socket::link_pair().map_err(CompileError::Descriptors)?;
    // Whatever it prints nobody reads, and a pipe without a reader says so.
    let (_unread, output) = socket::log_pipe().map_err(CompileError::Descriptors)?;
    drop(_unread);
    let bytes = |list: &[String]| list.iter().map(|it| it.clone().into_bytes()).collect();
    let program = Request::Execute {
        argv: bytes(&compiler.argv),
        env: bytes(&compiler.env),
        cwd: b"/".to_vec(),
    };
    let executed = runner::execute(&cell.runner, &program, &[output.as_fd(), theirs.as_fd()]).await;
    executed.map_err(|err: ExecuteError| CompileError::NotExecuted { detail: err.to_string() })?;
    // Its own copies are the last: the end of its link is the end of it.
    drop((output, theirs));
    // Given up after a while, this goes on until the cell has ended, and with it the link.
    let receiving = tokio::task::spawn_blocking(move || receive(ours, into));
    receiving.await.unwrap_or(Err(CompileError::Stopping))
}

/// Takes a result from a link, until its end.
fn receive(link: OwnedFd, mut into: File) -> Result<u64, CompileError> {
    let mut link = UnixStream::from(link);
    link.set_nonblocking(false).map_err(CompileError::Descriptors)?;
    let mut head = [0; 8];
    link.read_exact(&mut head).map_err(|_gone| CompileError::CutShort { bytes: 0 })?;
    let length = u64::from_le_bytes(head);
    if length > LARGEST {
        return Err(CompileError::TooLarge);
    }
    let mut had = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match link.read(&mut buffer) {
            Ok(count) => count,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
            // Its end was killed with something unread in its own direction.
            Err(_gone) => 0,
        };
        if count == 0 {
            return if had == length {
                Ok(had)
            } else {
                Err(CompileError::CutShort { bytes: had })
            };
        }
        had += count as u64;
        if had > length {
            return Err(CompileError::Trailing);
        }
        io::Write::write_all(&mut into, &buffer[..count]).map_err(CompileError::Write)?;
    }
}

#[cfg(test)]
mod tests;
