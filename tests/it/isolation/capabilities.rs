//! Capabilities.

use serde_json::json;

use super::{Probe, text};
use crate::harness::{Daemon, shared};

#[test]
fn a_function_has_no_capability_and_nothing_that_needs_one_works() {
    holds(&shared());
}

/// In sandboxes of this daemon.
pub fn holds(daemon: &Daemon) {
    let folder = tempfile::tempdir().expect("a temp dir");
    let probe = Probe::new(include_str!("probes/capabilities.py"));
    let outside = json!({"scratch": text(folder.path())});
    probe.holds_in(daemon, &json!({"scratch": "/tmp"}), &outside);
}
