//! Exits and the end.

use std::os::unix::process::ExitStatusExt;

use super::function;
use crate::instance::event;

#[test]
fn a_handler_that_exits_ends_the_process_with_its_status() {
    for status in [0, 7] {
        let mut instance = function("processes.exits").ready();
        instance.send(&event(status.to_string().as_bytes()));
        assert_eq!(instance.frame(), None, "no answer");
        let (ended, log) = instance.finish();
        assert_eq!(ended.code(), Some(status));
        assert_eq!(log, "leaving\n");
    }
}

#[test]
fn a_handler_that_crashes_ends_the_process_by_its_signal() {
    let mut instance = function("processes.kills").ready();
    instance.send(&event(b"1"));
    assert_eq!(instance.frame(), None);
    assert_eq!(instance.finish().0.signal(), Some(9));
}

#[test]
fn an_exit_code_that_is_only_set_ends_nothing() {
    let mut instance = function("processes.setsCode").ready();
    assert_eq!(instance.call("1"), "answered");
    assert_eq!(instance.call("1"), "answered");
}

#[test]
fn an_instance_ends_with_its_link_whatever_still_runs_in_it() {
    let (ended, log) = function("answers.echo").ready().close();
    assert!(ended.success(), "{log}");
    let mut instance = function("processes.keepsRunning").ready();
    assert_eq!(instance.call("1"), "answered");
    assert!(instance.close().0.success());
}

#[test]
fn a_frame_that_is_none_of_the_protocols_ends_the_instance() {
    use std::io::Write;
    for frame in [[0, 0, 0, 0, 2, 0, 0, 0], [255, 255, 255, 255, 64, 0, 0, 0]] {
        let mut instance = function("answers.echo").ready();
        instance.link.write_all(&frame).expect("the link takes it");
        assert_eq!(instance.frame(), None);
        assert_eq!(instance.finish().0.code(), Some(129));
    }
}
