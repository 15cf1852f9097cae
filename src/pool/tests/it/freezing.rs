//! Who is stopped between events, and who is not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Generation, Runnable};

use crate::rig::{Rig, eventually, function, invocation, runnable};

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_instance_is_frozen_after_a_while_and_let_go_when_it_is_called() {
    let rig = Rig::new().await;
    let function = function("who");
    let first = rig.answer(&function).await;
    eventually("it is frozen", || rig.double.freezers() == ["1"]).await;
    assert_eq!(rig.answer(&function).await, first.replace(" 1\"", " 2\""));
    assert_eq!(rig.double.freezers(), ["10"]);
    eventually("it is frozen again", || rig.double.freezers() == ["101"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_frozen_while_it_initialises_or_serves() {
    let rig = Rig::new().await;
    let (init, serve) = (function("init-slow:1600"), function("slow:1600"));
    let other = Arc::new(Runnable { generation: Generation(77), ..(*serve).clone() });
    tokio::join!(rig.answer(&init), rig.answer(&other));
    assert_eq!(rig.double.freezers(), ["", ""], "both took longer than the grace");
    eventually("then they are", || rig.double.freezers() == ["1", "1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_runtime_is_frozen_once_it_has_asked_for_the_next_event() {
    let rig = Rig::new().await;
    let custom = Arc::new(Runnable { runtime: "provided.al2023".to_owned(), ..runnable("custom") });
    let (pool, call) = (rig.pool.clone(), invocation(&custom));
    let called = tokio::spawn(async move { pool.invoke(call).await });
    eventually("an instance starts", || !rig.sessions.lock().unwrap().is_empty()).await;
    let (_listener, session) = rig.sessions.lock().unwrap().remove(0);
    let event = session.next().await.expect("an event");
    let (id, attempt) = (event.request_id, event.invocation_id);
    session.respond(id.as_str(), Some(attempt.as_str()), Bytes::new()).expect("served");
    called.await.expect("no panic").expect("an outcome");
    // One that is frozen meanwhile shows that enough time has passed.
    rig.answer(&Arc::new(Runnable { generation: Generation(77), ..runnable("who") })).await;
    let frozen = |rig: &Rig| rig.double.freezers().iter().filter(|said| *said == "1").count();
    eventually("the other is frozen", || frozen(&rig) == 1).await;
    assert!(rig.double.freezers().contains(&String::new()), "this one still has something to do");
    let asks = tokio::spawn(async move { session.next().await });
    eventually("both are frozen", || frozen(&rig) == 2).await;
    asks.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_instance_ends_like_any_other() {
    let rig = Rig::new().await;
    let function = function("who");
    rig.answer(&function).await;
    eventually("it is frozen", || rig.double.freezers() == ["1"]).await;
    rig.pool.retire(function.generation);
    rig.settled(0).await;
    rig.pool.drain(Duration::from_secs(5)).await;
}
