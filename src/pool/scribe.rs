//! Who writes lines to the log store: one task for all instances, apart from what must happen in time.
//!
//! The governor takes an instance's batch and leaves it here; until it is written no other is taken of
//! that instance, so the order is kept, what waits here is at most a batch of each, and an instance
//! that floods has one turn like any other. Within a batch the task lets others have their turn every
//! few hundred lines: nothing that has a deadline ever waits for more than those.

use std::sync::Arc;

use telemetry::METRICS;
use tokio::sync::mpsc;

use crate::instance::Instance;
use crate::logs::{Batch, Piece, SLICE_LINES};
use crate::shell::Shell;

/// What one instance has to say.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) instance: Arc<Instance>,
    pub(crate) batch: Batch,
    /// The most it has used, bytes; for REPORT lines.
    pub(crate) memory: u64,
}

/// Where pages are left. Not bounded by itself: no instance has two.
pub(crate) type Desk = mpsc::UnboundedSender<Page>;

/// Writes pages until there can be no more.
pub(crate) async fn write(shell: Arc<Shell>, mut pages: mpsc::UnboundedReceiver<Page>) {
    let mut lines = 0;
    while let Some(Page { instance, batch, memory }) = pages.recv().await {
        METRICS.log_lines_dropped.add(batch.dropped);
        for piece in batch.pieces() {
            instance.journal.write(&*shell.logs, &piece, memory);
            lines += match piece {
                Piece::Lines { lines, .. } => lines,
                Piece::Text { .. } | Piece::Start { .. } => 1,
                Piece::End { .. } => 2,
            };
            if lines >= SLICE_LINES {
                lines = 0;
                tokio::task::yield_now().await;
            }
        }
        if instance.journal.written() {
            shell.governor.touch(&instance);
        }
    }
}
