//! Instances that serve several events at once, because their function asks for it.
//!
//! ```text
//!   ready, events wait     an event        the last one done, nobody waits
//!   ──────► seated ◄──────────┐ ┌──────────────────────────────► Idle
//!             │ ▲             │ ▼                                  │ an event
//!             │ └── done ── some seats free: open ◄────────────────┘
//!             │
//!             ├── one broke it ──► Ending; the others are told by their own ends
//!             └── one overran its time ──► spent: takes no more, ends with its last event
//! ```
//!
//! Events go where others are already, so that instances that are not needed become idle and age. A
//! start is counted on by as many events as it will have seats; when it comes to nothing, those are
//! answered that no other start will have a seat for.

use model::Generation;

use super::queue::Ticket;
use super::{Dispatch, State};
use crate::action::{
    Action, EndReason, EventId, Fate, Initialization, InstanceId, Next, Phase, StartFailure,
};
use crate::time::Time;

// === impl Dispatch ===

impl Dispatch {
    /// Gives the event a seat, if there is one free or an instance idle.
    pub(super) fn lease_shared(
        &mut self,
        generation: Generation,
        ticket: Ticket,
    ) -> Option<InstanceId> {
        let queue = self.queues.get_mut(&generation)?;
        let instance = match queue.open.back() {
            Some(instance) => *instance,
            None => {
                let idle = queue.kept.pop_back().or_else(|| queue.idle.pop_back());
                let (instance, since) = idle?;
                queue.habit.used(self.now, since);
                let found = self.instances.get_mut(&instance)?;
                if !found.provisioned {
                    self.idle_bytes -= found.bytes;
                }
                self.stats.idle -= 1;
                self.open(instance);
                instance
            }
        };
        self.seat(instance, ticket);
        Some(instance)
    }

    /// An instance has initialised: as many as wait and find a seat are served by it.
    pub(super) fn ready_shared(
        &mut self,
        now: Time,
        generation: Generation,
        instance: InstanceId,
        out: &mut Vec<Action>,
    ) {
        let slots = self.instances.get(&instance).map_or(1, |found| found.slots);
        let mut opened = false;
        for _ in 0..slots {
            let Some(ticket) = self.pop_waiting(generation) else { break };
            if !opened {
                self.open(instance);
                opened = true;
            }
            self.seat(instance, ticket);
            out.push(Action::Run { instance, event: ticket.event });
        }
        if !opened && let Next::End(reason) = self.settle(now, instance, None) {
            out.push(Action::End { instance, reason });
        }
    }

    /// A start that events counted on came to nothing and is no longer counted itself.
    pub(super) fn failed_shared(
        &mut self,
        generation: Generation,
        again: bool,
        failure: StartFailure,
        out: &mut Vec<Action>,
    ) {
        if again && !self.stopping && self.uncovered(generation) > 0 {
            // Its predecessor gives up a place and its memory, so there is room.
            self.memory.promise();
            self.queue(generation).starting += 1;
            let (phase, kind) = (Phase::Invoke, Initialization::OnDemand);
            let instance = self.start(generation, State::Starting, phase, kind, out);
            if let Some(found) = self.instances.get_mut(&instance) {
                found.second = true;
            }
            return;
        }
        for _ in 0..self.uncovered(generation) {
            let Some(ticket) = self.pop_waiting(generation) else { break };
            self.fail(ticket, Some(failure), out);
        }
    }

    /// An event of several is over.
    pub(super) fn done_shared(
        &mut self,
        now: Time,
        instance: InstanceId,
        ticket: Ticket,
        fate: Fate,
    ) -> Next {
        self.release(ticket);
        let Some(found) = self.instances.get_mut(&instance) else { return Next::Idle };
        // One that is ending was given up when another of its events was over.
        let State::Shared { guests, spent } = &mut found.state else { return Next::Idle };
        *guests -= 1;
        *spent |= fate == Fate::Spent;
        found.proven |= fate == Fate::Reusable;
        let (left, spent) = (*guests, *spent);
        let (generation, provisioned) = (found.generation, found.provisioned);
        if fate == Fate::Broken || (spent && left == 0) {
            self.give_up(generation, instance, false);
            self.forget_if_unused(generation);
            return Next::End(EndReason::Failed);
        }
        if spent {
            self.queue(generation).open.retain(|other| *other != instance);
            return Next::Idle;
        }
        if provisioned {
            self.floors.served(generation);
        }
        if let Some(next) = self.pop_any(generation) {
            self.seat(instance, next);
            return Next::Run(next.event);
        }
        let queue = self.queue(generation);
        if left > 0 {
            if !queue.open.contains(&instance) {
                queue.open.push_back(instance);
            }
            return Next::Idle;
        }
        queue.open.retain(|other| *other != instance);
        self.stats.busy -= 1;
        self.settle(now, instance, None)
    }

    /// An instance with several events was found dead before a byte of this one was written.
    pub(super) fn undelivered_shared(
        &mut self,
        instance: InstanceId,
        ticket: Ticket,
        out: &mut Vec<Action>,
    ) {
        let Some(found) = self.instances.get(&instance) else {
            return self.fail(ticket, Some(StartFailure::Died), out);
        };
        let (generation, slots, proven) = (found.generation, found.slots, found.proven);
        if matches!(found.state, State::Shared { .. }) {
            self.give_up(generation, instance, true);
            out.push(Action::End { instance, reason: EndReason::Failed });
        }
        if !proven || self.stopping {
            self.fail(ticket, Some(StartFailure::Died), out);
        } else if let Some(instance) = self.lease(generation, ticket, slots) {
            out.push(Action::Run { instance, event: ticket.event });
        } else if self.enqueue(generation, ticket, slots, out).is_err() {
            self.fail(ticket, Some(StartFailure::NoCell), out);
        }
        self.forget_if_unused(generation);
    }

    /// Takes an event off its seat; `None` if its instance serves one at a time.
    pub(super) fn unseat(&mut self, event: EventId) -> Option<Ticket> {
        if self.guests.is_empty() {
            return None;
        }
        self.guests.remove(&event)
    }

    /// How many events wait that no start under way will have a seat for.
    fn uncovered(&self, generation: Generation) -> usize {
        let queue = self.queues.get(&generation);
        queue.map_or(0, |queue| queue.waiting.len().saturating_sub(queue.seats()))
    }

    /// An instance that served nobody is about to.
    fn open(&mut self, instance: InstanceId) {
        let Some(found) = self.instances.get_mut(&instance) else { return };
        found.state = State::Shared { guests: 0, spent: false };
        let queue = self.queues.entry(found.generation).or_default();
        queue.busy += 1;
        queue.open.push_back(instance);
        self.stats.busy += 1;
    }

    fn seat(&mut self, instance: InstanceId, ticket: Ticket) {
        let Some(found) = self.instances.get_mut(&instance) else { return };
        let State::Shared { guests, .. } = &mut found.state else { return };
        *guests += 1;
        if *guests >= found.slots
            && let Some(queue) = self.queues.get_mut(&found.generation)
        {
            queue.open.retain(|other| *other != instance);
        }
        self.guests.insert(ticket.event, ticket);
    }

    /// Begins the end of an instance with events; those that are left find it gone.
    fn give_up(&mut self, generation: Generation, instance: InstanceId, idle: bool) {
        let queue = self.queue(generation);
        queue.open.retain(|other| *other != instance);
        queue.busy -= 1;
        self.stats.busy -= 1;
        self.lose(instance, idle);
        self.begin_end(instance);
    }
}
