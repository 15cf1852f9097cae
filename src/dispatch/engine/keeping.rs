//! Which idle instance goes when.
//!
//! ```text
//!   Queue { habit } ── the last instance is gone ──► laid down ── a call ──► Queue { habit }
//! ```
//!
//! What things are worth is asked of [`keep`](crate::keep).

use std::time::Duration;

use model::Generation;

use super::Dispatch;
use super::queue::Queue;
use crate::action::{Action, EndReason, InstanceId};
use crate::hash::IdMap;
use crate::keep::Profile;
use crate::time::Time;

/// How often an idle instance is looked at at most, and how much longer it has to be idle for another
/// look: the histogram's bins are that wide.
const LOOK: Duration = Duration::from_secs(1);
const LOOKS: u32 = 8;
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
}

/// Generations without an instance.
#[derive(Debug, Default)]
pub(super) struct Absent {
    laid_down: IdMap<Generation, Habit>,
    /// When there may be some to forget.
    sweep: Time,
}

// === impl Habit ===

impl Habit {
    /// An event takes an instance that had been idle since then.
    pub(super) fn used(&mut self, now: Time, since: Time) {
        self.profile.used(now.since(since));
    }

    /// An event finds no instance.
    fn missed(&mut self, now: Time, alone: bool) {
        // Where others are busy it is no gap that has ended.
        if let Some(rested) = self.rested.filter(|_| alone) {
            self.used(now, rested);
            self.rested = Some(now);
        }
    }

    /// An instance has become idle; `first` if it is the only one.
    pub(super) fn rested(&mut self, now: Time, first: bool) {
        if first {
            self.look = now.after(LOOK);
        }
        self.rested = Some(now);
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
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.laid_down.len()
    }

    pub(super) fn forget(&mut self, generation: Generation) {
        self.laid_down.remove(&generation);
    }

    fn lay_down(&mut self, now: Time, generation: Generation, habit: Habit) {
        if habit.rested.is_none() {
            return;
        }
        if self.laid_down.len() >= MOST && self.sweep <= now {
            self.sweep = now.after(LONGEST / 64);
            let long_ago =
                |habit: &Habit| habit.rested.is_none_or(|rested| rested.after(LONGEST) <= now);
            self.laid_down.retain(|_, habit| !long_ago(habit));
        }
        if self.laid_down.len() < MOST {
            self.laid_down.insert(generation, habit);
        }
    }
}

// === impl Dispatch ===

impl Dispatch {
    /// An event of a generation finds nobody idle.
    pub(super) fn missed(&mut self, generation: Generation) {
        if !self.queues.contains_key(&generation)
            && let Some(habit) = self.absent.laid_down.remove(&generation)
        {
            self.queue(generation).habit = habit;
        }
        let now = self.now;
        let queue = self.queue(generation);
        let alone = queue.is_unused();
        queue.habit.missed(now, alone);
    }

    /// Forgets a queue without events and instances, but not what it has learned.
    pub(super) fn forget_if_unused(&mut self, generation: Generation) {
        if !self.queues.get(&generation).is_some_and(Queue::is_unused) {
            return;
        }
        let Some(queue) = self.queues.remove(&generation) else { return };
        if !queue.retired && !self.stopping {
            self.absent.lay_down(self.now, generation, queue.habit);
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

    /// When it has next something to do.
    pub(super) fn next_kept(&self) -> Option<Time> {
        let hold = self.limits.idle_for;
        self.queues.values().filter_map(|queue| queue.next_look(hold)).min()
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
        let over = |(_, since): &&(InstanceId, Time)| {
            since.after(hold) <= now || (look && !habit.profile.is_wanted(now.since(*since), hold))
        };
        self.idle.iter().take_while(over).count()
    }

    fn next_look(&self, hold: Duration) -> Option<Time> {
        let (_, since) = self.idle.front()?;
        Some(since.after(hold).min(self.habit.look))
    }
}
