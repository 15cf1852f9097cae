//! The link to a function's process: an event down, an answer up.
//!
//! The task that has an event writes it itself and reads the answer itself. In the common case that
//! is two system calls: one `sendmsg` of head and payload, and, when the reactor says so, one read of
//! the whole answer into a buffer of the thread.
//!
//! The peer runs a stranger's code. What it sends is taken apart by [`Incoming`], which looks at the
//! eight bytes of a header before it allocates for what they announce; anything that is not exactly
//! one frame of a kind that may come now is a [`LinkError`], and the instance is ended for it.
//!
//! An answer carries the sequence number of its event, and [`Link::answer`] takes no other: what a
//! function says twice, or too late, never becomes the answer to somebody else's event, whenever it
//! arrives. Before an event is written [`Link::quiet`] asks what the reactor has seen meanwhile, which
//! costs nothing: an instance that is found to have spoken or gone loses the event to another instance,
//! and the caller notices nothing. Asking the kernel as well would cost every event a system call to
//! spare a caller in the microseconds the reactor has not caught up with, and only one whose function
//! writes on the link itself; that caller gets an error.
//!
//! The numbers guard against accidents. A function that wants its callers to get each other's answers
//! needs no link for it: it sees every event and answers what it likes.

mod incoming;

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bytes::Bytes;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use wire::DecodeError;
use wire::link::{Header, Invoke, Kind, MAX_SEQUENCE};

use crate::socket::watched;
use incoming::Filled;
pub(crate) use incoming::Incoming;

/// Our end of a link.
#[derive(Debug)]
pub(crate) struct Link {
    socket: AsyncFd<OwnedFd>,
    /// The sequence number of the last event. One event at a time: whoever has been given the instance
    /// for one is the only one to draw a number, or to read an answer.
    sequence: AtomicU32,
    /// Whether the peer was found to have gone without reading all that was written to it.
    unread: AtomicBool,
}

/// What is left of an event that the socket did not take at once.
#[derive(Debug)]
pub(crate) struct Outgoing {
    head: Vec<u8>,
    payload: Bytes,
    sent: usize,
}

/// Whether an instance has kept quiet since its last answer, as far as the reactor has seen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Quiet {
    /// It has.
    Yes,
    /// It has said something unasked.
    No,
    /// It is gone.
    Gone,
}

/// What an instance did that it must not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinkError {
    /// It closed its end, or its process is gone.
    #[error("the connection was closed")]
    Closed,
    /// The socket failed.
    #[error("the connection failed: {kind}")]
    Failed {
        /// How.
        kind: io::ErrorKind,
    },
    /// Not a frame.
    #[error("{source}")]
    Malformed {
        /// Why not.
        source: DecodeError,
    },
    /// A frame that may not come now.
    #[error("an unexpected frame of kind {kind:?}")]
    Unexpected {
        /// Which.
        kind: Kind,
    },
    /// Bytes after an answer.
    #[error("more than one answer to one event")]
    TwoAnswers,
    /// An answer with the sequence number of another event.
    #[error("an answer to another event")]
    OtherEvent,
    /// It speaks another version.
    #[error("version {theirs} of the protocol")]
    Version {
        /// Which.
        theirs: u16,
    },
}

thread_local! {
    /// Where the heads of events are put together.
    static HEAD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

// === impl Link ===

impl Link {
    /// Takes over our end, which must not block.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        // Begun anywhere, so that a number from one instance's life means nothing in another's.
        let [a, b, c, ..] = model::id::random_bytes();
        let sequence = AtomicU32::new(u32::from_le_bytes([a, b, c, 0]));
        Ok(Self { socket: watched(socket)?, sequence, unread: AtomicBool::new(false) })
    }

    /// Whether the instance has said nothing since its last answer. Asks the reactor, and the kernel
    /// only if the reactor believes that there is something.
    pub(crate) fn quiet(&self) -> Quiet {
        let mut byte = [0; 1];
        // Finding nothing takes the belief away, and waiting for the answer will not begin with a
        // needless read.
        let seen = self
            .socket
            .try_io(Interest::READABLE, |fd| Ok(rustix::net::recv(fd, &mut byte[..], FLAGS)?.1));
        match seen {
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Quiet::Yes,
            Ok(0) | Err(_) => Quiet::Gone,
            Ok(_) => Quiet::No,
        }
    }

    /// Writes an event under a new sequence number; what the socket does not take at once is given
    /// back.
    ///
    /// # Errors
    /// If nothing of it has been written, because the instance is gone.
    pub(crate) fn write(
        &self,
        event: &Invoke<'_>,
        payload: &Bytes,
    ) -> Result<Option<Outgoing>, LinkError> {
        HEAD.with_borrow_mut(|head| {
            head.clear();
            event.encode_head_into(self.draw(), head);
            let sent = match self.send(head, payload) {
                Ok(sent) => sent,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => 0,
                Err(err) => return Err(LinkError::from(err)),
            };
            if sent == head.len() + payload.len() {
                return Ok(None);
            }
            Ok(Some(Outgoing { head: head.clone(), payload: payload.clone(), sent }))
        })
    }

    /// Writes what is left of an event. Can be dropped and called again.
    pub(crate) async fn write_rest(&self, out: &mut Outgoing) -> Result<(), LinkError> {
        while out.sent < out.head.len() + out.payload.len() {
            let mut guard = self.socket.writable().await?;
            let head = out.head.get(out.sent..).unwrap_or_default();
            let payload = &out.payload[out.sent.saturating_sub(out.head.len())..];
            match guard.try_io(|_| self.send(head, payload)) {
                Ok(sent) => out.sent += sent?,
                Err(_would_block) => {}
            }
        }
        Ok(())
    }

    /// Reads the answer to the event that was written last. Can be dropped and called again with the
    /// same `incoming`.
    ///
    /// # Errors
    /// Whatever else comes.
    pub(crate) async fn answer(&self, incoming: &mut Incoming) -> Result<(Kind, Bytes), LinkError> {
        let (header, body) = self.frame(incoming).await?;
        if !header.kind.has_event() {
            return Err(LinkError::Unexpected { kind: header.kind });
        }
        if header.sequence != self.sequence.load(Ordering::Relaxed) {
            return Err(LinkError::OtherEvent);
        }
        Ok((header.kind, body))
    }

    /// Writes one frame that belongs to no event: what makes a spare a function's.
    ///
    /// # Errors
    /// If it is not taken whole, at once: a spare reads nothing else, so there is room for it.
    pub(crate) fn assign(&self, frame: &[u8]) -> Result<(), LinkError> {
        match self.send(frame, &[])? {
            sent if sent == frame.len() => Ok(()),
            _ => Err(LinkError::Failed { kind: io::ErrorKind::WriteZero }),
        }
    }

    /// Whether the peer went away before it had read all that was written to it, as far as has been
    /// found when it was read from.
    pub(crate) fn was_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Reads one frame that belongs to no event. Can be dropped and called again with the same
    /// `incoming`.
    pub(crate) async fn read(&self, incoming: &mut Incoming) -> Result<(Kind, Bytes), LinkError> {
        let (header, body) = self.frame(incoming).await?;
        Ok((header.kind, body))
    }

    async fn frame(&self, incoming: &mut Incoming) -> Result<(Header, Bytes), LinkError> {
        // What came behind the last frame.
        if let Some(frame) = incoming.take()? {
            return Ok(frame);
        }
        loop {
            let mut guard = self.socket.readable().await?;
            let filled = match guard.try_io(|fd| incoming.fill(fd.get_ref().as_fd())) {
                Ok(Ok(Filled { count: 0, .. })) => return Err(LinkError::Closed),
                Ok(Err(err)) if err.kind() == io::ErrorKind::Interrupted => continue,
                Ok(Err(err)) => {
                    // A socket that is closed with something in it says so to its peer, once.
                    let reset = err.kind() == io::ErrorKind::ConnectionReset;
                    self.unread.fetch_or(reset, Ordering::Relaxed);
                    return Err(err.into());
                }
                Ok(Ok(filled)) => filled,
                Err(_would_block) => continue,
            };
            if let Some(frame) = incoming.take()? {
                // A read that could have taken more has emptied the socket, and whatever comes now the
                // reactor hears of: its belief goes, or `quiet` would have to ask the kernel.
                if filled.emptied {
                    guard.clear_ready();
                }
                return Ok(frame);
            }
        }
    }

    /// Ends the conversation from our side: whoever reads or writes learns it at once.
    pub(crate) fn shut(&self) {
        // It fails if the peer is gone already, which is the same.
        let _gone = rustix::net::shutdown(self.socket.get_ref(), Shutdown::Both);
    }

    /// The next sequence number: one more than the last, and 1 behind the largest.
    fn draw(&self) -> u32 {
        let next = match self.sequence.load(Ordering::Relaxed) {
            MAX_SEQUENCE.. => 1,
            last => last + 1,
        };
        self.sequence.store(next, Ordering::Relaxed);
        next
    }

    fn send(&self, head: &[u8], payload: &[u8]) -> io::Result<usize> {
        let parts = [IoSlice::new(head), IoSlice::new(payload)];
        let mut none = SendAncillaryBuffer::default();
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(rustix::net::sendmsg(self.socket.get_ref(), &parts, &mut none, flags)?)
    }
}

const FLAGS: RecvFlags = RecvFlags::DONTWAIT;

/// Reads the first thing a bootstrap says.
///
/// # Errors
/// Anything else, or another version of it.
pub(crate) async fn hello(link: &Link, incoming: &mut Incoming) -> Result<(), LinkError> {
    let (kind, body) = link.read(incoming).await?;
    if kind != Kind::Hello {
        return Err(LinkError::Unexpected { kind });
    }
    match body.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes)) {
        wire::VERSION => Ok(()),
        theirs => Err(LinkError::Version { theirs }),
    }
}

// === impl LinkError ===

impl From<io::Error> for LinkError {
    fn from(err: io::Error) -> Self {
        match err.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Closed,
            kind => Self::Failed { kind },
        }
    }
}

impl From<DecodeError> for LinkError {
    fn from(source: DecodeError) -> Self {
        Self::Malformed { source }
    }
}

#[cfg(test)]
mod tests;
