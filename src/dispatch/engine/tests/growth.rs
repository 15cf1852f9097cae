//! How fast a function may grow, seen from outside.

use super::*;
use crate::Refusal;

const FULL: Decision = Decision::Refuse(Refusal::Throttled(Throttle::Rate));

#[test]
fn starts_beyond_the_rate_are_throttled_and_come_back_with_time() {
    let mut rig = Rig::with(Limits { starts: 2, ..Limits::default() });
    let first = rig.start(G);
    rig.start(G);
    assert_eq!(rig.arrive(G), FULL);
    assert!(rig.out.is_empty());
    // One that is there serves whatever the rate says.
    rig.now = Time(4_999);
    rig.dispatch.ready(rig.now, first, &mut rig.out);
    assert_eq!(rig.dispatch.done(rig.now, first, ANY, Fate::Reusable), Next::Run(EventId(1)));
    assert_eq!(rig.dispatch.done(rig.now, first, ANY, Fate::Reusable), Next::Idle);
    assert_eq!(rig.arrive(G), Decision::Run(first));
    assert_eq!(rig.arrive(H), FULL, "another version is the same function");
    rig.now = Time(5_000);
    assert_eq!(rig.arrive(G), Decision::Wait, "the second start was for an event that was served");
    assert!(rig.out.is_empty());
    rig.start(G);
    assert_eq!(rig.arrive(G), FULL);
}
