//! How much one function may print.
//!
//! A bucket of bytes that fills at a steady rate, shared by all instances of the function. What does
//! not fit is read and dropped, so that a function which prints without end fills neither memory nor
//! disk and is itself only slowed down. The clock is passed in.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The rate and the size of the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBudget {
    /// Bytes a second.
    pub rate: u64,
    /// Bytes at once.
    pub burst: u64,
}

/// One function's bucket.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: LogBudget,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    bytes: u64,
    /// When `bytes` was true, since the pool's start.
    at: Duration,
}

// === impl LogBudget ===

impl Default for LogBudget {
    fn default() -> Self {
        // A function that prints 1 MiB a second without pause fills 84 GiB a day: the log store
        // deletes faster than anyone reads. A burst holds a large stack trace of every instance.
        Self { rate: 1 << 20, burst: 8 << 20 }
    }
}

// === impl Budget ===

impl Budget {
    pub(crate) fn new(limits: LogBudget) -> Self {
        Self { limits, bucket: Mutex::new(Bucket { bytes: limits.burst, at: Duration::ZERO }) }
    }

    /// Takes `count` bytes, all or none.
    pub(crate) fn take(&self, count: usize, now: Duration) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_sub(bucket.at);
        let earned = passed.as_micros().saturating_mul(self.limits.rate.into()) / 1_000_000;
        // Less than a byte's worth of time is not spent, or a busy function would never earn any.
        if earned > 0 {
            let earned = u64::try_from(earned).unwrap_or(u64::MAX);
            bucket.bytes = bucket.bytes.saturating_add(earned).min(self.limits.burst);
            bucket.at = now;
        }
        match bucket.bytes.checked_sub(count as u64) {
            Some(left) => {
                bucket.bytes = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
