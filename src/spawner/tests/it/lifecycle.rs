//! Cells are made, assigned, ended, and leave nothing behind.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sandbox::sys::process::send_signal;
use wire::spawner::{CellId, Limits, Reply, Request, Subject, Trees};

use crate::harness::{
    BROKEN_IMAGE, CODE, Cell, IMAGE, LIMITS, Spawner, World, control_groups_of, eventually,
    processes_of,
};

#[test]
fn code_is_there_and_tmp_has_the_size_that_was_asked_for() {
    let world = World::new();
    let mut spawner = world.start(4);
    let cell = spawner.make();
    spawner.assign(&cell, Limits { tmp_mib: 1024, ..LIMITS }).unwrap();
    let seen = cell.python(
        "import os\n\
         s = os.statvfs('/tmp')\n\
         print(s.f_blocks * s.f_frsize >> 20, s.f_files, open('/var/task/hello.txt').read())",
    );
    assert_eq!(seen.trim(), "1024 65536 hello from the code");
}

#[test]
fn a_cell_is_assigned_once() {
    let world = World::new();
    let mut spawner = world.start(4);
    let cell = spawner.ready();
    assert_eq!(spawner.assign(&cell, LIMITS), Err("the cell is not empty".to_owned()));
    assert_eq!(cell.python("print(1)"), "1\n");
}

#[test]
fn code_that_is_not_there_leaves_the_cell_as_it_was() {
    let world = World::new();
    let mut spawner = world.start(4);
    let cell = spawner.make();
    spawner.send(&Request::Assign { cell: cell.number, trees: Trees::of([1; 32]), limits: LIMITS });
    let Reply::Failed { subject, detail } = spawner.receive().0 else { panic!() };
    assert_eq!(subject, Subject::Cell(cell.number));
    assert!(detail.starts_with("code sha256:0101") && detail.ends_with("is not there"), "{detail}");
    spawner.assign(&cell, LIMITS).unwrap();
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    let world = World::new();
    let mut spawner = world.start(4);
    spawner.send(&Request::Make { ticket: 5, image: [2; 32] });
    let Reply::Failed { subject, detail } = spawner.receive().0 else { panic!() };
    assert_eq!(subject, Subject::Ticket(5));
    assert!(detail.contains("is not there"), "{detail}");
    let stranger = CellId(99);
    for request in [
        Request::End { cell: stranger },
        Request::Assign { cell: stranger, trees: Trees::of(CODE), limits: LIMITS },
    ] {
        spawner.send(&request);
        let Reply::Failed { subject, detail } = spawner.receive().0 else { panic!() };
        assert_eq!((subject, detail.as_str()), (Subject::Cell(stranger), "no such cell"));
    }
}

#[test]
fn a_step_that_fails_is_named_and_nothing_of_the_cell_stays() {
    let world = World::new();
    let mut spawner = world.start(1);
    for ticket in 0..3 {
        spawner.send(&Request::Make { ticket, image: BROKEN_IMAGE });
        let Reply::Failed { subject, detail } = spawner.receive().0 else { panic!() };
        assert_eq!(subject, Subject::Ticket(ticket));
        assert_eq!(
            detail,
            "mount /proc: subset=pid, hidepid=ptraceable, read-only: \
             ENOENT: No such file or directory"
        );
    }
    // The capacity is one: it would be used up if something stayed.
    let cell = spawner.make();
    spawner.end(&cell);
    assert_eq!(footprint(&spawner).control_groups, 0);
}

#[test]
fn as_many_cells_live_as_the_operator_said_and_one_may_follow_another() {
    let world = World::new();
    let mut spawner = world.start(3);
    for ticket in 0..5 {
        spawner.send(&Request::Make { ticket, image: IMAGE });
    }
    let (mut made, mut refused) = (Vec::new(), Vec::new());
    while made.len() + refused.len() < 5 {
        match spawner.receive() {
            (Reply::Made { cell, uid, .. }, descriptors) => made.push((cell, uid, descriptors)),
            (Reply::Failed { subject, .. }, _) => refused.push(subject),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, [Subject::Ticket(3), Subject::Ticket(4)]);
    let uids: HashSet<u32> = made.iter().map(|(_, uid, _)| *uid).collect();
    assert_eq!(uids.len(), 3);
    // Asked for in one breath: the new one waits until the old one is gone.
    spawner.send(&Request::End { cell: made[0].0 });
    spawner.send(&Request::Make { ticket: 9, image: IMAGE });
    assert!(matches!(spawner.receive().0, Reply::Ended { cell, .. } if cell == made[0].0));
    assert!(matches!(spawner.receive().0, Reply::Made { ticket: 9, .. }));
}

#[test]
fn ending_takes_everything_with_it_however_it_tries_to_stay() {
    let world = World::new();
    let mut spawner = world.start(4);
    let cell = spawner.ready();
    cell.stay(
        "import os, signal, time\n\
         for n in range(5):\n\
         \x20   if os.fork() == 0:\n\
         \x20       os.setsid()\n\
         \x20       for s in range(1, 65):\n\
         \x20           try: signal.signal(s, signal.SIG_IGN)\n\
         \x20           except (OSError, ValueError): pass\n\
         \x20       for fd in (0, 1, 2): os.close(fd)\n\
         \x20       if os.fork() == 0: time.sleep(600)\n\
         \x20       time.sleep(600)\n\
         time.sleep(0.05)\n\
         print('away', flush=True)\n\
         time.sleep(600)",
    );
    let ids = cell.uid..cell.uid + 1;
    eventually("all are there", || processes_of(ids.clone()).len() >= 11);
    spawner.end(&cell);
    assert_eq!(processes_of(ids), []);
}

#[test]
fn orphans_of_a_program_that_ended_are_gone_with_its_sandbox() {
    /// By then a cell that does not end is quarantined. As a rule it takes a few milliseconds.
    const BOUND: Duration = Duration::from_secs(2);
    let world = World::new();
    let mut spawner = world.start(4);
    let cell = spawner.ready();
    let ran = cell.python(
        "import os, signal, time\n\
         for n in range(50):\n\
         \x20   if os.fork() == 0:\n\
         \x20       os.setsid()\n\
         \x20       if os.fork(): os._exit(0)\n\
         \x20       for s in range(1, 65):\n\
         \x20           try: signal.signal(s, signal.SIG_IGN)\n\
         \x20           except (OSError, ValueError): pass\n\
         \x20       for fd in (0, 1, 2): os.close(fd)\n\
         \x20       time.sleep(600)\n\
         for n in range(50): os.wait()\n\
         print(sum(entry.isdigit() for entry in os.listdir('/proc')))",
    );
    // The program and whoever is nobody's child any more: they do stay while nobody ends them.
    assert_eq!(ran.trim(), "51");
    let begin = Instant::now();
    spawner.ended(&cell);
    assert_eq!(processes_of(cell.uid..cell.uid + 1), []);
    assert!(begin.elapsed() < BOUND, "{:?}", begin.elapsed());
}

#[test]
fn a_cell_that_dies_by_itself_is_reported_unasked() {
    let world = World::new();
    let mut spawner = world.start(4);
    let cell = spawner.ready();
    send_signal(cell.pidfd.as_fd(), Signal::SIGKILL).unwrap();
    spawner.ended(&cell);
    // Its last word was said: ending it again finds nothing.
    spawner.send(&Request::End { cell: cell.number });
    assert!(matches!(spawner.receive().0, Reply::Failed { .. }));
}

#[test]
fn a_cell_whose_runner_loses_its_socket_ends() {
    let world = World::new();
    let mut spawner = world.start(4);
    let mut cell = spawner.ready();
    let (kept, gone) = pair();
    let runner = std::mem::replace(&mut cell.runner, kept);
    drop((runner, gone));
    spawner.ended(&cell);
}

fn pair() -> (std::os::fd::OwnedFd, std::os::fd::OwnedFd) {
    sandbox::sys::socket::pair().unwrap()
}

#[test]
fn memory_is_told_while_it_runs_and_afterwards() {
    let world = World::new();
    let mut spawner = world.start(4);
    let cell = spawner.ready();
    let statistics = cell.statistics();
    assert!(statistics.contains("total_rss ") || statistics.contains("anon "), "{statistics}");
    cell.python("x = bytearray(50 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\n");
    let (kills, peak) = spawner.end(&cell);
    assert_eq!(kills, 0);
    assert!(peak > 50 << 20, "{peak}");
}

/// What grows when something is forgotten.
#[derive(Debug, PartialEq, Eq)]
struct Footprint {
    descriptors: usize,
    mounts: usize,
    control_groups: usize,
}

fn footprint(spawner: &Spawner) -> Footprint {
    let pid = spawner.inner_pid();
    let groups = control_groups_of(spawner.uid_base);
    let leaves = groups.iter().map(|group| {
        let entries = std::fs::read_dir(group).unwrap().flatten();
        entries.filter(|entry| entry.file_type().unwrap().is_dir()).count()
    });
    Footprint {
        descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
        mounts: std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap().lines().count(),
        control_groups: leaves.sum(),
    }
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_micros();
    format!("p10 {} p50 {} p90 {} p99 {} max {} µs", at(10), at(50), at(90), at(99), at(100))
}

#[test]
fn a_thousand_cells_leave_nothing_behind() {
    let world = World::new();
    let mut spawner = world.start(16);
    drop(spawner.end_after_making());
    let before = footprint(&spawner);
    let (mut make, mut assign, mut end) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..1_000 {
        let started = Instant::now();
        let cell = spawner.make();
        make.push(started.elapsed());
        let started = Instant::now();
        spawner.assign(&cell, LIMITS).unwrap();
        assign.push(started.elapsed());
        let started = Instant::now();
        spawner.end(&cell);
        end.push(started.elapsed());
    }
    assert_eq!(footprint(&spawner), before);
    let id_range = spawner.uid_base..spawner.uid_base + 65_536;
    let first_cell = id_range.start + 16;
    assert_eq!(processes_of(first_cell..id_range.end), []);
    println!("make   {}", percentiles(make));
    println!("assign {}", percentiles(assign));
    println!("end    {}", percentiles(end));
}

#[test]
fn a_burst_is_made_in_a_pipeline() {
    const BURST: u64 = 200;
    let world = World::new();
    let mut spawner = world.start(BURST as u32);
    assert_eq!(u64::from(spawner.capacity), BURST);
    let started = Instant::now();
    for ticket in 0..BURST {
        spawner.send(&Request::Make { ticket, image: IMAGE });
    }
    let cells: Vec<Cell> = (0..BURST).map(|_| spawner.made()).collect();
    println!("{BURST} cells in {:?}", started.elapsed());
    let numbers: HashSet<CellId> = cells.iter().map(|cell| cell.number).collect();
    let ids: HashSet<u32> = cells.iter().map(|cell| cell.uid).collect();
    assert_eq!((numbers.len(), ids.len()), (BURST as usize, BURST as usize));
    let started = Instant::now();
    for cell in &cells {
        spawner.send(&Request::End { cell: cell.number });
    }
    let mut ended = HashSet::new();
    while ended.len() < cells.len() {
        let Reply::Ended { cell, .. } = spawner.receive().0 else { panic!() };
        assert!(numbers.contains(&cell) && ended.insert(cell));
    }
    println!("ended in {:?}", started.elapsed());
    eventually("leaves are gone", || footprint(&spawner).control_groups == 0);
}

impl Spawner {
    /// One whole cycle, so that whatever is set up once has been.
    fn end_after_making(&mut self) -> Cell {
        let cell = self.ready();
        self.end(&cell);
        cell
    }
}
