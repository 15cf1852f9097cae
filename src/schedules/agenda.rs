//! What is due when: every schedule with its next instant, on a clock that is passed in.
//!
//! ```text
//!                    due                    handed over, or given up
//!   WAITING ─────────────────────► BUSY ─────────────────────────────► WAITING for the next instant
//!      │ ▲                          │                                     or OVER, if there is none
//!      │ └── too old: it lapses     │ not handed over
//!      │                            ▼
//!      └◄──────────────────────  RETRYING: 1 s, 2 s, 4 s … a minute later
//! ```
//!
//! Instants that have passed while nobody looked (the daemon was down, the machine slept, its clock was
//! put forward) are made up for by **one** run, that of the latest of them, if it is not older than the
//! schedule's maximum age. A clock that is set back has no effect but waiting: an instant that was taken
//! is never due again.
//!
//! An instant may run late by design (a flexible time window). How late is drawn from what names the
//! schedule and from the instant, so that it is the same after a restart, and never reaches the next
//! instant, so that runs stay in order.

use std::collections::{BTreeMap, BTreeSet};

use model::schedule::RetryPolicy;

use crate::recurrence::Recurrence;

/// The first pause before handing over is tried again, milliseconds; it doubles.
const FIRST_PAUSE_MS: i64 = 1_000;
/// The longest.
const LONGEST_PAUSE_MS: i64 = 60_000;

/// What runs by the clock, in the words of its owner: the target of a rule, or a schedule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// `<group>/<name>`.
    Schedule(String),
    /// Name of the rule, and of the target within it.
    Target(String, String),
}

/// When something runs, and what.
#[derive(Debug, Clone)]
pub struct Plan<W> {
    /// What runs.
    pub what: W,
    /// Its instants.
    pub recurrence: Recurrence,
    /// Instants up to this one are past, milliseconds since the epoch.
    pub since_ms: i64,
    /// Names it for ever; how late it runs is drawn from this.
    pub id: u128,
    /// How late it may run, milliseconds.
    pub window_ms: i64,
    /// How long handing over is tried, and how old a missed run may be that is made up for.
    pub retry: RetryPolicy,
}

/// Something to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due<W> {
    /// Whose.
    pub name: Name,
    /// What runs.
    pub what: W,
    /// For which instant, milliseconds since the epoch.
    pub instant_ms: i64,
    /// Tries so far.
    pub attempts: u32,
    /// Whether earlier instants were missed, which this run makes up for.
    pub missed: bool,
    /// Whether it is too late for it: nothing is to be handed over, and [`Agenda::finish`] is to be told
    /// [`Fate::Over`] at once.
    pub lapsed: bool,
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Handed over, or never to be.
    Over,
    /// Not handed over; it may be tried again.
    Failed,
}

/// What follows from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It runs again, or is tried again.
    Waiting,
    /// Handing over has been tried too often or for too long; the next instant is waited for.
    GivenUp,
    /// There are no more instants.
    Ended,
    /// It is not in the agenda any more, or not as it was.
    Forgotten,
}

/// Everything that runs by the clock.
#[derive(Debug)]
pub struct Agenda<W> {
    slots: BTreeMap<Name, Slot<W>>,
    /// When to look at what waits.
    times: BTreeSet<(i64, Name)>,
}

#[derive(Debug)]
struct Slot<W> {
    plan: Plan<W>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting { at_ms: i64, instant_ms: i64, attempts: u32 },
    Busy { instant_ms: i64, attempts: u32 },
    Over,
}

// === impl Agenda ===

impl<W: Clone> Agenda<W> {
    /// Nothing.
    pub fn new() -> Self {
        Self { slots: BTreeMap::new(), times: BTreeSet::new() }
    }

    /// Puts something in, in the place of what had its name. Instants up to `taken_ms` have run.
    pub fn put(&mut self, name: Name, plan: Plan<W>, taken_ms: Option<i64>) {
        self.remove(&name);
        let after_ms = taken_ms.map_or(plan.since_ms, |taken| taken.max(plan.since_ms));
        let mut slot = Slot { plan, state: State::Over };
        slot.wait_for_next(after_ms);
        self.keep(name, slot);
    }

    /// Takes something out.
    pub fn remove(&mut self, name: &Name) {
        if let Some(slot) = self.slots.remove(name)
            && let State::Waiting { at_ms, .. } = slot.state
        {
            self.times.remove(&(at_ms, name.clone()));
        }
    }

    /// When to look again, milliseconds since the epoch; `None` if nothing waits.
    pub fn next_ms(&self) -> Option<i64> {
        self.times.first().map(|(at, _)| *at)
    }

    /// At most `most` of what is to be done at `now_ms`. [`Agenda::finish`] is to be told of each.
    pub fn due(&mut self, now_ms: i64, most: usize) -> Vec<Due<W>> {
        let mut all = Vec::new();
        while all.len() < most
            && let Some((at_ms, _)) = self.times.first()
            && *at_ms <= now_ms
        {
            let Some((_, name)) = self.times.pop_first() else { break };
            let Some(slot) = self.slots.get_mut(&name) else { continue };
            let State::Waiting { instant_ms: first, attempts, .. } = slot.state else { continue };
            let instant_ms = slot.plan.latest(first, now_ms);
            // Another run than the one that was tried.
            let attempts = if instant_ms == first { attempts } else { 0 };
            slot.state = State::Busy { instant_ms, attempts };
            all.push(Due {
                name,
                what: slot.plan.what.clone(),
                instant_ms,
                attempts,
                missed: instant_ms != first,
                lapsed: slot.plan.is_too_old(instant_ms, now_ms),
            });
        }
        all
    }

    /// Says what became of a run.
    pub fn finish(&mut self, name: &Name, instant_ms: i64, fate: Fate, now_ms: i64) -> Next {
        let Some(mut slot) = self.slots.remove(name) else { return Next::Forgotten };
        let next = match slot.state {
            State::Busy { instant_ms: busy, attempts } if busy == instant_ms => match fate {
                Fate::Over => slot.go_on(instant_ms, now_ms),
                Fate::Failed => slot.try_again(instant_ms, attempts + 1, now_ms),
            },
            _ => Next::Forgotten,
        };
        self.keep(name.clone(), slot);
        next
    }

    fn keep(&mut self, name: Name, slot: Slot<W>) {
        if let State::Waiting { at_ms, .. } = slot.state {
            self.times.insert((at_ms, name.clone()));
        }
        self.slots.insert(name, slot);
    }
}

impl<W: Clone> Default for Agenda<W> {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Slot ===

impl<W> Slot<W> {
    fn wait_for_next(&mut self, after_ms: i64) {
        self.state = match self.plan.recurrence.next(after_ms) {
            Some(instant_ms) => {
                State::Waiting { at_ms: self.plan.run_at(instant_ms), instant_ms, attempts: 0 }
            }
            None => State::Over,
        };
    }

    fn go_on(&mut self, instant_ms: i64, now_ms: i64) -> Next {
        // Nothing that is too old in any case is looked at one by one.
        self.wait_for_next(instant_ms.max(self.plan.horizon(now_ms)));
        if self.state == State::Over { Next::Ended } else { Next::Waiting }
    }

    fn try_again(&mut self, instant_ms: i64, attempts: u32, now_ms: i64) -> Next {
        if attempts > self.plan.retry.max_attempts || self.plan.is_too_old(instant_ms, now_ms) {
            return match self.go_on(instant_ms, now_ms) {
                Next::Waiting => Next::GivenUp,
                next => next,
            };
        }
        // Six doublings of the first are more than the longest.
        let pause = (FIRST_PAUSE_MS << (attempts - 1).min(6)).min(LONGEST_PAUSE_MS);
        let at_ms = now_ms.saturating_add(pause);
        self.state = State::Waiting { at_ms, instant_ms, attempts };
        Next::Waiting
    }
}

// === impl Plan ===

impl<W> Plan<W> {
    /// When an instant's run is due.
    fn run_at(&self, instant_ms: i64) -> i64 {
        let until_next =
            self.recurrence.next(instant_ms).map_or(i64::MAX, |next| next - instant_ms);
        // Whole seconds, so that a time zone's minutes stay recognisable in what people look at.
        let seconds = self.window_ms.min(until_next) / 1000;
        if seconds <= 0 {
            return instant_ms;
        }
        let drawn = mix(self.id, instant_ms) % seconds.unsigned_abs();
        instant_ms.saturating_add(drawn.cast_signed() * 1000)
    }

    /// The latest instant whose run is due, from one on that is.
    fn latest(&self, first: i64, now_ms: i64) -> i64 {
        let is_due = |instant: &i64| self.run_at(*instant) <= now_ms;
        let mut latest = first;
        let horizon = self.horizon(now_ms);
        if horizon > first
            && let Some(later) = self.recurrence.next(horizon).filter(is_due)
        {
            latest = later;
        }
        while let Some(later) = self.recurrence.next(latest).filter(is_due) {
            latest = later;
        }
        latest
    }

    /// Instants up to this one are certainly too old.
    fn horizon(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(self.max_age_ms()).saturating_sub(self.window_ms).saturating_sub(1)
    }

    fn is_too_old(&self, instant_ms: i64, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.run_at(instant_ms)) > self.max_age_ms()
    }

    fn max_age_ms(&self) -> i64 {
        i64::from(self.retry.max_age_s) * 1000
    }
}

/// Bits that look random and are always the same for the same schedule and instant (SplitMix64).
fn mix(id: u128, instant_ms: i64) -> u64 {
    let folded = (id >> 64) as u64 ^ id as u64 ^ instant_ms.cast_unsigned();
    let mut bits = folded.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests;
