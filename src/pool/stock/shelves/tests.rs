//! When something is made ahead of time, and when it waits.

use super::*;

const IMAGE: Digest = [1; 32];

/// One empty cell is to stand ready and does not; the last refill was long ago.
fn missing_one() -> Shelves {
    let stocking = Stocking {
        cells: 1,
        spares: 0,
        spare_memory: None,
        reserve: 0,
        ceiling: None,
        estimate: 1,
        capacity: 8,
        sharing: crate::stock::TemplateSharing::Image,
        templates: 1,
    };
    Shelves { refilled: ms(1_000), ..Shelves::new([IMAGE], [], stocking) }
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A start that is given up at once.
fn start(shelves: &mut Shelves, now: Duration) {
    assert!(shelves.take(now, IMAGE, None, true).is_err(), "there was nothing to take");
}

#[test]
fn a_refill_waits_for_a_start_however_long_ago_the_last_one_was() {
    let mut shelves = missing_one();
    let now = ms(60_000);
    start(&mut shelves, now);
    assert!(matches!(shelves.next(now, 0), Step::Sleep(Some(until)) if until == now + PAUSE));
    assert!(matches!(shelves.next(now + PAUSE, 0), Step::Work(Work::Make { refill: true, .. })));
}

#[test]
fn starts_put_a_refill_off_for_so_long_and_no_longer() {
    let mut shelves = missing_one();
    let (first, mut now) = (ms(60_000), ms(60_000));
    while now < first + PATIENCE {
        start(&mut shelves, now);
        assert!(matches!(shelves.next(now, 0), Step::Sleep(Some(_))), "at {now:?}");
        now += PAUSE / 2;
    }
    start(&mut shelves, now);
    assert!(matches!(shelves.next(now, 0), Step::Work(Work::Make { refill: true, .. })));
}
