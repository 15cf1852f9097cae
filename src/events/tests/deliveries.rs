//! Single events, from acceptance to their end.

use std::time::Instant;

use super::world::{NOW, PACE, Place, call, destination, empty, eventually, id, name, plan};
use crate::Plan;
use crate::lineage::MOST;
use crate::policy::LONGEST_PAUSE_MS;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_delivered_and_its_destination_told() {
    let place = Place::new();
    let events = place.start(NOW);
    let event = call(1, 0, 0);
    events.accept(event.clone()).await.unwrap();
    empty(&events).await;
    let seen = place.world.of(&event.id);
    assert_eq!((seen.calls, seen.successes, seen.records.len()), (1, 1, 1));
    let (told, condition) = seen.records.first().unwrap();
    assert_eq!(condition, "Success");
    let record = place.world.of(told).payload;
    assert_eq!(record["requestPayload"], serde_json::json!({ "throttles": 0, "failures": 0 }));
    assert_eq!(record["responsePayload"], serde_json::json!({ "said": 1 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_tried_three_times_in_three_minutes_and_then_told() {
    let place = Place::new();
    let events = place.start(NOW);
    let began = Instant::now();
    let event = call(1, 0, 9);
    events.accept(event.clone()).await.unwrap();
    empty(&events).await;
    // Three minutes, a thousand times as fast.
    assert!(began.elapsed().as_millis() >= 180);
    let seen = place.world.of(&event.id);
    assert_eq!((seen.calls, seen.failures, seen.records.len()), (3, 3, 1));
    let (told, condition) = seen.records.first().unwrap();
    assert_eq!(condition, "RetriesExhausted");
    let context = &place.world.of(told).payload["requestContext"];
    assert_eq!(context["approximateInvokeCount"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttles_are_waited_out_and_count_as_no_attempt() {
    let place = Place::new();
    place.world.configure(1, Plan { retries: 0, ..plan() });
    let events = place.start(NOW);
    let event = call(1, 5, 0);
    events.accept(event.clone()).await.unwrap();
    empty(&events).await;
    let seen = place.world.of(&event.id);
    assert_eq!((seen.calls, seen.successes), (6, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_becomes_too_old_is_told_as_such() {
    let place = Place::new();
    place.world.configure(1, Plan { max_age_ms: 60_000, ..plan() });
    let events = place.start(NOW);
    let event = call(1, 99, 0);
    events.accept(event.clone()).await.unwrap();
    empty(&events).await;
    let seen = place.world.of(&event.id);
    assert_eq!(seen.records.first().unwrap().1, "EventAgeExceeded");
    // After 0, 1, 3, 7, 15 and 31 seconds at the earliest.
    assert!(seen.calls <= 6, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_may_not_run_is_not_called_and_its_destination_told() {
    let place = Place::new();
    place.world.configure(1, Plan { closed: true, ..plan() });
    let events = place.start(NOW);
    let event = call(1, 0, 0);
    events.accept(event.clone()).await.unwrap();
    empty(&events).await;
    let seen = place.world.of(&event.id);
    assert_eq!(seen.calls, 0);
    let (told, condition) = seen.records.first().unwrap();
    assert_eq!(condition, "ZeroReservedConcurrency");
    let context = &place.world.of(told).payload["requestContext"];
    assert_eq!(context["approximateInvokeCount"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circle_of_destinations_ends_after_sixteen_calls_of_each() {
    let place = Place::new();
    // Each tells the other of its successes.
    place.world.configure(1, Plan { on_success: destination(2), ..plan() });
    place.world.configure(2, Plan { on_success: destination(1), ..plan() });
    let events = place.start(NOW);
    events.accept(call(1, 0, 0)).await.unwrap();
    empty(&events).await;
    let calls: u32 = place.world.seen.lock().unwrap().values().map(|seen| seen.calls).sum();
    assert_eq!(calls, 2 * MOST);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_function_that_was_deleted_are_dropped_at_once_and_after_a_restart() {
    let place = Place::new();
    let events = place.start(NOW);
    for _ in 0..50 {
        events.accept(call(1, 99, 0)).await.unwrap();
    }
    place.world.gone.lock().unwrap().insert(id(1));
    events.forget(id(1), &name(1));
    empty(&events).await;
    place.world.gone.lock().unwrap().clear();
    for _ in 0..50 {
        events.accept(call(2, 99, 0)).await.unwrap();
    }
    drop(events);
    // Deleted while nobody was there to drop them.
    place.world.gone.lock().unwrap().insert(id(2));
    let events = place.start(NOW + 1000);
    empty(&events).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_across_a_restart_is_due_when_it_was_whatever_the_clock_says_meanwhile() {
    // A second after it failed; a day before that.
    for (back_ms, waits_ms) in [(59_000, 59_000), (86_400_000, LONGEST_PAUSE_MS)] {
        let place = Place::new();
        let events = place.start_slowly(NOW);
        let event = call(1, 0, 1);
        events.accept(event.clone()).await.unwrap();
        let mut due_ms = 0;
        eventually("it failed, and that is written", async || {
            let due = events.inner.queue.due(id(1), u64::MAX, 1, Vec::new()).await.unwrap();
            let failed = due.events.first().filter(|event| event.attempts == 1);
            due_ms = failed.map_or(0, |event| event.due_ms);
            failed.is_some()
        })
        .await;
        drop(events);
        let began = Instant::now();
        let events = place.start(due_ms - back_ms);
        empty(&events).await;
        assert_eq!(place.world.of(&event.id).successes, 1);
        let waited_ms = began.elapsed().as_millis() as u64 * u64::from(PACE);
        assert!(waited_ms >= waits_ms - 1000, "{waited_ms}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_of_one_function_does_not_hold_up_another() {
    let place = Place::new();
    let events = place.start(NOW);
    let mut backlog = tokio::task::JoinSet::new();
    let events = std::sync::Arc::new(events);
    for _ in 0..2000 {
        let events = std::sync::Arc::clone(&events);
        backlog.spawn(async move { events.accept(call(1, 0, 0)).await });
    }
    while let Some(accepted) = backlog.join_next().await {
        accepted.unwrap().unwrap();
    }
    let event = call(2, 0, 0);
    events.accept(event.clone()).await.unwrap();
    eventually("it is delivered", async || place.world.of(&event.id).calls == 1).await;
    empty(&events).await;
    let seen = place.world.seen.lock().unwrap();
    let told = seen.values().filter(|seen| !seen.records.is_empty());
    assert_eq!(told.count(), 2001, "and every one of the backlog was, too");
}
