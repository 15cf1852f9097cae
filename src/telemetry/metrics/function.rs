//! What is counted of one function, for whoever asks for that function by name.
//!
//! A series per function would make a scrape grow with the number of functions, so none of these is in
//! the general text. `/metrics?function=NAME` is this one instead, in the same format: a scraper can be
//! given the functions that matter, and `hearth describe` reads it.
//!
//! Times are summaries: what is counted and summed is since the daemon began, or since the function was
//! forgotten in favour of others; quantiles are of the last starts of each rung.

use std::time::Duration;

use super::kinds::{Expose, line, sample, seconds};
use super::labels::{Label, Start};

/// What one function's calls found ready.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FunctionStarts {
    /// Calls that were delivered, to instances that were started for them and to others, and calls whose
    /// instance failed to initialise.
    pub calls: u64,
    /// Starts, by what stood ready; a rung that served none is not among them.
    pub rungs: Vec<RungStarts>,
}

/// The starts of one rung.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RungStarts {
    /// What stood ready.
    pub rung: Start,
    /// How many there were.
    pub count: u64,
    /// What they took together, from the arrival of the event until its handler could be called.
    pub sum: Duration,
    /// What one took.
    pub start: Quantiles,
    /// The parts of that, and what the handler took then, in the order of [`PHASES`].
    pub phases: [Quantiles; PHASES.len()],
}

/// Durations that half, nine in ten and 99 in a hundred stay at or below: see [`QUANTILES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quantiles(pub [Duration; QUANTILES.len()]);

/// Which quantiles are kept, in hundredths, and how Prometheus spells them.
pub const QUANTILES: [(usize, &str); 3] = [(50, "0.5"), (90, "0.9"), (99, "0.99")];

/// The parts of a cold start.
pub const PHASES: [&str; 6] = ["queue", "acquire", "process", "assign", "init", "answer"];

/// The names of what [`FunctionStarts::render`] prints, in its order.
pub const NAMES: [&str; 3] = [
    "hearth_function_invocations_total",
    "hearth_function_start_seconds",
    "hearth_function_start_phase_seconds",
];

// === impl Quantiles ===

impl Quantiles {
    /// Those of some durations, in whatever order; all zero of none.
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let Some(last) = durations.len().checked_sub(1) else { return Self::default() };
        // The smallest that so many are not above.
        let rank = |hundredths: usize| (durations.len() * hundredths).div_ceil(100).max(1) - 1;
        Self(QUANTILES.map(|(hundredths, _)| durations[rank(hundredths).min(last)]))
    }
}

// === impl FunctionStarts ===

impl FunctionStarts {
    /// The text a scrape of one function gets. `function` is its name.
    pub fn render(&self, function: &str) -> String {
        let mut out = String::with_capacity(4 * 1024);
        let [calls, starts, phases] = NAMES;
        let own = format!("function=\"{function}\"");
        line(
            &mut out,
            format_args!(
                "# HELP {calls} Invocations that were delivered, or whose instance failed to initialise."
            ),
        );
        line(&mut out, format_args!("# TYPE {calls} counter"));
        sample(&mut out, calls, &own, self.calls);
        line(
            &mut out,
            format_args!(
                "# HELP {starts} From the arrival of an event until the handler of the instance that was \
                 started for it could be called, by what stood ready; quantiles of the last starts."
            ),
        );
        line(&mut out, format_args!("# TYPE {starts} summary"));
        for rung in &self.rungs {
            let labels = format!("{own},rung=\"{}\"", rung.rung.text());
            rung.start.samples(starts, &labels, &mut out);
            let sum = seconds(u64::try_from(rung.sum.as_micros()).unwrap_or(u64::MAX));
            line(&mut out, format_args!("{starts}_sum{{{labels}}} {sum}"));
            sample(&mut out, &format!("{starts}_count"), &labels, rung.count);
        }
        line(
            &mut out,
            format_args!("# HELP {phases} The parts of that, and what the handler took then."),
        );
        line(&mut out, format_args!("# TYPE {phases} summary"));
        for rung in &self.rungs {
            for (phase, quantiles) in PHASES.iter().zip(&rung.phases) {
                let labels = format!("{own},rung=\"{}\",phase=\"{phase}\"", rung.rung.text());
                quantiles.samples(phases, &labels, &mut out);
            }
        }
        out
    }
}

impl Expose for Quantiles {
    const TYPE: &'static str = "summary";

    fn samples(&self, name: &str, labels: &str, out: &mut String) {
        for ((_, quantile), duration) in QUANTILES.iter().zip(&self.0) {
            let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            let value = seconds(us);
            line(out, format_args!("{name}{{{labels},quantile=\"{quantile}\"}} {value}"));
        }
    }
}

#[cfg(test)]
mod tests;
