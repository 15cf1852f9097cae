//! What stands ready: empty cells, and spares, which are cells with a warm interpreter in them.
//!
//! ```text
//!             a start asks
//!                  │
//!     ┌────────────▼───────────┐ empty  ┌───────────────────────┐ empty  ┌──────────────────────┐
//!     │ spares of its runtime  ├───────►│ empty cells of its    ├───────►│ one is made for it,  │
//!     │ (unless it needs exec) │        │ image                 │        │ as soon as there is  │
//!     └────────────▲───────────┘        └───────────▲───────────┘        │ room                 │
//!                  │ forked or executed             │ made               └───────────┬──────────┘
//!                  │ in a new cell                  │                                │
//!                  └────────────── the keeper ──────┘          into either a template is forked,
//!                                    │ starts, renews, ends    if there is one; else the program
//!                                    └──► templates            is executed
//! ```
//!
//! Everything is made ahead of time and in the background, by one *keeper*: one thing at a time and only
//! after a pause, because the spawner does one thing after another and a start must not queue behind a
//! refill. Where the shelves are empty, cells are made for those who wait, as many as wait, within what
//! the spawner can keep; what stands ready of another kind gives way to them. How many spares are kept
//! is decided in [`demand`].
//!
//! A cell that could not be made is an error for one who waits; nobody tries again on their behalf. A
//! failed refill is tried again a while later, each time a longer while.

mod demand;
mod shelf;
mod shelves;
mod spare;
mod templates;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use images::{Catalogue, manifest};
use model::FunctionId;
use telemetry::METRICS;
use telemetry::metrics::Refill;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use wire::spawner::{CellId, Digest, TemplateId};

use crate::phases::Rung;
use crate::spawner::{Cell, Ended, Spawner, SpawnerError};
use demand::{Budget, Measured};
use shelf::Owner;
pub use shelf::TemplateSharing;
use shelves::{Shelves, Step, Work};
pub(crate) use spare::{FillError, Spare, Warm, hush, meet};

/// Where cells and spares come from.
#[derive(Debug)]
pub(crate) struct Stock {
    spawner: Arc<Spawner>,
    stocking: Stocking,
    breeds: Vec<Breed>,
    /// By runtime identifier, the one that suits everybody first; several may have the same.
    by_runtime: BTreeMap<String, Vec<BreedId>>,
    shelves: Mutex<Shelves>,
    /// Wakes the keeper.
    wanted: Notify,
    /// The stock's time begins here.
    epoch: Instant,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stocking {
    /// Empty cells of each image.
    pub(crate) cells: usize,
    /// Spares of each runtime that stand ready even if nobody wants any.
    pub(crate) spares: usize,
    /// Most memory that spares may hold, bytes; `None` for a part of what is free.
    pub(crate) spare_memory: Option<u64>,
    /// Memory of the machine that stays free, bytes.
    pub(crate) reserve: u64,
    /// Most memory that sandboxes may use together, bytes.
    pub(crate) ceiling: Option<u64>,
    /// What a spare is taken to need until one was seen, bytes.
    pub(crate) estimate: u64,
    /// Cells that may live at once.
    pub(crate) capacity: u32,
    /// Who may be forked from the same template.
    pub(crate) sharing: TemplateSharing,
    /// Most templates of one kind that all share: each forks one after the other, so there may be one
    /// for each processor.
    pub(crate) templates: usize,
}

/// One interpreter of one image, which serves any function of its runtimes, and some better than others
/// by what its template has imported.
#[derive(Debug, PartialEq, Eq)]
struct Breed {
    image: Digest,
    language: manifest::Kind,
    how: manifest::Spare,
    /// Which of the image's templates it can be forked from.
    template: Option<u8>,
}

/// Names a breed: its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BreedId(usize);

/// What a start is given.
#[derive(Debug)]
pub(crate) enum Taken {
    /// A warm interpreter that is nobody's.
    Spare(Spare),
    /// An empty cell, and where it came from.
    Cell(Cell, Rung),
}

type Waiter = oneshot::Sender<Result<Cell, SpawnerError>>;

// === impl Stock ===

impl Stock {
    /// Keeps cells and spares of what `images` serve; the keeper ends when the spawner does. Spares are
    /// made once memory was measured for the first time.
    pub(crate) fn open(spawner: Arc<Spawner>, images: &Catalogue, stocking: Stocking) -> Arc<Self> {
        let mut breeds: Vec<Breed> = Vec::new();
        let mut by_runtime = BTreeMap::new();
        let mut trees = BTreeSet::new();
        for runtime in images.identifiers() {
            let Some(served) = images.resolve(runtime) else { continue };
            trees.insert(served.image.0);
            let Some(how) = &served.start.spare else { continue };
            let (image, language) = (served.image.0, served.start.kind);
            let heavy = served.start.heavy.map(Some);
            let of_runtime = std::iter::once(served.start.template).chain(heavy).map(|template| {
                let breed = Breed { image, language, how: how.clone(), template };
                let at = breeds.iter().position(|other| *other == breed).unwrap_or_else(|| {
                    breeds.push(breed);
                    breeds.len() - 1
                });
                BreedId(at)
            });
            by_runtime.insert(runtime.to_owned(), of_runtime.collect());
        }
        let kinds = breeds.iter().map(|breed| (breed.language, breed.template));
        let stock = Arc::new(Self {
            shelves: Mutex::new(Shelves::new(trees, kinds, stocking)),
            spawner,
            stocking,
            breeds,
            by_runtime,
            wanted: Notify::new(),
            epoch: Instant::now(),
        });
        tokio::spawn(keep(Arc::clone(&stock)));
        stock
    }

    /// What serves as a spare for functions of a runtime that are best served by `template`.
    pub(crate) fn breed(&self, runtime: &str, template: Option<u8>) -> Option<BreedId> {
        let breeds = self.by_runtime.get(runtime)?;
        let suits = |id: &&BreedId| self.breeds[id.0].template == template;
        breeds.iter().find(suits).or(breeds.first()).copied()
    }

    /// A spare of `breed` if one stands ready; else an empty cell of `image`, for which it waits. Where
    /// nobody waits for what is started (`waited_for`), it is a cell of its own, and after those of all
    /// others.
    ///
    /// # Errors
    /// If no cell can be made, or the spawner is gone.
    pub(crate) async fn take(
        &self,
        image: Digest,
        breed: Option<BreedId>,
        waited_for: bool,
    ) -> Result<Taken, SpawnerError> {
        let taken = self.shelves().take(self.now(), image, breed, waited_for);
        self.wanted.notify_one();
        let receiver = match taken {
            Ok(taken) => return Ok(taken),
            Err(receiver) => receiver,
        };
        if self.spawner.is_closed() {
            return Err(SpawnerError::Closed);
        }
        let cell = receiver.await.unwrap_or(Err(SpawnerError::Closed))?;
        Ok(Taken::Cell(cell, Rung::Make))
    }

    /// A cell that was taken is gone.
    pub(crate) fn returned(&self) {
        self.shelves().returned();
        self.wanted.notify_one();
    }

    /// Memory of the machine that stays free, bytes.
    pub(crate) fn reserve(&self) -> u64 {
        self.stocking.reserve
    }

    /// How many empty cells stand ready.
    pub(crate) fn ready(&self) -> usize {
        self.shelves().ready_cells()
    }

    /// How many spares stand ready.
    pub(crate) fn ready_spares(&self) -> usize {
        self.shelves().ready_spares()
    }

    /// Memory that spares hold and give up when it is wanted, bytes.
    pub(crate) fn held(&self) -> u64 {
        self.shelves().held()
    }

    /// Memory was measured: what the machine could still give and what instances use, bytes.
    pub(crate) fn observe(&self, available: u64, used: u64) {
        let Stocking { reserve, ceiling, spare_memory, capacity, .. } = self.stocking;
        {
            let mut shelves = self.shelves();
            let measured = Measured { available, reserve, used, ceiling, held: shelves.held() };
            // Half of the cells there can be are left to those who are called.
            let places = capacity as usize / 2;
            shelves.spend(self.now(), Budget::of(&measured, spare_memory, places));
        }
        self.wanted.notify_one();
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn next(&self) -> Step {
        let gone = self.spawner.gone_templates();
        let mut shelves = self.shelves();
        shelves.gone(self.now(), &gone);
        let step = shelves.next(self.now(), self.spawner.strays());
        shelves.show();
        step
    }

    /// Makes a cell, for one who waits or for the shelf.
    async fn make(self: Arc<Self>, image: Digest, refill: bool) {
        let made = self.spawner.make(image).await;
        if let (Err(err), true) = (&made, refill) {
            refill_failed(Refill::Cell, err, err == &SpawnerError::Closed);
        }
        self.shelves().made(self.now(), image, refill, made);
        self.wanted.notify_one();
    }

    /// Makes a spare for its shelf.
    async fn fill(self: Arc<Self>, at: BreedId, template: Option<TemplateId>) {
        let began = self.now();
        let filled = self.spare(at, template).await;
        let now = self.now();
        match filled {
            Ok(spare) => self.shelves().filled(now, at, spare, now.saturating_sub(began)),
            Err((cell, err)) => {
                // That the spawner is gone is said once, by whoever reads its socket.
                refill_failed(Refill::Spare, &err, self.spawner.is_closed());
                self.shelves().not_filled(now, at);
                match cell {
                    Some(cell) => self.discard(cell).await,
                    None => self.returned(),
                }
            }
        }
        self.wanted.notify_one();
    }

    async fn spare(
        &self,
        at: BreedId,
        template: Option<TemplateId>,
    ) -> Result<Spare, (Option<Cell>, FillError)> {
        let lease = template.map(|template| Lease { stock: self, at, template, well: false });
        let breed = &self.breeds[at.0];
        let cell = match self.spawner.make(breed.image).await {
            Ok(cell) => cell,
            Err(source) => {
                // The template had no part in it.
                lease.into_iter().for_each(Lease::succeed);
                return Err((None, FillError::Cell { source }));
            }
        };
        let warm = match lease {
            Some(lease) => lease.fork(&cell, Hurry::No).await,
            None => spare::execute(&cell, &breed.how).await,
        };
        match warm {
            Ok(warm) => Ok(Spare::new(cell, warm)),
            Err(err) => Err((Some(cell), err)),
        }
    }

    /// Forks a template into a cell for a function, which is assigned at once; `None` if there is no
    /// template for it.
    ///
    /// # Errors
    /// If the cell has nothing warm in it afterwards; it is of no use for anything else then.
    pub(crate) async fn fork(
        &self,
        cell: &Cell,
        at: BreedId,
        function: FunctionId,
    ) -> Option<Result<Warm, FillError>> {
        let template = self.shelves().shelf(at).template(self.now(), function);
        let Some(template) = template else {
            // It may have been the first to ask for one.
            self.wanted.notify_one();
            return None;
        };
        let lease = Lease { stock: self, at, template, well: false };
        Some(lease.fork(cell, Hurry::Yes).await)
    }

    /// Starts a template.
    async fn start_template(self: Arc<Self>, at: BreedId, owner: Owner) {
        let Breed { image, template: Some(index), .. } = self.breeds[at.0] else { return };
        let started = self.spawner.template(image, index).await;
        if let Err(err) = &started {
            refill_failed(Refill::Template, err, self.spawner.is_closed());
        }
        self.shelves().shelf(at).started(self.now(), owner, started.ok());
        self.wanted.notify_one();
    }

    /// Gives back a cell that is not to become an instance.
    pub(crate) async fn discard(&self, cell: Cell) {
        let Cell { id, ended, .. } = cell;
        self.give_back(id, ended).await;
    }

    /// The same, for a cell of which only this is left.
    pub(crate) async fn give_back(&self, cell: CellId, ended: oneshot::Receiver<Ended>) {
        // A spawner that is gone has ended the cell already; either way it is gone afterwards.
        if self.spawner.end(cell).await.is_ok() {
            let _last_word = ended.await;
        }
        self.returned();
    }
}

/// Whether somebody waits for a fork.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hurry {
    /// It is the function's before it has said that it is warm.
    Yes,
    No,
}

/// A template that is being forked.
struct Lease<'a> {
    stock: &'a Stock,
    at: BreedId,
    template: TemplateId,
    well: bool,
}

// === impl Lease ===

impl Lease<'_> {
    async fn fork(mut self, cell: &Cell, hurry: Hurry) -> Result<Warm, FillError> {
        let (stock, at, template) = (self.stock, self.at, self.template);
        let hangs = || stock.shelves().shelf(at).hangs(stock.now(), template);
        let mut warm = spare::fork(&stock.spawner, cell, template, hangs).await;
        if hurry == Hurry::No
            && let Ok(forked) = warm
        {
            warm = spare::settle(forked).await;
        }
        self.well = warm.is_ok();
        warm
    }

    fn succeed(mut self) {
        self.well = true;
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let now = self.stock.now();
        self.stock.shelves().shelf(self.at).forked(now, self.template, self.well);
        if !self.well {
            self.stock.wanted.notify_one();
        }
    }
}

fn refill_failed(what: Refill, err: &dyn std::error::Error, expected: bool) {
    if !expected {
        METRICS.refill_failures.of(what).inc();
        tracing::warn!(%err, ?what, "nothing could be made ahead of time");
    }
}

/// Serves the shelves until the spawner is gone.
async fn keep(stock: Arc<Stock>) {
    loop {
        let until = match stock.next() {
            Step::Work(Work::Make { image, refill }) => {
                tokio::spawn(Arc::clone(&stock).make(image, refill));
                continue;
            }
            Step::Work(Work::Fill(breed, template)) => {
                tokio::spawn(Arc::clone(&stock).fill(breed, template));
                continue;
            }
            Step::Work(Work::StartTemplate(breed, owner)) => {
                tokio::spawn(Arc::clone(&stock).start_template(breed, owner));
                continue;
            }
            Step::Work(Work::EndTemplate(template)) => {
                let stock = Arc::clone(&stock);
                // If the spawner is gone, so is the template.
                tokio::spawn(async move { stock.spawner.end_template(template).await });
                continue;
            }
            Step::Work(Work::Discard(cell)) => {
                let stock = Arc::clone(&stock);
                tokio::spawn(async move { stock.discard(cell).await });
                continue;
            }
            Step::Sleep(until) => until,
        };
        tokio::select! {
            () = stock.wanted.notified() => {}
            () = stock.spawner.room() => {}
            () = sleep_until(until.map(|until| stock.epoch + until)) => {}
            () = stock.spawner.closed() => break,
        }
    }
    let mut shelves = stock.shelves();
    shelves.clear();
    shelves.show();
}

async fn sleep_until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
