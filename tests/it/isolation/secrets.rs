//! Secrets: what one function knows, what the daemon knows, what a processor remembers.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Probe;
use crate::harness::{Daemon, Deployed, Function, Home, Options, shared};

/// How all secrets begin here, in two halves: together they stand nowhere but before a secret.
const BEGINS: [&str; 2] = ["CAN", "ARY-"];

/// One that nobody else has.
fn secret(of: &str) -> String {
    let unique = format!("{of} {} {:?}", std::process::id(), std::time::Instant::now());
    format!("{}{}", BEGINS.concat(), &hash(&unique)[..32])
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where a function finds it.
fn found(function: &Deployed<'_>, secret: &str) -> Vec<String> {
    let answer = function.answer(&json!({"begins": BEGINS, "hash": hash(secret)}));
    serde_json::from_value(answer).expect("names of places")
}

#[test]
fn nothing_of_the_daemon_s_environment_is_in_a_sandbox() {
    let canary = secret("the daemon's");
    let options =
        Options { environment: vec![("HEARTH_CANARY", canary.clone())], ..Options::default() };
    let daemon = Daemon::start_in(&Home::new(), &options);
    let probe = Probe::new(include_str!("probes/scan.py"));
    let function = probe.function().deploy(&daemon);
    assert_eq!(found(&function, &canary), Vec::<String>::new());
    drop(function);
    // The control: in the daemon it is, and of its own environment a function finds the like. (Not in
    // /proc/self/environ, which shows what its interpreter was started with, before it was anybody's.)
    let environment = fs::read(format!("/proc/{}/environ", daemon.pid)).expect("we are root");
    let text = String::from_utf8_lossy(&environment);
    assert!(text.contains(&canary), "the daemon was started with it");
    let own = secret("its own");
    let told = probe.function().environment(json!({"TOLD": own})).deploy(&daemon);
    let places = found(&told, &own);
    assert!(places.iter().any(|place| place.contains("memory")), "{places:?}");
    assert_eq!(found(&told, &canary), Vec::<String>::new());
}

#[test]
fn what_one_function_keeps_in_mind_no_other_finds_anywhere() {
    let daemon = shared();
    let probe = Probe::new(include_str!("probes/scan.py"));
    let (told, kept) = (secret("in its environment"), secret("from its event"));
    let one = probe.function().environment(json!({"TOLD": told})).deploy(&daemon);
    one.answer(&json!({"keep": kept}));
    let other = probe.function().deploy(&daemon);
    for secret in [&told, &kept] {
        // The control: whoever knows it finds it.
        assert!(!found(&one, secret).is_empty());
        assert_eq!(found(&other, secret), Vec::<String>::new());
    }
    let own: BTreeSet<String> = found(&one, &kept).into_iter().collect();
    for place in ["memory of a process", "file", "names of sockets"] {
        assert!(own.contains(place), "the scan sees a {place}: {own:?}");
    }
}

/// What an attacker of memory would like to know beforehand.
const LAYOUT: &str = "
    import ctypes, os

    libc = ctypes.CDLL(None)
    libc.getauxval.restype = ctypes.c_ulong

    def layout():
        with open('/proc/self/maps') as table:
            starts = {line.split()[-1]: line.split('-')[0] for line in reversed(list(table))}
        libraries = [start for name, start in starts.items() if '/libc' in name]
        return {
            'library': libraries[0],
            'stack': starts['[stack]'],
            'heap': starts['[heap]'],
            'canary': ctypes.string_at(libc.getauxval(25), 16).hex(),
            'hash': hash('x'),
        }

    def handler(event, context):
        if event != 'fork':
            return layout()
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, repr(layout()).encode())
            os._exit(0)
        return [repr(layout()), os.read(read, 4096).decode()]
    ";

/// Whatever a program of the standard library would take for unpredictable, and its process id, by which
/// some of it might notice that it is a copy.
const RANDOM: &str = "
    import os, random, secrets, ssl, tempfile, uuid

    def handler(event, context):
        return {
            'pid': os.getpid(),
            'random': random.random(),
            'ssl': ssl.RAND_bytes(16).hex(),
            'uuid4': str(uuid.uuid4()),
            'uuid1': uuid.uuid1().clock_seq,
            'node': uuid.getnode(),
            'secrets': secrets.token_hex(),
            'tempfile': os.path.basename(tempfile.mktemp()),
            'urandom': os.urandom(16).hex(),
        }
    ";

#[test]
fn no_start_has_the_random_values_of_another() {
    let daemon = shared();
    let draw = |_| Function::python(RANDOM).deploy(&daemon).answer(&json!({}));
    let seen: Vec<Value> = (0..4).map(draw).collect();
    for name in ["random", "ssl", "uuid4", "node", "secrets", "tempfile", "urandom"] {
        let values: BTreeSet<String> = seen.iter().map(|one| one[name].to_string()).collect();
        assert_eq!(values.len(), seen.len(), "{name}: {values:?}");
    }
    // Of 16,384 values that one may happen to be the same twice, not four times.
    assert!(seen.iter().any(|one| one["uuid1"] != seen[0]["uuid1"]), "{seen:?}");
    // The control: by its process id none of them could tell that it is not another.
    assert!(seen.iter().all(|one| one["pid"] == 2), "{seen:?}");
}

#[test]
fn where_templates_are_not_shared_no_start_has_the_memory_layout_of_another() {
    let config = Some("template_sharing = \"function\"\n".to_owned());
    let options = Options { config, ..Options::default() };
    let daemon = Daemon::start_in(&Home::new(), &options);
    let mut seen: Vec<Value> = Vec::new();
    for _ in 0..3 {
        let function = Function::python(LAYOUT).deploy(&daemon);
        seen.push(function.answer(&json!("look")));
        // The control: a fork has them all.
        let both = function.answer(&json!("fork"));
        assert_eq!(both[0], both[1], "a copy of a process is like it");
    }
    for name in ["library", "stack", "heap", "canary", "hash"] {
        let values: BTreeSet<String> = seen.iter().map(|one| one[name].to_string()).collect();
        assert_eq!(values.len(), seen.len(), "{name}: {values:?}");
    }
}

#[test]
fn speculation_is_held_back_where_the_kernel_can_do_it_by_process() {
    // PR_GET_SPECULATION_CTRL; whether a kind can be switched by process, and whether it is off for ever.
    const LOOK: &str = "
        import ctypes

        def handler(event, context):
            return [ctypes.CDLL(None).prctl(52, kind, 0, 0, 0) for kind in (0, 1)]
        ";
    const BY_PROCESS: i64 = 1;
    const FORCED: i64 = 8;
    let daemon = shared();
    let inside = Function::python(LOOK).deploy(&daemon).answer(&json!({}));
    let outside = Probe(crate::harness::package::dedent(LOOK)).outside(&json!({}));
    for kind in 0..2 {
        let (inside, outside) = (inside[kind].as_i64(), outside[kind].as_i64());
        let (inside, outside) = (inside.expect("a number"), outside.expect("a number"));
        if outside >= 0 && outside & BY_PROCESS != 0 {
            assert_eq!(inside & FORCED, FORCED, "kind {kind}: {inside:#x}, outside {outside:#x}");
        } else {
            assert_eq!(inside, outside, "what cannot be switched is as it is for everybody");
        }
    }
}

#[test]
fn nothing_of_a_sandbox_can_be_swapped_out() {
    let daemon = shared();
    let function =
        Function::python("def handler(event, context):\n    return event\n").deploy(&daemon);
    assert_eq!(function.answer(&json!(1)), 1);
    let trace = daemon.trace();
    let mut looked = 0;
    for (group, _) in trace.cgroups() {
        let read = |name: &str| fs::read_to_string(group.join(name)).ok();
        // Cells come and go; ours is among those that are there.
        if let Some(most) = read("memory.swap.max") {
            let is_cell = read("cgroup.procs").is_some_and(|members| !members.is_empty());
            assert!(!is_cell || most.trim() == "0", "{}: {most}", group.display());
            looked += usize::from(is_cell);
        }
        let (memory, both) = (read("memory.limit_in_bytes"), read("memory.memsw.limit_in_bytes"));
        if let (Some(memory), Some(both)) = (memory, both) {
            let is_cell = read("cgroup.procs").is_some_and(|members| !members.is_empty());
            assert!(!is_cell || memory == both, "{}: {memory} and {both}", group.display());
            looked += usize::from(is_cell);
        }
    }
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    // A kernel that does not count swap is let through only where there is none.
    assert!(looked > 0 || swaps.lines().count() <= 1, "swap is on and nothing limits it:\n{swaps}");
}
