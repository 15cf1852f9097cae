//! Descriptors pushed at the control plane: what a function may write to is no way to fill it.

use serde_json::{Value, json};

use super::text;
use crate::harness::{Daemon, Function};

/// Sends 253 descriptors, as many as the kernel takes, on every socket that a process has.
const PUSH: &str = r#"
import errno, os, socket, stat

def is_socket(number):
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False

def sockets():
    # All of them before the first copy, which would be found as well.
    numbers = [number for number in map(int, os.listdir("/proc/self/fd")) if is_socket(number)]
    return [socket.socket(fileno=os.dup(number)) for number in numbers]

def push(one, times):
    pushed = os.open("/tmp/pushed", os.O_RDWR | os.O_CREAT)
    seen = {}
    for _ in range(times):
        try:
            socket.send_fds(one, [b"x"], [pushed] * 253, socket.MSG_DONTWAIT)
            word = "sent"
        except OSError as error:
            word = errno.errorcode[error.errno]
        seen[word] = seen.get(word, 0) + 1
    os.close(pushed)
    return seen
"#;

/// `SO_PASSRIGHTS` is Linux 6.16's.
fn kernel_refuses_descriptors() -> bool {
    let release =
        std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("every kernel has it");
    let mut parts = release.split('.').map_while(|part| part.parse::<u32>().ok());
    (parts.next(), parts.next()) >= (Some(6), Some(16))
}

/// What is open in the daemon: of all descriptors, and of those that were pushed.
fn open_in(daemon: &Daemon) -> (usize, usize) {
    let open = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid)).expect("it runs");
    let names = open.map(|entry| std::fs::read_link(entry.expect("it runs").path()));
    let names: Vec<String> =
        names.map(|name| name.map_or_else(|_| String::new(), |name| text(&name))).collect();
    (names.len(), names.iter().filter(|name| name.contains("pushed")).count())
}

#[test]
fn a_function_that_pushes_descriptors_at_the_control_plane_leaves_none_there() {
    let daemon = Daemon::start();
    let source = format!(
        "{PUSH}\ndef handler(event, context):\n    \
         return [push(one, event) for one in sockets()]\n"
    );
    let function = Function::python(&source).deploy(&daemon);
    // Everything that is opened at the first use is.
    let sockets = function.answer(&json!(0));
    assert_eq!(sockets, json!([{}]), "one socket, the link");
    let (before, _) = open_in(&daemon);
    // Where the kernel cannot refuse, what arrives is no frame: the link ends, and the call fails.
    for _ in 0..3 {
        let called = function.invoke(&json!(20_000));
        if kernel_refuses_descriptors() {
            assert_eq!(called.answer(), json!([{"EPERM": 20_000}]));
        } else {
            called.failure();
        }
        // Beside what was pushed it holds what cells that stand ready have; one push is 253.
        let (all, pushed) = open_in(&daemon);
        assert!(pushed == 0 && all < before + 253, "{pushed} of {all}, {before} before");
    }
    assert_eq!(function.answer(&json!(0)), json!([{}]), "it serves on");
}

#[test]
fn between_ordinary_sockets_descriptors_do_arrive() {
    // The control: the same program, on a pair of sockets that nobody told to refuse.
    let script = format!(
        "{PUSH}\n\
         import json\n\
         ours, theirs = socket.socketpair()\n\
         seen = push(theirs, 1)\n\
         before = len(os.listdir('/proc/self/fd'))\n\
         _, descriptors, _, _ = socket.recv_fds(ours, 1, 253)\n\
         arrived = len(os.listdir('/proc/self/fd')) - before\n\
         names = [os.path.basename(os.readlink(f'/proc/self/fd/{{n}}')) for n in descriptors]\n\
         assert set(names) == {{'pushed'}}, names\n\
         # What the link does: no room for descriptors, and none is left open.\n\
         push(theirs, 1)\n\
         before = len(os.listdir('/proc/self/fd'))\n\
         ours.recv(1)\n\
         print(json.dumps([seen, arrived, len(os.listdir('/proc/self/fd')) - before]))\n"
    );
    let mut python = std::process::Command::new("/usr/bin/python3");
    let ran = crate::harness::tools::run(python.arg("-c").arg(script), "");
    assert_eq!(ran.json(), Value::from(vec![json!({"sent": 1}), json!(253), json!(0)]));
}
