//! Taking a cell down, as far as it goes at the moment.
//!
//! The plan's end steps are performed in order; one that is not possible yet is tried again when a
//! process was reaped or a while later. Nothing here waits.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sandbox::cgroup::{Leaf, LeafError, Usage};
use sandbox::failpoint;
use sandbox::plan::EndStep;
use sandbox::sys::process::{self, Child, Reaped};

/// First pause before a step is tried again; doubled each time.
const FIRST_RETRY: Duration = Duration::from_millis(1);
/// Longest pause.
const LONGEST_RETRY: Duration = Duration::from_secs(1);
/// A cell that is not gone by then is quarantined. A killed process takes well under a millisecond.
const PATIENCE: Duration = Duration::from_secs(2);

/// How far a cell has been taken down.
#[derive(Debug)]
pub(crate) struct Ending {
    /// Steps done.
    done: usize,
    since: Instant,
    retry: Duration,
    quarantined: bool,
    /// Whether the maker may still say that there is a process.
    pub(crate) awaits_birth: bool,
    /// Whether the control plane knows of the cell, and so wants to hear that it is gone.
    pub(crate) known: bool,
    usage: Usage,
}

/// What trying again came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing of it is left.
    Gone(Usage),
    /// It will not be over before this.
    Later(Instant),
    /// The same, and this is the first time that it has taken too long, for this reason.
    Quarantined(Instant, String),
}

// === impl Ending ===

impl Ending {
    pub(crate) fn new(known: bool, awaits_birth: bool, now: Instant) -> Self {
        Self {
            done: 0,
            since: now,
            retry: FIRST_RETRY,
            quarantined: false,
            awaits_birth,
            known,
            usage: Usage::default(),
        }
    }

    /// The first steps, as far as they are killing: at once, whatever else is to be done.
    ///
    /// What cannot be done is tried again by [`Ending::advance`].
    pub(crate) fn kill(&mut self, steps: &[EndStep], leaf: &mut Leaf, process: &mut Option<Child>) {
        while steps.get(self.done) == Some(&EndStep::Kill)
            && self.perform(EndStep::Kill, leaf, process).is_ok()
        {
            self.done += 1;
        }
    }

    /// Starts over: there is a process that did not exist before.
    pub(crate) fn kill_again(
        &mut self,
        steps: &[EndStep],
        leaf: &mut Leaf,
        process: &mut Option<Child>,
    ) {
        self.done = 0;
        self.kill(steps, leaf, process);
    }

    /// The same, but not before the next time it goes on.
    pub(crate) fn start_over(&mut self) {
        self.done = 0;
    }

    /// Performs the steps that are possible now.
    pub(crate) fn advance(
        &mut self,
        steps: &[EndStep],
        leaf: &mut Leaf,
        process: &mut Option<Child>,
        now: Instant,
    ) -> Progress {
        while let Some(step) = steps.get(self.done) {
            match self.perform(*step, leaf, process) {
                Ok(()) => self.done += 1,
                Err(obstacle) => return self.wait(now, obstacle),
            }
        }
        Progress::Gone(self.usage)
    }

    /// The maker's word is missing: nothing can be done until it comes, or the cell is quarantined.
    pub(crate) fn wait_for_birth(&mut self, now: Instant) -> Progress {
        self.wait(now, "the maker does not say whether it has a process".to_owned())
    }

    /// Whether it took too long: see the diagram in `cells`.
    pub(crate) fn is_quarantined(&self) -> bool {
        self.quarantined
    }

    fn perform(
        &mut self,
        step: EndStep,
        leaf: &mut Leaf,
        process: &mut Option<Child>,
    ) -> Result<(), String> {
        let performed = self.try_perform(step, leaf, process);
        if performed.is_ok() {
            failpoint::after(&step);
        }
        performed
    }

    fn try_perform(
        &mut self,
        step: EndStep,
        leaf: &mut Leaf,
        process: &mut Option<Child>,
    ) -> Result<(), String> {
        match step {
            EndStep::Kill => {
                // It may not have joined its groups yet: the signal finds it by itself.
                if let Some(process) = process {
                    let _dead_already =
                        process::send_signal(process.pidfd.as_fd(), Signal::SIGKILL);
                }
                leaf.kill().map_err(|err| format!("write cgroup.kill: {err}"))
            }
            EndStep::Reap => match process {
                None => Ok(()),
                // Processes that entered have been reaped before: whoever calls this reaps whatever
                // has ended first.
                Some(child) => match process::reap(child.pidfd.as_fd()) {
                    Ok(Reaped::Now(_) | Reaped::Before) => {
                        *process = None;
                        Ok(())
                    }
                    Ok(Reaped::NotYet) => Err(format!("process {} has not ended", child.pid)),
                    Err(errno) => Err(format!("wait for process {}: {errno}", child.pid)),
                },
            },
            EndStep::ReadUsage => {
                self.usage = leaf.usage();
                Ok(())
            }
            EndStep::RemoveLeaves => {
                leaf.remove().map_err(|err: LeafError| sandbox::perform::explain(&err))
            }
        }
    }

    fn wait(&mut self, now: Instant, obstacle: String) -> Progress {
        let next = now + self.retry;
        self.retry = (self.retry * 2).min(LONGEST_RETRY);
        if self.quarantined || now < self.since + PATIENCE {
            return Progress::Later(next);
        }
        self.quarantined = true;
        Progress::Quarantined(next, obstacle)
    }
}

#[cfg(test)]
mod tests;
