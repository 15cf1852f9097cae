//! What the freezer of one instance promises.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::time::Duration;

use super::{Freezer, GRACE, Rest};

/// A freezer on a file, and a look at what was written into it.
fn freezer() -> (Freezer, File) {
    let file = tempfile::tempfile().expect("a file");
    let look = file.try_clone().expect("a descriptor");
    (Freezer::new(Some(file.into())), look)
}

fn written(file: &mut File) -> String {
    let end = file.stream_position().expect("a position");
    let mut text = String::new();
    file.rewind().expect("rewound");
    file.read_to_string(&mut text).expect("text");
    // The position is shared with who writes.
    file.seek(std::io::SeekFrom::Start(end)).expect("moved");
    text
}

const START: Duration = Duration::from_secs(5);

#[test]
fn an_idle_instance_is_frozen_after_the_grace_and_let_go_for_an_event() {
    let (freezer, mut file) = freezer();
    assert_eq!(freezer.look(START), Rest::Until(START + GRACE));
    assert_eq!(freezer.look(START + GRACE / 2), Rest::Until(START + GRACE));
    assert_eq!(freezer.look(START + GRACE), Rest::Due);
    assert!(freezer.freeze() && freezer.is_frozen());
    assert_eq!(freezer.look(START + GRACE), Rest::Frozen);
    assert_eq!(written(&mut file), "1");
    assert!(freezer.hold(), "it was frozen");
    assert_eq!(written(&mut file), "10");
    assert!(!freezer.is_frozen());
}

#[test]
fn the_grace_begins_anew_with_each_event() {
    let (freezer, mut file) = freezer();
    freezer.look(START);
    assert!(!freezer.hold());
    freezer.release();
    assert_eq!(freezer.look(START + GRACE), Rest::Until(START + 2 * GRACE));
    assert_eq!(written(&mut file), "", "and nothing was written for it");
}

#[test]
fn nothing_is_frozen_that_has_an_event() {
    let (freezer, mut file) = freezer();
    freezer.hold();
    freezer.hold();
    freezer.release();
    assert_eq!(freezer.look(START), Rest::None);
    assert_eq!(freezer.look(START + GRACE), Rest::None);
    assert!(!freezer.freeze());
    assert_eq!(written(&mut file), "");
}

#[test]
fn an_event_between_the_look_and_the_freeze_wins() {
    let (freezer, mut file) = freezer();
    freezer.look(START);
    assert_eq!(freezer.look(START + GRACE), Rest::Due);
    freezer.hold();
    assert!(!freezer.freeze());
    assert_eq!(written(&mut file), "");
}

#[test]
fn an_instance_without_a_freezer_stays_awake() {
    let freezer = Freezer::new(None);
    assert_eq!(freezer.look(START), Rest::None);
    assert!(!freezer.hold());
}

#[test]
fn however_events_and_freezing_fall_together_nothing_with_an_event_is_left_frozen() {
    let (freezer, mut file) = freezer();
    let rounds = 20_000;
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| {
            for _ in 0..rounds {
                freezer.hold();
                freezer.release();
                std::hint::spin_loop();
            }
            freezer.hold();
        });
        let mut now = START;
        while !caller.is_finished() {
            now += GRACE;
            if freezer.look(now) == Rest::Due {
                freezer.freeze();
            }
        }
    });
    assert!(!freezer.is_frozen());
    let last = written(&mut file).pop().unwrap_or('0');
    assert_eq!(last, '0', "the last word is to let go");
}
