//! What a custom runtime may do when.

mod many;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Digest, FunctionId, FunctionName, Generation, RequestId, Runnable, Version};

use super::{Answer, Event, Handle, Operation, Session, Started, StateError, pair};

fn rig() -> (Handle, Session) {
    rig_of(1)
}

/// A session whose runtime serves so many events at once.
fn rig_of(concurrency: u32) -> (Handle, Session) {
    pair(Arc::new(Runnable {
        function: FunctionId(1),
        generation: Generation(1),
        name: FunctionName::parse("echo").expect("a name"),
        version: Version::Latest,
        runtime: "provided.al2023".to_owned(),
        handler: "x".to_owned(),
        code: Digest([0; 32]),
        layers: None,
        memory_mib: 128,
        tmp_mib: 512,
        timeout: Duration::from_secs(3),
        environment: vec![],
        log_group: "/aws/lambda/echo".to_owned(),
        reserved_concurrency: None,
        concurrency,
    }))
}

fn event() -> Event {
    Event {
        request_id: RequestId::random(),
        invocation_id: RequestId::random(),
        deadline_ms: 1,
        trace_id: Arc::from(""),
        client_context: Arc::from(""),
        cognito_identity: Arc::from(""),
        invoked_arn: Arc::from("arn"),
        payload: Bytes::from_static(b"{}"),
    }
}

fn transition<T>(result: &Result<T, StateError>) -> bool {
    matches!(result, Err(StateError::Transition { .. }))
}

#[tokio::test]
async fn the_first_next_ends_the_initialisation() {
    let (handle, session) = rig();
    let next = tokio::spawn(async move { session.next().await.map(|event| event.request_id) });
    assert_eq!(handle.started().await, Started::Ready);
    let event = event();
    let id = event.request_id;
    let _answer = handle.offer(event);
    assert_eq!(next.await.expect("no panic"), Ok(id));
}

#[tokio::test]
async fn an_answer_reaches_the_pool_once() {
    let (handle, session) = rig();
    let event = event();
    let id = event.request_id;
    let answer = handle.offer(event);
    session.next().await.expect("an event");
    session.respond(id.as_str(), None, Bytes::from_static(b"1")).expect("taken");
    assert_eq!(answer.await, Ok(Answer::Response(Bytes::from_static(b"1"))));
    let second = session.respond(id.as_str(), None, Bytes::from_static(b"2"));
    assert!(transition(&second), "{second:?}");
}

#[tokio::test]
async fn asked_again_before_the_answer_the_event_is_the_same() {
    let (handle, session) = rig();
    let _answer = handle.offer(event());
    let first = session.next().await.expect("an event");
    let again = session.next().await.expect("an event");
    assert_eq!(first.invocation_id, again.invocation_id);
}

#[tokio::test]
async fn a_connection_that_breaks_while_it_waits_loses_no_event() {
    let (handle, session) = rig();
    let waiting = tokio::time::timeout(Duration::from_millis(5), session.next());
    assert!(waiting.await.is_err());
    let event = event();
    let id = event.request_id;
    let _answer = handle.offer(event);
    assert_eq!(session.next().await.expect("the event").request_id, id);
}

#[tokio::test]
async fn an_answer_before_next_is_an_invalid_transition() {
    let (handle, session) = rig();
    let early = session.respond("any", None, Bytes::new());
    let words = "State transition from Started to InvocationResponse failed for runtime. \
                 Error: State transition is not allowed";
    assert_eq!(early.expect_err("too early").to_string(), words);
    // Initialised, and an event waits to be fetched.
    let waiting = tokio::time::timeout(Duration::from_millis(5), session.next());
    assert!(waiting.await.is_err());
    let event = event();
    let id = event.request_id;
    let _answer = handle.offer(event);
    assert!(transition(&session.fail(id.as_str(), None, Bytes::new())));
}

#[tokio::test]
async fn other_ids_than_the_current_one_are_invalid() {
    let (handle, session) = rig();
    let first = event();
    let old = first.request_id;
    let _answer = handle.offer(first);
    session.next().await.expect("an event");
    let wrong = session.respond("wrong", None, Bytes::new());
    assert_eq!(wrong, Err(StateError::RequestId));
    session.respond(old.as_str(), None, Bytes::new()).expect("taken");
    assert_eq!(session.respond("wrong", None, Bytes::new()), Err(StateError::RequestId));
    let _answer = handle.offer(event());
    session.next().await.expect("an event");
    assert_eq!(session.respond(old.as_str(), None, Bytes::new()), Err(StateError::RequestId));
}

#[tokio::test]
async fn an_answer_of_an_earlier_attempt_is_stale() {
    let (handle, session) = rig();
    let event = event();
    let (id, current) = (event.request_id, event.invocation_id);
    let _answer = handle.offer(event);
    session.next().await.expect("an event");
    let earlier = RequestId::random();
    let stale = session.respond(id.as_str(), Some(earlier.as_str()), Bytes::new());
    assert_eq!(stale, Err(StateError::Stale));
    let (id, current) = (id.as_str(), Some(current.as_str()));
    assert_eq!(session.check(id, current, Operation::Response), Ok(()));
    session.respond(id, current, Bytes::new()).expect("taken");
}

#[tokio::test]
async fn an_answer_above_the_limit_is_oversize() {
    let (handle, session) = rig();
    for (length, oversize) in
        [(wire::link::MAX_RESPONSE, false), (wire::link::MAX_RESPONSE + 1, true)]
    {
        let event = event();
        let id = event.request_id;
        let answer = handle.offer(event);
        session.next().await.expect("an event");
        session.respond(id.as_str(), None, Bytes::from(vec![0; length])).expect("taken");
        assert_eq!(answer.await.expect("an answer") == Answer::Oversize, oversize);
    }
}

#[tokio::test]
async fn an_init_error_is_final() {
    let (handle, session) = rig();
    session.init_error(Bytes::from_static(b"{}")).expect("taken");
    assert_eq!(handle.started().await, Started::Failed(Bytes::from_static(b"{}")));
    assert!(transition(&session.next().await));
    assert!(transition(&session.init_error(Bytes::new())));
}

#[tokio::test]
async fn an_init_error_after_the_first_next_is_an_invalid_transition() {
    let (handle, session) = rig();
    let _answer = handle.offer(event());
    session.next().await.expect("an event");
    assert!(transition(&session.init_error(Bytes::new())));
}

#[tokio::test]
async fn closing_wakes_everybody_and_refuses_everything() {
    let (handle, session) = rig();
    let answer = handle.offer(event());
    let event = session.next().await.expect("an event");
    session.respond(event.request_id.as_str(), None, Bytes::new()).expect("taken");
    drop(answer);
    let (waiting, closed) = (session.clone(), session.clone());
    let next = tokio::spawn(async move { waiting.next().await.map(drop) });
    let end = tokio::spawn(async move { closed.closed().await });
    tokio::task::yield_now().await;
    drop(handle);
    assert_eq!(next.await.expect("no panic"), Err(StateError::Closed));
    end.await.expect("no panic");
    let late = session.respond(event.request_id.as_str(), None, Bytes::new());
    assert_eq!(late, Err(StateError::Closed));
}

#[tokio::test]
async fn the_pool_learns_that_a_closed_session_will_not_answer() {
    let (handle, session) = rig();
    let answer = handle.offer(event());
    session.next().await.expect("an event");
    handle.close();
    assert!(answer.await.is_err());
    assert!(handle.offer(event()).await.is_err());
}
