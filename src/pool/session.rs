//! One instance of a custom runtime, as the Runtime API sees it.
//!
//! A function on `provided*` fetches its events over HTTP instead of reading them from a link. The
//! pool holds one end of the conversation, [`Handle`]; the server that speaks HTTP on the listener
//! inside the sandbox holds the other, [`Session`], and turns every request into one call on it:
//!
//! | request | call |
//! |---|---|
//! | `GET  /runtime/invocation/next` | [`Session::next`] |
//! | `POST /runtime/invocation/{id}/response` | [`Session::check`] before the body is read, then [`Session::respond`] or [`Session::oversize`] |
//! | `POST /runtime/invocation/{id}/error` | [`Session::check`], then [`Session::fail`] |
//! | `POST /runtime/init/error` | [`Session::init_error`] |
//!
//! What is allowed when is decided by the pure machine in [`state`]; here are only its lock and its
//! waiters. No HTTP: status codes and bodies of refusals belong to the server.
//!
//! A server ends when [`Session::closed`] completes: the instance is gone or going, and every
//! connection must be closed before its namespace is. Dropping every `Session` does not end the
//! instance; its process does, or its deadline.

mod conduct;
mod many;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use model::{RequestId, Runnable};
use tokio::sync::{Notify, oneshot};

use conduct::Conduct;
use state::Step;
pub use state::{Operation, StateError};

/// One event on its way to a custom runtime: what the headers and the body of `/next` say.
#[derive(Debug, Clone)]
pub struct Event {
    /// `Lambda-Runtime-Aws-Request-Id`.
    pub request_id: RequestId,
    /// `Lambda-Runtime-Invocation-Id`: unique per attempt, although request ids repeat over retries.
    pub invocation_id: RequestId,
    /// `Lambda-Runtime-Deadline-Ms`: milliseconds since the epoch.
    pub deadline_ms: u64,
    /// `Lambda-Runtime-Trace-Id`; empty if there is none.
    pub trace_id: Arc<str>,
    /// `Lambda-Runtime-Client-Context` as JSON; empty if there is none.
    pub client_context: Arc<str>,
    /// `Lambda-Runtime-Cognito-Identity` as JSON; empty if there is none.
    pub cognito_identity: Arc<str>,
    /// `Lambda-Runtime-Invoked-Function-Arn`: qualified if and only if the caller qualified it.
    pub invoked_arn: Arc<str>,
    /// The event.
    pub payload: Bytes,
}

/// What a runtime said about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The handler's result, verbatim.
    Response(Bytes),
    /// The runtime's error document, verbatim.
    Failed(Bytes),
    /// A result above [`wire::link::MAX_RESPONSE`], which was not kept.
    Oversize,
}

/// How the initialisation of a custom runtime ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// It called `/next` for the first time.
    Ready,
    /// It posted `/init/error`; its document, verbatim.
    Failed(Bytes),
    /// The session was closed before either.
    Closed,
}

/// The server's end; clones are the same session.
#[derive(Debug, Clone)]
pub struct Session(Arc<Shared>);

/// The pool's end; dropping it closes the session.
#[derive(Debug)]
pub struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// For the server's log lines.
    function: Arc<Runnable>,
    machine: Mutex<Conduct>,
    /// Wakes whoever waits for an event, and at the end.
    offered: Notify,
    /// Wakes whoever waits for the first `/next`, or for the end. Apart from `offered`, or every
    /// event would wake the server's accepting task as well.
    changed: Notify,
}

/// Both ends of a new session. The pool makes one per instance; a test of a server makes its own.
pub fn pair(function: Arc<Runnable>) -> (Handle, Session) {
    let machine = Mutex::new(Conduct::new(function.concurrency));
    let shared =
        Arc::new(Shared { function, machine, offered: Notify::new(), changed: Notify::new() });
    (Handle(Arc::clone(&shared)), Session(shared))
}

// === impl Session ===

impl Session {
    /// The function whose instance this is.
    pub fn function(&self) -> &Runnable {
        &self.0.function
    }

    /// The next event; waits for as long as there is none. The first call ends the initialisation.
    ///
    /// Called again before the event is answered it gives the same event, so a connection that
    /// breaks while the event is being written loses nothing. Dropping the future loses nothing. Where
    /// the function asks for several at once, every call gives another event, and one that could not
    /// be written is to be given back.
    ///
    /// # Errors
    /// [`StateError::Transition`] after `/init/error`, [`StateError::Closed`] at the end.
    pub async fn next(&self) -> Result<Event, StateError> {
        loop {
            let offered = self.0.offered.notified();
            tokio::pin!(offered);
            // Registered before the look, or an event that arrives in between would wake nobody.
            offered.as_mut().enable();
            let step = self.0.machine().next();
            match step? {
                Step::Deliver(event) => return Ok(event),
                Step::Initialised => self.0.changed.notify_waiters(),
                Step::Wait => offered.await,
            }
        }
    }

    /// An event of several could not be written: whoever asks next may have it.
    pub fn give_back(&self, request_id: RequestId) {
        self.0.machine().give_back(request_id);
        self.0.offered.notify_waiters();
    }

    /// Whether an answer to this event would be taken now, for a server that has the headers and
    /// not yet the body. `invocation_id` is what the runtime echoed, if it did.
    ///
    /// # Errors
    /// As for [`Session::respond`].
    pub fn check(
        &self,
        request_id: &str,
        invocation_id: Option<&str>,
        operation: Operation,
    ) -> Result<(), StateError> {
        self.0.machine().check(request_id, invocation_id, operation)
    }

    /// The handler's result, whole and at most [`wire::link::MAX_RESPONSE`] bytes; a longer one is
    /// answered as [`Session::oversize`].
    ///
    /// # Errors
    /// [`StateError::RequestId`] if another event or none is being served, [`StateError::Transition`]
    /// if this one was answered already or not yet fetched, [`StateError::Stale`] if the invocation
    /// id is of an earlier attempt.
    pub fn respond(
        &self,
        request_id: &str,
        invocation_id: Option<&str>,
        body: Bytes,
    ) -> Result<(), StateError> {
        let answer = if body.len() > wire::link::MAX_RESPONSE {
            Answer::Oversize
        } else {
            Answer::Response(body)
        };
        self.answer(request_id, invocation_id, Operation::Response, answer)
    }

    /// The handler's result was above the limit and was not read.
    ///
    /// # Errors
    /// As for [`Session::respond`].
    pub fn oversize(
        &self,
        request_id: &str,
        invocation_id: Option<&str>,
    ) -> Result<(), StateError> {
        self.answer(request_id, invocation_id, Operation::Response, Answer::Oversize)
    }

    /// The handler failed; `body` is the runtime's error document, which the caller gets verbatim.
    ///
    /// # Errors
    /// As for [`Session::respond`].
    pub fn fail(
        &self,
        request_id: &str,
        invocation_id: Option<&str>,
        body: Bytes,
    ) -> Result<(), StateError> {
        self.answer(request_id, invocation_id, Operation::Error, Answer::Failed(body))
    }

    fn answer(
        &self,
        request_id: &str,
        invocation_id: Option<&str>,
        operation: Operation,
        answer: Answer,
    ) -> Result<(), StateError> {
        self.0.machine().answer(request_id, invocation_id, operation, answer)?;
        if self.0.function.concurrency > 1 {
            // Its seat is free, and an event may have been offered for it before it was.
            self.0.offered.notify_waiters();
        }
        Ok(())
    }

    /// The runtime could not initialise; `body` is its error document.
    ///
    /// # Errors
    /// [`StateError::Transition`] if it had already initialised or failed.
    pub fn init_error(&self, body: Bytes) -> Result<(), StateError> {
        self.0.machine().init_error(body)?;
        // A `/next` that waits is refused now.
        self.0.offered.notify_waiters();
        self.0.changed.notify_waiters();
        Ok(())
    }

    /// Completes when the instance ends.
    pub async fn closed(&self) {
        self.0.until(|machine| machine.is_closed().then_some(())).await;
    }
}

// === impl Handle ===

impl Handle {
    /// Waits for the first `/next` or `/init/error`.
    pub async fn started(&self) -> Started {
        self.0.until(Conduct::started).await
    }

    /// Hands over an event. Its answer arrives on the receiver, which fails if the session closes.
    ///
    /// At most as many at a time as the function asks for: the pool leases no more seats.
    pub fn offer(&self, event: Event) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        self.0.machine().offer(event, sender);
        self.0.offered.notify_waiters();
        receiver
    }

    /// Nobody waits for an event of several any more; an answer to it comes too late.
    pub(crate) fn abandon(&self, request_id: RequestId) {
        self.0.machine().abandon(request_id);
        // Its seat is free.
        self.0.offered.notify_waiters();
    }

    /// Whether the runtime has asked for an event and there is none.
    pub(crate) fn rests(&self) -> bool {
        self.0.machine().rests()
    }

    /// Ends the session: what waits is woken, what comes later is refused.
    pub fn close(&self) {
        self.0.machine().close();
        self.0.offered.notify_waiters();
        self.0.changed.notify_waiters();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

// === impl Shared ===

impl Shared {
    fn machine(&self) -> MutexGuard<'_, Conduct> {
        // The machine has no state in between: whoever panicked left it as it was.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a look at the machine gives something.
    async fn until<T>(&self, look: impl Fn(&Conduct) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let seen = look(&self.machine());
            if let Some(seen) = seen {
                return seen;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests;
