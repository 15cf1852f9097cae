//! The host's root.

use serde_json::json;

use super::{Probe, text};

#[test]
fn a_function_is_nobody_on_the_host_and_cannot_become_anybody() {
    let folder = tempfile::tempdir().expect("a temp dir");
    let probe = Probe::new(include_str!("probes/root.py"));
    let outside = json!({"scratch": text(folder.path())});
    probe.holds_inside_and_breaks_outside(&json!({"scratch": "/tmp"}), &outside);
}
