//! Custom runtimes that serve several events at once.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::Runnable;
use pool::session::{Event, Session, StateError};
use pool::{Outcome, Refusal};
use tokio::task::JoinHandle;

use crate::rig::{Rig, eventually, invocation, runnable, text};

fn sharing(concurrency: u32) -> Arc<Runnable> {
    let timeout = Duration::from_secs(1);
    let runtime = "provided.al2023".to_owned();
    Arc::new(Runnable { runtime, timeout, concurrency, ..runnable("custom") })
}

/// A call under way.
fn call(rig: &Rig, function: &Arc<Runnable>, tail: bool) -> JoinHandle<Result<Outcome, Refusal>> {
    let (pool, mut call) = (rig.pool.clone(), invocation(function));
    call.log_tail = tail;
    tokio::spawn(async move { pool.invoke(call).await })
}

async fn outcome(call: JoinHandle<Result<Outcome, Refusal>>) -> Outcome {
    call.await.expect("no panic").expect("an outcome")
}

async fn session(rig: &Rig) -> (OwnedFd, Session) {
    eventually("an instance starts", || !rig.sessions.lock().unwrap().is_empty()).await;
    rig.sessions.lock().unwrap().remove(0)
}

/// So many events, fetched and not answered.
async fn fetched(session: &Session, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    for _ in 0..count {
        events.push(session.next().await.expect("an event"));
    }
    events
}

fn answer(session: &Session, event: &Event, body: &'static str) -> Result<(), StateError> {
    session.respond(event.request_id.as_str(), None, Bytes::from_static(body.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_instance_serves_as_many_as_it_asks_for_and_each_gets_its_own_answer() {
    let rig = Rig::new().await;
    let function = sharing(3);
    let calls: Vec<_> = (0..3).map(|_| call(&rig, &function, false)).collect();
    let (_listener, session) = session(&rig).await;
    let events = fetched(&session, 3).await;
    assert_eq!((rig.double.made(), rig.pool.stats().busy), (1, 1));
    // Answered in another order than they came in.
    for (event, body) in events.iter().rev().zip(["\"c\"", "\"b\"", "\"a\""]) {
        answer(&session, event, body).expect("it runs");
    }
    let mut said = Vec::new();
    for call in calls {
        said.push(text(&outcome(call).await));
    }
    said.sort();
    assert_eq!(said, ["\"a\"", "\"b\"", "\"c\""]);
    let again = answer(&session, &events[0], "1");
    assert!(matches!(again, Err(StateError::Transition { .. })), "{again:?}");
    let words = rig.logs.words(3).await;
    let count = |word: &str| words.iter().filter(|other| *other == word).count();
    assert_eq!((count("START"), count("END"), count("REPORT")), (3, 3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_more_than_it_asks_for_starts_another() {
    let rig = Rig::new().await;
    let function = sharing(2);
    let calls: Vec<_> = (0..3).map(|_| call(&rig, &function, false)).collect();
    let (_first, one) = session(&rig).await;
    let (_second, two) = session(&rig).await;
    for session in [one, two] {
        tokio::spawn(async move {
            while let Ok(event) = session.next().await {
                answer(&session, &event, "1").expect("it runs");
            }
        });
    }
    for call in calls {
        assert_eq!(text(&outcome(call).await), "1");
    }
    assert_eq!(rig.double.made(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_overruns_its_time_is_answered_and_the_others_go_on() {
    let rig = Rig::new().await;
    let function = sharing(2);
    let stuck = call(&rig, &function, false);
    let (_listener, session) = session(&rig).await;
    let stuck_event = session.next().await.expect("an event");
    tokio::time::sleep(Duration::from_millis(600)).await;
    let other = call(&rig, &function, false);
    let other_event = session.next().await.expect("an event");
    let said = text(&outcome(stuck).await);
    assert!(said.contains("Task timed out after 1.00 seconds"), "{said}");
    assert_eq!(answer(&session, &stuck_event, "1"), Err(StateError::Stale));
    answer(&session, &other_event, "\"in time\"").expect("it runs on");
    assert_eq!(text(&outcome(other).await), "\"in time\"");
    // It is not called again.
    session.closed().await;
    rig.settled(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_told_to_everybody_whose_event_was_in_it() {
    let rig = Rig::new().await;
    let function = sharing(3);
    let calls: Vec<_> = (0..3).map(|_| call(&rig, &function, false)).collect();
    let (_listener, session) = session(&rig).await;
    let events = fetched(&session, 3).await;
    answer(&session, &events[0], "1").expect("it runs");
    eventually("one is answered", || calls.iter().any(JoinHandle::is_finished)).await;
    rig.double.crash();
    let mut said = Vec::new();
    for call in calls {
        let outcome = outcome(call).await;
        said.push((text(&outcome), outcome.function_error.is_some()));
    }
    let failed = |text: &str| text.contains("Runtime.ExitError");
    assert_eq!(said.iter().filter(|(text, error)| failed(text) && *error).count(), 2, "{said:?}");
    assert_eq!(said.iter().filter(|(text, _)| text == "1").count(), 1, "{said:?}");
    rig.settled(0).await;
    assert_eq!(rig.pool.stats().busy, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_error_is_the_answer_to_all_that_waited() {
    let rig = Rig::new().await;
    let function = sharing(2);
    let calls: Vec<_> = (0..2).map(|_| call(&rig, &function, false)).collect();
    let (_listener, session) = session(&rig).await;
    eventually("both wait", || rig.pool.stats().waiting == 2).await;
    session.init_error(Bytes::from_static(b"{\"errorType\":\"X\"}")).expect("it initialises");
    for call in calls {
        assert_eq!(text(&outcome(call).await), "{\"errorType\":\"X\"}");
    }
    assert_eq!(rig.double.made(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_could_not_be_written_is_the_next_ones() {
    let rig = Rig::new().await;
    let call = call(&rig, &sharing(2), false);
    let (_listener, session) = session(&rig).await;
    let event = session.next().await.expect("an event");
    session.give_back(event.request_id);
    let again = session.next().await.expect("the same event");
    assert_eq!(again.request_id, event.request_id);
    answer(&session, &again, "1").expect("it runs");
    assert_eq!(text(&outcome(call).await), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_who_wants_the_log_gets_its_own_lines() {
    let rig = Rig::new().await;
    let function = sharing(2);
    let calls: Vec<_> = [true, true].map(|tail| call(&rig, &function, tail)).into();
    let (_listener, session) = session(&rig).await;
    let events = fetched(&session, 2).await;
    for event in &events {
        answer(&session, event, "1").expect("it runs");
    }
    for call in calls {
        let outcome = outcome(call).await;
        let tail = String::from_utf8(outcome.log_tail.expect("it was wanted")).expect("text");
        let own = |word: &str| {
            events
                .iter()
                .filter(|e| tail.contains(&format!("{word} RequestId: {}", e.request_id)))
                .count()
        };
        assert!(own("START") >= 1 && own("REPORT") >= 1, "{tail}");
    }
}
