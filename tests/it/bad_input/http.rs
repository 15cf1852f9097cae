//! HTTP that is slow, cut off, too large, or not HTTP; on both listeners.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::http::{connect, read};
use crate::harness::{Daemon, Home, Options, Request, Response, shared};

/// Sends bytes and reads what comes back until the peer hangs up.
fn exchange(to: SocketAddr, bytes: &[u8]) -> Option<Response> {
    let mut stream = connect(to);
    // It may hang up in the middle.
    let _ = stream.write_all(bytes);
    Response::parse(&read(&mut stream))
}

/// Whether the peer hangs up within `patience`.
fn hangs_up(mut stream: TcpStream, patience: Duration) -> bool {
    stream.set_read_timeout(Some(patience)).expect("above zero");
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(err) if err.kind() == ErrorKind::ConnectionReset => return true,
            Err(err) if err.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

fn lives(daemon: &Daemon) {
    daemon.api("GET", "/2015-03-31/functions", &Value::Null).expect(200);
}

#[test]
fn what_is_not_http_is_refused_or_hung_up_on() {
    let daemon = shared();
    for listener in [daemon.api, daemon.http] {
        for bytes in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"\r\n\r\n\r\n\r\nnonsense\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
            b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
            b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
        ] {
            if let Some(response) = exchange(listener, bytes) {
                let text = String::from_utf8_lossy(bytes);
                assert!((400..=505).contains(&response.status), "{text:?}: {response:?}");
            }
        }
    }
    lives(&daemon);
}

#[test]
fn two_lengths_that_disagree_are_never_taken_for_two_requests() {
    let daemon = shared();
    // What follows the body would be a request of its own if one of the two were believed.
    let smuggled = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
    let bytes = format!(
        "POST /healthz HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
        5 + smuggled.len()
    );
    let mut stream = connect(daemon.api);
    stream.write_all(bytes.as_bytes()).expect("small");
    stream.shutdown(std::net::Shutdown::Write).expect("open");
    let answers = read(&mut stream);
    let count = answers.windows(9).filter(|window| window == b"HTTP/1.1 ").count();
    assert!(count <= 1, "{}", String::from_utf8_lossy(&answers));
}

#[test]
fn headers_that_are_too_large_are_refused() {
    let daemon = shared();
    for listener in [daemon.api, daemon.http] {
        let one = Request::new("GET", "/").header("x-large", &"x".repeat(1 << 20)).send(listener);
        assert_eq!(one.status, 431, "{one:?}");
        let mut many = Request::new("GET", "/");
        for number in 0..500 {
            many = many.header(&format!("x-{number}"), "x");
        }
        let many = many.send(listener);
        assert_eq!(many.status, 431, "{many:?}");
        let long = Request::new("GET", &format!("/{}", "x".repeat(1 << 20))).send(listener);
        assert!(matches!(long.status, 414 | 431), "{long:?}");
    }
    lives(&daemon);
}

#[test]
fn a_body_above_the_limit_is_refused_before_it_is_read() {
    let daemon = shared();
    // Only announced: not one byte of it is ever sent.
    let head = |path: &str| {
        let request = Request::new("POST", path).header("content-length", "70167212");
        let request = daemon.signer().sign(request, &daemon.api.to_string());
        let lines: String =
            request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("POST {path} HTTP/1.1\r\n{lines}connection: close\r\n\r\n")
    };
    let response =
        exchange(daemon.api, head("/2015-03-31/functions").as_bytes()).expect("an answer");
    assert_eq!(response.status, 413, "{response:?}");
    let code = response.header("x-amzn-errortype");
    assert_eq!(code, Some("RequestEntityTooLargeException"), "{response:?}");
    let message = "Request must be smaller than 70167211 bytes for the CreateFunction operation";
    assert!(response.text().contains(message), "{response:?}");
}

#[test]
fn a_body_is_not_read_for_a_key_that_nobody_has() {
    let daemon = shared();
    let path = "/2015-03-31/functions";
    // A length that would be permitted; not one byte of it is ever sent.
    let request = Request::new("POST", path).header("content-length", "60000000");
    let mut signer = daemon.signer();
    signer.key = "AKIAIOSFODNN7EXAMPLE".to_owned();
    let request = signer.sign(request, &daemon.api.to_string());
    let lines: String =
        request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("POST {path} HTTP/1.1\r\n{lines}connection: close\r\n\r\n");
    let response = exchange(daemon.api, head.as_bytes()).expect("an answer");
    assert_eq!(response.status, 403, "{response:?}");
    let code = response.header("x-amzn-errortype");
    assert_eq!(code, Some("UnrecognizedClientException"), "{response:?}");
}

/// Longest that any unfinished request is waited for; the limits are 10 and 20 seconds.
const PATIENCE: Duration = Duration::from_secs(55);

/// Says nothing, or half of something, and then nothing.
fn stops_after(listener: SocketAddr, said: &str) {
    let mut stream = connect(listener);
    stream.write_all(said.as_bytes()).expect("small");
    assert!(hangs_up(stream, PATIENCE), "{said:?} keeps a connection");
}

/// Goes on for ever, a byte at a time: that keeps every timer alive that is not about the whole.
fn dribbles(listener: SocketAddr, said: &str) {
    let stream = connect(listener);
    let mut writer = stream.try_clone().expect("a descriptor");
    let begin = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut going = writer.write_all(said.as_bytes()).is_ok();
            while going && begin.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(200));
                going = writer.write_all(b"x").is_ok();
            }
        });
        assert!(hangs_up(stream, PATIENCE), "{said:?} and a byte now and then keep a connection");
    });
    assert!(begin.elapsed() < PATIENCE, "{said:?} kept a connection for {:?}", begin.elapsed());
}

#[test]
fn a_request_that_never_ends_is_given_up_on() {
    let daemon = shared();
    let half_a_body =
        "POST /2015-03-31/functions HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n{";
    thread::scope(|scope| {
        for listener in [daemon.api, daemon.http] {
            scope.spawn(move || stops_after(listener, ""));
            scope.spawn(move || stops_after(listener, "GET / HTT"));
            scope.spawn(move || stops_after(listener, "GET / HTTP/1.1\r\nhost: a\r\n"));
            scope.spawn(move || stops_after(listener, half_a_body));
            scope.spawn(move || dribbles(listener, "GET / HTTP/1.1\r\nx: "));
            scope.spawn(move || dribbles(listener, half_a_body));
        }
    });
    lives(&daemon);
}

#[test]
fn many_silent_connections_keep_nobody_out_of_the_other_listener() {
    let daemon = Daemon::start_in(&Home::new(), &Options::default());
    let silent: Vec<TcpStream> =
        (0..500).map_while(|_| TcpStream::connect(daemon.http).ok()).collect();
    assert!(silent.len() > 100, "{}", silent.len());
    lives(&daemon);
    drop(silent);
    let response = Request::new("GET", "/nobody/").send(daemon.http);
    assert_eq!(response.status, 403, "{response:?}");
}

#[test]
fn a_connection_serves_one_request_after_another() {
    let daemon = shared();
    let mut stream = connect(daemon.api);
    let request = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".repeat(3);
    stream.write_all(request.as_bytes()).expect("small");
    let close = "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(close.as_bytes()).expect("small");
    let answers = read(&mut stream);
    let count = answers.windows(12).filter(|window| window == b"HTTP/1.1 200").count();
    assert_eq!(count, 4, "{}", String::from_utf8_lossy(&answers));
}
