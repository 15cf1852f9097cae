//! The control plane as a service of its own: it has no privilege to begin with, and finds its spawner
//! behind a socket.
//!
//! ```text
//!   hearth-spawner.socket ◄── connect ── hearth serve --spawner-socket (user hearth)
//!          │ first connection                     │ waits for the spawner's hello: the first start
//!          ▼                                      │ copies interpreters, which takes a while
//!   hearth spawner (root) ── becomes ──► spawner ─┘ serves until either end closes
//! ```
//!
//! What `split` decides as root is decided by `hearth spawner` there, from the operator's arguments and
//! configuration and nothing this process says; here the unprivileged half is done: the data
//! directory, the listeners, the connection.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use caps::CapSet;
use images::{Cache, Catalogue};
use model::Digest;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::geteuid;

use crate::activation;
use crate::config::Config;
use crate::output;
use crate::readiness::Readiness;
use crate::split::{self, Split};

/// How long the spawner may take to say hello. The first start copies some hundred megabytes, which a
/// slow disk does in a few minutes.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often the service manager is told that we still wait.
const WORD: Duration = Duration::from_secs(5);

/// Does what is to be done before the first thread; `None` if the spawner ended before it was ready.
///
/// # Errors
/// Each says what failed and what to do about it.
pub fn join(config: &mut Config, socket: &Path, readiness: &Readiness) -> Result<Option<Split>> {
    if geteuid().is_root() {
        bail!(
            "--spawner-socket is for a service without privileges; as root, leave it out: hearth \
             then starts a spawner itself and gives root up"
        );
    }
    confine()?;
    let data = &config.data_dir;
    let facts = fs::symlink_metadata(data).with_context(|| {
        format!("the data directory {} is not there; the unit makes it", data.display())
    })?;
    if !facts.is_dir() || facts.uid() != geteuid().as_raw() {
        bail!("{} is not a directory of user {}", data.display(), geteuid());
    }
    let lock = split::lock(data)?;
    let (api, http) = activation::listeners(config)?;
    let ready = config.ready_file.as_deref().map(split::create_ready_file).transpose()?;
    split::raise_descriptor_limit()?;
    let control = connect_to(socket)?;
    if !wait_for_hello(&control, readiness)? {
        output::say(
            "error: the spawner ended before it was ready; `journalctl -u hearth-spawner` says why",
        );
        return Ok(None);
    }
    let images = catalogue(config)?;
    Ok(Some(Split { api, http, control, spawner: None, images, ready, lock }))
}

/// Whatever we were started with: nothing can be had that is not there now.
fn confine() -> Result<()> {
    for set in [CapSet::Ambient, CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        // In a unit there is nothing to give up, and its filter knows no call to do it with.
        if !caps::read(None, set).context("capabilities cannot be read")?.is_empty() {
            caps::clear(None, set).context("a capability stays")?;
        }
    }
    nix::sys::prctl::set_no_new_privs().context("privileges could still be gained")?;
    // As in `split`: no core file, and nobody with this uid looks in.
    nix::sys::prctl::set_dumpable(false).context("memory could be read by others")?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    Ok(())
}

fn connect_to(path: &Path) -> Result<OwnedFd> {
    let address = UnixAddr::new(path)
        .with_context(|| format!("--spawner-socket {} is no socket's name", path.display()))?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)
        .context("no socket to the spawner can be made")?;
    match connect(socket.as_raw_fd(), &address) {
        Ok(()) => Ok(socket),
        Err(errno @ (Errno::ENOENT | Errno::ECONNREFUSED)) => Err(errno).with_context(|| {
            format!(
                "nobody listens on {}; start hearth-spawner.socket (systemctl start \
                 hearth-spawner.socket)",
                path.display()
            )
        }),
        Err(errno @ Errno::EACCES) => Err(errno).with_context(|| {
            format!(
                "{} is not for user {}; SocketUser= names whose it is",
                path.display(),
                geteuid()
            )
        }),
        Err(errno) => Err(errno).with_context(|| format!("no connection to {}", path.display())),
    }
}

/// Waits until there is something to read; `false` if it is the end.
///
/// Before that the connection stands in the queue of a spawner that is still ending, or the new one is
/// still getting ready.
fn wait_for_hello(control: &OwnedFd, readiness: &Readiness) -> Result<bool> {
    let begin = Instant::now();
    let word = PollTimeout::try_from(WORD).context("a few seconds are a timeout")?;
    while begin.elapsed() < PATIENCE {
        readiness.waiting("waiting for the spawner", 3 * WORD);
        let mut socket = [PollFd::new(control.as_fd(), PollFlags::POLLIN)];
        match poll(&mut socket, word) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => {
                let events = socket[0].revents().unwrap_or(PollFlags::empty());
                return Ok(!events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR));
            }
            Err(errno) => return Err(errno).context("the spawner's socket does not work"),
        }
    }
    bail!("the spawner has not said hello for {} seconds", PATIENCE.as_secs())
}

/// What the images are that the spawner's side has made ready and noted.
fn catalogue(config: &Config) -> Result<Catalogue> {
    let note = split::image_note(&config.data_dir);
    let text = fs::read_to_string(&note)
        .with_context(|| format!("{} does not say which image to use", note.display()))?;
    let digest = Digest::from_hex(text.trim())
        .with_context(|| format!("{} names no image; remove it", note.display()))?;
    let cache = Cache::open_to_read(&config.image_dir)
        .with_context(|| format!("images cannot be read in {}", config.image_dir.display()))?;
    let image = cache
        .load(digest)?
        .with_context(|| format!("image {digest} is not in {}", config.image_dir.display()))?;
    split::served(&image.manifest, config)
}
