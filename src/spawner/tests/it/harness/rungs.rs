//! The two ways in which a test's program comes into its cell: its runner executes it, or a template is
//! forked into the cell and runs it.
//!
//! A test says nothing about it. Those named in `on_forked_cells` run a second time, on a thread that
//! says so; whatever they start in a cell is then started by a copy of a template's, before the code is
//! mounted: Python is run by the very process that was forked, any other program is executed by it.

use std::cell::Cell as Place;
use std::collections::{HashMap, VecDeque};
use std::io::PipeReader;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, Weak};

use sandbox::sys::socket;
use wire::spawner::{self, CellId, MADE_DESCRIPTORS, Reply, Subject};

use super::forked::Forked;
use super::wait_for;

/// How programs are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Executed,
    Forked,
}

thread_local! {
    static START: Place<Start> = const { Place::new(Start::Executed) };
}

/// What every cell of this thread is started like from here on.
pub(crate) fn start_by(start: Start) {
    START.set(start);
}

pub(crate) fn start() -> Start {
    START.get()
}

/// Our end of the spawner's socket, and what was read from it before its turn.
pub(crate) struct Mailbox {
    socket: OwnedFd,
    start: Start,
    kept: Mutex<VecDeque<(Reply, Vec<OwnedFd>)>>,
    exited: Mutex<HashMap<CellId, u32>>,
}

/// A process that waits in a cell for what it is to run.
#[derive(Debug)]
pub(crate) struct Waiting {
    mailbox: Weak<Mailbox>,
    cell: CellId,
    forked: Mutex<Option<Forked>>,
}

// === impl Mailbox ===

impl Mailbox {
    pub(crate) fn new(socket: OwnedFd) -> Arc<Self> {
        let (kept, exited) = (Mutex::default(), Mutex::default());
        Arc::new(Self { socket, start: start(), kept, exited })
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The next reply; `None` at the end.
    pub(crate) fn receive(&self) -> Option<(Reply, Vec<OwnedFd>)> {
        loop {
            if let Some(kept) = self.kept.lock().unwrap().pop_front() {
                return Some(kept);
            }
            let next = self.read()?;
            if self.start == Start::Executed || !self.note(&next.0) {
                return Some(next);
            }
        }
    }

    fn read(&self) -> Option<(Reply, Vec<OwnedFd>)> {
        wait_for(self.socket(), "a reply");
        let mut buffer = [0; spawner::MAX_MESSAGE];
        let datagram = socket::receive(self.socket(), &mut buffer, MADE_DESCRIPTORS, true).unwrap();
        let reply = || Reply::decode(&buffer[..datagram.length]).unwrap();
        (datagram.length > 0).then(|| (reply(), datagram.descriptors))
    }

    /// Whether a reply is one that a test knows nothing of: what a runner would have said elsewhere, and
    /// that a cell whose program has ended is gone when it is to be ended.
    fn note(&self, reply: &Reply) -> bool {
        let mut exited = self.exited.lock().unwrap();
        match reply {
            Reply::Exited { cell, status } => {
                exited.insert(*cell, *status);
                true
            }
            Reply::Failed { subject: Subject::Cell(cell), .. } => exited.contains_key(cell),
            _ => false,
        }
    }

    fn status(&self, cell: CellId) -> u32 {
        loop {
            if let Some(status) = self.exited.lock().unwrap().get(&cell) {
                return *status;
            }
            let next = self.read().expect("the spawner is there");
            if !self.note(&next.0) {
                self.kept.lock().unwrap().push_back(next);
            }
        }
    }
}

// === impl Waiting ===

impl Waiting {
    pub(crate) fn new(mailbox: &Arc<Mailbox>, cell: CellId, forked: Forked) -> Self {
        Self { mailbox: Arc::downgrade(mailbox), cell, forked: Mutex::new(Some(forked)) }
    }

    /// Has it run a program; what that writes can be read.
    pub(crate) fn run(&self, argv: &[&str]) -> PipeReader {
        let mut forked = self.forked.lock().unwrap().take().expect("one program in a cell's life");
        match argv {
            ["/usr/bin/python3", "-I", "-c", source] => forked.send(source),
            _ => forked.send(&format!(
                "import os, signal\n\
                 for number in (signal.SIGPIPE, signal.SIGXFSZ):\n\
                 \x20   signal.signal(number, signal.SIG_DFL)\n\
                 os.execv({:?}, {argv:?})\n",
                argv[0]
            )),
        }
        forked.output
    }

    /// How it ended.
    pub(crate) fn status(&self) -> u32 {
        self.mailbox.upgrade().expect("the spawner is there").status(self.cell)
    }
}
