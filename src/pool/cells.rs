//! Cells made ahead of time, and cells made because somebody waits.
//!
//! Making one takes a millisecond or more with a tail of many, so a number of empty ones stands ready
//! per image and is refilled in the background: one at a time and only after a pause, because the
//! spawner does one thing after another and a start must not queue behind a refill. Where the shelf is
//! empty, cells are made for those who wait, as many as wait, within what the spawner can keep.
//!
//! A cell that could not be made is an error for one who waits; nobody tries again on their behalf. A
//! failed refill is tried again a while later.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use telemetry::METRICS;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use wire::spawner::Digest;

use crate::phases::Rung;
use crate::spawner::{Cell, Spawner, SpawnerError};

/// How long after the last request for a cell the shelf is refilled: several times what a start
/// takes, far less than a person notices.
const PAUSE: Duration = Duration::from_millis(5);
/// How long after a failed refill the next is tried.
const RETRY: Duration = Duration::from_secs(2);
/// Most cells asked for at once: enough to keep the spawner busy, few enough that an assignment does
/// not stand behind hundreds of them.
const AT_ONCE: u32 = 16;

/// Where cells come from.
#[derive(Debug)]
pub(crate) struct Stock {
    spawner: Arc<Spawner>,
    /// Ready cells to keep of each image.
    target: usize,
    /// Cells that may live at once.
    capacity: u32,
    shelves: Mutex<Shelves>,
    /// Wakes the keeper.
    wanted: Notify,
}

type Waiter = oneshot::Sender<Result<Cell, SpawnerError>>;

#[derive(Debug)]
struct Shelves {
    ready: HashMap<Digest, Vec<Cell>>,
    /// Those who wait, the longest first.
    waiting: VecDeque<(Digest, Waiter)>,
    /// Cells that exist or are being made.
    living: u32,
    /// Cells being made for those who wait, by image.
    making: HashMap<Digest, u32>,
    /// Whether a cell is being made for the shelf.
    refilling: bool,
    /// When the shelf may be refilled.
    refill_from: Instant,
}

/// What the keeper does next.
enum Step {
    Make { image: Digest, refill: bool },
    Discard(Cell),
    Sleep(Option<Instant>),
}

// === impl Stock ===

impl Stock {
    /// Keeps `target` ready cells of each image; the keeper ends when the spawner does.
    pub(crate) fn open(
        spawner: Arc<Spawner>,
        images: impl IntoIterator<Item = Digest>,
        target: usize,
        capacity: u32,
    ) -> Arc<Self> {
        let stock = Arc::new(Self {
            spawner,
            target,
            capacity,
            shelves: Mutex::new(Shelves {
                ready: images.into_iter().map(|image| (image, Vec::new())).collect(),
                waiting: VecDeque::new(),
                living: 0,
                making: HashMap::new(),
                refilling: false,
                refill_from: Instant::now(),
            }),
            wanted: Notify::new(),
        });
        tokio::spawn(keep(Arc::clone(&stock)));
        stock
    }

    /// An empty cell of an image; waits until there is one.
    ///
    /// # Errors
    /// If it cannot be made, or the spawner is gone.
    pub(crate) async fn take(&self, image: Digest) -> Result<(Cell, Rung), SpawnerError> {
        let receiver = {
            let mut shelves = self.shelves();
            shelves.refill_from = Instant::now() + PAUSE;
            if let Some(cell) = shelves.pop(image) {
                drop(shelves);
                self.wanted.notify_one();
                return Ok((cell, Rung::Exec));
            }
            let (sender, receiver) = oneshot::channel();
            shelves.waiting.push_back((image, sender));
            receiver
        };
        self.wanted.notify_one();
        if self.spawner.is_closed() {
            return Err(SpawnerError::Closed);
        }
        let cell = receiver.await.unwrap_or(Err(SpawnerError::Closed))?;
        Ok((cell, Rung::Make))
    }

    /// A cell that was taken is gone.
    pub(crate) fn returned(&self) {
        self.shelves().living -= 1;
        self.wanted.notify_one();
    }

    /// How many cells stand ready.
    pub(crate) fn ready(&self) -> usize {
        self.shelves().ready.values().map(Vec::len).sum()
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Step {
        let mut shelves = self.shelves();
        shelves.drop_absent();
        METRICS.cells_ready.set(shelves.ready.values().map(Vec::len).sum::<usize>() as u64);
        let full = shelves.living + self.spawner.strays() >= self.capacity;
        if let Some(image) = shelves.uncovered() {
            let making: u32 = shelves.making.values().sum();
            if making >= AT_ONCE {
                return Step::Sleep(None);
            }
            if !full {
                shelves.living += 1;
                *shelves.making.entry(image).or_default() += 1;
                return Step::Make { image, refill: false };
            }
            // A ready cell of another image stands in the way of one that is wanted.
            let other = shelves.ready.values_mut().find_map(Vec::pop);
            return other.map_or(Step::Sleep(None), Step::Discard);
        }
        let target = self.target;
        // Made for one who has given up since.
        if let Some(cells) = shelves.ready.values_mut().find(|cells| cells.len() > target) {
            return cells.pop().map_or(Step::Sleep(None), Step::Discard);
        }
        let short = shelves.ready.iter().find(|(_, cells)| cells.len() < target);
        let Some(image) = short.map(|(image, _)| *image) else { return Step::Sleep(None) };
        if full || shelves.refilling {
            return Step::Sleep(None);
        }
        if shelves.refill_from > Instant::now() {
            return Step::Sleep(Some(shelves.refill_from));
        }
        shelves.living += 1;
        shelves.refilling = true;
        Step::Make { image, refill: true }
    }

    async fn make(self: Arc<Self>, image: Digest, refill: bool) {
        let made = self.spawner.make(image).await;
        {
            let mut shelves = self.shelves();
            if refill {
                shelves.refilling = false;
            } else if let Some(count) = shelves.making.get_mut(&image) {
                *count -= 1;
            }
            match made {
                Ok(cell) => shelves.give(image, cell),
                Err(err) => {
                    shelves.living -= 1;
                    if refill {
                        // That the spawner is gone is said once, by whoever reads its socket.
                        if err != SpawnerError::Closed {
                            tracing::warn!(%err, "no cell could be made ahead of time");
                        }
                        shelves.refill_from = Instant::now() + RETRY;
                    } else if let Some(waiter) = shelves.first(image) {
                        let _gone = waiter.send(Err(err));
                    }
                }
            }
        }
        self.wanted.notify_one();
    }

    /// Gives back a cell nothing has run in.
    pub(crate) async fn discard(self: Arc<Self>, cell: Cell) {
        // A spawner that is gone has ended the cell already; either way it is gone afterwards.
        if self.spawner.end(cell.id).await.is_ok() {
            let _last_word = cell.ended.await;
        }
        self.returned();
    }
}

/// Serves the shelves until the spawner is gone.
async fn keep(stock: Arc<Stock>) {
    loop {
        let until = match stock.next() {
            Step::Make { image, refill } => {
                tokio::spawn(Arc::clone(&stock).make(image, refill));
                continue;
            }
            Step::Discard(cell) => {
                tokio::spawn(Arc::clone(&stock).discard(cell));
                continue;
            }
            Step::Sleep(until) => until,
        };
        tokio::select! {
            () = stock.wanted.notified() => {}
            () = stock.spawner.room() => {}
            () = sleep_until(until) => {}
            () = stock.spawner.closed() => break,
        }
    }
    let mut shelves = stock.shelves();
    shelves.waiting.clear();
    shelves.ready.clear();
    METRICS.cells_ready.set(0);
}

async fn sleep_until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

// === impl Shelves ===

impl Shelves {
    fn pop(&mut self, image: Digest) -> Option<Cell> {
        self.drop_absent();
        self.ready.get_mut(&image)?.pop()
    }

    /// Forgets ready cells that ended by themselves.
    fn drop_absent(&mut self) {
        let mut gone = 0;
        for cells in self.ready.values_mut() {
            let before = cells.len();
            cells.retain_mut(|cell| {
                matches!(cell.ended.try_recv(), Err(oneshot::error::TryRecvError::Empty))
            });
            gone += before - cells.len();
        }
        self.living -= gone as u32;
    }

    /// An image more of whose cells are waited for than are being made.
    fn uncovered(&mut self) -> Option<Digest> {
        self.waiting.retain(|(_, waiter)| !waiter.is_closed());
        let mut wanted: HashMap<Digest, u32> = HashMap::new();
        for (image, _) in &self.waiting {
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
        let at = self.waiting.iter().position(|(wanted, _)| *wanted == image)?;
        self.waiting.remove(at).map(|(_, waiter)| waiter)
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
        self.ready.entry(image).or_default().push(cell);
    }
}

#[cfg(test)]
mod tests;
