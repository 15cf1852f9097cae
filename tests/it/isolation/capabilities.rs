//! Capabilities.

use serde_json::json;

use super::{Probe, text};

#[test]
fn a_function_has_no_capability_and_nothing_that_needs_one_works() {
    let folder = tempfile::tempdir().expect("a temp dir");
    let probe = Probe::new(include_str!("probes/capabilities.py"));
    let outside = json!({"scratch": text(folder.path())});
    probe.holds_inside_and_breaks_outside(&json!({"scratch": "/tmp"}), &outside);
}
