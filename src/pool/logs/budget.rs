//! How much one function may print.
//!
//! A bucket that fills at a steady rate, shared by all instances of the function. What does not fit is
//! read and dropped, so that a function which prints without end fills neither memory nor disk and is
//! itself only slowed down. The clock is passed in.
//!
//! A line costs its bytes and something beside them, because it costs us that: without, a function
//! that prints nothing but newlines has a million lines a second for its mebibyte.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a line costs beside its bytes: what the log store keeps about it while it waits (56 bytes) and
/// writes before it (33), rounded up.
pub(crate) const LINE_COST: u64 = 100;

/// The rate and the size of the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBudget {
    /// Bytes a second; each line counts as a hundred bytes more than it has.
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

    /// Pays for as much of the front of some output as may be kept; how many bytes that is.
    ///
    /// All or nothing, or every pause of a flood would let a few lines through and be told of in a
    /// line of its own. Only where more was printed at once than a bucket can hold are the first lines
    /// kept for which a well-filled one suffices.
    pub(crate) fn keep(&self, output: &[u8], now: Duration) -> usize {
        let lines = memchr::memchr_iter(b'\n', output).count() as u64;
        let cost = output.len() as u64 + LINE_COST * lines;
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.fill(&self.limits, now);
        if let Some(left) = bucket.bytes.checked_sub(cost) {
            bucket.bytes = left;
            return output.len();
        }
        let mut kept = 0;
        if bucket.bytes >= self.limits.burst / 2 {
            for end in memchr::memchr_iter(b'\n', output) {
                let cost = (end + 1 - kept) as u64 + LINE_COST;
                let Some(left) = bucket.bytes.checked_sub(cost) else { break };
                bucket.bytes = left;
                kept = end + 1;
            }
        }
        kept
    }
}

// === impl Bucket ===

impl Bucket {
    fn fill(&mut self, limits: &LogBudget, now: Duration) {
        let passed = now.saturating_sub(self.at);
        let earned = passed.as_micros().saturating_mul(limits.rate.into()) / 1_000_000;
        // Less than a byte's worth of time is not spent, or a busy function would never earn any.
        if earned > 0 {
            let earned = u64::try_from(earned).unwrap_or(u64::MAX);
            self.bytes = self.bytes.saturating_add(earned).min(limits.burst);
            self.at = now;
        }
    }
}

#[cfg(test)]
mod tests;
