//! Sockets that somebody bound for us.
//!
//! A service manager may bind the sockets of a service and hand them to it as descriptors from 3 on,
//! counted in `LISTEN_FDS`, named in `LISTEN_FDNAMES`, and meant for the process `LISTEN_PID` and no
//! other (`sd_listen_fds(3)`). The sockets outlive the service: while it is restarted, connections
//! wait in them. What is not handed over is bound here.
//!
//! The variables stay in the environment: removing one is not safe in general, and whatever we start
//! gets an environment of its own. The protocol is a dozen lines, which is why no crate does it.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result, bail};
use nix::sys::socket::{AddressFamily, SockType, SockaddrLike, SockaddrStorage};
use nix::sys::socket::{getsockname, getsockopt, sockopt};
use sandbox::sys::process;

use crate::config::Config;

/// The first descriptor that is handed over, `SD_LISTEN_FDS_START`.
const FIRST: i32 = 3;
/// More than any unit of ours hands over.
const MOST: i32 = 16;
/// `FileDescriptorName=` of the management listener's unit.
const API: &str = "api";
/// `FileDescriptorName=` of the trigger listener's unit.
const HTTP: &str = "http";
/// What a socket is called that nobody named.
const UNNAMED: &str = "unknown";

/// A socket, as it was handed over.
#[derive(Debug)]
pub struct Passed {
    /// What its unit calls it.
    pub name: String,
    /// The socket; close-on-exec from here on.
    pub socket: OwnedFd,
}

/// Takes every socket that was handed to this process; to be asked once.
///
/// # Errors
/// If the variables make no sense, or a descriptor is not there.
pub fn take() -> Result<Vec<Passed>> {
    let variable = |name| std::env::var(name).ok();
    let count = count(variable("LISTEN_PID"), variable("LISTEN_FDS"), std::process::id())?;
    let names = names(variable("LISTEN_FDNAMES").unwrap_or_default().as_str(), count);
    let numbers = FIRST..FIRST + count;
    let take = |(number, name)| {
        let socket = process::inherited(number)
            .with_context(|| format!("LISTEN_FDS names descriptor {number}, which is not open"))?;
        Ok(Passed { name, socket })
    };
    numbers.zip(names).map(take).collect()
}

/// How many sockets are ours.
fn count(pid: Option<String>, count: Option<String>, own: u32) -> Result<i32> {
    let (Some(pid), Some(count)) = (pid, count) else { return Ok(0) };
    // Somebody else's: they were inherited together with the environment.
    if pid.parse() != Ok(own) {
        return Ok(0);
    }
    match count.parse() {
        Ok(count) if (0..=MOST).contains(&count) => Ok(count),
        _ => bail!("LISTEN_FDS is {count}, it must be a number up to {MOST}"),
    }
}

/// A name for each of `count` sockets.
fn names(text: &str, count: i32) -> Vec<String> {
    let given = text.split(':').filter(|name| !name.is_empty()).map(str::to_owned);
    given.chain(std::iter::repeat_with(|| UNNAMED.to_owned())).take(count as usize).collect()
}

/// The management and the trigger listener: handed over, or bound.
///
/// # Errors
/// A socket that is neither, or no listening TCP socket; an address that is taken; one beyond
/// loopback with `--dev`.
pub fn listeners(config: &Config) -> Result<(TcpListener, TcpListener)> {
    let (api, http) = sort(take()?, config.dev)?;
    let or_bound = |handed: Option<TcpListener>, address, what, flag| match handed {
        Some(listener) => Ok(listener),
        None => bind(address, what, flag),
    };
    Ok((
        or_bound(api, config.api_listen, "management", "--api-listen")?,
        or_bound(http, config.http_listen, "trigger", "--http-listen")?,
    ))
}

/// The management and the trigger listener, as far as they are among these.
fn sort(passed: Vec<Passed>, dev: bool) -> Result<(Option<TcpListener>, Option<TcpListener>)> {
    let (mut api, mut http) = (None, None);
    for Passed { name, socket } in passed {
        let place = match name.as_str() {
            API => &mut api,
            HTTP => &mut http,
            _ => {
                bail!("the service manager hands over socket `{name}`; `api` and `http` are known")
            }
        };
        let listener = listening(socket).with_context(|| format!("socket `{name}`"))?;
        let address = listener.local_addr()?;
        if dev && !address.ip().is_loopback() {
            bail!(
                "--dev accepts requests without credentials, so socket `{name}` may only listen on \
                 loopback, not on {address}"
            );
        }
        if place.replace(listener).is_some() {
            bail!("the service manager hands over two sockets called `{name}`");
        }
    }
    Ok((api, http))
}

/// A socket that is what it should be.
fn listening(socket: OwnedFd) -> Result<TcpListener> {
    let address: SockaddrStorage =
        getsockname(std::os::fd::AsRawFd::as_raw_fd(&socket)).context("is no socket")?;
    let internet = [Some(AddressFamily::Inet), Some(AddressFamily::Inet6)];
    let stream = getsockopt(&socket.as_fd(), sockopt::SockType)? == SockType::Stream;
    if !stream || !internet.contains(&address.family()) {
        bail!("is no TCP socket (ListenStream= with an address and a port makes one)");
    }
    if !getsockopt(&socket.as_fd(), sockopt::AcceptConn)? {
        bail!("does not listen (Accept=yes hands over connections instead)");
    }
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn bind(address: SocketAddr, what: &str, flag: &str) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!("the {what} listener cannot use {address}; choose another with {flag}")
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpStream, UdpSocket};

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn sockets_meant_for_another_process_are_left_alone() {
        assert_eq!(count(some("41"), some("2"), 42).expect("not ours"), 0);
        assert_eq!(count(None, some("2"), 42).expect("nobody's"), 0);
        assert_eq!(count(some("42"), None, 42).expect("none"), 0);
        assert_eq!(count(some("42"), some("2"), 42).expect("ours"), 2);
    }

    #[test]
    fn a_count_that_is_none_is_refused() {
        for wrong in ["", "-1", "two", "17", "4294967298"] {
            assert!(count(some("42"), some(wrong), 42).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_socket_has_a_name() {
        assert_eq!(names("api:http", 2), ["api", "http"]);
        assert_eq!(names("api", 2), ["api", UNNAMED]);
        assert_eq!(names("", 1), [UNNAMED]);
        assert_eq!(names("api:http:more", 1), ["api"]);
    }

    fn passed(name: &str, address: &str) -> Passed {
        let socket = TcpListener::bind(address).expect("a port").into();
        Passed { name: name.to_owned(), socket }
    }

    #[test]
    fn listeners_are_told_apart_by_name_in_whatever_order_they_come() {
        let (http, api) = (passed(HTTP, "127.0.0.1:0"), passed(API, "[::1]:0"));
        let (api, http) = sort(vec![http, api], true).expect("both");
        assert!(api.expect("one").local_addr().expect("bound").is_ipv6());
        assert!(http.expect("the other").local_addr().expect("bound").is_ipv4());
        let (api, http) = sort(vec![passed(HTTP, "127.0.0.1:0")], false).expect("one is enough");
        assert!(api.is_none() && http.is_some());
    }

    #[test]
    fn a_socket_without_a_known_name_or_with_one_twice_is_refused() {
        let one = |name| passed(name, "127.0.0.1:0");
        assert!(sort(vec![one(UNNAMED)], false).is_err());
        assert!(sort(vec![one(API), one(API)], false).is_err());
    }

    #[test]
    fn dev_mode_takes_no_socket_beyond_loopback() {
        let open = || vec![passed(API, "0.0.0.0:0")];
        let said = sort(open(), true).expect_err("anybody could call").to_string();
        assert!(said.contains("loopback"), "{said}");
        assert!(sort(open(), false).is_ok(), "with signatures they may");
    }

    #[test]
    fn only_a_listening_tcp_socket_is_served() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let connected = TcpStream::connect(listener.local_addr().expect("bound")).expect("itself");
        let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let (pipe, _other) = std::io::pipe().expect("a pipe");
        let said = |socket: OwnedFd| format!("{:#}", listening(socket).expect_err("refused"));
        assert!(said(connected.into()).contains("does not listen"));
        assert!(said(datagrams.into()).contains("no TCP socket"));
        assert!(said(pipe.into()).contains("no socket"));
        assert!(listening(listener.into()).is_ok());
    }
}
