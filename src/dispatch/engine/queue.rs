//! What waits and what serves, of one generation.

use std::collections::VecDeque;

use model::FunctionId;

use super::{EventId, InstanceId};
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
    /// Events that wait, oldest first. Never more than `starting`.
    pub(super) waiting: VecDeque<Ticket>,
    /// Second starts with an event bound to them, the longest bound first.
    pub(super) overdue: VecDeque<InstanceId>,
    /// Idle instances; the back was used last and serves next, the front ages out.
    pub(super) idle: VecDeque<(InstanceId, Time)>,
    /// First starts under way.
    pub(super) starting: u32,
    /// Instances that serve an event.
    pub(super) busy: u32,
    /// Whether instances end instead of becoming idle.
    pub(super) retired: bool,
}

// === impl Queue ===

impl Queue {
    /// Whether nothing would be lost by forgetting it. A second start that nobody waits for any
    /// more does not count: if it succeeds it makes the queue anew.
    pub(super) fn is_unused(&self) -> bool {
        self.waiting.is_empty()
            && self.overdue.is_empty()
            && self.idle.is_empty()
            && self.starting == 0
            && self.busy == 0
    }
}
