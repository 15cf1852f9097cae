//! Floors: what is started without an event, kept without one, and given up in the end.

use super::*;
use crate::{Floor, Provision, Shortfall};

// === impl Rig ===

impl Rig {
    /// Sets the floors of the function; the instances that are started for them.
    fn provision(&mut self, floors: &[(Generation, u32)]) -> Vec<InstanceId> {
        self.provision_of(F, floors)
    }

    fn provision_of(
        &mut self,
        function: FunctionId,
        floors: &[(Generation, u32)],
    ) -> Vec<InstanceId> {
        let floor = |(generation, wanted): &(Generation, u32)| Floor {
            generation: *generation,
            wanted: *wanted,
            slots: self.slots,
        };
        let floors: Vec<Floor> = floors.iter().map(floor).collect();
        self.out.clear();
        self.dispatch.provision(self.now, function, &floors, &mut self.out);
        self.provisioned()
    }

    /// Instances that the last step started without an event.
    fn provisioned(&self) -> Vec<InstanceId> {
        let kind = Initialization::Provisioned;
        let started = self.out.iter().filter_map(|action| match action {
            Action::Start { instance, initialization, phase: Phase::Init, .. }
                if *initialization == kind =>
            {
                Some(*instance)
            }
            _ => None,
        });
        started.collect()
    }

    /// A floor that is met.
    fn standing(&mut self, generation: Generation, wanted: u32) -> Vec<InstanceId> {
        let instances = self.provision(&[(generation, wanted)]);
        for instance in &instances {
            assert!(self.ready(*instance).is_empty());
        }
        instances
    }

    fn later(&mut self, seconds: u64) -> Vec<InstanceId> {
        self.now = self.now.after(Duration::from_secs(seconds));
        self.expire();
        self.provisioned()
    }

    fn shown(&self, generation: Generation) -> (u32, Option<Shortfall>) {
        let Provision { up, shortfall, .. } = self.dispatch.provisioned(generation).unwrap();
        (up, shortfall)
    }
}

#[test]
fn a_floor_is_started_at_once_and_met_when_all_are_up() {
    let mut rig = Rig::new();
    assert_eq!(rig.dispatch.provisioned(G), None);
    let instances = rig.provision(&[(G, 3)]);
    assert_eq!(instances.len(), 3);
    for (up, instance) in (0..).zip(&instances) {
        assert_eq!(rig.shown(G), (up, None));
        rig.ready(*instance);
    }
    assert_eq!(rig.dispatch.provisioned(G), Some(Provision { wanted: 3, up: 3, shortfall: None }));
    assert_eq!(rig.later(1), []);
}

#[test]
fn its_instances_serve_first_and_what_is_beyond_them_spills_over() {
    let mut rig = Rig::new();
    let ordinary = rig.idle(G);
    let kept = rig.standing(G, 2);
    assert_eq!(rig.arrive(G), Decision::Run(kept[1]));
    assert_eq!(rig.arrive(G), Decision::Run(kept[0]));
    assert_eq!(rig.arrive(G), Decision::Run(ordinary));
    let spilled = rig.start(G);
    assert!(rig.provisioned().is_empty(), "spilled over to an ordinary one");
    rig.ready(spilled);
    rig.done(kept[0]);
    rig.done(ordinary);
    assert_eq!(rig.arrive(G), Decision::Run(kept[0]));
    assert_eq!(rig.shown(G), (2, None), "whoever serves is up");
}

#[test]
fn what_waits_gets_whichever_is_up_first() {
    let mut rig = Rig::new();
    let kept = rig.provision(&[(G, 1)]);
    let own = rig.start(G);
    let run = Action::Run { instance: kept[0], event: EventId(0) };
    assert_eq!(rig.ready(kept[0]), [run]);
    assert!(rig.ready(own).is_empty());
    assert_eq!(rig.done(kept[0]), Next::Idle);
}

#[test]
fn a_floor_neither_expires_nor_is_evicted() {
    let limits = Limits { instances: 3, ..Limits::default() };
    let mut rig = Rig::with(limits);
    let ordinary = rig.idle(G);
    let kept = rig.standing(G, 2);
    rig.start(H);
    assert_eq!(rig.out[0], end(ordinary, EndReason::Evicted));
    rig.dispatch.ended(ordinary);
    assert_eq!(rig.arrive(H), Decision::Refuse(Refusal::Throttled(Throttle::Capacity)));
    rig.now = rig.now.after(Duration::from_secs(1_000_000));
    assert!(rig.expire().is_empty());
    assert_eq!(rig.arrive(G), Decision::Run(kept[1]));
}

#[test]
fn one_that_breaks_is_replaced_at_once_and_one_that_dies_idle_after_a_pause() {
    let mut rig = Rig::new();
    let kept = rig.standing(G, 1);
    rig.arrive(G);
    let end = rig.dispatch.done(rig.now, kept[0], ANY, Fate::Broken);
    assert_eq!(end, Next::End(EndReason::Failed));
    rig.expire();
    let second = rig.provisioned();
    assert_eq!(second.len(), 1);
    rig.ready(second[0]);
    rig.out.clear();
    rig.dispatch.died(second[0], &mut rig.out);
    assert_eq!(rig.shown(G), (0, Some(Shortfall::Function)));
    assert_eq!(rig.later(0), []);
    assert_eq!(rig.later(1).len(), 1);
}

#[test]
fn a_function_that_does_not_start_is_tried_again_ever_more_rarely() {
    let mut rig = Rig::new();
    let mut next = rig.provision(&[(G, 1)]);
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        rig.fail(next[0], StartFailure::Init);
        assert_eq!(rig.shown(G), (0, Some(Shortfall::Function)));
        assert_eq!(rig.later(0), []);
        assert_eq!(rig.dispatch.next_expiry(), Some(rig.now.after(Duration::from_secs(seconds))));
        assert_eq!(rig.later(seconds - 1), []);
        next = rig.later(1);
        assert_eq!(next.len(), 1, "after {seconds} s");
    }
    rig.ready(next[0]);
    assert_eq!(rig.shown(G), (1, None));
}

#[test]
fn a_failing_floor_answers_nobody_and_leaves_events_their_own_start() {
    let mut rig = Rig::new();
    let kept = rig.provision(&[(G, 1)]);
    let own = rig.start(G);
    assert_eq!(rig.fail(kept[0], StartFailure::Init), [end(kept[0], EndReason::Failed)]);
    assert_eq!(rig.ready(own), [Action::Run { instance: own, event: EventId(0) }]);
}

#[test]
fn without_room_a_floor_waits_and_says_so() {
    let mut rig = Rig::with(Limits { instances: 1, ..Limits::default() });
    let only = rig.provision(&[(G, 2)]);
    assert_eq!(only.len(), 1);
    rig.ready(only[0]);
    assert_eq!(rig.shown(G), (1, Some(Shortfall::Room)));
    rig.dispatch.set_capacity(2);
    let second = rig.later(1);
    rig.ready(second[0]);
    assert_eq!(rig.shown(G), (2, None));
}

#[test]
fn a_lower_floor_lets_go_of_the_rest_which_then_age() {
    let mut rig = Rig::new();
    let kept = rig.standing(G, 3);
    assert_eq!(rig.provision(&[(G, 1)]), []);
    assert_eq!(rig.dispatch.provisioned(G), Some(Provision { wanted: 1, up: 1, shortfall: None }));
    rig.now = rig.now.after(Limits::default().idle_for);
    let mut ended = rig.expire();
    ended.sort_by_key(|action| match action {
        Action::End { instance, .. } => *instance,
        _ => InstanceId(u64::MAX),
    });
    assert_eq!(ended, [end(kept[0], EndReason::Expired), end(kept[1], EndReason::Expired)]);
    assert_eq!(rig.provision(&[]), []);
    assert_eq!(rig.dispatch.provisioned(G), None);
    assert_eq!(rig.arrive(G), Decision::Run(kept[2]));
}

#[test]
fn starts_that_are_let_go_serve_what_waits() {
    let mut rig = Rig::new();
    let kept = rig.provision(&[(G, 2)]);
    rig.provision(&[]);
    assert_eq!(rig.arrive(G), Decision::Wait);
    assert!(rig.out.is_empty(), "one that starts already is to spare");
    let failure = Some(StartFailure::Init);
    let answered = Action::Fail { event: EventId(0), failure };
    assert_eq!(rig.fail(kept[0], StartFailure::Init), [end(kept[0], EndReason::Failed), answered]);
}

#[test]
fn a_floor_that_moves_stands_until_its_successor_does() {
    let mut rig = Rig::new();
    let old = rig.standing(G, 2);
    let new = rig.provision(&[(H, 2)]);
    assert_eq!(rig.dispatch.provisioned(G), None, "it is no longer what is configured");
    rig.ready(new[0]);
    rig.now = rig.now.after(Limits::default().idle_for);
    assert!(rig.expire().is_empty(), "the old ones are there still");
    rig.ready(new[1]);
    rig.expire();
    rig.now = rig.now.after(Limits::default().idle_for);
    assert_eq!(rig.expire().len(), old.len(), "and then they age");
    assert_eq!(rig.shown(H), (2, None));
}

#[test]
fn a_floor_whose_successor_fails_does_not_stand_for_ever() {
    let mut rig = Rig::new();
    rig.standing(G, 1);
    let new = rig.provision(&[(H, 1)]);
    rig.fail(new[0], StartFailure::Init);
    rig.expire();
    rig.now = rig.now.after(Limits::default().idle_for);
    assert!(rig.expire().iter().any(|action| matches!(action, Action::End { .. })));
}

#[test]
fn a_retired_generation_has_no_floor() {
    let mut rig = Rig::new();
    let kept = rig.standing(G, 1);
    assert_eq!(rig.retire(G), [end(kept[0], EndReason::Retired)]);
    assert_eq!(rig.provision(&[(G, 1)]), []);
    assert_eq!(rig.later(1), []);
    let started = rig.provision(&[(H, 1)]);
    rig.retire(H);
    assert_eq!(rig.ready(started[0]), [end(started[0], EndReason::Retired)]);
}

#[test]
fn stopping_ends_what_is_provisioned_and_starts_nothing_in_its_place() {
    let mut rig = Rig::new();
    let kept = rig.standing(G, 1);
    rig.out.clear();
    rig.dispatch.stop(&mut rig.out);
    assert_eq!(rig.out, [end(kept[0], EndReason::Stopping)]);
    rig.dispatch.ended(kept[0]);
    assert_eq!(rig.later(100), []);
    assert_eq!(rig.provision(&[(G, 1)]), []);
}

#[test]
fn nobody_else_uses_up_what_is_provisioned() {
    let mut rig = Rig::with(Limits { concurrency: 3, ..Limits::default() });
    rig.dispatch.set_reserved(2);
    rig.standing(G, 2);
    rig.start(H);
    assert_eq!(rig.arrive(H), Decision::Refuse(Refusal::Throttled(Throttle::Account)));
    assert!(matches!(rig.arrive(G), Decision::Run(_)));
    let Decision::Run(last) = rig.arrive(G) else { panic!("the floor's own") };
    assert_eq!(rig.arrive(G), Decision::Refuse(Refusal::Throttled(Throttle::Account)));
    rig.done(last);
    assert!(matches!(rig.arrive(G), Decision::Run(_)));
}

/// A few at a time: four, two of one function.
fn few() -> Rig {
    Rig::with(Limits { provisioning: 4, ..Limits::default() })
}

#[test]
fn a_large_floor_is_started_a_few_at_a_time_and_each_end_of_a_start_makes_room_for_one() {
    let mut rig = few();
    let first = rig.provision(&[(G, 100)]);
    assert_eq!(first.len(), 2, "its share");
    assert_eq!(rig.later(1_000), [], "whatever time it takes");
    assert_eq!(rig.dispatch.next_expiry(), None, "and nobody has to look");
    rig.ready(first[0]);
    let third = rig.provisioned();
    assert_eq!(third.len(), 1);
    rig.fail(first[1], StartFailure::Init);
    assert_eq!(rig.provisioned(), [], "after a pause, because it failed");
    let mut under_way = [third, rig.later(1)].concat();
    for up in 2..=100 {
        let next = under_way.pop().expect("one is under way");
        rig.ready(next);
        under_way.extend(rig.provisioned());
        assert!(under_way.len() <= 2);
        assert_eq!(rig.shown(G).0, up);
    }
    assert_eq!((under_way, rig.shown(G)), (vec![], (100, None)));
}

#[test]
fn a_small_floor_does_not_wait_for_a_large_one() {
    let (other, third) = (FunctionId(2), FunctionId(3));
    let (of_other, of_third) = (Generation(20), Generation(30));
    let mut rig = few();
    // Whatever it does, it hangs.
    assert_eq!(rig.provision(&[(G, 50), (H, 50)]).len(), 2);
    let large = rig.provision_of(other, &[(of_other, 50)]);
    assert_eq!(large.len(), 2);
    assert_eq!(rig.provision_of(third, &[(of_third, 2)]), [], "all are under way");
    rig.ready(large[0]);
    let small = rig.provisioned();
    assert_eq!(small.len(), 1);
    rig.ready(small[0]);
    assert_eq!(rig.shown(of_third), (1, None), "the next one was the small one's");
    let small = rig.provisioned();
    rig.ready(small[0]);
    assert_eq!(rig.shown(of_third), (2, None), "and so was the one after it");
    assert_eq!(rig.provisioned().len(), 1, "then the large one goes on");
}

#[test]
fn of_a_floor_that_is_taken_back_nothing_more_is_started() {
    let mut rig = few();
    let under_way = rig.provision(&[(G, 100)]);
    assert_eq!(rig.provision(&[]), []);
    let again = rig.provision(&[(H, 100)]);
    assert_eq!(again.len(), 2, "what is under way is counted, whoever it was for");
    assert_eq!(rig.provision(&[]), []);
    assert_eq!(rig.provision(&[(H, 100)]), [], "however often it is configured");
    rig.ready(under_way[0]);
    assert_eq!(rig.provisioned().len(), 1);
    rig.provision(&[]);
    for instance in [under_way[1], again[0], again[1]] {
        rig.ready(instance);
        assert_eq!(rig.provisioned(), []);
    }
}

#[test]
fn a_floor_grows_no_faster_than_a_function_may_and_leaves_its_calls_their_own_rate() {
    let limits = Limits { starts: 2, provisioning: 8, ..Limits::default() };
    let mut rig = Rig::with(limits);
    let first = rig.provision(&[(G, 4)]);
    assert_eq!(first.len(), 2);
    let other = rig.provision_of(FunctionId(2), &[(Generation(20), 1)]);
    assert_eq!(other.len(), 1, "each function has its own");
    assert_eq!(rig.arrive(G), Decision::Wait, "and its calls have another");
    assert_eq!(rig.dispatch.next_expiry(), Some(rig.now.after(Duration::from_secs(5))));
    assert_eq!(rig.later(4), []);
    assert_eq!(rig.later(1).len(), 1);
    assert_eq!(rig.later(5).len(), 1);
}
