//! A cell in the hands of a start: given back unless an instance is made of it.

use std::sync::Arc;

use model::FunctionId;
use wire::spawner::CellId;

use crate::shell::Shell;
use crate::spawner::Cell;
use crate::stock::{BreedId, FillError, Warm};

/// A cell that is given back unless an instance is made of it.
pub(super) struct Held {
    shell: Arc<Shell>,
    cell: Option<Cell>,
}

// === impl Held ===

impl Held {
    pub(super) fn new(shell: &Arc<Shell>, cell: Cell) -> Self {
        Self { shell: Arc::clone(shell), cell: Some(cell) }
    }

    pub(super) fn id(&self) -> CellId {
        self.cell().id
    }

    pub(super) fn cell(&self) -> &Cell {
        self.cell.as_ref().expect("held until kept")
    }

    /// Forks a template into it, if there is one for the function.
    pub(super) async fn fork(
        &self,
        breed: BreedId,
        function: FunctionId,
    ) -> Option<Result<Warm, FillError>> {
        self.shell.stock.fork(self.cell(), breed, function).await
    }

    /// The cell has become an instance, which is ended by other means.
    pub(super) fn keep(mut self) -> Cell {
        self.cell.take().expect("held until kept")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
            let stock = Arc::clone(&self.shell.stock);
            self.shell.runtime.spawn(async move { stock.discard(cell).await });
        }
    }
}
