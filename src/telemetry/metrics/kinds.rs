//! Counter, gauge, histogram, and families of them: atomics that print themselves.
//!
//! All orderings are relaxed. A scrape sees each number as it was at some moment of the scrape, not
//! all of them at the same one; Prometheus asks for no more.

use std::fmt::Write as _;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::labels::Label;

/// Only ever rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// Rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

/// Durations, sorted into fixed buckets.
#[derive(Debug)]
pub struct Histogram {
    /// How many fell into each bucket alone; the last is what no bound holds. Summed when printed.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// Their sum, microseconds.
    sum_us: AtomicU64,
}

/// One metric per value of a label. `N` is the number of values.
#[derive(Debug)]
pub struct Family<L, M, const N: usize> {
    members: [M; N],
    label: PhantomData<fn(L)>,
}

/// Upper bounds, microseconds: from a warm call (20 µs is its floor) to AWS's longest timeout, 900 s.
const BOUNDS: [u64; 21] = [
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    900_000_000,
];

/// What can stand in the text.
pub(super) trait Expose {
    /// The word after `# TYPE`.
    const TYPE: &'static str;

    /// Appends the samples, without their header; `labels` is empty or such as `class="timeout"`.
    fn samples(&self, name: &str, labels: &str, out: &mut String);
}

/// Appends header and samples of one metric.
pub(super) fn expose<M: Expose>(name: &str, help: &str, metric: &M, out: &mut String) {
    line(out, format_args!("# HELP {name} {help}"));
    line(out, format_args!("# TYPE {name} {}", M::TYPE));
    metric.samples(name, "", out);
}

// === impl Counter ===

impl Counter {
    /// Zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// How many there have been.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Expose for Counter {
    const TYPE: &'static str = "counter";

    fn samples(&self, name: &str, labels: &str, out: &mut String) {
        sample(out, name, labels, self.get());
    }
}

// === impl Gauge ===

impl Gauge {
    /// Zero.
    pub const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    /// One more.
    pub fn inc(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// One less.
    pub fn dec(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// So many.
    pub fn set(&self, value: u64) {
        self.0.store(i64::try_from(value).unwrap_or(i64::MAX), Relaxed);
    }

    /// How many there are; never below zero, even where a fall was counted before its rise.
    pub fn get(&self) -> u64 {
        u64::try_from(self.0.load(Relaxed)).unwrap_or(0)
    }
}

impl Expose for Gauge {
    const TYPE: &'static str = "gauge";

    fn samples(&self, name: &str, labels: &str, out: &mut String) {
        sample(out, name, labels, self.get());
    }
}

// === impl Histogram ===

impl Histogram {
    /// Empty.
    pub const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BOUNDS.len() + 1], sum_us: AtomicU64::new(0) }
    }

    /// Adds one duration.
    pub fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
    }

    /// How many were added.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Expose for Histogram {
    const TYPE: &'static str = "histogram";

    fn samples(&self, name: &str, _labels: &str, out: &mut String) {
        let mut total = 0;
        for (bound, bucket) in BOUNDS.iter().zip(&self.buckets) {
            total += bucket.load(Relaxed);
            let seconds = seconds(*bound);
            line(out, format_args!("{name}_bucket{{le=\"{seconds}\"}} {total}"));
        }
        total += self.buckets[BOUNDS.len()].load(Relaxed);
        line(out, format_args!("{name}_bucket{{le=\"+Inf\"}} {total}"));
        line(out, format_args!("{name}_sum {}", seconds(self.sum_us.load(Relaxed))));
        line(out, format_args!("{name}_count {total}"));
    }
}

// === impl Family ===

impl<L: Label, M, const N: usize> Family<L, M, N> {
    /// The metric of one value.
    pub fn of(&self, label: L) -> &M {
        &self.members[label.index()]
    }
}

impl<L: Label, const N: usize> Family<L, Counter, N> {
    /// All zero.
    pub const fn new() -> Self {
        const { assert!(L::ALL.len() == N, "a family has one member per value of its label") }
        Self { members: [const { Counter::new() }; N], label: PhantomData }
    }
}

impl<L: Label, const N: usize> Family<L, Gauge, N> {
    /// All zero.
    pub const fn new() -> Self {
        const { assert!(L::ALL.len() == N, "a family has one member per value of its label") }
        Self { members: [const { Gauge::new() }; N], label: PhantomData }
    }
}

impl<L: Label, const N: usize> Default for Family<L, Counter, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L: Label, const N: usize> Default for Family<L, Gauge, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L: Label, M: Expose, const N: usize> Expose for Family<L, M, N> {
    const TYPE: &'static str = M::TYPE;

    fn samples(&self, name: &str, _labels: &str, out: &mut String) {
        for value in L::ALL {
            let labels = format!("{}=\"{}\"", L::KEY, value.text());
            self.of(*value).samples(name, &labels, out);
        }
    }
}

/// Appends one sample.
pub(super) fn sample(out: &mut String, name: &str, labels: &str, value: u64) {
    if labels.is_empty() {
        line(out, format_args!("{name} {value}"));
    } else {
        line(out, format_args!("{name}{{{labels}}} {value}"));
    }
}

/// Appends one line.
pub(super) fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string does not fail");
    out.push('\n');
}

/// Microseconds as seconds, exactly.
pub(super) fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
