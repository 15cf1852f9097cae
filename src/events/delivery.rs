//! One delivery, from a lease to what is written of it.

use std::sync::Arc;

use bytes::Bytes;
use model::RequestId;
use store::StorageError;
use store::events::{NewEvent, QueuedEvent, Settled, Verdict};
use telemetry::metrics::{AsyncAttempt, AsyncDrop, METRICS};

use crate::events::{DISK_PAUSES, Inner};
use crate::functions::{Answer, Attempt, Destination, Plan};
use crate::lanes::{Ended, Work};
use crate::lineage::{self, Lineage};
use crate::policy::{self, Condition, Next};
use crate::record;

/// Longest event, bytes (an AWS limit of asynchronous invocation), which a record is, too.
const MAX_EVENT: usize = 1024 * 1024;

/// What a task that delivers holds: whatever becomes of it, the event's lease ends.
struct Flight {
    inner: Arc<Inner>,
    event: QueuedEvent,
    ended: Ended,
}

/// What is to be written.
struct Settlement {
    verdict: Verdict,
    /// For a destination.
    follow: Option<NewEvent>,
    /// What is lost by that.
    dropped: Option<AsyncDrop>,
    answered: bool,
}

/// Delivers an event and writes what became of it.
pub(crate) async fn deliver(inner: Arc<Inner>, work: Work) {
    let Work { event, payload } = work;
    let mut flight = Flight { inner, event, ended: Ended::Lost };
    // Without a payload the event is over: somebody else has ended it, which is a purge.
    let settlement = match flight.fly(payload).await {
        Ok(Some(settlement)) => settlement,
        Ok(None) => {
            flight.ended = Ended::Over { answered: false };
            return;
        }
        Err(StorageError::Closed) => return,
        Err(err) => {
            tracing::error!(%err, request_id = %flight.event.id, "an event cannot be read");
            return;
        }
    };
    flight.settle(settlement).await;
}

// === impl Flight ===

impl Flight {
    /// Everything up to what is to be written; `None` if the event is over already.
    async fn fly(&self, payload: Option<Bytes>) -> Result<Option<Settlement>, StorageError> {
        let Self { inner, event, .. } = self;
        let Some(plan) = inner.functions.plan(event) else {
            return Ok(Some(Settlement::dropped(AsyncDrop::Deleted)));
        };
        let lineage = Lineage::parse(&event.lineage);
        if lineage.calls(event.function) >= lineage::MOST && !plan.may_recur {
            return Ok(Some(Settlement::dropped(AsyncDrop::Recursion)));
        }
        let payload = match payload {
            Some(payload) => payload,
            None => match inner.queue.payload(event.number).await? {
                Some(payload) => payload,
                None => return Ok(None),
            },
        };
        if let Some(condition) = policy::before(event, &plan, inner.clock.now_ms()) {
            return Ok(Some(self.over(&plan, condition, &payload, None)));
        }
        let attempt = inner.functions.call(event, payload.clone()).await;
        let outcome = match &attempt {
            Attempt::Answered(answer) if answer.error.is_none() => AsyncAttempt::Success,
            Attempt::Answered(_) => AsyncAttempt::Function,
            Attempt::Throttled => AsyncAttempt::Throttled,
            Attempt::System | Attempt::Gone => AsyncAttempt::System,
        };
        METRICS.events_async_attempts.of(outcome).inc();
        let answer = match &attempt {
            Attempt::Answered(answer) => Some(answer),
            _ => None,
        };
        Ok(Some(match policy::after(event, &plan, &attempt, inner.clock.now_ms()) {
            None => Settlement::dropped(AsyncDrop::Deleted),
            Some(Next::Over(condition)) => self.over(&plan, condition, &payload, answer),
            Some(Next::Again { due_ms, attempts, setbacks }) => Settlement {
                verdict: Verdict::Again { due_ms, attempts, setbacks },
                follow: None,
                dropped: None,
                answered: answer.is_some(),
            },
        }))
    }

    /// The end of an event, and who is told of it.
    fn over(
        &self,
        plan: &Plan,
        condition: Condition,
        payload: &Bytes,
        answer: Option<&Answer>,
    ) -> Settlement {
        let (destination, unheard) = match condition {
            Condition::Success => (&plan.on_success, None),
            Condition::RetriesExhausted => (&plan.on_failure, Some(AsyncDrop::Retries)),
            Condition::EventAgeExceeded => (&plan.on_failure, Some(AsyncDrop::Age)),
            Condition::ZeroReservedConcurrency => (&plan.on_failure, Some(AsyncDrop::ZeroReserved)),
        };
        let (follow, dropped) = match destination {
            None => (None, unheard),
            Some(Destination::Gone) => (None, Some(AsyncDrop::DestinationGone)),
            Some(Destination::Function { function, name, qualifier }) => {
                let attempts = self.event.attempts + u32::from(answer.is_some());
                let (arn, now_ms) = (&plan.arn, self.inner.clock.now_ms());
                let record =
                    record::write(&self.event, arn, condition, attempts, payload, answer, now_ms);
                match record {
                    Ok(record) if record.len() <= MAX_EVENT => {
                        let lineage = Lineage::parse(&self.event.lineage).with(self.event.function);
                        let follow = NewEvent {
                            id: RequestId::random(),
                            function: *function,
                            name: name.clone(),
                            qualifier: qualifier.clone(),
                            accepted_ms: now_ms,
                            trace: Arc::clone(&self.event.trace),
                            lineage: lineage.to_string().into(),
                            payload: record,
                        };
                        (Some(follow), None)
                    }
                    // Of what cannot be written at all there is nothing to be told, either.
                    Ok(_) | Err(_) => (None, Some(AsyncDrop::DestinationTooLarge)),
                }
            }
        };
        Settlement { verdict: Verdict::Over, follow, dropped, answered: answer.is_some() }
    }

    /// Writes what became of the event, until that is written or the queue is closed.
    async fn settle(mut self, settlement: Settlement) {
        let Settlement { verdict, follow, dropped, answered } = settlement;
        let mut pause = DISK_PAUSES.0;
        let settled = loop {
            let written = self.inner.queue.settle(self.event.number, verdict, follow.clone()).await;
            match written {
                Ok(settled) => break settled,
                Err(StorageError::Closed) => return,
                // The function is not called again for it: the lease goes on.
                Err(err) => tracing::error!(
                    %err, request_id = %self.event.id, "what became of an event is not written yet"
                ),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(DISK_PAUSES.1);
        };
        self.ended = match verdict {
            Verdict::Over => Ended::Over { answered },
            Verdict::Again { due_ms, .. } => Ended::Again { due_ms, answered },
        };
        self.count(settled, dropped);
        match (settled.follow, follow) {
            (Some(number), Some(follow)) => {
                self.inner.queued(QueuedEvent::of(number, &follow), follow.payload);
            }
            // Written by a try whose acknowledgement was lost: it is on the disk, and nobody here
            // knows its number.
            (None, Some(follow)) => {
                self.inner.lanes(|lanes, now_ms| lanes.look(follow.function, now_ms));
            }
            (_, None) => {}
        }
    }

    /// What operators see of it.
    fn count(&self, settled: Settled, dropped: Option<AsyncDrop>) {
        if settled.follow.is_some() {
            METRICS.events_async_destinations.inc();
        }
        if let Some(reason) = dropped {
            METRICS.events_async_dropped.of(reason).inc();
            let QueuedEvent { id, name, attempts, .. } = &self.event;
            tracing::warn!(request_id = %id, %name, attempts, ?reason, "an event was dropped");
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let (function, number, ended) = (self.event.function, self.event.number, self.ended);
        self.inner.lanes(|lanes, now_ms| lanes.finished(function, number, ended, now_ms));
        self.inner.landed.notify_waiters();
    }
}

// === impl Settlement ===

impl Settlement {
    /// The end of an event of which nobody is told.
    fn dropped(reason: AsyncDrop) -> Self {
        Self { verdict: Verdict::Over, follow: None, dropped: Some(reason), answered: false }
    }
}
