//! Waiting for something to become true, without guessing how long it takes.

use std::thread;
use std::time::{Duration, Instant};

/// Between two looks. Short, because most things are true at the second one.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until `look` finds something, and returns it; fails the test when `patience` is over.
///
/// The patience is a bound for a machine in trouble, never an expectation: choose it generously.
#[track_caller]
pub fn eventually<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < patience, "{what}: not within {patience:?}");
        thread::sleep(PAUSE);
    }
}
