//! Which idle instance goes when, and whose is started before it is called.
//!
//! ```text
//!   Queue { habit } ── the last instance is gone ──► laid down ── a call ──────────► Queue { habit }
//!                                                        │                           and a start
//!                                                        │ a regular caller's        for the call
//!                                                        └ visit is due ───────────► Queue { habit }
//!                                                                                    and a start ahead
//! ```
//!
//! What things are worth is asked of [`keep`](crate::keep). A start ahead takes what memory is free and
//! the room of whoever is worth less, never of another. There is one for each visit, so that a caller
//! who stays away costs one start, and so does a function that cannot start.

use std::collections::BTreeSet;
use std::time::Duration;

use model::Generation;

use super::queue::Queue;
use super::{Dispatch, State};
use crate::action::{Action, EndReason, Initialization, InstanceId, Phase};
use crate::hash::IdMap;
use crate::keep::Profile;
use crate::time::Time;

/// How often an idle instance is looked at at most, and how much longer it has to be idle for another
/// look: the histogram's bins are that wide.
const LOOK: Duration = Duration::from_secs(1);
const LOOKS: u32 = 8;
/// How many times as long as a start takes it is begun before it is needed.
const LEAD: u32 = 2;
/// Starts ahead at one look; those of callers who are there come first.
const AT_ONCE: usize = 4;
/// Profiles kept of functions that have no instance: with their places in maps 6 MiB.
const MOST: usize = 16_384;
/// How long one is kept when there are so many: the longest gap that a profile tells from others.
const LONGEST: Duration = Duration::from_secs(1 << 14);

/// How a generation is used.
#[derive(Debug, Default)]
pub(super) struct Habit {
    profile: Box<Profile>,
    /// When its last event ended, or came to nothing.
    rested: Option<Time>,
    /// When to look at its idle instances again.
    look: Time,
    /// The instance that was started ahead, and when it is given up.
    ahead: Option<(InstanceId, Time)>,
    /// Whether there was one since the last event.
    tried: bool,
    /// Events that one instance serves at once; see [`Queue::slots`].
    pub(super) slots: u32,
}

/// Generations without an instance.
#[derive(Debug, Default)]
pub(super) struct Absent {
    laid_down: IdMap<Generation, Absence>,
    /// Whose instance is to be started when; each has its place in the other.
    visits: BTreeSet<(Time, Generation)>,
    /// When there may be some to forget.
    sweep: Time,
}

#[derive(Debug)]
struct Absence {
    habit: Habit,
    /// The visit that is planned.
    visit: Option<Visit>,
}

/// A regular caller is expected.
#[derive(Debug, Clone, Copy)]
struct Visit {
    /// When an instance is started for him.
    start: Time,
    /// How long it is waited for him.
    until: Time,
}

// === impl Habit ===

impl Habit {
    /// An event takes an instance that had been idle since then.
    pub(super) fn used(&mut self, now: Time, since: Time) {
        self.profile.used(now.since(since));
        (self.ahead, self.tried) = (None, false);
    }

    /// An event finds no instance.
    fn missed(&mut self, now: Time, alone: bool) {
        // Where others are busy it is no gap that has ended.
        if let Some(rested) = self.rested.filter(|_| alone) {
            self.used(now, rested);
            self.rested = Some(now);
        }
    }

    /// An instance has become idle, as the only one if `first`; since when it counts as idle.
    pub(super) fn rested(&mut self, now: Time, instance: InstanceId, first: bool) -> Time {
        self.joined(now, first);
        // One that was started ahead stands where its predecessor would.
        let ahead = self.ahead.is_some_and(|(ahead, _)| ahead == instance);
        match self.rested.filter(|_| ahead) {
            Some(rested) => rested,
            None => *self.rested.insert(now),
        }
    }

    /// An idle instance is kept for its worth from now on, as the only one if `first`.
    pub(super) fn joined(&mut self, now: Time, first: bool) {
        if first {
            self.look = now.after(LOOK);
        }
    }

    fn visit(&self, now: Time, hold: Duration) -> Option<Visit> {
        let rested = self.rested.filter(|_| !self.tried)?;
        let next = self.profile.appointment(now.since(rested), hold)?;
        let from = next.from.saturating_sub(self.profile.rebuild() * LEAD);
        Some(Visit { start: rested.after(from).max(now), until: rested.after(next.until) })
    }

    /// An instance could serve after so long.
    pub(super) fn rebuilt(&mut self, took: Duration) {
        self.profile.rebuilt(took);
    }
}

// === impl Absent ===

impl Absent {
    pub(super) fn clear(&mut self) {
        self.laid_down.clear();
        self.visits.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.laid_down.len()
    }

    pub(super) fn forget(&mut self, generation: Generation) {
        self.take(generation);
    }

    fn take(&mut self, generation: Generation) -> Option<Absence> {
        let absence = self.laid_down.remove(&generation)?;
        if let Some(visit) = absence.visit {
            self.visits.remove(&(visit.start, generation));
        }
        Some(absence)
    }

    fn lay_down(&mut self, now: Time, generation: Generation, mut habit: Habit, hold: Duration) {
        if habit.rested.is_none() {
            return;
        }
        if self.laid_down.len() >= MOST && self.sweep <= now {
            self.sweep = now.after(LONGEST / 64);
            let long_ago =
                |habit: &Habit| habit.rested.is_none_or(|rested| rested.after(LONGEST) <= now);
            // Nobody is expected after so long.
            self.laid_down.retain(|_, absence| !long_ago(&absence.habit));
        }
        if self.laid_down.len() < MOST {
            habit.ahead = None;
            let visit = habit.visit(now, hold);
            self.visits.extend(visit.map(|visit| (visit.start, generation)));
            self.laid_down.insert(generation, Absence { habit, visit });
        }
    }
}

// === impl Dispatch ===

impl Dispatch {
    /// An event of a generation finds nobody idle.
    pub(super) fn missed(&mut self, generation: Generation) {
        if !self.queues.contains_key(&generation)
            && let Some(absence) = self.absent.take(generation)
        {
            self.queue(generation).habit = absence.habit;
        }
        let now = self.now;
        let queue = self.queue(generation);
        // The one that is being started for him counts as there: he is only a little early.
        let expected = queue.habit.ahead.is_some() && queue.starting == 1;
        let others = queue.waiting.len() + queue.idle.len();
        let expected = expected && others as u32 + queue.busy + queue.restarting == 0;
        let alone = expected || queue.is_unused();
        queue.habit.missed(now, alone);
    }

    /// Forgets a queue without events and instances, but not what it has learned.
    pub(super) fn forget_if_unused(&mut self, generation: Generation) {
        if !self.queues.get(&generation).is_some_and(Queue::is_unused) {
            return;
        }
        let Some(queue) = self.queues.remove(&generation) else { return };
        if !queue.retired && !self.stopping {
            let hold = self.limits.idle_for;
            self.absent.lay_down(self.now, generation, queue.habit, hold);
        }
    }

    /// Ends the idle instance that is worth least, if that is less than `worth`.
    pub(super) fn evict(&mut self, worth: f64, out: &mut Vec<Action>) -> bool {
        let now = self.now;
        let fronts = self.queues.iter().filter_map(|(generation, queue)| {
            let (instance, since) = queue.idle.front()?;
            let bytes = self.instances.get(instance)?.bytes;
            let value = queue.habit.profile.value(now.since(*since), bytes);
            Some((value, *since, *generation))
        });
        // Of equals the one that was used longest ago.
        let order = |a: &(f64, Time, Generation), b: &(f64, Time, Generation)| {
            a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2)))
        };
        let Some((value, _, generation)) = fronts.min_by(order) else { return false };
        if value >= worth {
            return false;
        }
        let Some((instance, _)) = self.queue(generation).idle.pop_front() else { return false };
        self.end_idle(instance, EndReason::Evicted, out);
        self.forget_if_unused(generation);
        true
    }

    /// Ends idle instances that are kept for too long for what they are used.
    pub(super) fn end_surplus(&mut self, out: &mut Vec<Action>) {
        let (now, hold) = (self.now, self.limits.idle_for);
        let mut due = Vec::new();
        for (generation, queue) in &mut self.queues {
            let count = queue.surplus(now, hold);
            if count > 0 {
                due.push((*generation, count));
            }
        }
        for (generation, count) in due {
            for (instance, _) in self.queue(generation).idle.drain(..count).collect::<Vec<_>>() {
                self.end_idle(instance, EndReason::Expired, out);
            }
            self.forget_if_unused(generation);
        }
    }

    /// Starts instances for those who are expected.
    pub(super) fn start_ahead(&mut self, out: &mut Vec<Action>) {
        let now = self.now;
        for _ in 0..AT_ONCE {
            let due = self.absent.visits.first().filter(|(when, _)| *when <= now);
            let Some((_, generation)) = due.copied() else { return };
            let Some(Absence { mut habit, visit }) = self.absent.take(generation) else { return };
            habit.tried = true;
            // What it will be worth when it is up.
            let idle = habit.rested.map_or(Duration::ZERO, |rested| now.since(rested));
            let idle = idle + habit.profile.rebuild() * LEAD;
            let worth = habit.profile.value(idle, self.limits.start_estimate);
            let until = visit.map_or(now, |visit| visit.until);
            let room = until > now && self.make_room(worth, out).is_ok();
            let slots = habit.slots;
            let queue = self.queue(generation);
            (queue.habit, queue.slots) = (habit, slots);
            if room {
                self.memory.promise();
                self.queue(generation).starting += 1;
                let kind = Initialization::Ahead;
                let instance = self.start(generation, State::Starting, Phase::Init, kind, out);
                self.queue(generation).habit.ahead = Some((instance, until));
            }
            // Where there is no room he finds none, as if he had not been expected.
            self.forget_if_unused(generation);
        }
    }

    /// Whether anything is known of a generation from which a start could follow.
    pub fn remembers(&self, generation: Generation) -> bool {
        self.queues.contains_key(&generation) || self.absent.laid_down.contains_key(&generation)
    }

    /// When either has next something to do.
    pub(super) fn next_kept(&self) -> Option<Time> {
        let hold = self.limits.idle_for;
        let looks = self.queues.values().filter_map(|queue| queue.next_look(hold));
        let visits = self.absent.visits.first().map(|(when, _)| *when);
        looks.chain(visits).min()
    }
}

// === impl Queue ===

impl Queue {
    /// How many idle instances are not worth keeping, from the front on.
    fn surplus(&mut self, now: Time, hold: Duration) -> usize {
        let Some((_, since)) = self.idle.front() else { return 0 };
        let look = self.habit.look <= now;
        if look {
            // On the second, so that all who are to be looked at in it are looked at together.
            let next = now.after(LOOK.max(now.since(*since) / LOOKS)).0;
            self.habit.look = Time(next.next_multiple_of(1_000));
        }
        let habit = &self.habit;
        let over = |(instance, since): &&(InstanceId, Time)| match habit.ahead {
            Some((ahead, until)) if ahead == *instance => until <= now,
            _ => {
                since.after(hold) <= now
                    || (look && !habit.profile.is_wanted(now.since(*since), hold))
            }
        };
        self.idle.iter().take_while(over).count()
    }

    fn next_look(&self, hold: Duration) -> Option<Time> {
        let (instance, since) = self.idle.front()?;
        match self.habit.ahead {
            Some((ahead, until)) if ahead == *instance => Some(until),
            _ => Some(since.after(hold).min(self.habit.look)),
        }
    }
}
