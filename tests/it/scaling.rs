//! How many run at once, and for how long they are kept: limits, throttles, idle instances.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::leftovers::Process;
use crate::harness::{Daemon, Deployed, Function, Home, Options, Response, eventually};

/// Holds its instance for as many seconds as the event says, and says which instance it is.
const SLEEPER: &str = "
    import time
    import uuid

    instance = str(uuid.uuid4())

    def handler(event, context):
        time.sleep(event)
        return instance
    ";

fn configured(config: &str) -> Daemon {
    let options = Options { config: Some(config.to_owned()), ..Options::default() };
    Daemon::start_in(&Home::new(), &options)
}

/// Calls it so many times at once.
fn at_once(function: &Deployed<'_>, calls: usize, seconds: u32) -> Vec<Response> {
    thread::scope(|scope| {
        let call = || function.invoke(&json!(seconds)).response;
        let all: Vec<_> = (0..calls).map(|_| scope.spawn(call)).collect();
        all.into_iter().map(|one| one.join().expect("answered")).collect()
    })
}

#[test]
fn calls_beyond_the_account_s_concurrency_are_throttled_and_say_why() {
    let daemon = configured("account_concurrency = 2\n");
    let function = Function::python(SLEEPER).deploy(&daemon);
    let responses = at_once(&function, 5, 2);
    let (served, refused): (Vec<_>, Vec<_>) =
        responses.into_iter().partition(|response| response.status == 200);
    assert_eq!((served.len(), refused.len()), (2, 3));
    for response in refused {
        let body = response.refused(429, "TooManyRequestsException", "Rate Exceeded.");
        assert_eq!(body["Reason"], "ConcurrentInvocationLimitExceeded");
    }
    assert!(function.answer(&json!(0)).is_string(), "and then there is room again");
}

#[test]
fn reserved_concurrency_lets_so_many_run_and_no_more() {
    let daemon = Daemon::start();
    let function = Function::python(SLEEPER).deploy(&daemon);
    let path = function.path("concurrency").replace("2015-03-31", "2017-10-31");
    daemon.api("PUT", &path, &json!({"ReservedConcurrentExecutions": 2})).expect(200);
    let responses = at_once(&function, 4, 2);
    let served = responses.iter().filter(|response| response.status == 200).count();
    assert_eq!(served, 2, "{responses:?}");
    for response in responses.iter().filter(|response| response.status != 200) {
        let body = response.refused(429, "TooManyRequestsException", "Rate Exceeded.");
        assert_eq!(body["Reason"], "ReservedFunctionConcurrentInvocationLimitExceeded");
    }
    daemon.api("DELETE", &path, &Value::Null).expect(204);
    let responses = at_once(&function, 4, 1);
    assert!(responses.iter().all(|response| response.status == 200), "{responses:?}");
}

#[test]
fn a_machine_without_memory_to_give_throttles_instead_of_falling_over() {
    let daemon = configured("memory_reserve_mib = 100000000\n");
    let function = Function::python(SLEEPER).deploy(&daemon);
    let refused = function.invoke(&json!(0)).response;
    let body = refused.refused(429, "TooManyRequestsException", "Rate Exceeded.");
    assert_eq!(body["Reason"], "ConcurrentInvocationLimitExceeded");
}

#[test]
fn the_instance_used_last_is_used_again_and_the_surplus_ends_by_itself() {
    // Spares are interpreters, too, and are not to be counted.
    let daemon = configured("idle_seconds = 2\nspare_memory_mib = 0\n");
    let function = Function::python(SLEEPER).deploy(&daemon);
    let instances: Vec<Value> = at_once(&function, 4, 1).iter().map(Response::json).collect();
    let interpreters = || {
        let all = Process::all();
        let sandboxed = daemon.trace();
        let mut count = 0;
        for one in sandboxed.sandboxed() {
            // The runner of a sandbox that serves has the interpreter as its child.
            count +=
                usize::from(all.iter().any(|other| {
                    other.parent_in(&all).is_some_and(|parent| parent.pid == one.pid)
                }));
        }
        count
    };
    assert_eq!(interpreters(), 4, "one for each call at once");
    let again = function.answer(&json!(0));
    assert!(instances.contains(&again));
    for _ in 0..5 {
        assert_eq!(function.answer(&json!(0)), again, "most recently used first");
    }
    eventually("all have ended", Duration::from_secs(30), || (interpreters() == 0).then_some(()));
    let fresh = function.answer(&json!(0));
    assert!(!instances.contains(&fresh), "{fresh} is a new one");
}

#[test]
fn a_burst_is_served_by_as_many_as_are_missing() {
    let daemon = Daemon::start();
    let function = Function::python(SLEEPER).memory(128).deploy(&daemon);
    let responses = at_once(&function, 24, 1);
    assert!(responses.iter().all(|response| response.status == 200), "{responses:?}");
    let instances: std::collections::HashSet<String> =
        responses.iter().map(Response::text).collect();
    assert!(instances.len() >= 12, "{} instances for 24 calls at once", instances.len());
}
