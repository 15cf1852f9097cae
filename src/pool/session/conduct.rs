//! One machine or the other: a runtime serves one event at a time unless its function asks for more.

use bytes::Bytes;
use model::RequestId;
use tokio::sync::oneshot;

use super::many::Many;
use super::state::{Machine, Operation, StateError, Step};
use super::{Answer, Event, Started};

/// What a runtime may do when.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every one is of the larger kind")]
pub(super) enum Conduct {
    /// One event at a time.
    One(Machine),
    /// Several.
    Many(Many),
}

/// The same question to whichever it is.
macro_rules! either {
    ($conduct:expr, $machine:ident => $call:expr) => {
        match $conduct {
            Self::One($machine) => $call,
            Self::Many($machine) => $call,
        }
    };
}

// === impl Conduct ===

impl Conduct {
    pub(super) fn new(slots: u32) -> Self {
        match slots {
            0 | 1 => Self::One(Machine::default()),
            slots => Self::Many(Many::new(slots)),
        }
    }

    pub(super) fn next(&mut self) -> Result<Step, StateError> {
        either!(self, machine => machine.next())
    }

    pub(super) fn check(
        &self,
        request_id: &str,
        invocation_id: Option<&str>,
        operation: Operation,
    ) -> Result<(), StateError> {
        either!(self, machine => machine.check(request_id, invocation_id, operation))
    }

    pub(super) fn answer(
        &mut self,
        request_id: &str,
        invocation_id: Option<&str>,
        operation: Operation,
        answer: Answer,
    ) -> Result<(), StateError> {
        either!(self, machine => machine.answer(request_id, invocation_id, operation, answer))
    }

    pub(super) fn init_error(&mut self, body: Bytes) -> Result<(), StateError> {
        either!(self, machine => machine.init_error(body))
    }

    pub(super) fn offer(&mut self, event: Event, answer: oneshot::Sender<Answer>) {
        either!(self, machine => machine.offer(event, answer));
    }

    pub(super) fn rests(&self) -> bool {
        either!(self, machine => machine.rests())
    }

    pub(super) fn close(&mut self) {
        either!(self, machine => machine.close());
    }

    pub(super) fn is_closed(&self) -> bool {
        either!(self, machine => machine.is_closed())
    }

    pub(super) fn started(&self) -> Option<Started> {
        either!(self, machine => machine.started())
    }

    /// Where several run, one that nobody waits for is forgotten; a single one ends with its instance.
    pub(super) fn abandon(&mut self, request_id: RequestId) {
        if let Self::Many(machine) = self {
            machine.abandon(request_id);
        }
    }

    /// Where several run, one that reached nobody is offered again; a single one is whenever asked for.
    pub(super) fn give_back(&mut self, request_id: RequestId) {
        if let Self::Many(machine) = self {
            machine.give_back(request_id);
        }
    }
}
