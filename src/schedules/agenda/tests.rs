//! Promises about what is due when, on a clock that stands still until it is moved.

use proptest::prelude::*;

use super::*;
use crate::expression::{Dialect, Expression};
use crate::recurrence::zone;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// A midnight of 2027.
const START: i64 = 1_804_377_600_000;

fn plan(expression: &str) -> Plan<()> {
    Plan {
        what: (),
        recurrence: Recurrence {
            expression: Expression::parse(expression, Dialect::Scheduler).expect("one"),
            zone: zone(None).expect("UTC"),
            anchor_ms: START,
            start_ms: None,
            end_ms: None,
        },
        since_ms: START,
        id: 7,
        window_ms: 0,
        retry: RetryPolicy::default(),
    }
}

fn name() -> Name {
    Name::Schedule("default/s".to_owned())
}

fn agenda(plan: Plan<()>) -> Agenda<()> {
    let mut agenda = Agenda::new();
    agenda.put(name(), plan, None);
    agenda
}

/// Takes the one thing that is due, as an hour and minute after the start, and finishes it.
fn take(agenda: &mut Agenda<()>, now_ms: i64) -> Option<i64> {
    let due = agenda.due(now_ms, 10);
    assert!(due.len() <= 1, "{due:?}");
    let due = due.into_iter().next()?;
    agenda.finish(&due.name, due.instant_ms, Fate::Over, now_ms);
    assert!(!due.lapsed);
    Some(due.instant_ms - START)
}

#[test]
fn an_instant_is_due_when_it_has_come_and_once() {
    let mut agenda = agenda(plan("rate(1 hour)"));
    assert_eq!(agenda.next_ms(), Some(START + HOUR));
    assert_eq!(take(&mut agenda, START + HOUR - 1), None);
    assert_eq!(take(&mut agenda, START + HOUR), Some(HOUR));
    assert_eq!(take(&mut agenda, START + HOUR), None);
    assert_eq!(agenda.next_ms(), Some(START + 2 * HOUR));
}

#[test]
fn nothing_is_due_twice_while_it_is_being_handed_over() {
    let mut agenda = agenda(plan("rate(1 minute)"));
    let now = START + MINUTE;
    let due = agenda.due(now, 10);
    assert_eq!(due.len(), 1);
    assert!(agenda.due(now + DAY, 10).is_empty());
    assert_eq!(agenda.next_ms(), None);
    assert_eq!(agenda.finish(&name(), due[0].instant_ms, Fate::Over, now + DAY), Next::Waiting);
    assert_eq!(agenda.due(now + DAY, 10).len(), 1);
}

#[test]
fn a_clock_put_forward_brings_one_run_and_not_a_storm() {
    let mut agenda = agenda(plan("rate(1 minute)"));
    assert_eq!(take(&mut agenda, START + MINUTE), Some(MINUTE));
    for jump in [3 * HOUR, 40 * DAY, 4000 * DAY] {
        let now = START + jump + 30_000;
        let due = agenda.due(now, 10);
        assert_eq!(due.len(), 1);
        assert!(due[0].missed);
        assert_eq!(due[0].instant_ms, START + jump, "the latest");
        agenda.finish(&name(), due[0].instant_ms, Fate::Over, now);
        assert!(agenda.due(now, 10).is_empty());
        assert_eq!(agenda.next_ms(), Some(START + jump + MINUTE));
    }
}

#[test]
fn a_clock_set_back_runs_nothing_a_second_time() {
    let mut agenda = agenda(plan("rate(1 hour)"));
    assert_eq!(take(&mut agenda, START + 5 * HOUR), Some(5 * HOUR));
    for hour in 0..6 {
        assert_eq!(take(&mut agenda, START + hour * HOUR), None);
    }
    assert_eq!(take(&mut agenda, START + 6 * HOUR), Some(6 * HOUR));
}

#[test]
fn after_a_restart_what_was_taken_is_past_and_what_was_missed_is_made_up() {
    let restarted = |taken, now| {
        let mut agenda = Agenda::new();
        agenda.put(name(), plan("rate(1 hour)"), taken);
        take(&mut agenda, now)
    };
    let now = START + 5 * HOUR + 1;
    assert_eq!(restarted(Some(START + 5 * HOUR), now), None);
    assert_eq!(restarted(Some(START + 2 * HOUR), now), Some(5 * HOUR));
    assert_eq!(restarted(None, now), Some(5 * HOUR));
    // What was noted under a clock that was ahead.
    assert_eq!(restarted(Some(START + 9 * HOUR), now), None);
}

#[test]
fn what_is_older_than_the_maximum_age_lapses() {
    let mut plan = plan("rate(1 day)");
    plan.retry.max_age_s = 3600;
    let mut agenda = agenda(plan);
    let now = START + 3 * DAY + HOUR + 1;
    let due = agenda.due(now, 10);
    assert!(due[0].lapsed, "an hour and a millisecond");
    assert_eq!(agenda.finish(&name(), due[0].instant_ms, Fate::Over, now), Next::Waiting);
    assert_eq!(agenda.next_ms(), Some(START + 4 * DAY));
    let due = agenda.due(START + 4 * DAY + HOUR, 10);
    assert!(!due[0].lapsed, "an hour");
}

#[test]
fn what_runs_once_ends() {
    let mut agenda = agenda(plan("at(2027-03-08T00:00:00)"));
    let at = agenda.next_ms().expect("it is in the future");
    let due = agenda.due(at, 10);
    assert_eq!(agenda.finish(&name(), due[0].instant_ms, Fate::Over, at), Next::Ended);
    assert_eq!(agenda.next_ms(), None);
    // In the past when it was made: it never runs, and nothing says that it has.
    agenda.put(name(), plan("at(2026-01-01T00:00:00)"), None);
    assert_eq!(agenda.next_ms(), None);
}

#[test]
fn handing_over_is_tried_again_and_not_for_ever() {
    let mut plan = plan("rate(1 day)");
    plan.retry.max_attempts = 3;
    let mut agenda = agenda(plan);
    let mut now = START + DAY;
    let mut pauses = Vec::new();
    loop {
        let due = agenda.due(now, 10);
        assert_eq!(due[0].instant_ms, START + DAY);
        assert_eq!(due[0].attempts as usize, pauses.len());
        match agenda.finish(&name(), due[0].instant_ms, Fate::Failed, now) {
            Next::Waiting => pauses.push(agenda.next_ms().expect("it waits") - now),
            next => break assert_eq!(next, Next::GivenUp),
        }
        now = agenda.next_ms().expect("it waits");
    }
    assert_eq!(pauses, [1000, 2000, 4000]);
    assert_eq!(agenda.next_ms(), Some(START + 2 * DAY));
}

#[test]
fn the_pause_between_two_tries_is_a_minute_at_most() {
    let mut agenda = agenda(plan("rate(7 days)"));
    let mut now = START + 7 * DAY;
    let mut longest = 0;
    for _ in 0..100 {
        let due = agenda.due(now, 10);
        assert_eq!(agenda.finish(&name(), due[0].instant_ms, Fate::Failed, now), Next::Waiting);
        let next = agenda.next_ms().expect("it waits");
        longest = longest.max(next - now);
        now = next;
    }
    assert_eq!(longest, MINUTE);
    // A day later it is too old.
    now = START + 8 * DAY + 1;
    let due = agenda.due(now, 10);
    assert!(due[0].lapsed);
}

#[test]
fn a_later_instant_takes_the_place_of_one_that_could_not_be_handed_over() {
    let mut agenda = agenda(plan("rate(1 minute)"));
    let now = START + MINUTE;
    let due = agenda.due(now, 10);
    agenda.finish(&name(), due[0].instant_ms, Fate::Failed, now);
    let due = agenda.due(now + 3 * MINUTE, 10);
    assert_eq!((due[0].instant_ms, due[0].attempts), (now + 3 * MINUTE, 0));
    assert!(due[0].missed);
}

#[test]
fn what_was_changed_meanwhile_is_not_touched_by_the_end_of_a_run() {
    let mut agenda = agenda(plan("rate(1 hour)"));
    let now = START + HOUR;
    let due = agenda.due(now, 10);
    agenda.put(name(), plan("rate(2 hours)"), None);
    assert_eq!(agenda.finish(&name(), due[0].instant_ms, Fate::Over, now), Next::Forgotten);
    assert_eq!(agenda.next_ms(), Some(START + 2 * HOUR));
    agenda.remove(&name());
    assert_eq!(agenda.finish(&name(), due[0].instant_ms, Fate::Over, now), Next::Forgotten);
    assert_eq!(agenda.next_ms(), None);
}

#[test]
fn only_so_much_is_taken_at_once_and_the_rest_is_not_lost() {
    let mut agenda = Agenda::new();
    for number in 0..25 {
        agenda.put(Name::Schedule(format!("default/{number}")), plan("rate(1 hour)"), None);
    }
    let now = START + HOUR;
    let taken: Vec<usize> = (0..4).map(|_| agenda.due(now, 10).len()).collect();
    assert_eq!(taken, [10, 10, 5, 0]);
}

proptest! {
    /// Within its window, before the next instant, the same each time, and in order.
    #[test]
    fn a_run_is_late_within_its_window_and_before_the_next(
        id in any::<u128>(),
        window in 1_i64..=1440,
        hours in 1_u32..48,
    ) {
        let mut plan = plan(&format!("rate({hours} hours)"));
        (plan.id, plan.window_ms) = (id, window * MINUTE);
        let period = i64::from(hours) * HOUR;
        for number in 0..20 {
            let instant = START + number * period;
            let late = plan.run_at(instant) - instant;
            prop_assert!((0..plan.window_ms.min(period)).contains(&late), "{late}");
            prop_assert_eq!(late, plan.run_at(instant) - instant);
        }
    }

    /// Whatever the clock does, instants are taken in order and none twice.
    #[test]
    fn however_the_clock_jumps_no_instant_is_taken_twice(
        jumps in prop::collection::vec(-3 * HOUR..5 * HOUR, 1..60),
        window in 0_i64..90,
        expression in prop::sample::select(vec!["rate(7 minutes)", "cron(0/20 * * * ? *)"]),
        fails in any::<u64>(),
    ) {
        let mut plan = plan(expression);
        plan.window_ms = window * MINUTE;
        let mut agenda = Agenda::new();
        agenda.put(name(), plan.clone(), None);
        let (mut now, mut last) = (START, START);
        for (step, jump) in jumps.into_iter().enumerate() {
            now += jump;
            let due = agenda.due(now, 10);
            prop_assert!(due.len() <= 1);
            for due in due {
                prop_assert!(due.instant_ms > last && due.instant_ms <= now);
                let fate = if fails >> step & 1 == 1 { Fate::Failed } else { Fate::Over };
                agenda.finish(&due.name, due.instant_ms, fate, now);
                if fate == Fate::Over {
                    last = due.instant_ms;
                    // A restart in between, every now and then.
                    if step % 5 == 0 {
                        agenda = Agenda::new();
                        agenda.put(name(), plan.clone(), Some(last));
                    }
                }
            }
        }
    }
}
