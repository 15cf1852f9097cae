//! Functions that fail: each way is told apart, reported in AWS's words, and followed by service.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Deployed, Function, Package, setup, shared};

/// The document of a function whose process ended.
fn exited(request: &str, how: &str) -> Value {
    json!({
        "errorType": "Runtime.ExitError",
        "errorMessage": format!("RequestId: {request} Error: Runtime exited {how}"),
    })
}

/// Whatever happened, the next call is served.
#[track_caller]
fn serves_on(function: &Deployed<'_>) {
    assert_eq!(function.answer(&json!({"do": "echo"}))["do"], "echo");
}

/// Does what the event says.
const OBEDIENT: &str = "
    import os, signal, sys, time

    class Rejected(Exception):
        pass

    def handler(event, context):
        what = event['do']
        if what == 'raise':
            raise Rejected('no: ' + event['why'])
        if what == 'exit':
            sys.exit(event['status'])
        if what == 'hard exit':
            os._exit(event['status'])
        if what == 'kill':
            os.kill(os.getpid(), event['signal'])
        if what == 'sleep':
            time.sleep(event['seconds'])
        if what == 'allocate':
            hoard = []
            while True:
                hoard.append(b'x' * (1 << 20))
        if what == 'set':
            return {1, 2}
        if what == 'big':
            return 'x' * event['bytes']
        return event
    ";

fn obedient() -> Function {
    Function::python(OBEDIENT)
}

// ------------------------------------------------------------------------------- exceptions

#[test]
fn a_python_exception_is_aws_s_error_document() {
    let daemon = shared();
    let function = obedient().deploy(&daemon);
    let called = function.invoke(&json!({"do": "raise", "why": "tired"}));
    let failure = called.failure();
    assert_eq!(failure["errorMessage"], "no: tired");
    assert_eq!(failure["errorType"], "Rejected");
    assert_eq!(failure["requestId"], called.request_id());
    let trace = failure["stackTrace"].as_array().expect("a list of lines");
    assert_eq!(trace.len(), 1, "the runtime's own frames are left out: {failure}");
    let line = trace[0].as_str().expect("text");
    assert!(line.starts_with("  File \"/var/task/app.py\", line "), "{line}");
    assert!(line.ends_with("in handler\n    raise Rejected('no: ' + event['why'])\n"), "{line}");
    assert!(called.log.contains("[ERROR] Rejected: no: tired"), "{}", called.log);
    serves_on(&function);
}

#[test]
fn a_node_rejection_is_aws_s_error_document() {
    let daemon = shared();
    let function = Function::node(
        "export const handler = async (event) => {
           if (event.do === 'throw') throw new RangeError('too far');
           if (event.do === 'text') throw 'only text';
           return event;
         };",
    )
    .deploy(&daemon);
    let called = function.invoke(&json!({"do": "throw"}));
    let failure = called.failure();
    assert_eq!(failure["errorType"], "RangeError");
    assert_eq!(failure["errorMessage"], "too far");
    let trace = failure["trace"].as_array().expect("a list of lines");
    assert_eq!(trace[0], "RangeError: too far");
    assert!(trace[1].as_str().is_some_and(|line| line.contains("index.mjs:2")), "{failure}");
    let failure = function.invoke(&json!({"do": "text"})).failure();
    assert_eq!(failure["errorMessage"], "only text");
    serves_on(&function);
}

#[test]
fn what_node_leaves_unhandled_ends_the_instance_and_says_so() {
    let daemon = shared();
    let function = Function::node(
        "export const handler = (event, context, callback) => {
           if (event.do === 'reject') { Promise.reject(new Error('nobody looks')); return; }
           if (event.do === 'throw') { setTimeout(() => { throw new TypeError('later'); }, 1); return; }
           callback(null, event);
         };",
    )
    .deploy(&daemon);
    let rejected = function.invoke(&json!({"do": "reject"})).failure();
    assert_eq!(rejected["errorType"], "Runtime.UnhandledPromiseRejection", "{rejected}");
    assert!(
        rejected["errorMessage"].as_str().is_some_and(|text| text.contains("nobody looks")),
        "{rejected}"
    );
    let thrown = function.invoke(&json!({"do": "throw"})).failure();
    assert_eq!(thrown["errorType"], "TypeError", "{thrown}");
    assert_eq!(thrown["errorMessage"], "later", "{thrown}");
    serves_on(&function);
}

#[test]
fn an_answer_that_is_not_json_is_a_marshalling_error() {
    let daemon = shared();
    let function = obedient().deploy(&daemon);
    let failure = function.invoke(&json!({"do": "set"})).failure();
    assert_eq!(failure["errorType"], "Runtime.MarshalError");
    let message = "Unable to marshal response: Object of type set is not JSON serializable";
    assert_eq!(failure["errorMessage"], message);
    serves_on(&function);
}

#[test]
fn an_answer_above_six_mebibytes_is_refused_by_name() {
    let daemon = shared();
    // A string of n bytes is n + 2 bytes of JSON; the limit is 6 MiB and 100 bytes.
    let limit = 6 * 1024 * 1024 + 100;
    let function = obedient().timeout(60).deploy(&daemon);
    let failure = function.invoke(&json!({"do": "big", "bytes": limit - 1})).failure();
    let expected = json!({
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    });
    assert_eq!(failure, expected);
    let whole = function.answer(&json!({"do": "big", "bytes": limit - 2}));
    assert_eq!(whole.as_str().map(str::len), Some(limit - 2), "one byte less passes");
}

// ------------------------------------------------------------------------------- ends

#[test]
fn sys_exit_in_a_handler_is_an_exit_of_the_runtime() {
    let daemon = shared();
    let function = obedient().deploy(&daemon);
    let called = function.invoke(&json!({"do": "exit", "status": 0}));
    let expected = exited(called.request_id(), "without providing a reason");
    assert_eq!(called.failure(), expected);
    let called = function.invoke(&json!({"do": "exit", "status": 3}));
    let expected = exited(called.request_id(), "with error: exit status 3");
    assert_eq!(called.failure(), expected);
    serves_on(&function);
}

#[test]
fn a_process_that_ends_is_reported_at_once_with_how_it_ended() {
    let daemon = shared();
    let function = obedient().timeout(60).deploy(&daemon);
    for (event, how) in [
        (json!({"do": "hard exit", "status": 127}), "with error: exit status 127"),
        (json!({"do": "kill", "signal": 9}), "with error: signal: killed"),
        (json!({"do": "kill", "signal": 11}), "with error: signal: segmentation fault"),
    ] {
        let begin = Instant::now();
        let called = function.invoke(&event);
        assert_eq!(called.failure(), exited(called.request_id(), how));
        assert!(begin.elapsed() < Duration::from_secs(30), "not after the timeout");
    }
    serves_on(&function);
}

#[test]
fn a_stuck_function_is_ended_at_its_timeout() {
    let daemon = shared();
    let function = obedient().timeout(1).deploy(&daemon);
    serves_on(&function);
    let begin = Instant::now();
    let called = function.invoke(&json!({"do": "sleep", "seconds": 50}));
    let expected = json!({
        "errorType": "Sandbox.Timedout",
        "errorMessage":
            format!("RequestId: {} Error: Task timed out after 1.00 seconds", called.request_id()),
    });
    assert_eq!(called.failure(), expected);
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(10), "{took:?}");
    serves_on(&function);
}

#[test]
fn a_function_that_ignores_every_signal_is_ended_all_the_same() {
    let daemon = shared();
    let function = Function::python(
        "
        import signal, time

        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)

        def handler(event, context):
            while True:
                pass
        ",
    )
    .timeout(1)
    .deploy(&daemon);
    let failure = function.invoke(&json!({})).failure();
    assert_eq!(failure["errorType"], "Sandbox.Timedout");
}

#[test]
fn memory_without_end_ends_in_a_memory_kill_that_says_so() {
    let daemon = shared();
    let function = obedient().memory(128).timeout(60).deploy(&daemon);
    let called = function.invoke(&json!({"do": "allocate"}));
    let mut expected = exited(called.request_id(), "with error: signal: killed");
    expected["errorType"] = json!("Runtime.OutOfMemory");
    assert_eq!(called.failure(), expected);
    assert!(
        called.log.contains("\tMemory Size: 128 MB\tMax Memory Used: 128 MB\t"),
        "{}",
        called.log
    );
    serves_on(&function);
}

// ------------------------------------------------------------------------------- init

/// Tries a package that cannot be initialised.
fn init_failure(runtime: &str, handler: &str, name: &str, source: &str) -> (Value, String) {
    let daemon = shared();
    let package = Package::new().file(name, source).build();
    let function = Function::new(runtime, handler, package).deploy(&daemon);
    let called = function.invoke(&json!({}));
    (called.failure(), called.log)
}

#[test]
fn python_s_init_errors_are_aws_s() {
    let runtime = setup::python_runtime();
    let good = "def handler(event, context):\n    pass\n";
    for (handler, source, kind, message) in [
        (
            "absent.handler",
            good,
            "Runtime.ImportModuleError",
            "Unable to import module 'absent': No module named 'absent'",
        ),
        ("app.absent", good, "Runtime.HandlerNotFound", "Handler 'absent' missing on module 'app'"),
        (
            "handler",
            good,
            "Runtime.MalformedHandlerName",
            "Bad handler 'handler': not enough values to unpack (expected 2, got 1)",
        ),
        ("app.handler", "raise ValueError('at import')\n", "ValueError", "at import"),
        (
            "app.handler",
            "import nowhere\n",
            "Runtime.ImportModuleError",
            "Unable to import module 'app': No module named 'nowhere'",
        ),
    ] {
        let (failure, log) = init_failure(runtime, handler, "app.py", source);
        assert_eq!(failure["errorType"], kind, "{failure}");
        assert_eq!(failure["errorMessage"], message, "{failure}");
        assert_eq!(failure["requestId"], "", "{failure}");
        assert!(log.contains("REPORT RequestId: "), "{log}");
    }
    let (failure, _) = init_failure(runtime, "app.handler", "app.py", "def handler(:\n");
    assert_eq!(failure["errorType"], "Runtime.UserCodeSyntaxError", "{failure}");
    let message = failure["errorMessage"].as_str().unwrap_or_default();
    assert!(message.starts_with("Syntax error in module 'app': "), "{failure}");
}

#[test]
fn node_s_init_errors_are_aws_s() {
    let runtime = &setup::node().runtime;
    let good = "export const handler = async () => 1;";
    for (handler, source, kind, message) in [
        ("absent.handler", good, "Runtime.ImportModuleError", "Error: Cannot find module 'absent'"),
        (
            "index.absent",
            good,
            "Runtime.HandlerNotFound",
            "index.absent is undefined or not exported",
        ),
        (
            "index.handler",
            "export const handler = 7;",
            "Runtime.HandlerNotFound",
            "index.handler is not a function",
        ),
        ("index.handler", "throw new RangeError('at import');", "RangeError", "at import"),
    ] {
        let (failure, _) = init_failure(runtime, handler, "index.mjs", source);
        assert_eq!(failure["errorType"], kind, "{failure}");
        let said = failure["errorMessage"].as_str().unwrap_or_default();
        assert_eq!(said.lines().next(), Some(message), "{failure}");
    }
    let (failure, _) = init_failure(runtime, "index.handler", "index.mjs", "export const = ;");
    assert_eq!(failure["errorType"], "Runtime.UserCodeSyntaxError", "{failure}");
}

#[test]
fn a_function_that_exits_at_import_is_reported_and_tried_again_at_the_next_call() {
    let daemon = shared();
    let source = "import sys\nsys.exit(9)\ndef handler(event, context):\n    pass\n";
    let function = Function::python(source).deploy(&daemon);
    for _ in 0..2 {
        let called = function.invoke(&json!({}));
        assert_eq!(called.failure(), exited(called.request_id(), "with error: exit status 9"));
    }
}

#[test]
fn an_init_above_ten_seconds_is_begun_again_on_the_time_of_the_call() {
    let daemon = shared();
    // As slow at its first start as at its second: ten seconds of init, then two of the call.
    let source = "import time\ntime.sleep(60)\ndef handler(event, context):\n    pass\n";
    let function = Function::python(source).timeout(2).deploy(&daemon);
    let begin = Instant::now();
    let called = function.invoke(&json!({}));
    let failure = called.failure();
    assert_eq!(failure["errorType"], "Sandbox.Timedout", "{failure}");
    let message = failure["errorMessage"].as_str().unwrap_or_default();
    assert!(message.ends_with("Task timed out after 2.00 seconds"), "{failure}");
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(12) && took < Duration::from_secs(40), "{took:?}");
}

// ------------------------------------------------------------------------------- misbehaviour

#[test]
fn a_full_tmp_is_an_error_of_its_own_and_never_a_memory_kill() {
    let daemon = shared();
    let function = Function::python(
        "
        import errno, os

        def handler(event, context):
            written = 0
            try:
                with open('/tmp/full', 'wb', buffering=0) as file:
                    while True:
                        written += file.write(b'x' * (1 << 20))
            except OSError as error:
                name = errno.errorcode[error.errno]
            files = 0
            try:
                while True:
                    open(f'/tmp/{files}', 'w').close()
                    files += 1
            except OSError as error:
                other = errno.errorcode[error.errno]
            return [written >> 20, name, other, files]
        ",
    )
    .memory(128)
    .timeout(60)
    .deploy(&daemon);
    let answer = function.answer(&json!({}));
    assert!(answer[0].as_u64().is_some_and(|mib| (500..=512).contains(&mib)), "{answer}");
    assert_eq!((&answer[1], &answer[2]), (&json!("ENOSPC"), &json!("ENOSPC")), "{answer}");
}

#[test]
fn children_that_outlive_an_answer_neither_hold_it_up_nor_outlive_the_instance() {
    let daemon = shared();
    let function = Function::python(
        "
        import os, signal, time

        def handler(event, context):
            for _ in range(10):
                if os.fork() == 0:
                    os.setsid()
                    if os.fork():
                        os._exit(0)
                    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                        signal.signal(number, signal.SIG_IGN)
                    time.sleep(600)
                    os._exit(0)
            return 'forked'
        ",
    )
    .timeout(30)
    .deploy(&daemon);
    let begin = Instant::now();
    assert_eq!(function.answer(&json!({})), "forked");
    assert!(begin.elapsed() < Duration::from_secs(20), "the answer waits for nobody");

    let before = daemon.trace();
    let asleep: Vec<_> = before.sandboxed().into_iter().cloned().collect();
    assert!(asleep.len() >= 10, "{asleep:?}");
    drop(function);
    // Other functions of other tests may run on the same daemon: only these processes count.
    crate::harness::eventually("the orphans are gone", Duration::from_secs(20), || {
        let all = crate::harness::leftovers::Process::all();
        let sleeping = asleep.iter().filter(|one| all.contains(one)).count();
        (sleeping + 10 <= asleep.len()).then_some(())
    });
}

#[test]
fn one_function_that_fails_does_not_disturb_another() {
    let daemon = shared();
    let bad = obedient().memory(128).timeout(20).deploy(&daemon);
    let good = Function::python("def handler(event, context):\n    return event\n").deploy(&daemon);
    thread::scope(|scope| {
        let crash = scope.spawn(|| {
            for event in [
                json!({"do": "allocate"}),
                json!({"do": "hard exit", "status": 1}),
                json!({"do": "kill", "signal": 6}),
            ] {
                bad.invoke(&event).failure();
            }
        });
        for number in 0..50 {
            assert_eq!(good.answer(&json!(number)), number);
        }
        crash.join().expect("every call fails as it should");
    });
}
