//! Slots are exclusive, remembered, and found again.

use std::path::PathBuf;

use super::{Slot, SlotError};

/// More than any of these tests takes.
const SLOTS: u32 = 8;

#[test]
fn two_spawners_never_share_a_slot() {
    let state = tempfile::tempdir().unwrap();
    let one = Slot::take(state.path(), "one", &[], SLOTS).unwrap();
    let two = Slot::take(state.path(), "two", &[], SLOTS).unwrap();
    assert_eq!((one.number, two.number), (0, 1));
}

#[test]
fn a_slot_is_free_again_when_its_owner_is_gone() {
    let state = tempfile::tempdir().unwrap();
    drop(Slot::take(state.path(), "one", &[], SLOTS).unwrap());
    assert_eq!(Slot::take(state.path(), "two", &[], SLOTS).unwrap().number, 0);
}

#[test]
fn an_instance_gets_the_slot_it_had_before() {
    let state = tempfile::tempdir().unwrap();
    let first = Slot::take(state.path(), "other", &[], SLOTS).unwrap();
    let mut mine = Slot::take(state.path(), "mine", &[], SLOTS).unwrap();
    mine.record("mine", &[]).unwrap();
    drop((first, mine));
    assert_eq!(Slot::take(state.path(), "mine", &[], SLOTS).unwrap().number, 1);
    assert_eq!(Slot::take(state.path(), "new", &[], SLOTS).unwrap().number, 0);
}

#[test]
fn the_previous_owners_control_groups_are_handed_on() {
    let state = tempfile::tempdir().unwrap();
    let groups = [PathBuf::from("/sys/fs/cgroup/memory/a/hearth-0")];
    Slot::take(state.path(), "a", &[], SLOTS).unwrap().record("a", &groups).unwrap();
    assert_eq!(Slot::take(state.path(), "b", &[], SLOTS).unwrap().left_behind, groups);
}

#[test]
fn only_directories_named_after_the_slot_are_believed() {
    let text = "x\n/hearth-1\n/\n/home\nhearth-0\n/a/../hearth-0\n/ok/hearth-0\n";
    assert_eq!(super::left_behind(text, 0), [PathBuf::from("/ok/hearth-0")]);
}

#[test]
fn a_slot_that_cannot_be_swept_can_be_left_out() {
    let state = tempfile::tempdir().unwrap();
    assert_eq!(Slot::take(state.path(), "a", &[0, 1], SLOTS).unwrap().number, 2);
}

#[test]
fn a_process_is_known_by_any_of_its_user_ids() {
    let ids = 100..200;
    assert!(super::has_id("Name:\tx\nUid:\t0\t150\t0\t0\nGid:\t0\n", &ids));
    assert!(!super::has_id("Uid:\t0\t200\t99\t0\nGid:\t150\t150\n", &ids));
    assert!(!super::has_id("", &ids));
}

#[test]
fn when_all_are_taken_there_is_none() {
    let state = tempfile::tempdir().unwrap();
    let _one = Slot::take(state.path(), "one", &[], 1).unwrap();
    let refused = Slot::take(state.path(), "two", &[], 1).unwrap_err();
    assert!(matches!(refused, SlotError::AllTaken { slots: 1 }), "{refused}");
    // Nor is one that there was, when there were more of them.
    std::fs::write(state.path().join("slot-5"), "two\n").unwrap();
    assert!(Slot::take(state.path(), "two", &[], 1).is_err());
}
