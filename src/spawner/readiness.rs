//! One word to a service manager: that the spawner is up.
//!
//! `sd_notify(3)` is a datagram to a socket that the manager names. The outer process sends it, the only
//! one of the spawner's that the manager knows. There is no second word: of the end it learns by the
//! end.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends `READY=1`, and what people read in `systemctl status`.
///
/// # Errors
/// What making an address or a socket, or sending, returns. No reason to end: the manager waits in vain
/// and does what its operator wants done then.
pub(crate) fn tell(manager: &OsStr, status: &str) -> io::Result<()> {
    let address = match manager.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(manager)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(format!("READY=1\nSTATUS={status}\n").as_bytes(), &address).map(drop)
}
