//! A real daemon, from start to the proof that nothing is left of it.
//!
//! ```text
//!   Home ──► Daemon::start ──► running ──► stop (SIGTERM) ──► ended, nothing left ──► start again …
//!                                 └──────► kill (SIGKILL) ──► whatever a test wants to look at
//! ```
//!
//! Most tests use the [`shared`] daemon, which runs as long as any test holds it; those that end
//! daemons, or need one set up differently, start their own. Ports are the kernel's choice and
//! directories are temporary, so any number of daemons lives side by side. Should the test process
//! itself be killed, the daemon sees its standard input end and stops.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;
use tempfile::TempDir;

use super::eventually::patience;
use super::http::{Request, Response};
use super::leftovers::{NO_SLOT, Process, Trace, slot_of};
use super::signature::Signer;
use super::{Account, eventually, setup};

/// Longest start. The first one on a machine copies the interpreters into an image.
const START: Duration = Duration::from_secs(180);
/// Longest orderly end.
const STOP: Duration = Duration::from_secs(30);
/// Longest time for the kernel to end what a dead process leaves.
pub const MOMENT: Duration = Duration::from_secs(10);

/// A directory in which one daemon after another lives.
#[derive(Debug)]
pub struct Home(TempDir);

/// How a daemon is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Accept any credentials.
    pub dev: bool,
    /// Text of a configuration file.
    pub config: Option<String>,
    /// Variables beside those of the test itself.
    pub environment: Vec<(&'static str, String)>,
    /// As a person starts it: it says what it does, and goes on when its standard input ends.
    pub by_hand: bool,
    /// An ordinary user who starts it; root does otherwise.
    pub account: Option<Arc<Account>>,
    /// How many files each of its processes may open; root's only.
    pub files: Option<u64>,
    /// Whatever else stands on its command line.
    pub more: Vec<String>,
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    home: Arc<Home>,
    child: Child,
    /// Management listener.
    pub api: SocketAddr,
    /// Trigger listener.
    pub http: SocketAddr,
    /// The control plane.
    pub pid: u32,
    /// The spawner.
    pub spawner: u32,
    /// Its place in the machine-wide allocation.
    pub slot: u64,
    /// The administrator's key, in AWS's shared-credentials format.
    pub credentials: PathBuf,
    key: (String, String),
    ended: bool,
}

/// The daemon that tests share, started by the first of those that overlap.
pub fn shared() -> Arc<Daemon> {
    static SHARED: Mutex<Weak<Daemon>> = Mutex::new(Weak::new());
    // A test that failed while starting it must not take the others along.
    let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(daemon) = shared.upgrade() {
        return daemon;
    }
    let daemon = Arc::new(Daemon::start());
    *shared = Arc::downgrade(&daemon);
    daemon
}

// === impl Home ===

impl Home {
    /// An empty one, reachable by the unprivileged user that the control plane becomes.
    pub fn new() -> Arc<Self> {
        Self::within(&std::env::temp_dir())
    }

    /// One in a folder that he can reach.
    pub fn within(folder: &Path) -> Arc<Self> {
        let folder = tempfile::Builder::new().prefix("hearth-test-").tempdir_in(folder);
        let folder = folder.expect("a temp dir");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), open).expect("our own directory");
        Arc::new(Self(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The daemon's data directory.
    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }
}

// === impl Daemon ===

impl Daemon {
    /// Starts one in a fresh home.
    pub fn start() -> Self {
        Self::start_in(&Home::new(), &Options::default())
    }

    /// Starts one and waits until it serves.
    pub fn start_in(home: &Arc<Home>, options: &Options) -> Self {
        require_root();
        let ready = home.path().join("ready.json");
        let _ = fs::remove_file(&ready); // Of an earlier daemon, if there was one.
        let log = File::options().create(true).append(true).open(home.path().join("stderr.log"));
        let log = log.expect("our own directory");
        let (mut command, images) = match &options.account {
            None => (limited(options.files), images()),
            Some(account) => (account.hearth(home.path()), home.path().join("images")),
        };
        command.args(["serve", "--data-dir"]).arg(home.data()).args(&options.more);
        command.args(["--api-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
        command.arg("--image-dir").arg(images).arg("--ready-file").arg(&ready);
        if options.account.is_none() {
            // An ordinary user's serves what the host has: another Node lies where only root may go.
            command.args(interpreters());
        }
        if !options.by_hand {
            command.arg("--until-stdin-closes");
        }
        command.envs(options.environment.iter().map(|(name, value)| (name, value)));
        if options.dev {
            command.arg("--dev");
        }
        if let Some(config) = &options.config {
            let file = home.path().join("hearth.toml");
            fs::write(&file, config).expect("our own directory");
            command.arg("--config").arg(file);
        }
        let output = log.try_clone().expect("a descriptor");
        command.stdin(Stdio::piped()).stdout(output).stderr(log);
        let mut child = command.spawn().expect("hearth starts");

        let begin = Instant::now();
        let facts = loop {
            // It is made at the start and filled when requests are served.
            let text = fs::read_to_string(&ready).unwrap_or_default();
            if text.ends_with('\n') {
                break serde_json::from_str(&text).expect("the ready file is JSON");
            }
            let ended = child.try_wait().expect("our own child");
            if ended.is_some() || begin.elapsed() > patience(START) {
                let _ = child.kill();
                panic!("hearth serve did not start ({ended:?}):\n{}", log_of(home));
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        Self::running_as(home, child, &facts, options.account.is_none())
    }

    /// One of root's that runs, as its ready file says.
    pub fn running(home: &Arc<Home>, child: Child, facts: &Value) -> Self {
        Self::running_as(home, child, facts, true)
    }

    fn running_as(home: &Arc<Home>, child: Child, facts: &Value, as_root: bool) -> Self {
        let text = |name: &str| {
            facts[name].as_str().unwrap_or_else(|| panic!("no text `{name}` in {facts}")).to_owned()
        };
        let number = |name: &str| {
            facts[name].as_u64().unwrap_or_else(|| panic!("no number `{name}` in {facts}"))
        };
        let address = |name: &str| {
            let url = text(name);
            url.strip_prefix("http://")
                .and_then(|address| address.parse().ok())
                .expect("a plain URL")
        };
        let credentials = PathBuf::from(text("credentials"));
        let key = read_key(&credentials);
        let spawner = number("spawner_pid").try_into().expect("a process id");
        Self {
            home: Arc::clone(home),
            child,
            api: address("api"),
            http: address("http"),
            pid: number("pid").try_into().expect("a process id"),
            spawner,
            slot: match as_root {
                true => eventually("its family shows its slot", START, || slot_of(spawner)),
                // An ordinary user's numbering says nothing about the machine's.
                false => NO_SLOT,
            },
            credentials,
            key,
            ended: false,
        }
    }

    /// Where it lives.
    pub fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// Everything it wrote to its own standard error.
    pub fn log(&self) -> String {
        log_of(&self.home)
    }

    /// What signs as the administrator, now.
    pub fn signer(&self) -> Signer {
        let (key, secret) = self.key.clone();
        let (region, service) = ("us-east-1".to_owned(), "lambda".to_owned());
        Signer { key, secret, token: None, region, service, time: Timestamp::now() }
    }

    /// Signs a request for the management listener and sends it.
    #[track_caller]
    pub fn send(&self, request: Request) -> Response {
        self.signer().sign(request, &self.api.to_string()).send(self.api)
    }

    /// A signed management request; `Null` stands for no body.
    #[track_caller]
    pub fn api(&self, method: &str, target: &str, body: &Value) -> Response {
        let request = Request::new(method, target);
        self.send(if body.is_null() { request } else { request.json(body) })
    }

    /// The spawner proper: the child of the outer process that has a pid namespace of its own.
    pub fn spawner_proper(&self) -> u32 {
        let all = Process::all();
        let outer = all.iter().find(|one| one.pid == self.spawner).expect("it lives");
        let family = Process::family(outer.pid, &all);
        let children = family.iter().filter(|one| one.parent_in(&all) == Some(outer));
        let mut proper = children.filter(|one| one.is_deeper_than(outer));
        proper.next().expect("it has a child").pid
    }

    /// What it has on this machine at this moment.
    pub fn trace(&self) -> Trace {
        let pids = [self.child.id(), self.pid, self.spawner];
        Trace::take(self.slot, &pids, &[self.home.path()])
    }

    /// Ends it as a service manager would, and checks that nothing is left.
    #[track_caller]
    pub fn stop(mut self) {
        self.end();
    }

    /// Sends a signal to the control plane.
    pub fn signal(&self, signal: Signal) {
        send(self.pid, signal);
    }

    /// Waits for the program itself to end, by whatever a test did to it.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let status =
            eventually("the daemon ends", STOP, || child.try_wait().expect("our own child"));
        self.ended = true;
        status
    }

    #[track_caller]
    fn end(&mut self) {
        let trace = self.trace();
        self.signal(Signal::SIGTERM);
        let status = self.wait();
        assert!(status.success(), "SIGTERM ends it in order, not by {status}\n{}", self.log());
        nothing_left(&trace);
        let cgroups = trace.remaining_cgroups();
        assert!(cgroups.is_empty(), "left after an orderly stop: {cgroups:#?}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if std::thread::panicking() {
            // The test has failed already; what the daemon said may tell why.
            eprintln!("--- what the daemon said ---\n{}", self.log());
            send(self.pid, Signal::SIGTERM);
            let begin = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && begin.elapsed() < patience(STOP) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        } else {
            self.end();
        }
    }
}

// ------------------------------------------------------------------------------- helpers

/// The program, with a limit of open files if one is given.
fn limited(files: Option<u64>) -> Command {
    let program = env!("CARGO_BIN_EXE_hearth");
    let Some(files) = files else { return Command::new(program) };
    // It becomes the program.
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={files}:{files}")).arg(program);
    command
}

/// Fails unless processes, mounts and namespaces of the trace are gone, or go within a moment.
#[track_caller]
pub fn nothing_left(trace: &Trace) {
    let begin = Instant::now();
    loop {
        let left = trace.leftovers();
        if left.is_empty() {
            return;
        }
        assert!(begin.elapsed() < patience(MOMENT), "left behind:\n{}", left.join("\n"));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a signal to one process; that it may be gone already is no error.
pub fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).expect("a process id");
    let _ = kill(Pid::from_raw(pid), signal);
}

/// The image cache of all tests, reachable by everybody.
pub fn images() -> PathBuf {
    setup::folder().join("images")
}

/// Ends the test with a sentence, because nothing here works without root.
#[track_caller]
pub fn require_root() {
    assert!(
        geteuid().is_root(),
        "these tests start real daemons as root, and as users whom root makes: run `cargo test` as root; \
         without root, `cargo test --workspace --lib` runs what needs none"
    );
}

/// Options that name the interpreters which the host does not have where they belong.
pub fn interpreters() -> Vec<String> {
    let node = setup::node();
    let given = node.given.iter().map(|path| format!("{}={}", node.runtime, path.display()));
    given.flat_map(|value| ["--runtime-path".to_owned(), value]).collect()
}

/// What daemons in this home wrote to standard error.
pub fn log_of(home: &Home) -> String {
    fs::read_to_string(home.path().join("stderr.log")).unwrap_or_default()
}

fn read_key(file: &Path) -> (String, String) {
    let text = fs::read_to_string(file).unwrap_or_else(|err| panic!("{}: {err}", file.display()));
    let value = |name: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        let found = pairs.find(|(key, _)| key.trim() == name);
        found.unwrap_or_else(|| panic!("{} has no {name}", file.display())).1.trim().to_owned()
    };
    (value("aws_access_key_id"), value("aws_secret_access_key"))
}

/// How a process ended, in words that tests compare.
pub fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    }
}
