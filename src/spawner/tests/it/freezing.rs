//! What is stopped stands still, and can still be looked at and ended.

use std::fs::{self, File};
use std::io::Write as _;

use crate::harness::{Cell, Spawner, World, control_groups_of, eventually, processes_of};

/// Says that it is there, and then never waits for anything.
const SPINS: &str = "print('away', flush=True)\nwhile True: pass\n";

/// Processor time of everything in a cell, in ticks of the kernel's clock.
fn spent(cell: &Cell) -> u64 {
    let of = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name, which may hold anything: state is the first, utime and stime follow.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2);
        ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>()
    };
    processes_of(cell.uid..cell.uid + 1).into_iter().map(of).sum()
}

fn write(cell: &Cell, state: &[u8]) {
    let freezer = cell.freezer.as_ref().expect("root has a version-2 tree");
    File::from(freezer.try_clone().unwrap()).write_all(state).unwrap();
}

/// Stops a cell and waits until nothing in it runs: the kernel says so a moment after the order.
fn freeze(spawner: &Spawner, cell: &Cell) {
    write(cell, b"1");
    let name = format!("c{}", cell.number.0);
    let groups = control_groups_of(spawner.uid_base);
    eventually("it stands still", || {
        let events = groups.iter().map(|group| group.join(&name).join("cgroup.events"));
        let mut texts = events.filter_map(|file| fs::read_to_string(file).ok());
        texts.any(|text| text.contains("frozen 1"))
    });
}

#[test]
fn a_frozen_cell_spends_no_processor_time_until_it_is_let_go() {
    let world = World::new();
    let mut spawner = world.start(2);
    let cell = spawner.ready();
    cell.stay(SPINS);
    let start = spent(&cell);
    eventually("it runs", || spent(&cell) > start + 2);
    freeze(&spawner, &cell);
    let stopped = spent(&cell);
    // The negative control: one beside it that is not frozen goes on all the while.
    let other = spawner.ready();
    other.stay(SPINS);
    let start = spent(&other);
    eventually("the other runs", || spent(&other) > start + 10);
    assert_eq!(spent(&cell), stopped);
    write(&cell, b"0");
    eventually("it goes on", || spent(&cell) > stopped + 2);
}

#[test]
fn the_memory_of_a_frozen_cell_is_told() {
    let world = World::new();
    let mut spawner = world.start(2);
    let cell = spawner.ready();
    cell.stay("x = b'x' * (32 << 20)\nprint('away', flush=True)\nwhile True: pass\n");
    freeze(&spawner, &cell);
    let statistics = cell.statistics();
    let anonymous = statistics
        .lines()
        .filter_map(|line| line.strip_prefix("total_rss ").or_else(|| line.strip_prefix("anon ")))
        .filter_map(|bytes| bytes.parse::<u64>().ok())
        .next();
    assert!(anonymous > Some(32 << 20), "{statistics}");
}

#[test]
fn a_frozen_cell_ends_when_it_is_told_to() {
    let world = World::new();
    let mut spawner = world.start(2);
    let cell = spawner.ready();
    cell.stay(SPINS);
    freeze(&spawner, &cell);
    spawner.end(&cell);
    assert!(processes_of(cell.uid..cell.uid + 1).is_empty());
}

#[test]
fn frozen_cells_end_with_their_control_plane() {
    let world = World::new();
    let mut spawner = world.start(2);
    let cell = spawner.ready();
    cell.stay(SPINS);
    freeze(&spawner, &cell);
    spawner.close_socket();
    spawner.wait();
    eventually("it is gone", || processes_of(cell.uid..cell.uid + 1).is_empty());
}
