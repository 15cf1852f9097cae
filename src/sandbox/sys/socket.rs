//! Sockets: datagrams with descriptors beside them, the inner listener, the loopback interface.
//!
//! Receiving is written out by hand because what matters is what happens when it goes wrong: a
//! message with more descriptors than were asked for must not leave any of them open, and one that
//! was cut must never be taken for a whole one.

use std::io::IoSlice;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, SockaddrIn, bind, listen,
    sendmsg, socket, socketpair,
};

/// Most descriptors the kernel puts beside one message (`SCM_MAX_FD`).
const MOST_DESCRIPTORS: usize = 253;
/// Bytes of control data that hold them: a header and 253 numbers, rounded up to whole headers.
const CONTROL_BYTES: usize = 1040;
/// `SO_PASSRIGHTS`, Linux 6.16; `libc` does not name it yet.
const SO_PASSRIGHTS: libc::c_int = 83;

/// One datagram and what came beside it.
#[derive(Debug)]
pub struct Datagram {
    /// How many bytes of the buffer it filled; 0 when the other end is closed.
    pub length: usize,
    /// Close-on-exec, in the order they were sent.
    pub descriptors: Vec<OwnedFd>,
    /// Whether there were more, for which this process has no room: it has as many as it may have.
    pub cut: bool,
}

/// Why a datagram was not received. Whatever descriptors came with it are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// The call failed; `EAGAIN` when nothing is there.
    #[error("recvmsg: {0}")]
    Failed(Errno),
    /// It is longer than the buffer.
    #[error("a datagram is longer than {limit} bytes")]
    TooLong {
        /// Size of the buffer.
        limit: usize,
    },
    /// More descriptors came with it than its receiver asked for.
    #[error("a datagram carries more than {limit} descriptors")]
    TooManyDescriptors {
        /// How many were asked for.
        limit: usize,
    },
    /// This process has no room for the descriptors that came with it.
    #[error("there is no room for the descriptors of a datagram: the limit of open files")]
    NoRoom,
}

/// Two connected `SEQPACKET` sockets.
///
/// # Errors
/// What `socketpair` returns.
pub fn pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// Makes the kernel refuse descriptors that the peer sends to this socket, before they arrive.
///
/// Returns whether the kernel can: Linux 6.16 and later. Earlier ones leave it to the receiver not
/// to ask for any, which drops them.
///
/// # Errors
/// What `setsockopt` returns, except that the option is unknown.
pub fn refuse_descriptors(socket: BorrowedFd<'_>) -> nix::Result<bool> {
    let off: libc::c_int = 0;
    // SAFETY: `off` is readable for the length given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PASSRIGHTS,
            (&raw const off).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    match Errno::result(result) {
        Ok(_) => Ok(true),
        Err(Errno::ENOPROTOOPT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Sends one datagram; never waits when `wait` is false, and never raises `SIGPIPE`.
///
/// # Errors
/// What `sendmsg` returns: `EAGAIN` when the peer has not read what was sent before, `EPIPE` when it
/// is gone.
pub fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    wait: bool,
) -> nix::Result<()> {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let beside = if numbers.is_empty() { &[][..] } else { &rights[..] };
    let mut flags = MsgFlags::MSG_NOSIGNAL;
    if !wait {
        flags |= MsgFlags::MSG_DONTWAIT;
    }
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], beside, flags, None).map(drop)
}

/// Receives one datagram with at most `most` descriptors; never waits when `wait` is false.
///
/// # Errors
/// [`ReceiveError`].
pub fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    most: usize,
    wait: bool,
) -> Result<Datagram, ReceiveError> {
    let datagram = receive_what_fits(socket, buffer, most, wait)?;
    if datagram.cut { Err(ReceiveError::NoRoom) } else { Ok(datagram) }
}

/// The same, from a peer that is not to blame where there is no room for its descriptors:
/// [`Datagram::cut`] tells.
///
/// # Errors
/// [`ReceiveError`], but for [`ReceiveError::NoRoom`].
pub fn receive_what_fits(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    most: usize,
    wait: bool,
) -> Result<Datagram, ReceiveError> {
    /// Control data must be aligned like its header.
    #[repr(C, align(8))]
    struct Control([u8; CONTROL_BYTES]);
    let mut control = Control([0; CONTROL_BYTES]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: `msghdr` is plain data for which all zeroes is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL_BYTES as _;
    let flags = libc::MSG_CMSG_CLOEXEC | if wait { 0 } else { libc::MSG_DONTWAIT };
    let length = loop {
        // SAFETY: `message` points to `buffer` and `control`, both writable and alive, with their
        // true lengths.
        let result = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
        match Errno::result(result) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(ReceiveError::Failed(errno)),
            Ok(length) => break length.cast_unsigned(),
        }
    };
    // Own them before anything else is decided: whatever is refused below is closed by that.
    let descriptors = adopt(&message);
    if message.msg_flags & libc::MSG_TRUNC != 0 {
        return Err(ReceiveError::TooLong { limit: buffer.len() });
    }
    if descriptors.len() > most {
        return Err(ReceiveError::TooManyDescriptors { limit: most });
    }
    // The buffer holds as many as one message can bring, so it is not that which was too small.
    let cut = message.msg_flags & libc::MSG_CTRUNC != 0;
    Ok(Datagram { length, descriptors, cut })
}

fn adopt(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    // SAFETY: `message` was filled in by a successful recvmsg and its buffers are still alive, which
    // is what the walk over its control headers requires.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: a non-null header lies inside the control buffer, aligned.
        let (level, kind, length) =
            unsafe { ((*header).cmsg_level, (*header).cmsg_type, (*header).cmsg_len as usize) };
        if level == libc::SOL_SOCKET && kind == libc::SCM_RIGHTS {
            // SAFETY: pure arithmetic on the size of a header.
            let head = unsafe { libc::CMSG_LEN(0) } as usize;
            let count = (length.saturating_sub(head) / size_of::<RawFd>()).min(MOST_DESCRIPTORS);
            // SAFETY: the header is inside the buffer, its data follows it.
            let data = unsafe { libc::CMSG_DATA(header) };
            for index in 0..count {
                // SAFETY: the kernel wrote `count` descriptor numbers behind the header; they are
                // not necessarily aligned for `c_int`, hence the unaligned read. Each is new and
                // ours alone.
                let fd = unsafe {
                    let number = data.cast::<RawFd>().add(index).read_unaligned();
                    OwnedFd::from_raw_fd(number)
                };
                descriptors.push(fd);
            }
        }
        // SAFETY: `header` is one of `message`'s own headers.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    descriptors
}

/// A non-blocking listener on `127.0.0.1` in the network namespace this process is in.
///
/// # Errors
/// What `socket`, `bind` or `listen` return.
pub fn listen_on_loopback(port: u16, backlog: i32) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listener = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
    let address = Ipv4Addr::LOCALHOST.octets();
    let address = SockaddrIn::new(address[0], address[1], address[2], address[3], port);
    bind(listener.as_raw_fd(), &address)?;
    listen(&listener, Backlog::new(backlog)?)?;
    Ok(listener)
}

/// Brings the loopback interface of this network namespace up.
///
/// Without it `bind` and `listen` succeed and every `connect` says "network is unreachable".
///
/// # Errors
/// What `socket` or `ioctl(SIOCSIFFLAGS)` return.
pub fn loopback_up() -> nix::Result<()> {
    let any = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: `ifreq` is plain data for which all zeroes is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed() as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, which `request` is.
    let result =
        unsafe { libc::ioctl(any.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    Errno::result(result).map(drop)
}
