//! The points of a test build.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;

use nix::unistd::{read, write};

use super::Point;
use crate::plan::{AssignStep, BearStep, EndStep, EnterStep};
use crate::sys::process;

/// Where the socket lies, in every process: above whatever is closed or placed by number.
pub const DOOR: i32 = 900;

/// The point to stop at and whom to tell.
static ARMED: OnceLock<(String, OwnedFd)> = OnceLock::new();

/// Reads from the environment what to stop at; nothing there arms nothing.
///
/// # Errors
/// The socket cannot be reached, or not be put where it has to be.
pub fn arm() -> io::Result<()> {
    let named = (std::env::var("HEARTH_FAILPOINT"), std::env::var("HEARTH_FAILPOINT_DOOR"));
    let (Ok(point), Ok(door)) = named else { return Ok(()) };
    let stream = UnixStream::connect(door)?;
    let door = process::move_above(std::os::fd::AsFd::as_fd(&stream), DOOR)?;
    let _first = ARMED.set((point, door));
    Ok(())
}

/// Tells and waits if this is the point.
pub fn reach(point: Point) {
    let Some((_, door)) = ARMED.get().filter(|(name, _)| name == point.name()) else { return };
    // A test that is gone is told nothing and asked for nothing.
    let told = write(door, format!("{}\n", point.name()).as_bytes());
    if told.is_ok() {
        let _released = read(door, &mut [0]);
    }
}

/// The same for the point behind a step, if there is one.
pub fn after<S: Step>(step: &S) {
    if let Some(point) = step.point() {
        reach(point);
    }
}

/// A step of a plan with a point behind it, perhaps.
pub trait Step {
    /// Which.
    fn point(&self) -> Option<Point>;
}

impl Step for BearStep {
    fn point(&self) -> Option<Point> {
        match self {
            Self::Clone => Some(Point::ProcessCloned),
            Self::MapUser { .. } => Some(Point::ProcessMapped),
            Self::HandBack => Some(Point::HandedBack),
            _ => None,
        }
    }
}

impl Step for EnterStep {
    fn point(&self) -> Option<Point> {
        match self {
            Self::JoinControlGroups => Some(Point::GroupsJoined),
            Self::MountImage => Some(Point::ImageMounted),
            Self::Pivot => Some(Point::Pivoted),
            Self::LoadFilter => Some(Point::FilterLoaded),
            _ => None,
        }
    }
}

impl Step for AssignStep {
    fn point(&self) -> Option<Point> {
        match self {
            Self::SetLimits => Some(Point::LimitsSet),
            Self::MountTrees { .. } => Some(Point::CodeMounted),
            Self::CloneTrees => None,
        }
    }
}

impl Step for EndStep {
    fn point(&self) -> Option<Point> {
        match self {
            Self::Kill => Some(Point::Killed),
            Self::Reap => Some(Point::Reaped),
            Self::RemoveLeaves => Some(Point::LeavesRemoved),
            Self::ReadUsage => None,
        }
    }
}
