//! One invocation, from its admission to its answer.
//!
//! ```text
//!            ┌──────────┐ no instance: answered with why
//!   ┌───────►│ Waiting  ├──────────────────────────────────────────────┐
//!   │        └────┬─────┘                                              │
//!   │             │ an instance                                        │
//! ┌─┴──┐ dead┌────▼─────┐         ┌─────────┐ answer                   │
//! │Lost│◄────┤ delivery ├────────►│ Writing ├─────────┐                │
//! └────┘     └──┬───┬───┘ socket  └────┬────┘         │                │
//!   Runtime API │   │     full         │ written      │                │
//!         ┌─────▼┐ ┌▼─────────┐◄───────┘         ┌────▼───┐            │
//!         │Asked │ │ Reading  │─────────────────►│ answer ├──► Outcome │
//!         └──┬─┬─┘ └────┬─────┘                  └────▲───┘     ▲      │
//!            │ └────────┼─────────────────────────────┘         │      │
//!            │ closed   │ closed, not a frame, killed           │      │
//!            │     ┌────▼────┐ its cause    ┌─────────┐         │      │
//!            └────►│ Broken  ├─────────────►│ Autopsy ├─────────┘◄─────┘
//!                  └─────────┘              └─────────┘ a last word, or enough waiting
//! ```
//!
//! The caller's own task does all of it: it writes the event, waits for the reactor, reads the answer.
//! Everything a flight has achieved stands in its stage, never only in a future, so it can be dropped
//! at any await; [`Attended`] then goes on with it in a task of its own, because a function that was
//! called must be waited for and accounted for whether anybody listens or not.

mod ending;

use std::sync::Arc;
use std::time::Duration;

use dispatch::{EventId, Fate};
use model::RequestId;
use telemetry::METRICS;
use telemetry::metrics::ErrorClass;
use tokio::sync::oneshot;
use tokio::time::Instant;
use wire::link::{Invoke, Kind};

use crate::fault::{Cause, Fault};
use crate::governor::IDLE_WATCH;
use crate::instance::{Instance, Transport};
use crate::invocation::{Durations, FunctionError, Invocation, NOTHING, Outcome, Refusal};
use crate::link::{Incoming, LinkError, Outgoing, Quiet};
use crate::logs::End;
use crate::phases::{ColdStart, Rung};
use crate::session::{Answer, Event};
use crate::shell::{Admitted, Failure, Grant, Shell, wall_ms};
use ending::{Ending, explanation, refusal};

/// How long the last word about a cell may take before its caller is answered without it. Killing
/// and taking down a sandbox takes a millisecond or two.
const LAST_WORD: Duration = Duration::from_secs(2);

/// A flight somebody looks after: the caller, and if the caller goes away, a task.
pub(crate) struct Attended(Option<Flight>);

/// One invocation under way.
pub(crate) struct Flight {
    shell: Arc<Shell>,
    invocation: Invocation,
    event: EventId,
    /// When it was admitted, in the pool's time.
    arrived: Duration,
    /// When its event was delivered.
    delivered: Duration,
    /// How long its instance took to initialise, if it is the first to use it.
    init: Option<Duration>,
    /// When it gives up waiting by itself, if it does.
    due: Option<Instant>,
    stage: Stage,
}

enum Stage {
    Waiting(oneshot::Receiver<Grant>),
    Writing(Arc<Instance>, Outgoing),
    Reading(Arc<Instance>, Incoming),
    Asked(Arc<Instance>, oneshot::Receiver<Answer>),
    /// Found dead before a byte was written.
    Lost(Arc<Instance>),
    Broken(Arc<Instance>),
    Autopsy(Arc<Instance>, Cause),
    Done,
}

// === impl Attended ===

impl Attended {
    /// Admits an invocation.
    pub(crate) fn begin(shell: &Arc<Shell>, invocation: Invocation) -> Result<Self, Refusal> {
        Flight::begin(shell, invocation).map(|flight| Self(Some(flight)))
    }

    /// Waits for its end.
    pub(crate) async fn finish(mut self) -> Result<Outcome, Refusal> {
        match &mut self.0 {
            Some(flight) => flight.drive().await,
            None => Err(Refusal::Closed),
        }
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        let Some(mut flight) = self.0.take() else { return };
        if !matches!(flight.stage, Stage::Done) {
            let runtime = flight.shell.runtime.clone();
            runtime.spawn(async move { flight.drive().await.map(drop) });
        }
    }
}

// === impl Flight ===

impl Flight {
    fn begin(shell: &Arc<Shell>, invocation: Invocation) -> Result<Self, Refusal> {
        let event = shell.next_event();
        let arrived = shell.now();
        let admitted = shell.arrive(event, arrived, &invocation.function).map_err(refusal)?;
        let mut flight = Self {
            shell: Arc::clone(shell),
            invocation,
            event,
            arrived,
            delivered: arrived,
            init: None,
            due: None,
            stage: Stage::Done,
        };
        match admitted {
            Admitted::Run(instance) => flight.deliver(instance, arrived),
            Admitted::Wait(receiver) => flight.stage = Stage::Waiting(receiver),
        }
        Ok(flight)
    }

    /// Goes on from wherever it stands.
    async fn drive(&mut self) -> Result<Outcome, Refusal> {
        loop {
            match &mut self.stage {
                Stage::Waiting(grant) => match grant.await {
                    Ok(Ok(instance)) => {
                        let now = self.shell.now();
                        self.deliver(instance, now);
                    }
                    Ok(Err(failure)) => match self.not_started(failure) {
                        Some(result) => return result,
                        None => continue,
                    },
                    Err(_nobody_left) => return self.refuse(Refusal::Closed),
                },
                Stage::Writing(instance, out) => {
                    let instance = Arc::clone(instance);
                    let Transport::Link(link) = &instance.transport else {
                        return self.refuse(Refusal::Closed);
                    };
                    self.stage = match link.write_rest(out).await {
                        Ok(()) => Stage::Reading(Arc::clone(&instance), Incoming::default()),
                        Err(err) => broken(&instance, err),
                    };
                }
                Stage::Reading(instance, incoming) => {
                    let instance = Arc::clone(instance);
                    let Transport::Link(link) = &instance.transport else {
                        return self.refuse(Refusal::Closed);
                    };
                    let frame = link.answer(incoming).await;
                    if frame.is_ok() && incoming.has_more() {
                        // The caller has an answer; the instance has said more than one.
                        instance.condemn(Cause::Protocol(LinkError::TwoAnswers));
                    }
                    if matches!(frame, Ok((Kind::Fatal, _))) {
                        // It is on its way out, and must not be given another event before it is.
                        instance.condemn(Cause::Stopped);
                    }
                    let ending = match frame {
                        Ok((Kind::Response, body)) => Ending::Response(body),
                        Ok((Kind::Failed | Kind::Fatal, body)) => Ending::Failed(body),
                        Ok((Kind::Oversize, _)) => Ending::Oversize,
                        Ok((kind, _)) => {
                            self.stage = broken(&instance, LinkError::Unexpected { kind });
                            continue;
                        }
                        Err(err) => {
                            self.stage = broken(&instance, err);
                            continue;
                        }
                    };
                    return Ok(self.answered(&instance, ending));
                }
                Stage::Asked(instance, answer) => {
                    let answered = match self.due {
                        None => answer.await,
                        Some(due) => match tokio::time::timeout_at(due, answer).await {
                            Ok(answered) => answered,
                            Err(_elapsed) => {
                                let instance = Arc::clone(instance);
                                return Ok(self.overran(&instance));
                            }
                        },
                    };
                    let ending = match answered {
                        Ok(Answer::Response(body)) => Ending::Response(body),
                        Ok(Answer::Failed(body)) => Ending::Failed(body),
                        Ok(Answer::Oversize) => Ending::Oversize,
                        Err(_closed) => {
                            self.stage = Stage::Broken(Arc::clone(instance));
                            continue;
                        }
                    };
                    let instance = Arc::clone(instance);
                    return Ok(self.answered(&instance, ending));
                }
                Stage::Lost(instance) => {
                    let instance = Arc::clone(instance);
                    // Dispatching ends it, after which nothing else would be found out.
                    instance.reason().await;
                    // Nothing of the event has been written, so another instance may have it.
                    self.stage = Stage::Waiting(self.shell.undelivered(self.event, &instance));
                }
                Stage::Broken(instance) => {
                    let instance = Arc::clone(instance);
                    let cause = instance.reason().await;
                    self.shell.done(&instance, self.event, Fate::Broken);
                    self.stage = Stage::Autopsy(instance, cause);
                }
                Stage::Autopsy(instance, cause) => {
                    let instance = Arc::clone(instance);
                    let ended = match cause.is_ambiguous() {
                        true => tokio::time::timeout(LAST_WORD, instance.gone()).await.ok(),
                        false => None,
                    };
                    return match (cause, ended) {
                        // Of a sandbox that ended with the spawner nobody says a last word, and it
                        // is not the function that failed.
                        (Cause::SpawnerGone, _) | (_, Some(None)) => self.refuse(Refusal::Closed),
                        (Cause::Stopped, _) => self.refuse(Refusal::Stopping),
                        (cause, ended) => {
                            let timeout = self.invocation.function.timeout;
                            let fault = cause.fault(ended.flatten(), timeout);
                            Ok(self.conclude(&instance, Ending::Fault(fault)))
                        }
                    };
                }
                Stage::Done => return Err(Refusal::Closed),
            }
        }
    }

    /// Gives the event to an instance, now.
    fn deliver(&mut self, instance: Arc<Instance>, now: Duration) {
        // First of all, so that it wakes while the event is being prepared.
        let was_frozen = instance.freezer.hold();
        let silent = match &instance.transport {
            Transport::Link(link) => link.quiet(),
            Transport::Session(_) => Quiet::Yes,
        };
        if silent == Quiet::No {
            instance.condemn(Cause::Protocol(LinkError::TwoAnswers));
        }
        self.delivered = now;
        // What an instance did while nobody called it is not this caller's fault. Frozen it did nothing.
        if !was_frozen && self.delivered.saturating_sub(instance.looked()) > IDLE_WATCH {
            instance.measure(self.delivered);
        }
        if silent != Quiet::Yes || instance.cause().is_some() {
            self.stage = Stage::Lost(instance);
            return;
        }
        self.init = instance.take_init();
        let allowed = self.allowed(&instance);
        instance.begin(self.delivered + allowed);
        let now_ms = wall_ms();
        let deadline_ms =
            now_ms.saturating_add(u64::try_from(allowed.as_millis()).unwrap_or(u64::MAX));
        // Before the event is on its way, or what the function prints at once would stand above it.
        let tail = self.invocation.log_tail;
        instance.journal.start(self.invocation.request_id, tail, now_ms);
        self.stage = match &instance.transport {
            Transport::Link(link) => {
                let invocation = &self.invocation;
                let event = Invoke {
                    deadline_ms,
                    request_id: invocation.request_id.as_str(),
                    invoked_arn: &invocation.invoked_arn,
                    trace_id: &invocation.trace_id,
                    client_context: &invocation.client_context,
                    cognito_identity: "",
                    payload: &invocation.payload,
                };
                match link.write(&event, &invocation.payload) {
                    Ok(None) => Stage::Reading(Arc::clone(&instance), Incoming::default()),
                    Ok(Some(rest)) => Stage::Writing(Arc::clone(&instance), rest),
                    // It went a moment ago. Its log has a START too many; the caller has its answer.
                    Err(LinkError::Closed) => {
                        instance.finish();
                        Stage::Lost(Arc::clone(&instance))
                    }
                    Err(err) => broken(&instance, err),
                }
            }
            Transport::Session(handle) => {
                // Alone, an instance is ended by the governor; of several events each keeps its own time.
                self.due = instance.is_shared().then(|| Instant::now() + allowed);
                let answer = handle.offer(self.session_event(deadline_ms));
                Stage::Asked(Arc::clone(&instance), answer)
            }
        };
        if !matches!(self.stage, Stage::Lost(_)) {
            instance.count_call();
        }
        self.shell.governor.touch(&instance);
    }

    /// How long the function has. An event whose first start overran has been waiting on its own
    /// time since the second began.
    fn allowed(&self, instance: &Instance) -> Duration {
        let timeout = self.invocation.function.timeout;
        match instance.second_start {
            Some(began) if self.init.is_some() && self.arrived < began => {
                let spent = self.delivered.saturating_sub(began);
                timeout.saturating_sub(spent).max(Duration::from_millis(1))
            }
            _ => timeout,
        }
    }

    fn session_event(&self, deadline_ms: u64) -> Event {
        let invocation = &self.invocation;
        Event {
            request_id: invocation.request_id,
            invocation_id: RequestId::random(),
            deadline_ms,
            trace_id: Arc::clone(&invocation.trace_id),
            client_context: Arc::clone(&invocation.client_context),
            cognito_identity: Arc::clone(&NOTHING),
            invoked_arn: Arc::clone(&invocation.invoked_arn),
            payload: invocation.payload.clone(),
        }
    }

    /// The function has answered.
    fn answered(&mut self, instance: &Arc<Instance>, ending: Ending) -> Outcome {
        // What goes on after a part of it was killed for memory may have answered without that part.
        let ending = if instance.is_maimed() { Ending::Fault(Fault::OutOfMemory) } else { ending };
        let fate = if instance.finish() { Fate::Reusable } else { Fate::Broken };
        // Its lines are collected before the instance may serve another.
        let outcome = self.conclude(instance, ending);
        self.shell.done(instance, self.event, fate);
        outcome
    }

    /// One of several events was not answered in time. The others go on, and the instance with them.
    fn overran(&mut self, instance: &Arc<Instance>) -> Outcome {
        if let Transport::Session(handle) = &instance.transport {
            handle.abandon(self.invocation.request_id);
        }
        instance.finish();
        let fault = Fault::Timeout(self.invocation.function.timeout);
        let outcome = self.conclude(instance, Ending::Fault(fault));
        self.shell.done(instance, self.event, Fate::Spent);
        outcome
    }

    /// No instance could be started for the event.
    fn not_started(&mut self, failure: Failure) -> Option<Result<Outcome, Refusal>> {
        self.delivered = self.shell.now();
        match failure {
            Failure::NoRoom { .. } => {
                METRICS.throttles.of(telemetry::metrics::Throttle::Memory).inc();
                Some(self.refuse(Refusal::Throttled(dispatch::Throttle::Capacity)))
            }
            Failure::NoCell { detail } => {
                METRICS.errors.of(ErrorClass::System).inc();
                Some(self.refuse(Refusal::StartFailed { detail }))
            }
            Failure::Closed => Some(self.refuse(Refusal::Closed)),
            Failure::Init { instance, document } => {
                self.mark_start(&instance);
                Some(Ok(self.conclude(&instance, Ending::InitFailed(document))))
            }
            Failure::Entrypoint { instance, detail } => {
                self.mark_start(&instance);
                Some(Ok(self.conclude(&instance, Ending::Fault(Fault::Entrypoint(detail)))))
            }
            Failure::Broke { instance } => {
                // A second start runs on the event's own time.
                self.delivered = instance.second_start.unwrap_or(self.delivered).max(self.arrived);
                self.mark_start(&instance);
                // Dispatching has ended it already; what is missing is why.
                let cause = instance.cause().cloned().unwrap_or(Cause::HungUp);
                self.stage = Stage::Autopsy(instance, cause);
                None
            }
        }
    }

    /// An event that never reached the instance has its START line there all the same, and is a call.
    fn mark_start(&self, instance: &Arc<Instance>) {
        // Not in the instance: its calls may have been counted, it ends already.
        self.shell.history.served(self.invocation.function.function, self.delivered, || 1);
        let id = self.invocation.request_id;
        instance.journal.start(id, self.invocation.log_tail, wall_ms());
    }

    /// Writes down how it ended and makes the outcome.
    fn conclude(&mut self, instance: &Arc<Instance>, ending: Ending) -> Outcome {
        self.stage = Stage::Done;
        let now = self.shell.now();
        let now_ms = wall_ms();
        let run = now.saturating_sub(self.delivered);
        let queue = self.delivered.saturating_sub(self.arrived);
        let id = self.invocation.request_id;
        METRICS.invocations.inc();
        METRICS.duration.observe(run);
        METRICS.queue_wait.observe(queue);
        if let Some(class) = ending.class() {
            METRICS.errors.of(class).inc();
        }
        if let Ending::Fault(fault) = &ending {
            instance.journal.drain_last(now, now_ms);
            instance.journal.platform(&explanation(fault, id, now_ms), now_ms);
        }
        let end = End {
            request_id: id,
            duration: run,
            init: self.init,
            restored: instance.cold().is_some_and(|cold| cold.rung == Rung::Snapshot),
            status: ending.status(),
            trace: sampled(&self.invocation.trace_id),
        };
        let log_tail = if self.invocation.log_tail {
            instance.measure(now);
            instance.journal.end_with_tail(&end, instance.peak(), now, now_ms)
        } else {
            instance.journal.end(end, now, now_ms);
            None
        };
        self.shell.governor.touch(instance);
        let (payload, failed) = ending.payload(id);
        let cold = self.cold(instance, run);
        if let Some(cold) = &cold {
            self.shell.history.record(self.invocation.function.function, now, cold);
        }
        Outcome {
            payload,
            function_error: failed.then_some(FunctionError::Unhandled),
            log_tail,
            executed_version: self.invocation.function.version,
            durations: Durations { queue, init: self.init, run, cold },
        }
    }

    /// How the instance was started, if this is its first event, with the event's own part of it.
    fn cold(&self, instance: &Instance, run: Duration) -> Option<ColdStart> {
        self.init?;
        let mut cold = instance.cold()?;
        let phases = &mut cold.phases;
        let started = phases.acquire + phases.process + phases.assign + phases.init;
        phases.queue = self.delivered.saturating_sub(self.arrived).saturating_sub(started);
        phases.answer = run;
        Some(cold)
    }

    fn refuse(&mut self, refusal: Refusal) -> Result<Outcome, Refusal> {
        self.stage = Stage::Done;
        Err(refusal)
    }
}

/// A conversation that cannot go on; whose fault it is, is found out next.
fn broken(instance: &Arc<Instance>, err: LinkError) -> Stage {
    if err != LinkError::Closed {
        instance.condemn(Cause::Protocol(err));
    }
    Stage::Broken(Arc::clone(instance))
}

/// A trace whose REPORT line names it.
fn sampled(trace_id: &Arc<str>) -> Option<Arc<str>> {
    // Of those that are made here none is: a look at the end is enough.
    let sampled = !trace_id.ends_with("Sampled=0") && trace_id.contains("Sampled=1");
    sampled.then(|| Arc::clone(trace_id))
}
