//! Functions that do what an event says, and remember what they were asked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use model::{FunctionId, FunctionName, RequestId, Version};
use serde_json::{Value, json};
use store::events::{EventQueue, Probe, QueuedEvent};
use tempfile::TempDir;

use crate::policy::RETRIES;
use crate::{Answer, Attempt, Call, Calling, Clock, Destination, Events, Functions, Limits, Plan};

/// How much faster time passes here: a minute is 60 ms, and 30 ms are half a minute.
pub(super) const PACE: u32 = 1000;

/// When a world begins.
pub(super) const NOW: u64 = 1_800_000_000_000;

/// What was seen of one event, by the id its caller was told.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// How often its function was called.
    pub(super) calls: u32,
    /// How often it failed.
    pub(super) failures: u32,
    /// How often it succeeded.
    pub(super) successes: u32,
    /// The ids under which a destination was told of it, and the condition it was told.
    pub(super) records: BTreeSet<(RequestId, String)>,
    /// What a function was called with.
    pub(super) payload: Value,
}

/// The functions. Function 9 is told of successes, function 8 of failures.
#[derive(Default)]
pub(super) struct World {
    pub(super) seen: Mutex<BTreeMap<RequestId, Seen>>,
    pub(super) plans: Mutex<BTreeMap<FunctionId, Plan>>,
    pub(super) gone: Mutex<BTreeSet<FunctionId>>,
}

/// A directory with a queue in it.
pub(super) struct Place {
    directory: TempDir,
    pub(super) world: Arc<World>,
}

pub(super) fn id(number: u64) -> FunctionId {
    FunctionId(number)
}

pub(super) fn name(number: u64) -> FunctionName {
    FunctionName::parse(&format!("f{number}")).unwrap()
}

pub(super) fn destination(number: u64) -> Option<Destination> {
    Some(Destination::Function { function: id(number), name: name(number), qualifier: None })
}

pub(super) fn plan() -> Plan {
    Plan {
        arn: "arn".to_owned(),
        retries: RETRIES,
        // A month: no machine is so slow that an event becomes too old by itself.
        max_age_ms: 30 * 24 * 3_600_000,
        closed: false,
        may_recur: false,
        on_success: destination(9),
        on_failure: destination(8),
    }
}

/// An event for a function: it is throttled so often, fails so often, and then succeeds.
pub(super) fn call(function: u64, throttles: u32, failures: u32) -> Call {
    let payload = json!({ "throttles": throttles, "failures": failures });
    Call {
        id: RequestId::random(),
        function: id(function),
        name: name(function),
        qualifier: None,
        trace: Arc::from(""),
        payload: Bytes::from(payload.to_string()),
    }
}

// === impl World ===

impl World {
    pub(super) fn of(&self, id: &RequestId) -> Seen {
        self.seen.lock().unwrap().get(id).cloned().unwrap_or_default()
    }

    pub(super) fn configure(&self, function: u64, plan: Plan) {
        self.plans.lock().unwrap().insert(id(function), plan);
    }

    fn decide(&self, event: &QueuedEvent, payload: &Bytes) -> Attempt {
        let asked: Value = serde_json::from_slice(payload).unwrap();
        let mut seen = self.seen.lock().unwrap();
        if let Some(context) = asked.get("requestContext")
            && matches!(event.function.0, 8 | 9)
        {
            let of = RequestId::parse(context["requestId"].as_str().unwrap()).unwrap();
            let condition = context["condition"].as_str().unwrap().to_owned();
            seen.entry(of).or_default().records.insert((event.id, condition));
        }
        let seen = seen.entry(event.id).or_default();
        seen.payload = asked.clone();
        seen.calls += 1;
        let number = |name: &str| asked[name].as_u64().unwrap_or(0);
        if u64::from(seen.calls) <= number("throttles") {
            return if seen.calls.is_multiple_of(2) { Attempt::System } else { Attempt::Throttled };
        }
        let error = u64::from(seen.failures) < number("failures");
        *if error { &mut seen.failures } else { &mut seen.successes } += 1;
        Attempt::Answered(Answer {
            payload: Bytes::from_static(b"{\"said\":1}"),
            error: error.then_some("Unhandled"),
            version: Version::Latest,
        })
    }
}

impl Functions for World {
    fn exists(&self, function: FunctionId, _: &FunctionName) -> bool {
        !self.gone.lock().unwrap().contains(&function)
    }

    fn plan(&self, event: &QueuedEvent) -> Option<Plan> {
        if self.gone.lock().unwrap().contains(&event.function) {
            return None;
        }
        let told = matches!(event.function.0, 8 | 9);
        let usual = Plan {
            on_success: destination(9).filter(|_| !told),
            on_failure: destination(8).filter(|_| !told),
            ..plan()
        };
        Some(self.plans.lock().unwrap().get(&event.function).cloned().unwrap_or(usual))
    }

    fn call(&self, event: &QueuedEvent, payload: Bytes) -> Calling<'_> {
        let attempt = self.decide(event, &payload);
        // As long as a function takes, so that processes die in the middle of calls.
        let takes = Duration::from_micros(event.number.0 % 7 * 500);
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            attempt
        })
    }
}

// === impl Place ===

impl Place {
    pub(super) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), world: Arc::default() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("events.db")
    }

    /// A process that begins now.
    pub(super) fn start(&self, now_ms: u64) -> Events {
        self.started(EventQueue::open(&self.path()).unwrap(), now_ms, PACE)
    }

    /// The same at everybody's pace, for what is to happen before anything is due again.
    pub(super) fn start_slowly(&self, now_ms: u64) -> Events {
        self.started(EventQueue::open(&self.path()).unwrap(), now_ms, 1)
    }

    /// The same with something that goes wrong.
    pub(super) fn start_probed(&self, now_ms: u64, probe: Probe) -> Events {
        self.started(EventQueue::open_probed(&self.path(), probe).unwrap(), now_ms, PACE)
    }

    fn started(&self, queue: EventQueue, now_ms: u64, pace: u32) -> Events {
        let functions: Arc<dyn Functions> = Arc::clone(&self.world) as Arc<dyn Functions>;
        let clock = Clock::starting_at(now_ms).at_pace(pace);
        Events::start(queue, functions, clock, Limits::of(1000))
    }
}

/// Waits until something is so.
pub(super) async fn eventually(what: &str, mut is: impl AsyncFnMut() -> bool) {
    for _ in 0..6000 {
        if is().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not after half a minute: {what}");
}

/// Waits until nothing is queued.
pub(super) async fn empty(events: &Events) {
    eventually("the queue is empty", async || {
        events.inner.queue.count().await.is_ok_and(|count| count == 0)
    })
    .await;
}
