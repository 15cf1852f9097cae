//! Datagrams with descriptors beside them, and the pairs and pipes an instance is given.
//!
//! Everything is close-on-exec from the moment it exists. The control plane's ends never block;
//! the other ends do, because a function's program expects its output to be an ordinary pipe.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::{setsockopt_impl, sockopt_impl};
use rustix::fs::Mode;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::pipe::PipeFlags;
use tokio::io::unix::AsyncFd;

/// Most descriptors one datagram brings.
const MOST: usize = wire::spawner::MADE_DESCRIPTORS;

/// `SO_PASSRIGHTS` (Linux 6.16): whether descriptors may arrive on a socket at all. The number is
/// the same on every architecture that has the generic list of socket options.
const SO_PASSRIGHTS: libc::c_int = 83;

sockopt_impl!(
    /// Whether descriptors may be passed to this socket.
    PassRights,
    SetOnly,
    libc::SOL_SOCKET,
    self::SO_PASSRIGHTS,
    bool
);

/// One end of a `SEQPACKET` socket.
#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: AsyncFd<OwnedFd>,
}

/// One datagram that was received; empty when the other end is closed.
#[derive(Debug)]
pub(crate) struct Datagram {
    /// How many bytes of the buffer it fills.
    pub(crate) length: usize,
    /// What came beside it.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Whether more should have come: this process has as many as it may have.
    pub(crate) cut: bool,
}

// === impl Datagrams ===

impl Datagrams {
    /// Takes over a socket.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self { socket: watched(socket)? })
    }

    /// Sends one datagram; waits while the socket is full.
    pub(crate) async fn send(
        &self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        loop {
            // The common case first: there is room, and no need to ask the reactor.
            match send_now(self.socket.get_ref().as_fd(), bytes, descriptors) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
                done => return done,
            }
            let mut guard = self.socket.writable().await?;
            let attempt = guard.try_io(|fd| send_now(fd.as_fd(), bytes, descriptors));
            if let Ok(done) = attempt {
                return done;
            }
        }
    }

    /// Receives one datagram. A datagram that was cut, or whose descriptors were, is an error.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        let datagram = self.receive_what_fits(buffer).await?;
        if datagram.cut { Err(io::ErrorKind::InvalidData.into()) } else { Ok(datagram) }
    }

    /// The same from a peer that is not to blame if there is no room for its descriptors:
    /// [`Datagram::cut`] tells.
    pub(crate) async fn receive_what_fits(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        loop {
            let mut guard = self.socket.readable().await?;
            match guard.try_io(|fd| receive_now(fd.as_fd(), buffer)) {
                Ok(Err(err)) if err.kind() == io::ErrorKind::Interrupted => {}
                Ok(done) => return done,
                Err(_would_block) => {}
            }
        }
    }

    /// The socket once more, for a test that says what nobody should.
    #[cfg(test)]
    pub(crate) fn duplicate(&self) -> OwnedFd {
        self.socket.get_ref().try_clone().expect("a descriptor")
    }

    /// Ends both directions, for whoever else holds the socket too; the peer sees its end.
    pub(crate) fn shut_down(&self) {
        // It fails if the peer is gone already, which is the same.
        let _gone = rustix::net::shutdown(self.socket.get_ref(), rustix::net::Shutdown::Both);
    }
}

fn send_now(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)?;
    Ok(())
}

fn receive_now(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Datagram> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let got = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, flags)?;
    // Taken out first: whatever is wrong with the message, what came with it is closed.
    let descriptors: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect();
    if got.flags.contains(ReturnFlags::TRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let cut = got.flags.contains(ReturnFlags::CTRUNC);
    Ok(Datagram { length: got.bytes, descriptors, cut })
}

/// Lets the reactor watch a descriptor that does not block.
#[expect(
    deprecated,
    reason = "what replaces it is unsafe, for types whose descriptor may close or change; \
              an `OwnedFd` is none of them"
)]
pub(crate) fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(descriptor)
}

/// A connected pair of streams: our end, which does not block and takes no descriptors, and the
/// function's.
pub(crate) fn link_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    // A kernel before 6.16 does not know the option; there descriptors that are sent are dropped
    // by every read, which brings no room for them.
    match nix::sys::socket::setsockopt(&ours, PassRights, &false) {
        Ok(()) | Err(nix::errno::Errno::ENOPROTOOPT) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok((ours, theirs))
}

/// Sends a descriptor over a stream, with one byte that says nothing.
pub(crate) fn send_descriptor(
    stream: BorrowedFd<'_>,
    descriptor: BorrowedFd<'_>,
) -> io::Result<()> {
    send_now(stream, &[0], &[descriptor])
}

/// A pipe: our end, which does not block, and the function's.
///
/// Programs open what they print to by name, `/dev/stderr` or `/proc/self/fd/1`, and for that the
/// kernel asks the pipe's mode as it does a file's. The pipe belongs to the control plane's user, so to
/// a function it is somebody else's, which may write and no more: what others in the sandbox printed is
/// not to be read back out of it.
pub(crate) fn log_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    // Both ends are one inode. Group and others alike: neither id of a function is one of ours.
    rustix::fs::fchmod(&theirs, Mode::from_raw_mode(0o622))?;
    Ok((ours, theirs))
}

#[cfg(test)]
mod tests;
