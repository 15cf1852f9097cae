//! Functions that fetch their events themselves.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::Runnable;
use pool::session::{Session, StateError};

use crate::rig::{Rig, Setup, eventually, invocation, runnable, text, timed};

fn custom() -> Arc<Runnable> {
    let timeout = Duration::from_secs(1);
    Arc::new(Runnable { runtime: "provided.al2023".to_owned(), timeout, ..runnable("custom") })
}

/// The session of the next instance that starts.
async fn session(rig: &Rig) -> (OwnedFd, Session) {
    eventually("an instance starts", || !rig.sessions.lock().unwrap().is_empty()).await;
    rig.sessions.lock().unwrap().remove(0)
}

/// Answers every event with its payload, until there are no more.
async fn echo(session: Session) -> StateError {
    loop {
        let event = match session.next().await {
            Ok(event) => event,
            Err(err) => return err,
        };
        let (id, attempt) = (event.request_id, event.invocation_id);
        let answered = session.respond(id.as_str(), Some(attempt.as_str()), event.payload);
        answered.expect("the event is being served");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_runtime_serves_events_one_after_another() {
    let rig = Rig::new().await;
    let function = custom();
    let (pool, call) = (rig.pool.clone(), invocation(&function));
    let first = tokio::spawn(async move { pool.invoke(call).await });
    let (_listener, session) = session(&rig).await;
    let server = tokio::spawn(echo(session));
    let outcome = first.await.expect("no panic").expect("an outcome");
    assert_eq!(text(&outcome), "{\"n\":1}");
    for _ in 0..20 {
        assert_eq!(rig.answer(&function).await, "{\"n\":1}");
    }
    assert_eq!(rig.double.made(), 1);
    rig.pool.retire(function.generation);
    assert_eq!(server.await.expect("no panic"), StateError::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_error_is_the_callers_answer() {
    let rig = Rig::new().await;
    let function = custom();
    let call = rig.call(&function);
    let serve = async {
        let (_listener, session) = session(&rig).await;
        session.init_error(Bytes::from_static(b"{\"errorType\":\"X\"}")).expect("it initialises");
        session.closed().await;
    };
    let (outcome, ()) = tokio::join!(call, serve);
    let outcome = outcome.expect("an outcome");
    assert!(outcome.function_error.is_some());
    assert_eq!(text(&outcome), "{\"errorType\":\"X\"}");
    rig.settled(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_oversize_answers_are_told_apart() {
    let rig = Rig::new().await;
    let function = custom();
    let calls = async { (rig.error(&function).await, rig.error(&function).await) };
    let serve = async {
        let (_listener, session) = session(&rig).await;
        let event = session.next().await.expect("an event");
        let body = Bytes::from_static(b"{\"errorType\":\"Y\"}");
        session.fail(event.request_id.as_str(), None, body).expect("taken");
        let event = session.next().await.expect("an event");
        session.oversize(event.request_id.as_str(), None).expect("taken");
    };
    let ((failed, oversize), ()) = tokio::join!(calls, serve);
    assert_eq!(failed, "{\"errorType\":\"Y\"}");
    assert!(oversize.contains("Function.ResponseSizeTooLarge"));
    assert_eq!(rig.double.made(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_fetches_and_never_answers_is_ended_at_the_deadline() {
    let rig = Rig::new().await;
    let function = custom();
    let serve = async {
        let (_listener, session) = session(&rig).await;
        let event = session.next().await.expect("an event");
        session.closed().await;
        let late = session.respond(event.request_id.as_str(), None, Bytes::new());
        assert_eq!(late, Err(StateError::Closed));
    };
    let (said, ()) = tokio::join!(rig.error(&function), serve);
    assert!(said.contains("Task timed out after 1.00 seconds"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_never_asks_costs_both_limits() {
    let init_limit = Duration::from_millis(200);
    let rig = Setup { init_limit, ..Setup::default() }.start().await;
    let (said, took) = timed(rig.error(&custom())).await;
    assert!(said.contains("Task timed out"), "{said}");
    assert!(took >= Duration::from_millis(1_200) && took < Duration::from_secs(10), "{took:?}");
    rig.settled(0).await;
}
