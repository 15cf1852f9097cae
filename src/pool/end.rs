//! How an instance ends: asked of the spawner, awaited, and accounted for.
//!
//! The kill is the spawner's (`cgroup.kill`), so a process that ignores signals ends like any other.
//! An instance counts against the spawner's capacity until its cell's last word; one whose last word
//! does not come is reported to the operator and stays counted, because its uid and its groups are
//! not free.

use std::sync::Arc;
use std::time::Duration;

use dispatch::EndReason;

use crate::fault::Cause;
use crate::instance::Instance;
use crate::shell::{Shell, wall_ms, word};

/// How long a cell may take to end before the operator is told: a thousand times what it takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ends one instance.
pub(crate) async fn run(shell: Arc<Shell>, instance: Arc<Instance>, reason: EndReason) {
    tracing::debug!(
        function = %instance.function.name,
        cell = instance.cell.0,
        reason = word(reason),
        "an instance ends"
    );
    // Before its conversation is shut: what its runtime then has to say is of no event, and nobody's.
    instance.journal.seal(shell.now(), wall_ms());
    instance.condemn(Cause::Stopped);
    let Some(mut last_word) = instance.take_last_word() else { return };
    // It may have come already: a cell whose PID 1 ended is taken down without being asked.
    let ended = match last_word.try_recv() {
        Ok(ended) => Some(ended),
        Err(_not_yet) => match shell.spawner.end(instance.cell).await {
            Ok(()) => match tokio::time::timeout(PATIENCE, &mut last_word).await {
                Ok(ended) => ended.ok(),
                Err(_elapsed) => {
                    // Said once: from here on the metrics do.
                    tracing::error!(cell = instance.cell.0, "a sandbox does not end");
                    last_word.await.ok()
                }
            },
            Err(_gone) => None,
        },
    };
    if let Some(ended) = ended {
        tracing::debug!(
            cell = instance.cell.0,
            memory_kills = ended.memory_kills,
            peak_bytes = ended.peak_bytes,
            "an instance has ended"
        );
    }
    instance.journal.drain_last(shell.now(), wall_ms());
    instance.set_gone(ended);
    shell.governor.touch(&instance);
    shell.history.served(instance.function.function, shell.now(), || instance.take_calls());
    shell.ended(instance.id);
    shell.stock.returned();
}
