//! Who goes when memory is wanted, and who when it is not: Hearth's way, and three others.
//!
//! Hearth's is [`dispatch::keep`], called as the daemon calls it; nothing of it is written down twice.

use std::time::Duration;

use dispatch::keep::{Appointment, Profile};

use crate::workload::Function;

/// An instance that waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idle {
    /// Since when its function has been without an event for it.
    pub(crate) since: u64,
    /// What the policy thought when it became idle.
    pub(crate) credit: f64,
    /// When one that was started ahead is given up.
    pub(crate) until: Option<u64>,
}

/// What a policy decides. Times are milliseconds.
pub(crate) trait Policy {
    /// An event came; the gap that it ends began then, if it ends one.
    fn called(&mut self, function: usize, now: u64, since: Option<u64>);

    /// An instance was started.
    fn started(&mut self, _function: usize, _took: u64) {}

    /// An instance has become idle; its credit.
    fn rested(&mut self, _function: usize, _facts: &Function) -> f64 {
        0.0
    }

    /// What an idle instance is worth: the least goes first.
    fn value(&self, function: usize, facts: &Function, idle: &Idle, now: u64) -> f64;

    /// An instance of that value was ended because its memory was wanted; it was its function's last.
    fn evicted(&mut self, _function: usize, _value: f64, _last: bool) {}

    /// Whether it is ended although nobody wants its memory.
    fn expires(&self, _function: usize, _idle: &Idle, _now: u64) -> bool {
        false
    }

    /// When to start one ahead.
    fn appointment(&self, _function: usize, _idle: u64) -> Option<Appointment> {
        None
    }
}

/// What an instance is kept for, and who goes first is who was used longest ago.
#[derive(Debug)]
pub(crate) struct Recent {
    /// How long one is kept; as long as there is room, if nothing is said.
    pub(crate) keep: Option<u64>,
}

/// Greedy-dual, as "FaasCache" (ASPLOS 2021) has it: clock + uses × cost ÷ memory, where uses are those
/// since the function last had no instance.
#[derive(Debug)]
pub(crate) struct GreedyDual {
    clock: f64,
    functions: Vec<(u64, u64)>,
}

/// Hearth's.
#[derive(Debug)]
pub(crate) struct Learned {
    hold: u64,
    profiles: Vec<Profile>,
}

// === impl Recent ===

impl Policy for Recent {
    fn called(&mut self, _function: usize, _now: u64, _since: Option<u64>) {}

    fn value(&self, _function: usize, _facts: &Function, idle: &Idle, _now: u64) -> f64 {
        idle.since as f64
    }

    fn expires(&self, _function: usize, idle: &Idle, now: u64) -> bool {
        self.keep.is_some_and(|keep| idle.since + keep <= now)
    }
}

// === impl GreedyDual ===

impl GreedyDual {
    pub(crate) fn new(functions: usize) -> Self {
        Self { clock: 0.0, functions: vec![(0, 0); functions] }
    }
}

impl Policy for GreedyDual {
    fn called(&mut self, function: usize, _now: u64, _since: Option<u64>) {
        self.functions[function].0 += 1;
    }

    fn started(&mut self, function: usize, took: u64) {
        self.functions[function].1 = took;
    }

    fn rested(&mut self, function: usize, facts: &Function) -> f64 {
        let (uses, cost) = self.functions[function];
        self.clock + uses as f64 * cost as f64 / facts.memory as f64
    }

    fn value(&self, _function: usize, _facts: &Function, idle: &Idle, _now: u64) -> f64 {
        idle.credit
    }

    fn evicted(&mut self, function: usize, value: f64, last: bool) {
        self.clock = self.clock.max(value);
        if last {
            self.functions[function].0 = 0;
        }
    }
}

// === impl Learned ===

impl Learned {
    /// `hold` is the daemon's `idle_seconds`.
    pub(crate) fn new(functions: usize, hold: u64) -> Self {
        Self { hold, profiles: vec![Profile::new(); functions] }
    }
}

impl Policy for Learned {
    fn called(&mut self, function: usize, now: u64, since: Option<u64>) {
        if let Some(since) = since {
            self.profiles[function].used(Duration::from_millis(now - since));
        }
    }

    fn started(&mut self, function: usize, took: u64) {
        self.profiles[function].rebuilt(Duration::from_millis(took));
    }

    fn value(&self, function: usize, facts: &Function, idle: &Idle, now: u64) -> f64 {
        let age = Duration::from_millis(now - idle.since);
        self.profiles[function].value(age, facts.memory)
    }

    fn expires(&self, function: usize, idle: &Idle, now: u64) -> bool {
        let (age, hold) =
            (Duration::from_millis(now - idle.since), Duration::from_millis(self.hold));
        match idle.until {
            Some(until) => until <= now,
            None => age >= hold || !self.profiles[function].is_wanted(age, hold),
        }
    }

    fn appointment(&self, function: usize, idle: u64) -> Option<Appointment> {
        self.profiles[function]
            .appointment(Duration::from_millis(idle), Duration::from_millis(self.hold))
    }
}
