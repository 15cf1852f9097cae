//! What the functions of the tests do, by the name of their handler.
//!
//! Each is a bootstrap and a handler in one: it speaks the link's protocol, well or badly.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wire::link::{Assign, HEADER, Header, Invoke, Kind, MAX_SEQUENCE};

use crate::double::{Guest, variables};

/// One event as a program got it.
pub struct Got {
    /// What the answer must carry.
    pub sequence: u32,
    pub request_id: String,
    pub invoked_arn: String,
    pub deadline_ms: u64,
    pub payload: Vec<u8>,
}

/// Compiles, more or less: what it says is its environment.
fn compile(guest: &mut Guest, mut link: UnixStream) -> u32 {
    let text = format!("{:?}", guest.env);
    let length = (text.len() as u64).to_le_bytes();
    // Nobody reads what it prints, and it does not wait for anybody who would.
    guest.print(&"a word ".repeat(100_000));
    say(&mut link, &length);
    match guest.handler().0.as_str() {
        "compiles" => say(&mut link, text.as_bytes()),
        "compiles-forever" => guest.forever(),
        _ => return 9,
    }
    0
}

/// Runs the program the handler names; its wait status.
pub fn run(mut guest: Guest) -> u32 {
    let Some(mut link) = guest.link.take() else {
        assert_eq!(guest.argv, ["/var/task/bootstrap"]);
        return custom(&guest);
    };
    if guest.argv[1] == "compile" {
        return compile(&mut guest, link);
    }
    assert_eq!(guest.argv[..2], ["/usr/bin/python3.11", "/var/runtime/bootstrap.py"]);
    let spare = guest.argv.get(2).is_some_and(|argument| argument == "spare");
    if spare {
        link = match wait_for_a_function(&mut guest, link) {
            Ok(link) => link,
            Err(status) => return status,
        };
    }
    let (name, argument) = guest.handler();
    let number = || argument.parse::<u64>().expect("a number");
    let pause = || Duration::from_millis(number());
    // Of what belongs to no event.
    let plain = |kind, body: &[u8]| frame(kind, 0, body);
    // How it starts.
    match name.as_str() {
        "silent" => guest.forever(),
        "init-exit" => return number() as u32,
        "init-hogs" => {
            guest.use_memory(number() << 20);
            guest.forever();
        }
        "init-slow" | "init-slow-context" if guest.sleep(pause()) => return 9,
        "old" => {
            say(&mut link, &plain(Kind::Hello, &9_u16.to_le_bytes()));
            guest.forever();
        }
        _ => {}
    }
    if !spare {
        say(&mut link, &plain(Kind::Hello, &wire::VERSION.to_le_bytes()));
    }
    match name.as_str() {
        "init-failed" => {
            guest.print("Traceback: no module named app\n");
            say(&mut link, &plain(Kind::InitFailed, INIT_ERROR.as_bytes()));
            guest.forever();
        }
        "init-garbage" => {
            say(&mut link, b"HTTP/1.1 200 OK\r\n");
            guest.forever();
        }
        "init-prints" => guest.print("hello from init\n"),
        "init-maimed" => guest.lose_a_child(),
        "init-grows" => guest.use_memory(number() << 20),
        "ready-and-gone" => {
            say(&mut link, &plain(Kind::Ready, b""));
            return 3 << 8;
        }
        _ => {}
    }
    say(&mut link, &plain(Kind::Ready, b""));
    // How it answers.
    let mut count = 0;
    let mut last = None;
    while let Some(got) = next(&mut link) {
        count += 1;
        let frame = |kind, body: &[u8]| frame(kind, got.sequence, body);
        match name.as_str() {
            "who" => {
                let text = format!("\"{} {count}\"", guest.env["AWS_LAMBDA_LOG_STREAM_NAME"]);
                say(&mut link, &frame(Kind::Response, text.as_bytes()));
            }
            "env" => {
                let text = guest.env.get(&argument).cloned().unwrap_or_default();
                say(&mut link, &frame(Kind::Response, text.as_bytes()));
            }
            "argv" => {
                let text = guest.argv.join(" ");
                say(&mut link, &frame(Kind::Response, text.as_bytes()));
            }
            "context" | "init-slow-context" => {
                let text = format!("{} {} {}", got.request_id, got.invoked_arn, got.deadline_ms);
                say(&mut link, &frame(Kind::Response, text.as_bytes()));
            }
            "slow" => {
                if guest.sleep(pause()) {
                    return 9;
                }
                say(&mut link, &frame(Kind::Response, &got.payload));
            }
            "slow-first" => {
                if count == 1 && guest.sleep(pause()) {
                    return 9;
                }
                say(&mut link, &frame(Kind::Response, &got.payload));
            }
            "stuck" => guest.forever(),
            "exit" => return number() as u32,
            "hang-up" => {
                let _gone = link.shutdown(std::net::Shutdown::Both);
                guest.forever();
            }
            "raises" => say(&mut link, &frame(Kind::Failed, b"{\"errorType\":\"KeyError\"}")),
            "oversize" => say(&mut link, &frame(Kind::Oversize, &7_000_000_u64.to_le_bytes())),
            "garbage" => say(&mut link, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
            "unexpected" => say(&mut link, &plain(Kind::Ready, b"")),
            "claims-too-much" => {
                let length = (wire::link::MAX_RESPONSE + 1) as u32;
                let mut head = length.to_le_bytes().to_vec();
                head.extend([Kind::Response as u8, 1, 0, 0]);
                say(&mut link, &head);
            }
            "twice" => {
                let mut both = frame(Kind::Response, b"1");
                both.extend(frame(Kind::Response, b"2"));
                say(&mut link, &both);
            }
            "late" => {
                say(&mut link, &frame(Kind::Response, &got.payload));
                guest.sleep(Duration::from_millis(20));
                say(&mut link, &frame(Kind::Response, b"\"late\""));
            }
            "babbles" => {
                say(&mut link, &frame(Kind::Response, &got.payload));
                let until = Instant::now() + Duration::from_micros(number());
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
                say(&mut link, &frame(Kind::Response, b"\"late\""));
            }
            "early" => {
                say(&mut link, &frame(Kind::Response, &got.payload));
                say(&mut link, &self::frame(Kind::Response, after(got.sequence), b"\"early\""));
            }
            "one-behind" => {
                let sequence = last.unwrap_or(got.sequence);
                say(&mut link, &self::frame(Kind::Response, sequence, b"\"behind\""));
            }
            "one-ahead" => {
                say(&mut link, &self::frame(Kind::Response, after(got.sequence), b"\"ahead\""));
            }
            // What a forked child writes on the link is on it whatever its parent does.
            "child" => {
                say(&mut link, &frame(Kind::Response, b"\"child\""));
                guest.sleep(pause());
                say(&mut link, &frame(Kind::Response, b"\"parent\""));
            }
            "dies-idle" => {
                say(&mut link, &frame(Kind::Response, &got.payload));
                guest.sleep(pause());
                return 1 << 8;
            }
            "drip" => {
                for byte in frame(Kind::Response, b"\"drip\"") {
                    say(&mut link, &[byte]);
                    guest.sleep(pause());
                }
            }
            "half" => {
                say(&mut link, &frame(Kind::Response, &got.payload)[..HEADER + 1]);
                guest.forever();
            }
            "prints" => {
                for line in 0..number() {
                    guest.print(&format!("line {line} of {count}\n"));
                }
                guest.print("no newline");
                say(&mut link, &frame(Kind::Response, &got.payload));
            }
            "floods" => {
                let text = "x".repeat(1023) + "\n";
                for _ in 0..number() {
                    guest.print(&text);
                }
                say(&mut link, &frame(Kind::Response, &got.payload));
            }
            "blanks" => {
                let text = "\n".repeat(64 << 10);
                for _ in 0..number() {
                    guest.print(&text);
                }
                say(&mut link, &frame(Kind::Response, &got.payload));
            }
            "closes-output" => {
                guest.out = std::fs::File::open("/dev/null").expect("a file");
                say(&mut link, &frame(Kind::Response, &got.payload));
            }
            "hogs" => {
                guest.use_memory(number() << 20);
                guest.forever();
            }
            "hogs-idle" => {
                say(&mut link, &frame(Kind::Response, &got.payload));
                guest.sleep(Duration::from_millis(50));
                guest.use_memory(number() << 20);
            }
            "maimed" => {
                guest.lose_a_child();
                say(&mut link, &frame(Kind::Response, &got.payload));
            }
            "maimed-idle" => {
                say(&mut link, &frame(Kind::Response, &got.payload));
                guest.sleep(Duration::from_millis(50));
                guest.lose_a_child();
            }
            "maimed-and-raises" => {
                guest.lose_a_child();
                say(&mut link, &frame(Kind::Failed, b"{\"errorType\":\"BrokenProcessPool\"}"));
            }
            "maimed-and-stuck" => {
                guest.lose_a_child();
                guest.forever();
            }
            "hogs-and-answers" => {
                guest.use_memory(number() << 20);
                say(&mut link, &frame(Kind::Response, &got.payload));
            }
            _ => say(&mut link, &frame(Kind::Response, &got.payload)),
        }
        last = Some(got.sequence);
        if guest.killed() {
            return 9;
        }
    }
    9
}

/// Starts as a spare and becomes the function's that it is assigned to, or ends.
fn wait_for_a_function(guest: &mut Guest, mut link: UnixStream) -> Result<UnixStream, u32> {
    assert_eq!(guest.env, HashMap::from([("TZ".to_owned(), ":UTC".to_owned())]), "the constants");
    let behaves = |what: &AtomicBool| what.load(Ordering::SeqCst);
    say(&mut link, &frame(Kind::Hello, 0, &wire::VERSION.to_le_bytes()));
    if behaves(&guest.behaviour.spares_do_not_warm) {
        return Err(1 << 8);
    }
    if behaves(&guest.behaviour.spares_print) {
        guest.print("a spare's own words\nand half a li");
    }
    say(&mut link, &frame(Kind::Spare, 0, b""));
    if behaves(&guest.behaviour.spares_are_deaf) {
        guest.end_unread(link);
        return Err(9);
    }
    let mut head = [0; HEADER];
    link.read_exact(&mut head).map_err(|_killed| 9_u32)?;
    let header = Header::parse(head).expect("the pool speaks the protocol");
    assert_eq!(header.kind, Kind::Assign);
    let mut body = vec![0; header.length];
    link.read_exact(&mut body).map_err(|_killed| 9_u32)?;
    guest.env = variables(Assign::decode(&body).expect("an assignment").env);
    Ok(link)
}

/// Answers every event with its payload, and does nothing else.
#[allow(dead_code, reason = "the floor of a measurement that shares these programs")]
pub fn echo(mut link: UnixStream) {
    while let Some(got) = next(&mut link) {
        say(&mut link, &frame(Kind::Response, got.sequence, &got.payload));
    }
}

/// What `init-failed` says.
pub const INIT_ERROR: &str = "{\"errorMessage\":\"no module named app\",\
                              \"errorType\":\"Runtime.ImportModuleError\",\"requestId\":\"\"}";

/// A custom runtime: its other half is the test's hook, so the process only has to live.
fn custom(guest: &Guest) -> u32 {
    guest.forever();
    9
}

fn frame(kind: Kind, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Header { kind, length: body.len(), sequence }.encode().to_vec();
    out.extend(body);
    out
}

/// The number of the event behind one.
fn after(sequence: u32) -> u32 {
    sequence % MAX_SEQUENCE + 1
}

fn say(link: &mut UnixStream, bytes: &[u8]) {
    // Whoever was killed meanwhile finds its link closed.
    let _gone = link.write_all(bytes);
}

fn next(link: &mut UnixStream) -> Option<Got> {
    let mut head = [0; HEADER];
    link.read_exact(&mut head).ok()?;
    let header = Header::parse(head).expect("the pool speaks the protocol");
    assert_eq!(header.kind, Kind::Invoke);
    let mut body = vec![0; header.length];
    link.read_exact(&mut body).ok()?;
    let event = Invoke::decode(&body).expect("an event");
    Some(Got {
        sequence: header.sequence,
        request_id: event.request_id.to_owned(),
        invoked_arn: event.invoked_arn.to_owned(),
        deadline_ms: event.deadline_ms,
        payload: event.payload.to_vec(),
    })
}
