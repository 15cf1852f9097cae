//! Provisioned concurrency: how many initialised instances a generation is to have, whatever comes.
//!
//! A *floor* is set per generation. What is missing below it is started without any event asking for
//! it, and what stands on it neither expires nor is evicted. Its instances serve first; events beyond
//! them are served as if there were no floor.
//!
//! ```text
//!   set ──► wanted ──► missing ones are started ──► as many up as wanted: met
//!              ▲                 │                         │
//!              │                 ▼ came to nothing         │ one broke, or died
//!              ├───── pause: 1 s, 2 s, … 1 min ◄───────────┤ while idle
//!              └───────────────────────────────────────────┘ otherwise
//!
//!   another floor of the function takes its place: it stands until the other is met, or cannot be
//! ```
//!
//! Nobody waits for these starts, so they are made a few at a time, one function's after another's, and
//! at the rate at which a function may grow: who calls finds a handful before him, and a floor that is
//! taken back has no more under way than that. When one is up, or came to nothing, the next is made.
//!
//! This file only counts; which instance is one of them is the engine's to know.

use std::time::Duration;

use model::{FunctionId, Generation};

use crate::action::StartFailure;
use crate::hash::IdMap;
use crate::time::Time;

/// How many instances of a generation are to be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// Of what.
    pub generation: Generation,
    /// How many; none is no floor.
    pub wanted: u32,
    /// How many events one instance serves at once.
    pub slots: u32,
}

/// How far a floor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provision {
    /// Instances that are to be ready.
    pub wanted: u32,
    /// Those that are, or serve.
    pub up: u32,
    /// Why the last attempt came to nothing, unless all are up.
    pub shortfall: Option<Shortfall>,
}

/// Why there are fewer than wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortfall {
    /// The function does not start, or ends by itself.
    Function,
    /// There was no sandbox to start it in.
    Sandbox,
    /// There is no memory for it, or no place.
    Room,
}

/// A start that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) generation: Generation,
    pub(crate) function: FunctionId,
    /// Events that one instance serves at once.
    pub(crate) slots: u32,
}

/// All floors.
#[derive(Debug, Default)]
pub(crate) struct Floors(IdMap<Generation, Standing>);

/// One floor and what stands on it.
#[derive(Debug)]
struct Standing {
    function: FunctionId,
    wanted: u32,
    slots: u32,
    /// Another floor of the function takes its place.
    leaving: bool,
    /// Instances of it that initialise.
    starting: u32,
    /// Those that are idle or serve.
    up: u32,
    /// Events that count against it.
    charged: u32,
    shortfall: Option<Shortfall>,
    /// How often in a row something came to nothing.
    failures: u32,
    pause: Pause,
}

/// When the next start may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    /// At once.
    None,
    /// So long after whoever knows the time looks next.
    For(Duration),
    /// Then.
    Until(Time),
}

/// The pause after the first failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

// === impl Floors ===

impl Floors {
    /// Whether nothing is provisioned, which is the usual case.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Replaces the floors of a function; what each generation has too many of now, if anything.
    pub(crate) fn set(&mut self, function: FunctionId, floors: &[Floor]) -> Vec<(Generation, u32)> {
        for floor in floors.iter().filter(|floor| floor.wanted > 0) {
            let standing = self.0.entry(floor.generation).or_insert(Standing::new(function));
            // Whoever configures anew has perhaps mended what was broken.
            (standing.failures, standing.pause) = (0, Pause::None);
            if standing.up < floor.wanted {
                standing.shortfall = None;
            }
            (standing.wanted, standing.slots, standing.leaving) =
                (floor.wanted, floor.slots, false);
        }
        let stays = |generation: &Generation| {
            floors.iter().any(|floor| floor.generation == *generation && floor.wanted > 0)
        };
        let replaced = floors.iter().any(|floor| floor.wanted > 0);
        let mut gone = Vec::new();
        for (generation, standing) in &mut self.0 {
            if standing.function == function && !stays(generation) {
                match replaced {
                    true => standing.leaving = true,
                    false => gone.push(*generation),
                }
            }
        }
        let mut surplus: Vec<(Generation, u32)> =
            gone.into_iter().map(|generation| (generation, self.remove(generation))).collect();
        surplus.extend(self.0.iter_mut().filter_map(|(generation, standing)| {
            Some((*generation, standing.shed())).filter(|(_, surplus)| *surplus > 0)
        }));
        surplus.extend(self.step_back());
        surplus
    }

    /// Takes floors away whose successors are met, or cannot be; how many instances each had.
    pub(crate) fn step_back(&mut self) -> Vec<(Generation, u32)> {
        let waited_for = |leaving: &Standing| {
            self.0.values().any(|other| {
                other.function == leaving.function && !other.leaving && other.is_awaited()
            })
        };
        let done: Vec<Generation> = self
            .0
            .iter()
            .filter(|(_, standing)| standing.leaving && !waited_for(standing))
            .map(|(generation, _)| *generation)
            .collect();
        done.into_iter().map(|generation| (generation, self.remove(generation))).collect()
    }

    /// Forgets a floor; how many instances it had.
    pub(crate) fn remove(&mut self, generation: Generation) -> u32 {
        self.0.remove(&generation).map_or(0, |standing| standing.starting + standing.up)
    }

    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The next start that is missing and may be made now: of the function with the fewest under way,
    /// so that one that wants many delays nobody who wants few. `most` is how many a function may have
    /// under way at once, `may` whether it may start another.
    pub(crate) fn next_start(
        &mut self,
        now: Time,
        most: u32,
        may: impl Fn(FunctionId) -> bool,
    ) -> Option<Missing> {
        let under_way = self.under_way();
        let of = |standing: &Standing| under_way.get(&standing.function).copied().unwrap_or(0);
        let missing = self.0.iter_mut().filter_map(|(generation, standing)| {
            let own = of(standing);
            let due = standing.lacks() > 0 && own < most && standing.may_start(now);
            let Standing { function, slots, starting, .. } = *standing;
            // Whatever order a map has, the oldest generation of equals comes first.
            (due && may(function)).then_some((
                (own, starting, *generation),
                Missing { generation: *generation, function, slots },
            ))
        });
        missing.min_by_key(|(order, _)| *order).map(|(_, missing)| missing)
    }

    /// When something may be started that may not be now, as far as time alone decides: a function that
    /// has `most` under way waits for them. `next` is when it may start another.
    pub(crate) fn next(&self, most: u32, next: impl Fn(FunctionId) -> Time) -> Option<Time> {
        let under_way = self.under_way();
        let of = |standing: &Standing| under_way.get(&standing.function).copied().unwrap_or(0);
        let waiting = self.0.values().filter(|it| it.lacks() > 0 && of(it) < most);
        let due = waiting.map(|standing| {
            let paused = match standing.pause {
                Pause::None | Pause::For(_) => Time::default(),
                Pause::Until(when) => when,
            };
            paused.max(next(standing.function))
        });
        due.min()
    }

    /// Starts under way of each function that has any.
    fn under_way(&self) -> IdMap<FunctionId, u32> {
        let mut all = IdMap::default();
        for standing in self.0.values().filter(|standing| standing.starting > 0) {
            *all.entry(standing.function).or_default() += standing.starting;
        }
        all
    }

    /// An instance is being started.
    pub(crate) fn starting(&mut self, generation: Generation) {
        if let Some(standing) = self.0.get_mut(&generation) {
            standing.starting += 1;
        }
    }

    /// One that was being started is up.
    pub(crate) fn ready(&mut self, generation: Generation) {
        if let Some(standing) = self.0.get_mut(&generation) {
            standing.starting -= 1;
            standing.up += 1;
            if standing.up >= standing.wanted {
                standing.shortfall = None;
            }
        }
    }

    /// One that was being started came to nothing.
    pub(crate) fn failed(&mut self, generation: Generation, failure: StartFailure) {
        if let Some(standing) = self.0.get_mut(&generation) {
            standing.starting -= 1;
            standing.lapse(match failure {
                StartFailure::NoCell => Shortfall::Sandbox,
                _ => Shortfall::Function,
            });
        }
    }

    /// There is no room to start what is missing.
    pub(crate) fn no_room(&mut self, now: Time, generation: Generation) {
        if let Some(standing) = self.0.get_mut(&generation) {
            standing.lapse(Shortfall::Room);
            standing.may_start(now);
        }
    }

    /// One that was up is gone; `idle` if no event broke it.
    pub(crate) fn lost(&mut self, generation: Generation, idle: bool) {
        if let Some(standing) = self.0.get_mut(&generation) {
            standing.up -= 1;
            if idle {
                standing.lapse(Shortfall::Function);
            }
        }
    }

    /// One of them has served an event.
    pub(crate) fn served(&mut self, generation: Generation) {
        if let Some(standing) = self.0.get_mut(&generation) {
            standing.failures = 0;
        }
    }

    /// Counts an event against a floor, if there is one with room.
    pub(crate) fn charge(&mut self, generation: Generation) -> bool {
        let standing = self.0.get_mut(&generation);
        standing.is_some_and(|standing| {
            let fits = standing.charged < standing.wanted && !standing.leaving;
            standing.charged += u32::from(fits);
            fits
        })
    }

    /// Counts one event less; a floor that was set anew meanwhile knows nothing of it.
    pub(crate) fn release(&mut self, generation: Generation) {
        if let Some(standing) = self.0.get_mut(&generation) {
            standing.charged = standing.charged.saturating_sub(1);
        }
    }

    /// How far a floor is.
    pub(crate) fn show(&self, generation: Generation) -> Option<Provision> {
        let standing = self.0.get(&generation).filter(|standing| !standing.leaving)?;
        let Standing { wanted, up, shortfall, .. } = *standing;
        Some(Provision { wanted, up, shortfall })
    }

    /// Instances that start, and those that are up.
    #[cfg(test)]
    pub(crate) fn counts(&self, generation: Generation) -> (u32, u32) {
        self.0.get(&generation).map_or((0, 0), |standing| (standing.starting, standing.up))
    }
}

// === impl Standing ===

impl Standing {
    fn new(function: FunctionId) -> Self {
        Self {
            function,
            wanted: 0,
            slots: 1,
            leaving: false,
            starting: 0,
            up: 0,
            charged: 0,
            shortfall: None,
            failures: 0,
            pause: Pause::None,
        }
    }

    fn lacks(&self) -> u32 {
        match self.leaving {
            true => 0,
            false => self.wanted.saturating_sub(self.starting + self.up),
        }
    }

    /// Whether somebody waits for it to be met, and may hope.
    fn is_awaited(&self) -> bool {
        self.up < self.wanted && self.shortfall.is_none()
    }

    /// How many more there are than wanted; they are counted no longer.
    fn shed(&mut self) -> u32 {
        let surplus = (self.starting + self.up).saturating_sub(self.wanted);
        // Those that only start are the cheapest to let go.
        let starting = surplus.min(self.starting);
        self.starting -= starting;
        self.up -= surplus - starting;
        surplus
    }

    fn may_start(&mut self, now: Time) -> bool {
        if let Pause::For(pause) = self.pause {
            self.pause = Pause::Until(now.after(pause));
        }
        match self.pause {
            Pause::Until(when) if when > now => false,
            _ => {
                self.pause = Pause::None;
                true
            }
        }
    }

    fn lapse(&mut self, why: Shortfall) {
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.min(6));
        self.failures += 1;
        self.shortfall = Some(why);
        self.pause = Pause::For(doubled.min(LONGEST_PAUSE));
    }
}
