//! What a bucket of bytes promises.

use std::time::Duration;

use super::{Budget, LINE_COST, LogBudget};

fn keeps(budget: &Budget, bytes: usize, at_ms: u64) -> bool {
    budget.keep(&vec![b'x'; bytes], Duration::from_millis(at_ms)) == bytes
}

#[test]
fn a_burst_fits_and_then_the_rate_holds() {
    let budget = Budget::new(LogBudget { rate: 1_000, burst: 500 });
    assert!(keeps(&budget, 500, 0));
    assert!(!keeps(&budget, 1, 0));
    assert!(keeps(&budget, 100, 100));
    assert!(!keeps(&budget, 1, 100));
}

#[test]
fn an_idle_bucket_holds_no_more_than_a_burst() {
    let budget = Budget::new(LogBudget { rate: 1_000, burst: 500 });
    assert!(!keeps(&budget, 501, 3_600_000));
    assert!(keeps(&budget, 500, 3_600_000));
}

#[test]
fn asking_often_earns_as_much_as_asking_seldom() {
    let budget = Budget::new(LogBudget { rate: 1_000, burst: 1_000 });
    assert!(keeps(&budget, 1_000, 0));
    for micros in 1..=500_000 {
        budget.keep(b"", Duration::from_micros(micros));
    }
    assert!(keeps(&budget, 490, 500));
}

#[test]
fn a_line_costs_more_than_its_bytes() {
    let line = LINE_COST + 1;
    let budget = Budget::new(LogBudget { rate: 1_000, burst: 10 * line });
    assert_eq!(budget.keep(&[b'\n'; 10], Duration::ZERO), 10);
    assert_eq!(budget.keep(b"\n", Duration::ZERO), 0);
}

#[test]
fn of_what_exceeds_a_bucket_the_first_lines_are_kept_and_then_none_until_it_is_half_full() {
    let line = LINE_COST + 1;
    let budget = Budget::new(LogBudget { rate: line * 1_000, burst: 10 * line });
    assert_eq!(budget.keep(&[b'\n'; 64], Duration::ZERO), 10);
    assert_eq!(budget.keep(&[b'\n'; 64], Duration::from_millis(4)), 0);
    assert_eq!(budget.keep(&[b'\n'; 64], Duration::from_millis(7)), 7);
}
