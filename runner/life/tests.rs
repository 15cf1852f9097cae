//! Promises about a runner's life, step by step.

use super::*;

#[test]
fn a_program_runs_once() {
    let mut life = Life::Waiting;
    assert!(life.is_waiting());
    assert_eq!(life.attempted(Ok(2)), Report::Executed { pid: 2 });
    assert!(!life.is_waiting(), "it runs");
    assert_eq!(life.buried(2, 0), Some(Report::Exited { status: 0 }));
    assert!(!life.is_waiting(), "it ran");
}

#[test]
fn a_refused_program_leaves_room_for_another() {
    let mut life = Life::Waiting;
    assert_eq!(life.attempted(Err(libc::ENOENT)), Report::Refused { errno: 2 });
    assert!(life.is_waiting());
    assert_eq!(life.function(), None);
    assert!(!life.is_over());
}

#[test]
fn only_the_functions_own_end_is_reported() {
    let mut life = Life::Waiting;
    assert_eq!(life.buried(7, 0), None, "nothing was executed yet");
    life.attempted(Ok(2));
    assert_eq!(life.buried(3, 9), None, "an orphan");
    assert_eq!(life, Life::Running { pid: 2 });
    assert_eq!(life.buried(2, 9), Some(Report::Exited { status: 9 }));
    assert_eq!(life.buried(2, 0), None, "a later process of the same number");
}

#[test]
fn a_signal_finds_the_function_only_while_it_is_not_buried() {
    let mut life = Life::Waiting;
    assert_eq!(life.function(), None);
    life.attempted(Ok(2));
    assert_eq!(life.function(), Some(2));
    life.buried(2, 0);
    assert_eq!(life.function(), None);
}

#[test]
fn a_runner_is_over_only_after_its_function() {
    let mut life = Life::Waiting;
    assert!(!life.is_over(), "without children, but with everything before it");
    life.attempted(Ok(2));
    assert!(!life.is_over());
    life.buried(2, 0);
    assert!(life.is_over());
}

#[test]
fn a_status_of_every_bit_arrives_unchanged() {
    // A killed process that dumped core has bit 7 set; a stopped one never gets here.
    for status in [0, 1 << 8, 255 << 8, 9, 11 | 128, -1] {
        let mut life = Life::Running { pid: 2 };
        assert_eq!(life.buried(2, status), Some(Report::Exited { status: status as u32 }));
    }
}
