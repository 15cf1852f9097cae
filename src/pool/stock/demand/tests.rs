//! What the number of spares follows.

use std::time::Duration;

use super::{Budget, Demand, HALF, KEEP, Measured, Wanted};

const MIB: u64 = 1 << 20;

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// One whose spares take ten milliseconds to make.
fn quick() -> Demand {
    let mut demand = Demand::default();
    for _ in 0..100 {
        demand.made(millis(10));
    }
    demand
}

#[test]
fn nothing_is_wanted_before_anything_was() {
    assert_eq!(Demand::default().wanted(millis(0)), 0);
}

#[test]
fn a_burst_wants_as_many_as_it_has() {
    let mut demand = quick();
    for _ in 0..200 {
        demand.arrived(millis(1_000));
    }
    assert_eq!(demand.wanted(millis(1_000)), 200);
}

#[test]
fn a_steady_stream_wants_what_arrives_while_one_is_made() {
    // Five arrive while one is made, so the shelf is never full again and all of them are missed in
    // turn; slower than they are made, one is enough.
    for (pause, wanted) in [(100, 1), (20, 1), (11, 1)] {
        let mut demand = quick();
        for n in 0..1_000 {
            demand.arrived(millis(n * pause));
        }
        assert_eq!(demand.wanted(millis(1_000 * pause)), wanted, "every {pause} ms");
    }
    let mut demand = quick();
    for n in 0..100 {
        demand.arrived(millis(n * 2));
    }
    // A hundred in a fifth of a second, in which twenty are made.
    assert_eq!(demand.wanted(millis(200)), 80);
}

#[test]
fn what_takes_long_to_make_is_wanted_in_greater_number() {
    let after = |making: u64| {
        let mut demand = Demand::default();
        for _ in 0..100 {
            demand.made(millis(making));
        }
        for n in 0..50 {
            demand.arrived(millis(n * 30));
        }
        demand.wanted(millis(1_500))
    };
    assert_eq!(after(3), 1);
    assert!(after(60) > 20, "{}", after(60));
}

#[test]
fn a_peak_is_kept_for_a_while_and_then_forgotten_by_halves() {
    let mut demand = quick();
    for _ in 0..64 {
        demand.arrived(millis(5));
    }
    assert_eq!(demand.wanted(millis(5) + KEEP), 64);
    assert_eq!(demand.wanted(millis(5) + KEEP + HALF), 32);
    assert_eq!(demand.wanted(millis(5) + KEEP + HALF * 3), 8);
    assert_eq!(demand.wanted(millis(5) + KEEP + HALF * 10), 0);
}

#[test]
fn a_small_burst_does_not_keep_a_great_one_in_mind() {
    let mut demand = quick();
    for _ in 0..64 {
        demand.arrived(millis(5));
    }
    demand.arrived(KEEP);
    assert_eq!(demand.wanted(KEEP + HALF * 8), 0);
    // And what is left of a great one is no reason to forget a small one.
    let later = KEEP + HALF * 8;
    demand.arrived(later);
    demand.arrived(later);
    assert_eq!(demand.wanted(later + KEEP), 2);
}

fn measured(available: u64) -> Measured {
    Measured { available, reserve: 256 * MIB, used: 0, ceiling: None, held: 0 }
}

#[test]
fn spares_get_a_part_of_what_the_machine_has_beyond_its_reserve() {
    assert_eq!(Budget::of(&measured(1_280 * MIB), None, 9).bytes, 256 * MIB);
    assert_eq!(Budget::of(&measured(256 * MIB), None, 9).bytes, 0);
    assert_eq!(Budget::of(&measured(10 * MIB), None, 9).bytes, 0);
}

#[test]
fn what_spares_hold_already_is_theirs() {
    let before = Budget::of(&measured(1_280 * MIB), None, 9);
    let held = Measured { held: 200 * MIB, ..measured(1_080 * MIB) };
    assert_eq!(Budget::of(&held, None, 9), before);
}

#[test]
fn an_operators_number_stands_for_the_part_but_not_for_the_reserve() {
    assert_eq!(Budget::of(&measured(1_280 * MIB), Some(700 * MIB), 9).bytes, 700 * MIB);
    assert_eq!(Budget::of(&measured(300 * MIB), Some(700 * MIB), 9).bytes, 44 * MIB);
    assert_eq!(Budget::of(&measured(1_280 * MIB), Some(0), 9).bytes, 0);
}

#[test]
fn a_ceiling_for_all_sandboxes_holds_for_spares_too() {
    let ceiling = Measured { ceiling: Some(500 * MIB), used: 450 * MIB, ..measured(4_096 * MIB) };
    assert_eq!(Budget::of(&ceiling, None, 9).bytes, 50 * MIB);
    let full = Measured { used: 501 * MIB, ..ceiling };
    assert_eq!(Budget::of(&full, None, 9).bytes, 0);
}

#[test]
fn what_is_not_enough_for_all_is_shared_in_proportion() {
    let python = Wanted { count: 100, each: 2 * MIB };
    let node = Wanted { count: 20, each: 10 * MIB };
    let all = Budget { bytes: 400 * MIB, places: 120 };
    assert_eq!(all.share(&[python, node]), [100, 20]);
    let half = Budget { bytes: 200 * MIB, ..all };
    assert_eq!(half.share(&[python, node]), [48, 10]);
    let places = Budget { places: 12, ..all };
    assert_eq!(places.share(&[python, node]), [9, 2]);
    let nothing = Budget { bytes: MIB, ..all };
    assert_eq!(nothing.share(&[python, node]), [0, 0]);
    // One of each before a second of any.
    let little = Budget { bytes: 12 * MIB, ..all };
    assert_eq!(little.share(&[python, node]), [1, 1]);
    assert_eq!(Budget { bytes: 11 * MIB, ..all }.share(&[python, node]), [3, 0]);
    assert_eq!(Budget { bytes: 10 * MIB, ..all }.share(&[node]), [1]);
    assert_eq!(Budget::default().share(&[]), [] as [usize; 0]);
}
