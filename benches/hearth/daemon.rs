//! A real daemon, for the time of a row or of a run.
//!
//! It lives by its standard input: should this program end, however that happens, the daemon sees the
//! pipe close, stops, and cleans up.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use sigv4::sign::Scope;
use sigv4::{Credentials, PathStyle, Payload, Secret};

use crate::client::{Connection, Shot};
use crate::processes::{self, Process};
use crate::tools;

/// The first start on a machine copies the interpreters.
const START: Duration = Duration::from_secs(180);
/// Thousands of sandboxes take a while to end.
const STOP: Duration = Duration::from_secs(60);

/// A daemon and its key.
pub struct Daemon {
    /// Trigger listener.
    pub http: SocketAddr,
    /// Management listener.
    pub api: SocketAddr,
    /// From the start of its process until it served.
    pub started_in: Duration,
    /// Where its data, its configuration and what it says are.
    pub folder: PathBuf,
    /// Runtimes that it serves.
    pub runtimes: Vec<String>,
    key: Credentials,
    child: Child,
}

// === impl Daemon ===

impl Daemon {
    /// Starts one in a folder, which may hold the data of an earlier one, and waits until it serves.
    pub fn start(folder: &Path, config: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        // The daemon serves as an unprivileged user, who must be able to get here.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        let [file, ready, log] =
            ["hearth.toml", "ready", "stderr.log"].map(|name| folder.join(name));
        fs::write(&file, config)?;
        if ready.exists() {
            fs::remove_file(&ready)?;
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
        command
            .args(["serve", "--api-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
            .args(["--until-stdin-closes", "--config"])
            .arg(&file)
            .arg("--data-dir")
            .arg(folder.join("data"))
            .arg("--image-dir")
            .arg(tools::folder().join("images"))
            .arg("--ready-file")
            .arg(&ready);
        let node = tools::node();
        if let Some(given) = &node.given {
            command.arg(format!("--runtime-path={}={}", node.runtime, given.display()));
        }
        let begun = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .context("the daemon cannot be started")?;
        let facts = wait_until_ready(&ready, &log, &mut child)?;
        let started_in = begun.elapsed();
        let address = |name: &str| -> Result<SocketAddr> {
            let url = facts[name].as_str().unwrap_or_default();
            url.trim_start_matches("http://").parse().with_context(|| format!("no {name} address"))
        };
        let credentials = facts["credentials"].as_str().context("no credentials")?;
        let key = read_key(Path::new(credentials))?;
        let (http, api) = (address("http")?, address("api")?);
        let folder = folder.to_owned();
        let mut daemon = Self { http, api, started_in, folder, runtimes: Vec::new(), key, child };
        let served = daemon.call("GET", "/readyz", b"")?;
        let runtimes = served["runtimes"].as_array().context("it says what it serves")?;
        daemon.runtimes = runtimes.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Ok(daemon)
    }

    /// Stops it and waits until it has cleaned up.
    pub fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + STOP;
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the daemon ended with {status}: {}", self.last_words());
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the daemon does not stop: {}", self.last_words());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The control plane.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its processes, those in sandboxes too.
    pub fn processes(&self) -> Result<Vec<Process>> {
        processes::of(self.pid())
    }

    /// A signed request to the management listener, to be sent as often as wanted for 5 minutes.
    pub fn signed(&self, method: &str, path: &str, body: &[u8]) -> Result<Shot> {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_str(&self.api.to_string())?);
        let scope = Scope { region: "us-east-1", service: "lambda", paths: PathStyle::Normalised };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let payload = Payload::Bytes(body);
        let verb = Method::from_bytes(method.as_bytes())?;
        let (bare, query) = match path.split_once('?') {
            Some((bare, query)) => (bare, Some(query)),
            None => (path, None),
        };
        sigv4::sign(&self.key, scope, &verb, (bare, query), &mut headers, payload, now)?;
        headers.remove("host");
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| Ok((name.to_string(), value.to_str()?.to_owned())))
            .collect::<Result<_>>()?;
        Ok(Shot::new(self.api, method, path, &headers, body))
    }

    /// Asks the management listener for something.
    pub fn call(&self, method: &str, path: &str, body: &[u8]) -> Result<Value> {
        let shot = self.signed(method, path, body)?;
        let mut connection = Connection::open(self.api)?;
        let (_, answer) = connection.fire(&shot).with_context(|| format!("{method} {path}"))?;
        Ok(if answer.is_empty() { Value::Null } else { serde_json::from_slice(answer)? })
    }

    /// The end of what it said.
    pub fn last_words(&self) -> String {
        tail(&self.folder.join("stderr.log"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + STOP;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline {
                // Its spawner sees that and ends everything.
                let _gone = self.child.kill();
                let _reaped = self.child.wait();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn wait_until_ready(file: &Path, log: &Path, child: &mut Child) -> Result<Value> {
    let deadline = Instant::now() + START;
    while Instant::now() < deadline {
        if let Ok(text) = fs::read_to_string(file)
            && text.ends_with('\n')
        {
            return Ok(serde_json::from_str(&text)?);
        }
        if let Some(status) = child.try_wait()? {
            bail!("the daemon did not start ({status}): {}", tail(log));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    bail!("the daemon was not ready after {} s: {}", START.as_secs(), tail(log))
}

/// The last lines of a file, in one.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
}

fn read_key(file: &Path) -> Result<Credentials> {
    let text = fs::read_to_string(file)?;
    let value = |wanted: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == wanted).then(|| value.trim().to_owned())
        })
    };
    let access_key_id = value("aws_access_key_id").context("no key id")?;
    let secret = value("aws_secret_access_key").context("no secret")?;
    Ok(Credentials { access_key_id, secret: Secret::new(&secret) })
}
