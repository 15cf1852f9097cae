//! How much memory the spawner's own processes take.

use crate::harness::{Cell, World, children_of};

/// What each of them may have resident, KiB, however many cells there are.
const MOST: u64 = 4 * 1024;
/// Cells that live at once.
const LIVING: usize = 100;

fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse().unwrap()
}

#[test]
fn a_hundred_cells_are_made_and_kept_in_less_than_four_mebibytes() {
    let mut spawner = World::new().start(LIVING as u32);
    let living: Vec<Cell> = (0..LIVING).map(|_| spawner.make()).collect();
    assert_eq!(living.len(), LIVING);
    let inner = spawner.inner_pid();
    let maker = children_of(inner)[0];
    for (name, pid) in [("outer", spawner.pid()), ("spawner", inner), ("maker", maker)] {
        let resident = resident(pid);
        assert!(resident < MOST, "{name} has {resident} KiB resident");
        println!("{name}: {resident} KiB");
    }
}
