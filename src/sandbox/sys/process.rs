//! Processes: clone, wait, signal, execute, and the descriptors they carry across.
//!
//! [`clone_process`] is `clone3` as "run this closure in the child and exit with its result", so that
//! no caller ever returns twice. It wants a [`SingleThreaded`] proof, because a child of one thread
//! of several inherits locks that nobody will release.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sched::CloneFlags;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, sigprocmask};

/// Proof that the process had exactly one thread when it was made.
///
/// None of the programs that hold one ever starts a second thread.
#[derive(Debug)]
pub struct SingleThreaded(());

/// A process that was cloned.
#[derive(Debug)]
pub struct Child {
    /// Its number in the cloner's pid namespace.
    pub pid: i32,
    /// Refers to it until closed, whatever becomes of the number.
    pub pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
}

/// What asking for one particular process found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaped {
    /// It had ended and is reaped now.
    Now(Ending),
    /// It is no child any more: somebody reaped it before.
    Before,
    /// It still runs, or is still dying.
    NotYet,
}

// === impl SingleThreaded ===

impl SingleThreaded {
    /// Looks at `/proc/self/task`.
    ///
    /// # Errors
    /// `EBUSY` when there is more than one thread; whatever reading the directory returns.
    pub fn check() -> nix::Result<Self> {
        let errno = |err: std::io::Error| Errno::from_raw(err.raw_os_error().unwrap_or(libc::EIO));
        let tasks = std::fs::read_dir("/proc/self/task").map_err(errno)?;
        if tasks.count() == 1 { Ok(Self(())) } else { Err(Errno::EBUSY) }
    }
}

/// Clones this process; the child runs `main` and exits with what it returns.
///
/// With `CLONE_PARENT` in `flags` the child belongs to the caller's parent, which is told of its end
/// by the signal the caller's own end would raise.
///
/// # Errors
/// What `clone3` returns; `ENOSYS` before Linux 5.3.
pub fn clone_process(
    _proof: &SingleThreaded,
    flags: CloneFlags,
    main: impl FnOnce() -> i32,
) -> nix::Result<Child> {
    let mut pidfd: libc::c_int = -1;
    let parent = flags.contains(CloneFlags::CLONE_PARENT);
    let signal = if parent { 0 } else { libc::SIGCHLD };
    // `CloneFlags` is the old call's `int`: CLONE_IO is its sign bit, so widen without the sign.
    let flags = u64::from(flags.bits().cast_unsigned()) | libc::CLONE_PIDFD as u64;
    // SAFETY: `clone_args` is a plain structure of integers, for which zero means "not used".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags;
    args.pidfd = &raw mut pidfd as u64;
    args.exit_signal = signal as u64;
    // SAFETY: `args` is valid for its whole size and outlives the call; `pidfd` is writable. Without
    // CLONE_VM the child gets a copy of this address space and continues on its own copy of this
    // stack, as after fork(2); `_proof` says that no other thread held a lock or owned a
    // half-written structure at this moment.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) };
    match Errno::result(pid)? {
        0 => {
            let status = main();
            // SAFETY: `_exit` runs neither destructors nor exit handlers, which belong to the
            // process this one is a copy of.
            unsafe { libc::_exit(status) }
        }
        pid => {
            // SAFETY: CLONE_PIDFD was set and the call succeeded, so the kernel stored a new
            // descriptor that only this variable names.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Child { pid: i32::try_from(pid).map_err(|_| Errno::EOVERFLOW)?, pidfd })
        }
    }
}

/// Reaps one ended child of any kind, if there is one, without waiting.
///
/// # Errors
/// What `waitid` returns, except that having no children is `None`.
pub fn reap_any() -> nix::Result<Option<(i32, Ending)>> {
    match wait(libc::P_ALL, 0, libc::WNOHANG) {
        Err(Errno::ECHILD) => Ok(None),
        other => other,
    }
}

/// Waits for any child to end and reaps it.
///
/// # Errors
/// What `waitid` returns: `ECHILD` when there is none.
pub fn wait_for_any() -> nix::Result<(i32, Ending)> {
    loop {
        match wait(libc::P_ALL, 0, 0) {
            Ok(Some(ended)) => return Ok(ended),
            Ok(None) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Reaps one particular child, without waiting.
///
/// # Errors
/// What `waitid` returns, except `ECHILD`, which is [`Reaped::Before`].
pub fn reap(pidfd: BorrowedFd<'_>) -> nix::Result<Reaped> {
    match wait(libc::P_PIDFD, pidfd.as_raw_fd().cast_unsigned(), libc::WNOHANG) {
        Ok(Some((_, ending))) => Ok(Reaped::Now(ending)),
        Ok(None) => Ok(Reaped::NotYet),
        Err(Errno::ECHILD) => Ok(Reaped::Before),
        Err(errno) => Err(errno),
    }
}

/// `nix` refuses endings by real-time signals after the child is already reaped; this does not.
fn wait(
    kind: libc::idtype_t,
    id: libc::id_t,
    options: libc::c_int,
) -> nix::Result<Option<(i32, Ending)>> {
    // SAFETY: `siginfo_t` is plain data, for which all zeroes is a valid value; a zero pid is how
    // WNOHANG says that nothing was there.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is writable for the length of the call.
    let result = unsafe { libc::waitid(kind, id, &raw mut info, libc::WEXITED | options) };
    Errno::result(result)?;
    // SAFETY: after a successful waitid the fields of the SIGCHLD variant are what the kernel (or
    // the zeroes above) filled in.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    let ending = match info.si_code {
        libc::CLD_EXITED => Ending::Exited(status),
        _ => Ending::Killed(status),
    };
    Ok((pid != 0).then_some((pid, ending)))
}

/// Sends a signal to exactly the process a pidfd refers to.
///
/// # Errors
/// What `pidfd_send_signal` returns: `ESRCH` when it has been reaped.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: Signal) -> nix::Result<()> {
    // SAFETY: no pointer but the null `siginfo`, which asks for kill(2)'s own.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal as libc::c_int,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    Errno::result(result).map(drop)
}

/// Gives every signal its default action back and empties the signal mask.
///
/// Ignored signals survive `execve`: a function must not start with the `SIGPIPE` that Rust's own
/// start-up ignores, nor with what a shell or `nohup` ignored for us. The kernel is asked, not the C
/// library, which hides the two that it keeps for itself: they can be inherited as ignored too.
///
/// # Errors
/// What `sigprocmask` returns.
pub fn reset_signals() -> nix::Result<()> {
    let default_action = [0_u64; 4];
    for number in 1..=libc::SIGRTMAX() {
        // SAFETY: the kernel reads one `struct sigaction` of at most 32 bytes, all zeroes: SIG_DFL,
        // which installs no code of ours. Those that may not be changed (SIGKILL, SIGSTOP) answer
        // EINVAL and keep their defaults.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                default_action.as_ptr(),
                std::ptr::null::<libc::c_void>(),
                8,
            )
        };
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// Ignores one signal in this process.
///
/// # Errors
/// What `sigaction` returns.
pub fn ignore_signal(signal: Signal) -> nix::Result<()> {
    // SAFETY: SIG_IGN installs no code of ours.
    unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) }.map(drop)
}

/// Takes ownership of a descriptor that this process was started with, and makes it close-on-exec.
///
/// Call it once per number, before anything else could have been given that number.
///
/// # Errors
/// `EBADF` when there is none.
pub fn inherited(number: i32) -> nix::Result<OwnedFd> {
    if number < 0 {
        return Err(Errno::EBADF);
    }
    // SAFETY: asks about a number; the kernel answers EBADF if it names nothing.
    Errno::result(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    // SAFETY: the descriptor is open (checked above) and, by this function's contract, was left
    // there for us by whoever executed this program: nothing in this process owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(fd)
}

/// Lets go of a descriptor that stays open as long as the process runs this program.
pub fn leak(fd: OwnedFd) -> BorrowedFd<'static> {
    let number = fd.into_raw_fd();
    // SAFETY: its owner was consumed without closing it, so nothing can close it by accident, and
    // the number stays valid for the rest of the program.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Puts a copy of `fd` at `number`, whatever was there; it survives `execve` if `keep`.
///
/// The number belongs to the process from then on, like its standard streams.
///
/// # Errors
/// What `dup3` returns.
pub fn place(fd: BorrowedFd<'_>, number: i32, keep: bool) -> nix::Result<()> {
    let flags = if keep { OFlag::empty() } else { OFlag::O_CLOEXEC };
    if fd.as_raw_fd() == number {
        // dup3 refuses equal numbers; then only the flag is left to set.
        let flag = if keep { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
        return fcntl(fd, FcntlArg::F_SETFD(flag)).map(drop);
    }
    // SAFETY: the callers are about to execute another program and place descriptors at numbers
    // whose owners in this address space they have already moved away or will never use again.
    let placed = unsafe { nix::unistd::dup3_raw(fd, number, flags) }?;
    // The owner would close it; the number is the process's now.
    let _number = placed.into_raw_fd();
    Ok(())
}

/// A copy of `fd` whose number is at least `least`, so that [`place`] below it cannot hit it.
///
/// # Errors
/// What `fcntl(F_DUPFD_CLOEXEC)` returns.
pub fn move_above(fd: BorrowedFd<'_>, least: i32) -> nix::Result<OwnedFd> {
    let number = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(least))?;
    // SAFETY: F_DUPFD_CLOEXEC returned a new descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Closes every descriptor from `first` upwards.
///
/// Owners that still hold one of those numbers must not be used or dropped afterwards: for a process
/// about to execute, or one that forgets them.
///
/// # Errors
/// What `close_range` returns.
pub fn close_from(first: u32) -> nix::Result<()> {
    // In a test build one number in between stays open.
    #[cfg(feature = "failpoints")]
    let first = {
        close_between(first.cast_signed() - 1, crate::failpoint::DOOR)?;
        crate::failpoint::DOOR.cast_unsigned() + 1
    };
    // SAFETY: no pointers. That no live owner refers to the closed numbers is the documented
    // contract; its callers either never drop them (execve or _exit follows) or call this first.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    Errno::result(result).map(drop)
}

/// Closes every descriptor between two that stay, exclusive; the same contract as [`close_from`].
///
/// # Errors
/// What `close_range` returns.
pub fn close_between(below: i32, above: i32) -> nix::Result<()> {
    if above - below < 2 {
        return Ok(());
    }
    // SAFETY: as in `close_from`.
    let result = unsafe { libc::syscall(libc::SYS_close_range, below + 1, above - 1, 0) };
    Errno::result(result).map(drop)
}

/// Replaces this program by the one a descriptor refers to.
///
/// # Errors
/// What `execveat` returns; it does not return otherwise.
pub fn execute(program: BorrowedFd<'_>, argv: &[&CStr], env: &[&CStr]) -> Errno {
    let flags = nix::fcntl::AtFlags::AT_EMPTY_PATH;
    match nix::unistd::execveat(program.as_fd(), c"", argv, env, flags) {
        Err(errno) => errno,
    }
}
