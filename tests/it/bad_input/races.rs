//! Two things at once: updates that meet, deletion under a running call.

use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{Daemon, Function, Package, shared};

fn package(answer: u32) -> Vec<u8> {
    let source = format!("def handler(event, context):\n    return {answer}\n");
    Package::new().file("app.py", source).build()
}

#[test]
fn of_concurrent_updates_each_is_done_or_refused_and_the_last_one_done_stands() {
    let daemon = shared();
    let function = Function::python("def handler(event, context):\n    return 0\n").deploy(&daemon);
    let update = |answer: u32| {
        let body = json!({"ZipFile": STANDARD.encode(package(answer))});
        daemon.api("PUT", &function.path("code"), &body)
    };
    let responses: Vec<_> = thread::scope(|scope| {
        let all: Vec<_> =
            (1..=8).map(|answer| scope.spawn(move || (answer, update(answer)))).collect();
        all.into_iter().map(|one| one.join().expect("answered")).collect()
    });
    let mut done = Vec::new();
    for (answer, response) in responses {
        if response.status == 200 {
            done.push(answer);
        } else {
            let message = format!(
                "The operation cannot be performed at this time. An update is in progress for resource: {}",
                function.arn()
            );
            response.refused(409, "ResourceConflictException", &message);
        }
    }
    assert!(!done.is_empty(), "at least the first one is done");
    function.settle();
    let standing = function.answer(&json!({}));
    assert!(done.iter().any(|answer| standing == *answer), "{standing} of {done:?}");
}

#[test]
fn of_concurrent_creations_of_one_name_exactly_one_succeeds() {
    let daemon = shared();
    let function = Function::python("def handler(event, context):\n    return 1\n");
    let body = function.body();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let create = || daemon.api("POST", "/2015-03-31/functions", &body).status;
        let all: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
        all.into_iter().map(|one| one.join().expect("answered")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7, "{statuses:?}");
    let path = format!("/2015-03-31/functions/{}", body["FunctionName"].as_str().expect("a name"));
    daemon.api("DELETE", &path, &Value::Null).expect(204);
}

/// Starts a slow call in a daemon of its own, does something meanwhile, returns the call's answer.
fn during_a_call(meanwhile: impl FnOnce(&Daemon, &str)) -> (u16, Value) {
    let daemon = shared();
    let source =
        "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'finished'\n";
    let function = Function::python(source).deploy(&daemon);
    function.answer(&json!(0));
    thread::scope(|scope| {
        let call = scope.spawn(|| function.invoke(&json!(2)).response);
        function.called(2);
        meanwhile(&daemon, &function.name);
        let response = call.join().expect("answered");
        (response.status, response.json())
    })
}

#[test]
fn a_function_deleted_while_it_runs_finishes_its_call_and_takes_no_other() {
    let answer = during_a_call(|daemon, name| {
        let path = format!("/2015-03-31/functions/{name}");
        daemon.api("DELETE", &path, &Value::Null).expect(204);
        let next = daemon.api("POST", &format!("{path}/invocations"), &json!({}));
        assert_eq!(next.status, 404, "{next:?}");
    });
    assert_eq!(answer, (200, json!("finished")));
}

#[test]
fn a_function_updated_while_it_runs_finishes_its_call_with_the_old_code() {
    let answer = during_a_call(|daemon, name| {
        let body = json!({"ZipFile": STANDARD.encode(package(2))});
        let path = format!("/2015-03-31/functions/{name}");
        daemon.api("PUT", &format!("{path}/code"), &body).expect(200);
        let waits = || {
            let now = daemon.api("GET", &format!("{path}/configuration"), &Value::Null).json();
            (now["LastUpdateStatus"] == "Successful").then_some(())
        };
        crate::harness::eventually("updated", std::time::Duration::from_secs(30), waits);
        let next = daemon.api("POST", &format!("{path}/invocations"), &json!({}));
        assert_eq!(next.json(), json!(2), "new calls run the new code: {next:?}");
    });
    assert_eq!(answer, (200, json!("finished")));
}
