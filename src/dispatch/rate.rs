//! How fast one function may grow.
//!
//! AWS starts at most 1,000 new instances of a function in ten seconds, given back evenly. What is kept
//! of a function is one moment: until when its starts are paid for if they are spread evenly. A start
//! moves it on by one interval; when it is as far ahead as the whole allowance lasts, there is no start.

use std::time::Duration;

use model::FunctionId;

use crate::hash::IdMap;
use crate::time::Time;

/// Over how long the allowance is meant (an AWS limit).
const WINDOW: Duration = Duration::from_secs(10);

/// Starts of each function that has had some of late.
#[derive(Debug)]
pub(crate) struct StartRate {
    /// What one start takes up of [`WINDOW`]; nothing without a limit.
    interval: Duration,
    paid_until: IdMap<FunctionId, Time>,
}

// === impl StartRate ===

impl StartRate {
    /// So many starts in ten seconds; 0 for no limit.
    pub(crate) fn new(starts: u32) -> Self {
        let interval = WINDOW.checked_div(starts).unwrap_or_default();
        Self { interval, paid_until: IdMap::default() }
    }

    /// Whether there may be a start.
    pub(crate) fn allows(&self, now: Time, function: FunctionId) -> bool {
        self.after_one_more(now, function) <= now.after(WINDOW)
    }

    /// When there may be one, if there is none before.
    pub(crate) fn next(&self, function: FunctionId) -> Time {
        let paid = self.paid_until.get(&function).copied().unwrap_or_default();
        let window = u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX);
        Time(paid.after(self.interval).0.saturating_sub(window))
    }

    /// There is a start.
    pub(crate) fn count(&mut self, now: Time, function: FunctionId) {
        let paid = self.after_one_more(now, function);
        self.paid_until.insert(function, paid);
    }

    fn after_one_more(&self, now: Time, function: FunctionId) -> Time {
        let paid = self.paid_until.get(&function).copied().unwrap_or(now).max(now);
        paid.after(self.interval)
    }

    /// Forgets those that have their whole allowance.
    pub(crate) fn forget(&mut self, now: Time) {
        self.paid_until.retain(|_, paid| *paid > now);
    }
}

#[cfg(test)]
mod tests;
