//! `kill -9` of each process in turn, idle and in the middle of a call.

use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::daemon::{MOMENT, ended, nothing_left, send};
use crate::harness::http::{connect, read};
use crate::harness::leftovers::{Process, Trace};
use crate::harness::{Daemon, Deployed, Function, Home, Options, Request, Response, eventually};

const SOURCE: &str = "
    import os, time

    def handler(event, context):
        time.sleep(event['seconds'])
        return 'served'
    ";

/// A daemon with a function that has been called once, so that an instance is there.
fn with_function() -> (Daemon, String) {
    with_function_on(Daemon::start())
}

fn with_function_on(daemon: Daemon) -> (Daemon, String) {
    let function = Function::python(SOURCE).timeout(60).deploy(&daemon);
    assert_eq!(function.answer(&json!({"seconds": 0})), "served");
    let name = function.keep();
    (daemon, name)
}

fn invoke(daemon: &Daemon, name: &str, seconds: u32) -> Response {
    let path = format!("/2015-03-31/functions/{name}/invocations");
    daemon.api("POST", &path, &json!({"seconds": seconds}))
}

/// A trace that shows what a running daemon must have: otherwise "nothing is left" says nothing.
fn full_trace(daemon: &Daemon) -> Trace {
    let trace = daemon.trace();
    assert!(trace.processes().len() >= 4, "control plane, spawner, runner, function: {trace:?}");
    assert!(!trace.sandboxed().is_empty(), "{trace:?}");
    assert!(!trace.cgroups().is_empty(), "{trace:?}");
    assert!(trace.namespaces().len() >= 7, "{trace:?}");
    assert!(!trace.leftovers().is_empty(), "a running daemon is not nothing");
    trace
}

/// After a daemon was killed: a start sweeps its cgroups and serves its functions.
fn comes_back(home: &Arc<Home>, before: &Trace, name: &str) {
    let daemon = Daemon::start_in(home, &Options::default());
    let cgroups = before.unswept_cgroups();
    assert!(cgroups.is_empty(), "not swept by the next start: {cgroups:#?}");
    assert_eq!(invoke(&daemon, name, 0).expect(200).json(), "served");
    daemon.stop();
}

#[test]
fn kill_nine_of_the_control_plane_leaves_nothing_and_loses_no_function() {
    let (mut daemon, name) = with_function();
    let home = daemon.home().clone();
    let trace = full_trace(&daemon);
    daemon.signal(Signal::SIGKILL);
    assert_eq!(ended(daemon.wait()), "signal 9");
    nothing_left(&trace);
    comes_back(&home, &trace, &name);
}

#[test]
fn kill_nine_of_the_control_plane_during_a_call_leaves_nothing_and_loses_no_function() {
    killed_during_a_call(false);
}

#[test]
fn kill_nine_of_a_control_plane_that_drains_leaves_nothing_and_loses_no_function() {
    killed_during_a_call(true);
}

fn killed_during_a_call(draining: bool) {
    let (mut daemon, name) = with_function();
    let home = daemon.home().clone();
    let (api, request) = (daemon.api, {
        let path = format!("/2015-03-31/functions/{name}/invocations");
        let request = Request::new("POST", &path).json(&json!({"seconds": 50}));
        daemon.signer().sign(request, &daemon.api.to_string())
    });
    let caller = thread::spawn(move || {
        let mut stream = connect(api);
        let head: String =
            request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = request.body.len();
        let text =
            format!("POST {} HTTP/1.1\r\n{head}content-length: {length}\r\n\r\n", request.target);
        stream.write_all(text.as_bytes()).expect("connected");
        stream.write_all(&request.body).expect("connected");
        read(&mut stream)
    });
    Deployed::existing(&daemon, &name).called(2);
    let trace = full_trace(&daemon);
    if draining {
        // It waits for the call, which it lets finish.
        daemon.signal(Signal::SIGTERM);
        eventually("it takes no more connections", MOMENT, || {
            std::net::TcpStream::connect(api).is_err().then_some(())
        });
    }
    daemon.signal(Signal::SIGKILL);
    daemon.wait();
    assert_eq!(caller.join().expect("hung up on"), b"", "the caller sees the connection end");
    nothing_left(&trace);
    comes_back(&home, &trace, &name);
}

#[test]
fn kill_nine_of_the_spawner_ends_every_sandbox_and_the_daemon_with_a_code_of_its_own() {
    let (mut daemon, name) = with_function();
    let home = daemon.home().clone();
    let trace = full_trace(&daemon);
    let (status, code) = thread::scope(|scope| {
        let call = scope.spawn(|| invoke(&daemon, &name, 50));
        Deployed::existing(&daemon, &name).called(2);
        let trace = daemon.trace();
        send(daemon.spawner, Signal::SIGKILL);
        let response = call.join().expect("answered");
        nothing_left_but_the_control_plane(&trace, daemon.pid);
        (response.status, response.header("x-amzn-errortype").map(str::to_owned))
    });
    assert_eq!(status, 500, "a call in flight is told that the service failed");
    assert_eq!(code.as_deref(), Some("ServiceException"));
    assert_eq!(
        ended(daemon.wait()),
        "exit 70",
        "documented: the spawner is lost\n{}",
        daemon.log()
    );
    nothing_left(&trace);
    comes_back(&home, &trace, &name);
}

/// The spawner's family is gone while the control plane may still be ending.
fn nothing_left_but_the_control_plane(trace: &Trace, pid: u32) {
    eventually("every sandbox is gone", MOMENT, || {
        let all = Process::all();
        let mut left = trace.processes().iter().filter(|one| one.pid != pid && all.contains(one));
        left.next().is_none().then_some(())
    });
}

#[test]
fn kill_nine_of_both_at_once_leaves_nothing_and_loses_no_function() {
    let (mut daemon, name) = with_function();
    let home = daemon.home().clone();
    let trace = full_trace(&daemon);
    send(daemon.spawner, Signal::SIGKILL);
    daemon.signal(Signal::SIGKILL);
    daemon.wait();
    nothing_left(&trace);
    comes_back(&home, &trace, &name);
}

#[test]
fn kill_nine_of_any_part_of_the_spawner_ends_all_of_it() {
    // It has an outer process, a PID 1 of its own namespace, and a maker. Whichever dies, no part
    // stays behind and the daemon says that it lost its spawner. Templates are replaced and no part.
    let mut number = 0;
    loop {
        let (mut daemon, name) = with_function();
        let home = daemon.home().clone();
        let trace = full_trace(&daemon);
        let sandboxed = trace.sandboxed();
        let mut parts = trace
            .processes()
            .iter()
            .filter(|one| one.pid != daemon.pid && !sandboxed.contains(one) && !one.is_template());
        let Some(victim) = parts.nth(number) else { break };
        send(victim.pid, Signal::SIGKILL);
        assert_eq!(ended(daemon.wait()), "exit 70", "{victim:?}\n{}", daemon.log());
        nothing_left(&trace);
        comes_back(&home, &trace, &name);
        number += 1;
    }
    assert!(number >= 2, "there are at least two parts, {number} were found");
}

#[test]
fn kill_nine_of_a_sandbox_fails_its_call_and_leaves_nothing_of_it() {
    // Executed, and so its runner's child, and the only interpreter in a sandbox.
    let config = Some("spare_memory_mib = 0\n".to_owned());
    let options = Options { config, ..Options::default() };
    let (daemon, name) = with_function_on(Daemon::start_in(&Home::new(), &options));
    let before = daemon.trace();
    let response = thread::scope(|scope| {
        let call = scope.spawn(|| invoke(&daemon, &name, 50));
        Deployed::existing(&daemon, &name).called(2);
        // PID 1 of the sandbox in which the function's interpreter runs.
        let all = Process::all();
        let function = all.iter().find(|one| is_function(one, &before)).expect("it runs");
        let runner = function.parent_in(&all).expect("its parent is the runner");
        send(runner.pid, Signal::SIGKILL);
        call.join().expect("answered")
    });
    let failure = response.expect(200).json();
    // Not an exit of the runtime's own: nobody is left who could say how it ended.
    assert_eq!(failure["errorType"], "Runtime.ProtocolError", "{failure}");
    let message = failure["errorMessage"].as_str().unwrap_or_default();
    assert!(message.ends_with("the sandbox is gone"), "{failure}");
    assert_eq!(invoke(&daemon, &name, 0).expect(200).json(), "served", "in a new sandbox");
    daemon.api("DELETE", &format!("/2015-03-31/functions/{name}"), &Value::Null).expect(204);
    daemon.stop();
}

/// Whether a process is the interpreter of a function.
fn is_function(process: &Process, trace: &Trace) -> bool {
    let command = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
    let text = String::from_utf8_lossy(&command);
    trace.sandboxed().contains(&process) && text.contains("/var/runtime/bootstrap")
}

#[test]
fn a_daemon_killed_again_and_again_always_comes_back() {
    let (mut daemon, name) = with_function();
    let home = daemon.home().clone();
    for _ in 0..5 {
        let trace = daemon.trace();
        daemon.signal(Signal::SIGKILL);
        daemon.wait();
        nothing_left(&trace);
        daemon = Daemon::start_in(&home, &Options::default());
        assert_eq!(invoke(&daemon, &name, 0).expect(200).json(), "served");
        assert!(trace.unswept_cgroups().is_empty(), "{:#?}", trace.unswept_cgroups());
    }
    daemon.stop();
}

#[test]
fn a_function_whose_creation_was_answered_survives_a_kill_at_once() {
    let daemon = Daemon::start();
    let home = daemon.home().clone();
    let mut daemon = daemon;
    let mut names = Vec::new();
    for _ in 0..3 {
        let body = Function::python(SOURCE).body();
        daemon.api("POST", "/2015-03-31/functions", &body).expect(201);
        daemon.signal(Signal::SIGKILL);
        daemon.wait();
        names.push(body["FunctionName"].as_str().expect("a name").to_owned());
        daemon = Daemon::start_in(&home, &Options::default());
        for name in &names {
            let active = || {
                let path = format!("/2015-03-31/functions/{name}");
                let function = daemon.api("GET", &path, &Value::Null).expect(200).json();
                (function["Configuration"]["State"] == "Active").then_some(())
            };
            eventually("it becomes active after the restart", Duration::from_secs(30), active);
            assert_eq!(invoke(&daemon, name, 0).expect(200).json(), "served");
        }
    }
    daemon.stop();
}
