//! The control plane's end of the conversation: requests in, replies out, neither ever waited for.
//!
//! A reply that does not fit into the socket is kept, and nothing more is read until it is gone: a
//! control plane that does not listen is not listened to, so what is kept stays bounded by what it
//! asked for.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use sandbox::sys::socket::{self, ReceiveError};
use wire::spawner::{FORK_DESCRIPTORS, MAX_MESSAGE, Reply, Request};

/// The socket, and what could not be sent yet.
#[derive(Debug)]
pub(crate) struct Control {
    socket: OwnedFd,
    unsent: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
}

/// Why the conversation is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// The control plane is gone.
    #[error("the control plane closed its socket")]
    Closed,
    /// The socket failed.
    #[error("the control plane's socket")]
    Socket(#[source] Errno),
    /// A message with too much in it or beside it.
    #[error("the control plane broke the protocol")]
    Datagram(#[source] ReceiveError),
    /// A message that is not a request.
    #[error("the control plane broke the protocol")]
    Request(#[source] wire::DecodeError),
    /// A request with other descriptors beside it than it has.
    #[error("the control plane broke the protocol: {count} descriptors beside a request")]
    Descriptors { count: usize },
}

/// A request and what came beside it; nothing where there was no room for that.
pub(crate) type Asked = (Request, Vec<OwnedFd>);

// === impl Control ===

impl Control {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket, unsent: VecDeque::new() }
    }

    /// The next request, if there is one and every reply has been sent.
    pub(crate) fn hear(&self) -> Result<Option<Asked>, ControlError> {
        if !self.unsent.is_empty() {
            return Ok(None);
        }
        let mut buffer = [0; MAX_MESSAGE];
        // One that a request does not have is closed, and the conversation over.
        let most = FORK_DESCRIPTORS;
        let received = socket::receive_what_fits(self.socket.as_fd(), &mut buffer, most, false);
        let datagram = match received {
            Ok(datagram) if datagram.length == 0 => return Err(ControlError::Closed),
            Ok(datagram) => datagram,
            Err(ReceiveError::Failed(Errno::EAGAIN)) => return Ok(None),
            Err(ReceiveError::Failed(Errno::ECONNRESET)) => return Err(ControlError::Closed),
            Err(ReceiveError::Failed(errno)) => return Err(ControlError::Socket(errno)),
            Err(err) => return Err(ControlError::Datagram(err)),
        };
        let request = Request::decode(&buffer[..datagram.length]).map_err(ControlError::Request)?;
        match datagram.descriptors.len() {
            // There was no room for them here: the request is refused, and nobody broke anything.
            _ if datagram.cut && request.descriptors() > 0 => Ok(Some((request, Vec::new()))),
            count if count == request.descriptors() => Ok(Some((request, datagram.descriptors))),
            count => Err(ControlError::Descriptors { count }),
        }
    }

    /// Sends a reply, now or as soon as there is room.
    pub(crate) fn say(&mut self, reply: &Reply, beside: Vec<OwnedFd>) -> Result<(), ControlError> {
        self.unsent.push_back((reply.encode(), beside));
        self.flush()
    }

    /// Sends what there is room for.
    pub(crate) fn flush(&mut self) -> Result<(), ControlError> {
        while let Some((bytes, beside)) = self.unsent.front() {
            let beside: Vec<BorrowedFd<'_>> = beside.iter().map(AsFd::as_fd).collect();
            match socket::send(self.socket.as_fd(), bytes, &beside, false) {
                Ok(()) => {}
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(ControlError::Closed),
                Err(errno) => return Err(ControlError::Socket(errno)),
            }
            self.unsent.pop_front();
        }
        Ok(())
    }

    /// Whether something waits to be sent.
    pub(crate) fn is_stuck(&self) -> bool {
        !self.unsent.is_empty()
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
