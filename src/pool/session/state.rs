//! What a custom runtime may do when; no lock, no waiting.
//!
//! ```text
//!                 /init/error
//!    Started ───────────────────► InitError
//!       │ /next
//!       ▼        an event, /next              /response, /error
//!     Ready ────────────────────► Running ─────────────────────► ResponseSent
//!       ▲                          │   ▲                              │
//!       │                          └───┘ /next: the same event again  │
//!       └──────────────────────────────────────────────────── /next ──┘
//! ```
//!
//! The names are those of AWS's own runtime interface, because they appear in what it answers to a
//! transition that is not allowed. An event may be offered in any state and is kept until the
//! runtime asks for it. Whatever the state, a closed session refuses everything.

use bytes::Bytes;
use model::RequestId;
use tokio::sync::oneshot;

use super::{Answer, Event, Started};

/// What a runtime attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `/next`.
    Next,
    /// `/response`.
    Response,
    /// `/error`.
    Error,
    /// `/init/error`.
    InitError,
}

/// Why a request of a runtime is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Not allowed now: 403 `InvalidStateTransition`.
    #[error(
        "State transition from {from} to {} failed for runtime. Error: State transition is not allowed",
        .to.state()
    )]
    Transition {
        /// The state the runtime is in.
        from: &'static str,
        /// What it attempted.
        to: Operation,
    },
    /// Not the event that is being served: 400 `InvalidRequestID`.
    #[error("Invalid request ID")]
    RequestId,
    /// The invocation id of an earlier attempt: 410 `ErrorRuntimeInvokeTimeout`.
    #[error("The invocation is over")]
    Stale,
    /// The instance is ending: close the connection.
    #[error("the instance is ending")]
    Closed,
}

/// What `/next` leads to.
#[derive(Debug)]
pub(super) enum Step {
    /// Give this to the runtime.
    Deliver(Event),
    /// The initialisation just ended: tell the pool, then ask again.
    Initialised,
    /// Ask again when something has changed.
    Wait,
}

/// The state of one session.
#[derive(Debug, Default)]
pub(super) struct Machine {
    state: State,
    /// Offered and not yet fetched.
    offered: Option<Exchange>,
    closed: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Started,
    InitError(Bytes),
    Ready,
    Running(Exchange),
    /// Names the event whose answer was sent last.
    ResponseSent(RequestId),
}

#[derive(Debug)]
struct Exchange {
    event: Event,
    answer: oneshot::Sender<Answer>,
}

// === impl Operation ===

impl Operation {
    /// The state it leads to.
    fn state(self) -> &'static str {
        match self {
            Self::Next => "Ready",
            Self::Response => "InvocationResponse",
            Self::Error => "InvocationErrorResponse",
            Self::InitError => "InitError",
        }
    }
}

// === impl Machine ===

impl Machine {
    pub(super) fn next(&mut self) -> Result<Step, StateError> {
        if self.closed {
            return Err(StateError::Closed);
        }
        match &self.state {
            State::Started => {
                self.state = State::Ready;
                return Ok(Step::Initialised);
            }
            State::InitError(_) => return Err(self.refuse(Operation::Next)),
            State::Running(exchange) => return Ok(Step::Deliver(exchange.event.clone())),
            State::ResponseSent(_) => self.state = State::Ready,
            State::Ready => {}
        }
        let Some(exchange) = self.offered.take() else { return Ok(Step::Wait) };
        let event = exchange.event.clone();
        self.state = State::Running(exchange);
        Ok(Step::Deliver(event))
    }

    /// Whether an answer would be taken.
    pub(super) fn check(
        &self,
        request_id: &str,
        invocation_id: Option<&str>,
        operation: Operation,
    ) -> Result<(), StateError> {
        if self.closed {
            return Err(StateError::Closed);
        }
        let named = |id: &RequestId| id.as_str() == request_id;
        match &self.state {
            State::Started | State::InitError(_) => Err(self.refuse(operation)),
            State::Running(exchange) if named(&exchange.event.request_id) => {
                let current = exchange.event.invocation_id;
                match invocation_id {
                    Some(echoed) if echoed != current.as_str() => Err(StateError::Stale),
                    _ => Ok(()),
                }
            }
            // A second answer, or one to an event that waits to be fetched: the id is right, the
            // moment is not.
            State::ResponseSent(last) if named(last) => Err(self.refuse(operation)),
            State::Ready | State::ResponseSent(_) => match &self.offered {
                Some(exchange) if named(&exchange.event.request_id) => Err(self.refuse(operation)),
                _ => Err(StateError::RequestId),
            },
            State::Running(_) => Err(StateError::RequestId),
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
        match std::mem::take(&mut self.state) {
            State::Running(exchange) => {
                self.state = State::ResponseSent(exchange.event.request_id);
                // Nobody listens only if the pool has given the invocation up, and then it is about
                // to close this session.
                let _unheard = exchange.answer.send(answer);
                Ok(())
            }
            other => {
                self.state = other;
                Err(self.refuse(operation))
            }
        }
    }

    pub(super) fn init_error(&mut self, body: Bytes) -> Result<(), StateError> {
        if self.closed {
            return Err(StateError::Closed);
        }
        if !matches!(self.state, State::Started) {
            return Err(self.refuse(Operation::InitError));
        }
        self.state = State::InitError(body);
        Ok(())
    }

    pub(super) fn offer(&mut self, event: Event, answer: oneshot::Sender<Answer>) {
        // On a closed session the sender is dropped here, which is how the pool learns of it.
        if !self.closed {
            self.offered = Some(Exchange { event, answer });
        }
    }

    pub(super) fn rests(&self) -> bool {
        matches!(self.state, State::Ready) && self.offered.is_none()
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.offered = None;
        // Dropping the exchange drops the sender of its answer.
        if let State::Running(exchange) = &self.state {
            self.state = State::ResponseSent(exchange.event.request_id);
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn started(&self) -> Option<Started> {
        match &self.state {
            State::InitError(body) => Some(Started::Failed(body.clone())),
            State::Started if self.closed => Some(Started::Closed),
            State::Started => None,
            _ => Some(Started::Ready),
        }
    }

    fn refuse(&self, to: Operation) -> StateError {
        let from = match &self.state {
            State::Started => "Started",
            State::InitError(_) => "InitError",
            State::Ready => "Ready",
            State::Running(_) => "Running",
            State::ResponseSent(_) => "ResponseSent",
        };
        StateError::Transition { from, to }
    }
}
