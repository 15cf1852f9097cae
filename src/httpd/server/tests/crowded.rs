//! Full listeners: whoever is slow makes room for those who are not.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::running::{Running, one, rest, status};
use crate::limits::Limits;

const SLOW_POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
const LARGE: &str = "GET /large HTTP/1.1\r\nHost: h\r\n\r\n";
const LAST: &str = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// Room for sixteen; crowded from fourteen on, and made room in down to twelve.
fn sixteen() -> Running {
    Running::start(Limits { connections: 16, ..Limits::default() })
}

/// So many connections that say something and then, ten times a second, a little more.
///
/// `during` runs meanwhile; the connections are returned as they are then.
fn beside(
    running: &Running,
    count: usize,
    first: &str,
    more: &[u8],
    during: impl FnOnce(),
) -> Vec<TcpStream> {
    let mut slow: Vec<TcpStream> = (0..count).map(|_| running.connect()).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let slow = &mut slow;
        let done = &done;
        for stream in slow.iter_mut() {
            stream.write_all(first.as_bytes()).unwrap();
        }
        scope.spawn(move || {
            while !done.load(SeqCst) {
                for stream in slow.iter_mut() {
                    // Those that were cut do not take it, and are none the worse for it.
                    drop(stream.write_all(more));
                }
                thread::sleep(Duration::from_millis(100));
            }
        });
        during();
        done.store(true, SeqCst);
    });
    slow
}

#[test]
fn a_listener_full_of_slow_bodies_still_answers() {
    let running = sixteen();
    beside(&running, 20, SLOW_POST, &[b'x'; 100], || {
        for _ in 0..20 {
            assert_eq!(status(&running.say(LAST)), 200);
        }
    });
}

#[test]
fn a_listener_full_of_dribbling_heads_still_answers() {
    let running = sixteen();
    beside(&running, 20, "GET / HTTP/1.1\r\n", b"a: b\r\n", || {
        for _ in 0..20 {
            assert_eq!(status(&running.say(LAST)), 200);
        }
    });
}

#[test]
fn a_listener_full_of_slow_readers_still_answers() {
    let running = sixteen();
    let readers: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = running.connect();
            stream.write_all(LARGE.as_bytes()).unwrap();
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(status(&running.say(LAST)), 200);
    }
    drop(readers);
}

#[test]
fn who_is_asked_to_go_with_a_body_is_answered_408() {
    let running = sixteen();
    let mut slow: Vec<TcpStream> = (0..16).map(|_| running.connect()).collect();
    for stream in &mut slow {
        stream.write_all(SLOW_POST.as_bytes()).unwrap();
    }
    running.until("all are in", |running| running.server.connections() == 16);
    running.until("there is room", |running| running.server.connections() <= 12);
    let gone: Vec<String> = slow.iter_mut().filter_map(answer).collect();
    assert!(!gone.is_empty());
    assert!(gone.iter().all(|response| status(response) == 408), "{gone:?}");
}

#[test]
fn only_as_many_go_as_are_needed_and_whoever_keeps_up_stays() {
    let running = sixteen();
    let mut quick = running.connect();
    quick.write_all(SLOW_POST.as_bytes()).unwrap();
    let mut slow = beside(&running, 15, SLOW_POST, &[b'x'; 100], || {
        // 50 KB a second, until room has been made and for a while after.
        for _ in 0..20 {
            quick.write_all(&[b'x'; 10_000]).unwrap();
            thread::sleep(Duration::from_millis(200));
        }
    });
    assert_eq!(running.server.connections(), 12);
    let gone = slow.iter_mut().filter_map(answer).count();
    assert_eq!(gone, 4);
    quick.write_all(&[b'x'; 800_000]).unwrap();
    one(&mut quick, "/ 1000000");
}

#[test]
fn while_there_is_room_a_slow_body_is_waited_for() {
    let running = sixteen();
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\n";
    let mut slow: Vec<TcpStream> = (0..10).map(|_| running.connect()).collect();
    for stream in &mut slow {
        stream.write_all(head.as_bytes()).unwrap();
    }
    for _ in 0..30 {
        slow.iter_mut().for_each(|stream| stream.write_all(b"x").unwrap());
        thread::sleep(Duration::from_millis(100));
    }
    slow.iter_mut().for_each(|stream| drop(one(stream, "/ 30")));
}

#[test]
fn little_of_a_response_waits_in_the_kernel() {
    // The option is the listener's; that connections have it is what the watch relies on.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let accepted = runtime.block_on(async {
        let listener = crate::server::prepare(listener).unwrap();
        let _client = TcpStream::connect(address).unwrap();
        listener.accept().await.unwrap().0
    });
    assert_eq!(SockRef::from(&accepted).tcp_notsent_lowat().unwrap(), crate::server::UNSENT);
}

/// What a connection was answered, if it was and is closed.
fn answer(stream: &mut TcpStream) -> Option<String> {
    stream.set_nonblocking(true).unwrap();
    let begun = stream.peek(&mut [0]).is_ok_and(|bytes| bytes > 0);
    stream.set_nonblocking(false).unwrap();
    begun.then(|| rest(stream))
}
