//! How fast one function may grow.

use model::FunctionId;

use super::StartRate;
use crate::time::Time;

const A: FunctionId = FunctionId(1);
const B: FunctionId = FunctionId(2);

/// How many starts there may be at a moment.
fn admitted(rate: &mut StartRate, now: u64, function: FunctionId) -> u32 {
    let mut count = 0;
    while count < 10_000 && rate.allows(Time(now), function) {
        rate.count(Time(now), function);
        count += 1;
    }
    count
}

#[test]
fn a_thousand_start_at_once_and_a_hundred_every_second_from_then_on() {
    let mut rate = StartRate::new(1_000);
    assert_eq!(admitted(&mut rate, 5, A), 1_000);
    assert_eq!(admitted(&mut rate, 5, A), 0);
    assert_eq!(admitted(&mut rate, 1_005, A), 100);
    assert_eq!(admitted(&mut rate, 1_015, A), 1);
    assert_eq!(admitted(&mut rate, 60_000, A), 1_000);
}

#[test]
fn each_function_has_its_own_allowance() {
    let mut rate = StartRate::new(10);
    assert_eq!(admitted(&mut rate, 0, A), 10);
    assert_eq!(admitted(&mut rate, 0, B), 10);
}

#[test]
fn what_is_forgotten_was_worth_nothing() {
    let mut rate = StartRate::new(10);
    assert_eq!(admitted(&mut rate, 0, A), 10);
    rate.forget(Time(9_000));
    assert_eq!(admitted(&mut rate, 9_000, A), 9);
    rate.forget(Time(30_000));
    assert!(rate.paid_until.is_empty());
}

#[test]
fn the_next_one_may_be_when_it_is_said_and_not_before() {
    let mut rate = StartRate::new(7);
    assert_eq!(rate.next(A), Time(0));
    assert_eq!(admitted(&mut rate, 50, A), 7);
    let next = rate.next(A);
    assert!(next > Time(50));
    assert!(!rate.allows(Time(next.0 - 1), A));
    assert!(rate.allows(next, A));
}

#[test]
fn without_a_limit_there_is_none() {
    assert_eq!(admitted(&mut StartRate::new(0), 0, A), 10_000);
}
