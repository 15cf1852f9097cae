//! What one sandbox is, another is not; and both are shown little.

use serde_json::json;

use crate::harness::{Function, shared};

/// What a sandbox looks like from inside.
const LOOK: &str = "
    import os, socket, ssl, time, uuid

    def links():
        return {kind: os.readlink(f'/proc/self/ns/{kind}') for kind in os.listdir('/proc/self/ns')}

    def handler(event, context):
        time.sleep(event.get('seconds', 0))
        with open('/proc/self/uid_map') as file:
            uid = file.read().split()[1]
        with open('/proc/self/cgroup') as file:
            groups = sorted({line.rstrip().split(':', 2)[2] for line in file})
        return {
            'uid': uid,
            'namespaces': links(),
            'cgroups': groups,
            'devices': sorted(os.listdir('/dev')),
            'root': sorted(os.listdir('/')),
            'descriptors': sorted(int(name) for name in os.listdir('/proc/self/fd')),
            'random': [ssl.RAND_bytes(8).hex(), uuid.uuid4().hex, os.urandom(8).hex()],
            'processes': sorted(int(name) for name in os.listdir('/proc') if name.isdigit()),
            'pid': os.getpid(),
            'host': socket.gethostname(),
            'has_sys': os.path.exists('/sys/kernel'),
            'proc': sorted(name for name in os.listdir('/proc') if not name.isdigit()),
        }
    ";

#[test]
fn two_sandboxes_at_once_share_no_user_no_namespace_and_no_randomness() {
    let daemon = shared();
    let (one, two) =
        (Function::python(LOOK).deploy(&daemon), Function::python(LOOK).deploy(&daemon));
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| one.answer(&json!({"seconds": 1})));
        let second = scope.spawn(|| two.answer(&json!({"seconds": 1})));
        (first.join().expect("answered"), second.join().expect("answered"))
    });
    assert_ne!(first["uid"], second["uid"]);
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
        assert!(first["namespaces"][kind].is_string(), "{first}");
        assert_ne!(first["namespaces"][kind], second["namespaces"][kind], "{kind}");
        let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("ours");
        assert_ne!(first["namespaces"][kind], json!(host.to_string_lossy()), "{kind}");
    }
    for number in 0..3 {
        assert_ne!(first["random"][number], second["random"][number]);
    }
}

#[test]
fn what_a_sandbox_shows_is_a_short_list() {
    let daemon = shared();
    let function = Function::python(LOOK).deploy(&daemon);
    let seen = function.answer(&json!({}));
    let devices =
        json!(["fd", "full", "null", "random", "stderr", "stdin", "stdout", "urandom", "zero"]);
    assert_eq!(seen["devices"], devices);
    assert_eq!(seen["cgroups"], json!(["/"]), "no path of the host's cgroups: {seen}");
    assert_eq!(seen["host"], "sandbox");
    assert_eq!(seen["has_sys"], false);
    assert_eq!(
        seen["proc"],
        json!(["self", "thread-self"]),
        "processes, and nothing of the kernel"
    );
    let processes = seen["processes"].as_array().expect("a list");
    assert!(processes.len() <= 2 && processes.contains(&seen["pid"]), "{seen}");
    let descriptors: Vec<u64> =
        serde_json::from_value(seen["descriptors"].clone()).expect("numbers");
    // Standard input, output and error, the link, and the one that lists the folder.
    assert!(descriptors.len() <= 6, "{descriptors:?}");
}
