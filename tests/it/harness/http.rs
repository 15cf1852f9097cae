//! HTTP/1.1 as bytes on a socket: one connection per request, nothing added that was not asked for.
//!
//! A proper client library would refuse to send much of what `bad_input` sends.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::eventually::patience;

/// Longest silence. Above the longest that any test lets a function run.
const SILENCE: Duration = Duration::from_secs(60);

/// A request, ready to be signed, spoiled and sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// Path and query as they go on the wire.
    pub target: String,
    /// Headers in order. `Host`, `Content-Length` and `Connection` are added if they are missing.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer, read to its end.
#[derive(Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// The body, without the chunks it may have come in.
    pub body: Vec<u8>,
}

// === impl Request ===

impl Request {
    /// A request without headers and body.
    pub fn new(method: &str, target: &str) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        Self { method, target, headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to a JSON document.
    pub fn json(self, document: &Value) -> Self {
        self.header("content-type", "application/json").body(document.to_string())
    }

    /// The first header of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Sends it and reads the answer.
    #[track_caller]
    pub fn send(&self, to: SocketAddr) -> Response {
        let mut stream = connect(to);
        // A server may refuse a body after its first bytes and hang up: what it said still counts.
        if let Err(err) =
            stream.write_all(&self.head(to)).and_then(|()| stream.write_all(&self.body))
        {
            let hung_up = matches!(err.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
            assert!(hung_up, "{} {}: {err}", self.method, self.target);
        }
        let answer = read(&mut stream);
        Response::parse(&answer).unwrap_or_else(|| {
            let text = String::from_utf8_lossy(&answer);
            panic!("{} {}: not an HTTP answer: {text:?}", self.method, self.target)
        })
    }

    fn head(&self, to: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.get("host").is_none() {
            head.push_str(&format!("host: {to}\r\n"));
        }
        if self.get("content-length").is_none() && self.get("transfer-encoding").is_none() {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        if self.get("connection").is_none() {
            head.push_str("connection: close\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

// === impl Response ===

impl Response {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// All headers of that name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|err| panic!("{err} in {self:?}"))
    }

    /// Itself, if the status is the expected one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Checks a refusal in AWS's form: status, code, message; returns the body.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str, message: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        let named = self.header("x-amzn-errortype").unwrap_or_default();
        assert_eq!(named.split(':').next(), Some(code), "{self:?}");
        let body = self.json();
        let said = body["message"].as_str().or(body["Message"].as_str()).unwrap_or_default();
        assert_eq!(said, message, "{self:?}");
        body
    }

    /// Reads an answer that a connection carried; `None` if it is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':'))
            .map(|pair| pair.map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
            .collect::<Option<_>>()?;
        let rest = &bytes[end + 4..];
        if status == 100 {
            return Self::parse(rest);
        }
        let chunked = find(&headers, "transfer-encoding").is_some_and(|value| value == "chunked");
        let body = if chunked { unchunk(rest)? } else { rest.to_vec() };
        if let Some(length) = find(&headers, "content-length") {
            let whole = body.len() == length.parse::<usize>().ok()?;
            if !whole && !body.is_empty() {
                return None;
            }
        }
        Some(Self { status, headers, body })
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        let shown: String = text.chars().take(2_000).collect();
        writeln!(f, "HTTP {}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        write!(f, "\n{shown}")
    }
}

/// Opens a connection that does not wait for ever.
#[track_caller]
pub fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap_or_else(|err| panic!("{to}: {err}"));
    stream.set_read_timeout(Some(patience(SILENCE))).expect("a timeout above zero");
    stream.set_write_timeout(Some(patience(SILENCE))).expect("a timeout above zero");
    stream
}

/// Everything the peer says until it hangs up.
#[track_caller]
pub fn read(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return all,
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            // Hung up with bytes of ours unread: what it said before still counts.
            Err(err) if err.kind() == ErrorKind::ConnectionReset => return all,
            Err(err) if err.kind() == ErrorKind::Interrupted => {}
            Err(err) => panic!("the answer stopped after {} bytes: {err}", all.len()),
        }
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut same = headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    same.next().map(|(_, value)| value.as_str())
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}
