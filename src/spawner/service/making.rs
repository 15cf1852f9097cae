//! From a request for a cell to its `Made`: prepare, order, hear of the birth, of the runner, finish.
//!
//! Several cells are under way at once. Whatever goes wrong becomes one `Failed` with the step in it,
//! and the cell is taken down like any other; its ticket is answered exactly once.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::epoll::{EpollEvent, EpollFlags};
use sandbox::Spec;
use sandbox::failpoint::{Point, reach};
use sandbox::perform::{Outcome, explain, finish, prepare, read_outcome};
use sandbox::sys::process::Child;
use wire::spawner::{CellId, Digest, Reply, Subject, TemplateId};

use super::{IN_FLIGHT, MAKE_PATIENCE, REPORTS, Service, ServiceError, Task, Wanted};
use crate::cells::{Cell, Entered, Making, Phase};
use crate::library;
use crate::maker::MakerError;
use crate::order::{Answer, Order, Whose};

impl Service {
    pub(super) fn can_make(&self) -> bool {
        !self.queue.is_empty()
            && self.in_flight < IN_FLIGHT
            && self.cells.count() < self.capacity as usize
    }

    pub(super) fn begin_making(&mut self) -> Result<(), ServiceError> {
        let Some(wanted) = self.queue.pop_front() else { return Ok(()) };
        let ticket = wanted.ticket;
        match self.order(wanted) {
            Ok(()) => {
                self.in_flight += 1;
                Ok(())
            }
            Err(detail) => self.refuse(Subject::Ticket(ticket), &detail),
        }
    }

    /// Prepares a cell and orders its process.
    pub(super) fn order(&mut self, wanted: Wanted) -> Result<(), String> {
        let image = library::tree("image", self.stage.images.as_fd(), &wanted.image)
            .map_err(|err| explain(&err))?;
        let (number, id) = self.cells.reserve().ok_or("no id is free")?;
        reach(Point::Reserved);
        let ordered = self.order_as(number, id, wanted.ticket, wanted.image, image);
        ordered.inspect_err(|_| self.cells.give_back(id))
    }

    pub(super) fn order_as(
        &mut self,
        number: CellId,
        id: u32,
        ticket: u64,
        image: Digest,
        tree: OwnedFd,
    ) -> Result<(), String> {
        let (name, limits) = (format!("c{}", number.0), Spec::empty_leaf_limits());
        let mut draft = prepare(&self.plan.prepare, &self.stage, &name, &limits, tree.as_fd())
            .map_err(|err| explain(&err))?;
        reach(Point::Prepared);
        let handed = self.hand_over(
            Order::Cell { cell: number.0, id },
            REPORTS | u64::from(number.0),
            &draft.doors,
            [draft.image.as_fd(), draft.devices.as_fd(), draft.process_end.as_fd()],
        );
        let report = match handed {
            Ok(report) => report,
            Err(err) => {
                // Nothing was ever in it; should removal fail too, the next start sweeps it.
                let _swept_later = draft.leaf.remove();
                return Err(explain(&err));
            }
        };
        let deadline = Instant::now() + MAKE_PATIENCE;
        self.timers.insert((deadline, Task::Cell(number)));
        let control_end = draft.control_end;
        let said = Vec::new();
        let phase = Phase::Ordered(Making { ticket, control_end, report, said, deadline });
        let (leaf, entered) = (draft.leaf, Entered::Nobody);
        self.cells.insert(number, Cell { id, leaf, process: None, phase, image, entered });
        reach(Point::Ordered);
        Ok(())
    }

    /// Sends the maker what it needs; returns where the process will report.
    pub(super) fn hand_over(
        &self,
        order: Order,
        token: u64,
        more: &[OwnedFd],
        [image, devices, process_end]: [BorrowedFd<'_>; 3],
    ) -> Result<File, ServiceError> {
        let at = |step| move |source| ServiceError::Call { step, source };
        let io = |err: io::Error| err.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        let (report, writer) = io::pipe().map_err(|err| at("pipe")(io(err)))?;
        fcntl(&report, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(at("fcntl"))?;
        self.epoll
            .add(&report, EpollEvent::new(EpollFlags::EPOLLIN, token))
            .map_err(at("watch a report"))?;
        let fixed = [image, devices, process_end, writer.as_fd()];
        self.maker.order(order, fixed, more).map_err(at("order a process"))?;
        // The writer is dropped here: the maker and the process have theirs.
        Ok(File::from(OwnedFd::from(report)))
    }

    pub(super) fn hear_maker(&mut self) -> Result<(), ServiceError> {
        while let Some((answer, pidfd)) = self.maker.answer()? {
            match (answer, pidfd) {
                (Answer::Born { whose, pid }, Some(pidfd)) => {
                    let process = Child { pid, pidfd };
                    match whose {
                        Whose::Cell(cell) => self.born(CellId(cell), process)?,
                        Whose::Template(number) => {
                            self.template_born(TemplateId(number), process)?
                        }
                    }
                }
                (Answer::Born { .. }, None) => return Err(MakerError::NoPidfd.into()),
                (Answer::Failed { whose: Whose::Cell(cell), detail }, _) => {
                    let number = CellId(cell);
                    self.fail_making(number, &detail)?;
                    self.cells.stillborn(number);
                    self.ending.push_back(Task::Cell(number));
                }
                (Answer::Failed { whose: Whose::Template(number), detail }, _) => {
                    self.template_stillborn(TemplateId(number), &detail)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn born(&mut self, number: CellId, process: Child) -> Result<(), ServiceError> {
        let Some(cell) = self.cells.born(number, process) else { return Ok(()) };
        reach(Point::Born);
        if let Phase::Killed(ending) = &mut cell.phase {
            // It was given up meanwhile.
            ending.kill_again(&self.plan.end, &mut cell.leaf, &mut cell.process);
            return Ok(());
        }
        // It may have ended before we heard of it; then its report has ended too.
        self.hear_report(number)
    }

    /// Reads how far a cell's process got; at the end of the pipe the cell is made, or is not.
    pub(super) fn hear_report(&mut self, number: CellId) -> Result<(), ServiceError> {
        let Some(Cell { phase, process, .. }) = self.cells.get_mut(number) else { return Ok(()) };
        let Some(making) = phase.making() else { return Ok(()) };
        match making.hear() {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(err) => return self.fail_making(number, &format!("read its report: {err}")),
        }
        let outcome = read_outcome(&making.said, &self.plan.enter);
        let born = process.is_some();
        match outcome {
            Outcome::Ready if born => self.finish(number),
            Outcome::Failed(err) => self.fail_making(number, &explain(&err)),
            // Without a process the maker's own answer says more, and is on its way.
            Outcome::Ready | Outcome::Silent if !born => {
                let forget = self.epoll.delete(&making.report);
                forget.map_err(|source| ServiceError::Call { step: "forget a report", source })
            }
            Outcome::Ready | Outcome::Silent => {
                self.fail_making(number, "its first process was killed")
            }
        }
    }

    /// The runner runs: what is left is the spawner's own part.
    pub(super) fn finish(&mut self, number: CellId) -> Result<(), ServiceError> {
        let Some(cell) = self.cells.get_mut(number) else { return Ok(()) };
        let Some(process) = &cell.process else { return Ok(()) };
        reach(Point::Walled);
        let finished = finish(&self.plan.finish, &self.stage, process, &cell.leaf);
        let pidfd = process.pidfd.try_clone();
        let (finished, pidfd) = match (finished, pidfd) {
            (Ok(finished), Ok(pidfd)) => (finished, pidfd),
            (Err(err), _) => return self.fail_making(number, &explain(&err)),
            (_, Err(err)) => return self.fail_making(number, &format!("copy its pidfd: {err}")),
        };
        let id = cell.id;
        let Phase::Born(making) = std::mem::replace(&mut cell.phase, Phase::Ready) else {
            return Ok(());
        };
        reach(Point::Ready);
        self.in_flight -= 1;
        self.timers.remove(&(making.deadline, Task::Cell(number)));
        let uid = self.cells.host_id(id);
        let mut beside = vec![making.control_end, finished.listener, pidfd, finished.statistics];
        let freezer = finished.freezer.is_some();
        beside.extend(finished.freezer);
        let kills = finished.kills.is_some();
        beside.extend(finished.kills);
        let made = Reply::Made { ticket: making.ticket, cell: number, uid, freezer, kills };
        self.say(&made, beside)?;
        reach(Point::Made);
        Ok(())
    }

    pub(super) fn fail_making(&mut self, number: CellId, detail: &str) -> Result<(), ServiceError> {
        let cell = self.cells.get_mut(number);
        let Some(making) = cell.and_then(|cell| cell.phase.making()) else { return Ok(()) };
        let ticket = making.ticket;
        self.begin_end(number, false);
        self.refuse(Subject::Ticket(ticket), detail)
    }
}
