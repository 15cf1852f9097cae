//! The rungs of a start: what is done with a spare, and what with an empty cell.
//!
//! ```text
//!   spare           assign code and limits ──► Assign on its link ─────────────────┐
//!                     │ gone, refused            │ gone before it has read that     │
//!                     ▼                          ▼                                  ├──► Ready |
//!   fork    fork ──► the same                                                       │    InitFailed
//!             │ no template, gone                                                   │
//!             ▼                                                                     │
//!   exec    assign code and limits ──► execute the program with its environment ────┘
//!
//!   make    one of the last two, in a cell made for it
//!
//!   snapshot  of a version that has one, before all of these: see `restored`
//! ```
//!
//! A spare is a process that may die like any other, and nobody's fault: until it has read whose it is,
//! its end costs the caller nothing but the time to the next rung. What happens from then on is the
//! function's. Which of both it was is certain: a socket that is closed before all in it was read says
//! so to its peer.

mod held;
mod restored;

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dispatch::{Initialization, InstanceId, StartFailure};
use images::Served;
use images::environment::is_early;
use images::manifest::Kind as Language;
use model::Runnable;
use model::id::random_bytes;
use telemetry::{METRICS, platform};
use tokio::task::JoinHandle;
use wire::link::{Assign, Kind};

use super::{limits, program, refused, trees, version};
use crate::env;
use crate::fault::Cause;
use crate::freezer::Freezer;
use crate::instance::{Instance, Parts, Transport};
use crate::link::{self, Incoming, Link, LinkError};
use crate::logs::Journal;
use crate::memory::Meter;
use crate::phases::{ColdStart, Phases, Rung};
use crate::runner::ExecuteError;
use crate::session::{self, Started};
use crate::shell::{Failure, Shell, wall_ms};
use crate::socket;
use crate::spawner::{Cell, SpawnerError};
use crate::stock::{Spare, Taken, Warm, hush, meet};
use crate::watch;
use held::Held;

/// What a start that came to nothing is answered with.
pub(super) type Failed = (StartFailure, Failure);

/// One start under way.
pub(super) struct Attempt<'a> {
    shell: &'a Arc<Shell>,
    id: InstanceId,
    function: &'a Arc<Runnable>,
    served: &'a Served,
    /// If this is a second start: when it began, in the pool's time.
    second_start: Option<Duration>,
    /// What for.
    initialization: Initialization,
    /// Whether it is restored, and not initialised.
    restored: bool,
    /// The instance, once there is one; left to the caller if this is dropped.
    made: &'a mut Option<Arc<Instance>>,
    phases: Phases,
    /// When the phase that is under way began, in the pool's time.
    lap: Duration,
}

/// Why a rung did not hold.
enum Missed {
    /// The start has failed.
    Failed(Failed),
    /// What stood ready is gone, and the function has not run: the next rung may.
    Lost {
        /// How that was found.
        why: String,
    },
}

/// Starts an instance by the best means there are.
pub(super) async fn climb(
    shell: &Arc<Shell>,
    id: InstanceId,
    function: &Arc<Runnable>,
    second_start: Option<Duration>,
    initialization: Initialization,
    made: &mut Option<Arc<Instance>>,
) -> Result<ColdStart, Failed> {
    let Some(served) = shell.images.resolve(&function.runtime) else {
        return Err(no_cell("find an image", "none serves the function's runtime"));
    };
    let (phases, lap) = (Phases::default(), shell.now());
    let attempt = Attempt {
        shell,
        id,
        function,
        served,
        second_start,
        initialization,
        restored: false,
        made,
        phases,
        lap,
    };
    attempt.run().await
}

fn no_cell(step: &str, why: &str) -> Failed {
    (StartFailure::NoCell, Failure::NoCell { detail: format!("{step}: {why}") })
}

/// What another time may bring.
pub(super) fn no_room(step: &str, why: &str) -> Failed {
    (StartFailure::NoCell, Failure::NoRoom { detail: format!("{step}: {why}") })
}

/// What the spawner did not do.
fn not_given(step: &str, err: &SpawnerError) -> Failed {
    match err {
        SpawnerError::Closed => (StartFailure::NoCell, Failure::Closed),
        SpawnerError::NoRoom { detail } => no_room(step, detail),
        failed => no_cell(step, &failed.to_string()),
    }
}

fn lost(why: impl ToString) -> Missed {
    Missed::Lost { why: why.to_string() }
}

// === impl Attempt ===

impl Attempt<'_> {
    async fn run(mut self) -> Result<ColdStart, Failed> {
        let kind = self.served.start.kind;
        // What such a variable is to change has happened in a spare.
        let early = self.function.environment.iter().any(|(name, _)| is_early(kind, name));
        let stock = &self.shell.stock;
        let template =
            self.shell.images.template(self.served, self.function.code, self.function.layers);
        let breed = || stock.breed(&self.function.runtime, template);
        let mut forks = if early { None } else { breed() };
        // What stands ready is for those who wait.
        let waited_for = self.initialization != Initialization::Provisioned;
        let mut breed = forks.filter(|_| waited_for);
        let mut snapshot = self.snapshot();
        loop {
            let breed = if snapshot.is_some() { None } else { breed.take() };
            let taken = stock.take(self.served.image.0, breed, waited_for).await;
            let taken = taken.map_err(|err| not_given("take a cell", &err))?;
            self.lap(|phases| &mut phases.acquire);
            let (rung, done) = match taken {
                Taken::Spare(spare) => {
                    let Spare { cell, link, output, .. } = spare;
                    let warm = Warm { link, output, greeted: true };
                    (Rung::Spare, self.by_warmth(self.hold(cell), warm).await)
                }
                Taken::Cell(cell, _) if snapshot.is_some() => {
                    let held = self.hold(cell);
                    (Rung::Snapshot, self.by_snapshot(held, snapshot.take()).await)
                }
                Taken::Cell(cell, rung) => {
                    let held = self.hold(cell);
                    let warm = match forks.take() {
                        Some(breed) => held.fork(breed, self.function.function).await,
                        None => None,
                    };
                    self.lap(|phases| &mut phases.process);
                    let forked = if rung == Rung::Exec { Rung::Fork } else { rung };
                    match warm {
                        Some(Ok(warm)) => (forked, self.by_warmth(held, warm).await),
                        Some(Err(err)) => (forked, Err(lost(err))),
                        None => (rung, self.by_execution(held).await.map_err(Missed::Failed)),
                    }
                }
            };
            let done = match done {
                Err(Missed::Lost { why }) => {
                    METRICS.spares_lost.inc();
                    let (function, rung) = (&self.function.name, rung.as_str());
                    tracing::warn!(%function, rung, why, "what was to become an instance is gone");
                    self.lap(|phases| &mut phases.acquire);
                    continue;
                }
                Err(Missed::Failed(failed)) => Err(failed),
                Ok(()) => Ok(()),
            };
            METRICS.starts.of(rung.counted()).inc();
            return done.map(|()| ColdStart { rung, phases: self.phases });
        }
    }

    /// A cell that is given back unless something comes of it.
    fn hold(&self, cell: Cell) -> Held {
        Held::new(self.shell, cell)
    }

    /// Makes a warm interpreter the function's.
    async fn by_warmth(&mut self, held: Held, warm: Warm) -> Result<(), Missed> {
        let assigning =
            self.shell.spawner.assign(held.id(), trees(self.function), limits(self.function));
        // What can be prepared is, while the spawner mounts.
        let (assigned, prepared) = tokio::join!(assigning, async {
            let stream = self.stream();
            let env = self.environment(&stream);
            let env: Vec<&[u8]> = env.iter().map(Vec::as_slice).collect();
            (stream, Assign { env }.encode())
        });
        assigned.map_err(|err| match err {
            SpawnerError::Closed if self.shell.spawner.is_closed() => {
                Missed::Failed(not_given("assign code to a spare", &err))
            }
            // The next spare would be lost the same way.
            SpawnerError::NoRoom { .. } => {
                Missed::Failed(not_given("assign code to a spare", &err))
            }
            // Were it the code that cannot be mounted, the next rung would find the same.
            err => lost(err),
        })?;
        self.lap(|phases| &mut phases.assign);
        let (stream, frame) = prepared;
        self.hand_over(held, warm, stream, &frame).await.map(drop)
    }

    /// Gives a process that waits for it what makes it the function's, and waits until it is ready.
    async fn hand_over(
        &mut self,
        held: Held,
        Warm { link, output, greeted }: Warm,
        stream: Arc<str>,
        frame: &[u8],
    ) -> Result<Arc<Instance>, Missed> {
        // Whatever is in its log from here on, the function has said.
        let said = hush(&output);
        if said > 0 {
            tracing::debug!(bytes = said, "a spare had printed something");
        }
        let journal = self
            .journal(stream, output)
            .map_err(|err| Missed::Failed(no_room("connect a spare", &err.to_string())))?;
        link.assign(frame).map_err(lost)?;
        let mut incoming = Incoming::default();
        if !greeted {
            meet(&link, &mut incoming).await.map_err(lost)?;
        }
        let (instance, _unused) = self.instance(held, Transport::Link(link), journal);
        self.announce(&instance);
        let watcher = self.watch(&instance);
        match self.initialise(&instance, incoming).await {
            Err((StartFailure::Died, _)) if unread(&instance) => {
                self.forget(instance, watcher).await;
                Err(lost("it ended before it had read whose it was"))
            }
            done => done.map(|()| instance).map_err(Missed::Failed),
        }
    }

    /// Executes the function's program in an empty cell.
    async fn by_execution(&mut self, held: Held) -> Result<(), Failed> {
        let (trees, limits) = (trees(self.function), limits(self.function));
        let assigned = self.shell.spawner.assign(held.id(), trees, limits).await;
        assigned.map_err(|err| not_given("assign code to a cell", &err))?;
        self.lap(|phases| &mut phases.assign);

        let plumb = |err: std::io::Error| no_room("connect a cell", &err.to_string());
        let (pipe, output) = socket::log_pipe().map_err(plumb)?;
        let journal = self.journal(self.stream(), pipe).map_err(plumb)?;
        let (transport, link, session) = if self.served.start.kind == Language::Custom {
            let (handle, session) = session::pair(Arc::clone(self.function));
            (Transport::Session(handle), None, Some(session))
        } else {
            let (ours, theirs) = socket::link_pair().map_err(plumb)?;
            (Transport::Link(Link::new(ours).map_err(plumb)?), Some(theirs), None)
        };
        let (instance, listener) = self.instance(held, transport, journal);
        self.announce(&instance);

        self.execute(&instance, output, link).await?;
        self.lap(|phases| &mut phases.process);
        self.watch(&instance);
        // Where nobody serves on it the listener is closed here.
        if let (Some(listener), Some(session)) = (listener, session) {
            (self.shell.hook)(listener, session);
        }
        let mut incoming = Incoming::default();
        if let Transport::Link(link) = &instance.transport
            && let Err(err) = link::hello(link, &mut incoming).await
        {
            return Err(broken(&instance, err).await);
        }
        self.initialise(&instance, incoming).await
    }

    /// A phase ends now.
    fn lap(&mut self, phase: fn(&mut Phases) -> &mut Duration) {
        let now = self.shell.now();
        let began = std::mem::replace(&mut self.lap, now);
        *phase(&mut self.phases) += now.saturating_sub(began);
    }

    /// A name for the instance's log stream.
    fn stream(&self) -> Arc<str> {
        let version = self.function.version.text();
        platform::stream_name(wall_ms(), &version, random_bytes()).into()
    }

    fn environment(&self, stream: &str) -> Vec<Vec<u8>> {
        let (session, kind) = (env::Session::draw(), self.served.start.kind);
        let home = &self.shell.home;
        env::build(home, self.function, kind, self.initialization, stream, &session)
    }

    fn journal(&self, stream: Arc<str>, pipe: OwnedFd) -> std::io::Result<Journal> {
        Journal::new(self.function, stream, pipe, self.shell.budget(self.function.function))
    }

    /// Makes an instance of a cell that is assigned; beside it the cell's inner listener.
    fn instance(
        &self,
        held: Held,
        transport: Transport,
        journal: Journal,
    ) -> (Arc<Instance>, Option<OwnedFd>) {
        let cell = held.keep();
        let instance = Instance::new(Parts {
            id: self.id,
            function: Arc::clone(self.function),
            cell: cell.id,
            transport,
            journal,
            second_start: self.second_start,
            runner: cell.runner,
            meter: Meter::new(cell.memory, cell.kills),
            freezer: Freezer::new(cell.freezer),
            exited: cell.exited,
            last_word: cell.ended,
        });
        (instance, cell.listener)
    }

    /// Makes an instance known to whoever has to do with it, and says so in its log.
    fn announce(&mut self, instance: &Arc<Instance>) {
        *self.made = Some(Arc::clone(instance));
        self.shell.enlist(instance);
        let served = self.served;
        let arn = format!("arn:aws:lambda:{}::runtime:{}", self.shell.home.region, served.image);
        let version = version(&self.function.runtime, &served.start);
        let line = match self.restored {
            true => platform::restore_start(&version, &arn),
            false => {
                let provisioned = self.initialization == Initialization::Provisioned;
                platform::init_start(&version, &arn, provisioned)
            }
        };
        instance.journal.platform(&line, wall_ms());
        self.shell.governor.touch(instance);
    }

    fn watch(&self, instance: &Arc<Instance>) -> JoinHandle<()> {
        self.shell.runtime.spawn(watch::run(Arc::clone(self.shell), Arc::clone(instance)))
    }

    /// Takes back what was announced of an instance in which nothing of the function's has run.
    async fn forget(&mut self, instance: Arc<Instance>, watcher: JoinHandle<()>) {
        *self.made = None;
        self.shell.delist(&instance);
        instance.condemn(Cause::Stopped);
        let (shell, cell) = (Arc::clone(self.shell), instance.cell);
        if let Some(last_word) = instance.take_last_word() {
            self.shell.runtime.spawn(async move { shell.stock.give_back(cell, last_word).await });
        }
        // It would speak of the next instance of this name.
        let _ended = watcher.await;
    }

    /// Executes the program and waits until it has been.
    async fn execute(
        &self,
        instance: &Arc<Instance>,
        output: OwnedFd,
        link: Option<OwnedFd>,
    ) -> Result<(), Failed> {
        let broke = |cause| {
            instance.condemn(cause);
            (StartFailure::Died, Failure::Broke { instance: Arc::clone(instance) })
        };
        let env = self.environment(instance.journal.stream());
        let descriptors: Vec<_> =
            std::iter::once(&output).chain(link.as_ref()).map(|fd| fd.as_fd()).collect();
        let candidates = program::candidates(&self.served.start, self.function);
        match program::execute(&instance.runner, candidates, env, &descriptors).await {
            Ok(()) => Ok(()),
            Err((path, ExecuteError::Refused { errno })) => {
                let detail = refused(&path, errno);
                instance.condemn(Cause::Stopped);
                let instance = Arc::clone(instance);
                Err((StartFailure::Init, Failure::Entrypoint { instance, detail }))
            }
            Err((_, ExecuteError::Exited { status })) => Err(broke(Cause::Exited(status))),
            Err((_, err)) => {
                tracing::warn!(cell = instance.cell.0, %err, "a runner took no program");
                Err(broke(Cause::HungUp))
            }
        }
    }

    /// Waits until the handler can be called.
    async fn initialise(
        &mut self,
        instance: &Arc<Instance>,
        incoming: Incoming,
    ) -> Result<(), Failed> {
        let said = match &instance.transport {
            Transport::Link(link) => ready(link, incoming).await,
            Transport::Session(handle) => match handle.started().await {
                Started::Ready => Ok(None),
                Started::Failed(document) => Ok(Some(document)),
                Started::Closed => Err(LinkError::Closed),
            },
        };
        match said {
            Ok(None) => {}
            Ok(Some(document)) => {
                let instance = Arc::clone(instance);
                return Err((StartFailure::Init, Failure::Init { instance, document }));
            }
            Err(err) => return Err(broken(instance, err).await),
        }
        // What it took since the last look, or before the first, is found now and not by its first
        // event.
        instance.measure(self.shell.now());
        self.lap(|phases| &mut phases.init);
        match instance.cause() {
            Some(Cause::Memory) => {
                let instance = Arc::clone(instance);
                Err((StartFailure::Died, Failure::Broke { instance }))
            }
            _ => Ok(()),
        }
    }
}

/// What a start has failed with whose process did not say what it was to say.
async fn broken(instance: &Arc<Instance>, err: LinkError) -> Failed {
    // A link that was closed says nothing of why; the watcher will know.
    if err != LinkError::Closed {
        instance.condemn(Cause::Protocol(err));
    }
    instance.reason().await;
    (StartFailure::Died, Failure::Broke { instance: Arc::clone(instance) })
}

/// Reads what a bootstrap says until it is ready, or the document with which it failed.
async fn ready(link: &Link, mut incoming: Incoming) -> Result<Option<Bytes>, LinkError> {
    let (kind, body) = link.read(&mut incoming).await?;
    let said = match kind {
        Kind::Ready => None,
        Kind::InitFailed => Some(body),
        kind => return Err(LinkError::Unexpected { kind }),
    };
    if incoming.has_more() {
        return Err(LinkError::TwoAnswers);
    }
    Ok(said)
}

/// Whether an instance's process ended without having read what it was sent first.
fn unread(instance: &Instance) -> bool {
    matches!(&instance.transport, Transport::Link(link) if link.was_unread())
}
