//! What stands on the shelves, and what the keeper does next.
//!
//! Nothing here waits: every method is called under the stock's lock, with the stock's time.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use images::manifest::Kind as Language;
use telemetry::METRICS;
use telemetry::metrics::Interpreter;
use tokio::sync::oneshot::{self, error::TryRecvError};
use wire::spawner::{Digest, TemplateId};

use super::demand::{Budget, Wanted};
use super::shelf::{Owner, Shelf, Source};
use super::spare::{Health, Spare};
use super::templates::Errand;
use super::{BreedId, Stocking, Taken, TemplateSharing, Waiter};
use crate::phases::Rung;
use crate::spawner::{Cell, SpawnerError};

/// How long after the last start the shelves are refilled: several times what a start takes, far less
/// than a person notices.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a refill can be put off by one start after another: at this pace it costs each of them
/// nothing that can be measured, and shelves that stay empty cost all of them.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long after a failed refill the next is tried, and the longest that becomes by doubling.
const RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// Most cells asked for at once: enough to keep the spawner busy, few enough that an assignment does
/// not stand behind hundreds of them.
const AT_ONCE: u32 = 16;
/// How often spares are looked at that nobody takes. It costs no system call for one that is well.
const LOOK: Duration = Duration::from_secs(1);

/// Everything that stands ready, and who waits for what does not.
#[derive(Debug)]
pub(super) struct Shelves {
    stocking: Stocking,
    cells: HashMap<Digest, Vec<Cell>>,
    spares: Vec<Shelf>,
    /// Those who wait for a cell, the longest first.
    waiting: VecDeque<(Digest, Waiter)>,
    /// Those for whose starts nobody waits; they come after the others.
    patient: VecDeque<(Digest, Waiter)>,
    /// Cells that exist or are being made, with or without something in them.
    living: u32,
    /// Cells being made for those who wait, by image.
    making: HashMap<Digest, u32>,
    /// Cells of spares that broke, to be given back.
    broken: Vec<Cell>,
    /// Whether something is being made ahead of time.
    refilling: bool,
    /// When the last refill began.
    refilled: Duration,
    /// When there was last a start.
    started: Duration,
    /// The first start since the last refill began.
    put_off: Duration,
    /// When and how refills of cells failed.
    failed: Failed,
    budget: Budget,
    /// When spares were last looked at.
    looked: Duration,
}

/// Refills that failed, one after the other.
#[derive(Debug, Default)]
pub(super) struct Failed {
    pub(super) count: u32,
    /// When the next may be tried.
    pub(super) until: Duration,
}

/// What the keeper does next.
pub(super) enum Step {
    Work(Work),
    /// Nothing, until something happens or this time has come.
    Sleep(Option<Duration>),
}

/// Something to be done in the background.
pub(super) enum Work {
    Make {
        image: Digest,
        refill: bool,
    },
    /// A spare, forked from a template if there is one.
    Fill(BreedId, Option<TemplateId>),
    Discard(Cell),
    StartTemplate(BreedId, Owner),
    EndTemplate(TemplateId),
}

/// What is missing.
enum Refill {
    Cell(Digest),
    Spare(BreedId),
}

/// Why nothing is refilled now.
enum Later {
    /// Nothing is missing, or something has to happen first.
    Idle,
    /// It is too early.
    At(Duration),
}

// === impl Shelves ===

impl Shelves {
    pub(super) fn new(
        images: impl IntoIterator<Item = Digest>,
        breeds: impl IntoIterator<Item = (Language, Option<u8>)>,
        stocking: Stocking,
    ) -> Self {
        let shelf = |breed| Shelf::new(breed, stocking.sharing, stocking.estimate);
        Self {
            stocking,
            cells: images.into_iter().map(|image| (image, Vec::new())).collect(),
            spares: breeds.into_iter().map(shelf).collect(),
            waiting: VecDeque::new(),
            patient: VecDeque::new(),
            living: 0,
            making: HashMap::new(),
            broken: Vec::new(),
            refilling: false,
            refilled: Duration::ZERO,
            started: Duration::ZERO,
            put_off: Duration::ZERO,
            failed: Failed::default(),
            budget: Budget::default(),
            looked: Duration::ZERO,
        }
    }

    /// The best there is, or a place among those who wait for a cell. What nobody waits for is no demand
    /// and takes nothing that stands ready, as long as there may be another cell.
    pub(super) fn take(
        &mut self,
        now: Duration,
        image: Digest,
        breed: Option<BreedId>,
        waited_for: bool,
    ) -> Result<Taken, oneshot::Receiver<Result<Cell, SpawnerError>>> {
        if !waited_for && self.living < self.stocking.capacity {
            let (sender, receiver) = oneshot::channel();
            self.patient.push_back((image, sender));
            return Err(receiver);
        }
        self.started = now;
        if self.put_off <= self.refilled {
            self.put_off = now;
        }
        if let Some(breed) = breed {
            self.spares[breed.0].demand.arrived(now);
            self.aim(now);
            if let Some(spare) = self.pop_spare(breed) {
                return Ok(Taken::Spare(spare));
            }
        }
        self.drop_absent();
        if let Some(cell) = self.cells.get_mut(&image).and_then(Vec::pop) {
            return Ok(Taken::Cell(cell, Rung::Exec));
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.push_back((image, sender));
        Err(receiver)
    }

    /// A cell that was taken, or was being made, is gone.
    pub(super) fn returned(&mut self) {
        self.living -= 1;
    }

    /// A cell was made, or was not.
    pub(super) fn made(
        &mut self,
        now: Duration,
        image: Digest,
        refill: bool,
        made: Result<Cell, SpawnerError>,
    ) {
        if refill {
            self.refilling = false;
        } else if let Some(count) = self.making.get_mut(&image) {
            *count -= 1;
        }
        match made {
            Ok(cell) => {
                self.failed = Failed::default();
                self.give(image, cell);
            }
            Err(err) => {
                self.living -= 1;
                if refill {
                    self.failed.once_more(now);
                } else if let Some(waiter) = self.first(image) {
                    let _gone = waiter.send(Err(err));
                }
            }
        }
    }

    /// A spare was made.
    pub(super) fn filled(&mut self, now: Duration, at: BreedId, spare: Spare, took: Duration) {
        self.refilling = false;
        self.spares[at.0].filled(spare, took);
        self.aim(now);
    }

    /// A spare was not made.
    pub(super) fn not_filled(&mut self, now: Duration, at: BreedId) {
        self.refilling = false;
        self.spares[at.0].failed.once_more(now);
    }

    /// Sets what may be spent on spares.
    pub(super) fn spend(&mut self, now: Duration, budget: Budget) {
        self.budget = budget;
        self.aim(now);
    }

    /// Memory that spares hold, bytes.
    pub(super) fn held(&self) -> u64 {
        self.spares.iter().map(Shelf::held).sum()
    }

    pub(super) fn ready_cells(&self) -> usize {
        self.cells.values().map(Vec::len).sum()
    }

    pub(super) fn ready_spares(&self) -> usize {
        self.spares.iter().map(|shelf| shelf.ready.len()).sum()
    }

    /// Sets the gauges.
    pub(super) fn show(&self) {
        METRICS.cells_ready.set(self.ready_cells() as u64);
        for (language, gauge) in
            [(Language::Python, Interpreter::Python), (Language::Node, Interpreter::Node)]
        {
            let shelves = self.spares.iter().filter(|shelf| shelf.language == language);
            let ready: usize = shelves.map(|shelf| shelf.ready.len()).sum();
            METRICS.spares_ready.of(gauge).set(ready as u64);
        }
        METRICS.templates.set(self.spares.iter().map(Shelf::alive).sum::<usize>() as u64);
    }

    /// Nothing stands ready any more, and nobody waits: the spawner is gone.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.patient.clear();
        self.cells.clear();
        self.broken.clear();
        self.spares.iter_mut().for_each(Shelf::clear);
    }

    /// The shelf of a breed.
    pub(super) fn shelf(&mut self, at: BreedId) -> &mut Shelf {
        &mut self.spares[at.0]
    }

    /// Templates are gone.
    pub(super) fn gone(&mut self, now: Duration, templates: &[TemplateId]) {
        for template in templates {
            self.spares.iter_mut().for_each(|shelf| shelf.gone(now, *template));
        }
    }

    /// What to do now. `strays` are places that are taken by nobody here.
    pub(super) fn next(&mut self, now: Duration, strays: u32) -> Step {
        self.drop_absent();
        if now >= self.looked + LOOK {
            self.looked = now;
            self.look();
            self.aim(now);
        }
        if let Some(cell) = self.broken.pop() {
            return Step::Work(Work::Discard(cell));
        }
        let full = self.living + strays >= self.stocking.capacity;
        if let Some(image) = self.uncovered() {
            let making: u32 = self.making.values().sum();
            if making >= AT_ONCE {
                return Step::Sleep(None);
            }
            if !full {
                self.living += 1;
                *self.making.entry(image).or_default() += 1;
                return Step::Work(Work::Make { image, refill: false });
            }
            // What stands ready of another kind is in the way of one that is wanted.
            return match self.give_way() {
                Some(cell) => Step::Work(Work::Discard(cell)),
                None => Step::Sleep(None),
            };
        }
        if let Some(cell) = self.surplus() {
            return Step::Work(Work::Discard(cell));
        }
        if let Some(work) = self.errand(now) {
            return Step::Work(work);
        }
        let later = match self.refill(now, full) {
            Ok(refill) => {
                self.living += 1;
                self.refilling = true;
                self.refilled = now;
                return Step::Work(match refill {
                    Refill::Cell(image) => Work::Make { image, refill: true },
                    Refill::Spare(at) => match self.spares[at.0].source(now) {
                        Source::Fork(template) => Work::Fill(at, Some(template)),
                        Source::Execute | Source::Later => Work::Fill(at, None),
                    },
                });
            }
            Err(Later::At(when)) => Some(when),
            Err(Later::Idle) => None,
        };
        // Spares and templates are looked at now and then, as long as there are any.
        let any = self.ready_spares() + self.spares.iter().map(Shelf::alive).sum::<usize>() > 0;
        let look = any.then_some(self.looked + LOOK);
        Step::Sleep([later, look].into_iter().flatten().min())
    }

    /// What is to be made ahead of time. Cells first: they are soon made, and good for everything.
    fn refill(&self, now: Duration, full: bool) -> Result<Refill, Later> {
        if full || self.refilling {
            return Err(Later::Idle);
        }
        let cell = self.cells.iter().find(|(_, ready)| ready.len() < self.stocking.cells);
        let cell = cell.map(|(image, _)| (Refill::Cell(*image), &self.failed));
        // Of the spares those of which the greatest part is missing.
        let short =
            self.spares.iter().enumerate().filter(|(_, it)| it.is_short() && !it.is_early());
        let able = |it: &Shelf| it.failed.until <= now;
        let spare = short
            .min_by(|(_, a), (_, b)| able(b).cmp(&able(a)).then(a.part().total_cmp(&b.part())));
        let spare = spare.map(|(at, shelf)| (Refill::Spare(BreedId(at)), &shelf.failed));
        let due = (self.started + PAUSE).min(self.put_off + PATIENCE);
        let mut later = Later::Idle;
        for (refill, failed) in [cell, spare].into_iter().flatten() {
            let when = due.max(failed.until);
            if when <= now {
                return Ok(refill);
            }
            later = match later {
                Later::At(other) => Later::At(other.min(when)),
                Later::Idle => Later::At(when),
            };
        }
        Err(later)
    }

    /// What is to be done about templates. They come out of the memory for spares, because spares are
    /// what they are for.
    fn errand(&mut self, now: Duration) -> Option<Work> {
        let room = usize::try_from(self.budget.bytes / self.stocking.estimate.max(1));
        // One that is ended gives memory back; it is not started again from that alone.
        let least = if self.spares.iter().any(|shelf| shelf.alive() > 0) { 1 } else { 2 };
        let room = room.ok().filter(|room| *room >= least).unwrap_or(0);
        let most = match self.stocking.sharing {
            TemplateSharing::Image => room.min(self.stocking.templates),
            TemplateSharing::Function => room,
        };
        let errands = self.spares.iter_mut().enumerate();
        let (at, (owner, errand)) =
            errands.filter_map(|(at, shelf)| Some((at, shelf.errand(now, most)?))).next()?;
        Some(match errand {
            Errand::Start => Work::StartTemplate(BreedId(at), owner),
            Errand::End(template) => Work::EndTemplate(template),
        })
    }

    /// Works out how many spares of each breed there are to be.
    fn aim(&mut self, now: Duration) {
        let floor = self.stocking.spares;
        let wanted: Vec<Wanted> =
            self.spares.iter().map(|shelf| shelf.wanted(now, floor)).collect();
        for (shelf, target) in self.spares.iter_mut().zip(self.budget.share(&wanted)) {
            shelf.target = target;
        }
    }

    /// A cell that stands ready beyond what is to, with whatever is in it.
    fn surplus(&mut self) -> Option<Cell> {
        let target = self.stocking.cells;
        // Made for one who has given up since.
        if let Some(cells) = self.cells.values_mut().find(|cells| cells.len() > target) {
            return cells.pop();
        }
        let shelf = self.spares.iter_mut().find(|shelf| shelf.ready.len() > shelf.target)?;
        shelf.ready.pop().map(|spare| spare.cell)
    }

    /// A cell that stands ready, to make room: the cheapest to make again first.
    fn give_way(&mut self) -> Option<Cell> {
        if let Some(cell) = self.cells.values_mut().find_map(Vec::pop) {
            return Some(cell);
        }
        let shelf = self.spares.iter_mut().max_by_key(|shelf| shelf.ready.len())?;
        shelf.ready.pop().map(|spare| spare.cell)
    }

    /// A spare that is well, as far as has been seen.
    fn pop_spare(&mut self, breed: BreedId) -> Option<Spare> {
        loop {
            let mut spare = self.spares[breed.0].ready.pop()?;
            match spare.health() {
                Health::Good => return Some(spare),
                health => self.lost(spare, health),
            }
        }
    }

    /// Sorts out spares that are not what they were.
    fn look(&mut self) {
        let lost: Vec<_> = self.spares.iter_mut().flat_map(Shelf::sort_out).collect();
        for (spare, health) in lost {
            self.lost(spare, health);
        }
    }

    fn lost(&mut self, spare: Spare, health: Health) {
        METRICS.spares_lost.inc();
        tracing::warn!(cell = spare.cell.id.0, ?health, "a spare is gone that nobody had taken");
        match health {
            Health::Gone => self.living -= 1,
            Health::Good | Health::Broken => self.broken.push(spare.cell),
        }
    }

    /// Forgets ready cells that ended by themselves.
    fn drop_absent(&mut self) {
        let mut gone = 0;
        for cells in self.cells.values_mut() {
            let before = cells.len();
            cells.retain_mut(|cell| matches!(cell.ended.try_recv(), Err(TryRecvError::Empty)));
            gone += before - cells.len();
        }
        self.living -= gone as u32;
    }

    /// An image more of whose cells are waited for than are being made.
    fn uncovered(&mut self) -> Option<Digest> {
        self.waiting.retain(|(_, waiter)| !waiter.is_closed());
        self.patient.retain(|(_, waiter)| !waiter.is_closed());
        let mut wanted: HashMap<Digest, u32> = HashMap::new();
        for (image, _) in self.waiting.iter().chain(&self.patient) {
            let count = wanted.entry(*image).or_default();
            *count += 1;
            if *count > self.making.get(image).copied().unwrap_or(0) {
                return Some(*image);
            }
        }
        None
    }

    /// The one who has waited longest for a cell of an image.
    fn first(&mut self, image: Digest) -> Option<Waiter> {
        let first = |all: &mut VecDeque<(Digest, Waiter)>| {
            let at = all.iter().position(|(wanted, _)| *wanted == image)?;
            all.remove(at).map(|(_, waiter)| waiter)
        };
        first(&mut self.waiting).or_else(|| first(&mut self.patient))
    }

    /// Gives a new cell to the first who waits, or to the shelf.
    fn give(&mut self, image: Digest, mut cell: Cell) {
        while let Some(waiter) = self.first(image) {
            match waiter.send(Ok(cell)) {
                Ok(()) => return,
                Err(Ok(back)) => cell = back,
                Err(Err(_)) => return,
            }
        }
        self.cells.entry(image).or_default().push(cell);
    }
}

// === impl Failed ===

impl Failed {
    pub(super) fn once_more(&mut self, now: Duration) {
        let pause = RETRY.saturating_mul(1 << self.count.min(16)).min(LONGEST_RETRY);
        self.count += 1;
        self.until = now + pause;
    }
}

#[cfg(test)]
mod tests;
