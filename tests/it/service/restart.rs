//! The control plane is restarted while people use it, as an upgrade does.

use std::thread;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::daemon::ended;
use crate::harness::{Deployed, Function, Manager, Request, Response};

const SLOW: &str = "
    import time

    def handler(event, context):
        time.sleep(event['seconds'])
        return event['name']
    ";

/// Calls that are in flight when the end is announced.
const IN_FLIGHT: usize = 4;
/// Calls that come after that.
const AFTER: usize = 16;

fn invocation(name: &str, seconds: u32, call: &str) -> Request {
    let path = format!("/2015-03-31/functions/{name}/invocations");
    Request::new("POST", &path).json(&json!({"seconds": seconds, "name": call}))
}

#[test]
fn across_a_restart_nothing_in_flight_and_nothing_new_is_lost() {
    let manager = Manager::new();
    let mut first = manager.start();
    let function = Function::python(SLOW).timeout(30).deploy(&first);
    assert_eq!(function.answer(&json!({"seconds": 0, "name": "warm"})), "warm");
    let name = function.keep();

    // Signed by the first one's key, which is the second one's, too.
    let (signer, address) = (first.signer(), manager.api());
    let send = |seconds, call: String| -> Response {
        let host = address.to_string();
        signer.clone().sign(invocation(&name, seconds, &call), &host).send(address)
    };
    thread::scope(|scope| {
        let send = &send;
        let old: Vec<_> =
            (0..IN_FLIGHT).map(|n| scope.spawn(move || send(3, format!("old {n}")))).collect();
        Deployed::existing(&first, &name).called(1 + IN_FLIGHT);
        first.signal(Signal::SIGTERM);
        manager.hears("STOPPING=1");
        let new: Vec<_> =
            (0..AFTER).map(|n| scope.spawn(move || send(0, format!("new {n}")))).collect();
        for (n, call) in old.into_iter().enumerate() {
            let answer = call.join().expect("answered").expect(200).json();
            assert_eq!(answer, Value::from(format!("old {n}")));
        }
        assert_eq!(ended(first.wait()), "exit 0", "{}", first.log());
        assert!(!new.iter().all(|call| call.is_finished()), "some wait for the second one");
        let second = manager.start();
        for (n, call) in new.into_iter().enumerate() {
            let answer = call.join().expect("answered").expect(200).json();
            assert_eq!(answer, Value::from(format!("new {n}")));
        }
        second.stop();
    });
}

#[test]
fn requests_that_arrive_all_through_a_restart_are_all_answered() {
    let manager = Manager::new();
    let mut first = manager.start();
    let (signer, address) = (first.signer(), manager.api());
    let ask = || {
        let request = Request::new("GET", "/2015-03-31/functions");
        signer.clone().sign(request, &address.to_string()).send(address).status
    };
    thread::scope(|scope| {
        let askers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| (0..100).map(|_| ask()).collect::<Vec<_>>())).collect();
        first.signal(Signal::SIGTERM);
        assert_eq!(ended(first.wait()), "exit 0", "{}", first.log());
        let second = manager.start();
        for asker in askers {
            let answers = asker.join().expect("every request has an answer");
            assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
        }
        second.stop();
    });
}
