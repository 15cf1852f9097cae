//! What waits and what serves, of one generation.

use std::collections::VecDeque;

use model::FunctionId;

use super::keeping::Habit;
use crate::action::{EventId, InstanceId};
use crate::admission::Charge;
use crate::time::Time;

/// An admitted event: enough to release what it was charged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) event: EventId,
    pub(super) function: FunctionId,
    pub(super) charge: Charge,
}

/// One generation's queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Events that wait, oldest first. Never more than the starts under way will serve at once.
    pub(super) waiting: VecDeque<Ticket>,
    /// Second starts with an event bound to them, the longest bound first.
    pub(super) overdue: VecDeque<InstanceId>,
    /// Idle instances; the back was used last and serves next, the front ages out.
    pub(super) idle: VecDeque<(InstanceId, Time)>,
    /// Idle instances of its floor, which neither expire nor are evicted; they serve first, and the
    /// back of them before the others.
    pub(super) kept: VecDeque<(InstanceId, Time)>,
    /// First starts under way, of instances that events wait for.
    pub(super) starting: u32,
    /// Starts of its floor under way: what waits may get them, and does not count on them.
    pub(super) provisioning: u32,
    /// Second starts under way, whether an event is still bound to them or not.
    pub(super) restarting: u32,
    /// Instances that serve an event, or several.
    pub(super) busy: u32,
    /// Of instances that serve several at once: those with a seat free, the back gets the next.
    pub(super) open: VecDeque<InstanceId>,
    /// Events that one instance serves at once; nought until somebody has said so, which is one.
    pub(super) slots: u32,
    /// How it is used.
    pub(super) habit: Habit,
    /// Whether instances end instead of becoming idle.
    pub(super) retired: bool,
}

// === impl Queue ===

impl Queue {
    /// How many events the starts under way will serve at once.
    pub(super) fn seats(&self) -> usize {
        self.starting as usize * self.slots.max(1) as usize
    }

    /// Whether nothing would be lost by forgetting it.
    pub(super) fn is_unused(&self) -> bool {
        self.waiting.is_empty()
            && self.idle.is_empty()
            && self.kept.is_empty()
            && self.starting + self.provisioning + self.restarting + self.busy == 0
    }
}
