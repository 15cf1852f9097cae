//! What is done as root, before privileges are dropped: the only moment this program has any. An
//! ordinary user's daemon goes the same way without any: see `rootless`.
//!
//! ```text
//!   hearth serve (root, one thread)
//!     data directory ─ locked, given to the unprivileged user
//!     runtime images ─ copied, owned by root
//!     listeners      ─ bound, or taken from a service manager
//!     spawner        ─ started from a sealed memory file, socket as descriptor 3
//!     … then: no groups, no root, no capability, no way back
//! ```
//!
//! No thread exists yet and nothing from a stranger has been read. What is kept is descriptors and
//! plain facts, in [`Split`].

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use caps::CapSet;
use command_fds::{CommandFdExt, FdMapping};
use images::{Catalogue, HostImage, Manifest};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, Flock, FlockArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{Gid, Uid, fchown, geteuid, setegid, seteuid, setgroups, setresgid, setresuid};

use crate::config::Config;
use crate::{activation, output, rootless};

/// The privileged program, built by `build.rs`.
static SPAWNER: &[u8] = include_bytes!(env!("HEARTH_SPAWNER_PROGRAM"));
/// PID 1 of every sandbox, built by `build.rs`.
static RUNNER: &[u8] = include_bytes!(env!("HEARTH_RUNNER_PROGRAM"));

/// Where there is no user `hearth`: the last id below the range that sandboxes are taken from.
const RESERVED_ID: u32 = 1_879_048_191;
/// The spawner's socket, in the spawner.
const CONTROL_FD: i32 = 3;
/// The runner's memory file, in the spawner.
const RUNNER_FD: i32 = 4;
/// Descriptors in use are moved above the two fixed ones before a child is made.
const FIRST_FREE_FD: i32 = 16;

/// How a file in the data directory is opened: never through a link, and never waiting for whoever
/// should be at the other end of a pipe that has taken its name.
const OWN_FILE: i32 = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;

/// Who the control plane is, once it is.
pub struct User {
    /// Its id, and that of its group.
    pub uid: Uid,
    gid: Gid,
}

/// What the root phase leaves to the control plane.
#[derive(Debug)]
pub struct Split {
    /// Bound management listener.
    pub api: TcpListener,
    /// Bound trigger listener.
    pub http: TcpListener,
    /// Socket to the spawner.
    pub control: OwnedFd,
    /// The spawner's outer process, where it is ours and not a service of its own.
    pub spawner: Option<Child>,
    /// Runtimes that are served.
    pub images: Catalogue,
    /// The ready file, opened while that was still possible.
    pub ready: Option<File>,
    /// Held as long as this daemon uses the data directory.
    pub lock: Flock<File>,
}

/// Does everything that needs root, starts the spawner, and gives root up. The configuration's
/// directories are afterwards the real ones, without links.
///
/// # Errors
/// Each says what failed and what to do about it; nothing is left half done but directories.
pub fn split(config: &mut Config) -> Result<Split> {
    if !geteuid().is_root() {
        return rootless::split(config);
    }
    // Rights that a group gives are rights all the same.
    setgroups(&[]).context("supplementary groups stay")?;
    let user = User::find()?;
    user.directories(config)?;
    let (lock, instance, code) = user.act(|| {
        let lock = lock(&config.data_dir)?;
        Ok((lock, instance(&config.data_dir)?, code_dir(&config.data_dir)?))
    })?;

    let images = served(&host_image(config)?, config)?;
    let (api, http) = activation::listeners(config)?;
    let ready = config.ready_file.as_deref().map(create_ready_file).transpose()?;
    raise_descriptor_limit()?;

    let flags = SockFlag::SOCK_CLOEXEC;
    let (control, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
        .context("no socket to the spawner can be made")?;
    let spawner = {
        let (mut command, _program) = spawner(config, &code, &instance, theirs)?;
        // The terminal's Ctrl-C is for the daemon, which then ends the spawner by closing its socket.
        command.process_group(0).spawn().context("the spawner cannot be started")?
    };
    user.become_for_good()?;
    Ok(Split { api, http, control, spawner: Some(spawner), images, ready, lock })
}

// === impl User ===

impl User {
    /// User `hearth`, or the reserved id where there is none.
    pub fn find() -> Result<Self> {
        let known =
            nix::unistd::User::from_name("hearth").context("the user database cannot be read")?;
        Ok(match known {
            Some(user) => Self { uid: user.uid, gid: user.gid },
            None => Self { uid: Uid::from_raw(RESERVED_ID), gid: Gid::from_raw(RESERVED_ID) },
        })
    }

    /// Makes the directories, each whose it must be; afterwards the configuration names the real ones,
    /// without links.
    pub fn directories(&self, config: &mut Config) -> Result<()> {
        config.data_dir = self.data_dir(&config.data_dir)?;
        config.image_dir = self.roots_dir(&config.image_dir)?;
        config.state_dir = self.roots_dir(&config.state_dir)?;
        Ok(())
    }

    /// Does something with this user's rights to files and not with root's: whatever it put in the
    /// way then leads no further than it could have gone itself.
    pub fn act<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        setegid(self.gid).and_then(|()| seteuid(self.uid)).context("rights cannot be put aside")?;
        let done = work();
        seteuid(Uid::from_raw(0))
            .and_then(|()| setegid(Gid::from_raw(0)))
            .context("rights cannot be taken up again")?;
        done
    }

    /// Makes the data directory, and gives it to this user; its real path.
    fn data_dir(&self, path: &Path) -> Result<PathBuf> {
        let name = path.file_name().context("the data directory cannot be /")?;
        let parent = self.roots_dir(path.parent().unwrap_or(Path::new("/")))?;
        for above in parent.ancestors() {
            let facts = fs::metadata(above)?;
            if facts.mode() & 0o001 == 0 {
                bail!(
                    "{} cannot be reached by the unprivileged user {} that serves requests; choose \
                     another --data-dir, or `chmod o+x {}`",
                    path.display(),
                    self.uid,
                    above.display()
                );
            }
        }
        let path = parent.join(name);
        let made = match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => true,
            Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => false,
            Err(err) => return Err(err).context(format!("{} cannot be made", path.display())),
        };
        let directory = OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_DIRECTORY | nix::libc::O_NOFOLLOW)
            .open(&path)
            .with_context(|| format!("{} is not a directory", path.display()))?;
        let owner = directory.metadata()?.uid();
        if owner == self.uid.as_raw() {
            return Ok(path);
        }
        let empty = made || fs::read_dir(&path)?.next().is_none();
        if owner != 0 || !empty {
            bail!(
                "{} belongs to user {owner}, not to {} who serves requests; if it is hearth's, \
                 `chown -R {}:{} {}`",
                path.display(),
                self.uid,
                self.uid,
                self.gid,
                path.display()
            );
        }
        directory.set_permissions(fs::Permissions::from_mode(0o700))?;
        fchown(&directory, Some(self.uid), Some(self.gid))
            .with_context(|| format!("{} cannot be given to user {}", path.display(), self.uid))?;
        Ok(path)
    }

    /// Makes a directory that stays root's, and makes sure that this user cannot put another in its
    /// place, now or before the next start; its real path.
    fn roots_dir(&self, path: &Path) -> Result<PathBuf> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .with_context(|| format!("{} cannot be made", path.display()))?;
        let path = path.canonicalize()?;
        for above in path.ancestors() {
            let facts = fs::metadata(above)?;
            let sticky = facts.mode() & 0o1000 != 0;
            let open = facts.mode() & 0o002 != 0 || facts.gid() == self.gid.as_raw();
            if facts.uid() == self.uid.as_raw() || open && facts.mode() & 0o022 != 0 && !sticky {
                bail!(
                    "{} can be replaced by the unprivileged user {} that serves requests, because \
                     of {}; choose another directory",
                    path.display(),
                    self.uid,
                    above.display()
                );
            }
        }
        Ok(path)
    }

    /// The way down: groups, ids, capabilities, and the door behind it.
    fn become_for_good(&self) -> Result<()> {
        for capability in caps::all() {
            caps::drop(None, CapSet::Bounding, capability).context("the bounding set stays")?;
        }
        setgroups(&[]).context("supplementary groups stay")?;
        setresgid(self.gid, self.gid, self.gid).context("the group stays")?;
        setresuid(self.uid, self.uid, self.uid).context("the user stays")?;
        for set in [CapSet::Ambient, CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
            caps::clear(None, set).context("a capability stays")?;
        }
        nix::sys::prctl::set_no_new_privs().context("privileges could still be gained")?;
        // Every function's secrets pass through here: no core file, and nobody with this uid looks in.
        nix::sys::prctl::set_dumpable(false).context("memory could be read by others")?;
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
        let root = Uid::from_raw(0);
        if setresuid(root, root, root).is_ok() {
            bail!("root could be had again after it was given up");
        }
        Ok(())
    }
}

/// By then whoever is being killed has let go of what it had locked.
const LET_GO: Duration = Duration::from_secs(1);

/// Locks the data directory, for as long as the result is kept.
pub fn lock(data: &Path) -> Result<Flock<File>> {
    let path = data.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(OWN_FILE)
        .open(&path)
        .with_context(|| format!("{} cannot be opened", path.display()))?;
    if !file.metadata()?.is_file() {
        bail!("{} is not a file", path.display());
    }
    let (mut file, begin) = (file, Instant::now());
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            // A process of an earlier start that is being killed holds it to its end.
            Err((back, Errno::EWOULDBLOCK)) if begin.elapsed() < LET_GO => file = back,
            Err((_, Errno::EWOULDBLOCK)) => bail!(
                "{} is in use by another hearth; stop it, or give this one its own --data-dir",
                data.display()
            ),
            Err((_, errno)) => {
                return Err(errno).with_context(|| format!("{} cannot be locked", path.display()));
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The directory of functions' code.
pub fn code_dir(data: &Path) -> Result<PathBuf> {
    let path = data.join("code");
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(err) if err.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(err).with_context(|| format!("{} cannot be made", path.display()))
        }
        _ => Ok(path),
    }
}

/// The data directory's identifier, drawn at its first use: by it, a restarted daemon finds the
/// machine-wide allocation it had.
pub fn instance(data: &Path) -> Result<String> {
    let path = data.join("instance");
    match OpenOptions::new()
        .read(true)
        .custom_flags(OWN_FILE)
        .open(&path)
        .and_then(|file| std::io::read_to_string(file.take(64)))
    {
        Ok(text) if is_instance(text.trim()) => Ok(text.trim().to_owned()),
        Ok(_) => bail!("{} is damaged; remove it", path.display()),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
            let id: String =
                model::id::random_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path)?;
            file.write_all(id.as_bytes())?;
            file.sync_all()?;
            Ok(id)
        }
        Err(err) => Err(err).with_context(|| format!("{} cannot be read", path.display())),
    }
}

fn is_instance(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The file's directory may be out of reach later, so it is opened now and written when ready.
pub fn create_ready_file(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(path)
        .with_context(|| format!("--ready-file {} cannot be written", path.display()))
}

pub fn raise_descriptor_limit() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("the descriptor limit cannot be raised")
}

/// A program in a memory file that nobody can change any more.
fn sealed(name: &str, program: &[u8]) -> Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let fd = memfd_create(name, flags).with_context(|| format!("no memory file for {name}"))?;
    File::from(fd.try_clone()?).write_all(program)?;
    let seals = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(seals)).with_context(|| format!("{name} cannot be sealed"))?;
    // A writable descriptor of a program makes executing it fail with "text file busy".
    let read_only = File::open(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    high(read_only.into())
}

/// A copy of a descriptor that stays clear of the numbers a child expects.
fn high(fd: OwnedFd) -> Result<OwnedFd> {
    let mut low = vec![fd];
    loop {
        let next = low[low.len() - 1].try_clone()?;
        if next.as_raw_fd() >= FIRST_FREE_FD {
            return Ok(next);
        }
        low.push(next);
    }
}

/// The spawner, ready to be started as a child or to be what this process becomes; and its program,
/// which the command names by the number of this descriptor.
pub fn spawner(
    config: &Config,
    code: &Path,
    instance: &str,
    socket: OwnedFd,
) -> Result<(Command, OwnedFd)> {
    let program = sealed("hearth-spawner", SPAWNER)?;
    let runner = sealed("hearth-runner", RUNNER)?;
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.arg0("hearth-spawner").env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    command.arg("--images").arg(&config.image_dir);
    command.arg("--code").arg(code);
    command.arg("--state").arg(&config.state_dir);
    command.args(["--instance", instance]);
    command.args(["--capacity", &config.max_instances.to_string()]);
    command.args(["--runner-fd", &RUNNER_FD.to_string()]);
    if !config.allow_unenforced.is_empty() {
        command.arg(format!("--allow-unenforced={}", config.allow_unenforced.join(",")));
    }
    command.fd_mappings(vec![
        FdMapping { parent_fd: high(socket)?, child_fd: CONTROL_FD },
        FdMapping { parent_fd: runner, child_fd: RUNNER_FD },
    ])?;
    Ok((command, program))
}

/// Where the spawner's side notes for the control plane which image it has made ready.
pub fn image_note(data: &Path) -> PathBuf {
    data.join("image")
}

/// The host's interpreters as an image, copied if they have changed.
pub fn host_image(config: &Config) -> Result<Manifest> {
    /// The first start copies some hundred megabytes; people are told, logs are not flooded.
    const STEP: u64 = 10;
    let cache = images::Cache::open(&config.image_dir)
        .with_context(|| format!("images cannot be kept in {}", config.image_dir.display()))?;
    let host = HostImage::survey(&config.runtime_path, config.python_packages.as_deref())?;
    let mut told = None;
    let image = host.ensure(&cache, &mut |progress| {
        let share = progress.bytes_done * 100 / progress.bytes.max(1) / STEP * STEP;
        if told != Some(share) {
            told = Some(share);
            let mib = progress.bytes >> 20;
            output::say(&format!("copying this server's interpreters: {share:3} % of {mib} MiB"));
        }
    })?;
    for reason in &image.manifest.left_out {
        tracing::debug!(%reason, "left out of the host image");
    }
    Ok(image.manifest)
}

/// What is served with an image.
pub fn served(manifest: &Manifest, config: &Config) -> Result<Catalogue> {
    Catalogue::new([manifest], &config.runtime_alias)
        .context("runtime_alias in the configuration names a runtime that is not there")
}
