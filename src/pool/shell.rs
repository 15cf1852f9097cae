//! Between dispatching, which decides, and the tasks that perform: one lock, held briefly.
//!
//! Under the lock nothing waits and nothing is formatted. A decision names events and instances; here
//! the names become a sender to the task that waits for the event, and the instance itself.

mod perform;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dispatch::{
    Action, Arrival, Decision, Dispatch, EndReason, EventId, Facts, Fate, Floor, IdMap, InstanceId,
    Next, Provision, StartFailure, Stats, Time,
};
use images::Catalogue;
use model::{FunctionId, Generation, Home, Runnable};
use tokio::sync::{Notify, oneshot, watch};

use crate::governor::Governor;
use crate::history::History;
use crate::instance::Instance;
use crate::logs::{Budget, LogBudget, LogSink};
use crate::pool::RuntimeHook;
use crate::snapshots::Snapshots;
use crate::spawner::Spawner;
use crate::stock::Stock;

/// Everything the tasks of one pool share.
pub(crate) struct Shell {
    pub(crate) home: Home,
    pub(crate) images: Arc<Catalogue>,
    pub(crate) logs: Arc<dyn LogSink>,
    pub(crate) hook: RuntimeHook,
    pub(crate) init_limit: Duration,
    pub(crate) spawner: Arc<Spawner>,
    pub(crate) stock: Arc<Stock>,
    pub(crate) governor: Governor,
    pub(crate) history: History,
    pub(crate) snapshots: Snapshots,
    /// Where what outlives its caller goes on.
    pub(crate) runtime: tokio::runtime::Handle,
    /// Ends the governor.
    pub(crate) stopped: Notify,
    /// Becomes true when the governor has ended, and with it written the last line.
    pub(crate) settled: watch::Sender<bool>,
    core: Mutex<Core>,
    /// The pool's time begins here.
    epoch: Instant,
    next_event: AtomicU64,
    log_budget: LogBudget,
    /// One per function that has an instance.
    budgets: Mutex<HashMap<FunctionId, Weak<Budget>>>,
}

/// What the lock protects.
struct Core {
    dispatch: Dispatch,
    /// Scratch for what dispatching says; empty while nobody holds the lock.
    out: Vec<Action>,
    /// Instances that can be given an event or be ended.
    instances: IdMap<InstanceId, Arc<Instance>>,
    /// Tasks whose event waits.
    waiting: IdMap<EventId, oneshot::Sender<Grant>>,
    /// What may be started without an event that would say what it is: everything that was started
    /// with one, for as long as dispatching remembers it.
    known: IdMap<Generation, Arc<Runnable>>,
    /// When to look who of them is remembered.
    prune: Duration,
    /// The same for what is provisioned.
    provisioned: IdMap<Generation, Arc<Runnable>>,
}

/// How often that is: forgetting them late costs a pointer each.
const PRUNE: Duration = Duration::from_secs(60);

/// What a waiting event gets.
pub(crate) type Grant = Result<Arc<Instance>, Failure>;

/// Why a waiting event gets no instance.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// No sandbox could be made or prepared.
    NoCell { detail: String },
    /// There is no room for another sandbox now.
    NoRoom { detail: String },
    /// The function's program could not be executed.
    Entrypoint { instance: Arc<Instance>, detail: String },
    /// The runtime said that the handler cannot be loaded.
    Init { instance: Arc<Instance>, document: Bytes },
    /// The instance broke, for the cause it was condemned for.
    Broke { instance: Arc<Instance> },
    /// The spawner is gone, or the pool stops.
    Closed,
}

/// What an arrival gets.
pub(crate) enum Admitted {
    /// An instance at once.
    Run(Arc<Instance>),
    /// A place in the queue.
    Wait(oneshot::Receiver<Grant>),
}

/// What a shell is made of.
pub(crate) struct Parts {
    pub(crate) home: Home,
    pub(crate) images: Arc<Catalogue>,
    pub(crate) logs: Arc<dyn LogSink>,
    pub(crate) hook: RuntimeHook,
    pub(crate) init_limit: Duration,
    pub(crate) spawner: Arc<Spawner>,
    pub(crate) stock: Arc<Stock>,
    pub(crate) dispatch: Dispatch,
    pub(crate) log_budget: LogBudget,
}

// === impl Shell ===

impl Shell {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            home: parts.home,
            images: parts.images,
            logs: parts.logs,
            hook: parts.hook,
            init_limit: parts.init_limit,
            spawner: parts.spawner,
            stock: parts.stock,
            governor: Governor::default(),
            history: History::default(),
            snapshots: Snapshots::new(),
            runtime: tokio::runtime::Handle::current(),
            stopped: Notify::new(),
            settled: watch::Sender::new(false),
            core: Mutex::new(Core {
                dispatch: parts.dispatch,
                out: Vec::new(),
                instances: IdMap::default(),
                waiting: IdMap::default(),
                known: IdMap::default(),
                prune: PRUNE,
                provisioned: IdMap::default(),
            }),
            epoch: Instant::now(),
            next_event: AtomicU64::new(0),
            log_budget: parts.log_budget,
            budgets: Mutex::new(HashMap::new()),
        })
    }

    /// The pool's time.
    pub(crate) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// A name for a new event.
    pub(crate) fn next_event(&self) -> EventId {
        EventId(self.next_event.fetch_add(1, Ordering::Relaxed))
    }

    /// The bucket a function's output is taken from.
    pub(crate) fn budget(&self, function: FunctionId) -> Arc<Budget> {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = budgets.get(&function).and_then(Weak::upgrade) {
            return budget;
        }
        budgets.retain(|_, budget| budget.strong_count() > 0);
        let budget = Arc::new(Budget::new(self.log_budget));
        budgets.insert(function, Arc::downgrade(&budget));
        budget
    }

    /// An event asks to be served.
    pub(crate) fn arrive(
        self: &Arc<Self>,
        event: EventId,
        now: Duration,
        function: &Arc<Runnable>,
    ) -> Result<Admitted, dispatch::Refusal> {
        let arrival = Arrival {
            event,
            function: function.function,
            generation: function.generation,
            reserved: function.reserved_concurrency,
            slots: function.concurrency,
        };
        let mut core = self.core();
        let Core { dispatch, out, .. } = &mut *core;
        match dispatch.arrive(time(now), arrival, out) {
            Decision::Run(id) => match core.instances.get(&id) {
                Some(instance) => Ok(Admitted::Run(Arc::clone(instance))),
                None => unreachable!("an idle instance is known until its end is asked for"),
            },
            Decision::Wait => {
                let (sender, receiver) = oneshot::channel();
                core.waiting.insert(event, sender);
                self.perform(core, Some(function), None);
                Ok(Admitted::Wait(receiver))
            }
            Decision::Refuse(refusal) => {
                self.perform(core, Some(function), None);
                Err(refusal)
            }
        }
    }

    /// An instance was found dead before its event was written; the event waits again.
    pub(crate) fn undelivered(
        self: &Arc<Self>,
        event: EventId,
        instance: &Arc<Instance>,
    ) -> oneshot::Receiver<Grant> {
        let (sender, receiver) = oneshot::channel();
        let mut core = self.core();
        core.waiting.insert(event, sender);
        let Core { dispatch, out, .. } = &mut *core;
        dispatch.undelivered(instance.id, event, out);
        let failure = Failure::Broke { instance: Arc::clone(instance) };
        self.perform(core, Some(&instance.function), Some(failure));
        receiver
    }

    /// An instance exists and initialises.
    pub(crate) fn enlist(&self, instance: &Arc<Instance>) {
        self.core().instances.insert(instance.id, Arc::clone(instance));
        self.governor.enlist(Arc::clone(instance));
    }

    /// An instance of which nothing of its function's has run is not to be one after all.
    pub(crate) fn delist(&self, instance: &Instance) {
        self.core().instances.remove(&instance.id);
        self.governor.dismiss(instance.id);
    }

    /// An instance has initialised.
    pub(crate) fn ready(self: &Arc<Self>, instance: &Arc<Instance>) {
        let mut core = self.core();
        let Core { dispatch, out, .. } = &mut *core;
        dispatch.ready(time(self.now()), instance.id, out);
        // Condemned meanwhile: whoever gets it finds out at once, and so must dispatching if nobody
        // does.
        if instance.cause().is_some() {
            dispatch.died(instance.id, out);
        }
        self.perform(core, Some(&instance.function), None);
    }

    /// A start came to nothing.
    pub(crate) fn start_failed(
        self: &Arc<Self>,
        id: InstanceId,
        function: &Arc<Runnable>,
        what: StartFailure,
        failure: Failure,
    ) {
        let mut core = self.core();
        let Core { dispatch, out, .. } = &mut *core;
        dispatch.start_failed(id, what, out);
        self.perform(core, Some(function), Some(failure));
        // Of a start that nobody waited for there may be another, in a while.
        self.governor.wake();
    }

    /// An instance has served an event, and is given the next if one waits.
    pub(crate) fn done(
        self: &Arc<Self>,
        instance: &Arc<Instance>,
        mut event: EventId,
        mut fate: Fate,
    ) {
        let now = time(self.now());
        let mut core = self.core();
        loop {
            // Under the lock: whoever condemns it says so to dispatching afterwards.
            if instance.cause().is_some() {
                fate = Fate::Broken;
            }
            match core.dispatch.done(now, instance.id, event, fate) {
                Next::Idle => return,
                Next::Run(next) => {
                    event = next;
                    let waiter = core.waiting.remove(&event);
                    match waiter.map(|waiter| waiter.send(Ok(Arc::clone(instance)))) {
                        Some(Ok(())) => return,
                        // Nobody takes the event any more, so it is done.
                        _ => continue,
                    }
                }
                Next::End(reason) => {
                    core.out.push(Action::End { instance: instance.id, reason });
                    self.perform(core, Some(&instance.function), None);
                    return;
                }
            }
        }
    }

    /// An instance was condemned; if it was idle it is ended now.
    pub(crate) fn died(self: &Arc<Self>, instance: &Arc<Instance>) {
        let mut core = self.core();
        let Core { dispatch, out, .. } = &mut *core;
        dispatch.died(instance.id, out);
        self.perform(core, None, None);
    }

    /// An instance's cell is gone.
    pub(crate) fn ended(&self, instance: InstanceId) {
        self.core().dispatch.ended(instance);
        self.governor.dismiss(instance);
    }

    /// A generation is history.
    pub(crate) fn retire(self: &Arc<Self>, generation: Generation) {
        let mut core = self.core();
        let Core { dispatch, out, .. } = &mut *core;
        dispatch.retire(time(self.now()), generation, out);
        self.perform(core, None, None);
    }

    /// Sets what functions have reserved together.
    pub(crate) fn set_reserved(&self, total: u32) {
        self.core().dispatch.set_reserved(total);
    }

    /// Sets how many instances of which generations of a function are to be ready.
    pub(crate) fn provision(
        self: &Arc<Self>,
        function: FunctionId,
        floors: Vec<(Arc<Runnable>, u32)>,
    ) {
        let mut core = self.core();
        let wanted: Vec<Floor> = floors
            .iter()
            .map(|(runnable, wanted)| Floor {
                generation: runnable.generation,
                wanted: *wanted,
                slots: runnable.concurrency,
            })
            .collect();
        core.provisioned.retain(|_, runnable| runnable.function != function);
        core.provisioned
            .extend(floors.into_iter().map(|(runnable, _)| (runnable.generation, runnable)));
        let Core { dispatch, out, .. } = &mut *core;
        dispatch.provision(time(self.now()), function, &wanted, out);
        self.perform(core, None, None);
        // When there is something to do next may have changed.
        self.governor.wake();
    }

    /// How far a generation's floor is.
    pub(crate) fn provisioned(&self, generation: Generation) -> Option<Provision> {
        self.core().dispatch.provisioned(generation)
    }

    /// Serves nothing new.
    pub(crate) fn stop(self: &Arc<Self>) {
        let mut core = self.core();
        let Core { dispatch, out, .. } = &mut *core;
        dispatch.stop(out);
        self.perform(core, None, None);
    }

    /// Serves nothing at all: what waits is failed.
    pub(crate) fn abandon(self: &Arc<Self>) {
        let mut core = self.core();
        let Core { dispatch, out, .. } = &mut *core;
        dispatch.abandon(out);
        self.perform(core, None, None);
    }

    /// The governor's part: measurements in, expired instances out. When the next expires, in the
    /// pool's time.
    pub(crate) fn tend(
        self: &Arc<Self>,
        measured: &[(InstanceId, u64)],
        facts: Option<Facts>,
    ) -> Option<Duration> {
        let mut core = self.core();
        let Core { dispatch, out, known, prune, .. } = &mut *core;
        for (instance, bytes) in measured {
            dispatch.measured(*instance, *bytes);
        }
        if let Some(facts) = facts {
            dispatch.observe(facts);
        }
        let now = self.now();
        dispatch.expire(time(now), out);
        if *prune <= now {
            *prune = now + PRUNE;
            known.retain(|generation, _| dispatch.remembers(*generation));
        }
        let expiry = dispatch.next_expiry();
        self.perform(core, None, None);
        expiry.map(|when| Duration::from_millis(when.0))
    }

    pub(crate) fn stats(&self) -> Stats {
        self.core().dispatch.stats()
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        // Whoever panicked in between left at worst an action undone, and the governor finds what
        // waits; better than a pool that answers nobody.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What dispatching counts in.
fn time(now: Duration) -> Time {
    Time::default().after(now)
}

fn no_room() -> Failure {
    Failure::NoRoom { detail: "there is no room for another instance".to_owned() }
}

/// Milliseconds since the epoch.
pub(crate) fn wall_ms() -> u64 {
    // A clock before 1970 would be the machine's fault; lines then say 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Why an instance is ended, for the operator's log.
pub(crate) fn word(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Expired => "expired",
        EndReason::Evicted => "evicted",
        EndReason::Retired => "retired",
        EndReason::Failed => "failed",
        EndReason::Stopping => "stopping",
    }
}
