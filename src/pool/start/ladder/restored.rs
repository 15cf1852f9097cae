//! The rung of versions that were initialised when they were published: their instances are restored.
//!
//! ```text
//!   snapshot   assign code and limits ──► restored ──► Assign on its link ──► Ready | InitFailed
//!                                            │ it cannot be
//!                                            ▼
//!                                     the other rungs: it initialises
//! ```
//!
//! What its function registered for the moment runs between Assign and Ready.

use std::sync::Arc;
use std::time::Duration;

use dispatch::Initialization;
use telemetry::platform;
use wire::link::Assign;

use super::{Attempt, Held, Missed, lost};
use crate::env;
use crate::shell::wall_ms;
use crate::snapshots::{self, RestoreError, Snapshot};
use crate::spawner::SpawnerError;

/// How long one may take to say hello, before it is taken for one that cannot be restored.
const PATIENCE: Duration = Duration::from_secs(3);

impl Attempt<'_> {
    /// The snapshot that the function's instances are restored from, if it has one.
    pub(super) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        if self.initialization == Initialization::Provisioned {
            return None;
        }
        let generation = self.function.generation;
        let snapshot = self.shell.snapshots.get(generation);
        if snapshot.is_none() {
            snapshots::retake(self.shell, self.function, generation);
        }
        snapshot.filter(|_| self.served.start.snapshot.is_some())
    }

    /// Restores an instance in an empty cell.
    pub(super) async fn by_snapshot(
        &mut self,
        held: Held,
        snapshot: Option<Arc<Snapshot>>,
    ) -> Result<(), Missed> {
        let how = self.served.start.snapshot.as_ref();
        let (Some(snapshot), Some(how)) = (snapshot, how) else {
            return Err(lost("there is no snapshot"));
        };
        let (shell, function) = (Arc::clone(self.shell), Arc::clone(self.function));
        let restoring = snapshots::restore(&shell, &function, &how.restore, held.cell(), &snapshot);
        let failed = |why: String| {
            shell.snapshots.failed(function.generation, &snapshot);
            Missed::Lost { why }
        };
        let warm = match tokio::time::timeout(PATIENCE, restoring).await {
            Ok(Ok(warm)) => warm,
            Ok(Err(RestoreError::Assign { source })) => {
                return Err(match source {
                    SpawnerError::Closed | SpawnerError::NoRoom { .. } => {
                        Missed::Failed(super::not_given("assign code to a cell", &source))
                    }
                    source => lost(source),
                });
            }
            Ok(Err(err)) => return Err(failed(err.to_string())),
            Err(_elapsed) => return Err(failed("it says nothing".to_owned())),
        };
        snapshot.succeeded();
        self.lap(|phases| &mut phases.process);
        self.restored = true;
        let stream = self.stream();
        let env = env::of_snapshot(&shell.home, &function, self.served.start.kind, &stream);
        let env: Vec<&[u8]> = env.iter().map(Vec::as_slice).collect();
        let frame = Assign { env }.encode();
        let done = self.hand_over(held, warm, stream, &frame).await;
        if let Err(Missed::Lost { .. }) = &done {
            // The next rung initialises.
            self.restored = false;
        }
        let phases = &self.phases;
        let took = phases.acquire + phases.process + phases.assign + phases.init;
        done.map(|instance| instance.journal.platform(&platform::restore_report(took), wall_ms()))
    }
}
