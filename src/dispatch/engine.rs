//! The engine: queues, instances, and what each happening leads to.
//!
//! Every method takes what happened and appends what is to be done to `out`. Two kinds of happening
//! are on the path of every invocation, [`Dispatch::arrive`] and [`Dispatch::done`]; their main result
//! is returned rather than appended, so that the warm case touches no list.
//!
//! One invariant carries the promise that nobody waits for ever: *in every queue at least as many
//! first starts are under way as events wait*. Each start ends (ready, failed, or overran) and takes
//! an event off the queue when it does. An event whose first start overran leaves the queue and is
//! bound to its second start, which ends within the function's own timeout.

mod floors;
mod keeping;
mod queue;
mod shared;
mod steps;

use std::collections::VecDeque;

use model::Generation;

use crate::action::{
    Action, Arrival, Decision, EndReason, EventId, Fate, InstanceId, Next, Refusal, StartFailure,
    Stats,
};
use crate::admission::{Concurrency, Facts, Limits, Memory};
use crate::hash::{IdMap, IdSet};
use crate::provisioned::Floors;
use crate::rate::StartRate;
use crate::time::Time;
use keeping::Absent;
use queue::{Queue, Ticket};

/// Everything that is decided about, in one place; the caller brings the lock.
#[derive(Debug)]
pub struct Dispatch {
    limits: Limits,
    concurrency: Concurrency,
    memory: Memory,
    rate: StartRate,
    /// The same for what is provisioned, which takes nothing away from who is called.
    provision_rate: StartRate,
    /// One per generation that has an event or an instance; forgotten when it has neither.
    queues: IdMap<Generation, Queue>,
    instances: IdMap<InstanceId, Instance>,
    /// What was learned of generations that have neither.
    absent: Absent,
    /// Events on instances that serve several at once.
    guests: IdMap<EventId, Ticket>,
    /// What is to be ready whether anybody asks or not.
    floors: Floors,
    /// Starts under way that were made for floors, whether they still are.
    provisioning: u32,
    next_instance: u64,
    stats: Stats,
    /// The latest moment that was told.
    now: Time,
    /// Bytes of all idle instances that may be evicted: what evicting every one of them would give.
    idle_bytes: u64,
    /// Generations retired of late, so that a call on its way is not served by a new instance that
    /// nobody would ever retire again.
    retired: IdSet<Generation>,
    /// When to forget each of them, oldest first.
    forget: VecDeque<(Time, Generation)>,
    stopping: bool,
}

#[derive(Debug)]
struct Instance {
    generation: Generation,
    state: State,
    /// Bytes it was last seen to use.
    bytes: u64,
    /// When its start began.
    began: Time,
    /// Whether it stands on its generation's floor.
    provisioned: bool,
    /// Whether it was started for that.
    for_floor: bool,
    /// Events it serves at once.
    slots: u32,
    /// Of one that serves several: whether it is a second start, and whether it has served any well.
    second: bool,
    proven: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// First start; some event waits for it.
    Starting,
    /// Second start, with the event it is bound to unless another instance took that one.
    Restarting(Option<Ticket>),
    Idle,
    /// Serves an event; the flag says whether it was idle or served another before.
    Busy(Ticket, bool),
    /// Serves several events, or as many as came; after one that overran its time no more come.
    Shared {
        guests: u32,
        spent: bool,
    },
    Ending,
}

/// How long a retired generation is remembered. A call resolves its version and arrives within
/// microseconds; ten minutes cover a control plane that was stopped in a debugger.
const REMEMBER: std::time::Duration = std::time::Duration::from_secs(600);

// === impl Dispatch ===

impl Dispatch {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self {
            concurrency: Concurrency::new(limits.concurrency),
            memory: Memory::new(&limits),
            rate: StartRate::new(limits.starts),
            provision_rate: StartRate::new(limits.starts),
            limits,
            queues: IdMap::default(),
            instances: IdMap::default(),
            absent: Absent::default(),
            guests: IdMap::default(),
            floors: Floors::default(),
            provisioning: 0,
            next_instance: 0,
            stats: Stats::default(),
            now: Time::default(),
            idle_bytes: 0,
            retired: IdSet::default(),
            forget: VecDeque::new(),
            stopping: false,
        }
    }

    /// Sets how many instances may exist, once the spawner has said it.
    pub fn set_capacity(&mut self, instances: u32) {
        self.limits.instances = instances;
    }

    /// Sets the sum of what all functions have reserved of the account's concurrency.
    pub fn set_reserved(&mut self, total: u32) {
        self.concurrency.set_reserved(total);
    }

    /// Takes note of what was measured.
    pub fn observe(&mut self, facts: Facts) {
        self.memory.observe(facts);
    }

    /// Takes note of what one instance uses, bytes.
    pub fn measured(&mut self, instance: InstanceId, bytes: u64) {
        let Some(found) = self.instances.get_mut(&instance) else { return };
        if matches!(found.state, State::Idle) && !found.provisioned {
            self.idle_bytes = self.idle_bytes - found.bytes + bytes;
        }
        found.bytes = bytes;
    }

    /// An event asks to be served.
    pub fn arrive(&mut self, now: Time, arrival: Arrival, out: &mut Vec<Action>) -> Decision {
        self.now = now;
        if self.stopping {
            return Decision::Refuse(Refusal::Stopping);
        }
        if !self.retired.is_empty() && self.retired.contains(&arrival.generation) {
            return Decision::Refuse(Refusal::Retired);
        }
        let (floors, generation) = (&mut self.floors, arrival.generation);
        let provisioned =
            || (!floors.is_empty() && floors.charge(generation)).then_some(generation);
        let charge = match self.concurrency.admit(arrival.function, arrival.reserved, provisioned) {
            Ok(charge) => charge,
            Err(throttle) => return Decision::Refuse(Refusal::Throttled(throttle)),
        };
        let ticket = Ticket { event: arrival.event, function: arrival.function, charge };
        if let Some(instance) = self.lease(arrival.generation, ticket, arrival.slots) {
            return Decision::Run(instance);
        }
        match self.enqueue(arrival.generation, ticket, arrival.slots, out) {
            Ok(()) => Decision::Wait,
            Err(throttle) => {
                self.release(ticket);
                self.forget_if_unused(arrival.generation);
                Decision::Refuse(Refusal::Throttled(throttle))
            }
        }
    }

    /// An instance has initialised.
    pub fn ready(&mut self, now: Time, instance: InstanceId, out: &mut Vec<Action>) {
        self.now = now;
        let landed = self.landed(instance);
        self.initialised(now, instance, out);
        if landed {
            self.replenish(now, out);
        }
    }

    fn initialised(&mut self, now: Time, instance: InstanceId, out: &mut Vec<Action>) {
        let Some(found) = self.instances.get(&instance) else { return };
        let (generation, began) = (found.generation, found.began);
        let (provisioned, shared) = (found.provisioned, found.slots > 1);
        let ticket = match found.state {
            State::Starting => {
                if provisioned {
                    self.queue(generation).provisioning -= 1;
                    self.floors.ready(generation);
                } else {
                    self.queue(generation).starting -= 1;
                }
                if shared {
                    self.stats.starting -= 1;
                    self.queue(generation).habit.rebuilt(now.since(began));
                    return self.ready_shared(now, generation, instance, out);
                }
                // The queue first, whose events count on this start; then one that is bound to a
                // start which has already proved slow.
                let waiting = self.pop_waiting(generation);
                waiting.or_else(|| self.pop_overdue(generation))
            }
            State::Restarting(bound) => {
                self.queue(generation).restarting -= 1;
                self.unbind(generation, instance, bound).or_else(|| self.pop_any(generation))
            }
            State::Idle | State::Busy(..) | State::Shared { .. } | State::Ending => return,
        };
        self.stats.starting -= 1;
        self.queue(generation).habit.rebuilt(now.since(began));
        match self.settle(now, instance, ticket) {
            Next::Run(event) => out.push(Action::Run { instance, event }),
            Next::Idle => {}
            Next::End(reason) => out.push(Action::End { instance, reason }),
        }
    }

    /// A start came to nothing. One event is answered with it, or, if it overran for the first
    /// time, gets its second start.
    pub fn start_failed(
        &mut self,
        instance: InstanceId,
        failure: StartFailure,
        out: &mut Vec<Action>,
    ) {
        let landed = self.landed(instance);
        self.not_initialised(instance, failure, out);
        if landed {
            self.replenish(self.now, out);
        }
    }

    fn not_initialised(
        &mut self,
        instance: InstanceId,
        failure: StartFailure,
        out: &mut Vec<Action>,
    ) {
        let Some(found) = self.instances.get(&instance) else { return };
        let (generation, state) = (found.generation, found.state);
        let (shared, second) = (found.slots > 1, found.second);
        let ticket = match state {
            State::Starting if found.provisioned => {
                self.queue(generation).provisioning -= 1;
                self.floors.failed(generation, failure);
                // Whoever waits does so for a start of their own.
                None
            }
            State::Starting => {
                self.queue(generation).starting -= 1;
                if shared { None } else { self.pop_waiting(generation) }
            }
            State::Restarting(bound) => {
                self.queue(generation).restarting -= 1;
                self.unbind(generation, instance, bound)
            }
            State::Idle | State::Busy(..) | State::Shared { .. } | State::Ending => return,
        };
        self.stats.starting -= 1;
        self.begin_end(instance);
        if failure == StartFailure::NoCell {
            self.ended(instance);
        } else {
            out.push(Action::End { instance, reason: EndReason::Failed });
        }
        let again = failure == StartFailure::Overran && matches!(state, State::Starting);
        if shared {
            self.failed_shared(generation, again && !second, failure, out);
        }
        match ticket {
            // Its predecessor gives up a place and its memory, so there is room.
            Some(ticket) if again && !self.stopping => self.restart(generation, ticket, out),
            Some(ticket) => self.fail(ticket, Some(failure), out),
            None => {}
        }
        self.forget_if_unused(generation);
    }

    /// An instance has served an event.
    pub fn done(&mut self, now: Time, instance: InstanceId, event: EventId, fate: Fate) -> Next {
        self.now = now;
        if let Some(ticket) = self.unseat(event) {
            return self.done_shared(now, instance, ticket, fate);
        }
        let Some(found) = self.instances.get(&instance) else { return Next::Idle };
        let State::Busy(ticket, _) = found.state else { return Next::Idle };
        let (generation, provisioned) = (found.generation, found.provisioned);
        self.stats.busy -= 1;
        self.release(ticket);
        match fate {
            Fate::Reusable => {
                if provisioned {
                    self.floors.served(generation);
                }
                let next = self.pop_any(generation);
                self.settle(now, instance, next)
            }
            Fate::Spent | Fate::Broken => {
                self.lose(instance, false);
                self.begin_end(instance);
                self.queue(generation).busy -= 1;
                self.forget_if_unused(generation);
                Next::End(EndReason::Failed)
            }
        }
    }

    /// An instance was found dead before a byte of its event was written. The event is placed once
    /// more, unless the instance was fresh from its start: a function that dies after every start
    /// would be started without end.
    pub fn undelivered(&mut self, instance: InstanceId, event: EventId, out: &mut Vec<Action>) {
        if let Some(ticket) = self.unseat(event) {
            return self.undelivered_shared(instance, ticket, out);
        }
        let Some(found) = self.instances.get(&instance) else { return };
        let State::Busy(ticket, proven) = found.state else { return };
        let generation = found.generation;
        self.stats.busy -= 1;
        self.queue(generation).busy -= 1;
        self.lose(instance, true);
        self.begin_end(instance);
        out.push(Action::End { instance, reason: EndReason::Failed });
        if !proven || self.stopping {
            self.fail(ticket, Some(StartFailure::Died), out);
        } else if let Some(instance) = self.lease_idle(generation, ticket) {
            out.push(Action::Run { instance, event: ticket.event });
        } else if self.enqueue(generation, ticket, 1, out).is_err() {
            self.fail(ticket, Some(StartFailure::NoCell), out);
        }
        self.forget_if_unused(generation);
    }

    /// An idle instance ended by itself. Of a busy or starting one its own event tells.
    pub fn died(&mut self, instance: InstanceId, out: &mut Vec<Action>) {
        let Some(found) = self.instances.get(&instance) else { return };
        if matches!(found.state, State::Idle) {
            let generation = found.generation;
            let queue = self.queue(generation);
            queue.idle.retain(|(id, _)| *id != instance);
            queue.kept.retain(|(id, _)| *id != instance);
            self.lose(instance, true);
            self.end_idle(instance, EndReason::Failed, out);
            self.forget_if_unused(generation);
        }
    }

    /// An instance is gone, and its place is free.
    pub fn ended(&mut self, instance: InstanceId) {
        if self.instances.remove(&instance).is_some() {
            self.stats.ending -= 1;
        }
    }

    /// A generation is history: its idle instances end now, its busy ones after their event. Events
    /// that were accepted for it are still served by it; later ones are refused.
    pub fn retire(&mut self, now: Time, generation: Generation, out: &mut Vec<Action>) {
        self.now = now;
        self.absent.forget(generation);
        self.retired.insert(generation);
        self.forget.push_back((now.after(REMEMBER), generation));
        let standing = self.floors.remove(generation);
        self.let_go(now, generation, standing);
        let Some(queue) = self.queues.get_mut(&generation) else { return };
        queue.retired = true;
        for (instance, _) in std::mem::take(&mut queue.idle) {
            self.end_idle(instance, EndReason::Retired, out);
        }
        self.forget_if_unused(generation);
    }

    /// Ends what has been idle for too long, or is kept for too long for what it is used; and starts
    /// what is missing below a floor, and instances for callers who come regularly and are due.
    pub fn expire(&mut self, now: Time, out: &mut Vec<Action>) {
        self.now = now;
        self.rate.forget(now);
        self.provision_rate.forget(now);
        while let Some((_, generation)) = self.forget.pop_front_if(|(when, _)| *when <= now) {
            self.retired.remove(&generation);
        }
        self.end_surplus(out);
        self.replenish(now, out);
        self.start_ahead(out);
    }

    /// When [`Dispatch::expire`] will next have something to do, unless something changes.
    pub fn next_expiry(&self) -> Option<Time> {
        self.next_kept().into_iter().chain(self.next_provisioned()).min()
    }

    /// Serves nothing new: idle instances end now, busy ones after what they serve and what waits.
    pub fn stop(&mut self, out: &mut Vec<Action>) {
        self.stopping = true;
        self.absent.clear();
        self.floors.clear();
        let idle: Vec<InstanceId> = self
            .queues
            .values_mut()
            .flat_map(|queue| {
                let kept = std::mem::take(&mut queue.kept);
                kept.into_iter().chain(std::mem::take(&mut queue.idle))
            })
            .map(|(instance, _)| instance)
            .collect();
        for instance in idle {
            self.end_idle(instance, EndReason::Stopping, out);
        }
        self.queues.retain(|_, queue| !queue.is_unused());
    }

    /// Stops and fails every event that waits. Instances that serve or start are the caller's to
    /// end: they still say [`Dispatch::done`] or [`Dispatch::start_failed`].
    pub fn abandon(&mut self, out: &mut Vec<Action>) {
        self.stop(out);
        let mut tickets: Vec<Ticket> = Vec::new();
        for queue in self.queues.values_mut() {
            queue.overdue.clear();
            tickets.extend(queue.waiting.drain(..));
        }
        for instance in self.instances.values_mut() {
            if let State::Restarting(ticket) = &mut instance.state {
                tickets.extend(ticket.take());
            }
        }
        self.stats.waiting = 0;
        for ticket in tickets {
            self.fail(ticket, None, out);
        }
    }

    /// How many there are of what.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Events that are being served or wait.
    pub fn admitted(&self) -> u32 {
        self.concurrency.admitted()
    }
}

#[cfg(test)]
mod sequences;
#[cfg(test)]
mod tests;
