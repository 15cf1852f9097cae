//! How an instance starts: a cell is taken, assigned, and a program executed in it.
//!
//! ```text
//!   take a cell ──► assign code and limits ──► execute ──► Hello ──► Ready
//!       │                  │                      │          │         │
//!       ▼                  ▼                      ▼          ▼         ▼
//!     NoCell             NoCell               Entrypoint   Broke   InitFailed
//! ```
//!
//! One limit stands over all of it: ten seconds for the first start, the function's timeout for the
//! second. Whatever has been taken when it runs out is given back; a start never leaves a cell behind.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dispatch::{InstanceId, Phase, StartFailure};
use images::Served;
use images::manifest::{Kind as Language, Start};
use model::Runnable;
use model::id::random_bytes;
use telemetry::{METRICS, platform};
use wire::link::Kind;
use wire::runner::{Report, Request};
use wire::spawner::{CellId, Limits};

use crate::env;
use crate::fault::{self, Cause, Fault};
use crate::freezer::Freezer;
use crate::instance::{Instance, Parts, Transport};
use crate::link::{Incoming, Link, LinkError};
use crate::logs::Journal;
use crate::memory::Meter;
use crate::phases::{ColdStart, Phases, Rung};
use crate::session::{self, Session, Started};
use crate::shell::{Failure, Shell, wall_ms};
use crate::socket;
use crate::spawner::{Cell, SpawnerError};
use crate::watch;

/// Processes and threads of one sandbox (an AWS limit).
const PIDS: u32 = 1024;
/// The weight of one core's share of memory.
///
/// AWS gives one core's worth of time to 1,769 MB and more or less in proportion. A weight only says
/// who yields to whom where several want the processor, so any scale would do; this one makes 1,769 MiB
/// a thousand, which leaves 128 MiB (72) and 10,240 MiB (5,788) well inside cgroup v2's 1 to 10,000.
const CORE_WEIGHT: u64 = 1000;
/// MemorySize of one core's share, MiB.
const CORE_MEMORY: u64 = 1769;

/// A cell that is given back unless an instance is made of it.
struct Held {
    shell: Arc<Shell>,
    cell: Option<Cell>,
}

/// When the phase that is under way began, in the pool's time.
struct Laps(Duration);

/// Starts one instance and says how it went.
pub(crate) async fn run(shell: Arc<Shell>, id: InstanceId, function: Arc<Runnable>, phase: Phase) {
    let began = shell.now();
    let limit = match phase {
        Phase::Init => shell.init_limit,
        Phase::Invoke => function.timeout,
    };
    let mut made = None;
    let second_start = (phase == Phase::Invoke).then_some(began);
    let attempt = attempt(&shell, id, &function, second_start, &mut made);
    let result = tokio::time::timeout(limit, attempt).await;
    let took = shell.now().saturating_sub(began);
    let failed = match (result, made) {
        (Ok(Ok(cold)), Some(instance)) => {
            METRICS.init_duration.observe(took);
            instance.set_init(took, cold);
            // What was printed until now belongs before the first START.
            instance.journal.drain_last(shell.now(), wall_ms());
            return shell.ready(&instance);
        }
        (Ok(Err(failed)), _) => failed,
        (Err(_elapsed), Some(instance)) => {
            instance.condemn(Cause::Overran);
            (StartFailure::Overran, Failure::Broke { instance })
        }
        (Ok(Ok(_)) | Err(_), None) => no_cell("take a cell", "none was ready in time"),
    };
    report(&shell, &function, phase, took, &failed);
    if let Failure::Broke { instance }
    | Failure::Init { instance, .. }
    | Failure::Entrypoint { instance, .. } = &failed.1
    {
        shell.governor.touch(instance);
    }
    let (what, failure) = failed;
    shell.start_failed(id, &function, what, failure);
}

type Failed = (StartFailure, Failure);

async fn attempt(
    shell: &Arc<Shell>,
    id: InstanceId,
    function: &Arc<Runnable>,
    second_start: Option<Duration>,
    made: &mut Option<Arc<Instance>>,
) -> Result<ColdStart, Failed> {
    let mut laps = Laps(shell.now());
    let mut phases = Phases::default();
    let Some(served) = shell.images.resolve(&function.runtime) else {
        return Err(no_cell("find an image", "none serves the function's runtime"));
    };
    let taken = shell.stock.take(served.image.0).await;
    let (cell, rung) = taken.map_err(|err| not_given("take a cell", &err))?;
    let cell = Held { shell: Arc::clone(shell), cell: Some(cell) };
    phases.acquire = laps.next(shell.now());
    METRICS.starts.of(counted(rung)).inc();
    let assigned = shell.spawner.assign(cell.id(), function.code.0, limits(function)).await;
    assigned.map_err(|err| not_given("assign code to a cell", &err))?;
    phases.assign = laps.next(shell.now());

    let plumbed = plumb(shell, id, function, served, second_start, cell);
    let Plumbed { instance, output, link, session } =
        plumbed.map_err(|err| no_cell("connect a cell", &err.to_string()))?;
    *made = Some(Arc::clone(&instance));
    shell.enlist(&instance);
    let arn = format!("arn:aws:lambda:{}::runtime:{}", shell.home.region, served.image);
    let version = version(&function.runtime, &served.start);
    instance.journal.platform(&platform::init_start(&version, &arn), wall_ms());
    shell.governor.touch(&instance);

    execute(shell, &instance, served, output, link).await?;
    phases.process = laps.next(shell.now());
    shell.runtime.spawn(watch::run(Arc::clone(shell), Arc::clone(&instance)));
    if let Some((listener, session)) = session {
        (shell.hook)(listener, session);
    }
    initialise(&instance).await?;
    // What it took since the last look, or before the first, is found now and not by its first event.
    instance.measure(shell.now());
    phases.init = laps.next(shell.now());
    match instance.cause() {
        Some(Cause::Memory) => Err((StartFailure::Died, Failure::Broke { instance })),
        _ => Ok(ColdStart { rung, phases }),
    }
}

/// Under what a start is counted.
fn counted(rung: Rung) -> telemetry::metrics::Start {
    use telemetry::metrics::Start;
    match rung {
        Rung::Spare => Start::Spare,
        Rung::Fork => Start::Fork,
        Rung::Exec => Start::Exec,
        Rung::Make => Start::Make,
    }
}

fn no_cell(step: &str, why: &str) -> Failed {
    (StartFailure::NoCell, Failure::NoCell { detail: format!("{step}: {why}") })
}

/// What the spawner did not do.
fn not_given(step: &str, err: &SpawnerError) -> Failed {
    match err {
        SpawnerError::Closed => (StartFailure::NoCell, Failure::Closed),
        failed => no_cell(step, &failed.to_string()),
    }
}

/// Executes the program and waits until it has been.
async fn execute(
    shell: &Shell,
    instance: &Arc<Instance>,
    served: &Served,
    output: OwnedFd,
    link: Option<OwnedFd>,
) -> Result<(), Failed> {
    let broke = |cause| {
        instance.condemn(cause);
        (StartFailure::Died, Failure::Broke { instance: Arc::clone(instance) })
    };
    let kind = served.start.kind;
    let (stream, session) = (instance.journal.stream(), env::Session::draw());
    let env = env::build(&shell.home, &instance.function, kind, stream, &session);
    let argv: Vec<Vec<u8>> =
        served.start.argv.iter().map(|argument| argument.clone().into_bytes()).collect();
    let program = served.start.argv.first().cloned().unwrap_or_default();
    let request = Request::Execute { argv, env, cwd: b"/var/task".to_vec() }.encode();
    let descriptors: Vec<_> =
        std::iter::once(&output).chain(link.as_ref()).map(|fd| fd.as_fd()).collect();
    if let Err(err) = instance.runner.send(&request, &descriptors).await {
        tracing::warn!(cell = instance.cell.0, %err, "a runner took no program");
        return Err(broke(Cause::HungUp));
    }
    match instance.report().await {
        Ok(Some(Report::Executed { .. })) => Ok(()),
        Ok(Some(Report::Refused { errno })) => {
            let detail = refused(&program, errno);
            instance.condemn(Cause::Stopped);
            let instance = Arc::clone(instance);
            Err((StartFailure::Init, Failure::Entrypoint { instance, detail }))
        }
        Ok(Some(Report::Exited { status })) => Err(broke(Cause::Exited(status))),
        Ok(None) | Err(_) => Err(broke(Cause::HungUp)),
    }
}

/// Waits until the handler can be called.
async fn initialise(instance: &Arc<Instance>) -> Result<(), Failed> {
    let said = match &instance.transport {
        Transport::Link(link) => greet(link).await,
        Transport::Session(handle) => match handle.started().await {
            Started::Ready => Ok(None),
            Started::Failed(document) => Ok(Some(document)),
            Started::Closed => Err(LinkError::Closed),
        },
    };
    let instance = Arc::clone(instance);
    match said {
        Ok(None) => Ok(()),
        Ok(Some(document)) => Err((StartFailure::Init, Failure::Init { instance, document })),
        Err(err) => {
            // A link that was closed says nothing of why; the watcher will know.
            if err != LinkError::Closed {
                instance.condemn(Cause::Protocol(err));
            }
            instance.reason().await;
            Err((StartFailure::Died, Failure::Broke { instance }))
        }
    }
}

/// Reads what a bootstrap says until it is ready, or the document with which it failed.
async fn greet(link: &Link) -> Result<Option<Bytes>, LinkError> {
    let mut incoming = Incoming::default();
    let (kind, body) = link.read(&mut incoming).await?;
    if kind != Kind::Hello {
        return Err(LinkError::Unexpected { kind });
    }
    let theirs = body.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
    if theirs != wire::VERSION {
        return Err(LinkError::Version { theirs });
    }
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

/// An instance and the ends that go into its sandbox.
struct Plumbed {
    instance: Arc<Instance>,
    output: OwnedFd,
    link: Option<OwnedFd>,
    session: Option<(OwnedFd, Session)>,
}

/// Makes an instance of an assigned cell. Nothing runs in it yet.
fn plumb(
    shell: &Shell,
    id: InstanceId,
    function: &Arc<Runnable>,
    served: &Served,
    second_start: Option<Duration>,
    held: Held,
) -> std::io::Result<Plumbed> {
    let (pipe, output) = socket::log_pipe()?;
    let stream = platform::stream_name(wall_ms(), &function.version.text(), random_bytes());
    let budget = shell.budget(function.function);
    let journal = Journal::new(function, stream.into(), pipe, budget)?;
    let custom = served.start.kind == Language::Custom;
    let (transport, link, session) = if custom {
        let (handle, session) = session::pair(Arc::clone(function));
        (Transport::Session(handle), None, Some(session))
    } else {
        let (ours, theirs) = socket::link_pair()?;
        (Transport::Link(Link::new(ours)?), Some(theirs), None)
    };
    let cell = held.keep();
    let instance = Instance::new(Parts {
        id,
        function: Arc::clone(function),
        cell: cell.id,
        transport,
        journal,
        second_start,
        runner: cell.runner,
        meter: Meter::new(cell.memory, cell.kills),
        freezer: Freezer::new(cell.freezer),
        last_word: cell.ended,
    });
    // Where nobody serves on it the listener is closed here.
    let session = session.map(|session| (cell.listener, session));
    Ok(Plumbed { instance, output, link, session })
}

/// What a function may use.
fn limits(function: &Runnable) -> Limits {
    Limits {
        memory_mib: function.memory_mib,
        tmp_mib: function.tmp_mib,
        pids: PIDS,
        cpu_weight: weight(function.memory_mib),
    }
}

fn weight(memory_mib: u32) -> u32 {
    let (least, most) = Limits::CPU_WEIGHT;
    let weight = u64::from(memory_mib) * CORE_WEIGHT / CORE_MEMORY;
    u32::try_from(weight).unwrap_or(most).clamp(least, most)
}

/// `python:3.11.2`, `provided:al2023`: what INIT_START calls the runtime.
fn version(runtime: &str, start: &Start) -> String {
    let language = match start.kind {
        Language::Python => "python",
        Language::Node => "nodejs",
        Language::Custom => return runtime.replacen('.', ":", 1),
    };
    match &start.version {
        Some(version) => format!("{language}:{version}"),
        None => runtime.to_owned(),
    }
}

/// AWS's words for a program that cannot be executed.
fn refused(program: &str, errno: u32) -> String {
    let errno = i32::try_from(errno).unwrap_or(i32::MAX);
    let why = match errno {
        libc::ENOENT if program == "/var/task/bootstrap" => {
            return "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
                .to_owned();
        }
        libc::ENOENT => "no such file or directory".to_owned(),
        libc::EACCES => "permission denied".to_owned(),
        libc::ENOEXEC => "exec format error".to_owned(),
        other => std::io::Error::from_raw_os_error(other).to_string(),
    };
    format!("fork/exec {program}: {why}")
}

/// The INIT_REPORT line of a start that came to nothing, or a line for the operator.
fn report(shell: &Shell, function: &Runnable, phase: Phase, took: Duration, failed: &Failed) {
    METRICS.init_duration.observe(took);
    let (instance, status) = match (&failed.1, failed.0) {
        (Failure::Broke { instance }, StartFailure::Overran) => {
            (instance, "Status: timeout".to_owned())
        }
        (Failure::Broke { instance }, _) => {
            let cause = instance.cause().cloned().unwrap_or(Cause::HungUp);
            (instance, cause.fault(None, function.timeout).status())
        }
        (Failure::Init { instance, document }, _) => (instance, fault::init_status(document)),
        (Failure::Entrypoint { instance, detail }, _) => {
            (instance, Fault::Entrypoint(detail.clone()).status())
        }
        (Failure::NoCell { detail }, _) => {
            tracing::warn!(function = %function.name, detail, "an instance could not be started");
            return;
        }
        (Failure::Closed, _) => return,
    };
    let millis = took.as_secs_f64() * 1000.0;
    let phase = match phase {
        Phase::Init => "init",
        Phase::Invoke => "invoke",
    };
    let line = format!("INIT_REPORT Init Duration: {millis:.2} ms\tPhase: {phase}\t{status}\n");
    let now_ms = wall_ms();
    instance.journal.drain_last(shell.now(), now_ms);
    instance.journal.platform(&line, now_ms);
}

// === impl Laps ===

impl Laps {
    /// How long the phase took that ends now.
    fn next(&mut self, now: Duration) -> Duration {
        let took = now.saturating_sub(self.0);
        self.0 = now;
        took
    }
}

// === impl Held ===

impl Held {
    fn id(&self) -> CellId {
        self.cell.as_ref().expect("held until kept").id
    }

    /// The cell has become an instance, which is ended by other means.
    fn keep(mut self) -> Cell {
        self.cell.take().expect("held until kept")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
            let stock = Arc::clone(&self.shell.stock);
            self.shell.runtime.spawn(stock.discard(cell));
        }
    }
}

#[cfg(test)]
mod tests;
