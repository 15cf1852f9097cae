//! What the engine does about floors: starts what is missing, lets go of what is too much.

use model::{FunctionId, Generation};

use super::{Dispatch, State};
use crate::action::{Action, Initialization, InstanceId, Phase};
use crate::provisioned::{Floor, Provision};
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
        for (generation, slots, missing) in self.floors.missing(now) {
            for _ in 0..missing {
                if self.make_room(f64::INFINITY, out).is_err() {
                    self.floors.no_room(now, generation);
                    break;
                }
                self.memory.promise();
                self.floors.starting(generation);
                let queue = self.queue(generation);
                queue.slots = slots;
                queue.provisioning += 1;
                let initialization = Initialization::Provisioned;
                self.start(generation, State::Starting, Phase::Init, initialization, out);
            }
        }
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
