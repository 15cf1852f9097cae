//! What becomes of an instance between its calls: it stands still, and goes on where it stood.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Daemon, Function, eventually};

/// The grace is a second; the rest is generous.
const PATIENCE: Duration = Duration::from_secs(30);

/// Instances in a state, as the metrics have them.
fn instances(daemon: &Daemon, state: &str) -> u32 {
    let metrics = daemon.api("GET", "/metrics", &Value::Null).expect(200).text();
    let name = format!("hearth_instances{{state=\"{state}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.and_then(|count| count.parse().ok()).expect("it is always there")
}

fn frozen(daemon: &Daemon, count: u32) {
    eventually("idle instances are frozen", PATIENCE, || {
        (instances(daemon, "frozen") == count).then_some(())
    });
}

/// Processor time of processes and their threads, in ticks.
fn spent(pids: &[u32]) -> u64 {
    let of = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2);
        ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>()
    };
    pids.iter().map(of).sum()
}

/// The processes of a sandbox that call themselves this; others are spares, which start just then.
fn sandboxed(daemon: &Daemon, name: &str) -> Vec<u32> {
    let trace = daemon.trace();
    let pids = trace.sandboxed().iter().map(|process| process.pid).collect::<Vec<_>>();
    let called = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let found: Vec<u32> = pids.into_iter().filter(|pid| called(pid).trim_end() == name).collect();
    assert!(!found.is_empty(), "nobody is called {name}");
    found
}

#[test]
fn what_a_function_leaves_running_stands_still_until_the_next_call() {
    let daemon = Daemon::start();
    let spinner = Function::python(
        "
        import ctypes, threading

        ctypes.CDLL(None).prctl(15, b'spins-on')
        beats = 0

        def spin():
            global beats
            while True:
                beats += 1

        threading.Thread(target=spin, daemon=True).start()

        def handler(event, context):
            return beats
        ",
    )
    .deploy(&daemon);
    let first = spinner.answer(&json!(null)).as_u64();
    let theirs = sandboxed(&daemon, "spins-on");
    // The negative control: until the grace is over it runs.
    let start = spent(&theirs);
    eventually("it runs on after its answer", PATIENCE, || {
        (spent(&theirs) > start + 3).then_some(())
    });
    frozen(&daemon, 1);
    let stopped = spent(&theirs);
    // Time passes for others: this one works for half a second and a half of the machine's.
    let other = Function::python(
        "
        import time

        def handler(event, context):
            until = time.process_time() + 0.5
            while time.process_time() < until:
                pass
        ",
    )
    .deploy(&daemon);
    other.answer(&json!(null));
    assert_eq!(spent(&theirs), stopped, "an idle instance has spent processor time");
    assert!(spinner.answer(&json!(null)).as_u64() > first, "it is the same and went on");
    eventually("it runs again", PATIENCE, || (spent(&theirs) > stopped + 3).then_some(()));
}

#[test]
fn every_kind_of_runtime_goes_on_where_it_was_frozen() {
    let daemon = Daemon::start();
    let functions = [
        Function::python(
            "
            calls = 0

            def handler(event, context):
                global calls
                calls += 1
                return calls
            ",
        ),
        Function::node("let calls = 0;\nexport const handler = async () => ++calls;\n"),
        Function::runtime_in_python(
            "
            calls = 0
            while True:
                request, _, event = next_event()
                calls += 1
                respond(request, str(calls))
            ",
        ),
    ];
    let functions: Vec<_> =
        functions.into_iter().map(|function| function.deploy(&daemon)).collect();
    for round in 1..=3 {
        for function in &functions {
            assert_eq!(function.answer(&json!(null)), round);
        }
        frozen(&daemon, 3);
    }
    // What stands still is counted, told apart from what is merely idle, and ends all the same.
    assert_eq!(instances(&daemon, "idle"), 0);
    drop(functions);
    frozen(&daemon, 0);
    eventually("they are gone", PATIENCE, || (instances(&daemon, "ending") == 0).then_some(()));
}

#[test]
fn a_custom_runtime_that_has_not_come_back_for_the_next_event_goes_on() {
    let daemon = Daemon::start();
    // Answers, and then has two seconds' work to do before it asks again.
    let function = Function::runtime_in_python(
        "
        import ctypes, time
        ctypes.CDLL(None).prctl(15, b'works-on')
        worked = 0
        while True:
            request, _, event = next_event()
            respond(request, str(worked))
            until = time.process_time() + 2
            while time.process_time() < until:
                pass
            worked += 1
        ",
    )
    .deploy(&daemon);
    assert_eq!(function.answer(&json!(null)), 0);
    let theirs = sandboxed(&daemon, "works-on");
    frozen(&daemon, 1);
    let ticks = 100; // A second, on every Linux there is.
    assert!(spent(&theirs) >= 2 * ticks, "it was frozen in the middle of its work");
    assert_eq!(function.answer(&json!(null)), 1);
}
