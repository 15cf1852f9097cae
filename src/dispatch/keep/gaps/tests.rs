//! What the histogram of gaps promises.

use std::time::Duration;

use proptest::prelude::*;

use super::{BINS, FIRST, Gaps, LAST, MOST, bin, edges};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn of(gaps: &[Duration]) -> Gaps {
    let mut all = Gaps::new();
    gaps.iter().for_each(|gap| all.add(*gap));
    all
}

#[test]
fn it_takes_less_than_a_quarter_of_a_kibibyte() {
    assert!(size_of::<Gaps>() <= 240, "{}", size_of::<Gaps>());
}

#[test]
fn bins_follow_one_another_without_a_hole_up_to_four_hours() {
    assert_eq!(edges(0).0, 0);
    for number in 1..BINS {
        assert_eq!(edges(number).0, edges(number - 1).1);
    }
    assert_eq!(edges(BINS - 1).1, 1 << LAST);
    assert!(Duration::from_millis(1 << LAST) > Duration::from_secs(4 * 3600));
    assert_eq!(bin(1 << LAST), None);
}

#[test]
fn of_a_caller_of_every_ten_minutes_little_is_expected_at_first_and_much_after_nine() {
    let gaps = of(&[10 * MINUTE; 20]);
    let (first, late) = (gaps.outlook(SECOND).rate, gaps.outlook(9 * MINUTE + 50 * SECOND).rate);
    assert!(late > 10.0 * first, "{first} {late}");
    assert_eq!(gaps.outlook(11 * MINUTE).seen, 0, "he has not come");
}

#[test]
fn what_is_expected_is_asked_of_the_gaps_that_are_left() {
    // Bursts of a hundred, every half hour.
    let mut all = vec![SECOND / 10; 99];
    all.push(30 * MINUTE);
    let gaps = of(&all.repeat(5));
    assert!(gaps.outlook(Duration::ZERO).rate > 1.0 / 1_100.0, "more are on their way");
    let (from, until) = gaps.quantile(MINUTE, 0.05).expect("the next burst");
    assert!(from <= 30 * MINUTE && 30 * MINUTE < until, "{from:?} {until:?}");
}

#[test]
fn gaps_longer_than_it_counts_are_known_to_be_longer() {
    let gaps = of(&[Duration::from_secs(24 * 3600); 4]);
    let outlook = gaps.outlook(MINUTE);
    assert_eq!((outlook.seen, outlook.rate), (4, 0.0));
    assert_eq!(gaps.quantile(MINUTE, 0.5), None);
    assert_eq!(gaps.outlook(Duration::MAX).seen, 4);
}

#[test]
fn old_habits_fade() {
    let mut gaps = of(&[MINUTE; 5_000]);
    for _ in 0..5_000 {
        gaps.add(20 * MINUTE);
    }
    let (from, _) = gaps.quantile(Duration::ZERO, 0.05).expect("a gap");
    assert!(from > 10 * MINUTE, "{from:?}");
}

proptest! {
    #[test]
    fn every_gap_is_in_its_bin_and_none_is_wider_than_an_eighth(millis in 0..1_u64 << LAST) {
        let (start, end) = edges(bin(millis).expect("it is counted"));
        prop_assert!(start <= millis && millis < end);
        prop_assert!(start == 0 || (end - start) * 8 <= start);
        prop_assert!(start > 0 || end == 1 << FIRST);
    }

    #[test]
    fn whatever_is_added_is_bounded_and_never_more_than_was_seen(
        gaps in prop::collection::vec(0..100_000_000_u64, 0..3_000),
        age in 0..100_000_000_u64,
    ) {
        let all: Vec<_> = gaps.iter().map(|gap| Duration::from_millis(*gap)).collect();
        let gaps = of(&all);
        prop_assert!(gaps.total() <= MOST);
        prop_assert!(gaps.total() as usize <= all.len());
        let outlook = gaps.outlook(Duration::from_millis(age));
        prop_assert!(outlook.seen <= gaps.total());
        prop_assert!(outlook.rate.is_finite() && (0.0..=1.0).contains(&outlook.rate));
    }

    #[test]
    fn a_larger_share_is_never_reached_earlier(
        gaps in prop::collection::vec(1..20_000_000_u64, 1..200),
        (low, high) in (0.0..1.0_f64, 0.0..1.0_f64),
        age in 0..20_000_000_u64,
    ) {
        let all: Vec<_> = gaps.into_iter().map(Duration::from_millis).collect();
        let (gaps, age) = (of(&all), Duration::from_millis(age));
        let (low, high) = (low.min(high), low.max(high));
        if let (Some(low), Some(high)) = (gaps.quantile(age, low), gaps.quantile(age, high)) {
            prop_assert!(low <= high);
            prop_assert!(low.1 > age, "what is expected lies ahead");
        }
    }
}
