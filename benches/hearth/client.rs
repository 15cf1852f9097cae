//! The load: HTTP/1.1 with keep-alive over loopback, as little of it as there can be.
//!
//! A request is built once and written as it is; an answer is read until its Content-Length is there.
//! What is measured is the server, not the client: at one connection this is a blocking write and a
//! blocking read, at more one thread that waits for all of them. Against the HTTP floor it asks for
//! more than `wrk -t1` does, so that it is not what holds the figures back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Barrier;

/// No single answer takes longer than this, or the run has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers are small as a rule; a large one makes room for itself.
const ROOM: usize = 64 * 1024;

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
    answer: Answer,
}

/// An answer as far as it has come, in a buffer that is never given back.
struct Answer {
    bytes: Vec<u8>,
    filled: usize,
    head: Option<Head>,
}

/// What the first lines of an answer said.
#[derive(Debug, Clone, Copy)]
struct Head {
    status: u16,
    body: usize,
    end: usize,
}

/// What a flood came to.
pub struct Flooded {
    /// Answers per second.
    pub rate: f64,
    /// How long each of them took.
    pub each: Vec<Duration>,
}

/// What requests that were sent at once came to.
pub struct Volley {
    /// Until the last was answered.
    pub took: Duration,
    /// Answers that were not well; the first of them, if there is any.
    pub refused: usize,
    /// What the first of those said.
    pub words: Option<String>,
}

// === impl Shot ===

impl Shot {
    /// A request with a body, if that is not empty.
    pub fn new(
        address: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Self {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        Self { address, bytes }
    }

    /// A POST without further ado.
    pub fn post(address: SocketAddr, path: &str, body: &[u8]) -> Self {
        Self::new(address, "POST", path, &[], body)
    }
}

// === impl Answer ===

impl Answer {
    fn new() -> Self {
        Self { bytes: vec![0; ROOM], filled: 0, head: None }
    }

    fn clear(&mut self) {
        (self.filled, self.head) = (0, None);
    }

    /// Where the next bytes belong.
    fn room(&mut self) -> &mut [u8] {
        let needed = self.head.map_or(self.filled + 1, |head| head.end);
        if self.bytes.len() < needed {
            self.bytes.resize(needed.max(self.bytes.len() * 2), 0);
        }
        &mut self.bytes[self.filled..]
    }

    /// Takes note of `count` more; the head once all of the answer is there.
    fn add(&mut self, count: usize) -> Result<Option<Head>> {
        ensure!(count > 0, "the server hung up: {}", self.text(0));
        self.filled += count;
        if self.head.is_none() {
            self.head = parse(&self.bytes[..self.filled])?;
        }
        Ok(self.head.filter(|head| head.end <= self.filled))
    }

    fn text(&self, from: usize) -> String {
        String::from_utf8_lossy(&self.bytes[from..self.filled]).into_owned()
    }
}

fn parse(bytes: &[u8]) -> Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).context("the head of an answer is not text")?;
    let status = head.get(9..12).and_then(|digits| digits.parse().ok());
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let body = end + 4;
    let length = match status {
        // No content has no length either.
        Some(204) => 0,
        _ => length.with_context(|| format!("an answer without a length: {head}"))?,
    };
    let status = status.with_context(|| format!("an answer without a status: {head}"))?;
    Ok(Some(Head { status, body, end: body + length }))
}

// === impl Connection ===

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connect {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, answer: Answer::new() })
    }

    /// Sends a request, waits for the whole answer, and returns how long that took and its body.
    pub fn fire(&mut self, shot: &Shot) -> Result<(Duration, &[u8])> {
        let (took, status, body) = self.ask(shot)?;
        ensure!((200..300).contains(&status), "{status}: {}", String::from_utf8_lossy(body));
        Ok((took, body))
    }

    /// The same; what the status is, is for the caller to judge.
    pub fn ask(&mut self, shot: &Shot) -> Result<(Duration, u16, &[u8])> {
        let started = Instant::now();
        self.stream.write_all(&shot.bytes)?;
        self.answer.clear();
        loop {
            let count = self.stream.read(self.answer.room())?;
            if let Some(head) = self.answer.add(count)? {
                let took = started.elapsed();
                return Ok((took, head.status, &self.answer.bytes[head.body..head.end]));
            }
        }
    }

    /// Sends a request whose answer comes in chunks; returns when, since the epoch, the first byte of its
    /// body was there, and that chunk. The rest is read and dropped.
    pub fn first_chunk(&mut self, shot: &Shot) -> Result<(Duration, Vec<u8>)> {
        self.stream.write_all(&shot.bytes)?;
        let (mut bytes, mut first) = (Vec::new(), None);
        let mut piece = [0; 16 * 1024];
        loop {
            let count = self.stream.read(&mut piece)?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
            ensure!(count > 0, "the server hung up: {}", String::from_utf8_lossy(&bytes));
            bytes.extend_from_slice(&piece[..count]);
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let body = &bytes[end + 4..];
            // The size of a chunk, then what is in it.
            let data = body.iter().position(|byte| *byte == b'\n').map(|at| &body[at + 1..]);
            if let (Some(data), None) = (data, &first)
                && let Some(end) = data.iter().position(|byte| *byte == b'\r')
            {
                first = Some((now, data[..end].to_vec()));
            }
            if body.ends_with(b"0\r\n\r\n") {
                return first.context("an answer without a body");
            }
        }
    }
}

/// `connections` at once, for about `time`; one thread generates it all.
pub fn flood(shot: &Shot, connections: usize, time: Duration) -> Result<Flooded> {
    one_thread()?.block_on(async {
        let started = Instant::now();
        let mut tasks = Vec::new();
        for _ in 0..connections {
            tasks.push(tokio::spawn(repeat(shot.clone(), started + time)));
        }
        let mut each = Vec::new();
        for task in tasks {
            each.extend(task.await??);
        }
        Ok(Flooded { rate: each.len() as f64 / started.elapsed().as_secs_f64(), each })
    })
}

/// `count` requests sent at the same moment, each on a connection that was there before.
pub fn volley(shot: &Shot, count: usize) -> Result<Volley> {
    one_thread()?.block_on(async {
        let barrier = std::sync::Arc::new(Barrier::new(count + 1));
        let mut tasks = Vec::new();
        for _ in 0..count {
            let (shot, barrier) = (shot.clone(), barrier.clone());
            tasks.push(tokio::spawn(async move {
                let opened = open(&shot).await;
                barrier.wait().await;
                let mut stream = opened?;
                let mut answer = Answer::new();
                let head = exchange(&mut stream, &shot, &mut answer).await?;
                let well = (200..300).contains(&head.status);
                anyhow::Ok((!well).then(|| format!("{}: {}", head.status, answer.text(head.body))))
            }));
        }
        barrier.wait().await;
        let started = Instant::now();
        let (mut refused, mut words) = (0, None);
        for task in tasks {
            if let Some(said) = task.await?? {
                refused += 1;
                words.get_or_insert(said);
            }
        }
        Ok(Volley { took: started.elapsed(), refused, words })
    })
}

fn one_thread() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

async fn open(shot: &Shot) -> Result<tokio::net::TcpStream> {
    let stream = tokio::net::TcpStream::connect(shot.address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn repeat(shot: Shot, until: Instant) -> Result<Vec<Duration>> {
    let mut stream = open(&shot).await?;
    let mut answer = Answer::new();
    let mut each = Vec::new();
    let mut now = Instant::now();
    while now < until {
        let head = exchange(&mut stream, &shot, &mut answer).await?;
        if !(200..300).contains(&head.status) {
            bail!("under load {}: {}", head.status, answer.text(head.body));
        }
        let begun = now;
        now = Instant::now();
        each.push(now - begun);
    }
    Ok(each)
}

async fn exchange(
    stream: &mut tokio::net::TcpStream,
    shot: &Shot,
    answer: &mut Answer,
) -> Result<Head> {
    stream.write_all(&shot.bytes).await?;
    answer.clear();
    loop {
        let read = tokio::time::timeout(PATIENCE, stream.read(answer.room()));
        let count = read.await.context("an answer did not come")??;
        if let Some(head) = answer.add(count)? {
            return Ok(head);
        }
    }
}
