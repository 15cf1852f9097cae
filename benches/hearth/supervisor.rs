//! Nothing is left behind, whatever happens to a run.
//!
//! ```text
//!   supervisor ── makes the folder, starts this program again, waits
//!      └─ worker ── measures
//!           └─ daemons, floors, other people's servers: each ends when its standard input does, or
//!              becomes the supervisor's child when the worker is gone, and is ended by it
//! ```
//!
//! Ctrl-C, SIGTERM, a panic, `kill -9` of the worker, or a run that takes too long: the worker is gone,
//! what it had started is ended, and the folder is removed.

use std::fs;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, alarm};

/// The word by which a worker is started.
pub const WORKER: &str = "worker";
/// No run takes longer, but one that is held: what it has not measured by then is lost.
const LONGEST: Duration = Duration::from_secs(1_200);
/// How long what is left may take to end by itself: daemons end their sandboxes.
const ENDED: Duration = Duration::from_secs(60);

/// Runs this program again with these words, and cleans up after it.
pub fn supervise(words: &[String], held: Option<Duration>) -> Result<ExitCode> {
    set_child_subreaper(true).context("orphans must come to us")?;
    let wanted =
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGALRM, Signal::SIGCHLD];
    let signals: SigSet = wanted.into_iter().collect();
    signals.thread_block()?;
    let folder = tempfile::Builder::new().prefix("hearth-bench-").tempdir()?;
    let worker = Command::new(std::env::current_exe()?)
        .arg(WORKER)
        .arg(folder.path())
        .args(words)
        .spawn()
        .context("this program cannot be started again")?;
    let worker = Pid::from_raw(worker.id().try_into()?);
    alarm::set((LONGEST + held.unwrap_or_default()).as_secs().try_into()?);
    let status = loop {
        match signals.wait()? {
            Signal::SIGCHLD => {
                if let Some(code) = reaped(worker)? {
                    break code;
                }
            }
            Signal::SIGALRM => {
                eprintln!("it takes too long and is ended");
                ended(worker);
            }
            signal => {
                eprintln!("{signal}: cleaning up");
                ended(worker);
            }
        }
    };
    wait_for_the_rest()?;
    fs::remove_dir_all(folder.keep()).context("the folder of the run stays behind")?;
    Ok(ExitCode::from(status))
}

/// What a worker, and whatever it starts, must not have of its supervisor: blocked signals.
pub fn unblock() -> Result<()> {
    Ok(pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

fn ended(worker: Pid) {
    // It may have gone by itself at this very moment.
    let _gone = kill(worker, Signal::SIGKILL);
}

/// Takes in everybody who has ended; the worker's status, if it is among them.
fn reaped(worker: Pid) -> Result<Option<u8>> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == worker => {
                code = Some(status.try_into().unwrap_or(1));
            }
            Ok(WaitStatus::Signaled(pid, ..)) if pid == worker => code = Some(1),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(code),
            Ok(_) => {}
            Err(err) => return Err(err.into()),
        }
    }
}

/// What the worker left ends by itself, or is ended.
fn wait_for_the_rest() -> Result<()> {
    let deadline = Instant::now() + ENDED;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return Ok(()),
            Ok(WaitStatus::StillAlive) if Instant::now() > deadline => {
                for child in children()? {
                    let _gone = kill(child, Signal::SIGKILL);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(5)),
            Ok(_) => {}
            Err(err) => return Err(err.into()),
        }
    }
}

fn children() -> Result<Vec<Pid>> {
    let own = std::process::id();
    let list = fs::read_to_string(format!("/proc/{own}/task/{own}/children"))?;
    Ok(list.split_whitespace().filter_map(|pid| pid.parse().ok().map(Pid::from_raw)).collect())
}
