//! An answer reaches the caller whose event it answers, and nobody else, whatever is written on a link
//! and whenever.
//!
//! The reactor of these tests is their own thread where it matters what it has seen: a test that sleeps
//! without awaiting keeps it from looking.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::Runnable;

use crate::rig::{Rig, eventually, function, invocation, text};

/// What a caller gets whose instance answers another event.
const OTHER: &str = "Runtime broke off: an answer to another event";

/// Calls with a payload of its own; what came back, and whether it is an error document.
async fn call(rig: &Rig, function: &Arc<Runnable>, payload: &str) -> (String, bool) {
    let mut call = invocation(function);
    call.payload = Bytes::copy_from_slice(payload.as_bytes());
    let outcome = rig.pool.invoke(call).await.expect("an outcome");
    (text(&outcome), outcome.function_error.is_some())
}

#[track_caller]
fn is_protocol_error((said, failed): &(String, bool)) {
    assert!(*failed && said.contains("Runtime.ProtocolError") && said.contains(OTHER), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_the_event_before_is_nobodys() {
    let rig = Rig::new().await;
    let function = function("one-behind");
    assert_eq!(call(&rig, &function, "1").await, ("\"behind\"".to_owned(), false));
    is_protocol_error(&call(&rig, &function, "2").await);
    rig.settled(0).await;
    assert_eq!(call(&rig, &function, "3").await, ("\"behind\"".to_owned(), false));
    assert_eq!(rig.double.made(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_an_event_to_come_is_nobodys() {
    let rig = Rig::new().await;
    let function = function("one-ahead");
    for made in 1..3 {
        is_protocol_error(&call(&rig, &function, "1").await);
        rig.settled(0).await;
        assert_eq!(rig.double.made(), made);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_between_two_events_costs_no_caller_anything() {
    for handler in ["late", "early"] {
        let rig = Rig::new().await;
        let function = function(handler);
        for payload in ["1", "2", "3"] {
            assert_eq!(call(&rig, &function, payload).await, (payload.to_owned(), false));
            // The instance speaks again, and the reactor looks.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // What comes together with an answer is seen at once, so the last one may be gone, too.
        eventually("the others are gone", || rig.double.living() <= 1).await;
        assert_eq!(rig.double.made(), 3);
    }
}

#[tokio::test]
async fn a_second_answer_that_the_reactor_has_not_seen_is_not_the_next_callers() {
    let rig = Rig::new().await;
    let function = function("late");
    assert_eq!(call(&rig, &function, "1").await, ("1".to_owned(), false));
    std::thread::sleep(Duration::from_millis(100));
    is_protocol_error(&call(&rig, &function, "2").await);
    rig.settled(0).await;
    assert_eq!(call(&rig, &function, "3").await, ("3".to_owned(), false));
}

#[tokio::test]
async fn an_instance_whose_death_the_reactor_has_not_seen_costs_no_caller_anything() {
    let rig = Rig::new().await;
    let function = function("dies-idle:0");
    for payload in ["1", "2", "3"] {
        assert_eq!(call(&rig, &function, payload).await, (payload.to_owned(), false));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(rig.double.made(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_child_and_its_parent_one_answers_and_the_next_caller_gets_neither() {
    let rig = Rig::new().await;
    let function = function("child:50");
    assert_eq!(call(&rig, &function, "1").await, ("\"child\"".to_owned(), false));
    // Delivered while the parent is still at the first event.
    is_protocol_error(&call(&rig, &function, "2").await);
    rig.settled(0).await;
    assert_eq!(call(&rig, &function, "3").await, ("\"child\"".to_owned(), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_a_function_speaks_twice_nobody_gets_the_answer_to_another_event() {
    // From at once to longer than a call takes.
    for micros in [0, 1, 3, 10, 30, 100, 300] {
        let rig = Rig::new().await;
        let function = function(&format!("babbles:{micros}"));
        for number in 0..100 {
            let got = call(&rig, &function, &number.to_string()).await;
            if got != (number.to_string(), false) {
                is_protocol_error(&got);
            }
        }
    }
}
