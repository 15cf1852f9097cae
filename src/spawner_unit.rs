//! `hearth spawner`: the privileged half of the service, from the accepted connection to the spawner.
//!
//! ```text
//!   service manager listens ──► first connection ──► hearth spawner (root)
//!     accept one ─► is the peer user hearth? ─► directories, image ─► becomes the spawner, with the
//!        │                │ no: closed, the next                      connection as descriptor 3
//!        └ nobody comes: ends
//! ```
//!
//! The connection is accepted before anything can fail, so that whoever waits learns of a failure by its
//! end, and the service manager does not see it waiting still and start us over and over. Further
//! connections wait in the manager's socket, until this process has ended and a fresh one is started
//! for them: one peer, one spawner.
//!
//! Everything the spawner is told comes from the operator: arguments and configuration. The peer's word
//! counts for nothing, and in its data directory root acts with the peer's rights (`split`).

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockType, SockaddrLike, UnixAddr};
use nix::sys::socket::{getsockname, getsockopt, sockopt};
use nix::unistd::{Uid, geteuid, setgroups};

use crate::activation::{self, Passed};
use crate::args::SpawnerUnit;
use crate::config::Config;
use crate::exit::Exit;
use crate::output;
use crate::split::{self, User};

/// How long to wait for a peer. It is there already, unless somebody started the service by hand.
const PATIENCE: Duration = Duration::from_secs(60);

/// Accepts the control plane and becomes its spawner; returns only if nobody came.
///
/// # Errors
/// Each says what failed and what to do about it.
pub fn run(args: &SpawnerUnit) -> Result<Exit> {
    if !geteuid().is_root() {
        bail!("hearth spawner is what hearth-spawner.service runs, as root");
    }
    let listener = listener()?;
    let user = User::find()?;
    let Some(peer) = accept(&listener, user.uid)? else {
        output::say("nobody connected; the socket starts this service when somebody does");
        return Ok(Exit::Done);
    };
    drop(listener);

    setgroups(&[]).context("supplementary groups stay")?;
    let mut config = Config::for_spawner(args)?;
    user.directories(&mut config)?;
    let (instance, code) =
        user.act(|| Ok((split::instance(&config.data_dir)?, split::code_dir(&config.data_dir)?)))?;
    let image = split::host_image(&config)?;
    user.act(|| note(&split::image_note(&config.data_dir), &image.digest.hex()))?;

    let (mut command, _program) = split::spawner(&config, &code, &instance, peer)?;
    if let Some(manager) = std::env::var_os("NOTIFY_SOCKET") {
        command.arg("--notify").arg(manager);
    }
    Err(command.exec()).context("the spawner cannot be executed")
}

/// The one socket we are started with.
fn listener() -> Result<UnixListener> {
    let mut passed = activation::take()?.into_iter();
    let (Some(Passed { socket, .. }), None) = (passed.next(), passed.next()) else {
        bail!("hearth spawner is started by hearth-spawner.socket, with that socket and no other");
    };
    let address: UnixAddr =
        getsockname(std::os::fd::AsRawFd::as_raw_fd(&socket)).context("its socket")?;
    let packets = getsockopt(&socket.as_fd(), sockopt::SockType)? == SockType::SeqPacket;
    let listens = getsockopt(&socket.as_fd(), sockopt::AcceptConn)?;
    if address.family() != Some(AddressFamily::Unix) || !packets || !listens {
        bail!("hearth spawner needs a listening socket of ListenSequentialPacket= and Accept=no");
    }
    Ok(socket.into())
}

/// The first connection of this user; `None` if there is none in time.
fn accept(listener: &UnixListener, user: Uid) -> Result<Option<OwnedFd>> {
    let begin = Instant::now();
    listener.set_nonblocking(true)?;
    while let Some(left) = PATIENCE.checked_sub(begin.elapsed()) {
        let mut socket = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut socket, PollTimeout::try_from(left).context("a minute is a timeout")?) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("wait for a connection"),
        }
        let peer = match listener.accept() {
            Ok((peer, _)) => OwnedFd::from(peer),
            Err(err) if err.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(err) => return Err(err).context("accept a connection"),
        };
        // Of when it connected, whatever it has become since.
        let facts =
            getsockopt(&peer.as_fd(), sockopt::PeerCredentials).context("ask who is connected")?;
        if facts.uid() == user.as_raw() {
            return Ok(Some(peer));
        }
        output::say(&format!(
            "refused: process {} of user {} is not the control plane, which is user {user}",
            facts.pid(),
            facts.uid()
        ));
    }
    Ok(None)
}

/// Writes a file of the user's, whole or not at all. What is there is not looked at: it could be
/// anything that user has put there.
fn note(path: &Path, text: &str) -> Result<()> {
    let aside = path.with_extension("new");
    match fs::remove_file(&aside) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
            return Err(err).with_context(|| format!("{} is in the way", aside.display()));
        }
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&aside, path).with_context(|| format!("{} cannot be written", path.display()))
}
