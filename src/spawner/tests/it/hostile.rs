//! A control plane that was taken over: whatever it sends, there are sandboxes of the permitted kinds
//! and nothing else, as many as the operator allowed, and afterwards nothing.
//!
//! `protocol` has single refusals and their exit statuses; here are the kept frames of
//! `wire`'s corpus, floods, and a control plane that tries everything the protocol allows.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Shutdown, shutdown};
use sandbox::sys::socket;
use wire::runner;
use wire::spawner::{
    CellId, Digest, Limits, MADE_DESCRIPTORS, MAX_MESSAGE, Place, Reply, Request, Subject, Trees,
};

use crate::harness::{
    BROKEN_IMAGE, CODE, Cell, IMAGE, LIMITS, Spawner, World, children_of, control_groups_of,
    eventually, processes_of, wait_for,
};

/// What the spawner exits with when it was told nonsense, and when its peer has gone.
const PROTOCOL: Option<i32> = Some(76);
const FINISHED: Option<i32> = Some(0);
/// How long a hostile control plane waits for an answer before it asks for something else, in ms.
const ROUND: u8 = 3;
/// Ids of a slot, and the first that a cell may have.
const IDS: u32 = sandbox::plan::IDS_PER_SLOT;
const FIRST_CELL_ID: u32 = sandbox::plan::FIRST_CELL_ID;

// === frames ===

/// Frames of a list in `wire`'s corpus: whether each is a message, its bytes, what it is.
fn frames(list: &str) -> Vec<(bool, Vec<u8>, &str)> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (verdict, rest) = line.split_once(' ').unwrap();
            let (hex, what) = rest.split_once(' ').unwrap();
            let digits = hex.trim_start_matches('-').as_bytes();
            let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
            (verdict == "ok", digits.chunks(2).map(byte).collect(), what)
        })
        .collect()
}

/// What a spawner has of the machine, to look for when it has ended.
struct Traces {
    uid_base: u32,
    groups: Vec<PathBuf>,
}

impl Traces {
    fn of(spawner: &Spawner) -> Self {
        let groups = control_groups_of(spawner.uid_base);
        assert!(!groups.is_empty());
        Self { uid_base: spawner.uid_base, groups }
    }

    #[track_caller]
    fn are_gone(&self, what: &str) {
        assert_eq!(processes_of(self.uid_base..self.uid_base + IDS), [], "{what}");
        assert!(self.groups.iter().all(|group| !group.exists()), "{what}: {:?}", self.groups);
    }
}

#[test]
fn every_kept_frame_is_answered_or_ends_the_conversation_and_nothing_is_left() {
    let list = include_str!("../../../wire/corpus/spawner_request.txt");
    let world = World::new();
    for (is_message, bytes, what) in frames(list) {
        let mut spawner = world.start(2);
        let traces = Traces::of(&spawner);
        // What a fork has beside it; nothing else has anything.
        let (read, write) = std::io::pipe().unwrap();
        let beside = [read.as_fd(), write.as_fd()];
        let count = Request::decode(&bytes).map_or(0, |request| request.descriptors());
        socket::send(spawner.socket(), &bytes, &beside[..count], true).unwrap();
        if is_message {
            // Whatever it asks for is not there; it is said so, and the next one is heard.
            let (reply, _beside) = spawner.receive();
            assert!(
                matches!(
                    reply,
                    Reply::Failed { .. } | Reply::Made { .. } | Reply::TemplateReady { .. }
                ),
                "{what}: {reply:?}"
            );
            let cell = spawner.make();
            spawner.end(&cell);
            spawner.close_socket();
            assert_eq!(spawner.wait().code(), FINISHED, "{what}");
        } else {
            // An empty datagram is what an end looks like.
            let expected = if bytes.is_empty() { FINISHED } else { PROTOCOL };
            assert_eq!(spawner.wait().code(), expected, "{what}");
        }
        traces.are_gone(what);
    }
}

#[test]
fn descriptors_of_any_kind_and_number_beside_a_request_are_closed_and_end_the_conversation() {
    let world = World::new();
    let directory = std::fs::File::open("/").unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let place = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(place.path().join("socket")).unwrap();
    let (pair, _other) = socket::pair().unwrap();
    let kinds: [(&str, BorrowedFd<'_>); 4] = [
        ("a directory", directory.as_fd()),
        ("a device", null.as_fd()),
        ("a listener", listener.as_fd()),
        ("a socket", pair.as_fd()),
    ];
    for (what, gift) in kinds {
        for count in [1, MADE_DESCRIPTORS, 253] {
            let mut spawner = world.start(2);
            let traces = Traces::of(&spawner);
            let request = Request::Make { ticket: 1, image: IMAGE }.encode();
            // The last of them tells whether all have been closed: then its other end ends.
            let (mut end, pipe) = std::io::pipe().unwrap();
            let mut gifts = vec![gift; count - 1];
            gifts.push(pipe.as_fd());
            socket::send(spawner.socket(), &request, &gifts, true).unwrap();
            drop(gifts);
            drop(pipe);
            assert_eq!(spawner.wait().code(), PROTOCOL, "{count} of {what}");
            assert_eq!(end.read(&mut [0]).unwrap(), 0, "{count} of {what}");
            traces.are_gone(what);
        }
    }
}

#[test]
fn a_runner_that_is_sent_nonsense_ends_its_own_cell_and_no_other() {
    let world = World::new();
    let mut spawner = world.start(3);
    let other = spawner.ready();
    let list = include_str!("../../../wire/corpus/runner_request.txt");
    for (_, bytes, what) in frames(list).into_iter().filter(|(is_message, ..)| !is_message) {
        let cell = spawner.ready();
        socket::send(cell.runner.as_fd(), &bytes, &[], true).unwrap();
        let (memory_kills, _) = spawner.ended(&cell);
        assert_eq!(memory_kills, 0, "{what}");
    }
    // What it is to execute comes with one descriptor or two.
    let null = std::fs::File::open("/dev/null").unwrap();
    let execute = runner::Request::Execute {
        argv: vec![b"/bin/true".to_vec()],
        env: Vec::new(),
        cwd: b"/".to_vec(),
    };
    for count in [0, 3, 253] {
        let cell = spawner.ready();
        let gifts = vec![null.as_fd(); count];
        socket::send(cell.runner.as_fd(), &execute.encode(), &gifts, true).unwrap();
        spawner.ended(&cell);
    }
    assert_eq!(other.python("print('here')"), "here\n");
}

// === order, number and time ===

/// What the spawner proper holds of the machine.
fn holdings(spawner: &Spawner) -> (usize, usize) {
    let inner = spawner.inner_pid();
    let descriptors = std::fs::read_dir(format!("/proc/{inner}/fd")).unwrap().count();
    let mounts = std::fs::read_to_string(format!("/proc/{inner}/mountinfo")).unwrap();
    (descriptors, mounts.lines().count())
}

#[test]
fn ids_that_are_not_the_control_planes_to_use_lead_nowhere() {
    let world = World::new();
    let (mut spawner, mut stranger) = (world.start(4), World::new().start(4));
    let gone = spawner.make();
    spawner.end(&gone);
    let foreign: Vec<Cell> = (0..3).map(|_| stranger.make()).collect();
    let before = holdings(&spawner);
    let numbers = [0, 1, 2, 3, 7, u32::MAX].into_iter().map(CellId);
    for cell in numbers.chain([gone.number]).chain(foreign.iter().map(|cell| cell.number)) {
        for request in [
            Request::End { cell },
            Request::Assign { cell, trees: Trees::of(CODE), limits: LIMITS },
            Request::Assign { cell, trees: Trees::of([0; 32]), limits: LIMITS },
        ] {
            spawner.send(&request);
            let (reply, beside) = spawner.receive();
            let Reply::Failed { subject, detail } = reply else { panic!("{request:?}: {reply:?}") };
            assert_eq!((subject, detail.as_str()), (Subject::Cell(cell), "no such cell"));
            assert!(beside.is_empty());
        }
    }
    // A digest is thirty-two bytes and nothing else, whatever they spell.
    let spelled: Digest = *b"../../../../../../../../etc/ssh/";
    for image in [[0; 32], [0xFF; 32], spelled, CODE] {
        spawner.send(&Request::Make { ticket: 1, image });
        let Reply::Failed { detail, .. } = spawner.receive().0 else { panic!("{image:?}") };
        assert!(
            detail.starts_with("image sha256:") && detail.ends_with("is not there"),
            "{detail}"
        );
    }
    assert_eq!(holdings(&spawner), before);
    // The stranger's cells are as they were.
    stranger.assign(&foreign[0], LIMITS).unwrap();
    assert_eq!(foreign[0].python("print('here')"), "here\n");
}

#[test]
fn a_ticket_used_twice_names_two_cells_and_a_cell_ended_twice_ends_once() {
    let world = World::new();
    let mut spawner = world.start(4);
    spawner.send(&Request::Make { ticket: 9, image: IMAGE });
    spawner.send(&Request::Make { ticket: 9, image: IMAGE });
    let (one, other) = (spawner.made(), spawner.made());
    assert!(one.number != other.number && one.uid != other.uid);
    spawner.send(&Request::End { cell: one.number });
    spawner.send(&Request::End { cell: one.number });
    spawner.ended(&one);
    // The second may have come after it was gone, and then says so; there is no second end.
    spawner.send(&Request::End { cell: other.number });
    match spawner.receive().0 {
        Reply::Ended { cell, .. } => assert_eq!(cell, other.number),
        Reply::Failed { subject: Subject::Cell(cell), .. } => {
            assert_eq!(cell, one.number);
            spawner.ended(&other);
        }
        reply => panic!("{reply:?}"),
    }
}

#[test]
fn a_flood_that_nobody_reads_the_answers_of_neither_fills_the_spawner_nor_stops_it() {
    const CAPACITY: u32 = 8;
    let world = World::new();
    let mut spawner = world.start(CAPACITY);
    let traces = Traces::of(&spawner);
    let inner = spawner.inner_pid();
    let requests = [
        Request::Make { ticket: 1, image: IMAGE },
        Request::End { cell: CellId(1_000_000) },
        Request::Make { ticket: 2, image: [9; 32] },
        Request::Assign { cell: CellId(2), trees: Trees::of(CODE), limits: LIMITS },
    ];
    let mut sent = 0;
    while socket::send(spawner.socket(), &requests[sent % 4].encode(), &[], false).is_ok() {
        sent += 1;
        assert!(sent < 1_000_000, "the spawner takes everything");
        std::thread::yield_now();
    }
    assert!(processes_of(cells_of(&spawner)).len() <= CAPACITY as usize);
    let (descriptors, _) = holdings(&spawner);
    // Four of a cell that is made, while nobody takes them, four more of one that is being made.
    assert!(descriptors < 64 + 8 * CAPACITY as usize, "{descriptors}");
    assert!(resident_kib(inner) < 8 * 1024, "{} KiB", resident_kib(inner));
    // Read at last, every request has its answer.
    let mut cells = 0;
    for _ in 0..sent {
        cells += usize::from(matches!(spawner.receive().0, Reply::Made { .. }));
    }
    assert!(cells > 0 && cells <= CAPACITY as usize, "{cells}");
    spawner.close_socket();
    assert_eq!(spawner.wait().code(), FINISHED);
    traces.are_gone("after a flood");
}

#[test]
fn a_socket_that_is_closed_by_half_is_closed() {
    for half in [Shutdown::Write, Shutdown::Read, Shutdown::Both] {
        let world = World::new();
        let mut spawner = world.start(2);
        let traces = Traces::of(&spawner);
        let _cell = spawner.ready();
        let socket = spawner.socket().try_clone_to_owned().unwrap();
        shutdown(std::os::fd::AsRawFd::as_raw_fd(&socket), half).unwrap();
        // Where only answers cannot be given any more, it notices when it gives one.
        let request = Request::End { cell: CellId(77) }.encode();
        let _refused_once_it_is_closed = socket::send(socket.as_fd(), &request, &[], false);
        assert_eq!(spawner.wait().code(), FINISHED, "{half:?}");
        traces.are_gone("after a shutdown");
    }
}

#[test]
fn requests_on_the_way_when_it_is_told_to_end_leave_nothing() {
    let world = World::new();
    let mut spawner = world.start(16);
    let traces = Traces::of(&spawner);
    for ticket in 0..16 {
        spawner.send(&Request::Make { ticket, image: IMAGE });
    }
    let first = spawner.made();
    spawner.send(&Request::Assign { cell: first.number, trees: Trees::of(CODE), limits: LIMITS });
    let outer = nix::unistd::Pid::from_raw(spawner.pid().cast_signed());
    nix::sys::signal::kill(outer, nix::sys::signal::Signal::SIGTERM).unwrap();
    let more = Request::Make { ticket: 99, image: IMAGE }.encode();
    while socket::send(spawner.socket(), &more, &[], false).is_ok() {
        std::thread::yield_now();
    }
    assert_eq!(spawner.wait().code(), FINISHED);
    traces.are_gone("after SIGTERM");
}

// === a control plane that was taken over ===

/// Numbers that look like chance and are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn within(&mut self, (least, most): (u32, u32)) -> u32 {
        least + self.below((most - least + 1) as usize) as u32
    }
}

fn cells_of(spawner: &Spawner) -> std::ops::Range<u32> {
    spawner.uid_base + FIRST_CELL_ID..spawner.uid_base + IDS
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// What the host sees beneath a spawner: nothing but its own four processes and walled-in cells.
fn only_sandboxes_exist(spawner: &Spawner, capacity: usize) {
    let namespace = |pid: u32, kind: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}"));
    let inner = spawner.inner_pid();
    let mut of_the_spawner = children_of(inner);
    let maker = of_the_spawner.remove(0);
    let (ids, mut uids) = (cells_of(spawner), BTreeSet::new());
    let sweeper = spawner.sweeper_pid();
    assert_eq!(children_of(spawner.pid()), [inner, sweeper], "the outer process has two children");
    assert_eq!(children_of(sweeper), []);
    assert_eq!(children_of(maker), [], "cells are the spawner's children");
    for pid in processes_of(spawner.uid_base..spawner.uid_base + IDS) {
        let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        if pid == maker || field("State:")[0] == "Z" {
            continue;
        }
        // One that is on its way to be a cell has the id of the nursery's owner, or its own and not
        // yet every wall; it is no program of anybody's, but still a copy of the maker.
        if field("Name:") == ["hearth-maker"] {
            continue;
        }
        let uid: u32 = field("Uid:")[0].parse().unwrap();
        assert!(ids.contains(&uid) && field("Uid:").iter().all(|id| *id == uid.to_string()));
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(field(set), ["0000000000000000"], "{status}");
        }
        assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), (one("1"), one("2")), "{status}");
        for kind in ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"] {
            // The maker's are the spawner's but for the user namespace; the spawner itself may have
            // stepped into this very cell.
            let (Ok(its), Ok(own)) = (namespace(pid, kind), namespace(maker, kind)) else {
                continue;
            };
            assert_ne!(its, own, "process {pid} shares the spawner's {kind} namespace");
        }
        uids.insert(uid);
    }
    assert!(uids.len() <= capacity, "{} sandboxes, {capacity} are allowed", uids.len());
}

fn one(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

#[test]
fn a_control_plane_that_was_taken_over_starts_sandboxes_and_nothing_else() {
    const CAPACITY: u32 = 6;
    const REQUESTS: usize = 1_500;
    let world = World::new();
    let mut spawner = world.start(CAPACITY);
    let traces = Traces::of(&spawner);
    let warm = spawner.ready();
    spawner.end(&warm);
    drop(warm);
    let before = holdings(&spawner);
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut cells: Vec<Cell> = Vec::new();
    let (mut asked, mut made, mut refused) = (0, 0, 0);
    for round in 0..REQUESTS {
        let known = cells.get(dice.below(CAPACITY as usize)).map(|cell| cell.number);
        let cell = known.unwrap_or(CellId(dice.below(5_000) as u32));
        let request = match dice.below(8) {
            0..3 => {
                let images = [IMAGE, IMAGE, IMAGE, BROKEN_IMAGE, [dice.below(256) as u8; 32]];
                Request::Make { ticket: dice.below(4) as u64, image: images[dice.below(5)] }
            }
            3..6 => {
                let limits = Limits {
                    memory_mib: dice.within(Limits::MEMORY_MIB),
                    tmp_mib: dice.within(Limits::TMP_MIB),
                    pids: dice.within(Limits::PIDS),
                    cpu_weight: dice.within(Limits::CPU_WEIGHT),
                };
                let tree = |dice: &mut Dice| match dice.below(4) {
                    0 => [dice.below(256) as u8; 32],
                    _ => CODE,
                };
                let layers = (dice.below(2) > 0).then(|| tree(&mut dice));
                let trees = Trees::of(tree(&mut dice)).with(Place::Layers, layers);
                Request::Assign { cell, trees, limits }
            }
            _ => Request::End { cell },
        };
        spawner.send(&request);
        asked += 1;
        // It executes what it likes: in sandboxes that is what they are for.
        if let Some(cell) = cells.get(dice.below(CAPACITY as usize)) {
            let program = runner::Request::Execute {
                argv: ["/bin/sh", "-c", "(sleep 600 &); (setsid sleep 600 &); exec sleep 600"]
                    .map(|text| text.as_bytes().to_vec())
                    .to_vec(),
                env: Vec::new(),
                cwd: b"/".to_vec(),
            };
            let null = std::fs::File::options().write(true).open("/dev/null").unwrap();
            let _gone_meanwhile =
                socket::send(cell.runner.as_fd(), &program.encode(), &[null.as_fd()], false);
        }
        // Not every request has an answer, and none at once.
        let mut answers = [PollFd::new(spawner.socket(), PollFlags::POLLIN)];
        poll(&mut answers, PollTimeout::from(ROUND)).unwrap();
        while let Some((reply, beside)) = heard(&spawner) {
            match reply {
                Reply::Made { cell: number, uid, freezer, kills, .. } => {
                    made += 1;
                    assert!(cells_of(&spawner).contains(&uid));
                    cells.push(Cell::of(number, uid, (freezer, kills), beside));
                }
                Reply::Ended { cell: number, .. } => cells.retain(|cell| cell.number != number),
                Reply::Failed { .. } => refused += 1,
                Reply::Assigned { .. } => {}
                other => panic!("{other:?}"),
            }
            assert!(cells.len() <= CAPACITY as usize, "more cells than the operator allowed");
        }
        if round % 100 == 0 {
            only_sandboxes_exist(&spawner, CAPACITY as usize);
        }
    }
    assert!(made > 40 && refused > 100, "{made} made, {refused} refused of {asked}");
    only_sandboxes_exist(&spawner, CAPACITY as usize);
    // It ends them all, or as many as it knows, and is left with what the spawner had at first.
    while processes_of(cells_of(&spawner)).len() + cells.len() > 0 {
        for cell in &cells {
            spawner.send(&Request::End { cell: cell.number });
        }
        wait_for(spawner.socket(), "an answer");
        while let Some((reply, beside)) = heard(&spawner) {
            match reply {
                Reply::Made { cell: number, .. } => {
                    drop(beside);
                    spawner.send(&Request::End { cell: number });
                }
                Reply::Ended { cell: number, .. } => cells.retain(|cell| cell.number != number),
                _ => {}
            }
        }
    }
    eventually("everything was given back", || holdings(&spawner) == before);
    spawner.close_socket();
    assert_eq!(spawner.wait().code(), FINISHED);
    traces.are_gone("after all of it");
}

/// A reply, if one is there.
fn heard(spawner: &Spawner) -> Option<(Reply, Vec<std::os::fd::OwnedFd>)> {
    let mut buffer = [0; MAX_MESSAGE];
    let received = socket::receive(spawner.socket(), &mut buffer, MADE_DESCRIPTORS, false);
    let datagram = received.ok()?;
    assert_ne!(datagram.length, 0, "the spawner ended");
    Some((Reply::decode(&buffer[..datagram.length]).unwrap(), datagram.descriptors))
}
