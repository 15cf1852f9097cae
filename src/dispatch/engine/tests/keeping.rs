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

#[test]
fn what_is_learned_outlives_the_last_instance() {
    let mut rig = Rig::with(Limits { idle_for: Duration::from_secs(600), ..Limits::default() });
    // Every two hours: longer than any is kept for.
    for hour in 0..6 {
        rig.until(hour * 120 * MINUTE);
        let instance = rig.call(G, 100);
        let ended = rig.until(rig.now.0 + 20 * MINUTE);
        assert_eq!(ended, [end(instance, EndReason::Expired)]);
        rig.dispatch.ended(instance);
    }
    rig.until(6 * 120 * MINUTE);
    let instance = rig.call(G, 100);
    let ended = rig.until(rig.now.0 + 3 * MINUTE);
    assert_eq!(ended, [end(instance, EndReason::Expired)], "known by now not to be used soon");
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
