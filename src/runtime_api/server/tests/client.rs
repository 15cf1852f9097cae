//! A client that writes what a test says and reads what comes, and knows no more of HTTP than that.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

/// A connection.
pub(super) struct Client {
    pub(super) socket: TcpStream,
    /// Read and not yet looked at.
    ahead: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) status: u16,
    /// The head as it came, with its last empty line.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

// === impl Client ===

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.expect("somebody listens");
        Self { socket, ahead: Vec::new() }
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).await.expect("it is taken");
    }

    pub(super) async fn ask_next(&mut self) {
        self.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n").await;
    }

    pub(super) async fn next(&mut self) -> Received {
        self.ask_next().await;
        self.receive().await
    }

    pub(super) async fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> Received {
        self.send_head(path, headers, body.len()).await;
        self.send(body).await;
        self.receive().await
    }

    pub(super) async fn send_head(&mut self, path: &str, headers: &str, length: usize) {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n");
        self.send(head).await;
    }

    /// A body in chunks, with its trailers.
    pub(super) async fn post_chunked(
        &mut self,
        path: &str,
        headers: &str,
        chunks: &[&[u8]],
        trailers: &str,
    ) -> Received {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Transfer-Encoding: chunked\r\n\r\n"
        );
        self.send(head).await;
        for chunk in chunks {
            self.send(format!("{:x}\r\n", chunk.len())).await;
            self.send(chunk).await;
            self.send("\r\n").await;
        }
        self.send(format!("0\r\n{trailers}\r\n")).await;
        self.receive().await
    }

    /// The next response, or a panic.
    pub(super) async fn receive(&mut self) -> Received {
        self.try_receive().await.expect("an answer before the connection ends")
    }

    /// The next response; `None` if the connection ends first.
    pub(super) async fn try_receive(&mut self) -> Option<Received> {
        let end = loop {
            if let Some(at) = find(&self.ahead, b"\r\n\r\n") {
                break at + 4;
            }
            self.read().await?;
        };
        let head = String::from_utf8(self.ahead.drain(..end).collect()).expect("text");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().expect("a number"));
        while self.ahead.len() < length {
            self.read().await?;
        }
        let body = self.ahead.drain(..length).collect();
        Some(Received { status, head, body })
    }

    /// Whether the server has nothing to say for now.
    pub(super) async fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let wait = std::time::Duration::from_millis(50);
        self.ahead.is_empty() && timeout(wait, self.socket.peek(&mut byte)).await.is_err()
    }

    /// Waits until the server has closed the connection.
    pub(super) async fn ended(&mut self) {
        while self.read().await.is_some() {}
    }

    async fn read(&mut self) -> Option<()> {
        let mut bytes = [0; 16 * 1024];
        let read = timeout(PATIENCE, self.socket.read(&mut bytes)).await.expect("in time");
        match read {
            Ok(0) | Err(_) => None,
            Ok(count) => {
                self.ahead.extend_from_slice(&bytes[..count]);
                Some(())
            }
        }
    }
}

// === impl Received ===

impl Received {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value, its name compared with its case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
