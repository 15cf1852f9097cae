//! The control plane's end of the conversation with the spawner.
//!
//! Requests are written by whoever has one, straight to the socket; one task reads what comes back
//! and hands it to whoever waits for it. Nothing is ever retried here, and nothing the spawner says is
//! believed further than its form: a reply nobody waits for is dropped, with its descriptors.
//!
//! The connection ends once, for all: when the socket closes, or says something that is not a message,
//! everybody who waits learns it and every later request is refused. The spawner has then ended every
//! sandbox, or is about to.

mod templates;
mod waiting;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use telemetry::METRICS;
use tokio::sync::{Notify, oneshot, watch};
use wire::spawner::{CellId, Digest, Limits, MAX_MESSAGE, Reply, Request, Subject, Trees};

use crate::socket::{Datagram, Datagrams};
use waiting::Waiting;

/// A live connection.
#[derive(Debug)]
pub(crate) struct Spawner {
    socket: Datagrams,
    waiting: Mutex<Waiting>,
    /// Becomes true once.
    closed: watch::Sender<bool>,
    /// Whether the end was ours.
    hung_up: AtomicBool,
    /// Wakes whoever makes cells: one is gone, or a template.
    room: Notify,
}

/// A cell that was made: a sandbox in which nothing has run yet.
#[derive(Debug)]
pub(crate) struct Cell {
    /// What the spawner calls it.
    pub(crate) id: CellId,
    /// The socket of its PID 1.
    pub(crate) runner: Datagrams,
    /// Listens on the Runtime API's address inside; closed where nobody will serve on it.
    pub(crate) listener: Option<OwnedFd>,
    /// `memory.stat` of its cgroup.
    pub(crate) memory: OwnedFd,
    /// `memory.oom_control` of it, where version 1 limits memory.
    pub(crate) kills: Option<OwnedFd>,
    /// `cgroup.freeze` of it, where there is one.
    pub(crate) freezer: Option<OwnedFd>,
    /// The status of the process that was forked into it, as `wait(2)` reports it; that of one that
    /// was executed its PID 1 reports.
    pub(crate) exited: oneshot::Receiver<u32>,
    /// The last word about it; fails if the spawner closes without having said it.
    pub(crate) ended: oneshot::Receiver<Ended>,
}

/// The last word about a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ended {
    /// How many of its processes the kernel killed for memory.
    pub(crate) memory_kills: u32,
    /// Most memory ever charged to it, bytes; 0 where the kernel does not say.
    pub(crate) peak_bytes: u64,
}

/// Why a conversation could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The socket cannot be used or failed.
    #[error("the spawner's socket does not work")]
    Socket {
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// It closed before saying hello.
    #[error("the spawner ended before it was ready; its own output says why")]
    Ended,
    /// The first message was not a hello.
    #[error("the spawner did not introduce itself")]
    NoHello,
    /// It is of another build.
    #[error(
        "the spawner speaks version {theirs} of the protocol and this program {}",
        wire::VERSION
    )]
    Version {
        /// What it speaks.
        theirs: u16,
    },
}

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SpawnerError {
    /// The spawner is gone.
    #[error("the spawner is gone")]
    Closed,
    /// It could not do it.
    #[error("the spawner failed: {detail}")]
    Failed {
        /// The step that failed and why.
        detail: String,
    },
    /// Another cell is more than the machine has room for now. Nothing about the function is wrong,
    /// and a moment later there may be room again.
    #[error("there is no room for another sandbox: {detail}")]
    NoRoom {
        /// What is short.
        detail: String,
    },
}

// === impl Spawner ===

impl Spawner {
    /// Waits for the spawner's hello on a connected socket; beside the connection, how many cells may
    /// live at once.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub(crate) async fn connect(socket: OwnedFd) -> Result<(Arc<Self>, u32), ConnectError> {
        let failed = |source| ConnectError::Socket { source };
        let socket = Datagrams::new(socket).map_err(failed)?;
        let mut buffer = [0; MAX_MESSAGE];
        let first = socket.receive(&mut buffer).await.map_err(failed)?;
        if first.length == 0 {
            return Err(ConnectError::Ended);
        }
        let capacity = match Reply::decode(&buffer[..first.length]) {
            Ok(Reply::Hello { version: wire::VERSION, capacity, .. }) => capacity,
            Ok(Reply::Hello { version: theirs, .. }) => {
                return Err(ConnectError::Version { theirs });
            }
            _ => return Err(ConnectError::NoHello),
        };
        let spawner = Arc::new(Self {
            socket,
            waiting: Mutex::new(Waiting::default()),
            closed: watch::Sender::new(false),
            hung_up: AtomicBool::new(false),
            room: Notify::new(),
        });
        tokio::spawn(read(Arc::clone(&spawner)));
        Ok((spawner, capacity))
    }

    /// Completes when the connection has ended.
    pub(crate) async fn closed(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let mut closed = self.closed.subscribe();
        let _never_fails = closed.wait_for(|closed| *closed).await;
    }

    /// Whether the connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// For how long the spawner has said nothing although it owes an answer. It answers every request
    /// within ten seconds, if only that it failed.
    pub(crate) fn silent_for(&self) -> Duration {
        self.waiting().silent_since.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// Makes an empty cell of an image.
    pub(crate) async fn make(&self, image: Digest) -> Result<Cell, SpawnerError> {
        let (sender, receiver) = oneshot::channel();
        let ticket = {
            let mut waiting = self.waiting();
            if waiting.closed {
                return Err(SpawnerError::Closed);
            }
            waiting.next_ticket += 1;
            let ticket = waiting.next_ticket;
            waiting.making.insert(ticket, sender);
            waiting.ask();
            ticket
        };
        self.send(&Request::Make { ticket, image }, &[]).await?;
        receiver.await.unwrap_or(Err(SpawnerError::Closed))
    }

    /// Mounts a function's trees into a cell and sets its limits.
    pub(crate) async fn assign(
        &self,
        cell: CellId,
        trees: Trees,
        limits: Limits,
    ) -> Result<(), SpawnerError> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            if waiting.closed {
                return Err(SpawnerError::Closed);
            }
            waiting.assigning.insert(cell, sender);
            waiting.ask();
        }
        self.send(&Request::Assign { cell, trees, limits }, &[]).await?;
        receiver.await.unwrap_or(Err(SpawnerError::Closed))
    }

    /// Asks for a cell's end; [`Cell::ended`] tells when it has come.
    pub(crate) async fn end(&self, cell: CellId) -> Result<(), SpawnerError> {
        self.send(&Request::End { cell }, &[]).await
    }

    /// Quarantined cells that nobody here counts: what they take is missing from the capacity.
    pub(crate) fn strays(&self) -> u32 {
        self.waiting().quarantined.values().filter(|stray| **stray).count() as u32
    }

    /// Completes when there may be fewer of them.
    pub(crate) async fn room(&self) {
        self.room.notified().await;
    }

    /// Ends the conversation: the spawner sees it, ends every sandbox, and itself.
    pub(crate) fn hang_up(&self) {
        self.hung_up.store(true, Ordering::Release);
        self.socket.shut_down();
    }

    async fn send(&self, request: &Request, beside: &[BorrowedFd<'_>]) -> Result<(), SpawnerError> {
        if self.is_closed() {
            return Err(SpawnerError::Closed);
        }
        self.socket.send(&request.encode(), beside).await.map_err(|source| {
            // The reading task sees the end as well and tells everybody.
            tracing::debug!(%source, "a request did not reach the spawner");
            SpawnerError::Closed
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a reply to whoever waits for it. An error ends the conversation.
    fn dispatch(self: &Arc<Self>, reply: Reply, datagram: Datagram) -> Result<(), &'static str> {
        match reply {
            Reply::Made { ticket, cell, .. } if datagram.cut => {
                self.give_back(ticket, cell);
                Ok(())
            }
            _ if datagram.cut => Err("descriptors that do not belong here"),
            Reply::Hello { .. } => Err("a second hello"),
            Reply::Made { ticket, cell, freezer, kills, .. } => {
                let mut descriptors = datagram.descriptors;
                let kills = if kills { descriptors.pop() } else { None };
                let freezer = if freezer { descriptors.pop() } else { None };
                let Ok([runner, listener, _pidfd, memory]) = <[OwnedFd; 4]>::try_from(descriptors)
                else {
                    return Err("a cell without its descriptors");
                };
                // The pidfd is closed here: the runner's socket tells of the end as well, and an idle
                // sandbox has few descriptors to spend.
                let (sender, ended) = oneshot::channel();
                let (exits, exited) = oneshot::channel();
                let asked = {
                    let mut waiting = self.waiting();
                    waiting.ending.insert(cell, sender);
                    waiting.exiting.insert(cell, exits);
                    waiting.making.remove(&ticket)
                };
                let made = Datagrams::new(runner)
                    .map(|runner| Cell {
                        id: cell,
                        runner,
                        listener: Some(listener),
                        memory,
                        kills,
                        freezer,
                        exited,
                        ended,
                    })
                    .map_err(|err| SpawnerError::NoRoom { detail: err.to_string() });
                let usable = made.is_ok();
                let taken = asked.is_some_and(|asked| asked.send(made).is_ok());
                if !usable || !taken {
                    let spawner = Arc::clone(self);
                    tokio::spawn(async move { spawner.end(cell).await });
                }
                Ok(())
            }
            Reply::Failed { subject: Subject::Ticket(ticket), detail } => {
                let mut waiting = self.waiting();
                if let Some(asked) = waiting.making.remove(&ticket) {
                    // What a cell is made of is the same for all: what fails is short.
                    let _gone = asked.send(Err(SpawnerError::NoRoom { detail }));
                } else if let Some(asked) = waiting.templating.remove(&ticket) {
                    let _gone = asked.send(Err(SpawnerError::Failed { detail }));
                }
                Ok(())
            }
            Reply::Failed { subject: Subject::Cell(cell), detail } => {
                // One thing at a time is asked of a cell.
                let mut waiting = self.waiting();
                let asked = waiting.forking.remove(&cell);
                if let Some(asked) = asked.or_else(|| waiting.assigning.remove(&cell)) {
                    let _gone = asked.send(Err(SpawnerError::Failed { detail }));
                }
                Ok(())
            }
            Reply::Failed { subject: Subject::Template(template), detail } => {
                // There is none of that name, so it is gone.
                tracing::debug!(template = template.0, %detail, "a template was not ended");
                self.template_gone(template);
                Ok(())
            }
            Reply::TemplateReady { ticket, template } => {
                let asked = self.waiting().templating.remove(&ticket);
                if asked.is_none_or(|asked| asked.send(Ok(template)).is_err()) {
                    let spawner = Arc::clone(self);
                    tokio::spawn(async move { spawner.end_template(template).await });
                }
                Ok(())
            }
            Reply::TemplateEnded { template } => {
                self.template_gone(template);
                Ok(())
            }
            Reply::Forked { cell } => {
                if let Some(asked) = self.waiting().forking.remove(&cell) {
                    let _gone = asked.send(Ok(()));
                }
                Ok(())
            }
            Reply::Exited { cell, status } => {
                if let Some(asked) = self.waiting().exiting.remove(&cell) {
                    let _gone = asked.send(status);
                }
                Ok(())
            }
            Reply::Short { cell, detail } => {
                if let Some(asked) = self.waiting().assigning.remove(&cell) {
                    let _gone = asked.send(Err(SpawnerError::NoRoom { detail }));
                }
                Ok(())
            }
            Reply::Assigned { cell } => {
                if let Some(asked) = self.waiting().assigning.remove(&cell) {
                    let _gone = asked.send(Ok(()));
                }
                Ok(())
            }
            Reply::Ended { cell, memory_kills, peak_bytes } => {
                let mut waiting = self.waiting();
                // Whoever was assigning it learns that it is gone.
                waiting.assigning.remove(&cell);
                waiting.forking.remove(&cell);
                waiting.exiting.remove(&cell);
                self.room.notify_one();
                if waiting.quarantined.remove(&cell).is_some() {
                    METRICS.cells_quarantined.set(waiting.quarantined.len() as u64);
                    tracing::info!(cell = cell.0, "a quarantined sandbox has ended after all");
                }
                if let Some(asked) = waiting.ending.remove(&cell) {
                    let _gone = asked.send(Ended { memory_kills, peak_bytes });
                }
                Ok(())
            }
            Reply::Quarantined { cell, uid, detail } => {
                tracing::error!(cell = cell.0, uid, %detail, "a sandbox does not end: quarantined");
                let mut waiting = self.waiting();
                // One that is nobody's, because it could not even be made, takes room all the same.
                let stray = !waiting.ending.contains_key(&cell);
                waiting.quarantined.insert(cell, stray);
                METRICS.cells_quarantined.set(waiting.quarantined.len() as u64);
                Ok(())
            }
        }
    }

    /// A cell came without all of its descriptors, because this process has as many as it may have:
    /// it is ended, and whoever asked for it is told.
    fn give_back(self: &Arc<Self>, ticket: u64, cell: CellId) {
        if let Some(asked) = self.waiting().making.remove(&ticket) {
            let detail = "this process has as many descriptors as it may have".to_owned();
            let _gone = asked.send(Err(SpawnerError::NoRoom { detail }));
        }
        let spawner = Arc::clone(self);
        tokio::spawn(async move { spawner.end(cell).await });
    }

    fn close(&self) {
        {
            let mut waiting = self.waiting();
            waiting.closed = true;
            waiting.making.clear();
            waiting.assigning.clear();
            waiting.ending.clear();
            waiting.templating.clear();
            waiting.forking.clear();
            waiting.exiting.clear();
            waiting.silent_since = None;
            waiting.quarantined.clear();
        }
        self.closed.send_replace(true);
    }
}

/// Reads replies until there are no more.
async fn read(spawner: Arc<Spawner>) {
    let mut buffer = [0; MAX_MESSAGE];
    loop {
        let datagram = match spawner.socket.receive_what_fits(&mut buffer).await {
            Ok(datagram) if datagram.length == 0 => {
                if !spawner.hung_up.load(Ordering::Acquire) {
                    tracing::error!("the spawner has ended");
                }
                break;
            }
            Ok(datagram) => datagram,
            Err(err) => {
                tracing::error!(%err, "the spawner's socket failed");
                break;
            }
        };
        let reply = match Reply::decode(&buffer[..datagram.length]) {
            Ok(reply) => reply,
            Err(err) => {
                tracing::error!(%err, "the spawner said something that is not a message");
                break;
            }
        };
        if let Err(what) = spawner.dispatch(reply, datagram) {
            tracing::error!(what, "the spawner broke the protocol");
            break;
        }
        spawner.waiting().heard();
    }
    spawner.close();
}

#[cfg(test)]
mod tests;
