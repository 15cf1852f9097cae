//! Promises about the queue on disk.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::RequestId;
use tempfile::TempDir;

use super::*;
use crate::events::{Fault, QueuedEvent, Step};

const NOW: u64 = 1_800_000_000_000;

fn event(function: u64, payload: &'static str) -> NewEvent {
    NewEvent {
        id: RequestId::random(),
        function: FunctionId(function),
        name: FunctionName::parse("f").unwrap(),
        qualifier: None,
        accepted_ms: NOW,
        trace: Arc::from("Root=1"),
        lineage: Arc::from(""),
        payload: Bytes::from_static(payload.as_bytes()),
    }
}

fn queue() -> (TempDir, EventQueue) {
    let directory = tempfile::tempdir().unwrap();
    let queue = EventQueue::open(&directory.path().join("events.db")).unwrap();
    (directory, queue)
}

/// A queue at whose steps the faults of a list happen, one after the other.
fn faulty(faults: Vec<(Step, Fault)>) -> (TempDir, EventQueue) {
    let directory = tempfile::tempdir().unwrap();
    let faults = Mutex::new(faults);
    let probe = Box::new(move |step| {
        let mut faults = faults.lock().unwrap();
        let next = faults.first().copied().filter(|(at, _)| *at == step);
        next.map(|_| faults.remove(0).1)
    });
    let queue = EventQueue::open_probed(&directory.path().join("events.db"), probe).unwrap();
    (directory, queue)
}

async fn due(queue: &EventQueue, function: u64, now_ms: u64) -> Due {
    queue.due(FunctionId(function), now_ms, 100, Vec::new()).await.unwrap()
}

/// Waits until a broken file is in use again.
async fn in_use_again(queue: &EventQueue) {
    for _ in 0..1000 {
        if queue.count().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the file was never opened again");
}

#[tokio::test]
async fn what_was_accepted_is_there_after_a_restart_as_it_was() {
    let (directory, queue) = queue();
    let mut new = event(7, r#"{"a": 1}"#);
    new.qualifier = Some(model::Qualifier::Version(3));
    let number = queue.accept(new.clone()).await.unwrap();
    drop(queue);
    let queue = EventQueue::open(&directory.path().join("events.db")).unwrap();
    let found = due(&queue, 7, NOW).await;
    assert_eq!(found.events, [QueuedEvent::of(number, &new)]);
    assert_eq!(found.next_ms, None);
    assert_eq!(queue.payload(number).await.unwrap(), Some(new.payload));
    assert_eq!(queue.found().events, 1);
    assert_eq!(queue.found().functions, [(FunctionId(7), FunctionName::parse("f").unwrap())]);
    assert_eq!((queue.count().await.unwrap(), queue.oldest().await.unwrap()), (1, Some(NOW)));
}

#[tokio::test]
async fn what_is_over_is_gone_and_what_follows_from_it_is_there_once() {
    let (_directory, queue) = queue();
    let number = queue.accept(event(1, "{}")).await.unwrap();
    let follow = event(2, "\"record\"");
    let settled = queue.settle(number, Verdict::Over, Some(follow.clone())).await.unwrap();
    assert!(settled.there);
    assert_eq!(due(&queue, 1, NOW).await, Due::default());
    assert_eq!(queue.payload(number).await.unwrap(), None);
    let found = due(&queue, 2, NOW).await;
    assert_eq!(found.events, [QueuedEvent::of(settled.follow.unwrap(), &follow)]);
    // Asked for again, because the first answer was lost on its way.
    let again = queue.settle(number, Verdict::Over, Some(follow)).await.unwrap();
    assert_eq!(again, Settled { there: false, follow: None });
    assert_eq!(queue.count().await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_tried_again_is_not_due_before_its_time() {
    let (_directory, queue) = queue();
    let number = queue.accept(event(1, "{}")).await.unwrap();
    let later = Verdict::Again { due_ms: NOW + 60_000, attempts: 1, setbacks: 2 };
    queue.settle(number, later, None).await.unwrap();
    let waits = due(&queue, 1, NOW + 59_999).await;
    assert_eq!((waits.events.len(), waits.next_ms), (0, Some(NOW + 60_000)));
    let found = due(&queue, 1, NOW + 60_000).await.events;
    assert_eq!((found[0].attempts, found[0].setbacks, found[0].accepted_ms), (1, 2, NOW));
}

#[tokio::test]
async fn a_window_is_read_in_the_order_of_times_without_what_is_taken_already() {
    let (_directory, queue) = queue();
    let mut numbers = Vec::new();
    for _ in 0..5 {
        numbers.push(queue.accept(event(1, "{}")).await.unwrap());
    }
    queue.accept(event(2, "{}")).await.unwrap();
    let but = vec![numbers[0], numbers[2]];
    let found = queue.due(FunctionId(1), NOW, 2, but).await.unwrap();
    let got: Vec<_> = found.events.iter().map(|event| event.number).collect();
    assert_eq!(got, [numbers[1], numbers[3]]);
    assert_eq!(found.next_ms, Some(NOW), "there are more");
}

#[tokio::test]
async fn all_events_of_a_function_can_be_taken_out_and_no_others() {
    let (_directory, queue) = queue();
    for _ in 0..1100 {
        queue.accept(event(1, "{}")).await.unwrap();
    }
    queue.accept(event(2, "{}")).await.unwrap();
    assert_eq!(queue.purge(FunctionId(1)).await.unwrap(), 1100);
    assert_eq!(queue.count().await.unwrap(), 1);
}

#[tokio::test]
async fn times_of_a_clock_that_was_set_back_are_brought_to_what_can_be() {
    let (_directory, queue) = queue();
    let number = queue.accept(event(1, "{}")).await.unwrap();
    let later = Verdict::Again { due_ms: NOW + 60_000, attempts: 1, setbacks: 0 };
    queue.settle(number, later, None).await.unwrap();
    assert_eq!(queue.tame(NOW, 300_000).await.unwrap(), 0, "nothing is strange");
    let before = NOW - 86_400_000;
    assert_eq!(queue.tame(before, 300_000).await.unwrap(), 1);
    let found = due(&queue, 1, before + 300_000).await.events;
    assert_eq!((found[0].accepted_ms, found[0].due_ms), (before, before + 300_000));
}

#[tokio::test]
async fn a_full_disk_refuses_what_comes_and_takes_what_comes_later() {
    let (_directory, queue) = faulty(vec![(Step::Filled, Fault::Full)]);
    assert_eq!(queue.accept(event(1, "{}")).await, Err(StorageError::Full));
    queue.accept(event(1, "{}")).await.unwrap();
    assert_eq!(queue.count().await.unwrap(), 1);
}

#[tokio::test]
async fn after_an_error_of_fsync_nothing_is_acknowledged_until_the_file_was_opened_again() {
    for step in [Step::Filled, Step::Committed] {
        let again = (Step::Reopening, Fault::Io);
        let (directory, queue) = faulty(vec![(step, Fault::Io), again]);
        let refused = queue.accept(event(1, "{}")).await;
        assert!(matches!(refused, Err(StorageError::RolledBack { .. })), "{refused:?}");
        assert!(queue.accept(event(1, "{}")).await.is_err(), "it is not believed yet");
        in_use_again(&queue).await;
        let log = directory.path().join("events.db-wal");
        assert_eq!(std::fs::metadata(log).unwrap().len(), 0, "the log is begun again");
        queue.accept(event(2, "{}")).await.unwrap();
        drop(queue);
        let queue = EventQueue::open(&directory.path().join("events.db")).unwrap();
        assert_eq!(due(&queue, 2, NOW).await.events.len(), 1);
        assert!(due(&queue, 1, NOW).await.events.len() <= 1, "there or not: it was not promised");
    }
}

#[tokio::test]
async fn whoever_waits_for_a_queue_that_ends_is_told_so() {
    let (directory, queue) = faulty(vec![(Step::Filled, Fault::Dead)]);
    assert_eq!(queue.accept(event(1, "{}")).await, Err(StorageError::Closed));
    assert_eq!(queue.count().await, Err(StorageError::Closed));
    drop(queue);
    let queue = EventQueue::open(&directory.path().join("events.db")).unwrap();
    assert_eq!(queue.count().await.unwrap(), 0);
}

#[test]
fn a_database_of_functions_is_not_taken_for_one_of_events() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.db");
    drop(crate::Store::open(&path).unwrap());
    let refused = EventQueue::open(&path);
    assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
}

fn mark(instant_ms: i64) -> Mark {
    Mark { key: "schedule/1".to_owned(), instant_ms }
}

#[tokio::test]
async fn one_event_is_kept_for_an_instant_and_none_for_an_earlier_one() {
    let (directory, queue) = queue();
    let keep = async |queue: &EventQueue, instant_ms| {
        queue.accept_once(event(1, "{}"), mark(instant_ms)).await.unwrap().is_some()
    };
    assert!(keep(&queue, 100).await);
    assert!(!keep(&queue, 100).await);
    assert!(!keep(&queue, 99).await);
    assert!(keep(&queue, 101).await);
    let other = Mark { key: "schedule/2".to_owned(), instant_ms: -5 };
    assert!(queue.accept_once(event(1, "{}"), other.clone()).await.unwrap().is_some());
    // Long after the events are over, in another process.
    assert_eq!(queue.purge(FunctionId(1)).await.unwrap(), 3);
    drop(queue);
    let queue = EventQueue::open(&directory.path().join("events.db")).unwrap();
    assert!(!keep(&queue, 101).await);
    let mut marks = queue.marks().await.unwrap();
    marks.sort_by(|one, two| one.key.cmp(&two.key));
    assert_eq!(marks, [mark(101), other]);
    let gone = ["schedule/1", "schedule/none"].map(str::to_owned).to_vec();
    assert_eq!(queue.forget(gone).await.unwrap(), 1);
    assert_eq!(queue.marks().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_mark_and_its_event_are_on_the_disk_together_or_not_at_all() {
    for (step, fault, kept) in [
        (Step::Filled, Fault::Full, false),
        // What failed may be there all the same, and then both are.
        (Step::Filled, Fault::Io, true),
        (Step::Committed, Fault::Io, true),
    ] {
        let (_directory, queue) = faulty(vec![(step, fault)]);
        queue.accept_once(event(1, "{}"), mark(100)).await.unwrap_err();
        in_use_again(&queue).await;
        assert_eq!(queue.marks().await.unwrap().len(), usize::from(kept), "{step:?} {fault:?}");
        assert_eq!(queue.count().await.unwrap(), u64::from(kept), "{step:?} {fault:?}");
        let again = queue.accept_once(event(1, "{}"), mark(100)).await.unwrap();
        assert_eq!(again.is_none(), kept);
        assert_eq!(queue.count().await.unwrap(), 1, "once, whatever happened");
    }
    for (step, kept) in [(Step::Filled, 0), (Step::Committed, 1)] {
        let (directory, queue) = faulty(vec![(step, Fault::Dead)]);
        queue.accept_once(event(1, "{}"), mark(100)).await.unwrap_err();
        drop(queue);
        let queue = EventQueue::open(&directory.path().join("events.db")).unwrap();
        assert_eq!(queue.marks().await.unwrap().len(), kept, "{step:?}");
        assert_eq!(queue.count().await.unwrap(), kept as u64, "{step:?}");
    }
}
