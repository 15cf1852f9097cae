//! Who goes when memory is wanted, and who when it is not.

use super::*;

const MINUTE: u64 = 60_000;
const K: Generation = Generation(3);

impl Rig {
    fn at(&mut self, millis: u64) {
        self.now = Time(millis);
    }

    /// One call of an instance that is there or is started, which takes so long.
    fn call(&mut self, generation: Generation, start: u64) -> InstanceId {
        let instance = match self.arrive(generation) {
            Decision::Run(instance) => instance,
            Decision::Wait => {
                let instance = self.started();
                self.now = self.now.after(Duration::from_millis(start));
                self.ready(instance);
                instance
            }
            Decision::Refuse(refusal) => panic!("{refusal:?}"),
        };
        assert_eq!(self.done(instance), Next::Idle);
        instance
    }

    /// Lets time pass, looking every second; who ended.
    fn until(&mut self, millis: u64) -> Vec<Action> {
        let mut all = Vec::new();
        while self.now.0 < millis {
            self.now = Time(millis.min(self.now.0 + 1_000));
            all.extend(self.expire());
        }
        all
    }
}

/// A machine with room for two instances of 10 bytes.
fn two() -> Rig {
    let mut rig =
        Rig::with(Limits { memory_reserve: 100, start_estimate: 10, ..Limits::default() });
    rig.dispatch.observe(Facts { used: 0, available: 120 });
    rig
}

#[test]
fn the_instance_that_is_cheap_to_start_again_goes_before_the_one_that_is_not() {
    let mut rig = two();
    rig.call(H, 2_000);
    let cheap = rig.call(G, 5);
    rig.dispatch.observe(Facts { used: 20, available: 100 });
    rig.start(K);
    assert_eq!(rig.out[0], end(cheap, EndReason::Evicted), "although it was used last");
}

#[test]
fn the_instance_that_takes_much_memory_goes_before_the_one_that_takes_little() {
    let mut rig = two();
    let (small, large) = (rig.call(H, 100), rig.call(G, 100));
    rig.dispatch.measured(small, 4);
    rig.dispatch.measured(large, 16);
    rig.dispatch.observe(Facts { used: 20, available: 100 });
    rig.start(K);
    assert_eq!(rig.out[0], end(large, EndReason::Evicted));
}

#[test]
fn the_instance_that_is_used_often_stays_and_the_one_that_is_not_goes() {
    let mut rig = two();
    let mut often = rig.call(H, 100);
    for second in 1..60 {
        rig.at(second * 1_000);
        often = rig.call(H, 100);
    }
    rig.at(59_300);
    let seldom = rig.call(G, 100);
    rig.at(59_600);
    rig.dispatch.observe(Facts { used: 20, available: 100 });
    rig.start(K);
    assert_eq!(rig.out[0], end(seldom, EndReason::Evicted), "although {often:?} is idle longer");
}

/// A function that was called every half hour, so often that it is known; the next call is due.
fn half_hourly(rig: &mut Rig) {
    for call in 0..4 {
        rig.until(call * 30 * MINUTE);
        let instance = rig.call(G, 100);
        let ended = rig.until(rig.now.0 + 11 * MINUTE);
        assert_eq!(ended, [end(instance, EndReason::Expired)]);
        rig.dispatch.ended(instance);
    }
}

/// The one start ahead up to a moment.
fn ahead(actions: &[Action]) -> InstanceId {
    let kind = Initialization::Ahead;
    let [Action::Start { instance, generation: G, initialization, .. }] = *actions else {
        panic!("{actions:?}")
    };
    assert_eq!(initialization, kind);
    instance
}

#[test]
fn a_regular_caller_finds_an_instance_that_was_started_for_him() {
    let mut rig = Rig::new();
    half_hourly(&mut rig);
    for call in 4..8 {
        let instance = ahead(&rig.until(call * 30 * MINUTE - 1));
        assert!(rig.ready(instance).is_empty());
        assert!(rig.until(call * 30 * MINUTE).is_empty());
        assert_eq!(rig.arrive(G), Decision::Run(instance));
        rig.done(instance);
        // It is not kept until the next call.
        assert_eq!(rig.until(rig.now.0 + 11 * MINUTE), [end(instance, EndReason::Expired)]);
        rig.dispatch.ended(instance);
    }
}

#[test]
fn a_caller_who_stays_away_costs_one_start() {
    let mut rig = Rig::new();
    half_hourly(&mut rig);
    let instance = ahead(&rig.until(4 * 30 * MINUTE));
    rig.ready(instance);
    let rest = rig.until(24 * 60 * MINUTE);
    assert_eq!(rest, [end(instance, EndReason::Expired)]);
    rig.dispatch.ended(instance);
    assert_eq!(rig.dispatch.stats(), Stats::default());
}

#[test]
fn a_start_ahead_that_fails_answers_nobody_and_is_not_tried_again() {
    let mut rig = Rig::new();
    half_hourly(&mut rig);
    let instance = ahead(&rig.until(4 * 30 * MINUTE));
    let failed = rig.fail(instance, StartFailure::Init);
    assert_eq!(failed, [end(instance, EndReason::Failed)]);
    assert!(rig.until(24 * 60 * MINUTE).is_empty());
}

#[test]
fn who_comes_a_little_early_gets_the_instance_that_is_being_started_for_him() {
    let mut rig = Rig::new();
    half_hourly(&mut rig);
    let instance = ahead(&rig.until(4 * 30 * MINUTE));
    assert_eq!(rig.arrive(G), Decision::Wait);
    assert!(rig.out.is_empty(), "one is enough");
    assert!(matches!(rig.ready(instance)[..], [Action::Run { .. }]));
    assert_eq!(rig.done(instance), Next::Idle);
    assert_eq!(rig.dispatch.next_expiry().map(|when| when > rig.now), Some(true));
}

#[test]
fn nobody_who_is_worth_more_goes_for_one_who_is_only_expected() {
    let mut rig =
        Rig::with(Limits { memory_reserve: 100, start_estimate: 10, ..Limits::default() });
    half_hourly(&mut rig);
    // Dear to start again, and called every second; there is no room for another.
    rig.dispatch.observe(Facts { used: 0, available: 110 });
    rig.until(4 * 30 * MINUTE - 5 * MINUTE);
    let dear = rig.call(H, 5_000);
    rig.dispatch.observe(Facts { used: 10, available: 100 });
    while rig.now.0 < 4 * 30 * MINUTE + MINUTE {
        rig.now = rig.now.after(Duration::from_millis(900));
        assert_eq!(rig.expire(), [], "{dear:?} is worth more");
        rig.call(H, 5_000);
    }
    // The negative control: where there is room, he is expected.
    let mut other = Rig::new();
    half_hourly(&mut other);
    ahead(&other.until(4 * 30 * MINUTE));
}

#[test]
fn an_instance_that_is_not_used_soon_is_not_kept_for_the_whole_time() {
    let mut rig = Rig::new();
    // At other times each day, so that nobody is expected.
    for hours in [0, 2, 5, 6, 10, 11, 13] {
        rig.until(hours * 60 * MINUTE);
        rig.call(G, 100);
    }
    let ended = rig.until(rig.now.0 + 3 * MINUTE);
    assert_eq!(ended.len(), 1, "known by now");
}

#[test]
fn nothing_is_kept_for_longer_than_the_operator_says() {
    let mut rig = Rig::with(Limits { idle_for: Duration::from_secs(60), ..Limits::default() });
    for minute in 0..20 {
        // Used well within it, for a while.
        rig.until(minute * 30_000);
        rig.call(G, 100);
    }
    let last = rig.now.0;
    assert!(rig.until(last + 59_000).is_empty());
    assert_eq!(rig.until(last + 60_000).len(), 1);
}

#[test]
fn what_a_retired_generation_was_used_for_is_forgotten() {
    let mut rig = Rig::new();
    let instance = rig.call(G, 100);
    rig.until(20 * MINUTE);
    rig.dispatch.ended(instance);
    rig.retire(G);
    assert_eq!(rig.dispatch.absent.len(), 0);
}

#[test]
fn of_those_that_have_no_instance_only_so_many_are_remembered() {
    let mut rig = Rig::with(Limits { idle_for: Duration::from_secs(1), ..Limits::default() });
    for generation in 0..20_000 {
        let instance = rig.call(Generation(generation), 1);
        rig.now = rig.now.after(Duration::from_secs(1));
        rig.expire();
        rig.dispatch.ended(instance);
    }
    assert!(rig.dispatch.absent.len() <= 16_384);
    assert!(rig.dispatch.queues.is_empty() && rig.dispatch.instances.is_empty());
}
