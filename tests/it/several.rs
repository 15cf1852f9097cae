//! Custom runtimes that ask for several events at once.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Daemon, Deployed, Function, shared};

/// Serves as many events at once as the variable says, each in a thread that polls by itself.
const THREADS: &str = "
    import json
    import os
    import threading
    import time
    import uuid

    instance = str(uuid.uuid4())
    slots = int(os.environ['AWS_LAMBDA_MAX_CONCURRENCY'])
    under_way = 0
    most = 0
    lock = threading.Lock()

    def serve():
        global under_way, most
        while True:
            request, headers, event = next_event()
            event = json.loads(event)
            with lock:
                under_way += 1
                most = max(most, under_way)
            if event.get('crash'):
                os._exit(5)
            time.sleep(event.get('seconds', 0))
            with lock:
                under_way -= 1
            respond(request, json.dumps([event.get('n'), instance, most]))

    threads = [threading.Thread(target=serve) for _ in range(slots)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ";

fn deploy(daemon: &Daemon, slots: u32) -> Deployed<'_> {
    Function::runtime_in_python(THREADS)
        .environment(json!({"AWS_LAMBDA_MAX_CONCURRENCY": slots.to_string()}))
        .timeout(3)
        .deploy(daemon)
}

/// Calls it with all events at once; what each came to, in their order.
fn at_once(function: &Deployed<'_>, events: &[Value]) -> Vec<crate::harness::function::Invocation> {
    thread::scope(|scope| {
        let all: Vec<_> =
            events.iter().map(|event| scope.spawn(|| function.invoke(event))).collect();
        all.into_iter().map(|one| one.join().expect("answered")).collect()
    })
}

#[test]
fn one_sandbox_serves_as_many_calls_at_once_as_its_function_asks_for() {
    let daemon = shared();
    let function = deploy(&daemon, 6);
    function.answer(&json!({}));
    let events: Vec<Value> = (0..6).map(|n| json!({"n": n, "seconds": 1})).collect();
    let began = Instant::now();
    let called = at_once(&function, &events);
    let took = began.elapsed();
    let answers: Vec<Value> = called.iter().map(|one| one.answer()).collect();
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer[0], n, "{answers:?}");
        assert_eq!(answer[1], answers[0][1], "one instance for all");
    }
    assert!(answers.iter().any(|answer| answer[2] == 6), "{answers:?}");
    assert!(took < Duration::from_secs(5), "{took:?} for what takes six if one waits for another");
    for one in &called {
        // Every line of the platform names its request.
        let id = one.request_id();
        for word in ["START", "END", "REPORT"] {
            assert!(one.log.contains(&format!("{word} RequestId: {id}")), "{}", one.log);
        }
    }
}

#[test]
fn a_call_that_overruns_its_time_takes_no_other_with_it() {
    let daemon = shared();
    let function = deploy(&daemon, 2);
    let first = function.answer(&json!({}));
    let called = at_once(&function, &[json!({"seconds": 60}), json!({"n": 1, "seconds": 1})]);
    let failed = called[0].failure();
    assert_eq!(failed["errorType"], "Sandbox.Timedout", "{failed}");
    assert_eq!(called[1].answer()[1], first[1]);
    assert_ne!(function.answer(&json!({}))[1], first[1], "the instance was not used again");
}

#[test]
fn a_crash_is_the_answer_to_every_call_in_the_sandbox() {
    let daemon = shared();
    let function = deploy(&daemon, 3);
    let first = function.answer(&json!({}));
    let events = [json!({"seconds": 2}), json!({"seconds": 2}), json!({"crash": true})];
    let called = at_once(&function, &events);
    for one in &called {
        let failed = one.failure();
        assert_eq!(failed["errorType"], "Runtime.ExitError", "{failed}");
        let own = format!("RequestId: {} Error", one.request_id());
        assert!(failed["errorMessage"].as_str().is_some_and(|text| text.starts_with(&own)));
    }
    assert_ne!(function.answer(&json!({}))[1], first[1]);
}

#[test]
fn it_is_asked_for_with_a_number_and_by_custom_runtimes_only() {
    let daemon = shared();
    let ask = |function: Function, value: &str| {
        let function = function.environment(json!({"AWS_LAMBDA_MAX_CONCURRENCY": value}));
        function.create(&daemon)
    };
    let unable = "Lambda was unable to configure your environment variables because the environment \
                  variables you have provided contains";
    for value in ["0", "65", "many"] {
        let message = format!(
            "{unable} a value that is not supported: AWS_LAMBDA_MAX_CONCURRENCY is '{value}' and has \
             to be a number from 1 to 64"
        );
        let refused = ask(Function::runtime_in_python(THREADS), value);
        refused.refused(400, "InvalidParameterValueException", &message);
    }
    let message = format!(
        "{unable} reserved keys that are currently not supported for modification. Reserved keys \
         used in this request: AWS_LAMBDA_MAX_CONCURRENCY"
    );
    let python = Function::python("def handler(event, context):\n    return event\n");
    ask(python, "2").refused(400, "InvalidParameterValueException", &message);
}
