//! One request: what it asks of the session, and what it is answered.
//!
//! ```text
//!   POST …/response ──► may it answer now? ──no──► body thrown away (some of it) ──► 400, 403, 410
//!                            │ yes: nobody else may begin
//!                            ▼
//!                       body, up to 6 MiB and 100 bytes ──► session ──► 202
//!                            │ more                 │ broken off
//!                            ▼                      ▼
//!                       session learns, the rest    400; the invocation stays open
//!                       is thrown away, 413         until it is answered or times out
//! ```
//!
//! Only one answer is read at a time per sandbox, so that its connections cannot make this process
//! hold 6 MiB each. Where the function asks for several events at once, [`AT_ONCE`] are, and the next
//! waits for its turn instead of being refused.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use model::RequestId;
use pool::session::{Event, Operation, Session, StateError};
use telemetry::METRICS;
use telemetry::metrics::Door;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::body::{BodyError, MAX_RESPONSE, Received, discard, receive};
use crate::budget::Budget;
use crate::reply::{self, Reply};
use crate::route::{Route, Unrouted};

/// How a runtime says that it streams.
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";
/// What kind of error it reports.
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";

/// What is thrown away of an answer that is too large, so that the runtime, which may be in the middle
/// of sending it, reads the 413. Beyond, the connection is closed.
const MAX_OVERSIZE: usize = 64 * 1024 * 1024;
/// The same for a request that is refused for another reason: what a client can have sent in good
/// faith. Refusals are rationed, this bounds what each costs.
const MAX_REFUSED: usize = 8 * 1024 * 1024;
/// Answers that are read at once of a runtime that serves several events at once. Four of the largest
/// are 24 MiB; the others wait in the kernel's buffers.
const AT_ONCE: usize = 4;
/// A body where none is expected.
const MAX_IGNORED: usize = 64 * 1024;

/// One sandbox, shared by its connections.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) session: Session,
    /// One permit: see the `socket` module.
    pub(crate) large_heads: Arc<Semaphore>,
    budget: Mutex<Budget>,
    /// As many permits as answers may be read at once.
    answering: Semaphore,
    /// The attempt that was delivered last.
    delivered: Mutex<Option<RequestId>>,
}

/// The session is over: the connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the session is over")]
pub(crate) struct Over;

/// Held while an answer is read.
#[derive(Debug)]
pub(crate) struct Answering<'a>(
    #[expect(dead_code, reason = "held, not looked at")] SemaphorePermit<'a>,
);

/// What kind of request an answer is.
#[derive(Clone, Copy)]
enum Kind {
    Response,
    Error,
}

// === impl Instance ===

impl Instance {
    pub(crate) fn new(session: Session) -> Self {
        let at_once = if session.function().concurrency > 1 { AT_ONCE } else { 1 };
        Self {
            session,
            large_heads: Arc::new(Semaphore::new(1)),
            budget: Mutex::new(Budget::new(Instant::now())),
            answering: Semaphore::new(at_once),
            delivered: Mutex::new(None),
        }
    }

    /// Serves one request.
    ///
    /// # Errors
    /// If the session is over.
    pub(crate) async fn serve(&self, request: Request<Incoming>) -> Result<Reply, Over> {
        METRICS.http_requests.of(Door::Runtime).inc();
        let (parts, mut body) = request.into_parts();
        match Route::parse(&parts.method, parts.uri.path()) {
            Ok(Route::Next) => self.next(&mut body).await,
            Ok(Route::Response { request_id }) => {
                self.answer(request_id, &parts.headers, &mut body, Kind::Response).await
            }
            Ok(Route::Error { request_id }) => {
                self.answer(request_id, &parts.headers, &mut body, Kind::Error).await
            }
            Ok(Route::InitError) => self.init_error(&parts.headers, &mut body).await,
            Ok(Route::Ping) => Ok(self.refuse(reply::pong(), &mut body).await),
            Err(Unrouted::Path) => Ok(self.refuse(reply::no_such_path(), &mut body).await),
            Err(Unrouted::Method) => Ok(self.refuse(reply::no_such_method(), &mut body).await),
        }
    }

    async fn next(&self, body: &mut Incoming) -> Result<Reply, Over> {
        if !discard(body, MAX_IGNORED).await {
            return Ok(reply::truncated());
        }
        match self.fetch().await {
            Ok(event) => Ok(reply::event(event)),
            Err(err) => self.refuse_state(&err, body).await,
        }
    }

    /// The next event; in its time, if it was delivered before.
    pub(crate) async fn fetch(&self) -> Result<Event, StateError> {
        let event = self.session.next().await?;
        if self.is_repeated(event.invocation_id) {
            self.wait_for_budget().await;
        }
        Ok(event)
    }

    /// Whether an answer may be read now, and if so, nobody else's until it has been.
    pub(crate) fn begin_response(
        &self,
        request_id: &str,
        echoed: Option<&str>,
    ) -> Option<Answering<'_>> {
        self.session.check(request_id, echoed, Operation::Response).ok()?;
        self.answering.try_acquire().ok().map(Answering)
    }

    /// The right to be read. Whoever serves one event at a time has one answer; of several, each has
    /// its turn.
    async fn begin_answer(&self) -> Option<Answering<'_>> {
        let permit = match self.session.function().concurrency > 1 {
            true => self.answering.acquire().await.ok(),
            false => self.answering.try_acquire().ok(),
        };
        permit.map(Answering)
    }

    /// Takes an answer that was read.
    pub(crate) fn end_response(
        &self,
        answering: Answering<'_>,
        request_id: &str,
        echoed: Option<&str>,
        body: Bytes,
    ) -> Result<(), StateError> {
        let taken = self.session.respond(request_id, echoed, body);
        drop(answering);
        taken.inspect(|()| self.budget().earn())
    }

    async fn answer(
        &self,
        request_id: &str,
        headers: &HeaderMap,
        body: &mut Incoming,
        kind: Kind,
    ) -> Result<Reply, Over> {
        // What is no text names no attempt.
        let echoed = headers.get(reply::INVOCATION_ID).map(|id| id.to_str().unwrap_or_default());
        if let Err(err) = self.session.check(request_id, echoed, kind.operation()) {
            return self.refuse_state(&err, body).await;
        }
        let Some(answering) = self.begin_answer().await else {
            return Ok(self.refuse(reply::already_answering(kind.state()), body).await);
        };
        if kind.is_response() && has_unknown_mode(headers) {
            let document = r#"{"errorType":"Runtime.InvalidResponseModeHeader","errorMessage":"Invalid function response mode"}"#;
            let failed =
                self.session.fail(request_id, echoed, Bytes::from_static(document.as_bytes()));
            drop(answering);
            return match failed {
                Ok(()) => Ok(self.refuse(reply::invalid_mode(), body).await),
                Err(err) => self.refuse_state(&err, body).await,
            };
        }
        let received = receive(body, MAX_RESPONSE).await;
        let taken = match (received, kind) {
            (Ok(Received::Whole(bytes)), Kind::Response) => {
                self.session.respond(request_id, echoed, bytes)
            }
            (Ok(Received::Whole(bytes) | Received::Failed(bytes)), _) => {
                self.note_error(headers, "invocation");
                self.session.fail(request_id, echoed, bytes)
            }
            (Err(BodyError::TooLarge), _) => match self.session.oversize(request_id, echoed) {
                Ok(()) => {
                    drop(answering);
                    self.budget().earn();
                    let all = discard(body, MAX_OVERSIZE).await;
                    let reply = reply::too_large();
                    return Ok(if all { reply } else { reply::closing(reply) });
                }
                Err(err) => Err(err),
            },
            (Err(BodyError::Truncated), _) => return Ok(reply::truncated()),
        };
        drop(answering);
        match taken {
            Ok(()) => {
                self.budget().earn();
                Ok(reply::accepted())
            }
            Err(err) => self.refuse_state(&err, body).await,
        }
    }

    async fn init_error(&self, headers: &HeaderMap, body: &mut Incoming) -> Result<Reply, Over> {
        let Some(answering) = self.begin_answer().await else {
            return Ok(self.refuse(reply::already_answering("InitError"), body).await);
        };
        let received = receive(body, MAX_RESPONSE).await;
        drop(answering);
        let document = match received {
            Ok(Received::Whole(bytes) | Received::Failed(bytes)) => bytes,
            Err(BodyError::TooLarge) => return Ok(self.refuse(reply::too_large(), body).await),
            Err(BodyError::Truncated) => return Ok(reply::truncated()),
        };
        match self.session.init_error(document) {
            Ok(()) => {
                self.note_error(headers, "initialisation");
                Ok(reply::accepted())
            }
            Err(err) => self.refuse_state(&err, body).await,
        }
    }

    /// Whether this attempt was delivered before; remembers it.
    fn is_repeated(&self, attempt: RequestId) -> bool {
        let mut delivered = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
        delivered.replace(attempt) == Some(attempt)
    }

    async fn refuse_state(&self, err: &StateError, body: &mut Incoming) -> Result<Reply, Over> {
        let reply = reply::refused(err).ok_or(Over)?;
        tracing::debug!(
            function = %self.session.function().name,
            error = %err,
            "a custom runtime was refused"
        );
        Ok(self.refuse(reply, body).await)
    }

    /// The reply to a request that leads to nothing, in its time.
    async fn refuse(&self, reply: Reply, body: &mut Incoming) -> Reply {
        self.wait_for_budget().await;
        let all = discard(body, MAX_REFUSED).await;
        if all { reply } else { reply::closing(reply) }
    }

    /// Something happened that may lead to nothing; how long its cause has to wait.
    pub(crate) fn ration(&self) -> Duration {
        let wait = self.budget().spend(Instant::now());
        if !wait.is_zero() {
            METRICS.http_refused.of(Door::Runtime).inc();
        }
        wait
    }

    async fn wait_for_budget(&self) {
        let wait = self.ration();
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The type a runtime gives its error decides nothing; it helps whoever looks for the cause.
    fn note_error(&self, headers: &HeaderMap, of: &'static str) {
        tracing::debug!(
            function = %self.session.function().name,
            error_type = error_type(headers),
            of,
            "a custom runtime reported an error"
        );
    }
}

// === impl Kind ===

impl Kind {
    fn operation(self) -> Operation {
        match self {
            Self::Response => Operation::Response,
            Self::Error => Operation::Error,
        }
    }

    /// The state it leads to, as AWS's implementation names it.
    fn state(self) -> &'static str {
        match self {
            Self::Response => "InvocationResponse",
            Self::Error => "InvocationErrorResponse",
        }
    }

    fn is_response(self) -> bool {
        matches!(self, Self::Response)
    }
}

/// Whether a response mode is given, and is not the one there is.
fn has_unknown_mode(headers: &HeaderMap) -> bool {
    headers.get(RESPONSE_MODE).is_some_and(|mode| !mode.is_empty() && mode != "streaming")
}

/// The type of an error, if it has the form AWS accepts: `Runtime.` or `Function.`, then letters of
/// which the first is a capital. What has not is one of two that say nothing.
fn error_type(headers: &HeaderMap) -> &str {
    let given = headers.get(ERROR_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let name = given.strip_prefix("Runtime.").or_else(|| given.strip_prefix("Function."));
    let fits = name.is_some_and(|name| {
        name.len() > 1
            && name.starts_with(|first: char| first.is_ascii_uppercase())
            && name.bytes().all(|byte| byte.is_ascii_alphabetic())
    });
    match given {
        given if fits => given,
        given if given.starts_with("Function.") => "Function.Unknown",
        _ => "Runtime.Unknown",
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn error_types_are_believed_if_they_have_the_form() {
        for (given, kind) in [
            ("Runtime.ExitError", "Runtime.ExitError"),
            ("Function.MyError", "Function.MyError"),
            ("Function.myError", "Function.Unknown"),
            ("Function.E", "Function.Unknown"),
            ("Function.My Error", "Function.Unknown"),
            ("Runtime.", "Runtime.Unknown"),
            ("ValueError", "Runtime.Unknown"),
            ("", "Runtime.Unknown"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ERROR_TYPE, HeaderValue::from_str(given).expect("a header"));
            assert_eq!(error_type(&headers), kind, "{given}");
        }
        assert_eq!(error_type(&HeaderMap::new()), "Runtime.Unknown");
    }
}
