//! The same where several events are served at once.

use tokio::sync::oneshot;

use super::*;

/// A runtime that has initialised, with as many events offered.
async fn ready(slots: u32, events: usize) -> (Handle, Session, Vec<oneshot::Receiver<Answer>>) {
    let (handle, session) = rig_of(slots);
    let mut answers = Vec::new();
    for _ in 0..events {
        answers.push(handle.offer(event()));
    }
    (handle, session, answers)
}

fn respond(session: &Session, event: &Event) -> Result<(), StateError> {
    let (id, attempt) = (event.request_id, event.invocation_id);
    session.respond(id.as_str(), Some(attempt.as_str()), Bytes::from_static(b"1"))
}

#[tokio::test]
async fn every_next_gives_another_event_until_all_seats_are_taken() {
    let (handle, session, _answers) = ready(2, 3).await;
    let first = session.next().await.expect("an event");
    let second = session.next().await.expect("another");
    assert_ne!(first.request_id, second.request_id);
    let other = session.clone();
    let third = tokio::spawn(async move { other.next().await });
    tokio::task::yield_now().await;
    assert!(!third.is_finished(), "no seat is free");
    respond(&session, &first).expect("it runs");
    let third = third.await.expect("no panic").expect("the third");
    assert!(third.request_id != first.request_id && third.request_id != second.request_id);
    assert!(!handle.rests());
    respond(&session, &second).expect("it runs");
    respond(&session, &third).expect("it runs");
    assert!(handle.rests());
}

#[tokio::test]
async fn an_answer_names_its_event_and_is_taken_once() {
    let (handle, session, mut answers) = ready(2, 2).await;
    let first = session.next().await.expect("an event");
    let second = session.next().await.expect("another");
    respond(&session, &second).expect("it runs");
    let answer = answers.remove(1).await.expect("the second's");
    assert_eq!(answer, Answer::Response(Bytes::from_static(b"1")));
    assert!(transition(&respond(&session, &second)), "answered already");
    let none = session.check("none", None, Operation::Error);
    assert_eq!(none, Err(StateError::RequestId));
    let stale = session.respond(first.request_id.as_str(), Some("another"), Bytes::new());
    assert_eq!(stale, Err(StateError::Stale));
    let _third = handle.offer(event());
    session.fail(first.request_id.as_str(), None, Bytes::from_static(b"{}")).expect("it runs");
    assert_eq!(answers.remove(0).await, Ok(Answer::Failed(Bytes::from_static(b"{}"))));
}

#[tokio::test]
async fn an_answer_to_what_waits_or_was_given_up_is_refused() {
    let (handle, session, _answers) = ready(1 + 1, 0).await;
    let offered = event();
    let id = offered.request_id;
    assert!(transition(&session.check(id.as_str(), None, Operation::Response)), "not initialised");
    let _answer = handle.offer(offered);
    let other = session.clone();
    let fetched = other.next().await.expect("an event");
    handle.abandon(fetched.request_id);
    assert_eq!(respond(&session, &fetched), Err(StateError::Stale));
    let waits = event();
    let id = waits.request_id;
    let _answer = handle.offer(waits);
    assert!(transition(&session.check(id.as_str(), None, Operation::Response)), "not fetched");
    handle.abandon(id);
    assert_eq!(session.check(id.as_str(), None, Operation::Response), Err(StateError::Stale));
}

#[tokio::test]
async fn the_end_is_told_to_everybody_who_waits_for_an_answer() {
    let (handle, session, answers) = ready(3, 3).await;
    let first = session.next().await.expect("an event");
    handle.close();
    for answer in answers {
        assert!(answer.await.is_err());
    }
    assert_eq!(respond(&session, &first), Err(StateError::Closed));
    assert!(matches!(session.next().await, Err(StateError::Closed)));
}

#[tokio::test]
async fn a_runtime_that_cannot_initialise_says_so_once() {
    let (handle, session) = rig_of(4);
    session.init_error(Bytes::from_static(b"{}")).expect("it initialises");
    assert_eq!(handle.started().await, Started::Failed(Bytes::from_static(b"{}")));
    assert!(transition(&session.init_error(Bytes::new())));
    assert!(transition(&session.next().await.map(drop)));
}
