//! By what means a first call is served: what stands ready, and what follows when nothing does.

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::harness::{Daemon, Deployed, Function, Home, Options, Response, eventually};

/// Says how its interpreter was called, sleeps as long as it is told, and that it has just begun.
const FRESH: &str = "
    import time

    calls = 0

    def handler(event, context):
        global calls
        calls += 1
        time.sleep(event.get('sleep', 0))
        with open('/proc/self/cmdline') as command:
            return {'calls': calls, 'name': context.function_name, 'command': command.read()}
    ";

fn configured(config: &str) -> Daemon {
    let options = Options { config: Some(config.to_owned()), ..Options::default() };
    Daemon::start_in(&Home::new(), &options)
}

/// The value of a series of `/metrics`.
fn metric(daemon: &Daemon, series: &str) -> u64 {
    let text = daemon.api("GET", "/metrics", &Value::Null).expect(200).text();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {text}")).parse().expect("a number")
}

fn starts(daemon: &Daemon, rung: &str) -> u64 {
    metric(daemon, &format!("hearth_starts_total{{rung=\"{rung}\"}}"))
}

fn spares(daemon: &Daemon) -> u64 {
    metric(daemon, "hearth_spares_ready{runtime=\"python\"}")
}

fn stocked(daemon: &Daemon, count: u64) {
    eventually("spares stand ready", Duration::from_secs(60), || {
        (spares(daemon) >= count).then_some(())
    });
}

/// Interpreters that are nobody's yet.
fn unassigned(daemon: &Daemon) -> Vec<u32> {
    let trace = daemon.trace();
    let idle = |pid: &u32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&command).into_owned();
        // One that was forked still has its template's.
        text.contains("/var/runtime/") && text.contains("python")
    };
    trace.sandboxed().iter().map(|process| process.pid).filter(idle).collect()
}

fn at_once(functions: &[&Deployed<'_>], event: &Value) -> Vec<Response> {
    thread::scope(|scope| {
        let call = |function: &'_ &Deployed<'_>| function.invoke(event).response;
        let all: Vec<_> = functions.iter().map(|one| scope.spawn(move || call(one))).collect();
        all.into_iter().map(|one| one.join().expect("answered")).collect()
    })
}

#[test]
fn the_first_call_of_a_fresh_function_is_served_by_a_spare_of_its_runtime() {
    let daemon = Daemon::start();
    stocked(&daemon, 1);
    for count in 1..4 {
        let function = Function::python(FRESH).deploy(&daemon);
        stocked(&daemon, 1);
        let invocation = function.invoke(&json!({}));
        let answer = invocation.answer();
        assert_eq!((&answer["calls"], &answer["name"]), (&json!(1), &json!(function.name)));
        assert_eq!(starts(&daemon, "spare"), count);
        // Nothing of what an interpreter said before it was this function's.
        let words: Vec<&str> =
            invocation.log.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(words, ["INIT_START", "START", "END", "REPORT"]);
    }
}

#[test]
fn a_burst_beyond_what_stands_ready_takes_the_next_best_and_every_caller_has_his_own_answer() {
    let daemon = configured("ready_spares = 2\nready_cells = 2\n");
    stocked(&daemon, 2);
    let functions: Vec<_> = (0..12).map(|_| Function::python(FRESH).deploy(&daemon)).collect();
    stocked(&daemon, 2);
    let before = starts(&daemon, "spare");
    let functions: Vec<&Deployed<'_>> = functions.iter().collect();
    for (response, function) in
        at_once(&functions, &json!({"sleep": 1})).into_iter().zip(&functions)
    {
        let answer = response.expect(200).json();
        assert_eq!((&answer["calls"], &answer["name"]), (&json!(1), &json!(function.name)));
    }
    let by = ["spare", "fork", "exec", "make"].map(|rung| starts(&daemon, rung));
    assert_eq!(by.iter().sum::<u64>(), 12);
    assert!(by[0] > before && by[1] + by[2] + by[3] > 0, "{by:?}");
    // Twelve were wanted at once, and so many stand ready for the next time.
    stocked(&daemon, 10);
}

#[test]
fn interpreters_that_are_killed_before_anybody_has_them_cost_no_caller_anything() {
    let daemon = configured("ready_spares = 3\n");
    stocked(&daemon, 3);
    let functions: Vec<_> = (0..6).map(|_| Function::python(FRESH).deploy(&daemon)).collect();
    for pid in unassigned(&daemon) {
        // One that was given up meanwhile is gone already.
        let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
    }
    let functions: Vec<&Deployed<'_>> = functions.iter().collect();
    for response in at_once(&functions, &json!({})) {
        assert_eq!(response.expect(200).json()["calls"], 1);
    }
    stocked(&daemon, 3);
    assert!(metric(&daemon, "hearth_spares_lost_total") >= 1);
    let before = starts(&daemon, "spare");
    let fresh = Function::python(FRESH).deploy(&daemon);
    assert_eq!(fresh.answer(&json!({}))["calls"], 1);
    assert_eq!(starts(&daemon, "spare"), before + 1, "the shelf has healed");
}

#[test]
fn a_node_function_is_served_by_a_spare_too() {
    let daemon = Daemon::start();
    let ready = || metric(&daemon, "hearth_spares_ready{runtime=\"nodejs\"}") > 0;
    for count in 1..4 {
        let function = Function::node(
            "
            let calls = 0;
            export const handler = async (event, context) =>
                ({ calls: ++calls, name: context.functionName, colour: process.env.COLOUR });
            ",
        )
        .environment(json!({"COLOUR": "blue"}))
        .deploy(&daemon);
        eventually("a spare stands ready", Duration::from_secs(60), || ready().then_some(()));
        let answer = function.answer(&json!({}));
        assert_eq!((&answer["calls"], &answer["name"]), (&json!(1), &json!(function.name)));
        assert_eq!(answer["colour"], "blue");
        assert_eq!(starts(&daemon, "spare"), count);
    }
}

#[test]
fn a_burst_that_has_eaten_the_spares_is_forked_and_a_template_that_is_killed_is_replaced() {
    let daemon = configured("ready_spares = 1\nready_cells = 4\n");
    let template = || {
        eventually("there is a template", Duration::from_secs(60), || {
            let trace = daemon.trace();
            let found = trace.processes().iter().find(|process| process.is_template());
            found.map(|process| process.pid)
        })
    };
    let first = template();
    stocked(&daemon, 1);
    let functions: Vec<_> = (0..12).map(|_| Function::python(FRESH).deploy(&daemon)).collect();
    let (early, late) = functions.split_at(8);
    let early: Vec<&Deployed<'_>> = early.iter().collect();
    for (response, function) in at_once(&early, &json!({"sleep": 1})).into_iter().zip(&early) {
        let answer = response.expect(200).json();
        assert_eq!((&answer["calls"], &answer["name"]), (&json!(1), &json!(function.name)));
    }
    assert!(starts(&daemon, "fork") > 0, "{}", daemon.log());

    let _ = kill(Pid::from_raw(first.cast_signed()), Signal::SIGKILL);
    for function in late {
        assert_eq!(function.answer(&json!({}))["calls"], 1, "there is another way");
    }
    for function in &early {
        assert_eq!(function.answer(&json!({}))["calls"], 2, "what was forked goes on");
    }
    assert_ne!(template(), first);
}

#[test]
fn a_function_that_sets_what_the_interpreter_reads_when_it_starts_is_executed() {
    let daemon = Daemon::start();
    stocked(&daemon, 1);
    for (name, value) in [("LANG", "C.UTF-8"), ("PYTHONHASHSEED", "7"), ("MALLOC_ARENA_MAX", "1")] {
        let function = Function::python(FRESH).environment(json!({ name: value })).deploy(&daemon);
        let before = starts(&daemon, "spare");
        let answer = function.answer(&json!({}));
        let command = answer["command"].as_str().expect("text");
        assert!(!command.contains("spare"), "{command}");
        assert_eq!(starts(&daemon, "spare"), before, "{name}");
    }
    assert_eq!(starts(&daemon, "exec") + starts(&daemon, "make"), 3);
}

#[test]
fn without_memory_for_spares_there_are_none_and_everything_works() {
    let daemon = configured("spare_memory_mib = 0\n");
    let function = Function::python(FRESH).deploy(&daemon);
    assert_eq!(function.answer(&json!({}))["calls"], 1);
    assert_eq!((starts(&daemon, "spare"), spares(&daemon)), (0, 0));
}
