//! Spawners of one machine, whatever they were told, never touch each other's.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Barrier;

use sandbox::failpoint::Point;

use crate::harness::{Spawner, World, control_groups_of, eventually, processes_of, slot_of};

/// As often as a race that is there must be expected to show.
const ROUNDS: usize = 20;

/// A slot no other test has, from the upper end.
fn slot(number: u32) -> u32 {
    sandbox::plan::SLOTS - 1 - std::process::id() % 64 * 4 - number
}

#[test]
fn spawners_started_in_the_same_moment_share_nothing() {
    let slot = slot(0);
    // Each was last in this very slot, by what its own state directory says.
    let worlds = [World::elsewhere(slot), World::elsewhere(slot)];
    for _ in 0..ROUNDS {
        let barrier = Barrier::new(2);
        let [mut one, mut two] = std::thread::scope(|scope| {
            let started = worlds.each_ref().map(|world| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let _ready = barrier.wait();
                    world.start_quietly(2)
                })
            });
            started.map(|started| started.join().unwrap())
        });
        assert_ne!(one.uid_base, two.uid_base, "both have slot {}", slot_of(one.uid_base));
        let (first, second) = (one.ready(), two.ready());
        assert_ne!(first.uid, second.uid);
        // By number: a slot that one of them leaves may be another test's at once.
        let numbered = |group: PathBuf| Some((group.metadata().ok()?.ino(), group));
        let mut groups = control_groups_of(one.uid_base);
        groups.extend(control_groups_of(two.uid_base));
        let groups: Vec<_> = groups.into_iter().filter_map(numbered).collect();
        assert!(groups.len() >= 2, "each has one: {groups:?}");
        // The end of one is not the end of the other.
        one.close_socket();
        assert!(one.wait().success());
        eventually("the first is gone", || processes_of(ids(&one)).is_empty());
        assert_eq!(second.python("print(1)"), "1\n");
        two.end(&second);
        two.close_socket();
        assert!(two.wait().success());
        eventually("the second is gone", || processes_of(ids(&two)).is_empty());
        let stays =
            |(ino, group): &(u64, PathBuf)| group.metadata().is_ok_and(|now| now.ino() == *ino);
        assert!(!groups.iter().any(stays), "{groups:?}");
    }
}

fn ids(spawner: &Spawner) -> std::ops::Range<u32> {
    spawner.uid_base..spawner.uid_base + sandbox::plan::IDS_PER_SLOT
}

/// One has decided for a slot and nothing of it can be seen yet: no process has an id, no group is
/// where the other looks. With the lock taken away, which is the control, the other decides the same.
#[test]
fn what_one_has_decided_for_no_other_takes() {
    let slot = slot(1);
    let (decided, other) = (World::elsewhere(slot), World::elsewhere(slot));
    let (mut first, mut door) = decided.start_at(Point::SlotRecorded, 2);
    door.wait();
    let mut second = other.start_quietly(2);
    assert_ne!(slot_of(second.uid_base), slot);
    second.close_socket();
    second.wait();

    std::fs::remove_file(format!("/run/hearth/ids-{slot}")).unwrap();
    let careless = World::elsewhere(slot);
    let mut second = careless.start_quietly(2);
    // In one and the same control group, its lock is in the way.
    let same = slot_of(second.uid_base) == slot;
    assert_eq!(same, careless.has_groups(), "or this test shows nothing");
    second.close_socket();
    second.wait();
    door.open();
    first.hello();
    assert_eq!(slot_of(first.uid_base), slot);
    first.close_socket();
    assert!(first.wait().success());
}
