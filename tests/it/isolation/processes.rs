//! Other processes.

use std::process::{Command, Stdio};

use serde_json::json;

use super::Probe;
use crate::harness::leftovers::Process;
use crate::harness::{Function, shared};

#[test]
fn a_function_neither_sees_nor_touches_another_process() {
    let daemon = shared();
    let marker = format!("HEARTH_VICTIM={}", std::process::id());
    let mut victim = Command::new("sleep");
    let (name, value) = marker.split_once('=').expect("just written");
    victim.arg("600").env(name, value).stdin(Stdio::null());
    let mut victim = victim.spawn().expect("sleep is part of every system");

    // And another function, whose process the host knows by its marker.
    let source = "def handler(event, context):\n    return 'here'\n";
    let neighbour = Function::python(source).environment(json!({name: value})).deploy(&daemon);
    assert_eq!(neighbour.answer(&json!({})), "here");
    let carries = |process: &&Process| {
        let environment =
            std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        String::from_utf8_lossy(&environment).split('\0').any(|pair| pair == marker)
    };
    let trace = daemon.trace();
    let sandboxed = trace.sandboxed();
    let other = sandboxed.into_iter().find(carries).expect("its interpreter has the variable");

    let event =
        |first: u32| json!({"victims": [victim.id(), other.pid], "marker": marker, "first": first});
    let probe = Probe::new(include_str!("probes/processes.py"));
    probe.holds_inside_and_breaks_outside(&event(1), &event(victim.id()));
    assert_eq!(victim.try_wait().expect("our own child"), None, "it sleeps on");
    victim.kill().expect("our own child");
    victim.wait().expect("our own child");
}
