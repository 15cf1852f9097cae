//! The clock as this crate sees it: a number that is passed in.
//!
//! Milliseconds are as fine as any decision here needs to be (idle expiry is minutes); durations that
//! a caller is told are measured by whoever measures them.

use std::time::Duration;

/// Milliseconds since some moment that never changes while a dispatch lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(pub u64);

// === impl Time ===

impl Time {
    /// This moment and `duration` later; the end of time if that is beyond it.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// How long after an earlier moment; nothing if it is a later one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}
