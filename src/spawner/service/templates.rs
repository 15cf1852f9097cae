//! From a request for a template to its `TemplateReady`, and from there to its end.
//!
//! The way there is a cell's as far as the maker goes; from then on it is a program of the image's that
//! says on its own socket how far it is. It ends by the same steps as a cell.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::epoll::{EpollEvent, EpollFlags};
use sandbox::Spec;
use sandbox::failpoint::{Point, reach};
use sandbox::perform::{Outcome, explain, prepare, read_outcome};
use sandbox::sys::process::{Child, Ending as How};
use sandbox::sys::socket::{self, ReceiveError};
use wire::spawner::{Digest, Reply, Subject, TemplateId};
use wire::template::{Answer, MAX_MESSAGE, Order as Told};

use super::{
    LOOK_AGAIN, Service, ServiceError, TEMPLATE_REPORTS, TEMPLATE_SOCKETS, TEMPLATE_WORDS, Task,
};
use crate::cells::{Ending, Making, Progress};
use crate::library;
use crate::log;
use crate::order::Order;
use crate::templates::{Forks, MOST_TEMPLATES, Phase, Template, WantedTemplate, examine};

/// An interpreter with everything imported that an image has takes a second, on a busy machine some; one
/// that takes this long never comes.
const TEMPLATE_PATIENCE: Duration = Duration::from_secs(30);

impl Service {
    /// Safe to grant: the image is looked up by digest and says itself what is executed; it runs with no
    /// privilege but over cells it is handed, and there are few.
    pub(super) fn make_template(
        &mut self,
        ticket: u64,
        image: Digest,
        index: u8,
    ) -> Result<(), ServiceError> {
        if self.nursery.len() >= MOST_TEMPLATES {
            return self.refuse(Subject::Ticket(ticket), "too many templates are waited for");
        }
        self.nursery.push_back(WantedTemplate { ticket, image, index });
        Ok(())
    }

    /// Safe to grant: it takes away.
    pub(super) fn end_template(&mut self, number: TemplateId) -> Result<(), ServiceError> {
        match self.templates.get_mut(number).map(|template| &template.phase) {
            Some(Phase::Ready(_)) => self.begin_template_end(number),
            // It died by itself, or was asked to before: TemplateEnded is on its way.
            Some(Phase::Killed(_)) => Ok(()),
            // One that is being made is known by its ticket only.
            _ => self.refuse(Subject::Template(number), "no such template"),
        }
    }

    pub(super) fn begin_template(&mut self, wanted: WantedTemplate) -> Result<(), ServiceError> {
        let ticket = wanted.ticket;
        match self.order_template(wanted) {
            Ok(()) => {
                reach(Point::TemplateOrdered);
                Ok(())
            }
            Err(detail) => self.refuse(Subject::Ticket(ticket), &detail),
        }
    }

    fn order_template(&mut self, wanted: WantedTemplate) -> Result<(), String> {
        let WantedTemplate { ticket, image, index } = wanted;
        let tree = library::tree("image", self.stage.images.as_fd(), &image)
            .map_err(|err| explain(&err))?;
        let number = self.templates.reserve().ok_or("there are too many templates")?;
        let (words, theirs) = words_pipe().map_err(|errno| format!("pipe: {errno}"))?;
        let (name, limits) = (format!("t{}", number.0), Spec::template_leaf_limits());
        let steps = &self.plan.template.prepare;
        let mut draft = prepare(steps, &self.stage, &name, &limits, tree.as_fd())
            .map_err(|err| explain(&err))?;
        let mut more = vec![theirs];
        more.append(&mut draft.doors);
        let handed = self.hand_over(
            Order::Template { template: number.0, index },
            TEMPLATE_REPORTS | u64::from(number.0),
            &more,
            [draft.image.as_fd(), draft.devices.as_fd(), draft.process_end.as_fd()],
        );
        let watched = handed.and_then(|report| {
            let watch = |fd: &dyn AsFd, token: u64| {
                let event = EpollEvent::new(EpollFlags::EPOLLIN, token | u64::from(number.0));
                let step = "watch a template";
                self.epoll
                    .add(fd.as_fd(), event)
                    .map_err(|source| ServiceError::Call { step, source })
            };
            watch(&words, TEMPLATE_WORDS)?;
            watch(&draft.control_end, TEMPLATE_SOCKETS)?;
            Ok(report)
        });
        let report = match watched {
            Ok(report) => report,
            Err(err) => {
                // Nothing was ever in it, or for a moment; the next start sweeps what cannot be removed.
                let _swept_later = draft.leaf.remove();
                return Err(explain(&err));
            }
        };
        let deadline = Instant::now() + TEMPLATE_PATIENCE;
        self.timers.insert((deadline, Task::Template(number)));
        let (control_end, said) = (draft.control_end, Vec::new());
        let phase = Phase::Ordered(Making { ticket, control_end, report, said, deadline });
        let (leaf, said) = (draft.leaf, Vec::new());
        self.templates.insert(number, Template { image, leaf, process: None, words, said, phase });
        Ok(())
    }

    pub(super) fn template_born(
        &mut self,
        number: TemplateId,
        process: Child,
    ) -> Result<(), ServiceError> {
        let Some(template) = self.templates.get_mut(number) else { return Ok(()) };
        template.process = Some(process);
        reach(Point::TemplateBorn);
        match std::mem::replace(&mut template.phase, Phase::Killed(never())) {
            Phase::Ordered(making) => template.phase = Phase::Born(making),
            Phase::Killed(mut ending) => {
                // It was given up meanwhile.
                ending.awaits_birth = false;
                let Template { leaf, process, .. } = template;
                ending.kill_again(&self.plan.end, leaf, process);
                template.phase = Phase::Killed(ending);
                return Ok(());
            }
            other => template.phase = other,
        }
        self.hear_template_report(number)
    }

    /// There will be no process of it, or none for long.
    pub(super) fn template_stillborn(
        &mut self,
        number: TemplateId,
        detail: &str,
    ) -> Result<(), ServiceError> {
        self.fail_template(number, detail)?;
        if let Some(Phase::Killed(ending)) =
            self.templates.get_mut(number).map(|template| &mut template.phase)
        {
            ending.awaits_birth = false;
        }
        self.ending.push_back(Task::Template(number));
        Ok(())
    }

    /// Reads how far its process got; at the end of the pipe it executes its program, or never will.
    pub(super) fn hear_template_report(&mut self, number: TemplateId) -> Result<(), ServiceError> {
        let Some(template) = self.templates.get_mut(number) else { return Ok(()) };
        let born = matches!(template.phase, Phase::Born(_));
        let (Phase::Ordered(making) | Phase::Born(making)) = &mut template.phase else {
            return Ok(());
        };
        match making.hear() {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(err) => return self.fail_template(number, &format!("read its report: {err}")),
        }
        // The end of a pipe would be told again and again.
        match self.epoll.delete(&making.report) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(source) => return Err(ServiceError::Call { step: "forget a report", source }),
        }
        match read_outcome(&making.said, &self.plan.template.settle) {
            // Without a process the maker's own answer says more, and is on its way.
            _ if !born => Ok(()),
            Outcome::Ready => self.instruct(number),
            Outcome::Failed(err) => self.fail_template(number, &explain(&err)),
            Outcome::Silent => self.fail_template(number, "its process was killed"),
        }
    }

    /// Its program runs: it is told what its forks do to themselves.
    fn instruct(&mut self, number: TemplateId) -> Result<(), ServiceError> {
        let Some(template) = self.templates.get_mut(number) else { return Ok(()) };
        let Phase::Born(making) = std::mem::replace(&mut template.phase, Phase::Killed(never()))
        else {
            return Ok(());
        };
        let order = Told::Recipe(self.recipe.clone());
        let sent = socket::send(making.control_end.as_fd(), &order.encode(), &[], false);
        template.phase = Phase::Starting(making);
        reach(Point::TemplateStarting);
        match sent {
            Ok(()) => Ok(()),
            // It ended already: what it said before that is in its words.
            Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(errno) => self.fail_template(number, &format!("send it the recipe: {errno}")),
        }
    }

    /// Takes what templates that are forking have said.
    pub(super) fn hear_templates(&mut self) -> Result<(), ServiceError> {
        for number in self.templates.busy() {
            self.hear_template(number)?;
        }
        Ok(())
    }

    /// Takes what one template has said.
    pub(super) fn hear_template(&mut self, number: TemplateId) -> Result<(), ServiceError> {
        loop {
            let Some(template) = self.templates.get_mut(number) else { return Ok(()) };
            let socket = match &template.phase {
                Phase::Ordered(making) | Phase::Born(making) | Phase::Starting(making) => {
                    making.control_end.as_fd()
                }
                Phase::Ready(forks) => forks.socket.as_fd(),
                Phase::Killed(_) => return Ok(()),
            };
            let mut buffer = [0; MAX_MESSAGE];
            let mut datagram = match socket::receive(socket, &mut buffer, 1, false) {
                Err(ReceiveError::Failed(Errno::EAGAIN)) => return Ok(()),
                // Its process ends, or has: that is what is heard of next.
                Ok(datagram) if datagram.length == 0 => return self.forget_template(number),
                Err(ReceiveError::Failed(_)) => return self.forget_template(number),
                Err(err) => return self.distrust(number, &err.to_string()),
                Ok(datagram) => datagram,
            };
            let pidfd = datagram.descriptors.pop();
            match (Answer::decode(&buffer[..datagram.length]), pidfd) {
                (Ok(Answer::Ready), None) => self.template_ready(number)?,
                (Ok(Answer::Forked { cell, pid }), Some(pidfd)) => {
                    self.forked(number, cell, Child { pid, pidfd })?;
                }
                (Ok(Answer::Failed { cell, step, errno }), None) => {
                    self.not_forked(number, cell, step, errno)?;
                }
                (Ok(_), _) => return self.distrust(number, "descriptors that it must not send"),
                (Err(err), _) => return self.distrust(number, &err.to_string()),
            }
        }
    }

    /// Its socket has ended: nothing more is heard from it, and it is not long for this world.
    fn forget_template(&mut self, number: TemplateId) -> Result<(), ServiceError> {
        let Some(template) = self.templates.get_mut(number) else { return Ok(()) };
        let gone = match &template.phase {
            Phase::Ready(forks) => self.epoll.delete(&forks.socket),
            Phase::Starting(making) => self.epoll.delete(&making.control_end),
            _ => Ok(()),
        };
        gone.map_err(|source| ServiceError::Call { step: "forget a template", source })?;
        match template.phase {
            Phase::Ready(_) => self.begin_template_end(number),
            // With its process it says why.
            _ => Ok(()),
        }
    }

    fn template_ready(&mut self, number: TemplateId) -> Result<(), ServiceError> {
        let Some(template) = self.templates.get_mut(number) else { return Ok(()) };
        let pid = template.process.as_ref().map_or(0, |process| process.pid);
        if !matches!(template.phase, Phase::Starting(_)) {
            return self.distrust(number, "ready twice, or before it was told anything");
        }
        if let Err(unfit) = examine(pid) {
            return self.fail_template(number, &explain(&unfit));
        }
        let Phase::Starting(making) =
            std::mem::replace(&mut template.phase, Phase::Killed(never()))
        else {
            return Ok(());
        };
        self.timers.remove(&(making.deadline, Task::Template(number)));
        let (socket, current) = (making.control_end, None);
        template.phase = Phase::Ready(Forks { socket, current, next: Default::default() });
        reach(Point::TemplateReady);
        let ticket = making.ticket;
        self.say(&Reply::TemplateReady { ticket, template: number }, Vec::new())
    }

    /// It said something that no template of ours says.
    pub(super) fn distrust(&mut self, number: TemplateId, what: &str) -> Result<(), ServiceError> {
        log::line(&format!("template {} broke the protocol: {what}", number.0));
        self.fail_template(number, what)?;
        self.begin_template_end(number)
    }

    /// It will not be ready.
    pub(super) fn fail_template(
        &mut self,
        number: TemplateId,
        detail: &str,
    ) -> Result<(), ServiceError> {
        let template = self.templates.get_mut(number);
        let Some(making) = template.and_then(|template| template.phase.making()) else {
            return Ok(());
        };
        let ticket = making.ticket;
        self.begin_template_end(number)?;
        self.refuse(Subject::Ticket(ticket), detail)
    }

    pub(super) fn hear_words(&mut self, number: TemplateId) -> Result<(), ServiceError> {
        let Some(template) = self.templates.get_mut(number) else { return Ok(()) };
        if !template.hear_words() {
            return Ok(());
        }
        let forgotten = self.epoll.delete(&template.words);
        forgotten.map_err(|source| ServiceError::Call { step: "forget a template", source })
    }

    pub(super) fn template_process_ended(
        &mut self,
        number: TemplateId,
        how: How,
    ) -> Result<(), ServiceError> {
        let Some(template) = self.templates.get_mut(number) else { return Ok(()) };
        if let Phase::Killed(_) = template.phase {
            self.ending.push_back(Task::Template(number));
            return Ok(());
        }
        if let Phase::Ordered(_) | Phase::Born(_) = template.phase {
            // Its last words are in the report, which has ended with it.
            self.hear_template_report(number)?;
        }
        let Some(template) = self.templates.get_mut(number) else { return Ok(()) };
        if let Phase::Killed(_) = template.phase {
            return Ok(());
        }
        let _all_of_it = template.hear_words();
        let how = match how {
            How::Exited(status) => format!("exited with status {status}"),
            How::Killed(signal) => format!("was killed by signal {signal}"),
        };
        let detail = format!("it {how}; it said: {}", template.words());
        log::line(&format!("template {}: {detail}", number.0));
        self.fail_template(number, &detail)?;
        self.begin_template_end(number)
    }

    /// Something of it takes too long.
    pub(super) fn ring_template(
        &mut self,
        number: TemplateId,
        now: Instant,
    ) -> Result<(), ServiceError> {
        let Some(template) = self.templates.get_mut(number) else { return Ok(()) };
        if let Phase::Killed(_) = template.phase {
            self.ending.push_back(Task::Template(number));
            return Ok(());
        }
        if let Some(making) = template.phase.making() {
            return match making.deadline <= now {
                true => self.fail_template(number, "it took too long"),
                false => Ok(()),
            };
        }
        match template.current() {
            Some((cell, deadline)) if deadline <= now => {
                log::line(&format!("template {} hangs, forking into cell {}", number.0, cell.0));
                self.begin_template_end(number)
            }
            _ => Ok(()),
        }
    }

    /// Kills it now; the rest follows when there is time. What it was still to do fails.
    pub(super) fn begin_template_end(&mut self, number: TemplateId) -> Result<(), ServiceError> {
        let Some(template) = self.templates.get_mut(number) else { return Ok(()) };
        if let Phase::Killed(_) = template.phase {
            return Ok(());
        }
        let now = Instant::now();
        let known = matches!(template.phase, Phase::Ready(_));
        let awaits_birth = matches!(template.phase, Phase::Ordered(_));
        let mut ending = Ending::new(known, awaits_birth, now);
        ending.kill(&self.plan.end, &mut template.leaf, &mut template.process);
        let before = std::mem::replace(&mut template.phase, Phase::Killed(ending));
        match template.process {
            None => self.ending.push_back(Task::Template(number)),
            Some(_) => {
                self.timers.insert((now + LOOK_AGAIN, Task::Template(number)));
            }
        }
        match before {
            Phase::Ordered(making) | Phase::Born(making) | Phase::Starting(making) => {
                self.timers.remove(&(making.deadline, Task::Template(number)));
                Ok(())
            }
            Phase::Ready(forks) => self.abandon(number, forks),
            Phase::Killed(_) => Ok(()),
        }
    }

    pub(super) fn advance_template_end(&mut self, number: TemplateId) -> Result<(), ServiceError> {
        let Some(template) = self.templates.get_mut(number) else { return Ok(()) };
        let Phase::Killed(ending) = &mut template.phase else { return Ok(()) };
        let now = Instant::now();
        let progress = match ending.awaits_birth {
            true => ending.wait_for_birth(now),
            false => {
                let Template { leaf, process, .. } = template;
                ending.advance(&self.plan.end, leaf, process, now)
            }
        };
        match progress {
            Progress::Gone(_) => {
                let known = ending.known;
                self.templates.remove(number);
                match known {
                    true => self.say(&Reply::TemplateEnded { template: number }, Vec::new()),
                    false => Ok(()),
                }
            }
            Progress::Later(when) => {
                self.timers.insert((when, Task::Template(number)));
                Ok(())
            }
            Progress::Quarantined(when, obstacle) => {
                self.timers.insert((when, Task::Template(number)));
                log::line(&format!("template {} is quarantined: {obstacle}", number.0));
                Ok(())
            }
        }
    }
}

/// What stands in a phase's place for the moment in which the next one is made of it.
fn never() -> Ending {
    Ending::new(false, false, Instant::now())
}

/// A pipe for a template's words: our end, which never waits, and its.
fn words_pipe() -> nix::Result<(File, OwnedFd)> {
    let errno = |err: io::Error| err.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    let (ours, theirs) = io::pipe().map_err(errno)?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((File::from(OwnedFd::from(ours)), theirs.into()))
}
