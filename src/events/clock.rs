//! What time it is, for what is written down and for what is waited for.
//!
//! A clock is read off the wall once, when it is made, and runs monotonically from there: whatever
//! the machine's clock does meanwhile, nothing here becomes due early, late or twice. What an earlier
//! process wrote is brought to what can be when it is read (`EventQueue::tame`). A clock that jumped
//! ahead between two processes cannot be told from a long pause, and counts as one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Milliseconds since the epoch that never go backwards.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start_ms: u64,
    started: Instant,
    /// How many of its milliseconds pass in one.
    pace: u32,
}

// === impl Clock ===

impl Clock {
    /// The machine's; one that stands before 1970 counts as standing there.
    pub fn system() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// One that shows `start_ms` now and passes as tokio's time does.
    pub fn starting_at(start_ms: u64) -> Self {
        Self { start_ms, started: Instant::now(), pace: 1 }
    }

    /// The same, faster, so that tests do not wait for minutes.
    #[must_use]
    pub fn at_pace(self, pace: u32) -> Self {
        Self { pace, ..self }
    }

    /// Now.
    pub fn now_ms(&self) -> u64 {
        let passed = (self.started.elapsed() * self.pace).as_millis();
        self.start_ms.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// Waits until it shows `ms`.
    pub async fn until(&self, ms: u64) {
        let after = Duration::from_millis(ms.saturating_sub(self.start_ms)) / self.pace;
        match self.started.checked_add(after) {
            Some(then) => tokio::time::sleep_until(then).await,
            None => std::future::pending().await,
        }
    }
}
