//! From the decision that a cell ends to its `Ended`: kill at once, the rest when it is possible.

use std::time::Instant;

use nix::sys::signal::Signal;
use sandbox::failpoint::{Point, reach};
use sandbox::sys::process;
use wire::spawner::{CellId, Reply};

use super::{LOOK_AGAIN, Service, ServiceError, Task};
use crate::cells::{Ended, Ending, Phase, Progress};
use crate::log;
use crate::maker::MakerError;

impl Service {
    /// Kills everything in a cell now; the rest follows when there is time.
    pub(super) fn begin_end(&mut self, number: CellId, known: bool) {
        let Some(cell) = self.cells.get_mut(number) else { return };
        let now = Instant::now();
        let mut ending = Ending::new(known, matches!(cell.phase, Phase::Ordered(_)), now);
        ending.kill(&self.plan.end, &mut cell.leaf, &mut cell.process);
        let before = std::mem::replace(&mut cell.phase, Phase::Killed(ending));
        if let Phase::Ordered(making) | Phase::Born(making) = before {
            self.in_flight -= 1;
            self.timers.remove(&(making.deadline, Task::Cell(number)));
        }
        // As a rule its first process is reaped in a moment, and that goes on; the timer is for when
        // killing has to be tried again, or takes too long.
        match cell.process {
            None => self.ending.push_back(Task::Cell(number)),
            Some(_) => {
                self.timers.insert((now + LOOK_AGAIN, Task::Cell(number)));
            }
        }
    }

    pub(super) fn advance_end(&mut self, number: CellId) -> Result<(), ServiceError> {
        let Some(cell) = self.cells.get_mut(number) else { return Ok(()) };
        let id = cell.id;
        let Phase::Killed(ending) = &mut cell.phase else { return Ok(()) };
        let now = Instant::now();
        let progress = match ending.awaits_birth {
            true => ending.wait_for_birth(now),
            false => ending.advance(&self.plan.end, &mut cell.leaf, &mut cell.process, now),
        };
        // Once it is quarantined the control plane knows of it, whatever it knew before.
        let known = ending.known || ending.is_quarantined();
        match progress {
            Progress::Gone(usage) => {
                if ending.is_quarantined() {
                    log::line(&format!("cell {} has ended after all", number.0));
                }
                self.cells.remove(number);
                reach(Point::Freed);
                if !known {
                    return Ok(());
                }
                let (memory_kills, peak_bytes) = (usage.memory_kills, usage.peak_bytes);
                self.say(&Reply::Ended { cell: number, memory_kills, peak_bytes }, Vec::new())
            }
            Progress::Later(when) => {
                self.timers.insert((when, Task::Cell(number)));
                Ok(())
            }
            Progress::Quarantined(when, obstacle) => {
                self.timers.insert((when, Task::Cell(number)));
                log::line(&format!("cell {} is quarantined: {obstacle}", number.0));
                let uid = self.cells.host_id(id);
                self.say(&Reply::Quarantined { cell: number, uid, detail: obstacle }, Vec::new())
            }
        }
    }

    pub(super) fn hear_signals(&mut self) -> Result<(), ServiceError> {
        let at = |step| move |source| ServiceError::Call { step, source };
        while let Some(signal) = self.signals.read_signal().map_err(at("read signals"))? {
            if signal.ssi_signo != Signal::SIGCHLD as u32 {
                return Err(ServiceError::Told);
            }
        }
        // Born before it can end: the answers of whoever bears first.
        self.hear_maker()?;
        self.hear_templates()?;
        // All of them, whatever they are: a process that entered a cell must be reaped before the
        // cell's first process can finish dying.
        while let Some((pid, how)) = process::reap_any().map_err(at("reap"))? {
            if pid == self.maker.pid() {
                return Err(MakerError::Ended.into());
            }
            match self.cells.reaped(pid) {
                Some(Ended::First(number)) => self.first_process_ended(number)?,
                Some(Ended::Entered(number)) => self.entered_process_ended(number, how)?,
                None => match self.templates.reaped(pid) {
                    Some(number) => self.template_process_ended(number, how)?,
                    None => self.templates.note_stranger(pid, how),
                },
            }
        }
        Ok(())
    }

    pub(super) fn first_process_ended(&mut self, number: CellId) -> Result<(), ServiceError> {
        match self.cells.get_mut(number).map(|cell| &cell.phase) {
            // Its last words are in the pipe, which has ended with it.
            Some(Phase::Ordered(_) | Phase::Born(_)) => {
                self.hear_report(number)?;
                self.fail_making(number, "its first process ended")
            }
            Some(Phase::Ready | Phase::Assigned) => {
                self.begin_end(number, true);
                Ok(())
            }
            Some(Phase::Killed(_)) => {
                self.ending.push_back(Task::Cell(number));
                Ok(())
            }
            None => Ok(()),
        }
    }
}
