//! What one function may use: bounded by control groups where they were delegated, and by what is left
//! where not.

use serde_json::{Value, json};

use super::{EVERYTHING, NOTHING, start, stop};
use crate::harness::{Daemon, Function, Means};

/// Takes memory at a pace, holds it for a moment, and lets it go.
const TAKE: &str = "
    import time

    def handler(event, context):
        taken = []
        for _ in range(event['mebibytes']):
            taken.append(b'x' * (1 << 20))
            time.sleep(event['pause'])
        time.sleep(event['pause'] * 10)
        return len(taken)
    ";

/// Starts threads or children until it is refused.
const MULTIPLY: &str = "
    import os, signal, time

    def handler(event, context):
        children = []
        try:
            for _ in range(event):
                child = os.fork()
                if child == 0:
                    time.sleep(600)
                    os._exit(0)
                children.append(child)
        except OSError as error:
            return {'count': len(children), 'errno': error.errno}
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        return {'count': len(children), 'errno': 0}
    ";

/// `Max Memory Used` of the REPORT line, MiB.
fn reported(log: &str) -> u64 {
    let (_, tail) = log.split_once("Max Memory Used: ").unwrap_or_else(|| panic!("none in {log}"));
    tail.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// A function above its memory is ended, one below it is not, and what it used is reported.
#[track_caller]
fn memory_is_bounded(daemon: &Daemon, pause: f64) {
    let function = Function::python(TAKE).memory(128).timeout(30).deploy(daemon);
    let little = function.invoke(&json!({"mebibytes": 40, "pause": 0.01}));
    assert_eq!(little.response.json(), 40, "{}", little.log);
    let used = reported(&little.log);
    assert!((40..128).contains(&used), "{used} MiB were reported");
    let failed = function.invoke(&json!({"mebibytes": 900, "pause": pause})).failure();
    assert_eq!(failed["errorType"], "Runtime.OutOfMemory", "{failed}");
}

/// The number of processes is; the count at which it was.
#[track_caller]
fn processes_are_bounded(daemon: &Daemon) -> u64 {
    let function = Function::python(MULTIPLY).memory(1024).timeout(60).deploy(daemon);
    let neighbour = Function::python("def handler(event, context):\n    return event\n");
    let neighbour = neighbour.deploy(daemon);
    let answer = function.answer(&json!(1_200));
    assert_eq!(answer["errno"], 11, "EAGAIN: {answer}");
    assert_eq!(neighbour.answer(&json!("served")), "served");
    answer["count"].as_u64().expect("a number")
}

#[test]
fn in_delegated_groups_memory_and_processes_are_bounded_as_with_root() {
    for means in [Means { ids: false, groups: true }, EVERYTHING] {
        let (account, daemon) = start(means);
        memory_is_bounded(&daemon, 0.0);
        assert!((100..=1_024).contains(&processes_are_bounded(&daemon)));
        stop(&account, daemon);
    }
}

#[test]
fn without_groups_memory_is_looked_at_and_processes_are_counted_for_each_sandbox() {
    for means in [NOTHING, Means { ids: true, groups: false }] {
        let (account, daemon) = start(means);
        // Looked at every tenth of a second: what is taken more slowly than that is seen.
        memory_is_bounded(&daemon, 0.002);
        assert!((100..=1_024).contains(&processes_are_bounded(&daemon)));
        stop(&account, daemon);
    }
}

/// Makes pipes, then says how much one more holds.
const PIPES: &str = "
    import fcntl, os

    kept = []

    def handler(event, context):
        for _ in range(event):
            kept.append(os.pipe())
        one = os.pipe()
        return fcntl.fcntl(one[1], 1032)
    ";

#[test]
fn what_the_kernel_counts_by_user_is_shared_where_sandboxes_share_a_user_and_nowhere_else() {
    // Pages of all pipes of a user are counted, 16,384 by default; beyond, new pipes get less. A
    // process has 1,024 descriptors, so three hundred pipes of 64 KiB each take four instances.
    let size = |means: Means| -> Value {
        let (account, daemon) = start(means);
        let mut hoards = Vec::new();
        for _ in 0..4 {
            let hoard = Function::python(PIPES).deploy(&daemon);
            hoard.answer(&json!(300));
            hoards.push(hoard);
        }
        let victim = Function::python(PIPES).deploy(&daemon);
        let size = victim.answer(&json!(0));
        drop((victim, hoards));
        stop(&account, daemon);
        size
    };
    assert_eq!(size(Means { ids: true, groups: false }), 65_536, "a user of its own");
    let shared = size(NOTHING).as_u64().expect("a number");
    assert!(
        shared < 65_536,
        "documented as not held; {shared} would be as good as a user of its own"
    );
}
