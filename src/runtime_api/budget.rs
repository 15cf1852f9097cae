//! How many requests a sandbox may make that lead to nothing.
//!
//! A runtime that does its work is never slowed down: what counts are refused requests, repeated
//! fetches of one event, and connections. A sandbox begins with [`BURST`] of them, is given
//! [`PER_SECOND`] more every second and [`PER_ANSWER`] with every answer it delivers (a shell script
//! that starts one `curl` per request needs two connections for each). Who has none left waits,
//! so that a loop over a wrong request costs this process next to nothing. Pure: the clock is
//! passed in.

use std::time::{Duration, Instant};

/// At most so many are saved up.
const BURST: i64 = 256;
/// Given with time.
const PER_SECOND: i64 = 16;
/// Given with work.
const PER_ANSWER: i64 = 8;
/// One, in the unit that is counted in.
const ONE: i64 = 1_000_000;

/// What one sandbox has left.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Millionths; below zero while somebody waits.
    left: i64,
    /// When it was last counted.
    at: Instant,
}

// === impl Budget ===

impl Budget {
    /// A full one.
    pub(crate) fn new(now: Instant) -> Self {
        Self { left: BURST * ONE, at: now }
    }

    /// Takes one; the caller goes on after waiting so long.
    pub(crate) fn spend(&mut self, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.at);
        self.at = now;
        let passed_us = i64::try_from(passed.as_micros()).unwrap_or(i64::MAX);
        self.give(passed_us.saturating_mul(PER_SECOND));
        self.left -= ONE;
        let owed = u64::try_from(-self.left).unwrap_or(0);
        Duration::from_micros(owed / PER_SECOND.unsigned_abs())
    }

    /// An answer was delivered.
    pub(crate) fn earn(&mut self) {
        self.give(PER_ANSWER * ONE);
    }

    fn give(&mut self, amount: i64) {
        self.left = self.left.saturating_add(amount).min(BURST * ONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_requests_wait_for_nothing_and_later_ones_for_their_turn() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        for _ in 0..BURST {
            assert_eq!(budget.spend(now), Duration::ZERO);
        }
        assert_eq!(budget.spend(now), Duration::from_micros(62_500));
        assert_eq!(budget.spend(now), Duration::from_micros(125_000));
    }

    #[test]
    fn time_gives_some_back_but_never_more_than_the_burst() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        let later = now + Duration::from_secs(3_600);
        for _ in 0..BURST {
            assert_eq!(budget.spend(later), Duration::ZERO);
        }
        assert!(budget.spend(later) > Duration::ZERO);
        let later = later + Duration::from_secs(1);
        for _ in 0..PER_SECOND - 1 {
            assert_eq!(budget.spend(later), Duration::ZERO);
        }
        assert!(budget.spend(later) > Duration::ZERO);
    }

    #[test]
    fn work_pays_for_connections() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        for _ in 0..10_000 {
            assert_eq!(budget.spend(now), Duration::ZERO);
            assert_eq!(budget.spend(now), Duration::ZERO);
            budget.earn();
        }
    }
}
