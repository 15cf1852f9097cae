//! Whoever is killed, at whatever arrow of a sandbox's life: after the next start nothing is left.
//!
//! ```text
//!   a spawner that stops at the point ─► drive it there ─► kill ─► its family is gone
//!      ─► start again ─► a cell comes and goes ─► stop ─► exactly nothing is left
//! ```
//!
//! Here each pair of point and victim is tried once; `tests/soak` tries each twenty times, and compares
//! what the whole kernel counts as well. What belongs to this spawner alone (its ids, its slot's
//! groups, its namespaces, its files) can be compared while other tests run.

mod remains;

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandbox::failpoint::Point;
use sandbox::sys::socket;
use wire::spawner::{CellId, Reply, Request, Subject, TemplateId, Trees};

use self::remains::{Remains, descriptors, family};
use super::harness::{
    CODE, Cell, IMAGE, LEAN, LIMITS, Spawner, World, children_of, eventually, patience, programs,
    slot_of,
};

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    /// The spawner's outer process.
    Outer,
    /// The spawner proper.
    Inner,
    /// The control plane: its socket closes.
    Control,
    /// The spawner, all processes of it, and the control plane.
    Both,
    /// The first process of the cell.
    Sandbox,
    /// The template.
    Template,
}

/// What brings a spawner to a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Start,
    Make,
    Assign,
    Template,
    Fork,
    End,
    Stop,
}

// === impl Victim ===

impl Victim {
    const ALL: [Self; 6] =
        [Self::Outer, Self::Inner, Self::Control, Self::Both, Self::Sandbox, Self::Template];

    /// Whether there is one when somebody stands at a point.
    fn is_there(self, point: Point) -> bool {
        match self {
            Self::Outer | Self::Both => true,
            Self::Inner => {
                let before = [Point::SlotTaken, Point::GroupsMade, Point::SlotRecorded];
                !before.contains(&point) && Way::to(point) != Way::Stop
            }
            // It is what ends the spawner on the way there.
            Self::Control => Way::to(point) != Way::Stop,
            Self::Sandbox => {
                let unborn = [Point::Reserved, Point::Prepared, Point::Ordered, Point::OrderTaken];
                match Way::to(point) {
                    Way::Make => !unborn.contains(&point),
                    Way::Assign | Way::Fork => true,
                    // It is killed there anyway, or not there.
                    Way::Start | Way::Template | Way::End | Way::Stop => false,
                }
            }
            Self::Template => match Way::to(point) {
                Way::Template => point != Point::TemplateOrdered,
                way => way == Way::Fork,
            },
        }
    }
}

// === impl Way ===

impl Way {
    fn to(point: Point) -> Self {
        match point {
            Point::SlotTaken
            | Point::GroupsMade
            | Point::SlotRecorded
            | Point::Cloned
            | Point::InnerBorn
            | Point::RootMade
            | Point::MakerStarted
            | Point::Settled => Self::Start,
            Point::Reserved
            | Point::Prepared
            | Point::Ordered
            | Point::OrderTaken
            | Point::ProcessCloned
            | Point::ProcessMapped
            | Point::HandedBack
            | Point::Born
            | Point::GroupsJoined
            | Point::ImageMounted
            | Point::Pivoted
            | Point::FilterLoaded
            | Point::Walled
            | Point::Ready
            | Point::Made => Self::Make,
            Point::LimitsSet | Point::CodeMounted | Point::Assigned => Self::Assign,
            Point::TemplateOrdered
            | Point::TemplateBorn
            | Point::TemplateStarting
            | Point::TemplateReady => Self::Template,
            Point::ForkOrdered | Point::Forked => Self::Fork,
            Point::Killed | Point::Reaped | Point::LeavesRemoved | Point::Freed => Self::End,
            Point::InnerEnded | Point::GroupsRemoved => Self::Stop,
        }
    }

    /// Asks for what leads there; returns the cell that exists by then, if there is one.
    fn go(self, spawner: &mut Spawner) -> Option<Cell> {
        if self == Self::Start {
            return None;
        }
        spawner.hello();
        match self {
            Self::Start => None,
            Self::Make => {
                spawner.send(&Request::Make { ticket: 7, image: IMAGE });
                None
            }
            Self::Assign => {
                let cell = spawner.make();
                let request =
                    Request::Assign { cell: cell.number, trees: Trees::of(CODE), limits: LIMITS };
                spawner.send(&request);
                Some(cell)
            }
            Self::Template => {
                spawner.send(&Request::Template { ticket: 9, image: IMAGE, index: LEAN });
                None
            }
            Self::Fork => {
                let cell = spawner.make();
                let template = spawner.template(LEAN);
                let (null, end) = std::io::pipe().unwrap();
                let request = Request::Fork { cell: cell.number, template }.encode();
                let beside = [end.as_fd(), null.as_fd()];
                socket::send(spawner.socket(), &request, &beside, true).unwrap();
                Some(cell)
            }
            Self::End => {
                let cell = spawner.ready();
                spawner.send(&Request::End { cell: cell.number });
                Some(cell)
            }
            Self::Stop => {
                let cell = spawner.ready();
                spawner.close_socket();
                Some(cell)
            }
        }
    }
}

fn slay(pid: u32) {
    match kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL) {
        // With its parent killed just before, it may have been faster.
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => panic!("kill {pid}: {errno}"),
    }
}

/// A part of the machine in which one spawner after the other is killed.
pub(crate) struct Place {
    world: World,
    slot: u32,
    /// Descriptors of an undisturbed spawner after one cell.
    usual: [usize; 3],
}

// === impl Place ===

impl Place {
    pub(crate) fn new() -> Self {
        let world = World::new();
        let mut spawner = world.start_quietly(4);
        cycle(&mut spawner);
        // The outer process may be late with what it closes after its start; then it seals itself.
        eventually("the outer process waits", || {
            std::fs::read_to_string(format!("/proc/{}/status", spawner.pid()))
                .is_ok_and(|status| status.contains("Seccomp:\t2"))
        });
        let usual = descriptors(&spawner);
        let slot = slot_of(spawner.uid_base);
        spawner.close_socket();
        assert!(spawner.wait().success());
        Self { world, slot, usual }
    }

    /// Kills `victim` at `point` and looks for what is left after the next start.
    pub(crate) fn kill_at(&self, point: Point, victim: Victim) {
        let Self { world, slot, usual } = self;
        let (mut spawner, mut door) = world.start_at(point, 4);
        let cell = Way::to(point).go(&mut spawner);
        door.wait();
        let remains = Remains::of(*slot, world.state(), &family(spawner.pid()));
        strike(&mut spawner, victim);
        door.open();
        if matches!(victim, Victim::Sandbox | Victim::Template) {
            match Way::to(point) {
                Way::Template | Way::Fork => last_words(&mut spawner, cell.as_ref()),
                _ => last_word(&mut spawner, cell.as_ref()),
            }
            cycle(&mut spawner);
            // The outer process may be late with what it closes after its start.
            let what = format!("{victim:?} at {point:?}: descriptors are {usual:?} again");
            eventually(&what, || descriptors(&spawner) == *usual);
            eventually("it has no child but the maker", || {
                children_of(spawner.inner_pid()).len() == 1
            });
            spawner.close_socket();
        }
        drop(cell);
        spawner.wait();
        eventually("the family is gone", || remains.processes().is_empty());

        let mut next = world.start_quietly(4);
        assert_eq!(slot_of(next.uid_base), *slot, "{victim:?} at {point:?}: the slot is not free");
        let unswept = remains.groups_beneath();
        assert!(unswept.is_empty(), "{victim:?} at {point:?}: not swept {unswept:?}");
        cycle(&mut next);
        next.close_socket();
        assert!(next.wait().success());
        let begin = Instant::now();
        while let left = remains.all()
            && !left.is_empty()
        {
            let left = left.join("\n");
            assert!(begin.elapsed() < patience(), "{victim:?} at {point:?} left\n{left}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn cycle(spawner: &mut Spawner) {
    let cell = spawner.ready();
    spawner.end(&cell);
}

fn strike(spawner: &mut Spawner, victim: Victim) {
    let children = children_of(spawner.pid());
    let inner = children.first().copied();
    match victim {
        Victim::Outer => slay(spawner.pid()),
        Victim::Inner => slay(inner.expect("the spawner proper is there")),
        Victim::Control => spawner.close_socket(),
        Victim::Both => {
            // The outer one first: it is not to clean up.
            slay(spawner.pid());
            // The sweeper too, or it would do what the next start is to do.
            children.into_iter().for_each(slay);
            spawner.close_socket();
        }
        // The first child is the maker; what was forked comes last.
        Victim::Sandbox => slay(children_of(inner.expect("the spawner proper is there"))[1]),
        Victim::Template => {
            // Behind the maker, and the cell if there is one; before what was forked.
            let children = children_of(inner.expect("the spawner proper is there"));
            slay(*children.iter().take(3).next_back().expect("the template is there"));
        }
    }
}

/// Hears what becomes of a template and a cell of which one was killed, and ends the other.
fn last_words(spawner: &mut Spawner, cell: Option<&Cell>) {
    let mut cells: Vec<_> = cell.map(|cell| cell.number).into_iter().collect();
    let mut templates = Some(TemplateId(1));
    // Answered at once, so that nothing that was asked before is answered after it.
    let fence = CellId(u32::MAX);
    // Whatever has ended by itself by then is not there any more, which is as good.
    if cell.is_some() {
        spawner.send(&Request::EndTemplate { template: TemplateId(1) });
    }
    cells.iter().for_each(|cell| spawner.send(&Request::End { cell: *cell }));
    while templates.is_some() || !cells.is_empty() {
        match spawner.receive().0 {
            Reply::Ended { cell, .. } => cells.retain(|number| *number != cell),
            Reply::TemplateEnded { template }
            | Reply::Failed { subject: Subject::Template(template), .. } => {
                assert_eq!(template, TemplateId(1));
                templates = None;
            }
            Reply::TemplateReady { .. } => {
                spawner.send(&Request::EndTemplate { template: TemplateId(1) });
            }
            // It had not been ready.
            Reply::Failed { subject: Subject::Ticket(9), .. } => templates = None,
            Reply::Failed { .. } | Reply::Forked { .. } | Reply::Exited { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    spawner.send(&Request::End { cell: fence });
    loop {
        match spawner.receive().0 {
            Reply::Failed { subject: Subject::Cell(cell), .. } if cell == fence => return,
            Reply::Failed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Hears what becomes of a cell whose first process was killed.
fn last_word(spawner: &mut Spawner, cell: Option<&Cell>) {
    let mut number = cell.map(|cell| cell.number);
    loop {
        match spawner.receive().0 {
            Reply::Failed { subject: Subject::Ticket(_), .. } if number.is_none() => return,
            Reply::Made { cell, .. } if number.is_none() => number = Some(cell),
            Reply::Ended { cell, .. } if number == Some(cell) => return,
            Reply::Assigned { .. } | Reply::Failed { subject: Subject::Cell(_), .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Every victim at every point where there is one.
pub(crate) fn pairs() -> Vec<(Point, Victim)> {
    let all = Point::ALL.iter().flat_map(|point| Victim::ALL.map(|victim| (*point, victim)));
    all.filter(|(point, victim)| victim.is_there(*point)).collect()
}

/// Every point once, for one victim.
fn every_point(victim: Victim) {
    let place = Place::new();
    for (point, _) in pairs().into_iter().filter(|(_, each)| *each == victim) {
        place.kill_at(point, victim);
    }
}

#[test]
fn the_outer_process_killed_at_every_arrow_leaves_nothing() {
    every_point(Victim::Outer);
}

#[test]
fn the_spawner_proper_killed_at_every_arrow_leaves_nothing() {
    every_point(Victim::Inner);
}

#[test]
fn the_control_plane_gone_at_every_arrow_leaves_nothing() {
    every_point(Victim::Control);
}

#[test]
fn the_spawner_and_the_control_plane_killed_at_every_arrow_leave_nothing() {
    every_point(Victim::Both);
}

#[test]
fn the_sandbox_killed_at_every_arrow_leaves_nothing() {
    every_point(Victim::Sandbox);
}

#[test]
fn a_template_killed_at_every_arrow_leaves_nothing() {
    every_point(Victim::Template);
}

/// The control of all of the above: a group, a process and a file that are left behind are seen.
#[test]
fn what_is_left_behind_on_purpose_is_seen() {
    let world = World::new();
    let mut spawner = world.start(4);
    let cell = spawner.make();
    let slot = slot_of(spawner.uid_base);
    let remains = Remains::of(slot, world.state(), &family(spawner.pid()));
    let left = remains.all().join("\n");
    for kind in ["process ", "user ", "group "] {
        assert!(left.contains(kind), "a running spawner has {kind}: {left}");
    }
    std::fs::write(world.state().join("stray"), "").unwrap();
    assert!(remains.all().join("\n").contains("file "));
    std::fs::remove_file(world.state().join("stray")).unwrap();
    spawner.end(&cell);
    spawner.close_socket();
    spawner.wait();
    eventually("nothing is left", || remains.all().is_empty());
}

#[test]
fn the_shipped_spawner_has_no_points_to_stop_at() {
    let programs = programs::get();
    let has = |program: &std::path::Path, text: &str| {
        let bytes = std::fs::read(program).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let mut texts = vec!["HEARTH_FAILPOINT"];
    texts.extend(Point::ALL.iter().map(|point| point.name()));
    for text in texts {
        assert!(!has(&programs.spawner, text), "{text} is in the shipped spawner");
        assert!(!has(&programs.runner, text), "{text} is in the shipped runner");
        assert!(has(&programs.failpoints, text), "{text} is not in the one for tests");
    }
}
