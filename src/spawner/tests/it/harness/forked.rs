//! Templates, and processes that were forked from them into cells.

use std::io::{PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use sandbox::sys::socket;
use wire::spawner::{Reply, Request, Subject, TemplateId};

use super::{Cell, IMAGE, Spawner, wait_for};

/// A process that was forked into a cell: where it writes, and what it is sent.
#[derive(Debug)]
pub(crate) struct Forked {
    pub(crate) output: PipeReader,
    pub(crate) link: UnixStream,
}

/// A request for a fork that was not sent yet.
pub(crate) struct Asked {
    request: Request,
    beside: [OwnedFd; 2],
}

// === impl Asked ===

impl Asked {
    pub(crate) fn send(self, spawner: &Spawner) {
        let beside = self.beside.each_ref().map(AsFd::as_fd);
        socket::send(spawner.socket(), &self.request.encode(), &beside, true).unwrap();
    }
}

// === impl Spawner ===

impl Spawner {
    /// A template that is ready.
    pub(crate) fn template(&mut self, index: u8) -> TemplateId {
        self.try_template(index).unwrap_or_else(|detail| panic!("{detail}"))
    }

    /// The same, where it may fail.
    pub(crate) fn try_template(&mut self, index: u8) -> Result<TemplateId, String> {
        self.send(&Request::Template { ticket: 9, image: IMAGE, index });
        match self.receive().0 {
            Reply::TemplateReady { ticket: 9, template } => Ok(template),
            Reply::Failed { subject: Subject::Ticket(9), detail } => Err(detail),
            other => panic!("{other:?}"),
        }
    }

    /// Forks a template into a cell.
    pub(crate) fn fork(&mut self, cell: &Cell, template: TemplateId) -> Result<Forked, String> {
        let (forked, answer) = self.ask_to_fork(cell, template);
        match answer {
            Reply::Forked { cell: number } if number == cell.number => Ok(forked),
            Reply::Failed { subject: Subject::Cell(number), detail } if number == cell.number => {
                Err(detail)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The same, whatever the answer is.
    pub(crate) fn ask_to_fork(&mut self, cell: &Cell, template: TemplateId) -> (Forked, Reply) {
        let (forked, asked) = Forked::asked(cell, template);
        asked.send(self);
        (forked, self.receive().0)
    }
}

// === impl Forked ===

impl Forked {
    /// Our ends of what is to be forked, and the request that brings it the others.
    pub(crate) fn asked(cell: &Cell, template: TemplateId) -> (Self, Asked) {
        let (output, log) = std::io::pipe().unwrap();
        let (link, theirs) = UnixStream::pair().unwrap();
        let request = Request::Fork { cell: cell.number, template };
        (Self { output, link }, Asked { request, beside: [log.into(), theirs.into()] })
    }

    /// Sends it Python to run.
    pub(crate) fn send(&mut self, source: &str) {
        let length = u32::try_from(source.len()).unwrap().to_le_bytes();
        self.link.write_all(&[&length, source.as_bytes()].concat()).unwrap();
    }

    /// Everything it wrote, when everybody who could write is gone.
    pub(crate) fn output(&mut self) -> String {
        wait_for(self.output.as_fd(), "output");
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        text
    }
}
