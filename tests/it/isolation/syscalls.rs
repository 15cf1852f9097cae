//! System calls.

use serde_json::json;

use super::Probe;

#[test]
fn system_calls_that_no_function_needs_are_not_there() {
    let probe = Probe::new(include_str!("probes/syscalls.py"));
    probe.holds_inside_and_breaks_outside(&json!({}), &json!({}));
}
