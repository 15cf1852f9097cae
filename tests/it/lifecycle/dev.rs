//! `hearth dev`: serves a folder, deploys it again when it changes, and leaves nothing.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::daemon::{ended, images, nothing_left, require_root, send};
use crate::harness::leftovers::{Process, Trace};
use crate::harness::{Account, Home, Request, Response, eventually, setup};

/// Longest wait for a deployment to show.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running `hearth dev`.
pub struct Dev {
    child: Child,
    folder: PathBuf,
    home: Arc<Home>,
    said: Arc<Mutex<String>>,
    name: String,
}

// === impl Dev ===

impl Dev {
    /// Starts it on a copy of an example.
    fn start(example: &str) -> Self {
        Self::start_as(example, None)
    }

    /// The same, of an ordinary user, who is told nothing about where things lie but images.
    pub fn start_as(example: &str, account: Option<&Account>) -> Self {
        require_root();
        let home = Home::new();
        let folder = home.path().join(example);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example);
        fs::create_dir(&folder).expect("our own directory");
        for entry in fs::read_dir(source).expect("the example is there").flatten() {
            fs::copy(entry.path(), folder.join(entry.file_name())).expect("a file");
        }
        let mut command = match account {
            None => Command::new(env!("CARGO_BIN_EXE_hearth")),
            Some(account) => account.hearth(home.path()),
        };
        // Beyond the ports a user's own daemon has; taken ones are stepped over.
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let step = NEXT.fetch_add(10, Ordering::Relaxed);
        command.arg("dev").arg(&folder);
        command.args(["--api-port", &(29_000 + step).to_string()]);
        command.args(["--http-port", &(28_080 + step).to_string()]);
        match account {
            None => command.arg("--data-dir").arg(home.data()).arg("--image-dir").arg(images()),
            Some(_) => command.arg("--image-dir").arg(home.path().join("images")),
        };
        if account.is_some() {
            // Another Node lies where only root may be able to go.
        } else if let Some(node) = &setup::node().given {
            command.arg("--runtime-path");
            command.arg(format!("{}={}", setup::node().runtime, node.display()));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("hearth starts");
        let said = Arc::new(Mutex::new(String::new()));
        listen(child.stdout.take().expect("piped"), &said);
        listen(child.stderr.take().expect("piped"), &said);
        Self { child, folder, home, said, name: example.to_owned() }
    }

    /// All it has printed.
    pub fn said(&self) -> String {
        self.said.lock().expect("nobody panics holding it").clone()
    }

    /// The path-style URL that it prints.
    pub fn url(&mut self) -> (SocketAddr, String) {
        let begins = "http://127.0.0.1:";
        let child = &mut self.child;
        let (said, name) = (&self.said, &self.name);
        eventually("the URL is printed", PATIENCE, || {
            let text = said.lock().expect("nobody panics holding it").clone();
            let ended = child.try_wait().expect("our own child");
            assert_eq!(ended, None, "it ended:\n{text}");
            let urls = text.split_whitespace().filter_map(|word| word.strip_prefix(begins));
            let mut paths = urls.filter_map(|rest| rest.split_once('/'));
            let (port, path) = paths.find(|(_, path)| path.starts_with(name.as_str()))?;
            Some((format!("127.0.0.1:{port}").parse().ok()?, format!("/{path}")))
        })
    }

    /// Calls the function until it answers as wanted.
    pub fn eventually_answers(&self, (to, path): &(SocketAddr, String), what: &str, text: &str) {
        eventually(what, PATIENCE, || {
            let response = Request::new("GET", path).send(*to);
            response.text().contains(text).then_some(())
        });
    }

    fn trace(&self) -> Trace {
        // The slot is not known here; every process descends from this one.
        Trace::take(u64::from(u16::MAX), &[self.child.id()], &[self.home.path()])
    }

    /// Ends it with a signal and checks that nothing is left.
    pub fn end(mut self, signal: Signal, how: &str) {
        let trace = self.trace();
        assert!(trace.processes().len() >= 4, "{trace:?}");
        send(self.child.id(), signal);
        let child = &mut self.child;
        let status = eventually("it ends", PATIENCE, || child.try_wait().expect("our own child"));
        assert_eq!(ended(status), how, "{}", self.said());
        nothing_left(&trace);
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            send(self.child.id(), Signal::SIGTERM);
            let _ = self.child.wait();
        }
        if thread::panicking() {
            eprintln!("--- what hearth dev said ---\n{}", self.said());
        }
    }
}

/// Collects what a stream says.
fn listen(mut stream: impl Read + Send + 'static, said: &Arc<Mutex<String>>) {
    let said = Arc::clone(said);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            said.lock().expect("nobody panics holding it").push_str(&text);
        }
    });
}

#[test]
fn the_first_thing_a_new_user_types_serves_redeploys_and_leaves_nothing() {
    let mut dev = Dev::start("hello-python");
    let url = dev.url();
    dev.eventually_answers(&url, "the example answers", "Hello, world!");
    let answer: Response = Request::new("GET", &format!("{}?name=Ada", url.1)).send(url.0);
    assert_eq!(answer.expect(200).json()["message"], "Hello, Ada!");

    let file = dev.folder.join("app.py");
    let source = fs::read_to_string(&file).expect("the example");
    fs::write(&file, source.replace("Hello", "Good day")).expect("our own copy");
    dev.eventually_answers(&url, "the change is deployed", "Good day, world!");

    // A mistake is shown, and the old version keeps serving.
    fs::write(&file, source.replace("def handler(", "def handler((")).expect("our own copy");
    let said = Arc::clone(&dev.said);
    eventually("the mistake is shown", PATIENCE, || {
        let text = said.lock().expect("nobody panics holding it").clone();
        (text.contains("app.py") && text.contains("SyntaxError")).then_some(())
    });
    let answer = Request::new("GET", &url.1).send(url.0).expect(200);
    assert_eq!(answer.json()["message"], "Good day, world!");

    fs::write(&file, source.replace("Hello", "Welcome")).expect("our own copy");
    dev.eventually_answers(&url, "the repaired version is deployed", "Welcome, world!");
    dev.end(Signal::SIGINT, "exit 0");
}

#[test]
fn a_node_example_is_served_and_its_lines_are_shown() {
    let mut dev = Dev::start("hello-node");
    let url = dev.url();
    dev.eventually_answers(&url, "the example answers", "Hello, world!");
    let said = Arc::clone(&dev.said);
    eventually("the function's lines are shown", PATIENCE, || {
        let text = said.lock().expect("nobody panics holding it").clone();
        text.contains("greeting world").then_some(())
    });
    dev.end(Signal::SIGTERM, "exit 0");
}

#[test]
fn killed_it_leaves_nothing_either() {
    let mut dev = Dev::start("hello-python");
    let url = dev.url();
    dev.eventually_answers(&url, "the example answers", "Hello, world!");
    assert!(!Process::all().is_empty());
    dev.end(Signal::SIGKILL, "signal 9");
}
