//! Large answers: what slow readers of them can and cannot do.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::Ordering::SeqCst;

use super::running::{LARGE, Running, rest, status};
use crate::limits::Limits;

const GET_LARGE: &str = "GET /large HTTP/1.1\r\nHost: h\r\n\r\n";
const LAST_LARGE: &str = "GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
const LAST_SMALL: &str = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// Seven answers may be read at once, and one may wait.
const ROOM: usize = 8 * LARGE;

/// So many clients that ask for a large answer and do not read it.
fn silent_readers(running: &Running, count: usize) -> Vec<TcpStream> {
    let before = running.seen.begun.load(SeqCst);
    let readers = (0..count)
        .map(|_| {
            let mut stream = running.connect();
            stream.write_all(GET_LARGE.as_bytes()).unwrap();
            stream
        })
        .collect();
    running.until("all are served", |running| running.seen.begun.load(SeqCst) == before + count);
    readers
}

#[test]
fn slow_readers_of_large_answers_cannot_make_the_server_hold_more_than_its_room() {
    let running = Running::start(Limits { answers: ROOM, ..Limits::default() });
    let first = silent_readers(&running, 7);
    running.until("all hold room", |running| running.seen.held.load(SeqCst) == 7 * LARGE);

    // A healthy client waits until one of them has been found out, and then has its answer.
    let response = running.say(LAST_LARGE);
    assert_eq!(status(&response), 200);
    assert!(response.len() > LARGE);

    // However many more there are: who is refused is told, and what is small is not concerned.
    let more = silent_readers(&running, 40);
    for _ in 0..20 {
        assert_eq!(status(&running.say(LAST_SMALL)), 200);
    }
    running.until("a healthy client has its answer", |running| {
        let response = running.say(LAST_LARGE);
        assert!(matches!(status(&response), 200 | 503), "{}", &response[..100]);
        status(&response) == 200 && response.len() > LARGE
    });
    // Each of the two threads may have one in hand that has not been weighed.
    let peak = running.seen.peak.load(SeqCst);
    assert!(peak <= ROOM + 2 * LARGE, "{peak}");
    drop((first, more));
    running.until("all is given back", |running| running.seen.held.load(SeqCst) == 0);
}

#[test]
fn while_there_is_room_nobody_is_hurried() {
    let running = Running::start(Limits { answers: ROOM, ..Limits::default() });
    let mut slow = silent_readers(&running, 5);
    // Longer than the grace that scarcity leaves.
    std::thread::sleep(3 * crate::overdue::READER_GRACE / 2);
    assert_eq!(running.server.connections(), 5);
    for stream in &mut slow {
        stream.write_all(LAST_SMALL.as_bytes()).unwrap();
        assert!(rest(stream).len() > LARGE);
    }
}

#[test]
fn a_refused_answer_is_503_and_its_connection_goes_on() {
    // Room for one, and for none to wait beside another.
    let running = Running::start(Limits { answers: LARGE, ..Limits::default() });
    let held = silent_readers(&running, 2);
    let mut stream = running.connect();
    stream.write_all(GET_LARGE.as_bytes()).unwrap();
    let text = "too many large answers are waiting for their readers\"}";
    let refusal = super::one(&mut stream, text);
    assert_eq!(status(&refusal), 503, "{refusal}");
    assert!(refusal.contains("ServiceUnavailableException"), "{refusal}");
    stream.write_all(LAST_SMALL.as_bytes()).unwrap();
    assert_eq!(status(&rest(&mut stream)), 200);
    drop(held);
}

#[test]
fn pipelined_large_answers_come_whole_and_in_order() {
    let running = Running::start(Limits { answers: ROOM, ..Limits::default() });
    let mut stream = running.connect();
    stream.write_all([GET_LARGE, GET_LARGE, LAST_SMALL].concat().as_bytes()).unwrap();
    let all = rest(&mut stream);
    assert_eq!(all.matches("HTTP/1.1 200").count(), 3);
    assert_eq!(all.bytes().filter(|byte| *byte == b'x').count(), 2 * LARGE);
    assert!(all.ends_with("/ 0"));
}
