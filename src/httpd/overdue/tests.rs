//! What is promised about time limits, on a clock that stands still between looks.

use std::time::{Duration, Instant};

use super::{Track, Verdict};
use crate::connection::{Order, Phase, Sample};
use crate::limits::Limits;

const SECOND: Duration = Duration::from_secs(1);
const ROOM: bool = false;
const CROWDED: bool = true;

fn sample(turn: u64, phase: Phase) -> Sample {
    Sample { turn, phase, received: 0, sent: 0, held: 0, blocked: false, unheard: false }
}

/// Looks every second until something is to be said; after how many seconds it was, and what.
fn first_word(mut at: impl FnMut(u64) -> Sample, crowded: bool) -> Option<(u64, Verdict)> {
    let limits = Limits::default();
    let start = Instant::now();
    let mut track = Track::new(at(0), start);
    (0..1_000).find_map(|second| {
        let now = start + SECOND * u32::try_from(second).unwrap();
        match track.judge(at(second), now, &limits, crowded) {
            Verdict::Fine => None,
            verdict => Some((second, verdict)),
        }
    })
}

/// As above, where a limit was exceeded.
fn first_order(at: impl FnMut(u64) -> Sample) -> Option<(u64, Order)> {
    first_word(at, ROOM).map(|(second, verdict)| match verdict {
        Verdict::Overdue(order) => (second, order),
        other => panic!("{other:?} while there is room"),
    })
}

/// As above, where others are waiting: the order, and the pace it is ranked by.
fn first_slow(at: impl FnMut(u64) -> Sample) -> Option<(u64, Order, u64)> {
    first_word(at, CROWDED).map(|(second, verdict)| match verdict {
        Verdict::Slow(how) => (second, how.order, how.pace),
        other => panic!("{other:?} before it was slow"),
    })
}

#[test]
fn a_connection_without_a_first_byte_is_cut() {
    assert_eq!(first_order(|_| sample(0, Phase::Fresh)), Some((11, Order::Cut)));
}

#[test]
fn a_head_that_dribbles_is_cut_however_many_bytes_come() {
    let dribble = |second| Sample { received: second, ..sample(1, Phase::Head) };
    assert_eq!(first_order(dribble), Some((21, Order::Cut)));
}

#[test]
fn an_idle_connection_is_cut() {
    assert_eq!(first_order(|_| sample(4, Phase::Idle)), Some((76, Order::Cut)));
}

#[test]
fn every_new_phase_starts_the_clock_anew() {
    // A request every 50 seconds, each leaving the connection idle again.
    assert_eq!(first_order(|second| sample(second / 50, Phase::Idle)), None);
}

#[test]
fn a_function_may_take_as_long_as_it_likes() {
    assert_eq!(first_order(|_| sample(3, Phase::Serving)), None);
    assert_eq!(first_slow(|_| sample(3, Phase::Serving)), None);
}

#[test]
fn a_slow_body_is_reported_and_then_cut() {
    let mut seen = Vec::new();
    let (limits, start) = (Limits::default(), Instant::now());
    let still = sample(2, Phase::Receiving);
    let mut track = Track::new(still, start);
    for second in 0..45 {
        seen.push(track.judge(still, start + SECOND * second, &limits, ROOM));
    }
    let first = |verdict| seen.iter().position(|seen| *seen == verdict);
    assert_eq!(seen.iter().filter(|verdict| **verdict == Verdict::Fine).count(), 21);
    assert_eq!(first(Verdict::Overdue(Order::TooSlow)), Some(21));
    assert_eq!(first(Verdict::Overdue(Order::Cut)), Some(41));
}

#[test]
fn a_body_that_keeps_the_rate_takes_its_time_while_there_is_room() {
    let steady = |second| Sample { received: second * 6_000, ..sample(2, Phase::Receiving) };
    assert_eq!(first_order(steady), None);
    let half = |second| Sample { received: second * 3_000, ..sample(2, Phase::Receiving) };
    assert_eq!(first_order(half), Some((41, Order::TooSlow)));
}

#[test]
fn no_body_takes_longer_than_its_length_allows_however_its_bytes_are_spread() {
    const LENGTH: u64 = 600_000;
    // All but the last byte at the beginning, in the middle, or just in time.
    for burst in [1, 60, 119] {
        let body = |second| {
            let received = if second >= burst { LENGTH - 1 } else { second * 6_000 };
            Sample { received, ..sample(2, Phase::Receiving) }
        };
        assert_eq!(first_order(body), Some((20 + LENGTH / 6_000, Order::TooSlow)), "{burst}");
    }
}

#[test]
fn a_response_that_is_not_taken_is_cut_and_one_that_is_taken_slowly_is_not() {
    let stuck = |_| Sample { blocked: true, ..sample(3, Phase::Serving) };
    assert_eq!(first_order(stuck), Some((21, Order::Cut)));
    let sipping = |second| Sample { blocked: true, sent: second, ..sample(3, Phase::Serving) };
    assert_eq!(first_order(sipping), Some((21, Order::Cut)));
    let steady =
        |second| Sample { blocked: true, sent: second * 6_000, ..sample(3, Phase::Serving) };
    assert_eq!(first_order(steady), None);
    let now_and_then = |second| Sample { blocked: second % 10 != 0, ..sample(3, Phase::Serving) };
    assert_eq!(first_order(now_and_then), None);
}

#[test]
fn a_connection_is_not_idle_before_its_response_has_been_taken() {
    let taken_until_100 =
        |second| Sample { blocked: second <= 100, sent: second * 20_000, ..sample(4, Phase::Idle) };
    assert_eq!(first_order(taken_until_100), Some((176, Order::Cut)));
    assert_eq!(first_slow(taken_until_100), Some((102, Order::Cut, 0)));
}

#[test]
fn leftovers_are_thrown_away_for_five_seconds_and_hardly_if_others_wait() {
    let closing = |_| sample(5, Phase::Lingering);
    assert_eq!(first_order(closing), Some((6, Order::Cut)));
    assert_eq!(first_word(closing, CROWDED), Some((1, Verdict::Overdue(Order::Cut))));
}

#[test]
fn a_crowded_listener_finds_slow_what_asks_for_nothing() {
    assert_eq!(first_slow(|_| sample(0, Phase::Fresh)), Some((2, Order::Cut, 0)));
    assert_eq!(first_slow(|_| sample(4, Phase::Idle)), Some((2, Order::Cut, 0)));
    let dribble = |second| Sample { received: second * 10, ..sample(1, Phase::Head) };
    assert_eq!(first_slow(dribble), Some((3, Order::Cut, 10)));
}

#[test]
fn a_crowded_listener_finds_slow_what_does_not_keep_16_kib_a_second() {
    let body =
        |rate| move |second| Sample { received: second * rate, ..sample(2, Phase::Receiving) };
    assert_eq!(first_slow(body(0)), Some((2, Order::TooSlow, 0)));
    assert_eq!(first_slow(body(1_200)), Some((2, Order::TooSlow, 1_200)));
    assert_eq!(first_slow(body(8_192)), Some((3, Order::TooSlow, 8_192)));
    assert_eq!(first_slow(body(16_384)), None);

    let reader = |rate| {
        move |second| Sample { blocked: true, sent: second * rate, ..sample(3, Phase::Serving) }
    };
    assert_eq!(first_slow(reader(0)), Some((3, Order::Cut, 0)));
    assert_eq!(first_slow(reader(1_200)), Some((3, Order::Cut, 1_200)));
    assert_eq!(first_slow(reader(16_384)), None);
}

#[test]
fn a_reader_whose_progress_is_seen_in_pieces_is_not_mistaken_for_a_slow_one() {
    let pieces = |second| Sample {
        blocked: true,
        sent: second * 48_000 / 95_000 * 95_000,
        ..sample(3, Phase::Serving)
    };
    assert_eq!(first_slow(pieces), None);
}

#[test]
fn what_was_slow_already_is_found_in_the_first_look_at_a_crowd() {
    let (limits, start) = (Limits::default(), Instant::now());
    let at = |second: u64| Sample { received: second * 7_000, ..sample(2, Phase::Receiving) };
    let mut track = Track::new(at(0), start);
    for second in 0..60 {
        let now = start + SECOND * second;
        assert_eq!(track.judge(at(second.into()), now, &limits, ROOM), Verdict::Fine);
    }
    let verdict = track.judge(at(60), start + SECOND * 60, &limits, CROWDED);
    assert!(matches!(verdict, Verdict::Slow(how) if how.pace == 7_000), "{verdict:?}");
}

#[test]
fn a_handler_that_does_not_hear_of_a_slow_body_is_not_waited_for_if_others_wait() {
    let deaf = Sample { unheard: true, ..sample(2, Phase::Receiving) };
    assert_eq!(first_slow(|_| deaf), Some((0, Order::Cut, 0)));
    assert_eq!(first_order(|_| deaf), Some((21, Order::TooSlow)));
}
