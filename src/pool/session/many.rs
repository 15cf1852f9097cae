//! What a custom runtime may do that serves several events at once; no lock, no waiting.
//!
//! ```text
//!              /next                    an event and a seat            /response, /error
//!   Started ─────────► Ready: offered ──────────────────────► running ──────────────────► over
//!      │ /init/error                                             │ given up by the pool
//!      ▼                                                         └───────────────────────► over
//!   InitError
//! ```
//!
//! Every connection may wait in `/next` at the same time, and each event is given to one of them, once:
//! which of two requests is a repetition and which asks for more work, nobody could tell. An answer
//! names its event. What is refused, and in which words, is what a runtime that serves one event at a
//! time would hear.

use std::collections::VecDeque;

use bytes::Bytes;
use model::RequestId;
use tokio::sync::oneshot;

use super::state::{Operation, StateError, Step};
use super::{Answer, Event, Started};

/// How many events are remembered that are over, for an answer to them that comes late.
const REMEMBERED: usize = 64;

/// The state of one session.
#[derive(Debug)]
pub(super) struct Many {
    /// Events that may be running at once.
    slots: usize,
    started: Option<Result<(), Bytes>>,
    /// Offered and not yet fetched, oldest first.
    offered: VecDeque<Exchange>,
    running: Vec<Exchange>,
    /// Events that are over, newest last, and whether they were answered.
    over: VecDeque<(RequestId, bool)>,
    closed: bool,
}

#[derive(Debug)]
struct Exchange {
    event: Event,
    answer: oneshot::Sender<Answer>,
}

// === impl Many ===

impl Many {
    pub(super) fn new(slots: u32) -> Self {
        Self {
            slots: slots as usize,
            started: None,
            offered: VecDeque::new(),
            running: Vec::new(),
            over: VecDeque::new(),
            closed: false,
        }
    }

    pub(super) fn next(&mut self) -> Result<Step, StateError> {
        if self.closed {
            return Err(StateError::Closed);
        }
        match self.started {
            None => {
                self.started = Some(Ok(()));
                return Ok(Step::Initialised);
            }
            Some(Err(_)) => return Err(refuse("InitError", Operation::Next)),
            Some(Ok(())) => {}
        }
        if self.running.len() >= self.slots {
            return Ok(Step::Wait);
        }
        let Some(exchange) = self.offered.pop_front() else { return Ok(Step::Wait) };
        let event = exchange.event.clone();
        self.running.push(exchange);
        Ok(Step::Deliver(event))
    }

    pub(super) fn check(
        &self,
        request_id: &str,
        invocation_id: Option<&str>,
        operation: Operation,
    ) -> Result<(), StateError> {
        if self.closed {
            return Err(StateError::Closed);
        }
        match self.started {
            None => return Err(refuse("Started", operation)),
            Some(Err(_)) => return Err(refuse("InitError", operation)),
            Some(Ok(())) => {}
        }
        let named = |exchange: &&Exchange| exchange.event.request_id.as_str() == request_id;
        if let Some(exchange) = self.running.iter().find(named) {
            let current = exchange.event.invocation_id;
            return match invocation_id {
                Some(echoed) if echoed != current.as_str() => Err(StateError::Stale),
                _ => Ok(()),
            };
        }
        if self.offered.iter().any(|exchange| named(&exchange)) {
            return Err(refuse("Ready", operation));
        }
        match self.over.iter().find(|(id, _)| id.as_str() == request_id) {
            Some((_, true)) => Err(refuse("ResponseSent", operation)),
            Some((_, false)) => Err(StateError::Stale),
            None => Err(StateError::RequestId),
        }
    }

    pub(super) fn answer(
        &mut self,
        request_id: &str,
        invocation_id: Option<&str>,
        operation: Operation,
        answer: Answer,
    ) -> Result<(), StateError> {
        self.check(request_id, invocation_id, operation)?;
        if let Some(exchange) = self.take(request_id) {
            self.remember(exchange.event.request_id, true);
            // Nobody listens only if the pool has just given the event up.
            let _unheard = exchange.answer.send(answer);
        }
        Ok(())
    }

    /// Nobody waits for an event any more.
    pub(super) fn abandon(&mut self, request_id: RequestId) {
        self.offered.retain(|exchange| exchange.event.request_id != request_id);
        self.take(request_id.as_str());
        self.remember(request_id, false);
    }

    /// An event that was fetched did not reach the runtime: another request may have it.
    pub(super) fn give_back(&mut self, request_id: RequestId) {
        if let Some(exchange) = self.take(request_id.as_str()) {
            self.offered.push_front(exchange);
        }
    }

    pub(super) fn init_error(&mut self, body: Bytes) -> Result<(), StateError> {
        if self.closed {
            return Err(StateError::Closed);
        }
        match self.started {
            None => {
                self.started = Some(Err(body));
                Ok(())
            }
            Some(Ok(())) => Err(refuse("Ready", Operation::InitError)),
            Some(Err(_)) => Err(refuse("InitError", Operation::InitError)),
        }
    }

    pub(super) fn offer(&mut self, event: Event, answer: oneshot::Sender<Answer>) {
        // On a closed session the sender is dropped here, which is how the pool learns of it.
        if !self.closed {
            self.offered.push_back(Exchange { event, answer });
        }
    }

    pub(super) fn rests(&self) -> bool {
        matches!(self.started, Some(Ok(()))) && self.offered.is_empty() && self.running.is_empty()
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        // Dropping an exchange drops the sender of its answer.
        self.offered.clear();
        self.running.clear();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn started(&self) -> Option<Started> {
        match &self.started {
            Some(Ok(())) => Some(Started::Ready),
            Some(Err(body)) => Some(Started::Failed(body.clone())),
            None if self.closed => Some(Started::Closed),
            None => None,
        }
    }

    fn take(&mut self, request_id: &str) -> Option<Exchange> {
        let named = |exchange: &Exchange| exchange.event.request_id.as_str() == request_id;
        let at = self.running.iter().position(named)?;
        Some(self.running.swap_remove(at))
    }

    fn remember(&mut self, request_id: RequestId, answered: bool) {
        if self.over.len() >= REMEMBERED {
            self.over.pop_front();
        }
        self.over.push_back((request_id, answered));
    }
}

fn refuse(from: &'static str, to: Operation) -> StateError {
    StateError::Transition { from, to }
}
