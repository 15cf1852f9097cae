//! The first process of a cell or template performs its own steps, and says through a pipe how far it
//! got.
//!
//! ```text
//!   report pipe:   nothing, end      it was killed
//!                  failed(n, errno)  step n failed; it exits
//!                  ready, end        it executed its program (executing closes the pipe)
//! ```

use std::fs::{self, File};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use caps::CapsHashSet;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, getcwd, setgroups, sethostname, setresgid, setresuid, setsid, write};

use super::StepError;
use super::bear::{Becomes, Birth};
use super::cell::c_string;
use super::program::Program;
use super::start::{CELL_ROOT, is_null_device};
use crate::failpoint;
use crate::landlock;
use crate::plan::{EnterStep, tmp_options};
use crate::seccomp::Program as Filter;
use crate::sys::mount::{self, Attributes};
use crate::sys::{privilege, process, socket};

/// Exit status of a process that was never released.
pub(super) const NOT_RELEASED: i32 = 70;
/// Exit status of a process one of whose steps failed.
const FAILED: i32 = 71;
/// Instead of a step's index: about to execute.
const READY: u16 = u16::MAX;
/// A step's index and an `errno`.
const RECORD: usize = 6;

/// Where descriptors lie when the program is executed. 3 is `wire::runner::RUNNER_FD` and
/// `wire::template::SOCKET`; the other two are close-on-exec.
const SOCKET: i32 = 3;
const REPORT: i32 = 4;
const RUNNER_PROGRAM: i32 = 5;
/// Above all of them: where they wait while the low numbers are taken.
const ASIDE: i32 = 16;

const TMP: Attributes =
    Attributes { read_only: false, no_suid: true, no_dev: true, no_exec: false };
/// Read-only, or a function could lower its own `oom_score_adj` again.
const PROC: Attributes = Attributes { read_only: true, no_suid: true, no_dev: true, no_exec: true };

/// How making a cell went, as far as its own process could say.
#[derive(Debug)]
pub enum Outcome {
    /// The runner was executed.
    Ready,
    /// A step failed.
    Failed(StepError),
    /// It ended without a word: it was killed.
    Silent,
}

/// Reads what came through a report pipe until its end.
pub fn read_outcome(bytes: &[u8], steps: &[EnterStep]) -> Outcome {
    let mut outcome = Outcome::Silent;
    for record in bytes.chunks_exact(RECORD) {
        let (index, errno) = record.split_at(2);
        let index = u16::from_le_bytes([index[0], index[1]]);
        let errno = i32::from_le_bytes([errno[0], errno[1], errno[2], errno[3]]);
        outcome = match steps.get(usize::from(index)) {
            Some(step) => Outcome::Failed(StepError::at(step, Errno::from_raw(errno))),
            None => Outcome::Ready,
        };
    }
    outcome
}

/// Performs the steps; returns the exit status of a process that failed to.
pub(super) fn enter(steps: &[EnterStep], filter: &Filter, birth: Birth) -> i32 {
    // Never dropped: the process ends with this function, and once the descriptors are closed, an
    // owner that closed its number again would hit a stranger's.
    let mut cell = ManuallyDrop::new(Cell { filter, birth, root: None, program: None });
    for (index, step) in steps.iter().enumerate() {
        if matches!(step, EnterStep::Execute | EnterStep::ExecuteProgram) {
            cell.report(READY, 0);
        }
        if let Err(errno) = cell.perform(step) {
            cell.report(u16::try_from(index).unwrap_or(READY), errno as i32);
            return FAILED;
        }
        failpoint::after(step);
    }
    FAILED
}

struct Cell<'a> {
    filter: &'a Filter,
    birth: Birth,
    /// The directory that is the root to be; set by `MountImage`.
    root: Option<OwnedFd>,
    /// What is executed; set by `ReadProgram`.
    program: Option<Program>,
}

// === impl Cell ===

impl Cell<'_> {
    fn report(&self, index: u16, errno: i32) {
        let mut record = [0; RECORD];
        record[..2].copy_from_slice(&index.to_le_bytes());
        record[2..].copy_from_slice(&errno.to_le_bytes());
        // If the spawner is gone there is nobody to tell, and the kernel is about to end us too.
        let _nobody_listens = write(&self.birth.report, &record);
    }

    fn perform(&mut self, step: &EnterStep) -> nix::Result<()> {
        match step {
            EnterStep::JoinControlGroups => {
                let doors = std::mem::take(&mut self.birth.doors);
                doors.iter().try_for_each(|door| write(door, b"0").map(drop))
            }
            EnterStep::NewCgroupNamespace => unshare(CloneFlags::CLONE_NEWCGROUP),
            EnterStep::OutOfMemoryFirst => write_file("/proc/self/oom_score_adj", "1000"),
            EnterStep::DropGroups => setgroups(&[]),
            EnterStep::BecomeUser { id } => {
                let (user, group) = (Uid::from_raw(*id), Gid::from_raw(*id));
                setresgid(group, group, group)?;
                setresuid(user, user, user)
            }
            EnterStep::UserLimit { name, value } => {
                write_file(&format!("/proc/sys/user/{name}"), &value.to_string())
            }
            EnterStep::ResourceLimit { resource, soft, hard } => limit(*resource, *soft, *hard),
            EnterStep::LoopbackUp => socket::loopback_up(),
            EnterStep::Hostname { name } => sethostname(name),
            EnterStep::PrivateMounts => mount::make_all_private(),
            EnterStep::MountImage => self.mount_image(),
            EnterStep::MountDevices => self.attach(self.birth.devices.as_fd(), "dev"),
            EnterStep::MountTmp { mib } => self.mount_tmp(*mib),
            EnterStep::MountProc => {
                let options = [(c"subset", c"pid"), (c"hidepid", c"ptraceable")];
                let proc = mount::new_filesystem(c"proc", &options, PROC)?;
                self.attach(proc.as_fd(), "proc")
            }
            EnterStep::Pivot => mount::pivot_into(self.root()?),
            EnterStep::CheckDirectory => match getcwd()?.as_path() == Path::new("/") {
                true => Ok(()),
                false => Err(Errno::EXDEV),
            },
            EnterStep::NullStreams => null_streams(&[0, 1, 2]),
            EnterStep::WordStreams => match &self.birth.becomes {
                Becomes::Runner(_) => Err(Errno::ENOTRECOVERABLE),
                Becomes::Template { words, .. } => {
                    null_streams(&[0])?;
                    [1, 2].into_iter().try_for_each(|at| process::place(words.as_fd(), at, true))
                }
            },
            EnterStep::ReadProgram => match self.birth.becomes {
                Becomes::Runner(_) => Err(Errno::ENOTRECOVERABLE),
                Becomes::Template { index, .. } => {
                    self.program = Some(Program::read(index)?);
                    Ok(())
                }
            },
            EnterStep::NewKeyring => match privilege::new_session_keyring() {
                // A kernel without keyrings has none to leave behind.
                Err(Errno::ENOSYS) => Ok(()),
                other => other,
            },
            EnterStep::NewSession => setsid().map(drop),
            EnterStep::Umask { mask } => {
                umask(Mode::from_bits_truncate(*mask));
                Ok(())
            }
            EnterStep::ResetSignals => process::reset_signals(),
            EnterStep::MitigateSpeculation => privilege::force_speculation_mitigations(),
            EnterStep::NoPageMerging => privilege::switch_page_merging_off(),
            EnterStep::EmptyBoundingSet => {
                privilege::bound_capabilities(&CapsHashSet::new()).map_err(|_| Errno::EPERM)
            }
            EnterStep::LockSecurebits => privilege::lock_securebits(),
            EnterStep::EmptyCapabilities => {
                privilege::reduce_capabilities(&CapsHashSet::new()).map_err(|_| Errno::EPERM)
            }
            EnterStep::NoNewPrivileges => nix::sys::prctl::set_no_new_privs(),
            EnterStep::EnterDomain { abi, rules } => landlock::enter(*abi, rules),
            EnterStep::CloseDescriptors => self.close_descriptors(),
            EnterStep::LoadFilter => privilege::load_filter(self.filter.instructions()),
            EnterStep::Execute => match self.birth.becomes {
                // No environment: it has nothing to configure, and nothing to leak.
                Becomes::Runner(runner) => Err(process::execute(runner, &[c"runner"], &[])),
                Becomes::Template { .. } => Err(Errno::ENOTRECOVERABLE),
            },
            EnterStep::ExecuteProgram => match &self.program {
                Some(program) => Err(program.execute()),
                None => Err(Errno::ENOTRECOVERABLE),
            },
        }
    }

    fn root(&self) -> nix::Result<BorrowedFd<'_>> {
        self.root.as_ref().map(AsFd::as_fd).ok_or(Errno::ENOTRECOVERABLE)
    }

    fn mount_image(&mut self) -> nix::Result<()> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let place = open(CELL_ROOT, flags, Mode::empty())?;
        mount::attach(self.birth.image.as_fd(), place.as_fd())?;
        // Opened again: the first descriptor is the directory beneath the mount.
        self.root = Some(open(CELL_ROOT, flags, Mode::empty())?);
        Ok(())
    }

    fn attach(&self, tree: BorrowedFd<'_>, at: &str) -> nix::Result<()> {
        let target = mount::open_beneath(self.root()?, Path::new(at))?;
        mount::attach(tree, target.as_fd())
    }

    fn mount_tmp(&self, mib: u32) -> nix::Result<()> {
        let (size, inodes) = tmp_options(mib);
        let (size, inodes) = (c_string(size)?, c_string(inodes)?);
        let options = [(c"size", &*size), (c"nr_inodes", &*inodes), (c"mode", c"1777")];
        let tmp = mount::new_filesystem(c"tmpfs", &options, TMP)?;
        self.attach(tmp.as_fd(), "tmp")
    }

    fn close_descriptors(&mut self) -> nix::Result<()> {
        let aside = |fd: BorrowedFd<'_>| process::move_above(fd, ASIDE);
        let socket = aside(self.birth.socket.as_fd())?;
        let report = aside(self.birth.report.as_fd())?;
        let runner = match self.birth.becomes {
            Becomes::Runner(runner) => Some(aside(runner)?),
            Becomes::Template { .. } => None,
        };
        process::place(socket.as_fd(), SOCKET, true)?;
        process::place(report.as_fd(), REPORT, false)?;
        let last = match &runner {
            Some(runner) => {
                process::place(runner.as_fd(), RUNNER_PROGRAM, false).map(|()| RUNNER_PROGRAM)?
            }
            None => REPORT,
        };
        process::close_from(last.cast_unsigned() + 1)?;
        // Their numbers are closed, or belong to something else now: owners must not close again.
        std::mem::forget((socket, report));
        let report = process::inherited(REPORT)?;
        std::mem::forget(std::mem::replace(&mut self.birth.report, report));
        if let Some(closed) = runner {
            std::mem::forget(closed);
            // The process keeps this number until it executes or exits; nobody else closes it.
            self.birth.becomes =
                Becomes::Runner(process::leak(process::inherited(RUNNER_PROGRAM)?));
        }
        Ok(())
    }
}

fn limit(resource: Resource, soft: u64, hard: u64) -> nix::Result<()> {
    // A host may allow us less than we would allow a function; lowering needs no privilege.
    let (_, ours) = getrlimit(resource)?;
    setrlimit(resource, soft.min(ours), hard.min(ours))
}

fn null_streams(numbers: &[i32]) -> nix::Result<()> {
    let null = open(c"/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    let null = File::from(null);
    if !is_null_device(&null)? {
        return Err(Errno::ENODEV);
    }
    numbers.iter().try_for_each(|number| process::place(null.as_fd(), *number, true))
}

fn write_file(path: &str, text: &str) -> nix::Result<()> {
    fs::write(path, text).map_err(|err| err.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
}
