//! Other files.

use std::fs;

use serde_json::json;

use super::{Probe, text};
use crate::harness::{Function, eventually, shared};

#[test]
fn a_function_reads_no_file_of_the_host_and_writes_none_that_it_runs_from() {
    let daemon = shared();
    let folder = tempfile::Builder::new().prefix("hearth-secret-").tempdir().expect("a temp dir");
    let secret = folder.path().join("secret");
    fs::write(&secret, "for nobody").expect("our own directory");
    let (system, task) = (folder.path().join("system"), folder.path().join("task"));
    fs::create_dir(&system).expect("our own directory");
    fs::create_dir(&task).expect("our own directory");

    // The code of another function, and the daemon's own files.
    let other =
        Function::python("def handler(event, context):\n    return 'secret'\n").deploy(&daemon);
    assert_eq!(other.answer(&json!({})), "secret");
    let code = daemon.home().data().join("code/sha256");
    let package = eventually("the code is on disk", std::time::Duration::from_secs(10), || {
        let tree = fs::read_dir(&code).ok()?.flatten().next()?.path().join("tree/app.py");
        tree.exists().then_some(tree)
    });
    let database = daemon.home().data().join("control.db");
    let secrets = [&secret, &daemon.credentials, &database, &package].map(|path| text(path));

    let inside = json!({"secrets": secrets, "system": "/usr/bin", "task": "/var/task"});
    let outside = json!({"secrets": secrets, "system": text(&system), "task": text(&task)});
    let probe = Probe::new(include_str!("probes/files.py"));
    // The control is given what a careless daemon would leak: an open folder of the host.
    let leak = "\nleaked = os.open('/usr', os.O_RDONLY)\n";
    let control = Probe(format!("{}{leak}", probe.0));
    let function = probe.function().deploy(&daemon);
    let held = super::findings(&function.answer(&inside));
    let fallen: Vec<_> = held.iter().filter(|(_, found)| !found.starts_with("held: ")).collect();
    assert!(fallen.is_empty(), "a wall does not stand: {fallen:#?}");
    let broken = super::findings(&control.outside(&outside));
    let blind: Vec<_> = broken.iter().filter(|(_, found)| !found.starts_with("broken: ")).collect();
    assert!(blind.is_empty(), "the probe cannot see these: {blind:#?}");
    assert_eq!(held.len(), broken.len());
}
