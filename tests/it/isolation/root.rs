//! The host's root.

use serde_json::json;

use super::{Probe, text};
use crate::harness::{Daemon, shared};

#[test]
fn a_function_is_nobody_on_the_host_and_cannot_become_anybody() {
    holds(&shared());
}

/// In sandboxes of this daemon.
pub fn holds(daemon: &Daemon) {
    let folder = tempfile::tempdir().expect("a temp dir");
    let probe = Probe::new(include_str!("probes/root.py"));
    let outside = json!({"scratch": text(folder.path())});
    probe.holds_in(daemon, &json!({"scratch": "/tmp"}), &outside);
}
