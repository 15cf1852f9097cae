//! Memory and the number of processes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::Probe;
use crate::harness::{Function, shared};

/// More than a function of 128 MiB is given, `/tmp` included, and less than any machine has.
const TOO_MUCH: u64 = 900;

/// Swap in use on the host, KiB.
fn swapped() -> u64 {
    let table = fs::read_to_string("/proc/meminfo").expect("/proc is mounted");
    let number = |name: &str| {
        let line = table.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
    };
    number("SwapTotal:") - number("SwapFree:")
}

#[test]
fn memory_beyond_the_limit_ends_the_function_and_nobody_else() {
    let daemon = shared();
    let probe = Probe::new(include_str!("probes/memory.py"));
    let neighbour =
        Function::python("def handler(event, context):\n    return event\n").deploy(&daemon);
    assert_eq!(neighbour.answer(&json!(1)), 1);
    let before = swapped();
    let function = probe.function().memory(128).deploy(&daemon);
    for how in ["alone", "in children"] {
        let event = json!({"how": how, "mebibytes": TOO_MUCH});
        let called = function.invoke(&event);
        let failure = called.failure();
        assert_eq!(failure["errorType"], "Runtime.OutOfMemory", "{how}: {failure}");
        let message = failure["errorMessage"].as_str().unwrap_or_default();
        assert!(message.ends_with("Runtime exited with error: signal: killed"), "{how}: {failure}");
        assert_eq!(probe.outside(&event)["taken"].as_u64().map(|taken| taken > 0), Some(true));
        assert_eq!(neighbour.answer(&json!(2)), 2, "{how}");
    }
    let little = function.answer(&json!({"how": "alone", "mebibytes": 40}));
    assert_eq!(little["taken"], 40, "what it is given it may use");
    assert!(swapped() <= before + 1024, "the rest did not go to swap");
}

#[test]
fn memory_in_socket_buffers_is_limited_like_any_other() {
    let daemon = shared();
    let probe = Probe::new(include_str!("probes/sockets.py"));
    let event = json!({"mebibytes": 160});
    // Version 2 of control groups counts it as memory, where 160 MiB fit beside /tmp.
    let function = probe.function().memory(128).deploy(&daemon);
    let inside = function.answer(&event)["held"].as_u64().expect("a number");
    let outside = probe.outside(&event)["held"].as_u64().expect("a number");
    assert!(outside >= 120, "the probe sees what is there without a limit: {outside} MiB");
    let version_1 = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists();
    assert!(!version_1 || inside <= 64, "{inside} MiB in socket buffers");
    assert_eq!(function.answer(&json!({"mebibytes": 1}))["held"], 1, "and a little may be held");
}

#[test]
fn processes_and_threads_beyond_the_limit_are_refused_and_the_function_lives() {
    let daemon = shared();
    let probe = Probe::new(include_str!("probes/count.py"));
    // One process of room is the runtime's own; AWS's limit is 1,024.
    for (kind, wanted) in [("processes", 1_200), ("threads", 1_200)] {
        let event = json!({"kind": kind, "wanted": wanted});
        let function = probe.function().memory(1024).deploy(&daemon);
        let inside = function.answer(&event);
        assert_eq!(inside["error"], "EAGAIN", "{kind}: {inside}");
        let count = inside["count"].as_u64().expect("a number");
        assert!((100..=1_024).contains(&count), "{kind}: {inside}");
        assert_eq!(probe.outside(&event), json!({"count": wanted, "error": "none"}), "{kind}");
        assert_eq!(
            function.answer(&event)["error"],
            "EAGAIN",
            "{kind}: it lives and is limited still"
        );
    }
}

#[test]
fn a_function_that_forks_without_end_leaves_its_neighbours_alone() {
    let daemon = shared();
    let source = "
        import os, time

        def handler(event, context):
            end = time.monotonic() + 2
            while time.monotonic() < end:
                try:
                    if os.fork() == 0:
                        time.sleep(600)
                        os._exit(0)
                except OSError:
                    pass
            return 'full'
        ";
    let bomb = Function::python(source).memory(1024).timeout(30).deploy(&daemon);
    let neighbour =
        Function::python("def handler(event, context):\n    return event\n").deploy(&daemon);
    std::thread::scope(|scope| {
        let bomb = scope.spawn(|| bomb.invoke(&json!({})));
        for number in 0..20 {
            assert_eq!(neighbour.answer(&json!(number)), number);
        }
        bomb.join().expect("answered");
    });
    daemon.api("GET", "/2015-03-31/functions", &Value::Null).expect(200);
}
