//! The link to a function's process: an event down, an answer up.
//!
//! The task that has an event writes it itself and reads the answer itself. In the common case that
//! is three system calls: a read that finds nothing (the instance has said nothing since its last
//! answer), one `sendmsg` of head and payload, and, when the reactor says so, one read of the whole
//! answer into a buffer of the thread.
//!
//! The peer runs a stranger's code. What it sends is taken apart by [`Incoming`], which looks at the
//! eight bytes of a header before it allocates for what they announce; anything that is not exactly
//! one frame of a kind that may come now is a [`LinkError`], and the instance is ended for it.

mod incoming;

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, OwnedFd};

use bytes::Bytes;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use wire::DecodeError;
use wire::link::{Invoke, Kind};

use crate::socket::watched;
pub(crate) use incoming::Incoming;

/// Our end of a link.
#[derive(Debug)]
pub(crate) struct Link {
    socket: AsyncFd<OwnedFd>,
}

/// What is left of an event that the socket did not take at once.
#[derive(Debug)]
pub(crate) struct Outgoing {
    head: Vec<u8>,
    payload: Bytes,
    sent: usize,
}

/// Whether an instance has kept quiet since its last answer.
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
        Ok(Self { socket: watched(socket)? })
    }

    /// Whether the instance has said nothing since its last answer. Asks the kernel, not the
    /// reactor, which may not have looked yet.
    pub(crate) fn quiet(&self) -> Quiet {
        let mut byte = [0; 1];
        let mut look = |fd: &OwnedFd| Ok(rustix::net::recv(fd, &mut byte[..], FLAGS)?.1);
        // Through the reactor if it believes there is something: finding nothing then takes the
        // belief away, and waiting for the answer will not begin with a needless read.
        let mut asked = false;
        let seen = self.socket.try_io(Interest::READABLE, |fd| {
            asked = true;
            look(fd)
        });
        let seen = if asked { seen } else { look(self.socket.get_ref()) };
        match seen {
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Quiet::Yes,
            Ok(0) | Err(_) => Quiet::Gone,
            Ok(_) => Quiet::No,
        }
    }

    /// Writes an event; what the socket does not take at once is given back.
    ///
    /// # Errors
    /// If nothing can be written because the instance is gone.
    pub(crate) fn write(
        &self,
        event: &Invoke<'_>,
        payload: &Bytes,
    ) -> Result<Option<Outgoing>, LinkError> {
        HEAD.with_borrow_mut(|head| {
            head.clear();
            event.encode_head_into(head);
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

    /// Reads one frame. Can be dropped and called again with the same `incoming`.
    pub(crate) async fn read(&self, incoming: &mut Incoming) -> Result<(Kind, Bytes), LinkError> {
        loop {
            if let Some(frame) = incoming.take()? {
                return Ok(frame);
            }
            let mut guard = self.socket.readable().await?;
            match guard.try_io(|fd| incoming.fill(fd.get_ref().as_fd())) {
                Ok(Ok(0)) => return Err(LinkError::Closed),
                Ok(Err(err)) if err.kind() == io::ErrorKind::Interrupted => {}
                Ok(done) => drop(done?),
                Err(_would_block) => {}
            }
        }
    }

    /// Ends the conversation from our side: whoever reads or writes learns it at once.
    pub(crate) fn shut(&self) {
        // It fails if the peer is gone already, which is the same.
        let _gone = rustix::net::shutdown(self.socket.get_ref(), Shutdown::Both);
    }

    fn send(&self, head: &[u8], payload: &[u8]) -> io::Result<usize> {
        let parts = [IoSlice::new(head), IoSlice::new(payload)];
        let mut none = SendAncillaryBuffer::default();
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(rustix::net::sendmsg(self.socket.get_ref(), &parts, &mut none, flags)?)
    }
}

const FLAGS: RecvFlags = RecvFlags::DONTWAIT;

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
