//! The load: HTTP/1.1 with keep-alive over loopback, as little of it as there can be.
//!
//! A request is built once and written as it is; an answer is read until its Content-Length is
//! there. What is measured is the server, not the client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// No single answer takes longer than this, or the run has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request, ready to be written again and again.
#[derive(Debug, Clone)]
pub struct Shot {
    /// Where to.
    pub address: SocketAddr,
    /// Every byte of it.
    pub bytes: Vec<u8>,
}

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

// === impl Shot ===

impl Shot {
    /// A POST.
    pub fn post(
        address: SocketAddr,
        path: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Self {
        let mut head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        Self { address, bytes }
    }
}

// === impl Connection ===

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connect {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// Sends a request, waits for the whole answer, and returns how long that took and its body.
    pub fn fire(&mut self, shot: &Shot) -> Result<(Duration, Vec<u8>)> {
        let started = Instant::now();
        self.stream.write_all(&shot.bytes)?;
        self.buffer.clear();
        let mut chunk = [0; 16 * 1024];
        loop {
            let count = self.stream.read(&mut chunk)?;
            if count == 0 {
                bail!("the server hung up: {}", String::from_utf8_lossy(&self.buffer));
            }
            self.buffer.extend_from_slice(&chunk[..count]);
            if let Some((status, body)) = complete(&self.buffer) {
                let took = started.elapsed();
                let body = self.buffer[body..].to_vec();
                if !(200..300).contains(&status) {
                    bail!("status {status}: {}", String::from_utf8_lossy(&body));
                }
                return Ok((took, body));
            }
        }
    }
}

/// Status and where the body begins, once all of it is there.
fn complete(bytes: &[u8]) -> Option<(u16, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.get(9..12)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    (bytes.len() >= end + length).then_some((status, end))
}

/// Answers per second with `connections` at once, for about `time`; one thread generates it all.
pub fn flood(shot: &Shot, connections: usize, time: Duration) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let started = Instant::now();
        let mut tasks = Vec::new();
        for _ in 0..connections {
            tasks.push(tokio::spawn(repeat(shot.clone(), started + time)));
        }
        let mut answers = 0_u64;
        for task in tasks {
            answers += task.await??;
        }
        Ok(answers as f64 / started.elapsed().as_secs_f64())
    })
}

async fn repeat(shot: Shot, until: Instant) -> Result<u64> {
    let mut stream = tokio::net::TcpStream::connect(shot.address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(64 * 1024);
    let mut answers = 0;
    while Instant::now() < until {
        stream.write_all(&shot.bytes).await?;
        buffer.clear();
        loop {
            if stream.read_buf(&mut buffer).await? == 0 {
                bail!("the server hung up under load");
            }
            match complete(&buffer) {
                Some((200, _)) => break,
                Some((status, body)) => {
                    bail!("status {status}: {}", String::from_utf8_lossy(&buffer[body..]))
                }
                None => {}
            }
        }
        answers += 1;
    }
    Ok(answers)
}
