//! From which rung of the ladder each function's calls were served, and how long that took.
//!
//! Written once per cold start, when its first event has been answered, and once at the end of an
//! instance; a warm call costs one addition in its own instance. What is kept is bounded twice: the last
//! starts of each rung of a function, and functions. Where there are more, those of which nothing started
//! or ended for the longest time are forgotten, with their counts.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::FunctionId;
use telemetry::metrics::function::PHASES;
use telemetry::metrics::{FunctionStarts, Quantiles, RungStarts, Start};

use crate::phases::{ColdStart, Phases, Rung};

/// Starts of one rung whose times are kept: enough that one of them is above the 99th in a hundred, at
/// 24 bytes each.
const RECENT: usize = 128;
/// Functions that are kept: with two rungs each, all full, 12 MiB.
const FUNCTIONS: usize = 2_048;
/// How many are forgotten at once, so that looking for the oldest is rare.
const FORGET: usize = FUNCTIONS / 16;

/// All functions that were started of late.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<HashMap<FunctionId, Record>>);

/// One function.
#[derive(Debug, Default)]
struct Record {
    /// When an instance of it last started or ended, in the pool's time.
    last: Duration,
    /// Calls of instances which are gone, and calls for which none could be started.
    calls: u64,
    /// In the order of [`Rung::ALL`].
    rungs: [Starts; Rung::ALL.len()],
}

/// The starts of one rung.
#[derive(Debug, Default)]
struct Starts {
    count: u64,
    sum: Duration,
    /// The last of them, microseconds; the next one replaces the oldest.
    recent: Vec<[u32; PHASES.len()]>,
}

// === impl History ===

impl History {
    /// An instance was started, and has answered its first event. `now` is the pool's time.
    pub(crate) fn record(&self, function: FunctionId, now: Duration, cold: &ColdStart) {
        let rung = cold.rung as usize;
        touch(&mut self.functions(), function, now).rungs[rung].add(&cold.phases);
    }

    /// So many calls were served by an instance that is gone, or had none that could be started. They are
    /// asked for under the lock, and must not be among the living's from then on: whoever looks sees
    /// each call once.
    pub(crate) fn served(&self, function: FunctionId, now: Duration, calls: impl FnOnce() -> u64) {
        let mut functions = self.functions();
        let calls = calls();
        if calls > 0 {
            touch(&mut functions, function, now).calls += calls;
        }
    }

    /// What is known of a function; `living` is how many calls its living instances have served.
    pub(crate) fn of(&self, function: FunctionId, living: impl FnOnce() -> u64) -> FunctionStarts {
        let functions = self.functions();
        let living = living();
        let Some(record) = functions.get(&function) else {
            return FunctionStarts { calls: living, rungs: vec![] };
        };
        let rungs = Rung::ALL.into_iter().zip(&record.rungs);
        let rungs = rungs.filter(|(_, starts)| starts.count > 0);
        FunctionStarts {
            calls: record.calls + living,
            rungs: rungs.map(|(rung, starts)| starts.summary(rung.counted())).collect(),
        }
    }

    fn functions(&self) -> MutexGuard<'_, HashMap<FunctionId, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record of a function of which something starts or ends now.
fn touch(
    functions: &mut HashMap<FunctionId, Record>,
    function: FunctionId,
    now: Duration,
) -> &mut Record {
    if functions.len() >= FUNCTIONS && !functions.contains_key(&function) {
        forget(functions);
    }
    let record = functions.entry(function).or_default();
    record.last = now;
    record
}

/// Makes room: forgets those of which nothing started or ended for the longest time.
fn forget(functions: &mut HashMap<FunctionId, Record>) {
    let mut ages: Vec<_> = functions.iter().map(|(id, record)| (record.last, *id)).collect();
    ages.select_nth_unstable(FORGET);
    for (_, id) in ages.into_iter().take(FORGET) {
        functions.remove(&id);
    }
}

// === impl Starts ===

impl Starts {
    fn add(&mut self, phases: &Phases) {
        let Phases { queue, acquire, process, assign, init, answer } = *phases;
        let parts = [queue, acquire, process, assign, init, answer];
        // 71 minutes fit; AWS's longest function takes fifteen.
        let parts = parts.map(|part| u32::try_from(part.as_micros()).unwrap_or(u32::MAX));
        if self.recent.len() < RECENT {
            self.recent.push(parts);
        } else {
            self.recent[(self.count % RECENT as u64) as usize] = parts;
        }
        self.count += 1;
        self.sum += until_ready(&parts);
    }

    fn summary(&self, rung: Start) -> RungStarts {
        let of = |phase: usize| {
            let times = self.recent.iter().map(|parts| micros(parts[phase]));
            Quantiles::of(times.collect())
        };
        RungStarts {
            rung,
            count: self.count,
            sum: self.sum,
            start: Quantiles::of(self.recent.iter().map(until_ready).collect()),
            phases: std::array::from_fn(of),
        }
    }
}

/// Everything but the last part, which is the handler's own.
fn until_ready(parts: &[u32; PHASES.len()]) -> Duration {
    parts[..PHASES.len() - 1].iter().map(|part| micros(*part)).sum()
}

fn micros(count: u32) -> Duration {
    Duration::from_micros(count.into())
}

#[cfg(test)]
mod tests;
