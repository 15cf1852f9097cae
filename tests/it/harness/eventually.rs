//! Waiting for something to become true, without guessing how long it takes.

use std::thread;
use std::time::{Duration, Instant};

/// Between two looks. Short, because most things are true at the second one.
const PAUSE: Duration = Duration::from_millis(10);

/// A bound on time, on this machine: as many times as much as `HEARTH_TEST_PATIENCE` says, where one is
/// known to be slow. `tests/vm` interprets its processors.
pub fn patience(bound: Duration) -> Duration {
    let times = std::env::var("HEARTH_TEST_PATIENCE").ok();
    bound * times.map_or(1, |times| times.parse().expect("HEARTH_TEST_PATIENCE is a number"))
}

/// Looks until `look` finds something, and returns it; fails the test when `patience` is over.
///
/// The patience is a bound for a machine in trouble, never an expectation: choose it generously.
#[track_caller]
pub fn eventually<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    let patience = self::patience(patience);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < patience, "{what}: not within {patience:?}");
        thread::sleep(PAUSE);
    }
}
