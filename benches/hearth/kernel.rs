//! What the kernel alone takes, measured in a process of its own that has one thread: this program
//! again, which measures once for every line it reads and answers in nanoseconds.
//!
//! * `floor-namespaces`: clone with all seven namespaces; the child ends, the parent waits for it.
//! * `load-filter`: a forked child loads a cell's filter, under the one that it inherits from the maker.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sched::CloneFlags;
use sandbox::plan::EnterStep;
use sandbox::seccomp::{Policy, program};
use sandbox::sys::privilege::load_filter;
use sandbox::sys::process::{Ending, SingleThreaded, clone_process, wait_for_any};

/// A process that measures when it is asked.
pub struct Meter {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

// === impl Meter ===

impl Meter {
    /// Starts this program again under that word.
    pub fn start(word: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(word).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let ask = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("a pipe was asked for")?);
        Ok(Self { child, ask, answers })
    }

    /// One measurement.
    pub fn measure(&mut self) -> Result<Duration> {
        self.ask.as_mut().context("it is asked")?.write_all(b"\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let nanoseconds = line.trim().parse().with_context(|| format!("it said '{line}'"))?;
        Ok(Duration::from_nanos(nanoseconds))
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // Its input ends, and it with it.
        drop(self.ask.take());
        let _ = self.child.wait();
    }
}

/// Measures the namespaces' floor.
pub fn namespaces() -> Result<()> {
    let flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    answer(|proof| {
        let started = Instant::now();
        let child = clone_process(proof, flags, || 0)?;
        let (pid, ending) = wait_for_any()?;
        let took = started.elapsed();
        ensure!(pid == child.pid && ending == Ending::Exited(0), "the child ended with {ending:?}");
        Ok(took)
    })
}

/// Measures the loading of the filter.
pub fn filter() -> Result<()> {
    let filter = program(&EnterStep::policy());
    nix::sys::prctl::set_no_new_privs()?;
    Policy::maker().load()?;
    answer(|proof| {
        let (mut reader, mut writer) = std::io::pipe()?;
        let _child = clone_process(proof, CloneFlags::empty(), || {
            let started = Instant::now();
            let loaded = load_filter(filter.instructions());
            let took = started.elapsed().as_nanos() as u64;
            i32::from(loaded.is_err() || writer.write_all(&took.to_le_bytes()).is_err())
        })?;
        let (_, ending) = wait_for_any()?;
        ensure!(ending == Ending::Exited(0), "the child ended with {ending:?}");
        let mut took = [0; 8];
        reader.read_exact(&mut took)?;
        Ok(Duration::from_nanos(u64::from_le_bytes(took)))
    })
}

fn answer(mut measure: impl FnMut(&SingleThreaded) -> Result<Duration>) -> Result<()> {
    let proof = SingleThreaded::check()?;
    for line in std::io::stdin().lock().lines() {
        line?;
        println!("{}", measure(&proof)?.as_nanos());
    }
    Ok(())
}
