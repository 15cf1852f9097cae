//! Samples in a row, the line of least squares through each of their numbers, and whether it rises.
//!
//! What leaks, leaks with every sandbox: a count that grows with their number has a slope above zero,
//! one that only goes up and down has none. How much of a slope is noise depends on how exactly the
//! thing is counted ([`noise`]); the smallest leak that is worth the name, one object with every tenth
//! sandbox, is twice the largest of them over 5,000 sandboxes.

use std::fmt::Write as _;

use crate::counters::{Count, Exactness, elsewhere};

/// Samples at the start that are not looked at: caches fill and pools grow to the size they need.
const WARM_UP: usize = 2;

/// Samples, each after a number of sandboxes.
#[derive(Debug, Default)]
pub struct Series {
    samples: Vec<(u32, Vec<Count>)>,
}

/// The line through one number's samples.
#[derive(Debug)]
pub struct Line {
    pub name: String,
    first: f64,
    last: f64,
    /// By how much it grows with each sandbox.
    slope: f64,
    /// What of that is noise.
    noise: f64,
}

/// The rise per sandbox that is no leak, in the unit of the count.
pub fn noise(exactness: Exactness, sandboxes: f64) -> f64 {
    match exactness {
        // Two more at the end than at the beginning: a cell that is just being taken down.
        Exactness::Exact => 2.0 / sandboxes,
        // After a grace period, which the last ones are still in.
        Exactness::Lazy => 0.01_f64.max(60.0 / sandboxes),
        // Seen on two processors: between 170 and 290 objects of one kind, up and down, all the time.
        Exactness::Batched => 0.03_f64.max(200.0 / sandboxes),
        // 100 bytes with each, or 400 KiB altogether.
        Exactness::Memory => 0.1_f64.max(400.0 / sandboxes),
    }
}

// === impl Series ===

impl Series {
    /// One more sample, after so many sandboxes.
    pub fn push(&mut self, sandboxes: u32, counts: Vec<Count>) {
        self.samples.push((sandboxes, counts));
    }

    /// The first sample, if there is one.
    pub fn first(&self) -> Option<&[Count]> {
        self.samples.first().map(|(_, counts)| counts.as_slice())
    }

    /// The line through each number.
    pub fn lines(&self) -> Vec<Line> {
        let samples = &self.samples[WARM_UP.min(self.samples.len().saturating_sub(3))..];
        let (Some((begin, first)), Some((end, last))) = (samples.first(), samples.last()) else {
            return Vec::new();
        };
        let sandboxes = f64::from(end - begin).max(1.0);
        let line = |count: &Count| {
            let points: Vec<(f64, f64)> = samples
                .iter()
                .filter_map(|(at, all)| Some((f64::from(*at), of(all, &count.name)?)))
                .collect();
            Line {
                name: count.name.clone(),
                first: count.value,
                last: of(last, &count.name).unwrap_or(0.0),
                slope: slope(&points),
                noise: noise(count.exactness, sandboxes),
            }
        };
        first.iter().map(line).collect()
    }

    /// The table of all lines, as it stands in `docs/benchmarks.md`.
    pub fn table(&self) -> String {
        let mut out = String::from(
            "| count | first | last | per 1,000 | of which noise |\n|---|---|---|---|---|\n",
        );
        for line in self.lines() {
            let Line { name, first, last, slope, noise } = line;
            let (slope, noise) = (slope * 1000.0, noise * 1000.0);
            // Writing to a string cannot fail.
            let _ = writeln!(out, "| {name} | {first:.0} | {last:.0} | {slope:+.2} | {noise:.1} |");
        }
        out
    }

    /// Fails where a line rises by more than noise.
    pub fn must_not_rise(&self) {
        let rising: Vec<String> = self.rising().into_iter().map(|line| line.name).collect();
        assert!(
            rising.is_empty(),
            "these grow, or something else runs on this machine, which soaks want for themselves: \
             {rising:?}\nprocesses in namespaces of their own now:\n{}",
            elsewhere().join("\n")
        );
    }

    /// The lines that rise by more than noise.
    pub fn rising(&self) -> Vec<Line> {
        self.lines().into_iter().filter(|line| line.slope > line.noise).collect()
    }
}

fn of(counts: &[Count], name: &str) -> Option<f64> {
    counts.iter().find(|count| count.name == name).map(|count| count.value)
}

/// The slope of the line of least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let together: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let alone: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if alone == 0.0 { 0.0 } else { together / alone }
}
