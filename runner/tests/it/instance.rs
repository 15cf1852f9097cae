//! The control plane's side of one function instance: an interpreter with a bootstrap, its link and
//! its log.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{MsgFlags, recv};
use serde_json::Value;
use wire::link::{Assign, HEADER, Header, Invoke, Kind, MAX_SEQUENCE};

use crate::supervised::{PATIENCE, eventually};

/// The id of every event that does not say otherwise.
pub(crate) const REQUEST_ID: &str = "6a1b9f3c-0f3e-4c5d-9b7a-2d8e4f60a1c2";
/// The ARN of every event that does not say otherwise.
pub(crate) const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:probe:live";

/// Before the number of an instance's first event: all three bytes count, and soon carry.
const FIRST: u32 = 0x7f_fe_fe;

/// A frame: what kind it is of, and its body.
pub(crate) type Frame = (Kind, Vec<u8>);

/// How an interpreter comes to its function. What a function sees and does must be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It is executed for it.
    Executed,
    /// It was executed before anybody knew for whom.
    Ahead,
    /// It was a template, with more imported.
    Template,
}

/// A function before it is started: an interpreter, a bootstrap, a handler and an environment.
pub(crate) struct Function {
    argv: Vec<OsString>,
    spare: Option<Spare>,
    env: Vec<(String, OsString)>,
    blocking: bool,
    watched: bool,
}

/// An interpreter that is started ahead of time: its arguments, and this much of the environment.
struct Spare {
    argv: Vec<OsString>,
    constants: Constants,
}

/// Names and values.
type Constants = &'static [(&'static str, &'static str)];

/// A running function.
pub(crate) struct Instance {
    process: Child,
    pub(crate) link: UnixStream,
    log: io::PipeReader,
    /// The number of the last event.
    sequence: u32,
    /// The numbers that answers must carry, in this order.
    unanswered: VecDeque<u32>,
    /// The function's end of the link, only to see whether it has read everything.
    watch: Option<UnixStream>,
}

/// A path beneath this crate.
pub(crate) fn path(beneath: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(beneath)
}

/// An interpreter of this machine. Without it the promises of its bootstrap are not tested, which is
/// a failure and not a reason to be silent.
pub(crate) fn interpreter(variable: &str, default: &str) -> OsString {
    let program = std::env::var_os(variable).unwrap_or(default.into());
    assert!(
        Path::new(&program).exists(),
        "{} does not exist: set {variable} to an interpreter, or these promises go untested",
        program.display()
    );
    program
}

/// An event with this payload and the usual rest.
pub(crate) fn event(payload: &[u8]) -> Invoke<'_> {
    Invoke {
        // In the year 2100: nothing here runs out of time.
        deadline_ms: 4_102_444_800_000,
        request_id: REQUEST_ID,
        invoked_arn: ARN,
        trace_id: "",
        client_context: "",
        cognito_identity: "",
        payload,
    }
}

/// A frame's body as JSON, if it is of this kind.
#[track_caller]
pub(crate) fn json((kind, body): Frame, expected: Kind) -> Value {
    let text = String::from_utf8_lossy(&body);
    assert_eq!(kind, expected, "{text}");
    serde_json::from_slice(&body).unwrap_or_else(|err| panic!("{err}: {text}"))
}

// === impl Function ===

impl Function {
    /// A function whose files are in a folder of `tests/functions/`.
    pub(crate) fn new(argv: Vec<OsString>, folder: &str, handler: &str) -> Self {
        let root = path("tests/functions").join(folder);
        Self { argv, spare: None, env: Vec::new(), blocking: true, watched: false }
            .with("PATH", "/usr/bin:/bin")
            .with("LANG", "en_US.UTF-8")
            .with("TZ", ":UTC")
            .with("LAMBDA_TASK_ROOT", root)
            .with("_HANDLER", handler)
            .with("AWS_LAMBDA_FUNCTION_NAME", "probe")
            .with("AWS_LAMBDA_FUNCTION_VERSION", "7")
            .with("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .with("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/probe")
            .with("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/20/[7]0123456789abcdef0123456789abcdef")
    }

    /// The same, started before its environment is known.
    pub(crate) fn ahead(mut self, argv: Vec<OsString>, constants: Constants) -> Self {
        self.spare = Some(Spare { argv, constants });
        self
    }

    /// The same with one more variable, or another value for it.
    pub(crate) fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.into(), value.into()));
        self
    }

    /// The same with a link whose function's end was made non-blocking, as asynchronous control
    /// planes make both.
    pub(crate) fn non_blocking(mut self) -> Self {
        self.blocking = false;
        self
    }

    /// The same with its end of the link watched, which [`Instance::deliver`] needs.
    pub(crate) fn watched(mut self) -> Self {
        self.watched = true;
        self
    }

    /// Starts it as a runner would, up to its first frame, which says that the interpreter is up, or up
    /// to where it says that it waits for a function.
    #[track_caller]
    pub(crate) fn wait(&self) -> Instance {
        let (link, theirs) = UnixStream::pair().expect("a link");
        link.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        theirs.set_nonblocking(!self.blocking).expect("a mode");
        let watch = self.watched.then(|| theirs.try_clone().expect("a descriptor"));
        let (log, writer) = io::pipe().expect("a pipe");
        // A control plane reads logs as they come and never waits for them. These tests read them
        // later, so the pipe holds more than they write, unless that is what they are about.
        fcntl(&log, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("fcntl");
        fcntl(&log, FcntlArg::F_SETPIPE_SZ(1 << 20)).expect("fcntl");
        let own = || self.env.iter().map(|(name, value)| (name.as_str(), value.as_os_str()));
        let mut command = Command::new("/bin/sh");
        // The shell would add a variable of its own to the environment.
        command.args(["-c", "unset PWD OLDPWD; exec \"$@\" 3<&0 0</dev/null", "sh"]).env_clear();
        match &self.spare {
            None => {
                let folder = own().find(|(name, _)| *name == "LAMBDA_TASK_ROOT");
                let folder = folder.map(|(_, folder)| Path::new(folder)).filter(|it| it.is_dir());
                command.args(&self.argv).envs(own()).current_dir(folder.unwrap_or(Path::new("/")));
            }
            Some(Spare { argv, constants }) => {
                command.args(argv).envs(constants.iter().copied()).current_dir("/");
            }
        }
        let process = command
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(writer.try_clone().expect("a pipe"))
            .stderr(writer)
            .spawn()
            .expect("the shell starts");
        let unanswered = VecDeque::new();
        let mut instance = Instance { process, link, log, sequence: FIRST, unanswered, watch };
        let hello = instance.frame();
        assert_eq!(hello, Some((Kind::Hello, wire::VERSION.to_le_bytes().to_vec())));
        if self.spare.is_some() {
            let spare = instance.frame();
            assert_eq!(spare, Some((Kind::Spare, Vec::new())), "{}", instance.printed());
        }
        instance
    }

    /// Starts it up to where it waits for an event, or for its environment and gets it.
    #[track_caller]
    pub(crate) fn start(&self) -> Instance {
        let mut instance = self.wait();
        if self.spare.is_some() {
            let own = self.env.iter().map(|(name, value)| (name.as_bytes(), value));
            let env: Vec<_> =
                own.map(|(name, value)| [name, b"=", value.as_encoded_bytes()].concat()).collect();
            let assign = Assign { env: env.iter().map(Vec::as_slice).collect() };
            instance.link.write_all(&assign.encode()).expect("the link takes it");
        }
        instance
    }

    /// Starts it and waits until its handler can be called.
    #[track_caller]
    pub(crate) fn ready(&self) -> Instance {
        let mut instance = self.start();
        match instance.frame() {
            Some((Kind::Ready, _)) => instance,
            Some((kind, body)) => panic!("{kind:?}: {}", String::from_utf8_lossy(&body)),
            None => panic!("gone: {}", instance.finish().1),
        }
    }

    /// Starts it and expects that its handler cannot be loaded: the error document, the log, the end.
    #[track_caller]
    pub(crate) fn broken(&self) -> (Value, String, ExitStatus) {
        let mut instance = self.start();
        let document = json(instance.frame().expect("a frame"), Kind::InitFailed);
        assert_eq!(instance.frame(), None, "it says no more");
        let (status, log) = instance.finish();
        (document, log, status)
    }
}

// === impl Instance ===

impl Instance {
    /// The next frame; none if the process has gone. An answer must carry the number of its event, and
    /// anything else none.
    #[track_caller]
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        let mut header = [0; HEADER];
        match self.link.read_exact(&mut header) {
            Ok(()) => {}
            Err(err) if err.kind() == ErrorKind::UnexpectedEof => return None,
            // It left without having read everything that was sent.
            Err(err) if err.kind() == ErrorKind::ConnectionReset => return None,
            Err(err) => panic!("no frame: {err}; log: {}", self.printed()),
        }
        let header = Header::parse(header).expect("a header");
        let expected = header.kind.has_event().then(|| self.unanswered.pop_front()).flatten();
        assert_eq!(header.sequence, expected.unwrap_or(0), "{:?}", header.kind);
        let mut body = vec![0; header.length];
        self.link.read_exact(&mut body).expect("the whole body");
        Some((header.kind, body))
    }

    /// Sends an event, whatever becomes of it.
    #[track_caller]
    pub(crate) fn send(&mut self, event: &Invoke<'_>) {
        let frame = self.encode(event);
        self.link.write_all(&frame).expect("the link takes it");
    }

    /// One event under this number, and its answer.
    #[track_caller]
    pub(crate) fn invoke_as(&mut self, sequence: u32, event: &Invoke<'_>) -> Frame {
        self.sequence = sequence - 1;
        self.invoke(event)
    }

    /// An event's bytes, for [`Instance::deliver`]: an answer to it is expected under its number.
    pub(crate) fn encode(&mut self, event: &Invoke<'_>) -> Vec<u8> {
        self.sequence = self.sequence % MAX_SEQUENCE + 1;
        self.unanswered.push_back(self.sequence);
        [&event.encode_head(self.sequence), event.payload].concat()
    }

    /// Sends bytes piece by piece: each is read before the next one is sent.
    pub(crate) fn deliver(&mut self, pieces: &[&[u8]]) {
        let watch = self.watch.as_ref().expect("a watched function").as_raw_fd();
        for piece in pieces {
            self.link.write_all(piece).expect("the link takes it");
            let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
            eventually("it has read the piece", || recv(watch, &mut [0], flags).is_err());
        }
    }

    /// One event and its answer.
    #[track_caller]
    pub(crate) fn invoke(&mut self, event: &Invoke<'_>) -> Frame {
        self.send(event);
        self.frame().unwrap_or_else(|| panic!("no answer; log: {}", self.printed()))
    }

    /// One payload and the result, which is JSON.
    #[track_caller]
    pub(crate) fn call(&mut self, payload: &str) -> Value {
        json(self.invoke(&event(payload.as_bytes())), Kind::Response)
    }

    /// One payload and the bytes of the result.
    #[track_caller]
    pub(crate) fn raw(&mut self, payload: &str) -> String {
        let (kind, body) = self.invoke(&event(payload.as_bytes()));
        let text = String::from_utf8(body).expect("text");
        assert_eq!(kind, Kind::Response, "{text}");
        text
    }

    /// One payload and the error document.
    #[track_caller]
    pub(crate) fn fail(&mut self, payload: &str) -> Value {
        json(self.invoke(&event(payload.as_bytes())), Kind::Failed)
    }

    /// The error document of a call that takes the process with it.
    pub(crate) fn die(&mut self, payload: &str) -> Value {
        json(self.invoke(&event(payload.as_bytes())), Kind::Fatal)
    }

    /// What is in the log by now and was not looked at before.
    pub(crate) fn printed(&mut self) -> String {
        let mut bytes = Vec::new();
        match self.log.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(err) if err.kind() == ErrorKind::WouldBlock => {}
            Err(err) => panic!("no log: {err}"),
        }
        String::from_utf8(bytes).expect("text")
    }

    /// The next line of the log, waited for.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        fcntl(&self.log, FcntlArg::F_SETFL(OFlag::empty())).expect("fcntl");
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            assert_eq!(self.log.read(&mut byte).expect("the log"), 1, "the log ended");
            line.push(byte[0]);
        }
        fcntl(&self.log, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("fcntl");
        String::from_utf8(line).expect("text")
    }

    /// Waits for the end of a process that was asked for it: how it ended, the rest of the log.
    #[track_caller]
    pub(crate) fn finish(mut self) -> (ExitStatus, String) {
        fcntl(&self.log, FcntlArg::F_SETFL(OFlag::empty())).expect("fcntl");
        // Read to its end first: a full pipe would hold up the process.
        let log = self.printed();
        (self.process.wait().expect("an end"), log)
    }

    /// Closes the link and waits for the end.
    #[track_caller]
    pub(crate) fn close(self) -> (ExitStatus, String) {
        self.link.shutdown(std::net::Shutdown::Both).expect("the link is open");
        self.finish()
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Already gone if the test came to its end.
        let _killed = self.process.kill();
        let _ended = self.process.wait();
    }
}
