//! What a bucket of bytes promises.

use std::time::Duration;

use super::{Budget, LogBudget};

#[test]
fn a_burst_fits_and_then_the_rate_holds() {
    let budget = Budget::new(LogBudget { rate: 1_000, burst: 500 });
    assert!(budget.take(500, Duration::ZERO));
    assert!(!budget.take(1, Duration::ZERO));
    assert!(budget.take(100, Duration::from_millis(100)));
    assert!(!budget.take(1, Duration::from_millis(100)));
}

#[test]
fn an_idle_bucket_holds_no_more_than_a_burst() {
    let budget = Budget::new(LogBudget { rate: 1_000, burst: 500 });
    assert!(!budget.take(501, Duration::from_secs(3_600)));
    assert!(budget.take(500, Duration::from_secs(3_600)));
}

#[test]
fn asking_often_earns_as_much_as_asking_seldom() {
    let budget = Budget::new(LogBudget { rate: 1_000, burst: 1_000 });
    assert!(budget.take(1_000, Duration::ZERO));
    for micros in 1..=500_000 {
        budget.take(0, Duration::from_micros(micros));
    }
    assert!(budget.take(490, Duration::from_millis(500)));
}
