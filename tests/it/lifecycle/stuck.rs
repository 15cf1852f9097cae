//! A sandbox that will not die is an alarm, and nobody else's trouble.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Daemon, Function, eventually};

/// A sandbox has two seconds to end; the rest is generous.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the metrics say of sandboxes that do not end.
fn quarantined(daemon: &Daemon) -> String {
    let metrics = daemon.api("GET", "/metrics", &Value::Null).expect(200);
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("hearth_cells_quarantined "));
    line.expect("it is always there").to_owned()
}

#[test]
fn a_sandbox_that_does_not_die_is_quarantined_logged_and_counted_until_it_has() {
    let daemon = Daemon::start();
    let source = "def handler(event, context):\n    return event\n";
    let function = Function::python(source).deploy(&daemon);
    assert_eq!(function.answer(&json!(1)), 1);
    assert_eq!(quarantined(&daemon), "0");

    // Something in each of its groups that does not go away: no group can be removed then.
    let trace = daemon.trace();
    let leaves = trace.cgroups().iter().map(|(path, _)| path);
    let is_a_cells = |path: &&PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| {
            name.strip_prefix('c').is_some_and(|number| number.parse::<u32>().is_ok())
        })
    };
    // One that stood ready may have been given up meanwhile.
    let stuck = leaves.filter(is_a_cells).map(|leaf| leaf.join("stuck"));
    let stuck: Vec<PathBuf> = stuck.filter(|group| fs::create_dir(group).is_ok()).collect();
    assert!(!stuck.is_empty(), "{trace:?}");
    drop(function);
    eventually("it is counted", PATIENCE, || (quarantined(&daemon) != "0").then_some(()));
    let log = daemon.log();
    assert!(log.contains("ERROR") && log.contains("a sandbox does not end: quarantined"), "{log}");

    let next = Function::python(source).deploy(&daemon);
    assert_eq!(next.answer(&json!(2)), 2, "others are served");
    stuck.iter().for_each(|group| fs::remove_dir(group).expect("nobody else removes it"));
    eventually("it is freed", PATIENCE, || (quarantined(&daemon) == "0").then_some(()));
    drop(next);
    daemon.stop();
}
