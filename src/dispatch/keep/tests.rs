//! What is promised of keeping, ending and starting ahead.

use std::time::Duration;

use proptest::prelude::*;

use super::Profile;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOLD: Duration = Duration::from_secs(600);

fn called_every(gap: Duration, times: usize) -> Profile {
    let mut profile = Profile::new();
    for _ in 0..times {
        profile.used(gap);
    }
    profile
}

#[test]
fn a_profile_takes_a_few_hundred_bytes() {
    assert!(size_of::<Profile>() <= 256, "{}", size_of::<Profile>());
}

#[test]
fn of_a_function_nobody_knows_the_fixed_time_is_kept() {
    let unknown = Profile::new();
    assert!(unknown.is_wanted(HOLD - SECOND, HOLD));
    assert!(!unknown.is_wanted(HOLD, HOLD));
    assert_eq!(unknown.appointment(Duration::ZERO, HOLD), None);
}

#[test]
fn what_is_used_often_is_kept_past_a_pause_but_a_burst_is_given_back() {
    let busy = called_every(SECOND / 5, 500);
    assert!(busy.is_wanted(30 * SECOND, HOLD));
    let (of_busy, of_unknown) = (busy.frequency(5 * MINUTE), Profile::new().frequency(5 * MINUTE));
    assert!(of_busy <= of_unknown, "that it was busy once is no reason to keep it longer");
    assert!(!busy.is_wanted(HOLD, HOLD));
}

#[test]
fn an_instance_between_two_distant_calls_is_not_kept_and_is_started_ahead() {
    let hourly = called_every(60 * MINUTE, 12);
    assert!(!hourly.is_wanted(MINUTE, HOLD), "an hour is more than ten minutes");
    let next = hourly.appointment(MINUTE, HOLD).expect("a regular caller");
    assert!(next.from <= 60 * MINUTE && next.until > 60 * MINUTE, "{next:?}");
    assert!(next.from > 50 * MINUTE, "{next:?}");
    assert!(hourly.is_wanted(next.from, HOLD), "and then it is");
    assert_eq!(hourly.appointment(next.until, HOLD), None, "who does not come is not waited for");
}

#[test]
fn who_calls_at_random_has_no_appointment() {
    let mut random = Profile::new();
    for minutes in [1, 7, 2, 30, 55, 12, 90, 3, 20, 1] {
        random.used(minutes * MINUTE);
    }
    assert_eq!(random.appointment(Duration::ZERO, HOLD), None);
}

#[test]
fn who_calls_all_the_time_is_not_waited_for() {
    assert_eq!(called_every(SECOND * 5, 100).appointment(Duration::ZERO, HOLD), None);
}

#[test]
fn two_calls_alike_are_not_regular_yet() {
    assert_eq!(called_every(20 * MINUTE, 2).appointment(Duration::ZERO, HOLD), None);
    assert!(called_every(20 * MINUTE, 3).appointment(Duration::ZERO, HOLD).is_some());
}

#[test]
fn the_cost_of_starting_again_follows_what_starts_take() {
    let mut profile = Profile::new();
    profile.rebuilt(Duration::from_millis(400));
    assert_eq!(profile.rebuild(), Duration::from_millis(400));
    for _ in 0..30 {
        profile.rebuilt(Duration::from_millis(20));
    }
    assert!(profile.rebuild() < Duration::from_millis(25), "{:?}", profile.rebuild());
}

proptest! {
    #[test]
    fn value_rises_with_cost_and_falls_with_memory_and_is_always_a_number(
        gaps in prop::collection::vec(0..20_000_000_u64, 0..200),
        (cost, more) in (1..100_000_u64, 1..100_000_u64),
        (bytes, age) in (1..u64::MAX / 4, 0..20_000_000_u64),
    ) {
        let mut cheap = Profile::new();
        gaps.into_iter().for_each(|gap| cheap.used(Duration::from_millis(gap)));
        let mut dear = cheap.clone();
        cheap.rebuilt(Duration::from_millis(cost));
        dear.rebuilt(Duration::from_millis(cost + more));
        let age = Duration::from_millis(age);
        let value = cheap.value(age, bytes);
        prop_assert!(value.is_finite() && value > 0.0);
        prop_assert!(dear.value(age, bytes) > value);
        prop_assert!(cheap.value(age, bytes.saturating_mul(2)) <= value);
    }

    #[test]
    fn nothing_is_kept_for_ever(
        gaps in prop::collection::vec(0..200_000_000_u64, 0..300),
        hold in 1..100_000_u64,
    ) {
        let mut profile = Profile::new();
        gaps.into_iter().for_each(|gap| profile.used(Duration::from_millis(gap)));
        let hold = Duration::from_secs(hold);
        // Beyond the histogram nothing but the guess is left.
        let late = Duration::from_secs(5 * 3600).max(hold);
        prop_assert!(!profile.is_wanted(late, hold));
    }

    #[test]
    fn an_appointment_lies_ahead_and_is_short(
        gaps in prop::collection::vec(1..20_000_000_u64, 0..50),
        age in 0..20_000_000_u64,
    ) {
        let mut profile = Profile::new();
        gaps.into_iter().for_each(|gap| profile.used(Duration::from_millis(gap)));
        let age = Duration::from_millis(age);
        if let Some(next) = profile.appointment(age, HOLD) {
            prop_assert!(next.from > age && next.until > next.from);
        }
    }
}
