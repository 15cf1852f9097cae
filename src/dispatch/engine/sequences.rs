//! Any sequence of happenings, checked after each against a model kept beside it.
//!
//! The model knows what a caller knows: which events were accepted and not yet answered, which
//! instances were handed out, which generations were retired. It knows nothing of queues.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{FunctionId, Generation};
use proptest::prelude::*;

use super::*;
use crate::{EventId, Floor, Initialization};

mod floors;

/// Small enough that every limit is met in a short sequence.
const LIMITS: Limits = Limits {
    starts: 7,
    provisioning: 3,
    concurrency: 8,
    instances: 6,
    idle_for: Duration::from_millis(20),
    memory_reserve: 100,
    memory_ceiling: Some(90),
    start_estimate: 10,
};

/// Reserved concurrency of each function, by its number.
const RESERVED: [Option<u32>; 3] = [None, Some(2), Some(0)];

/// Two functions with two generations each, and one that may not run.
const GENERATIONS: [(u64, usize); 5] = [(10, 0), (11, 0), (20, 1), (21, 1), (30, 2)];

/// How many events an instance of a generation serves at once.
fn slots(generation: Generation) -> u32 {
    match generation.0 {
        11 => 3,
        21 => 2,
        _ => 1,
    }
}

/// Those of them that have generations.
const FUNCTIONS: usize = 2;

/// One happening; numbers pick among what is possible at the time.
#[derive(Debug, Clone)]
enum Op {
    Arrive(usize),
    Ready(usize),
    StartFailed(usize, StartFailure),
    Done(usize, Fate),
    Undelivered(usize),
    Died(usize),
    Ended(usize),
    Retire(usize),
    Provision(usize, u32, u32),
    Measured(usize, u64),
    Observe(u64, u64),
    Tick(u64),
    Stop,
    Abandon,
}

fn op() -> impl Strategy<Value = Op> {
    let failure = prop_oneof![
        1 => Just(StartFailure::NoCell),
        1 => Just(StartFailure::Init),
        1 => Just(StartFailure::Died),
        3 => Just(StartFailure::Overran),
    ];
    let fate = prop_oneof![
        8 => Just(Fate::Reusable),
        1 => Just(Fate::Spent),
        2 => Just(Fate::Broken),
    ];
    let any = 0..64_usize;
    prop_oneof![
        20 => (0..GENERATIONS.len()).prop_map(Op::Arrive),
        12 => any.clone().prop_map(Op::Ready),
        4 => (any.clone(), failure).prop_map(|(n, failure)| Op::StartFailed(n, failure)),
        14 => (any.clone(), fate).prop_map(|(n, fate)| Op::Done(n, fate)),
        2 => any.clone().prop_map(Op::Undelivered),
        2 => any.clone().prop_map(Op::Died),
        6 => any.clone().prop_map(Op::Ended),
        1 => (0..GENERATIONS.len()).prop_map(Op::Retire),
        2 => (0..FUNCTIONS, 0..3_u32, 0..3_u32).prop_map(|(f, a, b)| Op::Provision(f, a, b)),
        2 => (any, 0..40_u64).prop_map(|(n, bytes)| Op::Measured(n, bytes)),
        1 => (0..120_u64, 90..300_u64).prop_map(|(used, available)| Op::Observe(used, available)),
        5 => (1..15_u64).prop_map(Op::Tick),
        // Long enough for callers to be regular.
        1 => (40_000..41_000_u64).prop_map(Op::Tick),
    ]
}

/// A sequence that sometimes ends in the two ways to stop.
fn ops() -> impl Strategy<Value = Vec<Op>> {
    let tail = prop_oneof![
        3 => Just(vec![]),
        1 => Just(vec![Op::Stop]),
        1 => Just(vec![Op::Abandon]),
    ];
    let run = |max| prop::collection::vec(op(), 0..max);
    (run(150), tail, run(30)).prop_map(|(mut ops, tail, more)| {
        ops.extend(tail);
        ops.extend(more);
        ops
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Starting,
    Idle,
    Busy,
    Ending,
}

#[derive(Default)]
struct World {
    now: u64,
    /// Accepted and unanswered, with the generation that must serve it.
    open: BTreeMap<EventId, Generation>,
    instances: BTreeMap<InstanceId, (Generation, Seen)>,
    /// Which event is on which instance, or was when that ended.
    seated: BTreeMap<EventId, InstanceId>,
    /// Instances that are to take no more.
    spent: BTreeSet<InstanceId>,
    retired: BTreeSet<Generation>,
    /// Instances that were started for a floor.
    for_floors: BTreeSet<InstanceId>,
    /// The order in which idle instances became idle, last is most recent.
    stack: Vec<InstanceId>,
    next_event: u64,
    stopped: bool,
    /// Whether anything was ever provisioned: what is serves first, and no order is promised.
    provisioned: bool,
}

impl World {
    fn pick(&self, n: usize, what: impl Fn(Seen) -> bool) -> Option<InstanceId> {
        let fitting: Vec<InstanceId> =
            self.instances.iter().filter(|(_, (_, seen))| what(*seen)).map(|(id, _)| *id).collect();
        (!fitting.is_empty()).then(|| fitting[n % fitting.len()])
    }

    /// How many events are on an instance.
    fn on(&self, instance: InstanceId) -> usize {
        self.seated.values().filter(|other| **other == instance).count()
    }

    fn pick_event(&self, n: usize) -> Option<(EventId, InstanceId)> {
        let count = self.seated.len();
        let mut seated = self.seated.iter().map(|(event, instance)| (*event, *instance));
        if count == 0 { None } else { seated.nth(n % count) }
    }

    fn set(&mut self, instance: InstanceId, seen: Seen) {
        self.stack.retain(|id| *id != instance);
        if seen == Seen::Idle {
            self.stack.push(instance);
        }
        self.instances.get_mut(&instance).expect("a known instance").1 = seen;
    }

    fn run(&mut self, instance: InstanceId, event: EventId) {
        let (generation, seen) = self.instances[&instance];
        assert_ne!(seen, Seen::Ending, "an event on one that ends");
        assert!(!self.spent.contains(&instance), "an event on one that is spent");
        assert!(self.on(instance) < slots(generation) as usize, "too many events on one instance");
        assert_eq!(self.open.get(&event), Some(&generation), "an event of another generation");
        let elsewhere = self.seated.insert(event, instance);
        assert_eq!(elsewhere, None, "one event on two instances");
        self.set(instance, Seen::Busy);
    }

    fn perform(&mut self, out: &[Action]) {
        for action in out {
            match *action {
                Action::Start { instance, generation, initialization, .. } => {
                    if initialization == Initialization::Provisioned {
                        self.for_floors.insert(instance);
                    }
                    let new = self.instances.insert(instance, (generation, Seen::Starting));
                    assert!(new.is_none(), "a name is used once");
                }
                Action::Run { instance, event } => self.run(instance, event),
                Action::End { instance, .. } => {
                    assert_ne!(self.instances[&instance].1, Seen::Ending, "ended twice");
                    self.set(instance, Seen::Ending);
                }
                Action::Fail { event, .. } => {
                    assert!(self.open.remove(&event).is_some(), "answered twice");
                }
            }
        }
    }

    fn step(&mut self, dispatch: &mut Dispatch, op: &Op) {
        let now = Time(self.now);
        let mut out = Vec::new();
        match *op {
            Op::Arrive(n) => self.arrive(dispatch, n),
            Op::Ready(n) => {
                if let Some(instance) = self.pick(n, |seen| seen == Seen::Starting) {
                    dispatch.ready(now, instance, &mut out);
                    // What else is started does not concern it.
                    let concerns = |action: &Action| match *action {
                        Action::Run { instance: other, .. }
                        | Action::End { instance: other, .. } => other == instance,
                        Action::Start { .. } | Action::Fail { .. } => false,
                    };
                    if !out.iter().any(concerns) {
                        let generation = self.instances[&instance].0;
                        assert!(!self.retired.contains(&generation), "a retired one is kept");
                        self.set(instance, Seen::Idle);
                    }
                }
            }
            Op::StartFailed(n, failure) => {
                if let Some(instance) = self.pick(n, |seen| seen == Seen::Starting) {
                    let seats = slots(self.instances[&instance].0) as usize;
                    dispatch.start_failed(instance, failure, &mut out);
                    if failure == StartFailure::NoCell {
                        self.instances.remove(&instance);
                    }
                    let answered =
                        out.iter().filter(|action| matches!(action, Action::Fail { .. })).count();
                    assert!(answered <= seats, "one start answers as many events as it would seat");
                }
            }
            Op::Done(n, fate) => self.done(dispatch, n, fate),
            Op::Undelivered(n) => {
                if let Some((event, instance)) = self.pick_event(n) {
                    // Not on the instance any more, whatever comes next.
                    self.seated.remove(&event);
                    dispatch.undelivered(instance, event, &mut out);
                }
            }
            Op::Died(n) => {
                if let Some(instance) = self.pick(n, |seen| seen == Seen::Idle) {
                    dispatch.died(instance, &mut out);
                    assert_eq!(out.len(), 1);
                }
            }
            Op::Ended(n) => {
                if let Some(instance) = self.pick(n, |seen| seen == Seen::Ending) {
                    dispatch.ended(instance);
                    self.instances.remove(&instance);
                }
            }
            Op::Retire(n) => {
                let generation = Generation(GENERATIONS[n].0);
                self.retired.insert(generation);
                dispatch.retire(now, generation, &mut out);
            }
            Op::Provision(function, first, second) => {
                self.provisioned = true;
                let floors: Vec<Floor> = GENERATIONS
                    .iter()
                    .filter(|(_, owner)| *owner == function)
                    .zip([first, second])
                    .map(|((g, _), wanted)| {
                        let generation = Generation(*g);
                        Floor { generation, wanted, slots: slots(generation) }
                    })
                    .collect();
                dispatch.provision(now, FunctionId(function as u64), &floors, &mut out);
                let starts = |action: &Action| matches!(action, Action::Start { .. });
                assert!(!self.stopped || !out.iter().any(starts), "started while stopping");
            }
            Op::Measured(n, bytes) => {
                if let Some(instance) = self.pick(n, |_| true) {
                    dispatch.measured(instance, bytes);
                }
            }
            Op::Observe(used, available) => dispatch.observe(Facts { used, available }),
            Op::Tick(millis) => {
                self.now += millis;
                dispatch.expire(Time(self.now), &mut out);
                let next = dispatch.next_expiry();
                assert!(next.is_none_or(|when| when > Time(self.now)), "expired and kept");
            }
            Op::Stop => {
                self.stopped = true;
                dispatch.stop(&mut out);
            }
            Op::Abandon => {
                self.stopped = true;
                dispatch.abandon(&mut out);
            }
        }
        self.perform(&out);
    }

    fn arrive(&mut self, dispatch: &mut Dispatch, n: usize) {
        let (generation, function) = GENERATIONS[n];
        let generation = Generation(generation);
        let event = EventId(self.next_event);
        self.next_event += 1;
        let reserved = RESERVED[function];
        let function = FunctionId(function as u64);
        let mut out = Vec::new();
        let slots = slots(generation);
        let arrival = Arrival { event, function, generation, reserved, slots };
        match dispatch.arrive(Time(self.now), arrival, &mut out) {
            Decision::Run(instance) => {
                let mut own = self.stack.iter().rev();
                let last = own.find(|id| self.instances[id].0 == generation);
                if self.on(instance) == 0 {
                    let first = self.provisioned || last == Some(&instance);
                    assert!(first, "not the most recently used");
                    assert!(self.stack.contains(&instance), "not an idle one");
                }
                assert!(!self.retired.contains(&generation), "a retired one serves");
                self.open.insert(event, generation);
                self.run(instance, event);
            }
            Decision::Wait => {
                assert!(!self.retired.contains(&generation), "a retired one serves");
                self.open.insert(event, generation);
            }
            Decision::Refuse(Refusal::Retired) => assert!(self.retired.contains(&generation)),
            Decision::Refuse(Refusal::Stopping) => assert!(self.stopped),
            Decision::Refuse(Refusal::Throttled(_)) => assert!(out.is_empty() || !self.stopped),
        }
        self.perform(&out);
    }

    fn done(&mut self, dispatch: &mut Dispatch, n: usize, fate: Fate) {
        let Some((event, instance)) = self.pick_event(n) else { return };
        self.seated.remove(&event);
        assert!(self.open.remove(&event).is_some(), "answered twice");
        let next = dispatch.done(Time(self.now), instance, event, fate);
        let Some((generation, seen)) = self.instances.get(&instance).copied() else {
            return assert_eq!(next, Next::Idle, "it is gone");
        };
        if fate == Fate::Spent {
            self.spent.insert(instance);
        }
        match next {
            Next::Run(event) => {
                assert_eq!(fate, Fate::Reusable, "a broken one serves");
                self.run(instance, event);
            }
            // It was given up when another of its events was over, or others go on.
            Next::Idle if seen == Seen::Ending => {}
            Next::Idle if self.on(instance) > 0 => assert_ne!(fate, Fate::Broken),
            Next::Idle => {
                assert_eq!(fate, Fate::Reusable, "a broken one is kept");
                assert!(!self.spent.contains(&instance), "a spent one is kept");
                assert!(!self.retired.contains(&generation), "a retired one is kept");
                self.set(instance, Seen::Idle);
            }
            Next::End(_) => {
                assert_ne!(seen, Seen::Ending, "ended twice");
                self.set(instance, Seen::Ending);
            }
        }
    }

    /// What holds whenever nothing is happening.
    fn check(&self, dispatch: &Dispatch) {
        let count = |what: fn(&Seen) -> bool| {
            self.instances.values().filter(|(_, seen)| what(seen)).count() as u32
        };
        let stats = dispatch.stats();
        assert_eq!(stats.starting, count(|seen| *seen == Seen::Starting));
        assert_eq!(stats.idle, count(|seen| *seen == Seen::Idle));
        assert_eq!(stats.busy, count(|seen| *seen == Seen::Busy));
        assert_eq!(stats.ending, count(|seen| *seen == Seen::Ending));
        let open = stats.waiting as usize + self.seated.len();
        assert_eq!(open, self.open.len(), "an event is lost");
        assert_eq!(dispatch.admitted(), self.open.len() as u32);
        assert!(dispatch.admitted() <= LIMITS.concurrency);
        // A second start may stand beside what took its event's place, never more than that.
        assert!(stats.starting + stats.idle + stats.busy <= LIMITS.instances);
        for (function, reserved) in RESERVED.iter().enumerate() {
            let of = dispatch.concurrency.of(FunctionId(function as u64));
            assert!(reserved.is_none_or(|limit| of <= limit));
        }
        for queue in dispatch.queues.values() {
            assert!(queue.waiting.len() <= queue.seats(), "an event nobody starts for");
            assert!(queue.open.is_empty() || queue.waiting.is_empty(), "a seat beside waiting");
            assert!(queue.idle.iter().is_sorted_by_key(|(_, since)| *since));
            assert!(queue.idle.is_empty() || queue.waiting.is_empty(), "idle beside waiting");
            assert!(!queue.is_unused(), "kept for nothing");
        }
        self.check_floors(dispatch);
        let bytes: u64 = dispatch
            .instances
            .values()
            .filter(|instance| matches!(instance.state, State::Idle) && !instance.provisioned)
            .map(|instance| instance.bytes)
            .sum();
        assert_eq!(dispatch.idle_bytes, bytes);
    }

    /// Lets everything that is under way end well, and finds nothing left.
    fn settle(&mut self, dispatch: &mut Dispatch) {
        for _ in 0..10_000 {
            if self.open.is_empty() {
                return;
            }
            self.step(dispatch, &Op::Ready(0));
            self.step(dispatch, &Op::Done(0, Fate::Reusable));
        }
        panic!("events that nobody will ever answer: {:?}", self.open);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_event_is_answered_once_and_every_limit_holds(ops in ops()) {
        let mut dispatch = Dispatch::new(LIMITS);
        dispatch.set_reserved(2);
        let mut world = World::default();
        for op in &ops {
            world.step(&mut dispatch, op);
            world.check(&dispatch);
        }
        world.settle(&mut dispatch);
        world.check(&dispatch);
        world.meet(&mut dispatch);
    }
}
