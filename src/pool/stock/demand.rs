//! How many spares are to stand ready: as many as were wanted of late, within what there is to spend.
//!
//! A shelf that nobody refills needs as many spares as starts arrive while one is made again. That is
//! arrivals × the time it takes to make one, and it is counted rather than averaged, because starts come
//! in bursts: a level rises by one with every arrival and falls by one in the time it takes to make one.
//! What it was at its highest is what a shelf would have had to hold so that nobody found it empty.
//!
//! ```text
//!   level   ╭╮ a burst           peak ────────────────╮ kept, then halved every so often
//!          ╭╯╰─╮     ╭╮                               ╰──╮
//!      ────╯   ╰─────╯╰────                              ╰────── the floor
//! ```
//!
//! What there is to spend is measured: a part of what the machine could give beyond its reserve, counted
//! in what spares of that kind were seen to use. On a machine that has nothing to give there are none.
//!
//! Pure: the clock is an argument.

use std::time::Duration;

/// How long a peak counts in full: as long as people come back after a break for coffee.
const KEEP: Duration = Duration::from_secs(300);
/// How long it takes from then on to become half of what it was.
const HALF: Duration = Duration::from_secs(60);
/// What making one is taken to need until it was seen: Node's start on the machine it was measured on,
/// the slowest of those there are.
const MAKING: Duration = Duration::from_millis(50);
/// How much the newest measurement counts in the mean: an eighth, as for round trips in TCP.
const NEWEST: f64 = 1.0 / 8.0;
/// Which part of what the machine could give spares may hold. What they hold is given up as soon as
/// instances need it, so this only bounds how much there is to give up at once.
const PART: u64 = 4;

/// What was wanted of one kind of spare.
#[derive(Debug, Clone)]
pub(super) struct Demand {
    /// Those that a shelf without end would miss now.
    level: f64,
    /// When that was.
    at: Duration,
    /// The highest level of late, and when it was.
    peak: f64,
    peaked: Duration,
    /// How long it takes to make one, seconds.
    making: f64,
}

/// What of one kind is wanted, and what one costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) count: usize,
    /// Bytes of memory.
    pub(super) each: u64,
}

/// What is there to be spent on spares of all kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Budget {
    /// Bytes of memory.
    pub(super) bytes: u64,
    /// Cells.
    pub(super) places: usize,
}

/// What the machine's memory looks like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// Bytes the machine could still give.
    pub(super) available: u64,
    /// Bytes of them that stay free.
    pub(super) reserve: u64,
    /// Bytes that instances use.
    pub(super) used: u64,
    /// Most bytes that sandboxes may use together, if somebody said.
    pub(super) ceiling: Option<u64>,
    /// Bytes that spares hold.
    pub(super) held: u64,
}

// === impl Demand ===

impl Default for Demand {
    fn default() -> Self {
        let never = Duration::ZERO;
        let making = MAKING.as_secs_f64();
        Self { level: 0.0, at: never, peak: 0.0, peaked: never, making }
    }
}

impl Demand {
    /// A start wanted one.
    pub(super) fn arrived(&mut self, now: Duration) {
        let made = now.saturating_sub(self.at).as_secs_f64() / self.making;
        self.level = (self.level - made).max(0.0) + 1.0;
        self.at = now;
        if self.level >= self.recent(now) {
            (self.peak, self.peaked) = (self.level, now);
        }
    }

    /// One was made.
    pub(super) fn made(&mut self, took: Duration) {
        self.making += (took.as_secs_f64() - self.making) * NEWEST;
    }

    /// How many were wanted at once of late.
    pub(super) fn wanted(&self, now: Duration) -> usize {
        // What is left of a peak counts for nothing once it is less than half a spare.
        self.recent(now).round() as usize
    }

    fn recent(&self, now: Duration) -> f64 {
        let since = now.saturating_sub(self.peaked + KEEP).as_secs_f64();
        self.peak * 0.5_f64.powf(since / HALF.as_secs_f64())
    }
}

// === impl Budget ===

impl Budget {
    /// What may be spent, of which nothing is promised: it is worked out again whenever memory is
    /// measured.
    pub(super) fn of(measured: &Measured, most: Option<u64>, places: usize) -> Self {
        let Measured { available, reserve, used, ceiling, held } = *measured;
        // What spares hold is theirs to spend again.
        let free = available.saturating_add(held).saturating_sub(reserve);
        let allowed = ceiling.map_or(u64::MAX, |ceiling| ceiling.saturating_sub(used));
        let bytes = most.unwrap_or(free / PART).min(free).min(allowed);
        Self { bytes, places }
    }

    /// How many of each kind that is enough for: one of each before a second of any, and then all, or
    /// of each the same part of what is wanted.
    pub(super) fn share(mut self, wanted: &[Wanted]) -> Vec<usize> {
        let mut shares = vec![0; wanted.len()];
        for (share, it) in shares.iter_mut().zip(wanted) {
            if it.count > 0 && it.each <= self.bytes && self.places > 0 {
                *share = 1;
                self.bytes -= it.each;
                self.places -= 1;
            }
        }
        let rest = || wanted.iter().zip(&shares).map(|(it, share)| (it.count - share, it.each));
        let count: usize = rest().map(|(count, _)| count).sum();
        let bytes: u64 = rest().map(|(count, each)| count as u64 * each).sum();
        let part = |have: f64, want: f64| if want > have { have / want } else { 1.0 };
        let part =
            part(self.bytes as f64, bytes as f64).min(part(self.places as f64, count as f64));
        let more: Vec<usize> = rest().map(|(count, _)| (count as f64 * part) as usize).collect();
        shares.iter().zip(more).map(|(share, more)| share + more).collect()
    }
}

#[cfg(test)]
mod tests;
