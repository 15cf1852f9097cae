//! Promises about which snapshots are kept, and for how long.

use super::*;

fn snapshot(bytes: usize) -> Arc<Snapshot> {
    let mut draft = Draft::new().expect("memory without a name");
    draft.write(&vec![7; bytes]).expect("room");
    Arc::new(draft.seal().expect("seals"))
}

fn taken(snapshots: &Snapshots, number: u64, bytes: usize, room: u64) -> Arc<Snapshot> {
    let (generation, snapshot) = (Generation(number), snapshot(bytes));
    snapshots.begin(generation);
    assert!(snapshots.keep(generation, Arc::clone(&snapshot), room));
    snapshot
}

#[test]
fn a_snapshot_serves_its_own_version_and_goes_with_it() {
    let snapshots = Snapshots::new();
    taken(&snapshots, 1, 10, 100);
    assert!(snapshots.get(Generation(1)).is_some());
    assert!(snapshots.get(Generation(2)).is_none());
    snapshots.forget(Generation(1));
    assert!(snapshots.get(Generation(1)).is_none());
}

#[test]
fn one_whose_version_went_while_it_was_taken_is_not_kept() {
    let snapshots = Snapshots::new();
    snapshots.begin(Generation(1));
    snapshots.forget(Generation(1));
    assert!(!snapshots.keep(Generation(1), snapshot(10), 100));
    assert!(snapshots.get(Generation(1)).is_none());
}

#[test]
fn one_that_is_expected_is_taken_once_by_whoever_comes_first() {
    let snapshots = Snapshots::new();
    assert!(!snapshots.is_due(Generation(1)));
    snapshots.expect(Generation(1));
    assert!(snapshots.is_due(Generation(1)));
    assert!(!snapshots.is_due(Generation(1)));
    snapshots.give_up(Generation(1));
    assert!(!snapshots.is_due(Generation(1)));
}

#[test]
fn where_there_is_no_room_for_all_the_one_least_recently_used_is_taken_again_later() {
    let snapshots = Snapshots::new();
    taken(&snapshots, 1, 40, 100);
    taken(&snapshots, 2, 40, 100);
    assert!(snapshots.get(Generation(1)).is_some());
    taken(&snapshots, 3, 40, 100);
    assert!(snapshots.get(Generation(2)).is_none());
    assert!(snapshots.is_due(Generation(2)));
    assert!(snapshots.get(Generation(1)).is_some());
    assert!(snapshots.get(Generation(3)).is_some());
}

#[test]
fn what_cannot_be_restored_again_and_again_is_given_up() {
    let snapshots = Snapshots::new();
    let one = taken(&snapshots, 1, 10, 100);
    for _ in 1..PATIENCE {
        snapshots.failed(Generation(1), &one);
    }
    one.succeeded();
    for _ in 1..PATIENCE {
        snapshots.failed(Generation(1), &one);
        assert!(snapshots.get(Generation(1)).is_some());
    }
    snapshots.failed(Generation(1), &one);
    assert!(snapshots.get(Generation(1)).is_none());
    assert!(!snapshots.is_due(Generation(1)));
}

#[test]
fn nobody_changes_a_snapshot_that_a_sandbox_may_see() {
    let one = snapshot(8192);
    for result in [
        rustix::io::write(one.as_fd(), b"x").map(drop),
        rustix::io::pwrite(one.as_fd(), b"x", 0).map(drop),
        rustix::fs::ftruncate(one.as_fd(), 0),
        rustix::fs::ftruncate(one.as_fd(), 1 << 20),
        fcntl_add_seals(one.as_fd(), SealFlags::WRITE),
    ] {
        assert_eq!(result, Err(rustix::io::Errno::PERM));
    }
    // The same of one that is not sealed yet: it is the seals that refuse.
    let mut draft = Draft::new().expect("memory without a name");
    draft.write(b"abc").expect("not sealed");
    assert_eq!(rustix::io::pwrite(&draft.memory, b"x", 0), Ok(1));
}
