//! What the engine does about floors: starts what is missing, lets go of what is too much.

use model::{FunctionId, Generation};

use super::{Dispatch, State};
use crate::action::{Action, Initialization, InstanceId, Phase};
use crate::provisioned::{Floor, Missing, Provision};
use crate::time::Time;

// === impl Dispatch ===

impl Dispatch {
    /// Sets how many instances of each of a function's generations are to be ready, in the place of
    /// what was set before. A floor that another one replaces stands until the other is met.
    pub fn provision(
        &mut self,
        now: Time,
        function: FunctionId,
        floors: &[Floor],
        out: &mut Vec<Action>,
    ) {
        self.now = now;
        if self.stopping {
            return;
        }
        let live = |floor: &&Floor| !self.retired.contains(&floor.generation);
        let floors: Vec<Floor> = floors.iter().filter(live).copied().collect();
        for (generation, surplus) in self.floors.set(function, &floors) {
            self.let_go(now, generation, surplus);
        }
        self.replenish(now, out);
    }

    /// How far the floor of a generation is, if it has one.
    pub fn provisioned(&self, generation: Generation) -> Option<Provision> {
        self.floors.show(generation)
    }

    /// Starts what is missing and may be started now.
    pub(super) fn replenish(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.floors.is_empty() || self.stopping {
            return;
        }
        for (generation, surplus) in self.floors.step_back() {
            self.let_go(now, generation, surplus);
        }
        while self.provisioning < self.at_once() {
            let (most, rate) = (self.share(), &self.provision_rate);
            let missing = self.floors.next_start(now, most, |function| rate.allows(now, function));
            let Some(Missing { generation, function, slots }) = missing else { return };
            if self.make_room(f64::INFINITY, out).is_err() {
                self.floors.no_room(now, generation);
                continue;
            }
            self.memory.promise();
            self.provision_rate.count(now, function);
            self.floors.starting(generation);
            self.provisioning += 1;
            let queue = self.queue(generation);
            queue.slots = slots;
            queue.provisioning += 1;
            let initialization = Initialization::Provisioned;
            self.start(generation, State::Starting, Phase::Init, initialization, out);
        }
    }

    /// A start is over; whether it was made for a floor, so that another may be.
    pub(super) fn landed(&mut self, instance: InstanceId) -> bool {
        let found = self.instances.get(&instance);
        let landed =
            found.is_some_and(|found| found.for_floor && matches!(found.state, State::Starting));
        self.provisioning -= u32::from(landed);
        landed
    }

    /// When something that is missing may be started, if time decides that.
    pub(super) fn next_provisioned(&self) -> Option<Time> {
        // With as many under way as may be it is the next end of one.
        let free = self.provisioning < self.at_once();
        let next = || self.floors.next(self.share(), |function| self.provision_rate.next(function));
        free.then(next).flatten()
    }

    fn at_once(&self) -> u32 {
        self.limits.provisioning.max(1)
    }

    /// How many of them may be one function's: one whose starts hang leaves others half.
    fn share(&self) -> u32 {
        self.at_once().div_ceil(2)
    }

    /// Makes so many instances of a floor ordinary ones: those that only start, then idle ones, then
    /// those that serve. They go on, and age like any other.
    pub(super) fn let_go(&mut self, now: Time, generation: Generation, surplus: u32) {
        let rank = |state: &State| match state {
            State::Starting => Some(0),
            State::Idle => Some(1),
            State::Busy(..) | State::Shared { .. } => Some(2),
            // Not counted any more; a second start never was.
            State::Ending | State::Restarting(_) => None,
        };
        let mut own: Vec<(u8, InstanceId)> = self
            .instances
            .iter()
            .filter(|(_, found)| found.provisioned && found.generation == generation)
            .filter_map(|(instance, found)| Some((rank(&found.state)?, *instance)))
            .collect();
        own.sort_unstable();
        for (_, instance) in own.into_iter().take(surplus as usize) {
            let Some(found) = self.instances.get_mut(&instance) else { continue };
            found.provisioned = false;
            let queue = self.queues.entry(generation).or_default();
            match found.state {
                State::Starting => {
                    queue.provisioning -= 1;
                    queue.starting += 1;
                }
                State::Idle => {
                    queue.kept.retain(|(other, _)| *other != instance);
                    queue.habit.joined(now, queue.idle.is_empty());
                    queue.idle.push_back((instance, now));
                    self.idle_bytes += found.bytes;
                }
                State::Restarting(_) | State::Busy(..) | State::Shared { .. } | State::Ending => {}
            }
        }
    }
}
