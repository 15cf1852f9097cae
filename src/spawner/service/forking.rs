//! A template is forked into a cell: the order, what came of it, and the end of what was forked.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sandbox::failpoint::{Point, reach};
use sandbox::perform::explain;
use sandbox::sys::process::{self, Child, Ending as How};
use sandbox::sys::socket;
use wire::spawner::{CellId, FORK_DESCRIPTORS, Reply, Subject, TemplateId};
use wire::template::{NAMESPACES, Order, STEPS};

use super::{Service, ServiceError, Task};
use crate::cells::{Cell, Entered, Phase};
use crate::templates::{self, Fork, Forks, is_inside};

/// A fork takes a millisecond or two; a template that takes this long hangs.
const FORK_PATIENCE: Duration = Duration::from_secs(5);

/// Why a template was not told to fork.
#[derive(Debug, thiserror::Error)]
enum OrderError {
    #[error("the cell has no process")]
    Empty,
    #[error("open its {kind} namespace")]
    Namespace {
        kind: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("open its control groups")]
    Doors(#[source] sandbox::cgroup::LeafError),
    #[error("tell the template")]
    Tell(#[source] nix::errno::Errno),
}

impl Service {
    /// Safe to grant: both are ours, of one image, and the cell is one in which nothing of a user's has
    /// run; what is forked is behind every wall of the cell before it reads a byte. The two descriptors
    /// are what the process gets as its log and its link, and nothing is done with them here.
    pub(super) fn fork(
        &mut self,
        number: CellId,
        from: TemplateId,
        beside: Vec<OwnedFd>,
    ) -> Result<(), ServiceError> {
        let subject = Subject::Cell(number);
        if beside.len() != FORK_DESCRIPTORS {
            return self.refuse(subject, "no room for its descriptors: the limit of open files");
        }
        let Some(cell) = self.cells.get_mut(number) else {
            return self.refuse(subject, "no such cell");
        };
        let Some(template) = self.templates.get_mut(from) else {
            return self.refuse(subject, "no such template");
        };
        let templates::Phase::Ready(forks) = &mut template.phase else {
            return self.refuse(subject, "the template is not ready");
        };
        if !matches!((&cell.phase, &cell.entered), (Phase::Ready, Entered::Nobody)) {
            return self.refuse(subject, "the cell is not empty");
        }
        if cell.image != template.image {
            return self.refuse(subject, "the template is of another image");
        }
        cell.entered = Entered::Awaited;
        forks.next.push_back(Fork { cell: number, beside });
        self.tell_template(from)
    }

    /// Gives a template its next order, if it has none.
    fn tell_template(&mut self, number: TemplateId) -> Result<(), ServiceError> {
        loop {
            let Some(template) = self.templates.get_mut(number) else { return Ok(()) };
            let templates::Phase::Ready(forks) = &mut template.phase else { return Ok(()) };
            if forks.current.is_some() {
                return Ok(());
            }
            let Some(fork) = forks.next.pop_front() else {
                self.templates.forget_strangers();
                return Ok(());
            };
            let Some(cell) = self.cells.get_mut(fork.cell) else { continue };
            if let Phase::Killed(_) = cell.phase {
                continue;
            }
            match order(cell, &fork, forks.socket.as_fd()) {
                Ok(()) => {
                    let deadline = Instant::now() + FORK_PATIENCE;
                    forks.current = Some((fork.cell, deadline));
                    self.timers.insert((deadline, Task::Template(number)));
                    reach(Point::ForkOrdered);
                    return Ok(());
                }
                Err(err) => {
                    cell.entered = Entered::Nobody;
                    self.refuse(Subject::Cell(fork.cell), &explain(&err))?;
                }
            }
        }
    }

    /// The order that a template has just answered, if it is about this cell.
    fn answered(&mut self, number: TemplateId, cell: u32) -> Option<CellId> {
        let template = self.templates.get_mut(number)?;
        let templates::Phase::Ready(forks) = &mut template.phase else { return None };
        let (current, deadline) = forks.current?;
        if current != CellId(cell) {
            return None;
        }
        forks.current = None;
        self.timers.remove(&(deadline, Task::Template(number)));
        Some(current)
    }

    pub(super) fn forked(
        &mut self,
        number: TemplateId,
        cell: u32,
        child: Child,
    ) -> Result<(), ServiceError> {
        let Some(cell) = self.answered(number, cell) else {
            return self.distrust(number, "a fork that nobody asked for");
        };
        let ended = self.templates.take_stranger(child.pid);
        let ended = match is_inside(child.pidfd.as_fd(), child.pid) {
            // What ended was an earlier process with this number.
            Ok(true) => None,
            Ok(false) if ended.is_some() => ended,
            Ok(false) => return self.misforked(number, cell, "a fork that ended unseen"),
            Err(err) => {
                let _dead_already = process::send_signal(child.pidfd.as_fd(), Signal::SIGKILL);
                return self.misforked(number, cell, &explain(&err));
            }
        };
        reach(Point::Forked);
        match self.cells.entered(cell, child).map(|cell| (&mut cell.phase, &cell.entered)) {
            Some((Phase::Killed(ending), Entered::Inside(child))) => {
                // The cell was ended meanwhile, perhaps before it came in.
                let _dead_already = process::send_signal(child.pidfd.as_fd(), Signal::SIGKILL);
                ending.start_over();
                self.ending.push_back(Task::Cell(cell));
            }
            // With its first process everything in a cell is gone: so is this.
            None => {}
            Some(_) => self.say(&Reply::Forked { cell }, Vec::new())?,
        }
        if let Some(how) = ended {
            self.cells.forget_entered(cell);
            self.entered_process_ended(cell, how)?;
        }
        self.tell_template(number)
    }

    /// What a template says it forked is not what it should be: neither of the two goes on.
    fn misforked(
        &mut self,
        number: TemplateId,
        cell: CellId,
        what: &str,
    ) -> Result<(), ServiceError> {
        self.give_up(cell, what)?;
        self.distrust(number, what)
    }

    pub(super) fn not_forked(
        &mut self,
        number: TemplateId,
        cell: u32,
        step: u8,
        errno: u32,
    ) -> Result<(), ServiceError> {
        let Some(number_of_cell) = self.answered(number, cell) else {
            return self.distrust(number, "an order that nobody gave");
        };
        if let Some(cell) = self.cells.get_mut(number_of_cell) {
            cell.entered = Entered::Nobody;
            let errno = nix::errno::Errno::from_raw(errno.cast_signed());
            let detail = format!("{}: {errno}", STEPS[usize::from(step)]);
            self.refuse(Subject::Cell(number_of_cell), &detail)?;
        }
        self.tell_template(number)
    }

    /// What a template that ends had still to do.
    pub(super) fn abandon(&mut self, number: TemplateId, forks: Forks) -> Result<(), ServiceError> {
        for fork in forks.next {
            if let Some(cell) = self.cells.get_mut(fork.cell) {
                cell.entered = Entered::Nobody;
                self.refuse(Subject::Cell(fork.cell), "the template has ended")?;
            }
        }
        if let Some((cell, deadline)) = forks.current {
            self.timers.remove(&(deadline, Task::Template(number)));
            // It may have forked and not have said so.
            self.give_up(cell, "the template ended while it was forking")?;
        }
        self.templates.forget_strangers();
        Ok(())
    }

    /// Ends a cell of which nobody knows what is in it.
    fn give_up(&mut self, cell: CellId, why: &str) -> Result<(), ServiceError> {
        match self.cells.get_mut(cell).map(|cell| &cell.phase) {
            None | Some(Phase::Killed(_)) => Ok(()),
            Some(_) => {
                self.refuse(Subject::Cell(cell), why)?;
                self.begin_end(cell, true);
                Ok(())
            }
        }
    }

    /// What was forked into a cell has ended: so does the cell.
    pub(super) fn entered_process_ended(
        &mut self,
        cell: CellId,
        how: How,
    ) -> Result<(), ServiceError> {
        match self.cells.get_mut(cell).map(|cell| &cell.phase) {
            Some(Phase::Ready | Phase::Assigned) => {
                let status = wait_status(how);
                self.say(&Reply::Exited { cell, status }, Vec::new())?;
                self.begin_end(cell, true);
            }
            // It is being taken down, and this was perhaps what its first process waited for.
            Some(Phase::Killed(_)) => self.ending.push_back(Task::Cell(cell)),
            Some(Phase::Ordered(_) | Phase::Born(_)) | None => {}
        }
        Ok(())
    }
}

/// As `wait(2)` has it.
fn wait_status(how: How) -> u32 {
    match how {
        How::Exited(status) => (status.cast_unsigned() & 0xFF) << 8,
        How::Killed(signal) => signal.cast_unsigned() & 0x7F,
    }
}

/// Sends a template what it needs to get into one cell.
fn order(cell: &Cell, fork: &Fork, socket: BorrowedFd<'_>) -> Result<(), OrderError> {
    let pid = cell.process.as_ref().ok_or(OrderError::Empty)?.pid;
    let open = |kind: &'static str| {
        File::open(format!("/proc/{pid}/ns/{kind}"))
            .map(OwnedFd::from)
            .map_err(|source| OrderError::Namespace { kind, source })
    };
    let namespaces = NAMESPACES.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let doors = cell.leaf.doors().map_err(OrderError::Doors)?;
    let all = fork.beside.iter().chain(&namespaces).chain(&doors);
    let beside: Vec<BorrowedFd<'_>> = all.map(AsFd::as_fd).collect();
    let order = Order::Fork { cell: fork.cell.0 };
    socket::send(socket, &order.encode(), &beside, false).map_err(OrderError::Tell)
}
