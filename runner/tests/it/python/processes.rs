//! Exits, forks, children, the end.

use std::os::unix::process::ExitStatusExt;

use serde_json::{Value, json};
use wire::link::Kind;

use super::function;
use crate::instance::{event, json};

/// Sends one event to a handler that ends its process: how, and what it left in the log.
#[track_caller]
fn ends(handler: &str, payload: &str) -> (std::process::ExitStatus, String) {
    let mut instance = function(handler).ready();
    instance.send(&event(payload.as_bytes()));
    assert_eq!(instance.frame(), None, "no answer");
    instance.finish()
}

#[test]
fn a_handler_that_exits_ends_the_process_with_its_status() {
    for (payload, status) in [("0", 0), ("7", 7), ("null", 0), ("256", 0)] {
        let (ended, log) = ends("processes.exits", payload);
        assert_eq!(ended.code(), Some(status), "{payload}");
        assert_eq!(log, "leaving\n");
    }
    let (ended, log) = ends("processes.exits", "\"last words\"");
    assert_eq!(ended.code(), Some(1));
    assert_eq!(log, "leaving\nlast words\n");
    assert_eq!(ends("processes.leaves", "3").0.code(), Some(3));
}

#[test]
fn a_handler_that_crashes_ends_the_process_by_its_signal() {
    assert_eq!(ends("processes.aborts", "1").0.signal(), Some(11));
    let (ended, log) = ends("processes.interrupts", "1");
    assert_eq!(ended.signal(), Some(2), "{log}");
}

#[test]
fn a_forked_child_that_comes_back_answers_nothing() {
    let mut instance = function("processes.forks").ready();
    for _ in 0..3 {
        assert_eq!(instance.call("{}"), 0, "the child's exit status");
        assert_eq!(instance.printed(), "child\n");
    }
    let mut instance = function("processes.forks_and_fails").ready();
    assert_eq!(instance.call("{}"), 0);
    assert!(instance.printed().contains("the child's failure"));
}

#[test]
fn programs_that_a_function_starts_do_not_get_the_link() {
    assert_eq!(function("processes.starts").ready().call("{}"), json!([true, false]));
}

#[test]
fn processes_of_multiprocessing_work_and_keep_off_the_link() {
    let mut instance = function("processes.spawns").ready();
    assert_eq!(instance.call("21"), json!([42, 0]));
    assert_eq!(instance.call("1"), json!([2, 0]));
}

#[test]
fn threads_work() {
    assert_eq!(function("processes.threads").ready().call("{}"), json!(["processes.threads"]));
}

#[test]
fn an_instance_ends_with_its_link_whatever_still_runs_in_it() {
    let (ended, _) = function("answers.echo").ready().close();
    assert!(ended.success());
    let mut instance = function("processes.keeps_running").ready();
    assert_eq!(instance.call("{}"), Value::Null);
    assert!(instance.close().0.success());
}

#[test]
fn an_instance_ends_when_asked_by_a_signal() {
    let instance = function("answers.echo").ready();
    let pid = nix::unistd::Pid::from_raw(instance.pid() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it is there");
    assert_eq!(instance.finish().0.signal(), Some(15));
}

#[test]
fn a_frame_that_is_none_of_the_protocols_ends_the_instance() {
    use std::io::Write;
    for frame in [[0, 0, 0, 0, 2, 0, 0, 0], [255, 255, 255, 255, 64, 0, 0, 0]] {
        let mut instance = function("answers.echo").ready();
        instance.link.write_all(&frame).expect("the link takes it");
        assert_eq!(instance.frame(), None);
        assert_eq!(instance.finish().0.code(), Some(1));
    }
    let mut instance = function("answers.echo").ready();
    assert_eq!(json(instance.invoke(&event(b"1")), Kind::Response), 1);
}
