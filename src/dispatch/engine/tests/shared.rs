//! Instances that serve several events at once.

use super::*;

// === impl Rig ===

impl Rig {
    /// One whose instances serve so many at once.
    fn sharing(slots: u32) -> Self {
        Self { slots, ..Self::new() }
    }

    /// An event arrives; its name.
    fn event(&mut self) -> (EventId, Decision) {
        let event = EventId(self.events);
        (event, self.arrive(G))
    }

    fn over(&mut self, instance: InstanceId, event: EventId, fate: Fate) -> Next {
        self.dispatch.done(self.now, instance, event, fate)
    }

    /// An instance that serves so many.
    fn serving(&mut self, count: u64) -> (InstanceId, Vec<EventId>) {
        let instance = self.start(G);
        let mut events = vec![EventId(self.events - 1)];
        self.ready(instance);
        for _ in 1..count {
            let (event, decision) = self.event();
            assert_eq!(decision, Decision::Run(instance));
            events.push(event);
        }
        (instance, events)
    }
}

#[test]
fn an_instance_serves_as_many_as_it_has_seats_for_and_the_next_starts_another() {
    let mut rig = Rig::sharing(3);
    let (first, events) = rig.serving(3);
    assert_eq!(rig.dispatch.stats().busy, 1);
    assert_eq!(rig.dispatch.admitted(), 3);
    let second = rig.start(G);
    assert_ne!(second, first);
    assert_eq!(rig.over(first, events[1], Fate::Reusable), Next::Run(EventId(3)));
    assert!(rig.ready(second).is_empty(), "nobody waits for it any more");
    assert_eq!(rig.dispatch.stats().idle, 1);
}

#[test]
fn one_start_is_counted_on_by_as_many_as_it_will_seat() {
    let mut rig = Rig::sharing(3);
    let first = rig.start(G);
    for _ in 0..2 {
        assert_eq!(rig.arrive(G), Decision::Wait);
        assert!(rig.out.is_empty(), "the start under way has a seat for it");
    }
    let second = rig.start(G);
    let run = |event| Action::Run { instance: first, event: EventId(event) };
    assert_eq!(rig.ready(first), [run(0), run(1), run(2)]);
    let run = Action::Run { instance: second, event: EventId(3) };
    assert_eq!(rig.ready(second), [run]);
}

#[test]
fn events_go_where_others_are_so_that_the_rest_can_age() {
    let mut rig = Rig::sharing(2);
    let (first, served) = rig.serving(2);
    let second = rig.start(G);
    rig.ready(second);
    assert_eq!(rig.over(first, served[0], Fate::Reusable), Next::Idle);
    assert_eq!(rig.over(first, served[1], Fate::Reusable), Next::Idle);
    assert_eq!(rig.dispatch.stats().idle, 1);
    assert_eq!(rig.arrive(G), Decision::Run(second), "not the idle one");
    assert_eq!(rig.arrive(G), Decision::Run(first));
}

#[test]
fn what_breaks_an_instance_ends_it_once_and_releases_every_event() {
    let mut rig = Rig::sharing(4);
    let (instance, events) = rig.serving(3);
    assert_eq!(rig.over(instance, events[0], Fate::Broken), Next::End(EndReason::Failed));
    assert_eq!((rig.dispatch.stats().ending, rig.dispatch.stats().busy), (1, 0));
    assert_eq!(rig.over(instance, events[1], Fate::Broken), Next::Idle);
    rig.dispatch.ended(instance);
    assert_eq!(rig.over(instance, events[2], Fate::Reusable), Next::Idle, "gone already");
    assert_eq!(rig.dispatch.admitted(), 0);
    assert_ne!(rig.start(G), instance);
}

#[test]
fn one_that_overran_its_time_takes_no_more_and_ends_with_its_last_event() {
    let mut rig = Rig::sharing(3);
    let (instance, events) = rig.serving(2);
    assert_eq!(rig.over(instance, events[0], Fate::Spent), Next::Idle);
    let other = rig.start(G);
    assert_ne!(other, instance);
    assert_eq!(rig.over(instance, events[1], Fate::Reusable), Next::End(EndReason::Failed));
    let mut alone = Rig::sharing(3);
    let (instance, events) = alone.serving(1);
    assert_eq!(alone.over(instance, events[0], Fate::Spent), Next::End(EndReason::Failed));
}

#[test]
fn a_start_that_fails_answers_those_that_no_other_start_has_a_seat_for() {
    let mut rig = Rig::sharing(2);
    let first = rig.start(G);
    rig.arrive(G);
    let second = rig.start(G);
    let failure = Some(StartFailure::Init);
    let fail = |event| Action::Fail { event: EventId(event), failure };
    assert_eq!(rig.fail(first, StartFailure::Init), [end(first, EndReason::Failed), fail(0)]);
    let expected = [end(second, EndReason::Failed), fail(1), fail(2)];
    assert_eq!(rig.fail(second, StartFailure::Init), expected);
    assert_eq!(rig.dispatch.admitted(), 0);
}

#[test]
fn a_start_that_overran_is_begun_again_once_for_all_of_them() {
    let mut rig = Rig::sharing(2);
    let first = rig.start(G);
    rig.arrive(G);
    let actions = rig.fail(first, StartFailure::Overran);
    let second = rig.started();
    let (phase, initialization) = (Phase::Invoke, Initialization::OnDemand);
    let start = Action::Start { instance: second, generation: G, phase, initialization };
    assert_eq!(actions, [end(first, EndReason::Failed), start]);
    let failure = Some(StartFailure::Overran);
    let fail = |event| Action::Fail { event: EventId(event), failure };
    let expected = [end(second, EndReason::Failed), fail(0), fail(1)];
    assert_eq!(rig.fail(second, StartFailure::Overran), expected);
}

#[test]
fn an_event_that_reached_nobody_is_placed_again_if_its_instance_had_proven_itself() {
    let mut rig = Rig::sharing(2);
    let (fresh, events) = rig.serving(1);
    rig.out.clear();
    rig.dispatch.undelivered(fresh, events[0], &mut rig.out);
    let failure = Some(StartFailure::Died);
    let fail = Action::Fail { event: events[0], failure };
    assert_eq!(rig.out, [end(fresh, EndReason::Failed), fail]);

    let (proven, events) = rig.serving(2);
    rig.over(proven, events[0], Fate::Reusable);
    rig.out.clear();
    rig.dispatch.undelivered(proven, events[1], &mut rig.out);
    let next = rig.started();
    assert_eq!(rig.out[0], end(proven, EndReason::Failed));
    let run = Action::Run { instance: next, event: events[1] };
    assert_eq!(rig.ready(next), [run]);
}

#[test]
fn a_retired_one_finishes_what_it_serves() {
    let mut rig = Rig::sharing(2);
    let (instance, events) = rig.serving(2);
    assert!(rig.retire(G).is_empty());
    assert_eq!(rig.arrive(G), Decision::Refuse(Refusal::Retired));
    assert_eq!(rig.over(instance, events[0], Fate::Reusable), Next::Idle);
    assert_eq!(rig.over(instance, events[1], Fate::Reusable), Next::End(EndReason::Retired));
}

#[test]
fn an_idle_one_expires_and_is_evicted_like_any_other() {
    let mut rig = Rig::sharing(2);
    let (instance, events) = rig.serving(1);
    rig.over(instance, events[0], Fate::Reusable);
    rig.now = rig.now.after(Limits::default().idle_for);
    assert_eq!(rig.expire(), [end(instance, EndReason::Expired)]);
}

#[test]
fn concurrency_counts_events_and_not_instances() {
    let limits = Limits { concurrency: 3, ..Limits::default() };
    let mut rig = Rig { slots: 8, ..Rig::with(limits) };
    rig.serving(3);
    assert_eq!(rig.arrive(G), Decision::Refuse(Refusal::Throttled(Throttle::Account)));
}
