//! The floors: the least that must happen, measured beside what does.
//!
//! * `floor-http`: axum returns the body of a POST.
//! * `floor-function`: the least any process-isolating platform must do for a Python function: axum
//!   takes the POST, writes a length-prefixed frame to a Unix socket, an un-isolated interpreter reads
//!   it, `json.loads` → handler → `json.dumps`, writes a frame back, axum answers. Four workers; no
//!   queue, limits, logs, identifiers or isolation.
//! * a bare interpreter: fork, exec, nothing, exit. It is the very file that sandboxes execute, out of
//!   the image: what a version manager puts on PATH may take ten times as long.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::body::Bytes;
use axum::routing::post;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::{Mutex, mpsc};

use crate::{functions, tools};

/// Interpreters of the function floor.
const WORKERS: usize = 4;

/// What the floor's interpreters run: frames in, frames out, the same handler as ours.
const LOOP: &str = "
import json, struct, sys
sys.path.insert(0, sys.argv[1])
from app import handler
i = open(0, 'rb', buffering=0); o = open(1, 'wb', buffering=0)
def take(n):
    b = i.read(n)
    if len(b) == n: return b
    parts = []
    while b:
        parts.append(b)
        n -= len(b)
        if not n: return b''.join(parts)
        b = i.read(n)
    sys.exit(0)
while True:
    n, = struct.unpack('<I', take(4))
    r = json.dumps(handler(json.loads(take(n)), None)).encode()
    o.write(struct.pack('<I', len(r)) + r)
";

/// A floor that runs.
pub struct Floor {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
}

// === impl Floor ===

impl Floor {
    /// Starts this program again as one of the floors, which prints its address.
    pub fn start(words: &[&str]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().context("a pipe was asked for")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| format!("floor said '{line}'"))?;
        Ok(Self { address, child })
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // It ends when its standard input does; killing it as well keeps a hung one from staying.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves the HTTP floor until standard input ends.
pub fn http() -> Result<()> {
    serve(|| async { Ok(axum::Router::new().route("/echo", post(|body: Bytes| async { body }))) })
}

/// Serves the function floor: `PYTHON FOLDER [PREFIX SUFFIX]`. With two halves of an event the body is
/// put between them as a string, as a function URL does; without, the body is the event, as with
/// `Invoke`. So both sides parse the same JSON.
pub fn function(words: &[String]) -> Result<()> {
    let (python, folder, halves) = match words {
        [python, folder, prefix, suffix] => (python, folder, Some((prefix, suffix))),
        [python, folder] => (python, folder, None),
        _ => anyhow::bail!("floor-function takes an interpreter, a folder and perhaps an event"),
    };
    serve(|| async move {
        let (free, waiting) = mpsc::channel(WORKERS);
        for _ in 0..WORKERS {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            Command::new(python)
                .args(["-S", "-c", LOOP, folder])
                .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs.try_clone()?)))
                .stdout(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
                .spawn()?;
            free.send(UnixStream::from_std(ours)?).await?;
        }
        let waiting = Arc::new(Mutex::new(waiting));
        let halves = Arc::new(halves.map(|(prefix, suffix)| (prefix.clone(), suffix.clone())));
        let call = move |body: Bytes| {
            let (free, waiting, halves) = (free.clone(), waiting.clone(), halves.clone());
            async move {
                let mut link = waiting.lock().await.recv().await.expect("a worker");
                link.write_all(&frame(halves.as_ref().as_ref(), &body))
                    .await
                    .expect("a worker that reads");
                let length = link.read_u32_le().await.expect("a worker that answers");
                let mut answer = vec![0; length as usize];
                link.read_exact(&mut answer).await.expect("a whole answer");
                free.send(link).await.expect("room for the worker");
                answer
            }
        };
        Ok(axum::Router::new().route("/echo", post(call)))
    })
}

/// Length, then the event.
fn frame(halves: Option<&(String, String)>, body: &[u8]) -> Vec<u8> {
    let (prefix, suffix) = halves.map_or(("", ""), |(prefix, suffix)| (prefix, suffix));
    let body = match halves {
        Some(_) => serde_json::to_vec(&String::from_utf8_lossy(body)).expect("text").into(),
        None => std::borrow::Cow::Borrowed(body),
    };
    let length = prefix.len() + body.len() + suffix.len();
    let mut frame = Vec::with_capacity(length + 4);
    frame.extend_from_slice(&(length as u32).to_le_bytes());
    frame.extend_from_slice(prefix.as_bytes());
    frame.extend_from_slice(&body);
    frame.extend_from_slice(suffix.as_bytes());
    frame
}

fn serve<F: Future<Output = Result<axum::Router>>>(router: impl FnOnce() -> F) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        // As large as the daemon takes them.
        let router = router().await?.layer(axum::extract::DefaultBodyLimit::disable());
        println!("{}", listener.local_addr()?);
        let (over, ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            let _ = over.send(());
        });
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            let _ = stream.set_nodelay(true);
        });
        tokio::select! {
            done = async { axum::serve(listener, router).await } => Ok(done?),
            _ = ended => Ok(()),
        }
    })
}

/// How long a program takes to start, do nothing and end.
pub fn run(program: &Path, words: &[&str]) -> Result<Duration> {
    let started = Instant::now();
    let status = Command::new(program).args(words).env_clear().status()?;
    let took = started.elapsed();
    anyhow::ensure!(status.success(), "{} failed: {status}", program.display());
    Ok(took)
}

/// The function floor, fed with the event that a function URL makes of the same request.
pub fn of_url(folder: &Path) -> Result<Floor> {
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "",
        "headers": { "host": "127.0.0.1", "content-length": "23" },
        "requestContext": {
            "accountId": "anonymous", "apiId": "abcdefghijklmnopqrstuvwxyz234567",
            "authentication": null, "domainName": "127.0.0.1", "domainPrefix": "127",
            "http": { "method": "POST", "path": "/", "protocol": "HTTP/1.1",
                      "sourceIp": "127.0.0.1", "userAgent": "" },
            "requestId": "8476a536-e9f4-11e8-9739-2dfe598c3fcd", "routeKey": "$default",
            "stage": "$default", "time": "20/Nov/2026:05:00:00 +0000",
            "timeEpoch": 1_795_150_800_000_u64,
        },
        "isBase64Encoded": false,
    });
    // The body goes in as a JSON string, as a function URL does it.
    let text = event.to_string();
    let prefix = format!("{},\"body\":", &text[..text.len() - 1]);
    of_function(folder, functions::ECHO, &[&prefix, "}"])
}

/// The function floor, whose event is the body as it is.
pub fn of_invoke(folder: &Path) -> Result<Floor> {
    of_function(folder, functions::MIRROR, &[])
}

fn of_function(folder: &Path, source: &str, halves: &[&str]) -> Result<Floor> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("app.py"), source)?;
    let python = tools::python()?;
    let place = |path: &Path| path.to_str().map(str::to_owned).context("a path that is no text");
    let (python, folder) = (place(&python)?, place(folder)?);
    let mut words = vec!["floor-function", &python, &folder];
    words.extend(halves);
    Floor::start(&words)
}
