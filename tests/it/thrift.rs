//! What many calls and many instances cost the daemon itself: memory while events are large,
//! descriptors while nothing happens.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::harness::http::{connect, read};
use crate::harness::leftovers::Process;
use crate::harness::{Daemon, Function, Request, eventually};

/// Bytes of a large event; the limit is 6 MiB.
const LARGE: usize = 6_000_000;
/// Large calls at once.
const CALLS: usize = 64;
/// Instances that idle.
const IDLE: usize = 20;
/// Descriptors that a process of the daemon has for itself: between 20 and 40.
const OWN: usize = 40;
/// Descriptors that each may cost a process of the daemon.
const EACH: usize = 6;
/// So many looks in a row, a hundredth of a second apart, that see the same.
const STEADY: usize = 50;
/// A bound for a machine in trouble.
const PATIENCE: Duration = Duration::from_secs(60);

/// A line of `/proc/<pid>/status`, KiB.
fn kib(pid: u32, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("every kernel says");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Descriptors that a process has open.
fn open(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").count()
}

/// A signed call with a large event, as bytes; it may be sent again for some minutes.
fn large_call(daemon: &Daemon, function: &str) -> Vec<u8> {
    let letters = (0..LARGE - 2).map(|n| b'a' + (n % 26) as u8);
    let event: Vec<u8> = b"\"".iter().copied().chain(letters).chain(*b"\"").collect();
    let path = format!("/2015-03-31/functions/{function}/invocations");
    let request = Request::new("POST", &path).body(event);
    let request = daemon.signer().sign(request, &daemon.api.to_string());
    let mut bytes = format!("POST {path} HTTP/1.1\r\n").into_bytes();
    for (name, value) in &request.headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(
        format!("content-length: {LARGE}\r\nconnection: close\r\n\r\n").as_bytes(),
    );
    bytes.extend_from_slice(&request.body);
    bytes
}

/// Reads an answer piece by piece and says whether it is the event, without keeping either.
fn echoes(stream: &mut TcpStream, call: &[u8]) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    let mut expected = &call[call.len() - LARGE..];
    let mut piece = vec![0; 256 * 1024];
    loop {
        let count = stream.read(&mut piece).expect("an answer");
        match expected.split_at_checked(count) {
            _ if count == 0 => return expected.is_empty() && head.starts_with(b"HTTP/1.1 200 "),
            Some((next, rest)) if next == &piece[..count] => expected = rest,
            _ => return false,
        }
    }
}

#[test]
fn sixty_four_large_calls_at_once_are_answered_in_the_memory_of_their_events_and_answers() {
    let daemon = Daemon::start();
    let echo = "def handler(event, context):\n    return event\n";
    let function = Function::python(echo).memory(256).timeout(120).deploy(&daemon);
    let call = large_call(&daemon, &function.name);
    let mut first = connect(daemon.api);
    first.write_all(&call).expect("it is read");
    assert!(echoes(&mut first, &call), "alone it is answered");
    let before = kib(daemon.pid, "VmRSS:");
    fs::write(format!("/proc/{}/clear_refs", daemon.pid), "5").expect("the peak begins anew");
    let answered = thread::scope(|scope| {
        let one = || {
            let mut stream = connect(daemon.api);
            stream.write_all(&call).expect("it is read");
            echoes(&mut stream, &call)
        };
        let all: Vec<_> = (0..CALLS).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().expect("answered")).filter(|right| *right).count()
    });
    assert_eq!(answered, CALLS);
    let more = kib(daemon.pid, "VmHWM:").saturating_sub(before);
    // An event and an answer of each. What is read ahead is not of all at once.
    assert!(more <= 2 * CALLS * LARGE / 1024, "{more} KiB");
}

#[test]
fn a_caller_that_does_not_read_a_large_answer_keeps_its_connection_and_no_instance() {
    let daemon = Daemon::start();
    let source = "
        import uuid
        instance = str(uuid.uuid4())
        def handler(event, context):
            return instance if event is None else event
        ";
    let function = Function::python(source).memory(256).deploy(&daemon);
    let before = function.answer(&json!(null));
    let call = large_call(&daemon, &function.name);
    let mut slow = connect(daemon.api);
    slow.write_all(&call).expect("it is read");
    let ended = |line: &&String| line.starts_with("END RequestId: ");
    function.log_until("its end", |lines| lines.iter().filter(ended).count() == 2);
    assert_eq!(function.answer(&json!(null)), before, "the instance serves the next");
    assert!(read(&mut slow).ends_with(&call[call.len() - LARGE..]), "and the answer is kept");
}

#[test]
fn an_idle_instance_costs_each_process_of_the_daemon_few_descriptors() {
    let sleeper = "
        import time
        def handler(event, context):
            time.sleep(event)
        ";
    idle_instances_cost(Function::python(sleeper), EACH);
}

#[test]
fn an_idle_custom_runtime_costs_as_few_and_its_connection() {
    let sleeper = "
        import json, time
        while True:
            request, headers, event = next_event()
            time.sleep(json.loads(event))
            respond(request, b'null')
        ";
    idle_instances_cost(Function::runtime_in_python(sleeper), EACH + 1);
}

/// Has instances of a function that sleeps as long as it is told, and counts descriptors when they idle.
fn idle_instances_cost(function: Function, each: usize) {
    let daemon = Daemon::start();
    let spawner = daemon.spawner_proper();
    let counts = || [open(daemon.pid), open(spawner), cells(spawner)];
    let settled = || {
        let (mut last, mut looks) = (counts(), 0);
        eventually("nothing is opened or closed any more", PATIENCE, || {
            let now = counts();
            looks = if now == last { looks + 1 } else { 0 };
            last = now;
            (looks == STEADY).then_some(now)
        })
    };
    let function = function.deploy(&daemon);
    function.answer(&json!(0));
    thread::scope(|scope| {
        for _ in 0..=IDLE {
            scope.spawn(|| function.answer(&json!(2)));
        }
    });
    // What stands ready follows demand and is counted as well: no cell costs more than an instance.
    let [plane, spawner, cells] = settled();
    assert!(cells > IDLE, "{cells} cells: they are there");
    assert!(plane <= OWN + cells * each, "{plane} of the control plane for {cells} cells");
    assert!(spawner <= OWN + cells * EACH, "{spawner} of the spawner for {cells} cells");
}

/// Cells of a spawner: the first processes of pid namespaces beneath its own.
fn cells(spawner: u32) -> usize {
    let all = Process::all();
    let Some(own) = all.iter().find(|one| one.pid == spawner) else { return 0 };
    let first = |one: &&Process| {
        let status = fs::read_to_string(format!("/proc/{}/status", one.pid)).unwrap_or_default();
        let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        pids.is_some_and(|pids| pids.split_whitespace().last() == Some("1"))
    };
    let family = Process::family(spawner, &all);
    family.iter().filter(|one| one.is_deeper_than(own)).filter(first).count()
}
