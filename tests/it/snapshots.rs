//! SnapStart: a version initialises once, and its instances are what it was then, each for itself.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::function::Invocation;
use crate::harness::{Daemon, Deployed, Function, Home, Options, Request, eventually, shared};

/// Initialises for a while, and remembers when; answers with what is the same in every instance, and
/// with what must not be.
const WHO: &str = "
    import os, random, secrets, ssl, sys, tempfile, threading, time, uuid
    from snapshot_restore_py import register_after_restore, register_before_snapshot

    time.sleep(0.2)
    born, told = str(uuid.uuid4()), []
    heap = {str(number): number for number in range(50_000)}
    os.environ['OWN'] = 'kept'

    @register_before_snapshot
    def before():
        told.append('before, first registered')

    register_before_snapshot(told.append, 'before, last registered')

    @register_after_restore
    def after():
        told.append('after, first registered')

    register_after_restore(told.append, 'after, last registered')
    print('initialised')

    def deep(levels):
        return 0 if levels == 0 else 1 + deep(levels - 1)

    def handler(event, context):
        time.sleep(event.get('seconds', 0))
        sys.setrecursionlimit(5_000)
        thread = threading.Thread(target=told.append, args=('thread',))
        thread.start()
        thread.join()
        assert told.pop() == 'thread' and deep(4_000) == 4_000 and heap['777'] == 777
        import sqlite3, json.tool
        with tempfile.NamedTemporaryFile() as file:
            file.write(b'x')
        return {
            'type': os.environ['AWS_LAMBDA_INITIALIZATION_TYPE'],
            'born': born,
            'told': told,
            'own': os.environ['OWN'],
            'task': os.getcwd(),
            'pid': os.getpid(),
            'stream': context.log_stream_name == os.environ['AWS_LAMBDA_LOG_STREAM_NAME'],
            'random': [random.random(), secrets.token_hex(8), ssl.RAND_bytes(8).hex(), str(uuid.uuid4()),
                       os.environ['AWS_ACCESS_KEY_ID'], os.environ['AWS_LAMBDA_LOG_STREAM_NAME']],
        }
    ";

fn snap_start(function: Function) -> Function {
    function.with("SnapStart", json!({"ApplyOn": "PublishedVersions"}))
}

/// Version 1, when it is no longer pending.
#[track_caller]
fn settled(daemon: &Daemon, function: &Deployed<'_>) -> Value {
    let path = format!("{}?Qualifier=1", function.path("configuration"));
    eventually("the version is prepared", Duration::from_secs(60), || {
        let now = daemon.api("GET", &path, &Value::Null).expect(200).json();
        (now["State"] != "Pending").then_some(now)
    })
}

/// A function with a version, which is Active.
#[track_caller]
fn published<'d>(function: Function, daemon: &'d Daemon, status: &str) -> (Deployed<'d>, Value) {
    let function = snap_start(function).deploy(daemon);
    daemon.api("POST", &function.path("versions"), &json!({})).expect(201);
    let version = settled(daemon, &function);
    assert_eq!(version["State"], "Active", "{version}");
    assert_eq!(version["SnapStart"]["OptimizationStatus"], status, "{version}");
    (function, version)
}

fn call(function: &Deployed<'_>, event: &Value) -> Invocation {
    let path = format!("{}?Qualifier=1", function.path("invocations"));
    function.invoke_with(Request::new("POST", &path).json(event))
}

/// What an instance of a function answers that was restored from a snapshot.
#[track_caller]
pub fn restored(function: Function, daemon: &Daemon, event: &Value) -> Value {
    let (function, _) = published(function, daemon, "On");
    let called = call(&function, event);
    let log = &called.log;
    assert!(log.contains("Restore Duration"), "it was not restored: {log}");
    called.answer()
}

#[test]
fn a_version_initialises_once_and_every_instance_is_its_own() {
    let daemon = shared();
    let (function, version) = published(Function::python(WHO), &daemon, "On");
    assert_eq!(version.get("StateReason"), None);
    let called: Vec<Invocation> = thread::scope(|scope| {
        let one = || call(&function, &json!({"seconds": 1}));
        let all: Vec<_> = (0..3).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().expect("answered")).collect()
    });
    let mut drawn = HashSet::new();
    for called in &called {
        let answer = called.answer();
        let told = [
            "before, last registered",
            "before, first registered",
            "after, first registered",
            "after, last registered",
        ];
        assert_eq!(answer["told"], json!(told), "{answer}");
        assert_eq!((&answer["type"], &answer["own"]), (&json!("snap-start"), &json!("kept")));
        assert_eq!((&answer["task"], &answer["pid"]), (&json!("/var/task"), &json!(2)));
        assert_eq!(answer["stream"], true);
        drawn.extend(answer["random"].as_array().expect("a list").iter().map(Value::to_string));
        let tail = &called.log;
        assert!(tail.contains("RESTORE_START Runtime Version: python:"), "{tail}");
        assert!(tail.contains("RESTORE_REPORT Restore Duration: "), "{tail}");
        assert!(tail.contains("\tRestore Duration: "), "{tail}");
        assert!(tail.contains("\tBilled Restore Duration: "), "{tail}");
        assert!(!tail.contains("Init Duration") && !tail.contains("initialised"), "{tail}");
    }
    assert_eq!(drawn.len(), 3 * 6, "what is random in one is not in another");
    let born: HashSet<String> = called.iter().map(|it| it.answer()["born"].to_string()).collect();
    assert_eq!(born.len(), 1);
    // `$LATEST` initialises as ever.
    let latest = function.answer(&json!({}));
    assert_eq!(
        (&latest["type"], latest["told"].as_array().map(Vec::len)),
        (&json!("on-demand"), Some(0))
    );
    function.log_until("it initialised once for all of them, and for $LATEST", |lines| {
        lines.iter().filter(|line| line.contains("initialised")).count() == 2
    });
}

#[test]
fn what_cannot_be_restored_initialises_and_its_state_says_why() {
    let daemon = shared();
    for (made, why) in [
        ("threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()", "thread"),
        ("open('/tmp/left', 'w').close()", "/tmp"),
        ("kept = socket.socket()", "connections"),
        ("kept = open('/var/task/app.py')", "files"),
        ("kept = mmap.mmap(-1, 4096)", "shared"),
        ("kept = subprocess.Popen(['sleep', '3600'])", "processes"),
        ("signal.setitimer(signal.ITIMER_REAL, 3600)", "timers"),
    ] {
        let source = format!(
            "
    import mmap, os, signal, socket, subprocess, threading, time

    {made}

    def handler(event, context):
        return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']
    "
        );
        let (function, version) = published(Function::python(&source), &daemon, "Off");
        let reason = version["StateReason"].as_str().unwrap_or_default();
        assert!(reason.starts_with("SnapStart is off for this version: "), "{reason}");
        assert!(reason.contains(why), "{made}: {reason}");
        let called = call(&function, &json!({}));
        assert_eq!(called.answer(), "on-demand", "{made}");
        assert!(called.log.contains("Init Duration"));
    }
}

#[test]
fn a_version_that_does_not_initialise_has_failed_and_says_so_in_its_log() {
    let daemon = shared();
    let hook = "
    from snapshot_restore_py import register_before_snapshot

    @register_before_snapshot
    def before():
        raise ValueError('not now')

    def handler(event, context):
        return 1
    ";
    for source in ["raise ValueError('not now')", hook, "import os; os._exit(3)"] {
        let function = snap_start(Function::python(source)).deploy(&daemon);
        daemon.api("POST", &function.path("versions"), &json!({})).expect(201);
        let version = settled(&daemon, &function);
        assert_eq!(version["State"], "Failed", "{version}");
        assert_eq!(version["StateReasonCode"], "FunctionError.RuntimeInitError");
        assert_eq!(version["SnapStart"]["OptimizationStatus"], "Off");
    }
}

#[test]
fn an_after_restore_hook_that_fails_is_the_functions_error() {
    let daemon = shared();
    let source = "
    from snapshot_restore_py import register_after_restore

    @register_after_restore
    def after():
        raise ValueError('not here')

    def handler(event, context):
        return 1
    ";
    let (function, _) = published(Function::python(source), &daemon, "On");
    let failure = call(&function, &json!({})).failure();
    assert_eq!(failure["errorType"], "Runtime.AfterRestoreError", "{failure}");
    assert_eq!(failure["errorMessage"], "not here");
}

#[test]
fn the_next_daemon_takes_the_snapshot_again_when_somebody_calls() {
    let home = Home::new();
    let options = Options::default();
    let daemon = Daemon::start_in(&home, &options);
    let (function, _) = published(Function::python(WHO), &daemon, "On");
    let name = function.keep();
    daemon.stop();
    let config = Some("idle_seconds = 1\n".to_owned());
    let daemon = Daemon::start_in(&home, &Options { config, ..options });
    let function = Deployed::existing(&daemon, &name);
    let first = call(&function, &json!({})).answer();
    assert_eq!(first["type"], "on-demand", "{first}");
    eventually("it is restored again", Duration::from_secs(60), || {
        let answer = call(&function, &json!({})).answer();
        // Its instance is let go after a second.
        thread::sleep(Duration::from_millis(1500));
        (answer["type"] == "snap-start").then_some(())
    });
}
