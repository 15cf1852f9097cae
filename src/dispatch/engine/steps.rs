//! The steps that happenings are made of: lease, wait, start, evict, settle, end.

use model::Generation;

use super::queue::{Queue, Ticket};
use super::{Dispatch, Instance, State};
use crate::action::{Action, EndReason, Initialization, InstanceId, Next, Phase, StartFailure};
use crate::admission::{Charge, Throttle};
use crate::time::Time;

// === impl Dispatch ===

impl Dispatch {
    /// The queue of a generation that has an instance or is about to.
    pub(super) fn queue(&mut self, generation: Generation) -> &mut Queue {
        let retired = &self.retired;
        self.queues.entry(generation).or_insert_with(|| Queue {
            // One of several events on an instance may have to be placed again after all others of
            // its generation are over.
            retired: retired.contains(&generation),
            ..Queue::default()
        })
    }

    /// Gives the event to an instance that has room for it, if there is one.
    pub(super) fn lease(
        &mut self,
        generation: Generation,
        ticket: Ticket,
        slots: u32,
    ) -> Option<InstanceId> {
        match slots {
            0 | 1 => self.lease_idle(generation, ticket),
            _ => self.lease_shared(generation, ticket),
        }
    }

    /// Gives the event to the idle instance used last, if there is one.
    pub(super) fn lease_idle(
        &mut self,
        generation: Generation,
        ticket: Ticket,
    ) -> Option<InstanceId> {
        let queue = self.queues.get_mut(&generation)?;
        let (instance, since) = queue.kept.pop_back().or_else(|| queue.idle.pop_back())?;
        queue.habit.used(self.now, since);
        queue.busy += 1;
        let found = self.instances.get_mut(&instance)?;
        found.state = State::Busy(ticket, true);
        if !found.provisioned {
            self.idle_bytes -= found.bytes;
        }
        self.stats.idle -= 1;
        self.stats.busy += 1;
        Some(instance)
    }

    /// Lets an event wait, and starts an instance unless one that starts is to spare.
    pub(super) fn enqueue(
        &mut self,
        generation: Generation,
        ticket: Ticket,
        slots: u32,
        out: &mut Vec<Action>,
    ) -> Result<(), Throttle> {
        self.missed(generation);
        let covered =
            self.queues.get(&generation).is_some_and(|queue| queue.seats() > queue.waiting.len());
        if !covered {
            if !self.rate.allows(self.now, ticket.function) {
                return Err(Throttle::Rate);
            }
            self.make_room(f64::INFINITY, out)?;
            self.rate.count(self.now, ticket.function);
            self.memory.promise();
            let queue = self.queue(generation);
            (queue.slots, queue.habit.slots) = (slots, slots);
            queue.starting += 1;
            let initialization = Initialization::OnDemand;
            self.start(generation, State::Starting, Phase::Init, initialization, out);
        }
        self.queue(generation).waiting.push_back(ticket);
        self.stats.waiting += 1;
        Ok(())
    }

    /// Starts an instance once more for the event whose first start overran.
    pub(super) fn restart(
        &mut self,
        generation: Generation,
        ticket: Ticket,
        out: &mut Vec<Action>,
    ) {
        self.memory.promise();
        let state = State::Restarting(Some(ticket));
        let instance = self.start(generation, state, Phase::Invoke, Initialization::OnDemand, out);
        let queue = self.queue(generation);
        queue.restarting += 1;
        queue.overdue.push_back(instance);
        self.stats.waiting += 1;
    }

    pub(super) fn start(
        &mut self,
        generation: Generation,
        state: State,
        phase: Phase,
        initialization: Initialization,
        out: &mut Vec<Action>,
    ) -> InstanceId {
        let instance = InstanceId(self.next_instance);
        self.next_instance += 1;
        let bytes = self.limits.start_estimate;
        let began = self.now;
        let provisioned = initialization == Initialization::Provisioned;
        let slots = self.queue(generation).slots.max(1);
        let (second, proven) = (false, false);
        let for_floor = provisioned;
        let new = Instance {
            generation,
            state,
            bytes,
            began,
            provisioned,
            for_floor,
            slots,
            second,
            proven,
        };
        self.instances.insert(instance, new);
        self.stats.starting += 1;
        out.push(Action::Start { instance, generation, phase, initialization });
        instance
    }

    /// Makes room for one more instance, by ending idle ones of others if it must, as long as they are
    /// worth less.
    pub(super) fn make_room(&mut self, worth: f64, out: &mut Vec<Action>) -> Result<(), Throttle> {
        if !self.memory.fits(self.idle_bytes) {
            return Err(Throttle::Memory);
        }
        let living = self.stats.starting + self.stats.idle + self.stats.busy;
        if living >= self.limits.instances && !self.evict(worth, out) {
            return Err(Throttle::Capacity);
        }
        while !self.memory.fits(0) {
            if !self.evict(worth, out) {
                return Err(Throttle::Memory);
            }
        }
        Ok(())
    }

    /// An instance that could serve does what there is to do.
    pub(super) fn settle(
        &mut self,
        now: Time,
        instance: InstanceId,
        ticket: Option<Ticket>,
    ) -> Next {
        let Some(found) = self.instances.get_mut(&instance) else { return Next::Idle };
        let generation = found.generation;
        let was_busy = matches!(found.state, State::Busy(..) | State::Shared { .. });
        let queue = self.queues.entry(generation).or_default();
        queue.busy -= u32::from(was_busy);
        if let Some(ticket) = ticket {
            found.state = State::Busy(ticket, was_busy);
            queue.busy += 1;
            self.stats.busy += 1;
            return Next::Run(ticket.event);
        }
        if queue.retired || self.stopping {
            let reason = if queue.retired { EndReason::Retired } else { EndReason::Stopping };
            self.lose(instance, false);
            self.begin_end(instance);
            self.forget_if_unused(generation);
            return Next::End(reason);
        }
        found.state = State::Idle;
        if found.provisioned {
            queue.habit.rested(now, instance, false);
            queue.kept.push_back((instance, now));
        } else {
            self.idle_bytes += found.bytes;
            let since = queue.habit.rested(now, instance, queue.idle.is_empty());
            queue.idle.push_back((instance, since));
        }
        self.stats.idle += 1;
        Next::Idle
    }

    /// The oldest event that waits for any instance of the generation.
    pub(super) fn pop_any(&mut self, generation: Generation) -> Option<Ticket> {
        // Nothing waits in the warm case, and then not even the queue need be found.
        if self.stats.waiting == 0 {
            return None;
        }
        self.pop_overdue(generation).or_else(|| self.pop_waiting(generation))
    }

    pub(super) fn pop_waiting(&mut self, generation: Generation) -> Option<Ticket> {
        let ticket = self.queues.get_mut(&generation)?.waiting.pop_front()?;
        self.stats.waiting -= 1;
        Some(ticket)
    }

    /// Takes an event from the second start it is bound to, which goes on as a surplus one.
    pub(super) fn pop_overdue(&mut self, generation: Generation) -> Option<Ticket> {
        let instance = self.queues.get_mut(&generation)?.overdue.pop_front()?;
        match &mut self.instances.get_mut(&instance)?.state {
            State::Restarting(ticket) => {
                let ticket = ticket.take()?;
                self.stats.waiting -= 1;
                Some(ticket)
            }
            _ => None,
        }
    }

    /// Takes back the event that was bound to a second start, if another has not taken it.
    pub(super) fn unbind(
        &mut self,
        generation: Generation,
        instance: InstanceId,
        bound: Option<Ticket>,
    ) -> Option<Ticket> {
        let ticket = bound?;
        self.queue(generation).overdue.retain(|other| *other != instance);
        self.stats.waiting -= 1;
        Some(ticket)
    }

    pub(super) fn end_idle(
        &mut self,
        instance: InstanceId,
        reason: EndReason,
        out: &mut Vec<Action>,
    ) {
        self.stats.idle -= 1;
        if let Some(found) = self.instances.get(&instance).filter(|found| !found.provisioned) {
            self.idle_bytes -= found.bytes;
        }
        self.begin_end(instance);
        out.push(Action::End { instance, reason });
    }

    /// An instance is about to end; what stood on a floor is missing from it. `idle` if no event of
    /// its own broke it.
    pub(super) fn lose(&mut self, instance: InstanceId, idle: bool) {
        if let Some(found) = self.instances.get(&instance).filter(|found| found.provisioned) {
            self.floors.lost(found.generation, idle);
        }
    }

    pub(super) fn begin_end(&mut self, instance: InstanceId) {
        if let Some(found) = self.instances.get_mut(&instance) {
            found.state = State::Ending;
            self.memory.give_back(found.bytes);
            self.stats.ending += 1;
        }
    }

    pub(super) fn fail(
        &mut self,
        ticket: Ticket,
        failure: Option<StartFailure>,
        out: &mut Vec<Action>,
    ) {
        self.release(ticket);
        out.push(Action::Fail { event: ticket.event, failure });
    }

    pub(super) fn release(&mut self, ticket: Ticket) {
        if let Charge::Provisioned(generation) = ticket.charge {
            self.floors.release(generation);
        }
        self.concurrency.release(ticket.function, ticket.charge);
    }
}
