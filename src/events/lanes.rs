//! Which event is next: a lane per function, and turns between them.
//!
//! ```text
//!   on disk: all of them              in memory, per function that has any
//!   ┌───────────────┐   read, some    ┌──────────────────┐   start    ┌─────────────────┐
//!   │ due ▓▓▓▓▓▓▓▓▓ │ ──────────────► │ ready: a window  │ ─────────► │ flying: leased  │
//!   │ later ░░░░░░░ │                 └──────────────────┘            └────────┬────────┘
//!   └───────▲───────┘                       ▲ new ones, if nothing waits       │
//!           │                                 on the disk before them          │
//!           └──────────── again, later ◄───────────────────────────────────────┤
//!                                                                              ▼ over
//! ```
//!
//! However many events wait, memory holds a window of each function's, and of those the few that are
//! flying have a payload. A lane with nothing flying may always start one; beyond that lanes take
//! turns for what is left of a common budget. So nobody's backlog is in front of anybody else's.
//!
//! How much of one function flies at once follows its throttles: one more for every answer, half as
//! many after a throttle, and a pause if then nothing of it runs.
//!
//! Pure: time is an argument, and what is to be done is a list of [`Action`]s.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use bytes::Bytes;
use model::FunctionId;
use store::events::{Due, EventNumber, QueuedEvent};

use crate::policy::pause_ms;

/// How long to wait until something is read again that could not be read, or may be on its way to
/// the disk, milliseconds.
const SECOND_LOOK_MS: u64 = 1_000;

/// A lane shrinks at most once in so many milliseconds: throttles come in swarms.
const SHRINKS_EVERY_MS: u64 = 1_000;

/// How much flies and waits in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most events flying, beside one of each function.
    pub at_once: usize,
    /// Most events flying of one function.
    pub per_function: usize,
    /// With how many of them a function begins.
    pub at_first: usize,
    /// Most bytes of payload flying, beside one event of each function.
    pub bytes_at_once: u64,
    /// Most events in memory per function that are not flying.
    pub window: usize,
    /// Longest payload that such an event keeps in memory, bytes; longer ones are read again.
    pub kept: u64,
}

/// Something to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Deliver an event; [`Lanes::finished`] ends that.
    Start(Work),
    /// Read what of a function is due; [`Lanes::read`] or [`Lanes::unreadable`] ends that.
    Read {
        /// Whose.
        function: FunctionId,
        /// How many at most.
        limit: usize,
        /// Which are in memory already.
        but: Vec<EventNumber>,
    },
}

/// An event that is due, with its payload if that is in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The event.
    pub event: QueuedEvent,
    /// Its payload.
    pub payload: Option<Bytes>,
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The event is over.
    Over {
        /// Whether the function has answered.
        answered: bool,
    },
    /// It is tried again.
    Again {
        /// When, milliseconds since the epoch.
        due_ms: u64,
        /// Whether it got as far as the function.
        answered: bool,
    },
    /// Nobody knows; it is on the disk as it was.
    Lost,
}

/// All lanes.
#[derive(Debug)]
pub struct Lanes {
    limits: Limits,
    lanes: HashMap<FunctionId, Lane>,
    /// Lanes that could start more if there were room, each once, in the order of their turns.
    turns: VecDeque<FunctionId>,
    /// When to look at which lane again.
    timers: BTreeSet<(u64, FunctionId)>,
    flying: usize,
    flying_bytes: u64,
    /// The highest number that was ever read. A new event with a lower one may have been read before
    /// it was said to be accepted, and be delivered already: the disk knows.
    read_high: EventNumber,
    stopped: bool,
    actions: Vec<Action>,
}

/// What is known of one function's events. It is forgotten as soon as there are none.
#[derive(Debug)]
struct Lane {
    /// Due, in order.
    ready: VecDeque<Work>,
    /// Being delivered: their sizes.
    flying: BTreeMap<EventNumber, u64>,
    /// How many may fly.
    allowed: usize,
    /// Nothing starts before this.
    paused_ms: u64,
    /// Throttles and the like, without an answer in between.
    setbacks: u32,
    /// When it shrank last.
    shrank_ms: u64,
    /// A read is under way.
    reading: bool,
    /// When the first of those that are on the disk only is due, if there are any.
    unread_ms: Option<u64>,
    /// It is among the turns.
    in_turns: bool,
    /// When it is looked at again.
    timer_ms: Option<u64>,
}

// === impl Limits ===

impl Limits {
    /// For an account that may run so many functions at once: half of that for events, so that one
    /// backlog leaves room for those who wait for their answers.
    pub fn of(concurrency: u32) -> Self {
        let half = (concurrency as usize / 2).max(1);
        Self {
            // A few hundred tasks of a few kilobytes each; more run only where functions wait.
            at_once: half.min(256),
            per_function: half.min(64),
            at_first: half.min(8),
            // 128 events of the largest size.
            bytes_at_once: 128 * 1024 * 1024,
            window: 64,
            // At most four megabytes of windows per function.
            kept: 64 * 1024,
        }
    }
}

// === impl Lanes ===

impl Lanes {
    /// No events.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            timers: BTreeSet::new(),
            flying: 0,
            flying_bytes: 0,
            read_high: EventNumber(0),
            stopped: false,
            actions: Vec::new(),
        }
    }

    /// What is to be done; each once.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// When to call [`Lanes::wake`] next, if ever.
    pub fn next_wake_ms(&self) -> Option<u64> {
        self.timers.first().map(|(ms, _)| *ms)
    }

    /// How many are being delivered.
    pub fn flying(&self) -> usize {
        self.flying
    }

    /// An event is on the disk and due.
    pub fn accepted(&mut self, event: QueuedEvent, payload: Bytes, now_ms: u64) {
        let (limits, function) = (self.limits, event.function);
        let news = event.number > self.read_high;
        let lane = self.lane(function);
        // What is on the disk only comes before it.
        let in_order = news && !lane.reading && lane.unread_ms.is_none();
        if in_order && lane.ready.len() < limits.window {
            let idle = lane.ready.is_empty() && lane.flying.is_empty();
            let kept = idle || event.bytes <= limits.kept;
            lane.ready.push_back(Work { payload: kept.then_some(payload), event });
        } else {
            lane.unread(event.due_ms);
        }
        self.pump(function, now_ms);
    }

    /// There may be events of a function on the disk; they are looked at now.
    pub fn look(&mut self, function: FunctionId, now_ms: u64) {
        self.lane(function).unread(now_ms);
        self.pump(function, now_ms);
    }

    /// There may be events of a function on the disk in a moment.
    pub fn look_soon(&mut self, function: FunctionId, now_ms: u64) {
        self.lane(function).unread(now_ms + SECOND_LOOK_MS);
        self.pump(function, now_ms);
    }

    /// What was asked for by [`Action::Read`].
    pub fn read(&mut self, function: FunctionId, due: Due, now_ms: u64) {
        let highest = due.events.iter().map(|event| event.number).max();
        self.read_high = highest.map_or(self.read_high, |highest| highest.max(self.read_high));
        let lane = self.lane(function);
        lane.reading = false;
        lane.ready.extend(due.events.into_iter().map(|event| Work { event, payload: None }));
        if let Some(next_ms) = due.next_ms {
            lane.unread(next_ms);
        }
        self.pump(function, now_ms);
    }

    /// It could not be read.
    pub fn unreadable(&mut self, function: FunctionId, now_ms: u64) {
        let lane = self.lane(function);
        lane.reading = false;
        lane.unread(now_ms + SECOND_LOOK_MS);
        self.pump(function, now_ms);
    }

    /// A delivery has ended, and what became of the event is on the disk.
    pub fn finished(
        &mut self,
        function: FunctionId,
        number: EventNumber,
        ended: Ended,
        now_ms: u64,
    ) {
        let most = self.limits.per_function;
        let lane = self.lane(function);
        if let Some(bytes) = lane.flying.remove(&number) {
            self.flying -= 1;
            self.flying_bytes -= bytes;
        }
        let lane = self.lane(function);
        match ended {
            Ended::Over { answered: true } | Ended::Again { answered: true, .. } => {
                lane.allowed = (lane.allowed + 1).min(most);
                lane.setbacks = 0;
            }
            Ended::Again { answered: false, .. } => lane.set_back(now_ms),
            Ended::Over { answered: false } | Ended::Lost => {}
        }
        match ended {
            Ended::Over { .. } => {}
            Ended::Again { due_ms, .. } => lane.unread(due_ms),
            Ended::Lost => lane.unread(now_ms + SECOND_LOOK_MS),
        }
        self.pump(function, now_ms);
        self.take_turns(now_ms);
    }

    /// A function is gone; what flies of it lands.
    pub fn forget(&mut self, function: FunctionId, now_ms: u64) {
        if let Some(lane) = self.lanes.get_mut(&function) {
            lane.ready.clear();
            lane.unread_ms = None;
            self.pump(function, now_ms);
        }
    }

    /// Looks at the lanes whose time has come.
    pub fn wake(&mut self, now_ms: u64) {
        while let Some((at_ms, function)) = self.timers.first().copied()
            && at_ms <= now_ms
        {
            self.timers.pop_first();
            self.lane(function).timer_ms = None;
            self.pump(function, now_ms);
        }
    }

    /// Nothing starts any more.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.actions.clear();
    }

    fn lane(&mut self, function: FunctionId) -> &mut Lane {
        let allowed = self.limits.at_first;
        self.lanes.entry(function).or_insert_with(|| Lane::new(allowed))
    }

    /// Starts, reads and waits for whatever a lane can now.
    fn pump(&mut self, function: FunctionId, now_ms: u64) {
        if self.stopped {
            return;
        }
        while self.start_one(function, self.turns.is_empty(), now_ms) {}
        let window = self.limits.window;
        let Some(lane) = self.lanes.get_mut(&function) else { return };
        if lane.could_start(now_ms) && !lane.in_turns {
            lane.in_turns = true;
            self.turns.push_back(function);
        }
        let due = lane.unread_ms.is_some_and(|unread_ms| unread_ms <= now_ms);
        if due && !lane.reading && lane.ready.len() <= window / 2 {
            lane.reading = true;
            lane.unread_ms = None;
            let ready = lane.ready.iter().map(|work| work.event.number);
            let but = lane.flying.keys().copied().chain(ready).collect();
            let limit = window - lane.ready.len();
            self.actions.push(Action::Read { function, limit, but });
        }
        let paused = (lane.paused_ms > now_ms && !lane.ready.is_empty()).then_some(lane.paused_ms);
        let unread = lane.unread_ms.filter(|unread_ms| *unread_ms > now_ms);
        let timer_ms = paused.into_iter().chain(unread).min();
        if timer_ms != lane.timer_ms {
            if let Some(old) = lane.timer_ms {
                self.timers.remove(&(old, function));
            }
            self.timers.extend(timer_ms.map(|ms| (ms, function)));
            lane.timer_ms = timer_ms;
        }
        if lane.is_empty() {
            self.lanes.remove(&function);
        }
    }

    /// Starts the next event of a lane, if it may; beside its first one only in its turn.
    fn start_one(&mut self, function: FunctionId, turn: bool, now_ms: u64) -> bool {
        let room = self.flying < self.limits.at_once;
        let Some(lane) = self.lanes.get_mut(&function) else { return false };
        if !lane.could_start(now_ms) {
            return false;
        }
        let Some(bytes) = lane.ready.front().map(|work| work.event.bytes) else { return false };
        let fits = self.flying_bytes + bytes <= self.limits.bytes_at_once;
        let may = lane.flying.is_empty() || (room && fits && turn);
        if !may {
            return false;
        }
        let Some(work) = lane.ready.pop_front() else { return false };
        lane.flying.insert(work.event.number, bytes);
        self.flying += 1;
        self.flying_bytes += bytes;
        self.actions.push(Action::Start(work));
        true
    }

    /// Gives what room there is to those who wait for it, one each.
    fn take_turns(&mut self, now_ms: u64) {
        if self.stopped {
            return;
        }
        while let Some(function) = self.turns.front().copied() {
            let started = self.start_one(function, true, now_ms);
            let waits = self.lanes.get(&function).is_some_and(|lane| lane.could_start(now_ms));
            if waits && !started {
                return;
            }
            self.turns.pop_front();
            if let Some(lane) = self.lanes.get_mut(&function) {
                lane.in_turns = waits;
            }
            if waits {
                self.turns.push_back(function);
            } else {
                // Its window may have to be filled again.
                self.pump(function, now_ms);
            }
        }
    }
}

// === impl Lane ===

impl Lane {
    fn new(allowed: usize) -> Self {
        Self {
            ready: VecDeque::new(),
            flying: BTreeMap::new(),
            allowed,
            paused_ms: 0,
            setbacks: 0,
            shrank_ms: 0,
            reading: false,
            unread_ms: None,
            in_turns: false,
            timer_ms: None,
        }
    }

    fn could_start(&self, now_ms: u64) -> bool {
        !self.ready.is_empty() && self.flying.len() < self.allowed && self.paused_ms <= now_ms
    }

    /// Something is on the disk that is due then.
    fn unread(&mut self, due_ms: u64) {
        self.unread_ms = Some(self.unread_ms.map_or(due_ms, |unread_ms| unread_ms.min(due_ms)));
    }

    fn set_back(&mut self, now_ms: u64) {
        if now_ms >= self.shrank_ms + SHRINKS_EVERY_MS {
            self.allowed = (self.allowed / 2).max(1);
            self.shrank_ms = now_ms;
        }
        // While something of it runs, its end says that there is room again.
        if self.flying.is_empty() && self.paused_ms <= now_ms {
            self.paused_ms = now_ms + pause_ms(self.setbacks);
            self.setbacks = self.setbacks.saturating_add(1);
        }
    }

    /// A lane that waits for its turn is kept until it has had it.
    fn is_empty(&self) -> bool {
        self.ready.is_empty()
            && self.flying.is_empty()
            && !self.reading
            && self.unread_ms.is_none()
            && !self.in_turns
    }
}

#[cfg(test)]
mod tests;
