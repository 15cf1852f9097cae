//! How long an ending is tried again, and when it is given up on.

use std::time::{Duration, Instant};

use super::{Ending, LONGEST_RETRY, PATIENCE, Progress};

fn pause(progress: &Progress, now: Instant) -> Duration {
    match progress {
        Progress::Later(when) | Progress::Quarantined(when, _) => *when - now,
        Progress::Gone(_) => panic!("gone"),
    }
}

#[test]
fn pauses_double_up_to_a_second() {
    let start = Instant::now();
    let mut ending = Ending::new(true, false, start);
    let pauses: Vec<u128> =
        (0..12).map(|_| pause(&ending.wait(start, "busy".to_owned()), start).as_millis()).collect();
    assert_eq!(pauses[..4], [1, 2, 4, 8]);
    assert_eq!(pauses.last(), Some(&LONGEST_RETRY.as_millis()));
}

#[test]
fn what_does_not_end_is_quarantined_once_and_still_tried() {
    let start = Instant::now();
    let mut ending = Ending::new(true, false, start);
    assert!(matches!(ending.wait(start, "busy".to_owned()), Progress::Later(_)));
    let late = start + PATIENCE;
    let Progress::Quarantined(_, obstacle) = ending.wait(late, "busy".to_owned()) else { panic!() };
    assert_eq!(obstacle, "busy");
    assert!(ending.is_quarantined());
    assert!(matches!(ending.wait(late, "busy".to_owned()), Progress::Later(_)));
}

#[test]
fn a_cell_the_maker_never_speaks_of_is_quarantined_too() {
    let start = Instant::now();
    let mut ending = Ending::new(false, true, start);
    assert!(matches!(ending.wait_for_birth(start), Progress::Later(_)));
    assert!(matches!(ending.wait_for_birth(start + PATIENCE), Progress::Quarantined(..)));
}
