//! Promises about what becomes of an event.

use std::sync::Arc;

use bytes::Bytes;
use model::{FunctionId, FunctionName, RequestId, Version};
use proptest::prelude::*;
use store::events::EventNumber;

use super::*;
use crate::functions::Answer;

const NOW: u64 = 1_800_000_000_000;

fn event(attempts: u32, setbacks: u32) -> QueuedEvent {
    QueuedEvent {
        number: EventNumber(1),
        id: RequestId::random(),
        function: FunctionId(1),
        name: FunctionName::parse("f").unwrap(),
        qualifier: None,
        accepted_ms: NOW,
        due_ms: NOW,
        attempts,
        setbacks,
        trace: Arc::from(""),
        lineage: Arc::from(""),
        bytes: 2,
    }
}

fn plan() -> Plan {
    Plan {
        arn: String::new(),
        retries: RETRIES,
        max_age_ms: u64::from(MAX_AGE_S) * 1000,
        closed: false,
        may_recur: false,
        on_success: None,
        on_failure: None,
    }
}

fn answered(error: Option<&'static str>) -> Attempt {
    Attempt::Answered(Answer { payload: Bytes::new(), error, version: Version::Latest })
}

const FAILED: Option<&str> = Some("Unhandled");

#[test]
fn a_function_that_fails_is_asked_again_after_one_minute_and_after_two_and_then_no_more() {
    let after = |attempts| after(&event(attempts, 5), &plan(), &answered(FAILED), NOW).unwrap();
    let again = |due_ms, attempts| Next::Again { due_ms, attempts, setbacks: 0 };
    assert_eq!(after(0), again(NOW + 60_000, 1));
    assert_eq!(after(1), again(NOW + 120_000, 2));
    assert_eq!(after(2), Next::Over(Condition::RetriesExhausted));
}

#[test]
fn fewer_retries_are_fewer() {
    let once = Plan { retries: 0, ..plan() };
    let next = after(&event(0, 0), &once, &answered(FAILED), NOW);
    assert_eq!(next, Some(Next::Over(Condition::RetriesExhausted)));
    let twice = Plan { retries: 1, ..plan() };
    assert!(matches!(
        after(&event(0, 0), &twice, &answered(FAILED), NOW),
        Some(Next::Again { .. })
    ));
    let next = after(&event(1, 0), &twice, &answered(FAILED), NOW);
    assert_eq!(next, Some(Next::Over(Condition::RetriesExhausted)));
}

#[test]
fn what_stands_in_the_way_is_waited_out_for_longer_every_time_up_to_five_minutes() {
    let pauses: Vec<u64> = (0..12).map(pause_ms).collect();
    let seconds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300];
    assert_eq!(pauses, seconds.map(|seconds| seconds * 1000));
    assert_eq!(pause_ms(u32::MAX), LONGEST_PAUSE_MS);
    for attempt in [Attempt::Throttled, Attempt::System] {
        let next = after(&event(1, 3), &plan(), &attempt, NOW);
        let again = Next::Again { due_ms: NOW + 8_000, attempts: 1, setbacks: 4 };
        assert_eq!(next, Some(again), "it is no attempt of the function's");
    }
}

#[test]
fn both_sides_of_the_greatest_age() {
    let minute = Plan { max_age_ms: 60_000, ..plan() };
    assert_eq!(before(&event(0, 0), &minute, NOW + 59_999), None);
    let too_old = Some(Condition::EventAgeExceeded);
    assert_eq!(before(&event(0, 0), &minute, NOW + 60_000), too_old);
    // It would be too old by the time the function is asked again.
    let next = after(&event(0, 0), &minute, &answered(FAILED), NOW);
    assert_eq!(next, Some(Next::Over(Condition::EventAgeExceeded)));
    let more = Plan { max_age_ms: 60_001, ..plan() };
    assert!(matches!(after(&event(0, 0), &more, &answered(FAILED), NOW), Some(Next::Again { .. })));
    // A pause ends when the event is too old at the latest.
    let next = after(&event(0, 9), &minute, &Attempt::Throttled, NOW + 1);
    assert!(matches!(next, Some(Next::Again { due_ms, .. }) if due_ms == NOW + 60_000));
    let next = after(&event(0, 9), &minute, &Attempt::Throttled, NOW + 60_000);
    assert_eq!(next, Some(Next::Over(Condition::EventAgeExceeded)));
}

#[test]
fn an_answer_that_came_late_is_an_answer() {
    let minute = Plan { max_age_ms: 60_000, ..plan() };
    let next = after(&event(0, 0), &minute, &answered(None), NOW + 90_000);
    assert_eq!(next, Some(Next::Over(Condition::Success)));
}

#[test]
fn a_function_that_may_not_run_is_not_waited_for() {
    let closed = Plan { closed: true, ..plan() };
    assert_eq!(before(&event(0, 0), &closed, NOW), Some(Condition::ZeroReservedConcurrency));
}

proptest! {
    #[test]
    fn every_event_is_over_after_as_many_failures_as_are_allowed_and_by_its_age(
        retries in 0_u32..=2,
        max_age_s in 60_u64..=21_600,
        outcomes in prop::collection::vec(0_u8..3, 0..400),
    ) {
        let plan = Plan { retries, max_age_ms: max_age_s * 1000, ..plan() };
        let mut event = event(0, 0);
        let mut now = NOW;
        let mut failures = 0;
        let mut over = None;
        for outcome in outcomes {
            if let Some(condition) = before(&event, &plan, now) {
                over = Some(condition);
                break;
            }
            let attempt = match outcome {
                0 => answered(FAILED),
                1 => Attempt::Throttled,
                _ => Attempt::System,
            };
            failures += u32::from(outcome == 0);
            match after(&event, &plan, &attempt, now).unwrap() {
                Next::Over(condition) => {
                    over = Some(condition);
                    break;
                }
                Next::Again { due_ms, attempts, setbacks } => {
                    prop_assert!(due_ms > now && due_ms <= now + LONGEST_PAUSE_MS);
                    prop_assert_eq!(attempts, failures);
                    (event.attempts, event.setbacks, event.due_ms) = (attempts, setbacks, due_ms);
                    now = due_ms;
                }
            }
        }
        prop_assert!(failures <= retries + 1);
        prop_assert!(now <= NOW + plan.max_age_ms);
        if over == Some(Condition::RetriesExhausted) {
            prop_assert_eq!(failures, retries + 1);
        }
    }
}
