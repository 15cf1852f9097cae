//! What is promised about time limits, on a clock that stands still between looks.

use std::time::{Duration, Instant};

use super::Track;
use crate::connection::{Order, Phase, Sample};
use crate::limits::Limits;

const SECOND: Duration = Duration::from_secs(1);

fn sample(turn: u64, phase: Phase) -> Sample {
    Sample { turn, phase, received: 0, sent: 0, blocked: false }
}

/// Looks every second until something is ordered; after how many seconds it was, and what.
fn first_order(mut at: impl FnMut(u64) -> Sample, full: bool) -> Option<(u64, Order)> {
    let limits = Limits::default();
    let start = Instant::now();
    let mut track = Track::new(at(0), start);
    (0..1_000).find_map(|second| {
        let now = start + SECOND * u32::try_from(second).unwrap();
        match track.judge(at(second), now, &limits, full) {
            Order::GoOn => None,
            order => Some((second, order)),
        }
    })
}

#[test]
fn a_connection_without_a_first_byte_is_cut() {
    assert_eq!(first_order(|_| sample(0, Phase::Fresh), false), Some((11, Order::Cut)));
}

#[test]
fn a_head_that_dribbles_is_cut_however_many_bytes_come() {
    let dribble = |second| Sample { received: second, ..sample(1, Phase::Head) };
    assert_eq!(first_order(dribble, false), Some((21, Order::Cut)));
}

#[test]
fn an_idle_connection_is_cut_and_sooner_if_others_wait() {
    assert_eq!(first_order(|_| sample(4, Phase::Idle), false), Some((76, Order::Cut)));
    assert_eq!(first_order(|_| sample(4, Phase::Idle), true), Some((2, Order::Cut)));
    assert_eq!(first_order(|_| sample(0, Phase::Fresh), true), Some((2, Order::Cut)));
}

#[test]
fn every_new_phase_starts_the_clock_anew() {
    // A request every 50 seconds, each leaving the connection idle again.
    assert_eq!(first_order(|second| sample(second / 50, Phase::Idle), false), None);
}

#[test]
fn a_function_may_take_as_long_as_it_likes() {
    assert_eq!(first_order(|_| sample(3, Phase::Serving), true), None);
}

#[test]
fn a_slow_body_is_reported_and_then_cut() {
    let mut seen = Vec::new();
    let (limits, start) = (Limits::default(), Instant::now());
    let still = sample(2, Phase::Receiving);
    let mut track = Track::new(still, start);
    for second in 0..45 {
        seen.push(track.judge(still, start + SECOND * second, &limits, false));
    }
    assert_eq!(seen.iter().filter(|order| **order == Order::GoOn).count(), 21);
    assert_eq!(seen.iter().position(|order| *order == Order::TooSlow), Some(21));
    assert_eq!(seen.iter().position(|order| *order == Order::Cut), Some(41));
}

#[test]
fn a_body_that_keeps_the_rate_takes_its_time() {
    let steady = |second| Sample { received: second * 500, ..sample(2, Phase::Receiving) };
    assert_eq!(first_order(steady, false), None);
    let half = |second| Sample { received: second * 250, ..sample(2, Phase::Receiving) };
    assert_eq!(first_order(half, false), Some((41, Order::TooSlow)));
}

#[test]
fn a_response_that_is_not_taken_is_cut_and_one_that_is_taken_slowly_is_not() {
    let stuck = |_| Sample { blocked: true, ..sample(3, Phase::Serving) };
    assert_eq!(first_order(stuck, false), Some((21, Order::Cut)));
    let sipping = |second| Sample { blocked: true, sent: second, ..sample(3, Phase::Serving) };
    assert_eq!(first_order(sipping, false), Some((21, Order::Cut)));
    let steady = |second| Sample { blocked: true, sent: second * 500, ..sample(3, Phase::Serving) };
    assert_eq!(first_order(steady, false), None);
    let now_and_then = |second| Sample { blocked: second % 10 != 0, ..sample(3, Phase::Serving) };
    assert_eq!(first_order(now_and_then, false), None);
}

#[test]
fn leftovers_are_thrown_away_for_five_seconds() {
    assert_eq!(first_order(|_| sample(5, Phase::Lingering), false), Some((6, Order::Cut)));
}
