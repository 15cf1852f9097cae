//! When templates are started and ended.

use std::time::Duration;

use wire::spawner::TemplateId;

use super::{AGE, CROWD, Errand, FORKS, KEEP, PATIENCE, PROVEN, SILENCE, Templates};

const A: TemplateId = TemplateId(1);
const B: TemplateId = TemplateId(2);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One that is there since the beginning of time.
fn one() -> Templates {
    let mut templates = Templates::default();
    assert_eq!(templates.next(at(0), 2), Some(Errand::Start));
    assert_eq!(templates.next(at(0), 2), None, "one start at a time");
    templates.started(at(0), Some(A));
    assert_eq!(templates.next(at(0), 2), None);
    templates
}

fn fork(templates: &mut Templates, now: Duration, times: u32) {
    for _ in 0..times {
        let id = templates.pick(now).expect("one to fork");
        templates.forked(now, id, true);
    }
}

#[test]
fn one_is_started_and_forked_from() {
    let mut templates = Templates::default();
    assert_eq!(templates.pick(at(0)), None);
    assert!(!templates.is_near());
    assert_eq!(templates.next(at(0), 2), Some(Errand::Start));
    assert!(templates.is_near());
    templates.started(at(0), Some(A));
    assert!(!templates.is_near());
    assert_eq!(templates.pick(at(1)), Some(A));
}

#[test]
fn without_memory_there_are_none() {
    assert_eq!(Templates::default().next(at(0), 0), None);
    let mut templates = one();
    assert_eq!(templates.next(at(1), 0), Some(Errand::End(A)));
    assert_eq!(templates.next(at(1), 0), None);
    assert_eq!(templates.pick(at(1)), None, "it is ending");
    assert!(templates.gone(at(1), A));
    assert_eq!(templates.next(at(1), 1), Some(Errand::Start), "as soon as there is some");
}

#[test]
fn one_that_cannot_be_started_is_tried_again_after_longer_and_longer() {
    let mut templates = Templates::default();
    let mut now = at(0);
    let mut last = Duration::ZERO;
    for _ in 0..4 {
        assert_eq!(templates.next(now, 1), Some(Errand::Start));
        templates.started(now, None);
        assert_eq!(templates.next(now, 1), None);
        assert!(!templates.is_near(), "nobody waits for it");
        let failed = now;
        while templates.next(now, 1).is_none() {
            now += Duration::from_millis(500);
        }
        templates.started(now, None);
        assert!(now - failed > last, "{:?} after {last:?}", now - failed);
        last = now - failed;
        now += at(300);
    }
}

#[test]
fn one_that_ends_by_itself_is_replaced_at_once_if_it_had_lived() {
    let mut templates = one();
    assert!(templates.gone(PROVEN, A));
    assert_eq!(templates.next(PROVEN, 1), Some(Errand::Start));
    // And after a while if it had not, or it would be started without end.
    templates.started(PROVEN, Some(B));
    assert!(templates.gone(PROVEN + at(1), B));
    assert_eq!(templates.next(PROVEN + at(1), 1), None);
    assert_eq!(templates.next(PROVEN + at(9), 1), Some(Errand::Start));
    assert!(!templates.gone(at(99), A), "it was told before");
}

#[test]
fn an_old_one_and_one_much_used_serve_until_their_successor_is_there() {
    for (now, forks) in [(AGE, 1), (at(1), FORKS)] {
        let mut templates = one();
        fork(&mut templates, at(1), forks);
        assert_eq!(templates.next(now, 1), Some(Errand::Start));
        assert_eq!(templates.pick(now), Some(A), "there is no other yet");
        templates.forked(now, A, true);
        assert_eq!(templates.next(now, 1), None);
        templates.started(now, Some(B));
        assert_eq!(templates.next(now, 1), Some(Errand::End(A)));
        assert_eq!(templates.next(now, 1), None);
        assert_eq!(templates.pick(now), Some(B));
    }
}

#[test]
fn one_that_nobody_was_forked_from_is_never_too_old() {
    assert_eq!(one().next(AGE * 100, 1), None);
}

#[test]
fn a_crowd_gets_another_one_and_gives_it_up_later() {
    let mut templates = one();
    for _ in 0..=CROWD {
        assert_eq!(templates.next(at(1), 2), None);
        assert_eq!(templates.pick(at(1)), Some(A));
    }
    assert_eq!(templates.next(at(1), 1), None, "there is no processor for another");
    assert_eq!(templates.next(at(1), 2), Some(Errand::Start));
    templates.started(at(1), Some(B));
    assert_eq!(templates.pick(at(1)), Some(B), "it has least to do");
    assert_eq!(templates.next(at(1), 2), None);
    for _ in 0..=CROWD {
        templates.forked(at(2), A, true);
    }
    templates.forked(at(2), B, true);
    assert_eq!(templates.next(KEEP, 2), None);
    assert_eq!(templates.next(at(1) + KEEP, 2), Some(Errand::End(A)));
    assert_eq!(templates.next(at(1) + KEEP, 2), None);
}

#[test]
fn one_that_says_nothing_while_a_fork_is_waited_for_hangs_and_is_replaced() {
    let mut templates = one();
    assert_eq!(templates.pick(at(5)), Some(A));
    assert!(!templates.hangs(at(5), A));
    assert_eq!(templates.next(at(6), 1), None);
    assert!(templates.hangs(at(5) + SILENCE, A));
    assert_eq!(templates.next(at(5) + SILENCE, 1), Some(Errand::End(A)));
    assert_eq!(templates.next(at(5) + SILENCE, 1), Some(Errand::Start));
    // One that is busy with others does not.
    let mut templates = one();
    for second in 5..60 {
        assert_eq!(templates.pick(at(second)), Some(A));
        assert_eq!(templates.pick(at(second)), Some(A));
        templates.forked(at(second + 1), A, true);
        assert!(!templates.hangs(at(second + 1), A));
        templates.forked(at(second + 1), A, true);
        assert_eq!(templates.next(at(second + 1), 1), None);
    }
}

#[test]
fn one_that_fails_again_and_again_is_replaced() {
    let mut templates = one();
    for _ in 1..PATIENCE {
        templates.pick(at(1));
        templates.forked(at(1), A, false);
    }
    fork(&mut templates, at(1), 1);
    assert_eq!(templates.next(at(1), 1), None, "one that went well in between forgives the rest");
    for _ in 0..PATIENCE {
        templates.pick(at(1));
        templates.forked(at(1), A, false);
    }
    assert_eq!(templates.next(at(1), 1), Some(Errand::End(A)));
}
