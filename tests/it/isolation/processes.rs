//! Other processes.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::json;

use super::Probe;
use crate::harness::leftovers::Process;
use crate::harness::{Daemon, Function, shared};

#[test]
fn a_function_neither_sees_nor_touches_another_process() {
    holds(&shared(), 0);
}

/// In sandboxes of this daemon, against a process of this user.
pub fn holds(daemon: &Daemon, user: u32) {
    let marker = format!("HEARTH_VICTIM={}", std::process::id());
    let (name, value) = marker.split_once('=').expect("just written");
    let sleeper = |user| {
        let mut command = Command::new("sleep");
        command.arg("600").env(name, value).stdin(Stdio::null()).uid(user).gid(user);
        command.spawn().expect("sleep is part of every system")
    };
    // The control's is root's own: not even root may do everything to anybody on every host.
    let (mut victim, control) = (sleeper(user), sleeper(0));

    // And another function, whose process the host knows by its marker: with this LANG it is executed
    // with its variables, and not given them later, where the host does not see them.
    let source = "def handler(event, context):\n    return 'here'\n";
    let variables = json!({name: value, "LANG": "C.UTF-8"});
    let neighbour = Function::python(source).environment(variables).deploy(daemon);
    assert_eq!(neighbour.answer(&json!({})), "here");
    let carries = |process: &&Process| {
        let environment =
            std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        String::from_utf8_lossy(&environment).split('\0').any(|pair| pair == marker)
    };
    let trace = daemon.trace();
    let sandboxed = trace.sandboxed();
    let other = sandboxed.into_iter().find(carries).expect("its interpreter has the variable");

    let event = |victims: [u32; 2], first: u32| {
        let marker = &marker;
        json!({"victims": victims, "marker": marker, "first": first})
    };
    let probe = Probe::new(include_str!("probes/processes.py"));
    let outside = event([control.id(); 2], control.id());
    probe.holds_in(daemon, &event([victim.id(), other.pid], 1), &outside);
    assert_eq!(victim.try_wait().expect("our own child"), None, "it sleeps on");
    for mut one in [victim, control] {
        one.kill().expect("our own child");
        one.wait().expect("our own child");
    }
}
