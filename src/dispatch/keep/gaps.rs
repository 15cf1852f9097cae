//! How long a function's instances stand idle between two events: a histogram of bounded size.
//!
//! ```text
//!   bin   0      1 … 8          9 … 16         17 … 24     …  105 … 112       beyond
//!         < 1 s  1 s … 2 s      2 s … 4 s      4 s … 8 s      2.3 h … 4.7 h
//!                eight to each doubling: none is wider than an eighth of what it holds
//! ```
//!
//! Gaps are told by their length alone, so that what is asked is always "it has been idle for so long
//! already; what now?". Old habits fade: when a function has been seen often, everything is halved.
//!
//! The idea of deciding by such a histogram is that of M. Shahrad et al., "Serverless in the Wild"
//! (USENIX ATC 2020), who count minutes up to four hours and ask for two percentiles. Bins that grow
//! tell a caller of every minute from one of every two, at half the size; and the percentiles are
//! asked of what is left of the histogram, not of all of it.

use std::time::Duration;

/// Bins to each doubling, as a power of two.
const FINE: u32 = 3;
/// The first bin ends at 2^10 ms: nobody is ended and started again within a second.
const FIRST: u32 = 10;
/// The last one ends at 2^24 ms, 4.7 hours: a little more than the four of the paper.
const LAST: u32 = 24;
/// One for everything below a second, and eight for each of fourteen doublings.
const BINS: usize = 1 + ((LAST - FIRST) << FINE) as usize;
/// Gaps that are remembered: from here on the past counts half.
const MOST: u32 = 1 << 10;

/// The gaps of one function, in 236 bytes.
#[derive(Debug, Clone)]
pub(super) struct Gaps {
    counts: [u16; BINS],
    /// Those longer than the last bin.
    beyond: u16,
    /// The sum of all, `beyond` too.
    total: u32,
}

/// What is known about a gap that is still going on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outlook {
    /// Gaps that were at least as long.
    pub(super) seen: u32,
    /// Events per millisecond of keeping, if it is kept for as long as that pays best.
    pub(super) rate: f64,
}

// === impl Gaps ===

impl Gaps {
    /// Nothing is known yet.
    pub(super) const fn new() -> Self {
        Self { counts: [0; BINS], beyond: 0, total: 0 }
    }

    /// Takes note of a gap that an event has ended.
    pub(super) fn add(&mut self, gap: Duration) {
        if self.total >= MOST {
            self.fade();
        }
        self.total += 1;
        match bin(millis(gap)) {
            Some(bin) => self.counts[bin] += 1,
            None => self.beyond += 1,
        }
    }

    /// How many are remembered.
    pub(super) fn total(&self) -> u32 {
        self.total
    }

    /// What to expect of an instance that has been idle for `age`.
    ///
    /// The rate is the best there is over all times to keep it for: events it is expected to serve in
    /// that time by the time it is expected to be kept. So a caller of every ten minutes has a small
    /// one at first, and a large one after nine.
    pub(super) fn outlook(&self, age: Duration) -> Outlook {
        let age = millis(age);
        let first = bin(age).unwrap_or(BINS);
        let later = &self.counts[first..];
        let seen = self.longer(first);
        let (mut best, mut served, mut held) = (0.0_f64, 0.0, 0.0);
        let mut left = f64::from(seen);
        for (offset, count) in later.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (start, end) = edges(first + offset);
            let (middle, count) =
                ((start.max(age) + end) as f64 / 2.0 - age as f64, f64::from(*count));
            served += count;
            left -= count;
            held += count * middle;
            let kept = held + left * (end - age) as f64;
            best = best.max(served / kept.max(1.0));
        }
        Outlook { seen, rate: best }
    }

    /// The bin in which that share of the gaps is reached that were longer than `age`: its beginning
    /// and its end. `None` if it is beyond what is counted, or there was none.
    pub(super) fn quantile(&self, age: Duration, share: f64) -> Option<(Duration, Duration)> {
        let first = bin(millis(age))?;
        let wanted = share * f64::from(self.longer(first));
        let mut sum = 0.0;
        for (offset, count) in self.counts[first..].iter().enumerate() {
            sum += f64::from(*count);
            if *count > 0 && sum >= wanted {
                let (start, end) = edges(first + offset);
                return Some((Duration::from_millis(start), Duration::from_millis(end)));
            }
        }
        None
    }

    /// Gaps that are in this bin or in a later one.
    fn longer(&self, first: usize) -> u32 {
        let counted = self.counts.get(first..).unwrap_or_default();
        counted.iter().map(|count| u32::from(*count)).sum::<u32>() + u32::from(self.beyond)
    }

    fn fade(&mut self) {
        for count in &mut self.counts {
            *count /= 2;
        }
        self.beyond /= 2;
        let within: u32 = self.counts.iter().map(|count| u32::from(*count)).sum();
        self.total = within + u32::from(self.beyond);
    }
}

/// Which bin a gap falls into; `None` beyond the last.
fn bin(millis: u64) -> Option<usize> {
    if millis < 1 << FIRST {
        return Some(0);
    }
    let doubling = millis.ilog2();
    if doubling >= LAST {
        return None;
    }
    let part = (millis >> (doubling - FINE)) & ((1 << FINE) - 1);
    Some(1 + (((doubling - FIRST) << FINE) as usize) + part as usize)
}

/// From where to where a bin reaches, milliseconds; the end is the next one's beginning.
fn edges(bin: usize) -> (u64, u64) {
    if bin == 0 {
        return (0, 1 << FIRST);
    }
    let (doubling, part) = ((bin as u64 - 1) >> FINE, (bin as u64 - 1) & ((1 << FINE) - 1));
    let width = 1_u64 << (u64::from(FIRST) + doubling - u64::from(FINE));
    let start = (1_u64 << (u64::from(FIRST) + doubling)) + part * width;
    (start, start + width)
}

fn millis(gap: Duration) -> u64 {
    u64::try_from(gap.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
