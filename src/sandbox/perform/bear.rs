//! The maker's part: a process in new namespaces, with an identity, and on its way.
//!
//! A template's gets no namespace of users or processes: it is a member of the maker's.
//!
//! The maker's effective id is the nursery's owner id, so the user namespace of every cell belongs to
//! that id and to nobody who runs in a cell. It clones with `CLONE_PARENT`: the process is the
//! spawner's child from the first moment.

use std::fs;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;

use super::StepError;
use super::enter;
use crate::failpoint;
use crate::plan::{BearStep, EnterStep};
use crate::seccomp::Program;
use crate::sys::process::{Child, SingleThreaded, clone_process};

/// What the spawner prepared for a process to be.
#[derive(Debug)]
pub struct Birth {
    /// A cell's id in the nursery, unique among living cells; nothing reads a template's.
    pub id: u32,
    /// The image, detached.
    pub image: OwnedFd,
    /// Device nodes, detached.
    pub devices: OwnedFd,
    /// Its end of its socket.
    pub socket: OwnedFd,
    /// Where the process says how far it got.
    pub report: OwnedFd,
    /// Doors of its control groups.
    pub doors: Vec<OwnedFd>,
    /// What it becomes.
    pub becomes: Becomes,
}

/// What a process becomes when it has performed its steps.
#[derive(Debug)]
pub enum Becomes {
    /// The runner of a cell: a program that was opened by whoever started the spawner.
    Runner(BorrowedFd<'static>),
    /// One of its image's templates.
    Template {
        /// Which.
        index: u8,
        /// Where what it says goes.
        words: OwnedFd,
    },
}

/// All but the cgroup namespace, which is left when the process has joined its groups.
fn namespaces() -> CloneFlags {
    template_namespaces() | CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID
}

/// Those of them that a template has of its own.
fn template_namespaces() -> CloneFlags {
    CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_PARENT
}

/// Performs the bear steps; the child performs `enter` and becomes what its birth says.
///
/// `hand_back` gets the child before it has run a single step.
///
/// # Errors
/// The step that failed. A child that exists by then ends by itself.
pub fn bear(
    steps: &[BearStep],
    enter: &[EnterStep],
    proof: &SingleThreaded,
    filter: &Program,
    birth: Birth,
    hand_back: impl FnOnce(&Child) -> nix::Result<()>,
) -> Result<(), StepError> {
    let mut birth = Some(birth);
    let mut hand_back = Some(hand_back);
    let mut child = None;
    let mut starter = None;
    let id = birth.as_ref().map_or(0, |birth| birth.id);
    for step in steps {
        let performed = match step {
            BearStep::Clone | BearStep::CloneTemplate => {
                let flags = match step {
                    BearStep::Clone => namespaces(),
                    _ => template_namespaces(),
                };
                match birth.take() {
                    None => Err(Errno::ENOTRECOVERABLE),
                    Some(birth) => {
                        clone(flags, enter, proof, filter, birth).map(|(born, start)| {
                            child = Some(born);
                            starter = Some(start);
                        })
                    }
                }
            }
            BearStep::MapGroup { inside } => write_map(child.as_ref(), "gid_map", *inside, id),
            BearStep::MapUser { inside } => write_map(child.as_ref(), "uid_map", *inside, id),
            BearStep::HandBack => match (&child, hand_back.take()) {
                (Some(child), Some(hand_back)) => hand_back(child),
                _ => Err(Errno::ENOTRECOVERABLE),
            },
            BearStep::Release => match starter.take() {
                Some(mut starter) => starter.write_all(&[1]).map_err(errno),
                None => Err(Errno::ENOTRECOVERABLE),
            },
        };
        // Whatever fails, `starter` is dropped unwritten with it: the child reads the end, and ends.
        performed.map_err(|errno| StepError::at(step, errno))?;
        failpoint::after(step);
    }
    Ok(())
}

fn clone(
    flags: CloneFlags,
    steps: &[EnterStep],
    proof: &SingleThreaded,
    filter: &Program,
    birth: Birth,
) -> nix::Result<(Child, PipeWriter)> {
    let (waiter, starter) = std::io::pipe().map_err(errno)?;
    // In the child these are its own copies; taking them there leaves the maker's alone.
    let (mut starter, mut birth) = (Some(starter), Some(birth));
    let child = clone_process(proof, flags, || {
        // Or the end of the maker would not end the wait.
        drop(starter.take());
        match birth.take() {
            Some(birth) if released(waiter) => enter::enter(steps, filter, birth),
            _ => enter::NOT_RELEASED,
        }
    })?;
    starter.map(|starter| (child, starter)).ok_or(Errno::ENOTRECOVERABLE)
}

fn released(mut waiter: PipeReader) -> bool {
    matches!(waiter.read(&mut [0]), Ok(1))
}

fn write_map(child: Option<&Child>, file: &str, inside: u32, id: u32) -> nix::Result<()> {
    let pid = child.ok_or(Errno::ENOTRECOVERABLE)?.pid;
    fs::write(format!("/proc/{pid}/{file}"), format!("{inside} {id} 1\n")).map_err(errno)
}

fn errno(err: std::io::Error) -> Errno {
    err.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
