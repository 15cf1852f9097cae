//! Which memory ends a function, and which does not; the same on every layout of control groups.
//!
//! MemorySize bounds anonymous memory, and the daemon looks at that. The group holds as much more as
//! `/tmp` may, and the kernel ends who is above that. Files in `/tmp` and pages of files that are only
//! read lie in the same group and are no reason to end anybody. Whomever the kernel picks in the group,
//! the function ends with it.

use serde_json::json;

use crate::harness::{Function, Package, setup, shared};

/// A function of 128 MiB with 512 MiB of `/tmp`, and a large file beside its code.
const SOURCE: &str = "
import errno, os, time

hoard = []


def handler(event, context):
    for _ in range(event.get('take', 0)):
        hoard.append(bytearray(os.urandom(1024) * 1024))
    time.sleep(event.get('then', 0))
    filled = error = None
    if 'fill' in event:
        filled, error = fill('/tmp/' + event['fill'])
    read = 0
    with open('/var/task/large', 'rb') as large:
        while event.get('read') and (chunk := large.read(1 << 20)):
            read += len(chunk) >> 20
    return {'held': len(hoard), 'filled': filled, 'error': error, 'read': read}


def fill(path):
    block, filled = bytes(1 << 20), 0
    with open(path, 'wb', buffering=0) as file:
        try:
            while True:
                filled += file.write(block)
        except OSError as err:
            return filled >> 20, errno.errorcode[err.errno]
";
/// Starts a child that takes memory which is shared, and so bounded by the group alone: what ends it is
/// the kernel, and nobody is above MemorySize. Says how the child ended.
const PARENT: &str = "
import mmap, os, signal


def child(mebibytes, then=None):
    pid = os.fork()
    if pid == 0:
        if mebibytes:
            shared = mmap.mmap(-1, mebibytes << 20)
            for page in range(0, len(shared), mmap.PAGESIZE):
                shared[page] = 1
        if then:
            signal.pause()
        os._exit(0)
    if then:
        os.kill(pid, then)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


first = child(int(os.environ.get('AT_INIT', '0')))
calls = 0


def handler(event, context):
    global calls
    calls += 1
    ended = child(event.get('take', 0), event.get('kill'))
    if event.get('raise'):
        raise ChildProcessError(ended)
    return {'first': first, 'ended': ended, 'calls': calls}
";
/// Above what a group of 128 MiB and a `/tmp` of 512 holds, and below, MiB.
const ABOVE: u32 = 700;
const BELOW: u32 = 300;
/// Of the large file, MiB: more than is left in the group when `/tmp` is full.
const LARGE: usize = 150;

fn function(memory: u32) -> Function {
    let large = vec![0; LARGE << 20];
    let package = Package::new().file("app.py", SOURCE).file("large", large).build();
    Function::new(setup::python_runtime(), "app.handler", package).memory(memory).timeout(60)
}

#[test]
fn anonymous_memory_above_memorysize_is_a_memory_kill_though_the_group_has_room() {
    let daemon = shared();
    // The group holds 640 MiB, so the kernel would let it be; and it holds still until its timeout.
    let event = json!({"take": 300, "then": 55});
    let small = function(128).deploy(&daemon);
    let failure = small.invoke(&event).failure();
    assert_eq!(failure["errorType"], "Runtime.OutOfMemory", "{failure}");
    let message = failure["errorMessage"].as_str().unwrap_or_default();
    assert!(message.ends_with("Runtime exited with error: signal: killed"), "{failure}");
    // The control: with the memory it takes, it is let be.
    let large = function(512).deploy(&daemon);
    assert_eq!(large.answer(&json!({"take": 300, "then": 1}))["held"], 300);
}

#[test]
fn a_full_tmp_and_a_large_file_that_is_read_are_no_memory_kill() {
    let daemon = shared();
    let function = function(128).deploy(&daemon);
    let first = function.answer(&json!({"take": 40, "fill": "first", "read": true}));
    let filled = first["filled"].as_u64().expect("a number");
    assert!((500..=512).contains(&filled), "{first}");
    assert_eq!(first["error"], "ENOSPC");
    assert_eq!(first["read"], LARGE);
    // The same process: it was not replaced, and has what it had.
    let second = function.answer(&json!({"take": 20, "fill": "second", "read": true}));
    assert_eq!((&second["held"], &second["filled"]), (&json!(60), &json!(0)), "{second}");
    // The control: the same group ends who takes as much for itself.
    let failure = function.invoke(&json!({"take": 150})).failure();
    assert_eq!(failure["errorType"], "Runtime.OutOfMemory", "{failure}");
}

fn parent() -> Function {
    let package = Package::new().file("app.py", PARENT).build();
    Function::new(setup::python_runtime(), "app.handler", package).memory(128).timeout(60)
}

#[test]
fn a_child_that_is_killed_for_memory_ends_the_function_whatever_its_parent_answers() {
    let daemon = shared();
    let function = parent().deploy(&daemon);
    for raises in [false, true] {
        let failure = function.invoke(&json!({"take": ABOVE, "raise": raises})).failure();
        assert_eq!(failure["errorType"], "Runtime.OutOfMemory", "{failure}");
        // The next call has a whole one.
        assert_eq!(function.answer(&json!({}))["calls"], 1);
    }
    // The control: a child may take what there is, and be killed by anybody but the kernel.
    let fits = function.answer(&json!({"take": BELOW}));
    assert_eq!((&fits["ended"], &fits["calls"]), (&json!(0), &json!(2)), "{fits}");
    let killed = function.answer(&json!({"kill": 9}));
    assert_eq!((&killed["ended"], &killed["calls"]), (&json!(-9), &json!(3)), "{killed}");
}

#[test]
fn a_child_that_is_killed_for_memory_while_its_parent_initialises_ends_the_start() {
    let daemon = shared();
    let with = |mebibytes: u32| {
        let variables = json!({"AT_INIT": mebibytes.to_string()});
        parent().environment(variables).deploy(&daemon)
    };
    let function = with(ABOVE);
    for _ in 0..2 {
        let failure = function.invoke(&json!({})).failure();
        assert_eq!(failure["errorType"], "Runtime.OutOfMemory", "{failure}");
    }
    // The control: the same with less is initialised and answers.
    let answer = with(BELOW).answer(&json!({}));
    assert_eq!((&answer["first"], &answer["calls"]), (&json!(0), &json!(1)), "{answer}");
}
