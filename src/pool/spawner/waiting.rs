//! Who waits for which reply of the spawner's.

use std::collections::HashMap;
use std::time::Instant;

use tokio::sync::oneshot;
use wire::spawner::{CellId, TemplateId};

use super::{Cell, Ended, SpawnerError};

/// Who waits for which reply.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) next_ticket: u64,
    pub(super) making: HashMap<u64, oneshot::Sender<Result<Cell, SpawnerError>>>,
    pub(super) assigning: HashMap<CellId, oneshot::Sender<Result<(), SpawnerError>>>,
    pub(super) ending: HashMap<CellId, oneshot::Sender<Ended>>,
    pub(super) templating: HashMap<u64, oneshot::Sender<Result<TemplateId, SpawnerError>>>,
    pub(super) forking: HashMap<CellId, oneshot::Sender<Result<(), SpawnerError>>>,
    pub(super) exiting: HashMap<CellId, oneshot::Sender<u32>>,
    /// Templates that are gone, until somebody asks.
    pub(super) gone: Vec<TemplateId>,
    /// Since when the spawner owes an answer and has said nothing at all.
    pub(super) silent_since: Option<Instant>,
    /// Cells that do not end, and whether they are nobody's: from the spawner's word until `Ended`.
    pub(super) quarantined: HashMap<CellId, bool>,
    pub(super) closed: bool,
}

// === impl Waiting ===

impl Waiting {
    /// The spawner is being asked something.
    pub(super) fn ask(&mut self) {
        self.silent_since.get_or_insert_with(Instant::now);
    }

    /// It has said something; what it still owes counts from now.
    pub(super) fn heard(&mut self) {
        let asked = self.making.len() + self.assigning.len() + self.templating.len();
        let owes = asked + self.forking.len() > 0;
        self.silent_since = owes.then(Instant::now);
    }
}
