//! Sandboxes that will not die, and some that will not come to be.
//!
//! Real ones hang in the kernel, on a file system or a device that does not answer, which cannot be
//! arranged without breaking the host. What the spawner sees of them can: a first process that does not
//! end (somebody else traces it, and has not let go of it), and groups that cannot be removed (there
//! is something in them).

use std::path::PathBuf;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use sandbox::failpoint::Point;
use wire::spawner::{CellId, Reply, Request, Subject};

use crate::harness::{
    Cell, IMAGE, Spawner, World, children_of, control_groups_of, eventually, processes_of,
};

/// Longer than the longest pause between two tries.
const SEVERAL_TRIES: Duration = Duration::from_millis(2_500);

/// Directories of a cell, one per hierarchy.
fn leaves(spawner: &Spawner, cell: CellId) -> Vec<PathBuf> {
    let groups = control_groups_of(spawner.uid_base);
    let leaves = groups.iter().map(|group| group.join(format!("c{}", cell.0)));
    leaves.filter(|leaf| leaf.exists()).collect()
}

/// Hears that a cell is quarantined, and that it is not said again.
fn quarantined(spawner: &mut Spawner, cell: &Cell, because: &str) {
    let Reply::Quarantined { cell: number, uid, detail } = spawner.receive().0 else { panic!() };
    assert_eq!((number, uid), (cell.number, cell.uid));
    assert!(detail.contains(because), "{detail}");
    let timeout = PollTimeout::try_from(SEVERAL_TRIES).unwrap();
    let mut socket = [PollFd::new(spawner.socket(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut socket, timeout).unwrap(), 0, "it is said once");
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed())
}

#[test]
fn a_group_that_cannot_be_removed_keeps_its_id_and_its_room_until_it_is_gone() {
    let world = World::new();
    let mut spawner = world.start(2);
    let stuck = spawner.ready();
    // In each hierarchy in turn: each is removed by itself.
    let inside: Vec<PathBuf> =
        leaves(&spawner, stuck.number).iter().map(|leaf| leaf.join("stuck")).collect();
    assert!(!inside.is_empty());
    inside.iter().for_each(|group| std::fs::create_dir(group).unwrap());
    spawner.send(&Request::End { cell: stuck.number });
    quarantined(&mut spawner, &stuck, "remove ");
    assert!(processes_of(stuck.uid..stuck.uid + 1).is_empty(), "what can die has died");

    // It is in nobody's way but takes its room: of two cells there is one.
    let other = spawner.ready();
    assert_ne!(other.uid, stuck.uid);
    spawner.send(&Request::Make { ticket: 9, image: IMAGE });
    // It has no last word yet, and it is no cell that one could assign.
    assert!(spawner.assign(&stuck, crate::harness::LIMITS).is_err());

    inside.iter().for_each(|group| std::fs::remove_dir(group).unwrap());
    spawner.ended(&stuck);
    assert!(leaves(&spawner, stuck.number).is_empty());
    assert!(matches!(spawner.receive().0, Reply::Made { ticket: 9, .. }), "there is room again");
}

#[test]
fn a_process_that_does_not_die_is_quarantined_until_it_has() {
    let world = World::new();
    let mut spawner = world.start(2);
    let stuck = spawner.make();
    let process = pid_of(children_of(spawner.inner_pid())[1]);
    ptrace::seize(process, ptrace::Options::empty()).unwrap();
    spawner.send(&Request::End { cell: stuck.number });
    quarantined(&mut spawner, &stuck, "has not ended");
    let other = spawner.ready();
    assert_ne!(other.uid, stuck.uid);
    // Its tracer lets go of it.
    waitpid(process, None).unwrap();
    spawner.ended(&stuck);
    spawner.end(&other);
}

#[test]
fn a_cell_that_hangs_while_it_is_made_is_given_up_and_nothing_of_it_stays() {
    let world = World::new();
    let (mut spawner, mut door) = world.start_at(Point::ImageMounted, 2);
    spawner.hello();
    spawner.send(&Request::Make { ticket: 7, image: IMAGE });
    door.wait();
    let (reply, _) = spawner.receive();
    let Reply::Failed { subject: Subject::Ticket(7), detail } = reply else { panic!("{reply:?}") };
    assert_eq!(detail, "it took too long");
    // Nobody let go of it: it was killed where it stood.
    let cells = spawner.uid_base + sandbox::plan::FIRST_CELL_ID..spawner.uid_base + 65_536;
    eventually("its process is gone", || processes_of(cells.clone()).is_empty());
    eventually("its groups are gone", || leaves(&spawner, CellId(1)).is_empty());
    door.open();
    let next = spawner.ready();
    spawner.end(&next);
}

#[test]
fn cells_of_a_maker_that_hangs_are_given_up_and_freed_when_it_comes_back() {
    let world = World::new();
    let mut spawner = world.start(2);
    let maker = pid_of(children_of(spawner.inner_pid())[0]);
    kill(maker, Signal::SIGSTOP).unwrap();
    spawner.send(&Request::Make { ticket: 7, image: IMAGE });
    let (reply, _) = spawner.receive();
    assert!(matches!(reply, Reply::Failed { subject: Subject::Ticket(7), .. }), "{reply:?}");
    // Its process may yet be born, with its id: both are kept.
    let Reply::Quarantined { cell, .. } = spawner.receive().0 else { panic!() };
    assert!(!leaves(&spawner, cell).is_empty());
    kill(maker, Signal::SIGCONT).unwrap();
    assert!(matches!(spawner.receive().0, Reply::Ended { cell: ended, .. } if ended == cell));
    assert!(leaves(&spawner, cell).is_empty());
    let next = spawner.ready();
    spawner.end(&next);
}
