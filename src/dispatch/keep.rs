//! What an idle instance is worth, how long it is kept, and when one is started before it is called.
//!
//! ```text
//!   an event ends a gap ──► Gaps (histogram)            started ──► what starting again costs
//!                             │ "idle for so long already: how often will it be used?"  │
//!                             ▼                                                         ▼
//!                         frequency ────────────► value = rebuild cost × frequency ÷ memory
//!                             │                     │
//!             below one use   │                     └─► memory is wanted: the least valuable goes
//!             in the time one │
//!             is kept for ────┴─► ended; a regular caller's is started again before he calls
//! ```
//!
//! The value is that of greedy-dual caching (N. Young; for functions A. Fuerst and P. Sharma,
//! "FaasCache", ASPLOS 2021), which lets values age by a clock that every eviction moves on. Here
//! nothing ages by a clock: the frequency is asked anew with the time the instance has been idle for.
//! `benches/keepwarm` drives this very code and has the figures of both.
//!
//! Everything is pure: no clock, no lock. Times are lengths; what they are lengths of is the caller's.

mod gaps;

use std::time::Duration;

use gaps::Gaps;

/// What is known of one generation's use; less than 300 bytes.
#[derive(Debug, Clone)]
pub struct Profile {
    gaps: Gaps,
    /// What the last starts took, milliseconds; 0 until there was one.
    rebuild: f32,
}

/// When a regular caller is expected, both since the last event was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appointment {
    /// Not before.
    pub from: Duration,
    /// As a rule not after.
    pub until: Duration,
}

/// How many gaps a guess weighs as much as. The guess is that what was idle for so long will be for as
/// long again, which is what makes a cache throw out what was used longest ago. Anything from a half to
/// ten gives the same figures in the simulator, within a hundredth of each.
const GUESS: f64 = 1.0;
/// Below this the guess does not rise any more: of who was used this moment nothing follows.
const GUESS_FROM: f64 = 10_000.0;
/// A start takes at least this, milliseconds; also what is assumed until one has been measured.
const CHEAPEST: f32 = 1.0;
/// What the latest start weighs beside those before it.
const LATEST: f32 = 0.25;

/// Gaps that have to agree before a caller is called regular.
const AGREE: u32 = 3;
/// How many of all gaps are as long as the appointment says: the first of twenty begins it, four of
/// five are within.
const EARLY: f64 = 0.05;
const IN_TIME: f64 = 0.8;
/// When nobody is waited for any more.
const LATE: f64 = 0.95;
/// How much the gaps of a regular caller may differ: by a third, and by this much for those that are
/// short. What is held then is held for at most a quarter of the time that is not.
const LOOSE: Duration = Duration::from_secs(2);
/// Nobody is expected sooner than this, or than this part of the time one is kept for: who was thrown
/// out for want of memory is not let in again at once.
const SOON: Duration = Duration::from_secs(30);
const SOON_PART: u32 = 20;

// === impl Profile ===

impl Profile {
    /// Of what was never used.
    pub const fn new() -> Self {
        Self { gaps: Gaps::new(), rebuild: 0.0 }
    }

    /// An event came for an instance that had been idle for so long; or for one that would have been
    /// if it had been kept.
    pub fn used(&mut self, idle: Duration) {
        self.gaps.add(idle);
    }

    /// An instance was started, from whatever stood ready, until it could serve.
    pub fn rebuilt(&mut self, took: Duration) {
        let millis = (took.as_secs_f32() * 1000.0).max(CHEAPEST);
        let before = if self.rebuild > 0.0 { self.rebuild } else { millis };
        self.rebuild = before + (millis - before) * LATEST;
    }

    /// What another start is expected to take.
    pub fn rebuild(&self) -> Duration {
        Duration::from_micros((self.rebuild.max(CHEAPEST) * 1000.0) as u64)
    }

    /// How often an instance that has been idle for so long will be used, in events per second of
    /// keeping it.
    pub fn frequency(&self, idle: Duration) -> f64 {
        self.expected(idle, GUESS_FROM)
    }

    /// What keeping it for a second is worth: milliseconds of callers' waiting, for each MiB.
    pub fn value(&self, idle: Duration, bytes: u64) -> f64 {
        let mebibytes = (bytes.max(1) as f64) / f64::from(1 << 20);
        f64::from(self.rebuild.max(CHEAPEST)) * self.frequency(idle) / mebibytes
    }

    /// Whether to go on keeping an instance that has been idle for so long, if nobody wants its memory:
    /// one is kept for `hold` on average for each event it serves. Of an unknown function's that is,
    /// exactly, whether it has been idle for less.
    pub fn is_wanted(&self, idle: Duration, hold: Duration) -> bool {
        self.expected(idle, 1.0) * hold.as_secs_f64() > 1.0
    }

    /// When the next event is expected, if events come regularly; asked after `idle` without one, where
    /// an instance is kept for `hold`.
    pub fn appointment(&self, idle: Duration, hold: Duration) -> Option<Appointment> {
        if self.gaps.outlook(idle).seen < AGREE {
            return None;
        }
        let (from, _) = self.gaps.quantile(idle, EARLY)?;
        let (_, in_time) = self.gaps.quantile(idle, IN_TIME)?;
        let (_, until) = self.gaps.quantile(idle, LATE).unwrap_or((from, in_time));
        let soon = SOON.min(hold / SOON_PART);
        (from >= idle + soon && in_time - from <= from / 3 + LOOSE)
            .then_some(Appointment { from, until })
    }

    /// Events per second, where the guess does not rise below `least` milliseconds.
    fn expected(&self, idle: Duration, least: f64) -> f64 {
        let known = self.gaps.outlook(idle);
        let guess = 1.0 / (idle.as_secs_f64() * 1000.0).max(least);
        let seen = f64::from(known.seen);
        (seen * known.rate + GUESS * guess) / (seen + GUESS) * 1000.0
    }

    /// How many gaps are remembered.
    pub fn seen(&self) -> u32 {
        self.gaps.total()
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
