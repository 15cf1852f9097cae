//! Whoever is killed, however: everything beneath goes, and the next start finds a clean place.

use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Spawner, World, children_of, control_groups_of, eventually, processes_of};

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Outer,
    OuterAndSweeper,
    Sweeper,
    Inner,
    Maker,
    Control,
}

fn stop(pid: u32) {
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGSTOP).unwrap();
}

fn slay(pid: u32) {
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
}

/// Cells in every phase: empty, assigned, busy with processes that ignore what they can.
fn populate(spawner: &mut Spawner) -> Vec<crate::harness::Cell> {
    let mut cells: Vec<_> = (0..3).map(|_| spawner.make()).collect();
    for _ in 0..3 {
        let cell = spawner.ready();
        cell.stay(
            "import os, time\n\
             if os.fork() == 0: os.setsid()\n\
             else: print('away', flush=True)\n\
             time.sleep(600)",
        );
        cells.push(cell);
    }
    cells
}

fn kill_and_look(victim: Victim) {
    let world = World::new();
    let mut spawner = world.start(8);
    let base = spawner.uid_base;
    let ids = base..base + 65_536;
    let cells = populate(&mut spawner);
    // One that is just being made, too.
    spawner.send(&wire::spawner::Request::Make { ticket: 1, image: crate::harness::IMAGE });
    assert!(!processes_of(ids.clone()).is_empty() && !control_groups_of(base).is_empty());
    match victim {
        Victim::Outer => slay(spawner.pid()),
        Victim::OuterAndSweeper => {
            // Stopped first, so that neither notices the other's end.
            let sweeper = spawner.sweeper_pid();
            stop(sweeper);
            slay(spawner.pid());
            slay(sweeper);
        }
        Victim::Sweeper => slay(spawner.sweeper_pid()),
        Victim::Inner => slay(spawner.inner_pid()),
        Victim::Maker => slay(children_of(spawner.inner_pid())[0]),
        Victim::Control => spawner.close_socket(),
    }
    let status = spawner.wait();
    eventually("processes are gone", || processes_of(ids.clone()).is_empty());
    let expected = match victim {
        Victim::Outer | Victim::OuterAndSweeper => None,
        Victim::Inner => Some(128 + 9),
        Victim::Maker => Some(70),
        Victim::Sweeper | Victim::Control => Some(0),
    };
    assert_eq!(status.code(), expected, "{victim:?}");
    match victim {
        Victim::Outer => {
            eventually("the sweeper has swept", || control_groups_of(base).is_empty());
        }
        // Nobody is left to remove them: the next start of the same instance does.
        Victim::OuterAndSweeper => assert!(!control_groups_of(base).is_empty()),
        _ => assert!(control_groups_of(base).is_empty()),
    }
    if matches!(victim, Victim::Outer | Victim::OuterAndSweeper) {
        eventually("the slot is free", || {
            let next = world.start(1);
            next.uid_base == base
        });
    }
    assert_eq!(control_groups_of(base), Vec::<std::path::PathBuf>::new());
    drop(cells);
    // Nothing was ever mounted where others see it.
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains("hearth-spawner-"));
}

#[test]
fn killing_the_outer_process_ends_everything_and_its_sweeper_cleans_up() {
    kill_and_look(Victim::Outer);
}

#[test]
fn killing_the_outer_process_and_its_sweeper_ends_everything_and_the_next_start_sweeps() {
    kill_and_look(Victim::OuterAndSweeper);
}

#[test]
fn killing_the_sweeper_ends_everything() {
    kill_and_look(Victim::Sweeper);
}

#[test]
fn killing_the_spawner_proper_ends_everything_and_the_outer_process_cleans_up() {
    kill_and_look(Victim::Inner);
}

#[test]
fn killing_the_maker_ends_everything() {
    kill_and_look(Victim::Maker);
}

#[test]
fn a_control_plane_that_goes_takes_everything_with_it() {
    kill_and_look(Victim::Control);
}

#[test]
fn sigterm_ends_it_in_order() {
    let world = World::new();
    let mut spawner = world.start(8);
    let base = spawner.uid_base;
    let _cells = populate(&mut spawner);
    let pid = spawner.pid().to_string();
    assert!(Command::new("/bin/kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(spawner.wait().code(), Some(0));
    assert_eq!(processes_of(base..base + 65_536), []);
    assert!(control_groups_of(base).is_empty());
}
