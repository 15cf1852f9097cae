//! One task per instance that listens to what nobody asked for: output, and the process's end.
//!
//! It sleeps unless there is some. An instance that prints without end is slowed down rather than
//! ended: what is above its budget is read and dropped at a pace that leaves the machine to others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use wire::runner::Report;

use crate::fault::Cause;
use crate::instance::Instance;
use crate::logs::Drained;
use crate::shell::{Shell, wall_ms};

/// How long a function that prints too much has to wait for a reader. With 64 KiB a read that makes
/// 6 MiB a second, at a cost of some thousandths of a core.
const PACE: Duration = Duration::from_millis(10);
/// How long after a line or two there is another look: a program that writes every line by itself
/// would otherwise wake us for each. Nobody waits for it, a pipe holds more than this brings.
const PAUSE: Duration = Duration::from_millis(2);

/// How long after the end of PID 1 the status of a forked process may be on its way: half of what the
/// reason of a broken conversation is waited for.
const LAST_STATUS: Duration = Duration::from_millis(250);

/// Watches an instance until it is condemned.
pub(crate) async fn run(shell: Arc<Shell>, instance: Arc<Instance>) {
    tokio::select! {
        cause = process(&instance) => { instance.condemn(cause); }
        never = output(&shell, &instance) => match never {},
        _ = instance.condemned() => {}
    }
    instance.journal.drain_last(shell.now(), wall_ms());
    shell.governor.touch(&instance);
    shell.died(&instance);
}

/// Waits for the function's process to end: PID 1 tells of one that it has executed, the spawner of
/// one that was forked.
async fn process(instance: &Instance) -> Cause {
    let mut exited = instance.take_exited();
    loop {
        let report = tokio::select! {
            report = instance.report() => report,
            status = forked(&mut exited) => return Cause::Exited(status),
        };
        match report {
            Ok(Some(Report::Exited { status })) => return Cause::Exited(status),
            // Said once more than agreed; it changes nothing.
            Ok(Some(Report::Executed { .. } | Report::Refused { .. })) => {}
            // The spawner tells of a forked process first and then ends the rest, on another socket.
            Ok(None) => {
                let Some(status) = exited else { return Cause::HungUp };
                // If none was told when the cell is gone, there was none.
                return match tokio::time::timeout(LAST_STATUS, status).await {
                    Ok(Ok(status)) => Cause::Exited(status),
                    _ => Cause::HungUp,
                };
            }
            Err(err) => {
                tracing::warn!(cell = instance.cell.0, %err, "a runner's socket failed");
                return Cause::HungUp;
            }
        }
    }
}

/// Completes with the status of a forked process.
async fn forked(exited: &mut Option<oneshot::Receiver<u32>>) -> u32 {
    let told = match exited {
        Some(exited) => exited.await.ok(),
        None => None,
    };
    // What is told is told once; if the cell went first, nothing is.
    *exited = None;
    match told {
        Some(status) => status,
        None => std::future::pending().await,
    }
}

/// Drains output for as long as there can be any.
async fn output(shell: &Shell, instance: &Arc<Instance>) -> std::convert::Infallible {
    while instance.journal.readable().await.is_ok() {
        match instance.journal.drain_ready(shell.now(), wall_ms()) {
            Drained::Trickle => {
                shell.governor.touch(instance);
                tokio::time::sleep(PAUSE).await;
            }
            Drained::All | Drained::Some => {
                shell.governor.touch(instance);
                // Others are to have their turn before the next chunk.
                tokio::task::yield_now().await;
            }
            Drained::Flooded => {
                shell.governor.touch(instance);
                tokio::time::sleep(PACE).await;
            }
            // The function closed its output. It may well go on without.
            Drained::Closed => break,
        }
    }
    std::future::pending().await
}
