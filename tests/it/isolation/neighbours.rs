//! What one function leaves behind, another does not find; what it is, another is not.

use serde_json::{Value, json};

use crate::harness::{Function, shared};

/// Leaves traces everywhere it can (`leave`), or looks for those of another (`find`).
const TRACES: &str = "
    import ctypes, os, socket, time

    libc = ctypes.CDLL(None, use_errno=True)
    KEY = 0x48454152
    held = []

    def leave(marker):
        for folder in ('/tmp', '/dev/shm', '/var/tmp', '/run', '/opt', '/var/task'):
            try:
                with open(f'{folder}/{marker}', 'w') as file:
                    file.write(marker)
            except OSError:
                pass
        one = socket.socket(socket.AF_UNIX)
        one.bind('\\0' + marker)
        one.listen()
        held.append(one)
        held.append(libc.shmget(KEY, 4096, 0o1666))
        os.environ[marker] = marker

    def find(marker):
        found = []
        for folder, _, files in os.walk('/'):
            if folder.startswith('/proc'):
                continue
            found += [f'{folder}/{name}' for name in files if name == marker]
        try:
            socket.socket(socket.AF_UNIX).connect('\\0' + marker)
            found.append('abstract socket')
        except OSError:
            pass
        if libc.shmget(KEY, 0, 0) != -1:
            found.append('shared memory')
        if marker in os.environ:
            found.append('environment')
        return found

    def handler(event, context):
        if event['do'] == 'leave':
            leave(event['marker'])
        return find(event['marker'])
    ";

#[test]
fn what_a_function_leaves_only_it_finds_again() {
    let daemon = shared();
    let one = Function::python(TRACES).deploy(&daemon);
    let other = Function::python(TRACES).deploy(&daemon);
    let marker = "left-behind";
    let left = one.answer(&json!({"do": "leave", "marker": marker}));
    let find = json!({"do": "find", "marker": marker});
    // The control: the same look finds it all in the same instance, which is Lambda's contract.
    let again = one.answer(&find);
    for trace in ["/tmp/left-behind", "abstract socket", "environment"] {
        assert!(left.as_array().is_some_and(|found| found.contains(&json!(trace))), "{left}");
    }
    assert_eq!(again, left);
    assert_eq!(other.answer(&find), json!([]), "another function finds nothing");

    // Nor does another version of the same function, nor the next one after a change.
    daemon.api("POST", &one.path("versions"), &json!({})).expect(201);
    let version =
        crate::harness::Request::new("POST", &format!("{}?Qualifier=1", one.path("invocations")));
    assert_eq!(one.invoke_with(version.json(&find)).answer(), json!([]));
    daemon.api("PUT", &one.path("configuration"), &json!({"Timeout": 19})).expect(200);
    one.settle();
    assert_eq!(one.answer(&find), json!([]), "what ran before a change never serves after it");
}

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

#[test]
fn one_function_that_uses_up_what_the_kernel_counts_by_user_leaves_the_others_theirs() {
    let daemon = shared();
    let source = "
        import ctypes, fcntl, os

        libc = ctypes.CDLL(None, use_errno=True)

        def handler(event, context):
            pipes = []
            try:
                while len(pipes) < event['pipes']:
                    pipes.append(os.pipe())
            except OSError:
                pass
            watches = 0
            while watches < event['watches'] and libc.inotify_init() != -1:
                watches += 1
            for one, other in pipes:
                os.close(one), os.close(other)
            fresh, other = os.pipe()
            size = fcntl.fcntl(fresh, 1032)
            os.close(fresh), os.close(other)
            return [size, watches]
        ";
    let (greedy, modest) =
        (Function::python(source).deploy(&daemon), Function::python(source).deploy(&daemon));
    let wanted = 100_000;
    let taken: Value = greedy.answer(&json!({"pipes": 500, "watches": wanted}));
    let share = taken[1].as_u64().expect("a number");
    assert!((1..wanted).contains(&share), "as many as there are for one: {taken}");
    let seen: Value = modest.answer(&json!({"pipes": 0, "watches": share}));
    assert_eq!(seen, json!([65_536, share]), "a pipe of full size, and a share of its own");
}
