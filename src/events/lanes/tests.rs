//! Promises about lanes.

use std::sync::Arc;

use model::{FunctionName, RequestId};
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_800_000_000_000;

const LIMITS: Limits =
    Limits { at_once: 8, per_function: 4, at_first: 2, bytes_at_once: 1000, window: 8, kept: 10 };

fn event(number: u64, function: u64, bytes: u64) -> QueuedEvent {
    QueuedEvent {
        number: EventNumber(number),
        id: RequestId::random(),
        function: FunctionId(function),
        name: FunctionName::parse("f").unwrap(),
        qualifier: None,
        accepted_ms: NOW,
        due_ms: NOW,
        attempts: 0,
        setbacks: 0,
        trace: Arc::from(""),
        lineage: Arc::from(""),
        bytes,
    }
}

fn accept(lanes: &mut Lanes, number: u64, function: u64) {
    let payload = Bytes::from_static(b"{}");
    lanes.accepted(event(number, function, 2), payload, NOW);
}

/// The numbers of what is started.
fn started(lanes: &mut Lanes) -> Vec<u64> {
    let starts = lanes.take_actions().into_iter().filter_map(|action| match action {
        Action::Start(work) => Some(work.event.number.0),
        Action::Read { .. } => None,
    });
    starts.collect()
}

fn answered(lanes: &mut Lanes, number: u64, function: u64) {
    let over = Ended::Over { answered: true };
    lanes.finished(FunctionId(function), EventNumber(number), over, NOW);
}

#[test]
fn an_event_that_nothing_waits_before_starts_at_once_with_its_payload() {
    let mut lanes = Lanes::new(LIMITS);
    let payload = Bytes::from(vec![b'1'; 100]);
    lanes.accepted(event(1, 1, 100), payload.clone(), NOW);
    let work = Work { event: event(1, 1, 100), payload: Some(payload) };
    let [Action::Start(got)] = &lanes.take_actions()[..] else { panic!("one start") };
    assert_eq!((got.event.number, &got.payload), (work.event.number, &work.payload));
    answered(&mut lanes, 1, 1);
    assert!(lanes.lanes.is_empty() && lanes.flying() == 0 && lanes.flying_bytes == 0);
}

#[test]
fn of_a_hundred_thousand_events_a_window_is_in_memory() {
    let mut lanes = Lanes::new(LIMITS);
    for number in 1..=100_000 {
        accept(&mut lanes, number, 1);
    }
    assert_eq!(started(&mut lanes), [1, 2]);
    let lane = &lanes.lanes[&FunctionId(1)];
    assert_eq!((lane.ready.len(), lane.unread_ms), (LIMITS.window, Some(NOW)));
    assert!(lanes.actions.capacity() < 10);
}

#[test]
fn a_long_payload_that_waits_is_read_again_when_it_is_wanted() {
    let mut lanes = Lanes::new(LIMITS);
    for number in 1..=3 {
        lanes.accepted(event(number, 1, 100), Bytes::from(vec![b'1'; 100]), NOW);
    }
    let ready = &lanes.lanes[&FunctionId(1)].ready;
    assert_eq!(ready.iter().map(|work| work.payload.is_some()).collect::<Vec<_>>(), [false]);
}

#[test]
fn one_functions_backlog_is_not_in_front_of_anothers_event() {
    let mut lanes = Lanes::new(Limits { at_first: 100, per_function: 100, ..LIMITS });
    for number in 1..=50 {
        accept(&mut lanes, number, 1);
    }
    assert_eq!(started(&mut lanes).len(), LIMITS.at_once, "all the room there is");
    accept(&mut lanes, 51, 2);
    assert_eq!(started(&mut lanes), [51], "at once");
    accept(&mut lanes, 52, 2);
    assert_eq!(started(&mut lanes), [0; 0], "and no more than one");
}

#[test]
fn room_is_shared_in_turns() {
    let mut lanes = Lanes::new(Limits { at_first: 100, per_function: 100, ..LIMITS });
    for number in 1..=16 {
        accept(&mut lanes, number, 1);
    }
    for number in 101..=108 {
        accept(&mut lanes, number, 2);
    }
    let mut flying = started(&mut lanes);
    assert_eq!(flying.len(), LIMITS.at_once + 1);
    let mut order = Vec::new();
    // The one that was started without room has to land first.
    while order.len() < 8 {
        let number = flying.remove(0);
        answered(&mut lanes, number, if number > 100 { 2 } else { 1 });
        let next = started(&mut lanes);
        order.extend(next.iter().map(|number| number / 100));
        flying.extend(next);
    }
    assert_eq!(order.iter().filter(|function| **function == 1).count(), 4, "{order:?}");
}

#[test]
fn a_throttle_halves_what_flies_and_pauses_only_if_nothing_else_runs() {
    let mut lanes = Lanes::new(Limits { at_first: 4, ..LIMITS });
    for number in 1..=8 {
        accept(&mut lanes, number, 1);
    }
    assert_eq!(started(&mut lanes), [1, 2, 3, 4]);
    let throttled = Ended::Again { due_ms: NOW + 1000, answered: false };
    for number in 1..=3 {
        lanes.finished(FunctionId(1), EventNumber(number), throttled, NOW);
    }
    let lane = &lanes.lanes[&FunctionId(1)];
    assert_eq!((lane.allowed, lane.paused_ms), (2, 0), "once for the swarm");
    assert_eq!(started(&mut lanes), [5]);
    lanes.finished(FunctionId(1), EventNumber(4), throttled, NOW);
    assert_eq!(started(&mut lanes), [6]);
    lanes.finished(FunctionId(1), EventNumber(5), throttled, NOW);
    lanes.finished(FunctionId(1), EventNumber(6), throttled, NOW);
    assert_eq!(started(&mut lanes), [7, 8]);
    lanes.finished(FunctionId(1), EventNumber(7), throttled, NOW);
    assert_eq!(lanes.lanes[&FunctionId(1)].paused_ms, 0);
    lanes.finished(FunctionId(1), EventNumber(8), throttled, NOW);
    assert_eq!(lanes.lanes[&FunctionId(1)].paused_ms, NOW + 1000, "nothing of it runs");
}

#[test]
fn a_function_that_is_throttled_all_the_time_is_left_alone_for_longer_and_longer() {
    let mut lanes = Lanes::new(Limits { at_first: 1, ..LIMITS });
    let mut now = NOW;
    for number in 1..=4 {
        accept(&mut lanes, number, 1);
    }
    let mut pauses = Vec::new();
    for number in 1..=3 {
        assert_eq!(started(&mut lanes), [number]);
        let throttled = Ended::Again { due_ms: now + 3_600_000, answered: false };
        lanes.finished(FunctionId(1), EventNumber(number), throttled, now);
        assert_eq!(started(&mut lanes), [0; 0]);
        let wake = lanes.next_wake_ms().unwrap();
        pauses.push(wake - now);
        now = wake;
        lanes.wake(now);
    }
    assert_eq!(pauses, [1000, 2000, 4000]);
}

#[test]
fn what_is_due_later_is_read_when_it_is_due() {
    let mut lanes = Lanes::new(LIMITS);
    accept(&mut lanes, 1, 1);
    lanes.take_actions();
    let again = Ended::Again { due_ms: NOW + 60_000, answered: true };
    lanes.finished(FunctionId(1), EventNumber(1), again, NOW);
    assert_eq!(lanes.take_actions(), []);
    assert_eq!(lanes.next_wake_ms(), Some(NOW + 60_000));
    lanes.wake(NOW + 59_999);
    assert_eq!(lanes.take_actions(), []);
    lanes.wake(NOW + 60_000);
    let read = Action::Read { function: FunctionId(1), limit: LIMITS.window, but: vec![] };
    assert_eq!(lanes.take_actions(), [read]);
}

#[test]
fn what_could_not_be_read_is_read_again_in_a_second() {
    let mut lanes = Lanes::new(LIMITS);
    lanes.look(FunctionId(1), NOW);
    assert_eq!(lanes.take_actions().len(), 1);
    lanes.unreadable(FunctionId(1), NOW);
    assert_eq!(lanes.next_wake_ms(), Some(NOW + 1000));
    lanes.wake(NOW + 1000);
    assert_eq!(lanes.take_actions().len(), 1);
}

#[test]
fn an_event_that_was_read_before_it_was_said_to_be_accepted_is_not_started_twice() {
    let mut lanes = Lanes::new(LIMITS);
    lanes.look(FunctionId(1), NOW);
    lanes.take_actions();
    lanes.read(FunctionId(1), Due { events: vec![event(5, 1, 2)], next_ms: None }, NOW);
    assert_eq!(started(&mut lanes), [5]);
    answered(&mut lanes, 5, 1);
    accept(&mut lanes, 5, 1);
    let read = Action::Read { function: FunctionId(1), limit: LIMITS.window, but: vec![] };
    assert_eq!(lanes.take_actions(), [read], "the disk knows whether it is over");
}

#[test]
fn nothing_starts_of_a_function_that_is_gone_nor_after_a_stop() {
    let mut lanes = Lanes::new(LIMITS);
    for number in 1..=20 {
        accept(&mut lanes, number, 1);
    }
    lanes.take_actions();
    lanes.forget(FunctionId(1), NOW);
    answered(&mut lanes, 1, 1);
    answered(&mut lanes, 2, 1);
    assert_eq!(lanes.take_actions(), []);
    assert!(lanes.lanes.is_empty() && lanes.timers.is_empty());
    lanes.stop();
    accept(&mut lanes, 21, 1);
    assert_eq!(lanes.take_actions(), []);
}

/// A disk, and what may be asked of it.
#[derive(Default)]
struct Disk {
    rows: BTreeMap<u64, QueuedEvent>,
    flying: BTreeSet<u64>,
    reads: VecDeque<(FunctionId, usize, Vec<EventNumber>)>,
    over: BTreeSet<u64>,
}

impl Disk {
    fn perform(&mut self, lanes: &mut Lanes) {
        for action in lanes.take_actions() {
            match action {
                Action::Start(work) => {
                    let number = work.event.number.0;
                    assert!(self.rows.contains_key(&number), "{number} is over");
                    assert!(self.flying.insert(number), "{number} flies twice");
                }
                Action::Read { function, limit, but } => {
                    self.reads.push_back((function, limit, but));
                }
            }
        }
        let functions = lanes.lanes.len();
        assert!(self.flying.len() <= LIMITS.at_once + functions);
        assert!(lanes.lanes.values().all(|lane| lane.ready.len() <= LIMITS.window));
        assert_eq!(self.flying.len(), lanes.flying());
    }

    /// What a read would give, as `EventQueue::due` does.
    fn due(&self, (function, limit, but): &(FunctionId, usize, Vec<EventNumber>), now: u64) -> Due {
        let mut all: Vec<_> = self
            .rows
            .values()
            .filter(|event| event.function == *function && !but.contains(&event.number))
            .collect();
        all.sort_by_key(|event| (event.due_ms, event.number));
        let mut due = Due::default();
        for event in all {
            if event.due_ms > now || due.events.len() == *limit {
                due.next_ms = Some(event.due_ms);
                break;
            }
            due.events.push(event.clone());
        }
        due
    }
}

proptest! {
    /// Whatever happens in whatever order: nothing flies twice at a time, nothing that is over flies,
    /// memory keeps its bounds, and everything is over in the end.
    #[test]
    fn every_event_flies_until_it_is_over_and_never_twice_at_once(
        steps in prop::collection::vec((0_u8..8, 0_u64..3, any::<u8>()), 1..300)
    ) {
        let mut lanes = Lanes::new(LIMITS);
        let mut disk = Disk::default();
        let (mut now, mut last) = (NOW, 0);
        let settle = |lanes: &mut Lanes, disk: &mut Disk, number: u64, how: u8, now: u64| {
            disk.flying.remove(&number);
            let function = disk.rows[&number].function;
            let ended = match how % 4 {
                0 => Ended::Lost,
                1 | 2 => {
                    let due_ms = now + 1 + u64::from(how) * 100;
                    disk.rows.get_mut(&number).unwrap().due_ms = due_ms;
                    Ended::Again { due_ms, answered: how.is_multiple_of(2) }
                }
                _ => {
                    disk.rows.remove(&number);
                    disk.over.insert(number);
                    Ended::Over { answered: true }
                }
            };
            lanes.finished(function, EventNumber(number), ended, now);
        };
        for (step, function, how) in steps {
            match step {
                0..=3 => {
                    last += 1;
                    let mut new = event(last, function, 1 + u64::from(how) * 3);
                    new.due_ms = now;
                    disk.rows.insert(last, new.clone());
                    lanes.accepted(new, Bytes::new(), now);
                }
                4 => if let Some(read) = disk.reads.pop_front() {
                    match how % 4 {
                        0 => lanes.unreadable(read.0, now),
                        _ => lanes.read(read.0, disk.due(&read, now), now),
                    }
                },
                5 | 6 => {
                    let at = usize::from(how) % disk.flying.len().max(1);
                    if let Some(number) = disk.flying.iter().nth(at).copied() {
                        settle(&mut lanes, &mut disk, number, how, now);
                    }
                }
                _ => {
                    now += u64::from(how) * 20;
                    lanes.wake(now);
                }
            }
            disk.perform(&mut lanes);
        }
        // Nothing goes wrong any more.
        for _ in 0..10_000 {
            if disk.rows.is_empty() {
                break;
            }
            while let Some(read) = disk.reads.pop_front() {
                lanes.read(read.0, disk.due(&read, now), now);
                disk.perform(&mut lanes);
            }
            while let Some(number) = disk.flying.first().copied() {
                settle(&mut lanes, &mut disk, number, 3, now);
                disk.perform(&mut lanes);
            }
            if let Some(wake) = lanes.next_wake_ms() {
                now = now.max(wake);
            }
            lanes.wake(now);
            disk.perform(&mut lanes);
        }
        prop_assert_eq!(disk.rows.len(), 0, "{:?}", lanes);
        prop_assert_eq!(disk.over.len() as u64, last);
        prop_assert!(lanes.lanes.is_empty(), "{:?}", lanes);
        prop_assert!(lanes.timers.is_empty() && lanes.turns.is_empty());
    }
}
