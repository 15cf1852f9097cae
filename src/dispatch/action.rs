//! The words between dispatching and whoever performs it: what happened, what is to be done.

use model::{FunctionId, Generation};

use crate::admission::Throttle;

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
    /// How many events one instance of the generation serves at once; the same for all of them.
    pub slots: u32,
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

/// What an instance is started for; the words are AWS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initialization {
    /// For events that wait.
    OnDemand,
    /// For one that is expected; AWS has no word of its own for it, a function is told the same.
    Ahead,
    /// To be there before any does.
    Provisioned,
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
    /// It must not serve another, and may finish what else it serves.
    Spent,
    /// It must not.
    Broken,
}

/// What an instance does after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It serves this one.
    Run(EventId),
    /// It waits for one, or goes on with others; nothing is to be done.
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
        /// What for.
        initialization: Initialization,
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
