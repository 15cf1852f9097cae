//! The event loop: what the control plane asks, what the maker answers, what dies, what is too slow.
//!
//! One thread, one `epoll`. Each turn takes what has happened and then does at most one piece of work
//! that can wait (make a cell, take one down), so that a request to assign a cell never stands behind
//! more than one of those. Nothing in here waits for anybody.
//!
//! Here: the loop, and what the control plane asks. `making` and `ending` are the two long ways of a
//! cell, `templates` those of a template, `forking` is where the two meet.

mod ending;
mod forking;
mod making;
mod templates;

use std::collections::{BTreeSet, VecDeque};
use std::error::Error;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use sandbox::failpoint::{Point, reach};
use sandbox::perform::{Assignment, NotAssigned, assign, explain, is_shortage};
use sandbox::{Identity, Plan, Spec, Stage};
use wire::spawner::{CellId, Digest, Limits, Reply, Request, Subject, TemplateId, Trees};
use wire::template::Recipe;

use crate::cells::{Cells, Phase};
use crate::control::{Control, ControlError};
use crate::exit::Exit;
use crate::library;
use crate::log;
use crate::maker::{Maker, MakerError};
use crate::templates::{Templates, WantedTemplate};

/// Orders the maker may have at once: enough that it and the processes it made keep both busy.
const IN_FLIGHT: usize = 4;
/// A cell takes a millisecond or two; one that takes this long never comes.
const MAKE_PATIENCE: Duration = Duration::from_secs(10);
/// When a cell that was killed is looked at again if nobody says that it has died.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Events taken from the kernel in one turn.
const EVENTS: usize = 64;
/// Requests taken in one turn, so that what has died is noticed in between.
const REQUESTS: usize = 32;

/// Tokens of what is always watched; cells' report pipes follow, by cell number, and what each
/// template has, by its number.
const CONTROL: u64 = 0;
const MAKER: u64 = 1;
const SIGNALS: u64 = 2;
const REPORTS: u64 = 1 << 32;
const TEMPLATE_REPORTS: u64 = 2 << 32;
const TEMPLATE_SOCKETS: u64 = 3 << 32;
const TEMPLATE_WORDS: u64 = 4 << 32;

/// The spawner at work.
#[derive(Debug)]
pub(crate) struct Service {
    stage: Stage,
    plan: Plan,
    maker: Maker,
    control: Control,
    signals: SignalFd,
    epoll: Epoll,
    capacity: u32,
    cells: Cells,
    templates: Templates,
    /// What a template is told about its forks.
    recipe: Recipe,
    /// Requests for templates that are not being made yet.
    nursery: VecDeque<WantedTemplate>,
    /// Requests for cells that are not being made yet.
    queue: VecDeque<Wanted>,
    /// Cells being made.
    in_flight: usize,
    /// Those whose end can go on.
    ending: VecDeque<Task>,
    /// When to look at which again.
    timers: BTreeSet<(Instant, Task)>,
}

/// What cells and templates are like.
#[derive(Debug)]
pub(crate) struct Blueprint {
    /// How they are made.
    pub(crate) plan: Plan,
    /// What a template is told about its forks.
    pub(crate) recipe: Recipe,
}

/// Whom a timer or a piece of work is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Cell(CellId),
    Template(TemplateId),
}

/// A cell that was asked for.
#[derive(Debug)]
struct Wanted {
    ticket: u64,
    image: Digest,
    deadline: Instant,
}

/// Why the spawner could not serve, or cannot any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    /// A system call that cannot fail, failed.
    #[error("{step}")]
    Call {
        step: &'static str,
        #[source]
        source: Errno,
    },
    /// The control plane.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The maker.
    #[error(transparent)]
    Maker(#[from] MakerError),
    /// The outer process passed SIGTERM on.
    #[error("told to end")]
    Told,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(
        stage: Stage,
        Blueprint { plan, recipe }: Blueprint,
        maker: Maker,
        control: OwnedFd,
        identity: Identity,
        capacity: u32,
        signals: &SigSet,
    ) -> Result<Self, ServiceError> {
        let at = |step| move |source| ServiceError::Call { step, source };
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(signals, flags).map_err(at("signalfd"))?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(at("epoll_create1"))?;
        let control = Control::new(control);
        let read = |token| EpollEvent::new(EpollFlags::EPOLLIN, token);
        epoll.add(&control, read(CONTROL)).map_err(at("watch the control plane"))?;
        epoll.add(&maker, read(MAKER)).map_err(at("watch the maker"))?;
        epoll.add(&signals, read(SIGNALS)).map_err(at("watch signals"))?;
        let mut service = Self {
            stage,
            plan,
            maker,
            control,
            signals,
            epoll,
            capacity,
            cells: Cells::new(identity),
            templates: Templates::default(),
            recipe,
            nursery: VecDeque::new(),
            queue: VecDeque::new(),
            in_flight: 0,
            ending: VecDeque::new(),
            timers: BTreeSet::new(),
        };
        let (version, uid_base) = (wire::VERSION, identity.host_id(0));
        service.say(&Reply::Hello { version, uid_base, capacity }, Vec::new())?;
        Ok(service)
    }

    /// Serves until there is nobody to serve, or it cannot.
    pub(crate) fn run(mut self) -> Exit {
        loop {
            let Err(end) = self.turn() else { continue };
            let exit = end.exit();
            if exit != Exit::Finished {
                log::line(&explain(&end));
            }
            // Returning ends the process, and the kernel with it every cell.
            return exit;
        }
    }

    fn turn(&mut self) -> Result<(), ServiceError> {
        let mut events = [EpollEvent::empty(); EVENTS];
        let count = match self.epoll.wait(&mut events, self.patience()) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(source) => return Err(ServiceError::Call { step: "epoll_wait", source }),
        };
        let mut reports = Vec::new();
        for event in &events[..count] {
            match event.data() {
                CONTROL => self.control_is_ready(event.events())?,
                MAKER => self.hear_maker()?,
                SIGNALS => self.hear_signals()?,
                token => reports.push(token),
            }
        }
        if !reports.is_empty() {
            // Whose reports they are, the maker said before they could be written.
            self.hear_maker()?;
            for token in reports {
                let number = (token & u64::from(u32::MAX)) as u32;
                match token - u64::from(number) {
                    REPORTS => self.hear_report(CellId(number))?,
                    TEMPLATE_REPORTS => self.hear_template_report(TemplateId(number))?,
                    TEMPLATE_SOCKETS => self.hear_template(TemplateId(number))?,
                    _ => self.hear_words(TemplateId(number))?,
                }
            }
        }
        self.ring_timers()?;
        self.work()
    }

    /// How long nothing has to be done.
    fn patience(&self) -> EpollTimeout {
        if !self.ending.is_empty() || self.can_make() || !self.nursery.is_empty() {
            return EpollTimeout::ZERO;
        }
        let cells = self.timers.first().map(|(when, _)| *when);
        let queue = self.queue.front().map(|wanted| wanted.deadline);
        let Some(next) = cells.into_iter().chain(queue).min() else { return EpollTimeout::NONE };
        // Rounded up, or it would wake just before.
        let millis = next.saturating_duration_since(Instant::now()).as_millis() + 1;
        EpollTimeout::try_from(millis).unwrap_or(EpollTimeout::MAX)
    }

    fn say(&mut self, reply: &Reply, beside: Vec<OwnedFd>) -> Result<(), ServiceError> {
        let was_stuck = self.control.is_stuck();
        self.control.say(reply, beside)?;
        self.watch_control(was_stuck)
    }

    /// Waits for room instead of requests while a reply is stuck.
    fn watch_control(&mut self, was_stuck: bool) -> Result<(), ServiceError> {
        let stuck = self.control.is_stuck();
        if stuck == was_stuck {
            return Ok(());
        }
        let flags = if stuck { EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN };
        let step = "watch the control plane";
        self.epoll
            .modify(&self.control, &mut EpollEvent::new(flags, CONTROL))
            .map_err(|source| ServiceError::Call { step, source })
    }

    fn control_is_ready(&mut self, flags: EpollFlags) -> Result<(), ServiceError> {
        if flags.contains(EpollFlags::EPOLLOUT) {
            let was_stuck = self.control.is_stuck();
            self.control.flush()?;
            self.watch_control(was_stuck)?;
        }
        for _ in 0..REQUESTS {
            let Some((request, beside)) = self.control.hear()? else { break };
            match request {
                Request::Make { ticket, image } => self.make(ticket, image)?,
                Request::Assign { cell, trees, limits } => self.assign(cell, &trees, limits)?,
                Request::End { cell } => self.end(cell)?,
                Request::Template { ticket, image, index } => {
                    self.make_template(ticket, image, index)?;
                }
                Request::EndTemplate { template } => self.end_template(template)?,
                Request::Fork { cell, template } => self.fork(cell, template, beside)?,
            }
        }
        Ok(())
    }

    fn refuse(&mut self, subject: Subject, detail: &str) -> Result<(), ServiceError> {
        self.say(&Reply::Failed { subject, detail: detail.to_owned() }, Vec::new())
    }

    /// Safe to grant: the image is looked up by digest in a directory the operator chose, the cell
    /// has every wall of the plan, and at most as many live as the operator said.
    fn make(&mut self, ticket: u64, image: Digest) -> Result<(), ServiceError> {
        if self.cells.living() + self.queue.len() >= self.capacity as usize {
            let detail = format!("{} cells live already", self.capacity);
            return self.refuse(Subject::Ticket(ticket), &detail);
        }
        let deadline = Instant::now() + MAKE_PATIENCE;
        self.queue.push_back(Wanted { ticket, image, deadline });
        Ok(())
    }

    /// Safe to grant: code and layers are looked up by digest like an image, are mounted read-only, at
    /// places that the plan names, into a cell in which nothing has run, once, and the limits are within
    /// the ranges AWS has. What was compiled of the code comes with it.
    fn assign(
        &mut self,
        number: CellId,
        trees: &Trees,
        limits: Limits,
    ) -> Result<(), ServiceError> {
        let subject = Subject::Cell(number);
        let Some(cell) = self.cells.get_mut(number) else {
            return self.refuse(subject, "no such cell");
        };
        let (Phase::Ready, Some(process)) = (&cell.phase, &cell.process) else {
            return self.refuse(subject, "the cell is not empty");
        };
        // Decoded within range already; once more where it is used.
        if !in_range(&limits) {
            return self.refuse(subject, "limits out of range");
        }
        let Limits { memory_mib, tmp_mib, pids, cpu_weight } = limits;
        let limits = Spec::leaf_limits(memory_mib, tmp_mib, pids, cpu_weight);
        let trees = match library::trees(self.stage.code.as_fd(), trees, &cell.image) {
            Ok(trees) => trees,
            Err(err) => return self.not_assigned(number, &err),
        };
        let (stage, steps) = (&self.stage, &self.plan.assign);
        let assignment = Assignment { trees: &trees, tmp_mib, limits };
        match assign(steps, stage, process.pidfd.as_fd(), &cell.leaf, &assignment) {
            Ok(()) => {
                cell.phase = Phase::Assigned;
                self.say(&Reply::Assigned { cell: number }, Vec::new())?;
                reach(Point::Assigned);
                Ok(())
            }
            Err(NotAssigned::AsItWas(err)) => self.not_assigned(number, &err),
            Err(NotAssigned::HalfDone(err)) => {
                // Whatever came into it next would see what is mounted there.
                self.begin_end(number, true);
                self.refuse(subject, &explain(&err))
            }
        }
    }

    /// Says why a cell is as it was.
    fn not_assigned(
        &mut self,
        cell: CellId,
        err: &(dyn Error + 'static),
    ) -> Result<(), ServiceError> {
        let detail = explain(err);
        match is_shortage(err) {
            true => self.say(&Reply::Short { cell, detail }, Vec::new()),
            false => self.refuse(Subject::Cell(cell), &detail),
        }
    }

    /// Safe to grant: it takes away.
    fn end(&mut self, number: CellId) -> Result<(), ServiceError> {
        match self.cells.get_mut(number).map(|cell| &cell.phase) {
            // One that is being made is known by its ticket only.
            None | Some(Phase::Ordered(_) | Phase::Born(_)) => {
                self.refuse(Subject::Cell(number), "no such cell")
            }
            // It died by itself, or was asked to before: Ended is on its way.
            Some(Phase::Killed(_)) => Ok(()),
            Some(Phase::Ready | Phase::Assigned) => {
                self.begin_end(number, true);
                Ok(())
            }
        }
    }

    fn ring_timers(&mut self) -> Result<(), ServiceError> {
        let now = Instant::now();
        while let Some((when, task)) = self.timers.first().copied()
            && when <= now
        {
            self.timers.remove(&(when, task));
            let number = match task {
                Task::Cell(number) => number,
                Task::Template(number) => {
                    self.ring_template(number, now)?;
                    continue;
                }
            };
            match self.cells.get_mut(number).map(|cell| &cell.phase) {
                Some(Phase::Ordered(making) | Phase::Born(making)) if making.deadline <= now => {
                    self.fail_making(number, "it took too long")?;
                }
                Some(Phase::Killed(_)) => self.ending.push_back(task),
                _ => {}
            }
        }
        while self.queue.front().is_some_and(|wanted| wanted.deadline <= now) {
            let Some(wanted) = self.queue.pop_front() else { break };
            self.refuse(Subject::Ticket(wanted.ticket), "others did not end in time")?;
        }
        Ok(())
    }

    fn work(&mut self) -> Result<(), ServiceError> {
        match self.ending.pop_front() {
            Some(Task::Cell(number)) => return self.advance_end(number),
            Some(Task::Template(number)) => return self.advance_template_end(number),
            None => {}
        }
        if let Some(wanted) = self.nursery.pop_front() {
            return self.begin_template(wanted);
        }
        if self.can_make() { self.begin_making() } else { Ok(()) }
    }
}

fn in_range(limits: &Limits) -> bool {
    let within = |value, (least, most)| (least..=most).contains(&value);
    within(limits.memory_mib, Limits::MEMORY_MIB)
        && within(limits.tmp_mib, Limits::TMP_MIB)
        && within(limits.pids, Limits::PIDS)
        && within(limits.cpu_weight, Limits::CPU_WEIGHT)
}

// === impl ServiceError ===

impl ServiceError {
    fn exit(&self) -> Exit {
        match self {
            Self::Told | Self::Control(ControlError::Closed) => Exit::Finished,
            Self::Control(
                ControlError::Datagram(_)
                | ControlError::Request(_)
                | ControlError::Descriptors { .. },
            ) => Exit::Protocol,
            Self::Control(ControlError::Socket(_)) | Self::Call { .. } => Exit::System,
            Self::Maker(_) => Exit::Internal,
        }
    }
}
