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

mod queue;

use std::collections::VecDeque;

use model::{FunctionId, Generation};

use crate::admission::{Charge, Concurrency, Facts, Limits, Memory, Throttle};
use crate::hash::IdMap;
use crate::time::Time;
use queue::{Queue, Ticket};

/// Names one event; chosen by the caller, unique among events that are not yet over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub u64);

/// Names one instance; chosen here, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(pub u64);

/// An event that asks to be served.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Its name.
    pub event: EventId,
    /// Whose concurrency it counts against.
    pub function: FunctionId,
    /// What has to serve it.
    pub generation: Generation,
    /// The function's reserved concurrency, if it has one.
    pub reserved: Option<u32>,
}

/// What becomes of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// This idle instance serves it now.
    Run(InstanceId),
    /// It waits; an [`Action::Run`] or [`Action::Fail`] will name it.
    Wait,
    /// It is not served, and nothing more will be heard of it.
    Refuse(Refusal),
}

/// Why an arrival is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No room.
    Throttled(Throttle),
    /// Its generation was retired before it came: resolve the function again.
    Retired,
    /// Nothing new is served any more.
    Stopping,
}

/// Which of its two chances to initialise a start is; the words are AWS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The first, bounded by the init limit.
    Init,
    /// The second, after the first overran, bounded by the function's timeout.
    Invoke,
}

/// Why a start came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartFailure {
    /// There was no sandbox to start it in, so there is nothing to end.
    NoCell,
    /// The runtime said that the handler cannot be loaded.
    Init,
    /// Its process ended or broke the protocol.
    Died,
    /// It was still initialising at its limit.
    Overran,
}

/// In what condition an event leaves its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It can serve the next one.
    Reusable,
    /// It must not.
    Broken,
}

/// What an instance does after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It serves this one.
    Run(EventId),
    /// It waits for one.
    Idle,
    /// It is to be ended; say [`Dispatch::ended`] when it is gone.
    End(EndReason),
}

/// Why an instance ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Nobody needed it for [`Limits::idle_for`].
    Expired,
    /// Its room is needed for another.
    Evicted,
    /// Its generation was retired.
    Retired,
    /// It did not start, or broke.
    Failed,
    /// Everything is ended.
    Stopping,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start an instance; say [`Dispatch::ready`] or [`Dispatch::start_failed`].
    Start {
        /// Its name.
        instance: InstanceId,
        /// What it is to serve.
        generation: Generation,
        /// Which limit holds.
        phase: Phase,
    },
    /// Give an event that waited to an instance; say [`Dispatch::done`].
    Run {
        /// Who serves.
        instance: InstanceId,
        /// What.
        event: EventId,
    },
    /// End an instance; say [`Dispatch::ended`] when it is gone.
    End {
        /// Which.
        instance: InstanceId,
        /// Why.
        reason: EndReason,
    },
    /// Answer an event that waited: it will not be served.
    Fail {
        /// Which.
        event: EventId,
        /// What came to nothing; `None` if everything is being stopped.
        failure: Option<StartFailure>,
    },
}

/// How many there are of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Instances that initialise.
    pub starting: u32,
    /// Instances that wait for an event.
    pub idle: u32,
    /// Instances that serve one.
    pub busy: u32,
    /// Instances that are being taken down.
    pub ending: u32,
    /// Events that wait for an instance.
    pub waiting: u32,
}

/// Everything that is decided about, in one place; the caller brings the lock.
#[derive(Debug)]
pub struct Dispatch {
    limits: Limits,
    concurrency: Concurrency,
    memory: Memory,
    /// One per generation that has an event or an instance; forgotten when it has neither.
    queues: IdMap<Generation, Queue>,
    instances: IdMap<InstanceId, Instance>,
    next_instance: u64,
    stats: Stats,
    /// Bytes of all idle instances: what evicting every one of them would give.
    idle_bytes: u64,
    /// Generations retired of late, so that a call on its way is not served by a new instance that
    /// nobody would ever retire again.
    retired: IdMap<Generation, ()>,
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
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// First start; some event waits for it.
    Starting,
    /// Second start, with the event it is bound to unless another instance took that one.
    Restarting(Option<Ticket>),
    Idle,
    /// Serves an event; the flag says whether it was idle before.
    Busy(Ticket, bool),
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
            limits,
            queues: IdMap::default(),
            instances: IdMap::default(),
            next_instance: 0,
            stats: Stats::default(),
            idle_bytes: 0,
            retired: IdMap::default(),
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
        if matches!(found.state, State::Idle) {
            self.idle_bytes = self.idle_bytes - found.bytes + bytes;
        }
        found.bytes = bytes;
    }

    /// An event asks to be served.
    pub fn arrive(&mut self, arrival: Arrival, out: &mut Vec<Action>) -> Decision {
        if self.stopping {
            return Decision::Refuse(Refusal::Stopping);
        }
        if !self.retired.is_empty() && self.retired.contains_key(&arrival.generation) {
            return Decision::Refuse(Refusal::Retired);
        }
        let charge = match self.concurrency.admit(arrival.function, arrival.reserved) {
            Ok(charge) => charge,
            Err(throttle) => return Decision::Refuse(Refusal::Throttled(throttle)),
        };
        let ticket = Ticket { event: arrival.event, function: arrival.function, charge };
        if let Some(instance) = self.lease_idle(arrival.generation, ticket) {
            return Decision::Run(instance);
        }
        match self.enqueue(arrival.generation, ticket, out) {
            Ok(()) => Decision::Wait,
            Err(throttle) => {
                self.release(ticket);
                Decision::Refuse(Refusal::Throttled(throttle))
            }
        }
    }

    /// An instance has initialised.
    pub fn ready(&mut self, now: Time, instance: InstanceId, out: &mut Vec<Action>) {
        let Some(found) = self.instances.get(&instance) else { return };
        let generation = found.generation;
        let ticket = match found.state {
            State::Starting => {
                self.queue(generation).starting -= 1;
                // The queue first, whose events count on this start; then one that is bound to a
                // start which has already proved slow.
                let waiting = self.pop_waiting(generation);
                waiting.or_else(|| self.pop_overdue(generation))
            }
            State::Restarting(Some(ticket)) => {
                self.queue(generation).overdue.retain(|bound| *bound != instance);
                Some(ticket)
            }
            State::Restarting(None) => self.pop_any(generation),
            State::Idle | State::Busy(..) | State::Ending => return,
        };
        self.stats.starting -= 1;
        match self.settle(now, instance, ticket, false) {
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
        let Some(found) = self.instances.get(&instance) else { return };
        let (generation, state) = (found.generation, found.state);
        let ticket = match state {
            State::Starting => {
                self.queue(generation).starting -= 1;
                self.pop_waiting(generation)
            }
            State::Restarting(ticket) => {
                self.queue(generation).overdue.retain(|bound| *bound != instance);
                ticket
            }
            State::Idle | State::Busy(..) | State::Ending => return,
        };
        self.stats.starting -= 1;
        self.begin_end(instance);
        if failure == StartFailure::NoCell {
            self.ended(instance);
        } else {
            out.push(Action::End { instance, reason: EndReason::Failed });
        }
        let again = failure == StartFailure::Overran && matches!(state, State::Starting);
        match ticket {
            // Its predecessor gives up a place and its memory, so there is room.
            Some(ticket) if again && !self.stopping => self.restart(generation, ticket, out),
            Some(ticket) => self.fail(ticket, Some(failure), out),
            None => {}
        }
        self.forget_if_unused(generation);
    }

    /// An instance has served its event.
    pub fn done(&mut self, now: Time, instance: InstanceId, fate: Fate) -> Next {
        let Some(found) = self.instances.get(&instance) else {
            return Next::End(EndReason::Failed);
        };
        let State::Busy(ticket, _) = found.state else { return Next::End(EndReason::Failed) };
        let generation = found.generation;
        self.stats.busy -= 1;
        self.release(ticket);
        match fate {
            Fate::Reusable => {
                let next = self.pop_any(generation);
                self.settle(now, instance, next, false)
            }
            Fate::Broken => {
                self.begin_end(instance);
                self.queue(generation).busy -= 1;
                self.forget_if_unused(generation);
                Next::End(EndReason::Failed)
            }
        }
    }

    /// An instance was found dead before a byte of its event was written. If it had been idle the
    /// event is placed once more; a fresh one that dies answers its event, or a function that dies
    /// after every start would be started without end.
    pub fn undelivered(&mut self, instance: InstanceId, out: &mut Vec<Action>) {
        let Some(found) = self.instances.get(&instance) else { return };
        let State::Busy(ticket, was_idle) = found.state else { return };
        let generation = found.generation;
        self.stats.busy -= 1;
        self.queue(generation).busy -= 1;
        self.begin_end(instance);
        out.push(Action::End { instance, reason: EndReason::Failed });
        if !was_idle || self.stopping {
            self.fail(ticket, Some(StartFailure::Died), out);
        } else if let Some(instance) = self.lease_idle(generation, ticket) {
            out.push(Action::Run { instance, event: ticket.event });
        } else if self.enqueue(generation, ticket, out).is_err() {
            self.fail(ticket, Some(StartFailure::NoCell), out);
        }
        self.forget_if_unused(generation);
    }

    /// An idle instance ended by itself. Of a busy or starting one its own event tells.
    pub fn died(&mut self, instance: InstanceId, out: &mut Vec<Action>) {
        let Some(found) = self.instances.get(&instance) else { return };
        if matches!(found.state, State::Idle) {
            let generation = found.generation;
            self.queue(generation).idle.retain(|(id, _)| *id != instance);
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
        self.retired.insert(generation, ());
        self.forget.push_back((now.after(REMEMBER), generation));
        let Some(queue) = self.queues.get_mut(&generation) else { return };
        queue.retired = true;
        for (instance, _) in std::mem::take(&mut queue.idle) {
            self.end_idle(instance, EndReason::Retired, out);
        }
        self.forget_if_unused(generation);
    }

    /// Ends what has been idle for too long.
    pub fn expire(&mut self, now: Time, out: &mut Vec<Action>) {
        while let Some((_, generation)) = self.forget.pop_front_if(|(when, _)| *when <= now) {
            self.retired.remove(&generation);
        }
        let limit = self.limits.idle_for;
        let old = |queue: &Queue| {
            queue.idle.iter().take_while(|(_, since)| since.after(limit) <= now).count()
        };
        let due: Vec<(Generation, usize)> = self
            .queues
            .iter()
            .map(|(generation, queue)| (*generation, old(queue)))
            .filter(|(_, count)| *count > 0)
            .collect();
        for (generation, count) in due {
            for (instance, _) in self.queue(generation).idle.drain(..count).collect::<Vec<_>>() {
                self.end_idle(instance, EndReason::Expired, out);
            }
            self.forget_if_unused(generation);
        }
    }

    /// When [`Dispatch::expire`] will next have something to do, unless something changes.
    pub fn next_expiry(&self) -> Option<Time> {
        let oldest = self.queues.values().filter_map(|queue| queue.idle.front());
        oldest.map(|(_, since)| since.after(self.limits.idle_for)).min()
    }

    /// Serves nothing new: idle instances end now, busy ones after what they serve and what waits.
    pub fn stop(&mut self, out: &mut Vec<Action>) {
        self.stopping = true;
        let idle: Vec<InstanceId> = self
            .queues
            .values_mut()
            .flat_map(|queue| std::mem::take(&mut queue.idle))
            .map(|(instance, _)| instance)
            .collect();
        for instance in idle {
            self.end_idle(instance, EndReason::Stopping, out);
        }
        self.queues.retain(|_, queue| !queue.is_unused());
    }

    /// Stops at once: every event that waits is failed and every instance that lives is ended. Busy
    /// ones still have to say [`Dispatch::done`].
    pub fn abandon(&mut self, out: &mut Vec<Action>) {
        self.stop(out);
        let mut tickets: Vec<Ticket> = Vec::new();
        for queue in self.queues.values_mut() {
            queue.overdue.clear();
            tickets.extend(queue.waiting.drain(..));
        }
        for (id, instance) in &mut self.instances {
            if let State::Restarting(ticket) = &mut instance.state {
                tickets.extend(ticket.take());
            }
            if !matches!(instance.state, State::Ending) {
                out.push(Action::End { instance: *id, reason: EndReason::Stopping });
            }
        }
        self.stats.waiting = 0;
        for ticket in tickets {
            self.release(ticket);
            out.push(Action::Fail { event: ticket.event, failure: None });
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

// === impl Dispatch: the steps ===

impl Dispatch {
    /// The queue of a generation that has an instance or is about to.
    fn queue(&mut self, generation: Generation) -> &mut Queue {
        self.queues.entry(generation).or_default()
    }

    /// Gives the event to the idle instance used last, if there is one.
    fn lease_idle(&mut self, generation: Generation, ticket: Ticket) -> Option<InstanceId> {
        let queue = self.queues.get_mut(&generation)?;
        let (instance, _) = queue.idle.pop_back()?;
        queue.busy += 1;
        let found = self.instances.get_mut(&instance)?;
        found.state = State::Busy(ticket, true);
        self.idle_bytes -= found.bytes;
        self.stats.idle -= 1;
        self.stats.busy += 1;
        Some(instance)
    }

    /// Lets an event wait, and starts an instance unless one that starts is to spare.
    fn enqueue(
        &mut self,
        generation: Generation,
        ticket: Ticket,
        out: &mut Vec<Action>,
    ) -> Result<(), Throttle> {
        let covered = self
            .queues
            .get(&generation)
            .is_some_and(|queue| queue.starting as usize > queue.waiting.len());
        if !covered {
            self.make_room(out)?;
            self.memory.promise();
            self.queue(generation).starting += 1;
            self.start(generation, State::Starting, Phase::Init, out);
        }
        self.queue(generation).waiting.push_back(ticket);
        self.stats.waiting += 1;
        Ok(())
    }

    /// Starts an instance once more for the event whose first start overran.
    fn restart(&mut self, generation: Generation, ticket: Ticket, out: &mut Vec<Action>) {
        let instance =
            self.start(generation, State::Restarting(Some(ticket)), Phase::Invoke, out);
        self.queue(generation).overdue.push_back(instance);
        self.stats.waiting += 1;
    }

    fn start(
        &mut self,
        generation: Generation,
        state: State,
        phase: Phase,
        out: &mut Vec<Action>,
    ) -> InstanceId {
        let instance = InstanceId(self.next_instance);
        self.next_instance += 1;
        let bytes = self.limits.start_estimate;
        self.instances.insert(instance, Instance { generation, state, bytes });
        self.stats.starting += 1;
        out.push(Action::Start { instance, generation, phase });
        instance
    }

    /// Makes room for one more instance, by ending idle ones of others if it must.
    fn make_room(&mut self, out: &mut Vec<Action>) -> Result<(), Throttle> {
        if !self.memory.fits(self.idle_bytes) {
            return Err(Throttle::Memory);
        }
        let living = self.stats.starting + self.stats.idle + self.stats.busy;
        if living >= self.limits.instances && !self.evict(out) {
            return Err(Throttle::Capacity);
        }
        while !self.memory.fits(0) {
            if !self.evict(out) {
                return Err(Throttle::Memory);
            }
        }
        Ok(())
    }

    /// Ends the idle instance that was used longest ago.
    fn evict(&mut self, out: &mut Vec<Action>) -> bool {
        let oldest = self
            .queues
            .iter()
            .filter_map(|(generation, queue)| Some((queue.idle.front()?.1, *generation)))
            .min();
        let Some((_, generation)) = oldest else { return false };
        let Some((instance, _)) = self.queue(generation).idle.pop_front() else { return false };
        self.end_idle(instance, EndReason::Evicted, out);
        self.forget_if_unused(generation);
        true
    }

    /// An instance that could serve does what there is to do.
    fn settle(
        &mut self,
        now: Time,
        instance: InstanceId,
        ticket: Option<Ticket>,
        was_idle: bool,
    ) -> Next {
        let Some(found) = self.instances.get_mut(&instance) else {
            return Next::End(EndReason::Failed);
        };
        let generation = found.generation;
        let was_busy = matches!(found.state, State::Busy(..));
        let queue = self.queues.entry(generation).or_default();
        queue.busy -= u32::from(was_busy);
        if let Some(ticket) = ticket {
            found.state = State::Busy(ticket, was_idle);
            queue.busy += 1;
            self.stats.busy += 1;
            return Next::Run(ticket.event);
        }
        if queue.retired || self.stopping {
            let reason = if queue.retired { EndReason::Retired } else { EndReason::Stopping };
            self.begin_end(instance);
            self.forget_if_unused(generation);
            return Next::End(reason);
        }
        found.state = State::Idle;
        self.idle_bytes += found.bytes;
        queue.idle.push_back((instance, now));
        self.stats.idle += 1;
        Next::Idle
    }

    /// The oldest event that waits for any instance of the generation.
    fn pop_any(&mut self, generation: Generation) -> Option<Ticket> {
        // Nothing waits in the warm case, and then not even the queue need be found.
        if self.stats.waiting == 0 {
            return None;
        }
        self.pop_overdue(generation).or_else(|| self.pop_waiting(generation))
    }

    fn pop_waiting(&mut self, generation: Generation) -> Option<Ticket> {
        let ticket = self.queues.get_mut(&generation)?.waiting.pop_front()?;
        self.stats.waiting -= 1;
        Some(ticket)
    }

    /// Takes an event from the second start it is bound to, which goes on as a surplus one.
    fn pop_overdue(&mut self, generation: Generation) -> Option<Ticket> {
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

    fn end_idle(&mut self, instance: InstanceId, reason: EndReason, out: &mut Vec<Action>) {
        self.stats.idle -= 1;
        if let Some(found) = self.instances.get(&instance) {
            self.idle_bytes -= found.bytes;
        }
        self.begin_end(instance);
        out.push(Action::End { instance, reason });
    }

    fn begin_end(&mut self, instance: InstanceId) {
        if let Some(found) = self.instances.get_mut(&instance) {
            found.state = State::Ending;
            self.memory.give_back(found.bytes);
            self.stats.ending += 1;
        }
    }

    fn fail(&mut self, ticket: Ticket, failure: Option<StartFailure>, out: &mut Vec<Action>) {
        self.release(ticket);
        out.push(Action::Fail { event: ticket.event, failure });
    }

    fn release(&mut self, ticket: Ticket) {
        self.concurrency.release(ticket.function, ticket.charge);
    }

    fn forget_if_unused(&mut self, generation: Generation) {
        if self.queues.get(&generation).is_some_and(Queue::is_unused) {
            self.queues.remove(&generation);
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
