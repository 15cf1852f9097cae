//! Calls of a day, drawn from figures that were published of a public cloud.
//!
//! M. Shahrad et al., "Serverless in the Wild" (USENIX ATC 2020), describe two weeks of Azure Functions
//! in 2019. What is taken from there are quantiles over functions, joined by straight lines on a
//! logarithmic scale: calls per day, mean execution time, memory; and that a part of the functions is
//! called by timers at fixed intervals, a part from queues in batches, and the rest over HTTP by people
//! who come in sessions and sleep at night.
//!
//! What the figures do not say is assumed here, and written beside the constant: which share of the
//! functions has which trigger, how long a start takes, how calls of a session or batch follow one
//! another, and that a function which is called often runs briefly (one that were called four times a
//! second for a minute each would need a cluster to itself). No figure of a trace is in here; the same
//! seed gives the same day on every machine.

use std::f64::consts::TAU;

/// Share of functions, and the value that so many do not exceed.
type Quantiles = [(f64, f64)];

/// Calls per day of a function: p50 74, p75 584, p90 4,504, p99 333,000. The lower end continues the
/// line; the upper one is cut, because who is called more often still is never cold.
pub(crate) const CALLS_PER_DAY: &Quantiles =
    &[(0.0, 1.0), (0.5, 74.0), (0.75, 584.0), (0.9, 4_504.0), (0.99, 333_000.0), (1.0, 333_000.0)];
/// Mean execution time of a function, milliseconds: p25 125, p50 670, p75 3,100, p90 16,600.
pub(crate) const EXECUTION: &Quantiles =
    &[(0.0, 10.0), (0.25, 125.0), (0.5, 670.0), (0.75, 3_100.0), (0.9, 16_600.0), (1.0, 60_000.0)];
/// Memory of an instance, MiB: p50 140, p90 210, p99 405.
pub(crate) const MEMORY: &Quantiles =
    &[(0.0, 80.0), (0.5, 140.0), (0.9, 210.0), (0.99, 405.0), (1.0, 500.0)];

/// What a start takes, milliseconds: half of them less, and two thirds within a factor of two. The
/// median is that of published measurements of functions with packages on AWS.
const START: f64 = 300.0;
const START_SPREAD: f64 = 0.7;
/// Shares of functions that a timer calls, and a queue; the others are called over HTTP.
const TIMERS: f64 = 0.25;
const QUEUES: f64 = 0.20;
/// Intervals that people set, minutes.
const INTERVALS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 240.0, 720.0, 1_440.0];
/// How late a timer may be, milliseconds.
const LATE: f64 = 1_000.0;
/// Calls beyond the first in an average batch, and in an average session.
const BATCH: f64 = 6.0;
const SESSION: f64 = 4.0;
/// Least mean pause between calls of a batch, and greatest of a session, milliseconds.
const BATCH_PAUSE: f64 = 5_000.0;
const SESSION_PAUSE: f64 = 60_000.0;
/// How much more is called by day than on average.
const DAYTIME: f64 = 0.6;
/// Most instances of a function that are busy on average.
const BUSY: f64 = 0.3;
const EXECUTION_SPREAD: f64 = 0.5;

/// A day, milliseconds.
pub(crate) const DAY: f64 = 86_400_000.0;

/// One function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Function {
    /// Of one instance, bytes.
    pub(crate) memory: u64,
    /// What starting one takes, milliseconds.
    pub(crate) start: u64,
    /// How it is called.
    pub(crate) trigger: Trigger,
}

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    Timer,
    Queue,
    Http,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// When, milliseconds since the day began.
    pub(crate) at: u64,
    /// Of which function.
    pub(crate) function: usize,
    /// How long it takes once an instance has it, milliseconds.
    pub(crate) takes: u64,
}

/// A day's calls, in their order.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) functions: Vec<Function>,
    pub(crate) calls: Vec<Call>,
}

/// Numbers that look random: Steele, Lea and Flood's SplitMix64.
#[derive(Debug)]
pub(crate) struct Random(u64);

// === impl Workload ===

impl Workload {
    /// A day of so many functions.
    pub(crate) fn generate(seed: u64, count: usize) -> Self {
        let mut random = Random::new(seed);
        let (mut functions, mut calls) = (Vec::new(), Vec::new());
        for function in 0..count {
            // One of every part of the distribution: a few hundred draws would miss its upper end.
            let place = (function as f64 + random.unit()) / count as f64;
            let gap = DAY / at(CALLS_PER_DAY, place);
            let execution = at(EXECUTION, random.unit()).min(BUSY * gap);
            let trigger = random.trigger(gap);
            functions.push(Function {
                memory: (at(MEMORY, random.unit()) * f64::from(1 << 20)) as u64,
                start: (START * (START_SPREAD * random.normal()).exp()) as u64,
                trigger,
            });
            let times = match trigger {
                Trigger::Timer => random.timer(gap),
                Trigger::Queue => random.queue(gap, execution),
                Trigger::Http => random.http(gap),
            };
            for time in times.into_iter().filter(|time| *time < DAY) {
                let takes = execution * (EXECUTION_SPREAD * random.normal()).exp();
                let takes = takes.clamp(1.0, 900_000.0) as u64;
                calls.push(Call { at: time as u64, function, takes });
            }
        }
        calls.sort_by_key(|call| call.at);
        Self { functions, calls }
    }
}

// === impl Random ===

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between 0 and 1, and neither.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// As long as one waits for what comes at random.
    fn wait(&mut self, mean: f64) -> f64 {
        -self.unit().ln() * mean
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (TAU * self.unit()).cos()
    }

    fn trigger(&mut self, gap: f64) -> Trigger {
        let draw = self.unit();
        // No timer ticks more often than the shortest interval.
        if draw < TIMERS && gap >= INTERVALS[0] * 60_000.0 / 2.0 {
            Trigger::Timer
        } else if draw < TIMERS + QUEUES {
            Trigger::Queue
        } else {
            Trigger::Http
        }
    }

    /// The interval that is nearest, from some moment on.
    fn timer(&mut self, gap: f64) -> Vec<f64> {
        let interval = INTERVALS
            .map(|minutes| minutes * 60_000.0)
            .into_iter()
            .min_by(|a, b| (a / gap).ln().abs().total_cmp(&(b / gap).ln().abs()))
            .unwrap_or(DAY);
        let first = self.unit() * interval;
        let ticks = std::iter::successors(Some(first), |tick| Some(tick + interval));
        ticks.take_while(|tick| *tick < DAY).map(|tick| tick + self.unit() * LATE).collect()
    }

    /// Batches at random times; one message follows another, about as fast as they are handled.
    fn queue(&mut self, gap: f64, execution: f64) -> Vec<f64> {
        let size = 1.0 + self.wait(BATCH);
        let mut times = Vec::new();
        let mut begin = self.wait(gap * size);
        while begin < DAY {
            self.follow(begin, size, BATCH_PAUSE.max(execution), &mut times);
            begin += self.wait(gap * size);
        }
        times
    }

    /// Sessions at random times, more of them by day than by night.
    fn http(&mut self, gap: f64) -> Vec<f64> {
        let (noon, size) = (self.unit() * DAY, 1.0 + self.wait(SESSION));
        let pause = (gap * 0.15).min(SESSION_PAUSE);
        let mut times = Vec::new();
        let mut begin = self.wait(gap * size);
        while begin < DAY {
            let busy = 1.0 + DAYTIME * ((begin - noon) / DAY * TAU).cos();
            if self.unit() * (1.0 + DAYTIME) < busy {
                self.follow(begin, size, pause, &mut times);
            }
            begin += self.wait(gap * size / (1.0 + DAYTIME));
        }
        times
    }

    fn follow(&mut self, begin: f64, size: f64, pause: f64, times: &mut Vec<f64>) {
        let count = (1.0 + self.wait(size - 1.0)).round().max(1.0) as usize;
        let mut time = begin;
        for _ in 0..count {
            times.push(time);
            time += self.wait(pause);
        }
    }
}

/// The value at a place between 0 and 1.
pub(crate) fn at(quantiles: &Quantiles, place: f64) -> f64 {
    let above = quantiles.iter().position(|(share, _)| place < *share);
    let above = above.unwrap_or(quantiles.len() - 1).max(1);
    let ((low, from), (high, to)) = (quantiles[above - 1], quantiles[above]);
    (from.ln() + (place - low) / (high - low) * (to / from).ln()).exp()
}
