//! The pool: what doors call, and what the composition makes.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use dispatch::{Dispatch, Limits, Provision, Stats};
use images::Catalogue;
use model::{Digest, FunctionId, Generation, Home, Runnable};
use telemetry::metrics::FunctionStarts;

use crate::compile::{self, CompileError};
use crate::fault::Cause;
use crate::flight::Attended;
use crate::governor;
use crate::invocation::{Invocation, Outcome, Refusal};
use crate::logs::{LogBudget, LogSink};
use crate::memory;
use crate::session::Session;
use crate::shell::{Parts, Shell};
use crate::snapshots::{self, NotTaken};
use crate::spawner::{ConnectError, Spawner};
use crate::stock::{Stock, Stocking, TemplateSharing};

/// Serves the Runtime API of one instance of a custom runtime: gets the listening socket inside the
/// sandbox, and the session whose other end the pool holds. Called inside the runtime; must not block:
/// it spawns what it needs, and ends it when [`Session::closed`] completes.
pub type RuntimeHook = Arc<dyn Fn(OwnedFd, Session) + Send + Sync>;

/// What a pool is made of.
pub struct PoolConfig {
    /// Account and region.
    pub home: Home,
    /// What an operator can set. The number of instances is at most what the spawner can keep.
    pub limits: Limits,
    /// A connected `SEQPACKET` socket with the spawner at its other end.
    pub spawner: OwnedFd,
    /// Which runtimes are served, by what.
    pub images: Arc<Catalogue>,
    /// Where functions' lines go.
    pub logs: Arc<dyn LogSink>,
    /// Who serves custom runtimes.
    pub runtime_hook: RuntimeHook,
    /// How many empty cells stand ready of each image.
    pub ready_cells: usize,
    /// How many spares stand ready of each runtime even if nobody wanted any of late.
    pub ready_spares: usize,
    /// Most memory spares may hold, bytes; `None` for a part of what the machine has to give.
    pub spare_memory: Option<u64>,
    /// Who may be forked from the same template.
    pub template_sharing: TemplateSharing,
    /// How long a first start may take; AWS: ten seconds.
    pub init_limit: Duration,
    /// How much one function may print.
    pub log_budget: LogBudget,
}

/// Runs functions. Clones are the same pool.
#[derive(Clone)]
pub struct Pool {
    shell: Arc<Shell>,
}

/// Empty cells of each image that stand ready unless an operator says otherwise: a burst of eight cold
/// starts without waiting for one to be made, at about half a megabyte each.
pub const READY_CELLS: usize = 8;
/// Spares of each runtime that stand ready unless an operator says otherwise: what calls a function
/// that nobody has called for a while, a page or a person, often calls more than one at once.
pub const READY_SPARES: usize = 4;
/// AWS's limit for the first initialisation.
pub const INIT_LIMIT: Duration = Duration::from_secs(10);
/// How long the ends of instances are waited for when everything has been told to end.
const ENDING: Duration = Duration::from_secs(5);
/// How often a drain looks whether it is done.
const LOOK: Duration = Duration::from_millis(10);

// === impl PoolConfig ===

impl PoolConfig {
    /// The defaults around what has none.
    pub fn new(
        spawner: OwnedFd,
        images: Arc<Catalogue>,
        logs: Arc<dyn LogSink>,
        runtime_hook: RuntimeHook,
    ) -> Self {
        Self {
            home: Home::default(),
            limits: Limits::default(),
            spawner,
            images,
            logs,
            runtime_hook,
            ready_cells: READY_CELLS,
            ready_spares: READY_SPARES,
            spare_memory: None,
            template_sharing: TemplateSharing::Image,
            init_limit: INIT_LIMIT,
            log_budget: LogBudget::default(),
        }
    }
}

// === impl Pool ===

impl Pool {
    /// Starts a pool, once the spawner has introduced itself. Must be called inside the runtime in
    /// which the pool is to live.
    ///
    /// # Errors
    /// [`ConnectError`], if the spawner does not, or is of another build.
    pub async fn start(config: PoolConfig) -> Result<Self, ConnectError> {
        let (spawner, capacity) = Spawner::connect(config.spawner).await?;
        warn_of_reserve(config.limits.memory_reserve);
        let stocking = Stocking {
            cells: config.ready_cells,
            spares: config.ready_spares,
            spare_memory: config.spare_memory,
            reserve: config.limits.memory_reserve,
            ceiling: config.limits.memory_ceiling,
            estimate: config.limits.start_estimate,
            capacity,
            sharing: config.template_sharing,
            templates: std::thread::available_parallelism().map_or(1, usize::from),
        };
        let stock = Stock::open(Arc::clone(&spawner), &config.images, stocking);
        let instances = config.limits.instances.min(capacity);
        let dispatch = Dispatch::new(Limits { instances, ..config.limits });
        let shell = Shell::new(Parts {
            home: config.home,
            images: config.images,
            logs: config.logs,
            hook: config.runtime_hook,
            init_limit: config.init_limit,
            spawner,
            stock,
            dispatch,
            log_budget: config.log_budget,
        });
        tokio::spawn(governor::govern(Arc::clone(&shell)));
        tokio::spawn(follow(Arc::clone(&shell)));
        Ok(Self { shell })
    }

    /// Runs one invocation. If the future is dropped the invocation goes on, and its result is
    /// dropped.
    ///
    /// # Errors
    /// [`Refusal`], if the function did not run.
    pub async fn invoke(&self, invocation: Invocation) -> Result<Outcome, Refusal> {
        Attended::begin(&self.shell, invocation)?.finish().await
    }

    /// Takes a state of a version out of service, because it was updated or deleted: its idle
    /// instances end now, its busy ones after what they serve. Calls that come later are refused
    /// with [`Refusal::Retired`].
    pub fn retire(&self, generation: Generation) {
        self.shell.snapshots.forget(generation);
        self.shell.retire(generation);
    }

    /// Sets the sum of what all functions have reserved of the account's concurrency; what is left
    /// of it is shared by those that have reserved nothing.
    pub fn set_reserved(&self, total: u32) {
        self.shell.set_reserved(total);
    }

    /// Sets how many instances of which versions of a function are to be ready, whether anybody calls
    /// them or not, in the place of what was set before.
    pub fn provision(&self, function: FunctionId, floors: Vec<(Arc<Runnable>, u32)>) {
        self.shell.provision(function, floors);
    }

    /// How far that is for one version, if anything is provisioned for it.
    pub fn provisioned(&self, generation: Generation) -> Option<Provision> {
        self.shell.provisioned(generation)
    }

    /// Initialises a published version once, and keeps what it is then for its instances to be
    /// restored from, until its generation is retired.
    ///
    /// # Errors
    /// [`NotTaken`], if there is no snapshot afterwards.
    pub async fn take_snapshot(&self, function: Arc<Runnable>) -> Result<(), NotTaken> {
        snapshots::take(&self.shell, &function).await
    }

    /// There is to be a snapshot of a version as soon as somebody calls it.
    pub fn expect_snapshot(&self, generation: Generation) {
        self.shell.snapshots.expect(generation);
    }

    /// Compiles code for instances of a runtime, in a sandbox of its own; `into` is empty, and then has
    /// what they are to find, these many bytes. If the future is dropped the sandbox goes on for a while.
    ///
    /// # Errors
    /// [`CompileError`], whereupon `into` is of no use.
    pub async fn compile(
        &self,
        runtime: &str,
        code: Digest,
        into: File,
    ) -> Result<u64, CompileError> {
        compile::run(&self.shell, runtime, code, into).await
    }

    /// How many instances there are in each state, and how many events wait.
    pub fn stats(&self) -> Stats {
        self.shell.stats()
    }

    /// What the calls of a function found ready, those of all its versions.
    pub fn starts(&self, function: FunctionId) -> FunctionStarts {
        let instances = self.shell.governor.everyone();
        let own = instances.iter().filter(|instance| instance.function.function == function);
        self.shell.history.of(function, || own.map(|instance| instance.calls()).sum())
    }

    /// How many empty cells stand ready.
    pub fn ready_cells(&self) -> usize {
        self.shell.stock.ready()
    }

    /// How many spares stand ready.
    pub fn ready_spares(&self) -> usize {
        self.shell.stock.ready_spares()
    }

    /// Completes when the spawner is gone; nothing can be run any more.
    pub async fn closed(&self) {
        self.shell.spawner.closed().await;
    }

    /// For how long the spawner has said nothing although it owes an answer: a sign, if it is more
    /// than some seconds, that it hangs.
    pub fn spawner_silent_for(&self) -> Duration {
        self.shell.spawner.silent_for()
    }

    /// Ends the pool: nothing new is served, what was accepted may finish for as long as `patience`
    /// lasts, and then everything is ended, the spawner last. Returns when the instances are gone
    /// and their last lines have been handed to the log.
    pub async fn drain(&self, patience: Duration) {
        self.shell.stop();
        self.until(patience, |stats| stats.busy + stats.waiting == 0).await;
        self.shell.abandon();
        for instance in self.shell.governor.everyone() {
            instance.condemn(Cause::Stopped);
        }
        self.until(ENDING, |stats| *stats == Stats::default()).await;
        self.shell.stopped.notify_one();
        let mut settled = self.shell.settled.subscribe();
        // The sender lives in the shell, so waiting cannot fail.
        let _never_fails = settled.wait_for(|settled| *settled).await;
        self.shell.spawner.hang_up();
    }

    async fn until(&self, patience: Duration, reached: impl Fn(&Stats) -> bool) {
        let waiting = async {
            while !reached(&self.stats()) && !self.shell.spawner.is_closed() {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(patience, waiting).await.is_err() {
            tracing::warn!(stats = ?self.stats(), "the pool did not drain in time");
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Says so if nothing could be started on this machine as it is now.
fn warn_of_reserve(reserve: u64) {
    // Where memory cannot be read the governor says so.
    let Ok(available) = memory::available() else { return };
    if !memory::has_room(available, reserve) {
        tracing::warn!(
            reserve_mib = reserve >> 20,
            available_mib = available >> 20,
            "memory_reserve_mib leaves no room for a function of 128 MB: calls will be refused"
        );
    }
}

/// Ends everything when the spawner does: whoever waits is answered, nothing new is begun.
async fn follow(shell: Arc<Shell>) {
    shell.spawner.closed().await;
    shell.abandon();
    for instance in shell.governor.everyone() {
        instance.condemn(Cause::SpawnerGone);
    }
}
