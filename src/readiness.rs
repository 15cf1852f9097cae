//! What a service manager is told: that we are ready, alive, busy ending.
//!
//! `sd_notify(3)` is one datagram of `NAME=value` lines to the socket that `NOTIFY_SOCKET` names; who
//! sent it the manager knows from the kernel. Where nobody wants to know, nothing is sent, and a
//! message that does not arrive is no reason to stop serving: the manager draws its conclusions.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The way to the service manager, if there is one.
#[derive(Debug)]
pub struct Readiness {
    manager: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

// === impl Readiness ===

impl Readiness {
    /// From the environment.
    ///
    /// # Errors
    /// If a variable makes no sense. Better said at once than found out by the manager's patience.
    pub fn from_env() -> Result<Self> {
        let Some(path) = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()) else {
            return Ok(Self { manager: None, watchdog: None });
        };
        let variable = |name| std::env::var(name).ok();
        let (micros, pid) = (variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
        let watchdog = watchdog(micros, pid, std::process::id())?;
        let socket = UnixDatagram::unbound().context("no socket to the service manager")?;
        // A manager that does not read must not hold us up.
        socket.set_nonblocking(true)?;
        Ok(Self { manager: Some((socket, address(&path)?)), watchdog })
    }

    /// How often the manager wants to hear that we are alive.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Requests are served.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}\n"));
    }

    /// Requests in hand are finished, which may take this long.
    pub fn stopping(&self, within: Duration) {
        let micros = within.as_micros();
        self.tell(&format!("STOPPING=1\nSTATUS=finishing\nEXTEND_TIMEOUT_USEC={micros}\n"));
    }

    /// Something that takes time goes on; the next word comes within `within`.
    pub fn waiting(&self, status: &str, within: Duration) {
        self.tell(&format!("STATUS={status}\nEXTEND_TIMEOUT_USEC={}\n", within.as_micros()));
    }

    /// All is well.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1\n");
    }

    fn tell(&self, message: &str) {
        let Some((socket, manager)) = &self.manager else { return };
        if let Err(err) = socket.send_to_addr(message.as_bytes(), manager) {
            tracing::warn!(%err, "the service manager cannot be told how we are");
        }
    }
}

/// A path, or with `@` in front a name in the abstract namespace.
fn address(path: &OsString) -> Result<SocketAddr> {
    match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(path),
        _ => bail!("NOTIFY_SOCKET is {}, which is no Unix socket", path.display()),
    }
    .with_context(|| format!("NOTIFY_SOCKET is {}", path.display()))
}

/// The watchdog's period, if it watches over this process.
fn watchdog(micros: Option<String>, pid: Option<String>, own: u32) -> Result<Option<Duration>> {
    let Some(micros) = micros else { return Ok(None) };
    if pid.is_some_and(|pid| pid.parse() != Ok(own)) {
        return Ok(None);
    }
    match micros.parse() {
        Ok(micros) if micros > 0 => Ok(Some(Duration::from_micros(micros))),
        _ => bail!("WATCHDOG_USEC is {micros}, it must be a number of microseconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_watchdog_over_another_process_is_not_ours() {
        let period = Duration::from_secs(30);
        let micros = || some("30000000");
        assert_eq!(watchdog(micros(), some("42"), 42).expect("ours"), Some(period));
        assert_eq!(watchdog(micros(), None, 42).expect("anybody's"), Some(period));
        assert_eq!(watchdog(micros(), some("41"), 42).expect("another's"), None);
        assert_eq!(watchdog(None, some("42"), 42).expect("none"), None);
        assert!(watchdog(some("0"), None, 42).is_err());
        assert!(watchdog(some("soon"), None, 42).is_err());
    }

    #[test]
    fn a_manager_is_reached_by_path_or_by_abstract_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).expect("a socket");
        let name = format!("@hearth-test-{}", std::process::id());
        let there = address(&name.clone().into()).expect("a name");
        let by_name = UnixDatagram::bind_addr(&there).expect("a socket");
        for (socket, written) in [(by_path, path.into_os_string()), (by_name, name.into())] {
            let manager = Some((
                UnixDatagram::unbound().expect("a socket"),
                address(&written).expect("an address"),
            ));
            Readiness { manager, watchdog: None }.ready("serving");
            let mut buffer = [0; 64];
            let length = socket.recv(&mut buffer).expect("a message");
            assert_eq!(&buffer[..length], b"READY=1\nSTATUS=serving\n");
        }
    }

    #[test]
    fn what_is_no_socket_is_refused() {
        assert!(address(&"notify".into()).is_err());
        let long = format!("/{}", "x".repeat(200));
        assert!(address(&long.into()).is_err());
    }
}
