//! The control plane's side of a runner: start it, speak to it, see it end.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut, PipeReader, PipeWriter};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, setsockopt,
    socketpair, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use tempfile::TempDir;
use wire::runner::{Report, Request};

/// Longest wait for anything: a test that gets there has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A runner with its socket. Dropping it closes the socket and waits for the end.
pub(crate) struct Supervised {
    pub(crate) process: Child,
    socket: Option<OwnedFd>,
    /// Where its program lies, if it had to be put somewhere.
    _public: Option<TempDir>,
}

/// The program as it is shipped: static, built on its own, once for all tests.
pub(crate) fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let directory = root.join("target/privileged");
        let built = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
            .current_dir(&root)
            .args(["build", "--quiet", "--profile", "privileged"])
            .args(["--package", "runner", "--features", "program"])
            .arg("--target")
            .arg(&target)
            .arg("--target-dir")
            .arg(&directory)
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .expect("cargo runs");
        assert!(built.success(), "hearth-runner can be built");
        directory.join(target).join("privileged/hearth-runner")
    })
}

/// A log pipe.
pub(crate) fn log() -> (PipeReader, PipeWriter) {
    io::pipe().expect("a pipe")
}

/// A request to execute something, with an environment of one variable.
pub(crate) fn execute(argv: &[&str]) -> Request {
    let own = |list: &[&str]| list.iter().map(|item| item.as_bytes().to_vec()).collect();
    Request::Execute { argv: own(argv), env: own(&["PATH=/usr/bin:/bin"]), cwd: b"/".to_vec() }
}

/// A request to execute a shell script.
pub(crate) fn script(text: &str) -> Request {
    execute(&["/bin/sh", "-c", text])
}

/// Waits until something is so; for what the kernel does in its own time.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

/// A folder that anybody can enter, with a copy of a program in it.
fn public_copy(program: &Path) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    fs::copy(program, folder.path().join("runner")).expect("a copy");
    folder
}

// === impl Supervised ===

impl Supervised {
    /// A runner that was started like any other program, by a shell that prepared its descriptors
    /// and signals: `setting` is shell code that runs before it.
    pub(crate) fn start_with(setting: &str, uid: Option<u32>) -> Self {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .expect("a socket pair");
        let patience = TimeVal::seconds(PATIENCE.as_secs() as i64);
        setsockopt(&ours, sockopt::ReceiveTimeout, &patience).expect("a timeout");
        // Somebody else may not be able to reach where it was built.
        let public = uid.map(|_| public_copy(program()));
        let program =
            public.as_ref().map_or(program().clone(), |folder| folder.path().join("runner"));
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(format!("{setting}\nexec \"$0\" 3<&0 0</dev/null"))
            .arg(program)
            .stdin(Stdio::from(theirs));
        if let Some(uid) = uid {
            command.uid(uid);
        }
        let process = command.spawn().expect("the runner starts");
        Self { process, socket: Some(ours), _public: public }
    }

    pub(crate) fn start() -> Self {
        Self::start_with("", None)
    }

    fn socket(&self) -> &OwnedFd {
        self.socket.as_ref().expect("the socket is open")
    }

    /// Sends bytes with descriptors beside them.
    pub(crate) fn send(&self, bytes: &[u8], descriptors: &[&dyn AsRawFd]) {
        let descriptors: Vec<_> = descriptors.iter().map(|fd| fd.as_raw_fd()).collect();
        let rights = [ControlMessage::ScmRights(&descriptors)];
        let rights = if descriptors.is_empty() { &[] } else { &rights[..] };
        sendmsg::<()>(
            self.socket().as_raw_fd(),
            &[IoSlice::new(bytes)],
            rights,
            MsgFlags::MSG_NOSIGNAL,
            None,
        )
        .expect("the runner takes messages");
    }

    /// The next report; none if the runner has gone.
    pub(crate) fn report(&self) -> Option<Report> {
        let mut bytes = [0; 64];
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let received =
            recvmsg::<()>(self.socket().as_raw_fd(), &mut parts, None, MsgFlags::empty());
        let length = match received {
            Ok(received) => received.bytes,
            // It left without having read everything that was sent.
            Err(nix::errno::Errno::ECONNRESET) => 0,
            Err(err) => panic!("no report: {err}"),
        };
        (length > 0).then(|| Report::decode(&bytes[..length]).expect("a report"))
    }

    /// Executes a program; its process id.
    pub(crate) fn execute(&self, request: &Request, descriptors: &[&dyn AsRawFd]) -> u32 {
        self.send(&request.encode(), descriptors);
        match self.report() {
            Some(Report::Executed { pid }) => pid,
            other => panic!("not executed: {other:?}"),
        }
    }

    /// Closes the socket and waits for the end.
    pub(crate) fn close(&mut self) -> ExitStatus {
        self.socket = None;
        self.process.wait().expect("the runner ends")
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.socket = None;
        // It ends by itself when its socket closes; a test that says otherwise has said so before.
        let _ended = self.process.wait();
    }
}
