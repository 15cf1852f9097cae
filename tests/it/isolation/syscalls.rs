//! System calls.

use serde_json::json;

use super::Probe;
use crate::harness::{Daemon, shared};

#[test]
fn system_calls_that_no_function_needs_are_not_there() {
    holds(&shared());
}

/// In sandboxes of this daemon.
pub fn holds(daemon: &Daemon) {
    let probe = Probe::new(include_str!("probes/syscalls.py"));
    probe.holds_in(daemon, &json!({}), &json!({}));
}
