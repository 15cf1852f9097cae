//! The floors: the least that must happen, measured beside what does.
//!
//! * `floor-http`: axum returns the body of a POST.
//! * `floor-function`: the least any process-isolating platform must do for a Python function: axum
//!   takes the POST, writes a length-prefixed frame to a Unix socket, an un-isolated interpreter reads
//!   it, `json.loads` → handler → `json.dumps`, writes a frame back, axum answers. Four workers; no
//!   queue, limits, logs, identifiers or isolation.
//! * a bare interpreter: fork, exec, nothing, exit.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::body::Bytes;
use axum::routing::post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::{Mutex, mpsc};

/// Interpreters of the function floor.
const WORKERS: usize = 4;

/// What the floor's interpreters run: frames in, frames out, the same handler as ours.
const LOOP: &str = "
import json, struct, sys
sys.path.insert(0, sys.argv[1])
from app import handler
i = open(0, 'rb', buffering=0); o = open(1, 'wb', buffering=0)
def take(n):
    b = b''
    while len(b) < n:
        p = i.read(n - len(b))
        if not p: sys.exit(0)
        b += p
    return b
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

/// Serves the function floor: `PYTHON FOLDER EVENT-PREFIX EVENT-SUFFIX`. The event is what a function
/// URL would send, so that both sides parse the same JSON.
pub fn function(words: &[String]) -> Result<()> {
    let [python, folder, prefix, suffix] = words else {
        anyhow::bail!("floor-function takes an interpreter, a folder and two halves of an event");
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
        let halves = Arc::new((prefix.clone(), suffix.clone()));
        let call = move |body: Bytes| {
            let (free, waiting, halves) = (free.clone(), waiting.clone(), halves.clone());
            async move {
                let mut link = waiting.lock().await.recv().await.expect("a worker");
                let body = serde_json::to_vec(&String::from_utf8_lossy(&body)).expect("text");
                let length = halves.0.len() + body.len() + halves.1.len();
                let mut frame = Vec::with_capacity(length + 4);
                frame.extend_from_slice(&(length as u32).to_le_bytes());
                frame.extend_from_slice(halves.0.as_bytes());
                frame.extend_from_slice(&body);
                frame.extend_from_slice(halves.1.as_bytes());
                link.write_all(&frame).await.expect("a worker that reads");
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

fn serve<F: Future<Output = Result<axum::Router>>>(router: impl FnOnce() -> F) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let router = router().await?;
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

/// How long a bare interpreter takes to start, do nothing and end.
pub fn interpreter(python: &Path) -> Result<Duration> {
    let started = Instant::now();
    let status = Command::new(python).args(["-S", "-c", "pass"]).env_clear().status()?;
    anyhow::ensure!(status.success(), "{} failed: {status}", python.display());
    Ok(started.elapsed())
}
