//! A service manager in miniature: what systemd does for Hearth's units, where no systemd runs.
//!
//! ```text
//!   Manager::new ─ binds the listeners, the spawner's socket, and two sockets to be notified at
//!      │            └ a thread waits at the spawner's socket: a connection starts `hearth spawner`
//!      ▼                                                      as hearth-spawner.service would
//!   Manager::start ──► `hearth serve`, as hearth.service would: another user, both listeners handed over
//! ```
//!
//! The sockets outlive what is started, so that a second start finds what has come meanwhile.

use std::fs::{self, File, Permissions};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::socket::{bind, listen, socket};
use nix::unistd::User;
use serde_json::{Value, json};

use super::daemon::{self, Daemon, Home};
use super::eventually;

/// Longest start; the first one on a machine copies the interpreters.
const START: Duration = Duration::from_secs(180);
/// Where there is no user `hearth`, the one that the product takes then.
const RESERVED_ID: u32 = 1_879_048_191;
/// How a unit's program is started: it alone is whom the sockets are meant for.
const AS_MEANT: &str = "LISTEN_PID=$$ WATCHDOG_PID=$$ exec \"$@\"";
/// The same for another user, with the image cache where he can reach it: it may lie in a directory
/// that only root can enter.
const AS_ANOTHER_USER: &str = "mount --bind \"$1\" \"$2\" && user=$3 && shift 3 && \
    export LISTEN_PID=$$ WATCHDOG_PID=$$ && \
    exec setpriv --reuid \"$user\" --regid \"$user\" --clear-groups -- \"$@\"";
/// The program, for a user who may not be able to reach its path.
const PROGRAM_FD: i32 = 9;

/// The one who starts things.
pub struct Manager {
    home: Arc<Home>,
    api: TcpListener,
    http: TcpListener,
    notify: UnixDatagram,
    spawner: Arc<SpawnerUnit>,
    waiter: Option<JoinHandle<()>>,
    /// Who serves.
    pub user: u32,
}

/// hearth-spawner.socket and hearth-spawner.service.
struct SpawnerUnit {
    home: Arc<Home>,
    socket: OwnedFd,
    notify: UnixDatagram,
    /// Options of setpriv that leave the unit's capabilities.
    bounds: Option<String>,
    /// The one that runs.
    running: Mutex<Option<u32>>,
    /// How those before it ended.
    ended: Mutex<Vec<ExitStatus>>,
    over: AtomicBool,
}

// === impl Manager ===

impl Manager {
    /// Binds everything; the ports are the kernel's choice.
    pub fn new() -> Self {
        Self::with_bounds(None)
    }

    /// The spawner's service gets these capabilities and no other.
    pub fn with_capabilities(keep: &[&str]) -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
        let bounds = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
        let bounds = u64::from_str_radix(bounds.expect("a field").trim(), 16).expect("hexadecimal");
        let last = fs::read_to_string("/proc/sys/kernel/cap_last_cap").expect("a number");
        let numbers = 0..=last.trim().parse::<u32>().expect("a number");
        let surplus = numbers.filter(|number| bounds >> number & 1 == 1).filter(|number| {
            let name = caps::all().into_iter().find(|one| u32::from(one.index()) == *number);
            !name.is_some_and(|name| keep.contains(&name.to_string().as_str()))
        });
        let surplus: Vec<String> = surplus.map(|number| format!("-cap_{number}")).collect();
        Self::with_bounds(Some(format!("--bounding-set={}", surplus.join(","))))
    }

    fn with_bounds(bounds: Option<String>) -> Self {
        daemon::require_root();
        let home = Home::new();
        let known = User::from_name("hearth").expect("the user database");
        let user = known.map_or(RESERVED_ID, |user| user.uid.as_raw());
        let listener = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let path = home.path().join("spawner.sock");
        let flags = SockFlag::SOCK_CLOEXEC;
        let kind = SockType::SeqPacket;
        let socket = socket(AddressFamily::Unix, kind, flags, None).expect("a socket");
        bind(socket.as_raw_fd(), &UnixAddr::new(&path).expect("short")).expect("a free name");
        listen(&socket, Backlog::new(8).expect("a number")).expect("a listener");
        chown(&path, Some(user), Some(user)).expect("we are root");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("our own");
        let notify = |name: &str| {
            let path = home.path().join(name);
            let socket = UnixDatagram::bind(&path).expect("a free name");
            fs::set_permissions(&path, Permissions::from_mode(0o777)).expect("our own");
            socket.set_read_timeout(Some(START)).expect("a timeout");
            socket
        };
        let spawner = Arc::new(SpawnerUnit {
            socket,
            notify: notify("notify-spawner"),
            bounds,
            running: Mutex::new(None),
            ended: Mutex::new(Vec::new()),
            over: AtomicBool::new(false),
            home: Arc::clone(&home),
        });
        let unit = Arc::clone(&spawner);
        let waiter = Some(std::thread::spawn(move || unit.wait_for_connections()));
        let notify = notify("notify-serve");
        Self { api: listener(), http: listener(), notify, spawner, waiter, user, home }
    }

    /// Where everything is.
    pub fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// The management listener.
    pub fn api(&self) -> SocketAddr {
        self.api.local_addr().expect("bound")
    }

    /// hearth.service, before it is started.
    pub fn serve(&self) -> Command {
        let ready = self.home.path().join("ready.json");
        fs::write(&ready, "").expect("our own directory");
        let data = self.home.data();
        if let Err(err) = fs::create_dir(&data) {
            assert_eq!(err.kind(), std::io::ErrorKind::AlreadyExists, "StateDirectory=");
        }
        for path in [&ready, &data] {
            chown(path, Some(self.user), Some(self.user)).expect("we are root");
        }
        let images = self.home.path().join("images");
        for folder in [&images, &daemon::images()] {
            fs::create_dir_all(folder).expect("our own directory");
        }
        let log = log(&self.home);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]);
        command.args(["/bin/sh", "-c", AS_ANOTHER_USER, "sh"]);
        command.arg(daemon::images()).arg(&images).arg(self.user.to_string());
        command
            .arg(format!("/proc/self/fd/{PROGRAM_FD}"))
            .args(["serve", "--data-dir"])
            .arg(data)
            .arg("--config")
            .arg(self.config());
        command.arg("--spawner-socket").arg(self.home.path().join("spawner.sock"));
        command.arg("--image-dir").arg(images).arg("--ready-file").arg(ready);
        command.env("NOTIFY_SOCKET", self.home.path().join("notify-serve"));
        command.env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", "api:http");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a copy")).stderr(log);
        let program = File::open(env!("CARGO_BIN_EXE_hearth")).expect("built");
        let listener = |listener: &TcpListener| listener.try_clone().expect("a copy").into();
        let mappings = vec![
            FdMapping { parent_fd: listener(&self.api), child_fd: 3 },
            FdMapping { parent_fd: listener(&self.http), child_fd: 4 },
            FdMapping { parent_fd: program.into(), child_fd: PROGRAM_FD },
        ];
        command.fd_mappings(mappings).expect("three different numbers");
        command
    }

    /// Starts hearth.service and waits until it says that it is ready.
    pub fn start(&self) -> Daemon {
        self.start_as(self.serve())
    }

    /// Starts what [`Manager::serve`] has prepared.
    pub fn start_as(&self, mut command: Command) -> Daemon {
        let child = command.spawn().expect("hearth starts");
        drop(command);
        self.hear(&self.notify, "READY=1");
        let ready = fs::read_to_string(self.home.path().join("ready.json")).expect("written");
        let mut facts: Value = serde_json::from_str(&ready).expect("the ready file is JSON");
        assert_eq!(facts["spawner_pid"], Value::Null, "it has not started it");
        facts["spawner_pid"] = json!(self.spawner_pid());
        Daemon::running(&self.home, child, &facts)
    }

    /// Waits until the control plane says a line.
    #[track_caller]
    pub fn hears(&self, line: &str) {
        self.hear(&self.notify, line);
    }

    /// Waits until the spawner says a line.
    #[track_caller]
    pub fn hears_from_spawner(&self, line: &str) {
        self.hear(&self.spawner.notify, line);
    }

    /// Everything the control plane has said that nobody has listened to.
    pub fn unheard(&self) -> Vec<String> {
        self.notify.set_nonblocking(true).expect("a flag");
        let all = std::iter::from_fn(|| receive(&self.notify).ok()).collect();
        self.notify.set_nonblocking(false).expect("a flag");
        all
    }

    #[track_caller]
    fn hear(&self, socket: &UnixDatagram, line: &str) {
        loop {
            let Ok(message) = receive(socket) else {
                panic!("{line} is not said:\n{}", daemon::log_of(&self.home));
            };
            if message.lines().any(|said| said == line) {
                return;
            }
        }
    }

    /// The spawner's main process.
    #[track_caller]
    pub fn spawner_pid(&self) -> u32 {
        eventually("a spawner runs", START, || *self.spawner.running.lock().expect("not poisoned"))
    }

    /// How many spawners have ended.
    pub fn spawners_ended(&self) -> usize {
        self.spawner.ended.lock().expect("not poisoned").len()
    }

    /// How the last spawner ended, once `count` of them have.
    #[track_caller]
    pub fn spawner_ended(&self, count: usize) -> String {
        let last = eventually("the spawner ends", daemon::MOMENT, || {
            let ended = self.spawner.ended.lock().expect("not poisoned");
            (ended.len() >= count).then(|| ended[count - 1])
        });
        daemon::ended(last)
    }

    /// The configuration that both services read.
    fn config(&self) -> PathBuf {
        config(&self.home)
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.spawner.over.store(true, Ordering::Release);
        if let Some(waiter) = self.waiter.take() {
            let _failed_already = waiter.join();
        }
    }
}

// === impl SpawnerUnit ===

impl SpawnerUnit {
    /// What a service manager does for a socket with `Accept=no`.
    fn wait_for_connections(&self) {
        while !self.over.load(Ordering::Acquire) {
            let mut socket = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            if poll(&mut socket, PollTimeout::from(20u8)) != Ok(1) {
                continue;
            }
            let mut child = self.start();
            *self.running.lock().expect("not poisoned") = Some(child.id());
            let status = loop {
                if let Some(status) = child.try_wait().expect("our own child") {
                    break status;
                }
                if self.over.load(Ordering::Acquire) {
                    daemon::send(child.id(), Signal::SIGTERM);
                }
                std::thread::sleep(Duration::from_millis(5));
            };
            *self.running.lock().expect("not poisoned") = None;
            self.ended.lock().expect("not poisoned").push(status);
        }
    }

    fn start(&self) -> Child {
        let log = log(&self.home);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", AS_MEANT, "sh"]);
        if let Some(bounds) = &self.bounds {
            command.args(["setpriv", "--no-new-privs", bounds]);
        }
        command.arg(env!("CARGO_BIN_EXE_hearth")).args(["spawner", "--data-dir"]);
        command.arg(self.home.data()).arg("--image-dir").arg(daemon::images());
        command.arg("--config").arg(config(&self.home)).args(daemon::interpreters());
        command.env("NOTIFY_SOCKET", self.home.path().join("notify-spawner"));
        command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "hearth-spawner.socket");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a copy")).stderr(log);
        let socket = self.socket.try_clone().expect("a copy");
        let mapping = FdMapping { parent_fd: socket, child_fd: 3 };
        command.fd_mappings(vec![mapping]).expect("one number");
        command.spawn().expect("hearth starts")
    }
}

// ------------------------------------------------------------------------------- helpers

/// The configuration that both services read: tests may have written something else there.
fn config(home: &Home) -> PathBuf {
    let path = home.path().join("hearth.toml");
    if !path.exists() {
        fs::write(&path, "").expect("our own directory");
    }
    path
}

fn log(home: &Home) -> File {
    let log = File::options().create(true).append(true).open(home.path().join("stderr.log"));
    log.expect("our own directory")
}

fn receive(socket: &UnixDatagram) -> std::io::Result<String> {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}
