//! What is promised to clients, good and bad, over real sockets on loopback.
//!
//! Time limits are cut to a fraction of a second; assertions are about order and outcome.

mod crowded;
mod large;
mod running;

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use axum::body::Body;
use http::{Response, StatusCode};
use telemetry::metrics::Door;
use tower::service_fn;

use self::running::{BODY_LIMIT, GET, Running, one, quick, rest, status};
use super::{Drained, Server};
use crate::limits::Limits;

#[test]
fn a_connection_serves_one_request_after_another() {
    let running = Running::start(Limits::default());
    let mut stream = running.connect();
    for path in ["/a", "/b"] {
        write!(stream, "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc").unwrap();
        assert_eq!(status(&one(&mut stream, &format!("{path} 3"))), 200);
    }
    assert_eq!(running.server.connections(), 1);
    drop(stream);
    running.until("the connection is gone", |running| running.server.connections() == 0);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let running = Running::start(Limits::default());
    let mut stream = running.connect();
    let requests: String = (0..20)
        .map(|n| {
            format!("POST /{n} HTTP/1.1\r\nHost: h\r\nContent-Length: {n}\r\n\r\n{}", "x".repeat(n))
        })
        .collect();
    stream.write_all(requests.as_bytes()).unwrap();
    for n in 0..20 {
        one(&mut stream, &format!("/{n} {n}"));
    }
}

#[test]
fn a_connection_that_never_says_anything_is_closed() {
    let running = Running::start(quick());
    let mut stream = running.connect();
    assert_eq!(rest(&mut stream), "");
}

#[test]
fn a_head_that_dribbles_is_cut_off_while_others_are_served() {
    let running = Running::start(quick());
    let mut slow: Vec<TcpStream> = (0..50).map(|_| running.connect()).collect();
    let mut head = GET.bytes().cycle();
    while !slow.is_empty() {
        let byte = [head.next().unwrap().max(b'a')];
        // A write fails, at the latest the one after the connection was closed.
        slow.retain_mut(|stream| stream.write_all(&byte).is_ok());
        assert_eq!(
            status(&running.say(&GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))),
            200
        );
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_idle_connection_is_closed() {
    let running = Running::start(quick());
    let mut stream = running.connect();
    stream.write_all(GET.as_bytes()).unwrap();
    one(&mut stream, "/ 0");
    assert_eq!(rest(&mut stream), "");
}

#[test]
fn a_body_that_comes_too_slowly_is_answered_408() {
    let running = Running::start(quick());
    let mut stream = running.connect();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n").unwrap();
    let response = rest(&mut stream);
    assert_eq!(status(&response), 408, "{response}");
    assert!(response.ends_with("the body comes too slowly"), "{response}");
}

#[test]
fn a_half_sent_request_ends_with_its_connection() {
    let running = Running::start(Limits::default());
    for (sent, begun) in [
        ("GE", 0),
        ("GET / HTTP/1.1\r\nHost: h\r\n", 0),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc", 1),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", 1),
    ] {
        let before = running.seen.begun.load(SeqCst);
        let mut stream = running.connect();
        stream.write_all(sent.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_ne!(status(&rest(&mut stream)), 200, "{sent}");
        assert_eq!(running.seen.begun.load(SeqCst) - before, begun, "{sent}");
    }
    running.until("all are gone", |running| running.server.connections() == 0);
    assert_eq!(running.seen.begun.load(SeqCst), running.seen.ended.load(SeqCst));
}

#[test]
fn a_client_that_goes_away_ends_the_request_it_waited_for() {
    let running = Running::start(Limits::default());
    let mut stream = running.connect();
    stream.write_all(GET.replace("GET /", "GET /wait").as_bytes()).unwrap();
    running.until("the request is served", |running| running.seen.begun.load(SeqCst) == 1);
    drop(stream);
    running.until("the request has ended", |running| running.seen.ended.load(SeqCst) == 1);
}

#[test]
fn a_head_above_the_limit_is_answered_431_and_one_below_is_served() {
    let running = Running::start(Limits::default());
    for (bytes, expected) in [(15 * 1024, 200), (17 * 1024, 431), (600 * 1024, 431)] {
        let filler = "x".repeat(bytes);
        let head = format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nA: {filler}\r\n\r\n");
        assert_eq!(status(&running.say(&head)), expected, "{bytes}");
    }
    let large = Running::start(Limits { head: 2 * 1024 * 1024, ..Limits::default() });
    let filler = "x".repeat(1024 * 1024);
    let head = format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nA: {filler}\r\n\r\n");
    assert_eq!(status(&large.say(&head)), 200);
}

#[test]
fn a_body_above_the_limit_is_answered_413_even_to_a_client_that_sends_first_and_reads_later() {
    let running = Running::start(Limits::default());
    let announced = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 16777216\r\n\r\n".to_owned();
    let response = running.say(&(announced + &"x".repeat(16 * 1024 * 1024)));
    assert_eq!(status(&response), 413);
    assert!(response.ends_with("the body is larger than 1048576 bytes"), "{response}");

    let chunk = format!("{:x}\r\n{}\r\n", 64 * 1024, "x".repeat(64 * 1024));
    let chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    let response = running.say(&(chunked + &chunk.repeat(256) + "0\r\n\r\n"));
    assert_eq!(status(&response), 413);
}

#[test]
fn a_body_up_to_the_limit_is_served() {
    let running = Running::start(Limits::default());
    let head = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {BODY_LIMIT}\r\n\r\n"
    );
    let response = running.say(&(head + &"x".repeat(BODY_LIMIT)));
    assert!(response.ends_with("/ 1048576"), "{response}");
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let running = Running::start(Limits::default());
    let mut stream = running.connect();
    let head = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    one(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abc").unwrap();
    one(&mut stream, "/ 3");
}

#[test]
fn two_statements_about_the_length_are_answered_400_and_nothing_is_smuggled() {
    let running = Running::start(Limits::default());
    for head in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Transfer-Encoding: chunked\r\ncontent-length: 0",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: h\r\n{head}\r\n\r\n0\r\n\r\n{GET}");
        let response = running.say(&request);
        assert_eq!(status(&response), 400, "{head}: {response}");
        assert_eq!(response.matches("HTTP/1.1").count(), 1, "{response}");
    }
    for request in [
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\nabcd",
        "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n",
        "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u{16}\u{3}\u{1}\0\u{5}hello\r\n\r\n",
    ] {
        let response = running.say(request);
        assert!(matches!(status(&response), 0 | 400), "{request}: {response}");
    }
    assert_eq!(running.seen.begun.load(SeqCst), 0, "none of them reached the service");
}

#[test]
fn a_chunked_request_alone_is_served() {
    let running = Running::start(Limits::default());
    let mut stream = running.connect();
    for _ in 0..2 {
        let request =
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        one(&mut stream, "/ 3");
    }
}

#[test]
fn a_response_that_nobody_takes_is_given_up() {
    let running = Running::start(quick());
    let mut stream = running.connect();
    stream.write_all(GET.replace("GET /", "GET /large").as_bytes()).unwrap();
    running.until("it is served", |running| running.seen.begun.load(SeqCst) == 1);
    running.until("it is given up", |running| running.server.connections() == 0);
}

#[test]
fn at_the_limit_further_connections_wait_and_idle_ones_make_room() {
    let running = Running::start(Limits { connections: 2, ..Limits::default() });
    let mut idle: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = running.connect();
            stream.write_all(GET.as_bytes()).unwrap();
            one(&mut stream, "/ 0");
            stream
        })
        .collect();
    let mut waiting = running.connect();
    waiting.write_all(GET.as_bytes()).unwrap();
    one(&mut waiting, "/ 0");
    assert!(running.server.connections() <= 2);
    drop(idle.drain(..));
}

#[test]
fn a_peer_has_no_more_connections_than_it_may() {
    let running = Running::start(Limits { connections_per_peer: Some(2), ..Limits::default() });
    let held: Vec<TcpStream> = (0..2).map(|_| running.connect()).collect();
    running.until("both are in", |running| running.server.connections() == 2);
    assert_eq!(rest(&mut running.connect()), "");
    drop(held);
    running.until("both are gone", |running| running.server.connections() == 0);
    assert_eq!(status(&running.say(&GET.replace("h\r\n", "h\r\nConnection: close\r\n"))), 200);
}

#[test]
fn large_bodies_together_do_not_exceed_the_listeners_room() {
    let running = Running::start(Limits { bodies: 256 * 1024, ..Limits::default() });
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
    let mut held = running.connect();
    held.write_all(head.as_bytes()).unwrap();
    held.write_all(&vec![b'x'; 200_000]).unwrap();
    // The first now holds some of the room; a second that needs all of it has none.
    running.until("the first is being read", |running| running.seen.begun.load(SeqCst) == 1);
    let response = running.say(&(head.to_owned() + &"x".repeat(1_000_000)));
    assert_eq!(status(&response), 503, "{response}");
    // A small one needs none, and what was held is given back.
    assert_eq!(status(&running.say(&GET.replace("h\r\n", "h\r\nConnection: close\r\n"))), 200);
    drop(held);
    running.until("all are gone", |running| running.server.connections() == 0);
    let fits = "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n";
    assert_eq!(status(&running.say(&(fits.to_owned() + &"x".repeat(200_000)))), 200);
}

#[test]
fn a_drain_finishes_what_is_in_hand_and_closes_the_rest() {
    let mut running = Running::start(Limits::default());
    let mut busy = running.connect();
    busy.write_all(GET.replace("GET /", "GET /wait").as_bytes()).unwrap();
    running.until("it is served", |running| running.seen.begun.load(SeqCst) == 1);
    let mut idle = running.connect();
    idle.write_all(GET.as_bytes()).unwrap();
    one(&mut idle, "/ 0");
    let mut fresh = running.connect();
    running.until("all are in", |running| running.server.connections() == 3);

    running.stop();
    assert_eq!(rest(&mut idle), "");
    assert_eq!(rest(&mut fresh), "");
    running.until("the listener is closed", |running| TcpStream::connect(running.address).is_err());
    running.seen.release.notify_one();
    let response = rest(&mut busy);
    assert!(response.contains("connection: close") && response.ends_with("/wait 0"), "{response}");
    assert_eq!(running.drained(), Drained { cut: 0 });
}

#[test]
fn a_request_that_was_on_its_way_when_a_drain_began_is_answered() {
    let mut running = Running::start(Limits::default());
    let mut idle = running.connect();
    idle.write_all(GET.as_bytes()).unwrap();
    one(&mut idle, "/ 0");
    let mut fresh = running.connect();
    running.until("both are in", |running| running.server.connections() == 2);
    running.stop();
    running.until("the listener is closed", |running| TcpStream::connect(running.address).is_err());
    for stream in [&mut idle, &mut fresh] {
        stream.write_all(GET.as_bytes()).unwrap();
        let response = rest(stream);
        assert!(response.contains("connection: close") && response.ends_with("/ 0"), "{response}");
    }
    assert_eq!(running.drained(), Drained { cut: 0 });
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let mut running = Running::start(quick());
    let mut busy = running.connect();
    busy.write_all(GET.replace("GET /", "GET /wait").as_bytes()).unwrap();
    running.until("it is served", |running| running.seen.begun.load(SeqCst) == 1);
    running.stop();
    assert_eq!(running.drained(), Drained { cut: 1 });
    assert_eq!(rest(&mut busy), "");
    assert_eq!(running.seen.ended.load(SeqCst), 1);
    assert_eq!(running.server.connections(), 0);
}

#[test]
fn a_response_to_an_unread_request_says_that_the_connection_closes() {
    let running = Running::start(Limits::default());
    let mut stream = running.connect();
    let request =
        format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", BODY_LIMIT + 1);
    stream.write_all(request.as_bytes()).unwrap();
    let response = rest(&mut stream);
    assert_eq!(status(&response), StatusCode::PAYLOAD_TOO_LARGE.as_u16());
    assert!(response.contains("connection: close"), "{response}");
}

#[test]
fn dropping_the_server_cuts_every_connection() {
    let server = Server::new(Door::Api, Limits::default());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let serving = {
        let server = server.clone();
        runtime.spawn(async move {
            let service = service_fn(|_| async { Ok(Response::new(Body::empty())) });
            server.serve(listener, service, std::future::pending()).await
        })
    };
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(GET.as_bytes()).unwrap();
    one(&mut stream, "\r\n\r\n");
    serving.abort();
    assert_eq!(rest(&mut stream), "");
}
