//! A machine with so much memory, through one day, under one policy.
//!
//! Events are calls, ends of calls, starts that were made ahead, and a look every five seconds at what
//! expires. A call takes the instance that became idle last; without one it is a *cold start*: room is
//! made for an instance, and if all the memory is busy the call is refused.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::policy::{Idle, Policy};
use crate::workload::Workload;

/// How often a machine looks at what expires, milliseconds.
const LOOK: u64 = 5_000;
/// How much earlier than it is needed a start ahead begins: in how many times what a start takes.
const LEAD: u64 = 2;

/// What a day came to.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    /// Calls that waited for a start, and those that were refused.
    pub(crate) cold: u64,
    pub(crate) refused: u64,
    /// What all calls waited together, milliseconds.
    pub(crate) waited: u64,
    /// Byte-milliseconds in use.
    pub(crate) area: f64,
    /// Instances that were started ahead.
    pub(crate) ahead: u64,
}

/// What happens, besides calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// A function's instance has answered.
    Answered(usize),
    /// A function's instance that was started ahead is up, and is given up then.
    Up(usize, u64),
    /// A function's instance is to be started ahead, and given up then.
    Start(usize, u64),
}

/// What there is of a function.
#[derive(Debug, Default)]
struct State {
    /// The last was used last.
    idle: Vec<Idle>,
    busy: u32,
    starting: u32,
    /// When the last event was answered.
    rested: Option<u64>,
    /// Up to which answer one was started ahead already.
    kept_to: Option<u64>,
}

/// A machine at work.
pub(crate) struct Machine<'a> {
    workload: &'a Workload,
    memory: u64,
    policy: Box<dyn Policy>,
    functions: Vec<State>,
    coming: BinaryHeap<Reverse<(u64, Happening)>>,
    used: u64,
    accounted: u64,
    tally: Tally,
}

// === impl Machine ===

impl<'a> Machine<'a> {
    pub(crate) fn new(workload: &'a Workload, memory: u64, policy: Box<dyn Policy>) -> Self {
        let functions = workload.functions.iter().map(|_| State::default()).collect();
        let coming = BinaryHeap::new();
        let tally = Tally::default();
        Self { workload, memory, policy, functions, coming, used: 0, accounted: 0, tally }
    }

    /// The whole day.
    pub(crate) fn run(mut self) -> Tally {
        let mut look = 0;
        for call in &self.workload.calls {
            while look <= call.at {
                self.advance(look);
                self.expire(look);
                look += LOOK;
            }
            self.advance(call.at);
            self.call(call.function, call.at, call.takes);
        }
        self.tally
    }

    fn call(&mut self, function: usize, now: u64, takes: u64) {
        self.tally.calls += 1;
        let state = &mut self.functions[function];
        let idle = state.idle.pop();
        // Where no instance was left, the gap is as long as if one had been.
        let alone = state.busy + state.starting == 0;
        let since = idle.map(|idle| idle.since).or_else(|| state.rested.filter(|_| alone));
        self.policy.called(function, now, since);
        let mut wait = 0;
        if idle.is_none() {
            self.tally.cold += 1;
            if !self.make_room(function, now, f64::INFINITY) {
                self.tally.refused += 1;
                return;
            }
            wait = self.workload.functions[function].start;
            self.tally.waited += wait;
            self.used += self.workload.functions[function].memory;
            self.policy.started(function, wait);
        }
        self.functions[function].busy += 1;
        self.coming.push(Reverse((now + wait + takes, Happening::Answered(function))));
    }

    /// Whatever happens up to a moment.
    fn advance(&mut self, now: u64) {
        while let Some(Reverse((when, _))) = self.coming.peek()
            && *when <= now
        {
            let Some(Reverse((when, what))) = self.coming.pop() else { break };
            self.account(when);
            match what {
                Happening::Answered(function) => {
                    let credit = self.policy.rested(function, &self.workload.functions[function]);
                    let state = &mut self.functions[function];
                    state.busy -= 1;
                    state.rested = Some(when);
                    state.idle.push(Idle { since: when, credit, until: None });
                }
                Happening::Up(function, until) => {
                    let state = &mut self.functions[function];
                    state.starting -= 1;
                    let since = state.rested.unwrap_or(when);
                    state.idle.insert(0, Idle { since, credit: 0.0, until: Some(until) });
                }
                Happening::Start(function, until) => self.start_ahead(function, when, until),
            }
        }
        self.account(now);
    }

    fn start_ahead(&mut self, function: usize, now: u64, until: u64) {
        let facts = self.workload.functions[function];
        let state = &mut self.functions[function];
        let Some(rested) = state.rested else { return };
        if !state.idle.is_empty()
            || state.busy + state.starting > 0
            || state.kept_to == Some(rested)
        {
            return;
        }
        state.kept_to = Some(rested);
        let own = Idle { since: rested, credit: 0.0, until: None };
        // At the moment for which it is started, not at this one.
        let worth = self.policy.value(function, &facts, &own, now + LEAD * facts.start);
        if self.make_room(function, now, worth) {
            self.used += facts.memory;
            self.tally.ahead += 1;
            self.functions[function].starting += 1;
            self.coming.push(Reverse((now + facts.start, Happening::Up(function, until))));
        }
    }

    /// Makes room for an instance that is worth so much.
    fn make_room(&mut self, function: usize, now: u64, worth: f64) -> bool {
        while self.used + self.workload.functions[function].memory > self.memory {
            let Some((victim, value)) = self.victim(now) else { return false };
            if value >= worth {
                return false;
            }
            self.end(victim, 0, now);
            let state = &self.functions[victim];
            let last = state.idle.is_empty() && state.busy == 0;
            self.policy.evicted(victim, value, last);
        }
        true
    }

    /// The least valuable of all that have been idle longest of their function.
    fn victim(&self, now: u64) -> Option<(usize, f64)> {
        let valued = self.functions.iter().enumerate().filter_map(|(function, state)| {
            let facts = &self.workload.functions[function];
            Some((function, self.policy.value(function, facts, state.idle.first()?, now)))
        });
        valued.min_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    fn expire(&mut self, now: u64) {
        for function in 0..self.functions.len() {
            let mut place = 0;
            while let Some(idle) = self.functions[function].idle.get(place) {
                match self.policy.expires(function, idle, now) {
                    true => self.end(function, place, now),
                    false => place += 1,
                }
            }
        }
    }

    fn end(&mut self, function: usize, place: usize, now: u64) {
        self.account(now);
        let state = &mut self.functions[function];
        state.idle.remove(place);
        self.used -= self.workload.functions[function].memory;
        let Some(rested) = state.rested.filter(|_| state.idle.is_empty() && state.busy == 0) else {
            return;
        };
        let Some(next) = self.policy.appointment(function, now - rested) else { return };
        let lead = LEAD * self.workload.functions[function].start;
        let (from, until) = (next.from.as_millis() as u64, next.until.as_millis() as u64);
        let when = (rested + from).saturating_sub(lead).max(now);
        self.coming.push(Reverse((when, Happening::Start(function, rested + until))));
    }

    fn account(&mut self, now: u64) {
        self.tally.area += self.used as f64 * (now - self.accounted) as f64;
        self.accounted = now;
    }
}
