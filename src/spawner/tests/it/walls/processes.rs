//! What every process of every cell is given, and all of them together.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;

use wire::spawner::Limits;

use super::on_the_host;
use crate::harness::{Cell, LIMITS, World, wait_for};

#[test]
fn all_sandboxes_together_leave_the_host_processes_to_start() {
    // Above what this machine runs besides, other tests' floods included, all of which counts too;
    // and below what the cells may have, each for itself.
    const ALL: u64 = 4_000;
    const EACH: u32 = 1_024;
    const CELLS: u32 = 5;
    let threads = "import signal, threading, time\n\
        threading.stack_size(64 << 10)\n\
        made = 0\n\
        try:\n\
        \x20   while True:\n\
        \x20       threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n\
        \x20       made += 1\n\
        except RuntimeError: print(made, flush=True)\n\
        signal.pause()\n";
    let world = World::with_processes(ALL);
    let mut spawner = world.start(CELLS);
    let cells: Vec<Cell> = (0..CELLS)
        .map(|_| {
            let cell = spawner.make();
            spawner.assign(&cell, Limits { pids: EACH, ..LIMITS }).unwrap();
            cell
        })
        .collect();
    let made = cells.iter().map(|cell| {
        // Where the others have left nothing, not even this one starts.
        let Ok(output) = cell.try_start(&["/usr/bin/python3", "-I", "-c", threads]) else {
            return 0;
        };
        wait_for(output.as_fd(), "a number");
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    });
    let made: Vec<u64> = made.collect();
    assert!(made.iter().sum::<u64>() <= ALL, "{made:?}");
    // The control: their own limits would have let them have more together.
    assert!(made[0] * u64::from(CELLS) > ALL, "{made:?}");

    let spawner = World::new().start(2);
    let limits = fs::read_to_string(format!("/proc/{}/limits", spawner.inner_pid())).unwrap();
    let most = limits.lines().find_map(|line| line.strip_prefix("Max processes")).unwrap();
    let most: u64 = most.split_whitespace().next().unwrap().parse().unwrap();
    let numbers = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap();
    assert!(most <= numbers.trim().parse::<u64>().unwrap() / 4 * 3, "{most} of {numbers}");
}

/// Not a promise, since few hosts let it be switched by process; but done where they do.
#[test]
fn speculation_is_restricted_as_far_as_the_host_lets_a_process() {
    let look = "for line in open('/proc/self/status'):\n\
        \x20   if line.startswith('Speculation'): print(line.strip())\n";
    let force = "import ctypes\n\
        for kind in (0, 1): ctypes.CDLL(None).prctl(53, kind, 8, 0, 0)\n";
    let world = World::new();
    let mut spawner = world.start(2);
    let inside = spawner.ready().python(look);
    assert_eq!(inside, on_the_host(&format!("{force}{look}")), "all there is to be had");
    // The control: where it can be switched, it is not by itself.
    let (plain, forced) = (on_the_host(look), "force mitigated");
    assert!(!plain.contains(forced) && plain.lines().count() == inside.lines().count(), "{plain}");
}
