//! The least a custom runtime can be: fetch an event, give its body back, and again.
//!
//! Built by the benchmark with `rustc` alone, statically, and put into a function as its `bootstrap`. It
//! is the native row's function because what a client library does beyond this is not the platform's.

use std::io::{Read, Write};
use std::net::TcpStream;

const NEXT: &[u8] =
    b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: runtime\r\n\r\n";

fn main() -> std::io::Result<()> {
    let address = std::env::var("AWS_LAMBDA_RUNTIME_API").expect("a runtime is told where to ask");
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(64 * 1024);
    loop {
        stream.write_all(NEXT)?;
        let body = answer(&mut stream, &mut bytes)?;
        let (head, event) = bytes.split_at(body);
        let id = header(head, "lambda-runtime-aws-request-id").expect("an event has an id");
        let answer_body = format!("{{\"statusCode\":200,\"body\":{}}}", literal(event));
        let post = format!(
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nhost: runtime\r\n\
             content-length: {}\r\n\r\n{answer_body}",
            answer_body.len()
        );
        stream.write_all(post.as_bytes())?;
        answer(&mut stream, &mut bytes)?;
    }
}

/// Reads one answer; says where its body begins.
fn answer(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    bytes.clear();
    let mut piece = [0; 16 * 1024];
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            // The sandbox is being ended.
            std::process::exit(0);
        }
        bytes.extend_from_slice(&piece[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let length = header(&bytes[..end], "content-length");
        let length = length.map_or(0, |text| text.parse::<usize>().expect("a length is a number"));
        if bytes.len() >= end + 4 + length {
            return Ok(end + 4);
        }
    }
}

fn header<'h>(head: &'h [u8], wanted: &str) -> Option<&'h str> {
    let head = std::str::from_utf8(head).expect("headers are text");
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

/// The event's body as it stands there, a JSON string. Its key cannot stand inside of a string, where
/// the quotation marks would be escaped.
fn literal(event: &[u8]) -> &str {
    const KEY: &str = "\"body\":";
    let event = std::str::from_utf8(event).expect("JSON is text");
    let Some(begin) = event.find(KEY).map(|at| at + KEY.len()) else { return "\"\"" };
    let rest = &event[begin..];
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return &rest[..=at],
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    "\"\""
}
