//! What is over leaves nothing, and changes nothing.

use super::*;

#[test]
fn nothing_is_kept_of_a_generation_that_has_nothing() {
    let mut rig = Rig::new();
    for generation in 10..200 {
        let instance = rig.start(Generation(generation));
        rig.fail(instance, StartFailure::Init);
        rig.dispatch.ended(instance);
    }
    assert!(rig.dispatch.queues.is_empty() && rig.dispatch.instances.is_empty());
}

#[test]
fn what_is_said_twice_or_too_late_changes_nothing() {
    let mut rig = Rig::new();
    let instance = rig.idle(G);
    let before = rig.dispatch.stats();
    assert!(rig.ready(instance).is_empty());
    assert!(rig.fail(instance, StartFailure::Died).is_empty());
    assert_eq!(rig.done(instance), Next::Idle);
    assert_eq!(rig.dispatch.stats(), before);
}
