//! What dispatching promises, on a clock that stands still.

mod growth;

use std::time::Duration;

use model::{FunctionId, Generation};

use super::*;
use crate::{EventId, Initialization, Phase, Throttle};

mod keeping;
mod provisioned;
mod remains;
mod shared;

const F: FunctionId = FunctionId(1);
const G: Generation = Generation(1);
const H: Generation = Generation(2);
const ANY: EventId = EventId(u64::MAX);

/// A dispatch, its clock, and the last actions.
struct Rig {
    dispatch: Dispatch,
    now: Time,
    out: Vec<Action>,
    events: u64,
    slots: u32,
}

impl Rig {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let dispatch = Dispatch::new(limits);
        Self { dispatch, now: Time(0), out: Vec::new(), events: 0, slots: 1 }
    }

    fn arrive(&mut self, generation: Generation) -> Decision {
        self.arrive_reserved(generation, None)
    }

    fn arrive_reserved(&mut self, generation: Generation, reserved: Option<u32>) -> Decision {
        let event = EventId(self.events);
        self.events += 1;
        self.out.clear();
        let arrival = Arrival { event, function: F, generation, reserved, slots: self.slots };
        self.dispatch.arrive(self.now, arrival, &mut self.out)
    }

    /// One event that has to wait, and the instance that is started for it.
    fn start(&mut self, generation: Generation) -> InstanceId {
        assert_eq!(self.arrive(generation), Decision::Wait);
        self.started()
    }

    /// The one instance the last step started.
    fn started(&self) -> InstanceId {
        let starts: Vec<InstanceId> = self
            .out
            .iter()
            .filter_map(|action| match action {
                Action::Start { instance, .. } => Some(*instance),
                _ => None,
            })
            .collect();
        assert_eq!(starts.len(), 1, "{:?}", self.out);
        starts[0]
    }

    fn ready(&mut self, instance: InstanceId) -> Vec<Action> {
        self.out.clear();
        self.dispatch.ready(self.now, instance, &mut self.out);
        self.out.clone()
    }

    fn fail(&mut self, instance: InstanceId, failure: StartFailure) -> Vec<Action> {
        self.out.clear();
        self.dispatch.start_failed(instance, failure, &mut self.out);
        self.out.clone()
    }

    fn done(&mut self, instance: InstanceId) -> Next {
        self.dispatch.done(self.now, instance, ANY, Fate::Reusable)
    }

    /// An idle instance.
    fn idle(&mut self, generation: Generation) -> InstanceId {
        let instance = self.start(generation);
        self.ready(instance);
        assert_eq!(self.done(instance), Next::Idle);
        instance
    }

    fn retire(&mut self, generation: Generation) -> Vec<Action> {
        self.out.clear();
        self.dispatch.retire(self.now, generation, &mut self.out);
        self.out.clone()
    }

    fn expire(&mut self) -> Vec<Action> {
        self.out.clear();
        self.dispatch.expire(self.now, &mut self.out);
        self.out.clone()
    }
}

fn end(instance: InstanceId, reason: EndReason) -> Action {
    Action::End { instance, reason }
}

#[test]
fn an_event_starts_an_instance_and_runs_on_it() {
    let mut rig = Rig::new();
    let instance = rig.start(G);
    assert_eq!(rig.ready(instance), [Action::Run { instance, event: EventId(0) }]);
    assert_eq!(rig.done(instance), Next::Idle);
    assert_eq!(rig.arrive(G), Decision::Run(instance));
    assert!(rig.out.is_empty());
}

#[test]
fn the_most_recently_used_instance_serves_next() {
    let mut rig = Rig::new();
    let (a, b) = (rig.start(G), rig.start(G));
    rig.ready(a);
    rig.ready(b);
    rig.done(b);
    rig.done(a);
    assert_eq!(rig.arrive(G), Decision::Run(a));
    assert_eq!(rig.arrive(G), Decision::Run(b));
    rig.done(a);
    rig.done(b);
    assert_eq!(rig.arrive(G), Decision::Run(b));
}

#[test]
fn a_burst_starts_as_many_as_are_missing() {
    let mut rig = Rig::new();
    rig.idle(G);
    assert!(matches!(rig.arrive(G), Decision::Run(_)));
    for _ in 0..20 {
        rig.start(G);
    }
    assert_eq!(rig.dispatch.stats().starting, 20);
}

#[test]
fn an_event_takes_whichever_instance_comes_first() {
    let mut rig = Rig::new();
    let busy = rig.start(G);
    rig.ready(busy);
    let fresh = rig.start(G);
    assert_eq!(rig.done(busy), Next::Run(EventId(1)));
    assert!(rig.ready(fresh).is_empty());
    assert_eq!(rig.dispatch.stats().idle, 1);
}

#[test]
fn a_start_to_spare_serves_the_next_arrival() {
    let mut rig = Rig::new();
    let busy = rig.start(G);
    rig.ready(busy);
    let fresh = rig.start(G);
    rig.done(busy);
    assert_eq!(rig.arrive(G), Decision::Wait);
    assert!(rig.out.is_empty(), "the start under way is enough");
    assert_eq!(rig.ready(fresh), [Action::Run { instance: fresh, event: EventId(2) }]);
}

#[test]
fn events_that_wait_are_served_in_order() {
    let mut rig = Rig::new();
    let starts: Vec<InstanceId> = (0..3).map(|_| rig.start(G)).collect();
    for (event, instance) in starts.into_iter().rev().enumerate() {
        let event = EventId(event as u64);
        assert_eq!(rig.ready(instance), [Action::Run { instance, event }]);
    }
}

#[test]
fn a_failed_start_answers_exactly_one_event_and_starts_nothing() {
    for failure in [StartFailure::Init, StartFailure::Died] {
        let mut rig = Rig::new();
        let (a, _) = (rig.start(G), rig.start(G));
        let expected =
            [end(a, EndReason::Failed), Action::Fail { event: EventId(0), failure: Some(failure) }];
        assert_eq!(rig.fail(a, failure), expected);
        assert_eq!(rig.dispatch.stats().waiting, 1);
    }
}

#[test]
fn without_a_cell_there_is_nothing_to_end() {
    let mut rig = Rig::new();
    let instance = rig.start(G);
    let failure = Some(StartFailure::NoCell);
    let expected = [Action::Fail { event: EventId(0), failure }];
    assert_eq!(rig.fail(instance, StartFailure::NoCell), expected);
    assert_eq!(rig.dispatch.stats(), Stats::default());
    assert_eq!(rig.dispatch.admitted(), 0);
}

#[test]
fn a_surplus_start_that_fails_answers_nobody() {
    let mut rig = Rig::new();
    let busy = rig.start(G);
    rig.ready(busy);
    let surplus = rig.start(G);
    rig.done(busy);
    assert_eq!(rig.fail(surplus, StartFailure::Init), [end(surplus, EndReason::Failed)]);
}

#[test]
fn an_overrun_is_started_again_once_on_the_time_of_its_event() {
    let mut rig = Rig::new();
    let first = rig.start(G);
    let actions = rig.fail(first, StartFailure::Overran);
    let second = rig.started();
    let (phase, initialization) = (Phase::Invoke, Initialization::OnDemand);
    let start = Action::Start { instance: second, generation: G, phase, initialization };
    assert_eq!(actions, [end(first, EndReason::Failed), start]);
    let failure = Some(StartFailure::Overran);
    let expected = [end(second, EndReason::Failed), Action::Fail { event: EventId(0), failure }];
    assert_eq!(rig.fail(second, StartFailure::Overran), expected);
}

#[test]
fn an_overrun_nobody_waits_for_is_not_started_again() {
    let mut rig = Rig::new();
    let busy = rig.start(G);
    rig.ready(busy);
    let surplus = rig.start(G);
    rig.done(busy);
    assert_eq!(rig.fail(surplus, StartFailure::Overran), [end(surplus, EndReason::Failed)]);
}

#[test]
fn an_event_bound_to_a_second_start_still_takes_an_instance_that_comes_first() {
    let mut rig = Rig::new();
    let busy = rig.start(G);
    rig.ready(busy);
    let slow = rig.start(G);
    rig.fail(slow, StartFailure::Overran);
    let second = rig.started();
    assert_eq!(rig.done(busy), Next::Run(EventId(1)));
    assert_eq!(rig.fail(second, StartFailure::Overran), [end(second, EndReason::Failed)]);
}

#[test]
fn a_second_start_is_not_counted_on_by_later_events() {
    let mut rig = Rig::new();
    let slow = rig.start(G);
    rig.fail(slow, StartFailure::Overran);
    let second = rig.started();
    let fresh = rig.start(G);
    assert_eq!(rig.ready(second), [Action::Run { instance: second, event: EventId(0) }]);
    assert_eq!(rig.ready(fresh), [Action::Run { instance: fresh, event: EventId(1) }]);
}

#[test]
fn a_surplus_second_start_of_a_retired_generation_ends_when_it_is_ready() {
    let mut rig = Rig::new();
    let busy = rig.start(G);
    rig.ready(busy);
    let slow = rig.start(G);
    rig.fail(slow, StartFailure::Overran);
    let second = rig.started();
    rig.retire(G);
    assert_eq!(rig.done(busy), Next::Run(EventId(1)));
    assert_eq!(rig.done(busy), Next::End(EndReason::Retired));
    assert_eq!(rig.ready(second), [end(second, EndReason::Retired)]);
}

#[test]
fn idle_instances_age_out_oldest_first() {
    let mut rig = Rig::with(Limits { idle_for: Duration::from_secs(1), ..Limits::default() });
    let (a, b) = (rig.start(G), rig.start(G));
    rig.ready(a);
    rig.ready(b);
    rig.done(a);
    rig.now = Time(500);
    rig.done(b);
    assert_eq!(rig.dispatch.next_expiry(), Some(Time(1_000)));
    rig.now = Time(999);
    assert!(rig.expire().is_empty());
    rig.now = Time(1_000);
    assert_eq!(rig.expire(), [end(a, EndReason::Expired)]);
    assert_eq!(rig.dispatch.next_expiry(), Some(Time(1_500)));
    rig.now = Time(9_000);
    assert_eq!(rig.expire(), [end(b, EndReason::Expired)]);
    assert_eq!(rig.dispatch.next_expiry(), None);
}

#[test]
fn a_retired_generation_ends_idle_ones_now_and_busy_ones_after_their_event() {
    let mut rig = Rig::new();
    let (busy, idle) = (rig.start(G), rig.start(G));
    rig.ready(busy);
    rig.ready(idle);
    rig.done(idle);
    assert_eq!(rig.retire(G), [end(idle, EndReason::Retired)]);
    assert_eq!(rig.done(busy), Next::End(EndReason::Retired));
}

#[test]
fn a_retired_generation_serves_what_it_accepted_and_nothing_later() {
    let mut rig = Rig::new();
    let instance = rig.start(G);
    rig.retire(G);
    assert_eq!(rig.arrive(G), Decision::Refuse(Refusal::Retired));
    assert_eq!(rig.ready(instance), [Action::Run { instance, event: EventId(0) }]);
    assert_eq!(rig.done(instance), Next::End(EndReason::Retired));
    assert_eq!(rig.arrive(G), Decision::Refuse(Refusal::Retired));
}

#[test]
fn a_retired_generation_is_not_remembered_for_ever() {
    let mut rig = Rig::new();
    rig.retire(G);
    rig.now = Time(0).after(REMEMBER);
    rig.expire();
    assert!(rig.dispatch.retired.is_empty() && rig.dispatch.forget.is_empty());
}

#[test]
fn a_full_spawner_gives_up_the_instance_of_another_that_was_used_longest_ago() {
    let mut rig = Rig::with(Limits { instances: 2, ..Limits::default() });
    let old = rig.idle(G);
    rig.now = Time(1);
    rig.idle(H);
    rig.start(Generation(3));
    assert_eq!(rig.out[0], end(old, EndReason::Evicted));
}

#[test]
fn a_full_spawner_with_nothing_idle_throttles_at_once() {
    let mut rig = Rig::with(Limits { instances: 1, ..Limits::default() });
    let instance = rig.start(G);
    rig.ready(instance);
    assert_eq!(rig.arrive(H), Decision::Refuse(Refusal::Throttled(Throttle::Capacity)));
    assert_eq!(rig.dispatch.admitted(), 1);
    assert!(rig.out.is_empty());
}

#[test]
fn short_memory_evicts_idle_instances_until_a_start_fits() {
    let mut rig =
        Rig::with(Limits { memory_reserve: 100, start_estimate: 10, ..Limits::default() });
    let (a, b, c) = (rig.idle(G), rig.idle(H), rig.idle(Generation(3)));
    for instance in [a, b, c] {
        rig.dispatch.measured(instance, 6);
    }
    rig.dispatch.observe(Facts { used: 18, available: 100 });
    rig.start(Generation(4));
    assert_eq!(rig.out[..2], [end(a, EndReason::Evicted), end(b, EndReason::Evicted)]);
    assert_eq!(rig.dispatch.stats().idle, 1);
}

#[test]
fn idle_instances_are_not_evicted_where_that_would_not_help() {
    let mut rig =
        Rig::with(Limits { memory_reserve: 100, start_estimate: 10, ..Limits::default() });
    let a = rig.idle(G);
    rig.dispatch.measured(a, 6);
    rig.dispatch.observe(Facts { used: 6, available: 100 });
    assert_eq!(rig.arrive(H), Decision::Refuse(Refusal::Throttled(Throttle::Memory)));
    assert!(rig.out.is_empty());
    assert_eq!(rig.arrive(G), Decision::Run(a));
}

#[test]
fn reserved_concurrency_bounds_a_function_across_its_generations() {
    let mut rig = Rig::new();
    assert_eq!(rig.arrive_reserved(G, Some(2)), Decision::Wait);
    assert_eq!(rig.arrive_reserved(H, Some(2)), Decision::Wait);
    let refused = Decision::Refuse(Refusal::Throttled(Throttle::Function));
    assert_eq!(rig.arrive_reserved(G, Some(2)), refused);
}

#[test]
fn a_broken_instance_is_ended_and_those_who_wait_have_their_own_starts() {
    let mut rig = Rig::new();
    let broken = rig.start(G);
    rig.ready(broken);
    let fresh = rig.start(G);
    let next = rig.dispatch.done(rig.now, broken, ANY, Fate::Broken);
    assert_eq!(next, Next::End(EndReason::Failed));
    assert_eq!(rig.ready(fresh), [Action::Run { instance: fresh, event: EventId(1) }]);
}

#[test]
fn an_event_that_reached_nobody_is_placed_again() {
    let mut rig = Rig::new();
    let dead = rig.idle(G);
    assert_eq!(rig.arrive(G), Decision::Run(dead));
    rig.dispatch.undelivered(dead, ANY, &mut rig.out);
    assert_eq!(rig.out[0], end(dead, EndReason::Failed));
    let fresh = rig.started();
    assert_eq!(rig.ready(fresh), [Action::Run { instance: fresh, event: EventId(1) }]);
}

#[test]
fn an_event_that_followed_another_and_reached_nobody_is_placed_again() {
    let mut rig = Rig::new();
    let dead = rig.start(G);
    rig.ready(dead);
    let fresh = rig.start(G);
    assert_eq!(rig.done(dead), Next::Run(EventId(1)));
    rig.out.clear();
    rig.dispatch.undelivered(dead, ANY, &mut rig.out);
    assert_eq!(rig.out, [end(dead, EndReason::Failed)]);
    assert_eq!(rig.ready(fresh), [Action::Run { instance: fresh, event: EventId(1) }]);
}

#[test]
fn an_event_whose_fresh_instance_is_dead_is_answered() {
    let mut rig = Rig::new();
    let dead = rig.start(G);
    rig.ready(dead);
    rig.out.clear();
    rig.dispatch.undelivered(dead, ANY, &mut rig.out);
    let failure = Some(StartFailure::Died);
    let expected = [end(dead, EndReason::Failed), Action::Fail { event: EventId(0), failure }];
    assert_eq!(rig.out, expected);
}

#[test]
fn an_idle_instance_that_dies_is_not_leased() {
    let mut rig = Rig::new();
    let dead = rig.idle(G);
    rig.out.clear();
    rig.dispatch.died(dead, &mut rig.out);
    assert_eq!(rig.out, [end(dead, EndReason::Failed)]);
    assert_eq!(rig.arrive(G), Decision::Wait);
}

#[test]
fn an_ended_instance_frees_its_place_once() {
    let mut rig = Rig::new();
    let instance = rig.idle(G);
    rig.retire(G);
    assert_eq!(rig.dispatch.stats().ending, 1);
    rig.dispatch.ended(instance);
    rig.dispatch.ended(instance);
    assert_eq!(rig.dispatch.stats(), Stats::default());
}

#[test]
fn stopping_serves_what_was_accepted_and_refuses_the_rest() {
    let mut rig = Rig::new();
    let idle = rig.idle(H);
    let waiting = rig.start(G);
    rig.out.clear();
    rig.dispatch.stop(&mut rig.out);
    assert_eq!(rig.out, [end(idle, EndReason::Stopping)]);
    assert_eq!(rig.arrive(G), Decision::Refuse(Refusal::Stopping));
    assert!(matches!(rig.ready(waiting)[..], [Action::Run { .. }]));
    assert_eq!(rig.done(waiting), Next::End(EndReason::Stopping));
}

#[test]
fn abandoning_fails_everything_that_waits() {
    let mut rig = Rig::new();
    let slow = rig.start(G);
    rig.start(G);
    rig.fail(slow, StartFailure::Overran);
    rig.out.clear();
    rig.dispatch.abandon(&mut rig.out);
    let mut failed: Vec<u64> = rig
        .out
        .iter()
        .filter_map(|action| match action {
            Action::Fail { event, failure: None } => Some(event.0),
            _ => None,
        })
        .collect();
    failed.sort_unstable();
    assert_eq!(failed, [0, 1]);
    assert_eq!(rig.dispatch.admitted(), 0);
}
