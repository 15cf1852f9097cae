//! How an instance starts: by the best means that stand ready, within a limit.
//!
//! ```text
//!   take what there is ──► make it the function's ──► Ready          the rungs: see `ladder`
//!       │                     │            │            │
//!       ▼                     ▼            ▼            ▼
//!  NoRoom, NoCell         Entrypoint     Broke      InitFailed
//! ```
//!
//! One limit stands over all of it: ten seconds for the first start, the function's timeout for the
//! second, and more for one that nobody waits for. Whatever has been taken when it runs out is given
//! back; a start never leaves a cell behind.

mod ladder;
mod program;

use std::sync::Arc;
use std::time::Duration;

use dispatch::{Initialization, InstanceId, Phase, StartFailure};
use images::manifest::{Kind as Language, Start};
use model::Runnable;
use telemetry::METRICS;
use wire::spawner::{Limits, Place, Trees};

use crate::fault::{self, Cause, Fault};
use crate::shell::{Failure, Shell, wall_ms};
use ladder::{Failed, climb, no_room};

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

/// How long an instance that is provisioned may take at least to initialise (an AWS limit: this, or
/// the function's timeout if that is longer).
const PROVISIONED_INIT_LIMIT: Duration = Duration::from_secs(130);

/// Starts one instance and says how it went.
pub(crate) async fn run(
    shell: Arc<Shell>,
    id: InstanceId,
    function: Arc<Runnable>,
    phase: Phase,
    initialization: Initialization,
) {
    let began = shell.now();
    let limit = match (phase, initialization) {
        (Phase::Init, Initialization::OnDemand | Initialization::Ahead) => shell.init_limit,
        (Phase::Init, Initialization::Provisioned) => function.timeout.max(PROVISIONED_INIT_LIMIT),
        (Phase::Invoke, _) => function.timeout,
    };
    let mut made = None;
    let second_start = (phase == Phase::Invoke).then_some(began);
    let attempt = climb(&shell, id, &function, second_start, initialization, &mut made);
    let result = tokio::time::timeout(limit, attempt).await;
    let took = shell.now().saturating_sub(began);
    let failed = match (result, made) {
        (Ok(Ok(cold)), Some(instance)) => {
            METRICS.init_duration.observe(took);
            // Nobody waited for one that was started ahead, or provisioned.
            if initialization == Initialization::OnDemand {
                instance.set_init(took, cold);
            }
            instance.set_initialised();
            // What was printed until now belongs before the first START.
            instance.journal.drain_last(shell.now(), wall_ms());
            return shell.ready(&instance);
        }
        (Ok(Err(failed)), _) => failed,
        (Err(_elapsed), Some(instance)) => {
            instance.condemn(Cause::Overran);
            (StartFailure::Overran, Failure::Broke { instance })
        }
        (Ok(Ok(_)) | Err(_), None) => no_room("take a cell", "none was ready in time"),
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

/// What a function's cell gets to see of it.
pub(crate) fn trees(function: &Runnable) -> Trees {
    Trees::of(function.code.0).with(Place::Layers, function.layers.map(|layers| layers.0))
}

/// What a function may use.
pub(crate) fn limits(function: &Runnable) -> Limits {
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
pub(crate) fn version(runtime: &str, start: &Start) -> String {
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
        (Failure::NoCell { detail } | Failure::NoRoom { detail }, _) => {
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

#[cfg(test)]
mod tests;
