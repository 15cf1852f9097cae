//! The kernel calls of PID 1, as safe functions on owned descriptors.
//!
//! The only module of this crate with `unsafe` in it. Every function is one call or one short,
//! fixed sequence of them; none decides anything. Only calls that the sandbox's filter lets through
//! are used: no `clone3`, and `poll`, not one of its successors.

#![allow(unsafe_code, reason = "the kernel is called here and nowhere else in this crate")]

use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use wire::runner::LINK_FD;

/// Stack of the child between `clone` and `execve`, in units of 16 bytes: 64 KiB, several times what
/// a dozen system calls need.
const STACK: usize = 4096;

/// What is ready to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ready {
    /// The socket: a datagram, or its end.
    pub(crate) socket: bool,
    /// The signal descriptor.
    pub(crate) deaths: bool,
}

/// One datagram; its bytes are in the buffer it was received into.
#[derive(Debug)]
pub(crate) struct Datagram {
    /// How many bytes.
    pub(crate) length: usize,
    /// What came beside them, closed on `execve`.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Whether nothing was cut off, neither bytes nor descriptors.
    pub(crate) is_whole: bool,
}

/// A program to execute, as [`wire::runner::Request::Execute`] describes it.
#[derive(Debug)]
pub(crate) struct Program {
    /// Program and arguments.
    pub(crate) argv: Vec<Vec<u8>>,
    /// The whole environment.
    pub(crate) env: Vec<Vec<u8>>,
    /// Working directory.
    pub(crate) cwd: Vec<u8>,
    /// Becomes standard output and error.
    pub(crate) log: OwnedFd,
    /// Becomes [`LINK_FD`].
    pub(crate) link: Option<OwnedFd>,
}

/// What became of the children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    /// One was dead and is now gone.
    Buried {
        /// Its process id, free for others from now on.
        pid: i32,
        /// As `wait(2)` reports it.
        status: i32,
    },
    /// There are some, all alive.
    Alive,
    /// There are none.
    None,
}

/// Whom to kill.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Others {
    /// All processes of the pid namespace but its PID 1; for that one only.
    Everybody,
    /// One process group.
    Group(i32),
}

/// What the child needs between `clone` and `execve`; everything is prepared by the parent, because
/// the child runs in the parent's memory and may neither allocate nor take a lock.
struct Stage {
    argv: Vec<*const c_char>,
    env: Vec<*const c_char>,
    cwd: CString,
    log: RawFd,
    link: Option<RawFd>,
    /// Written by the child if a call fails; 0 while none has.
    errno: AtomicI32,
}

// === descriptors ===

/// Takes over a descriptor that this process was started with. It will not survive an `execve`.
///
/// # Errors
/// If it is not open.
pub(crate) fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_SETFD takes an integer and touches no memory; a closed number gives EBADF.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: the number is open (the call above succeeded on it), and nothing else in this process
    // owns it: it was inherited, and the one caller asks for it once, before anything is opened.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Waits until one of the two can be read; with `patient` unset, only looks.
pub(crate) fn wait(
    socket: BorrowedFd<'_>,
    deaths: BorrowedFd<'_>,
    patient: bool,
) -> io::Result<Ready> {
    let entry =
        |fd: BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut entries = [entry(socket), entry(deaths)];
    let timeout = if patient { -1 } else { 0 };
    // SAFETY: the pointer and the count describe `entries`, which outlives the call.
    let count = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, timeout) };
    // No handler is installed, but a stop and a continuation interrupt `poll` all the same.
    if let Err(err) = check(count)
        && err.kind() != io::ErrorKind::Interrupted
    {
        return Err(err);
    }
    let [socket, deaths] = entries.map(|entry| entry.revents != 0);
    Ok(Ready { socket, deaths })
}

/// Receives one datagram; none if the peer has closed.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
    /// Space for one SCM_RIGHTS message of four descriptors (the kernel closes what does not fit),
    /// twice what any message has; aligned as its header must be.
    #[repr(align(8))]
    struct Control([u8; 32]);

    let mut control = Control([0; 32]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all fields are integers and pointers, for which zeroes are a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = mem::size_of::<Control>();
    let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
    // SAFETY: `message` points to one part, which describes `buffer`, and to `control` with its
    // size; all of them are borrowed mutably here and outlive the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, flags) };
    let length = match usize::try_from(length) {
        // No message is empty, so nothing is lost by taking an empty one for the end.
        Ok(0) => return Ok(None),
        Ok(length) => length,
        Err(_) => {
            let err = io::Error::last_os_error();
            // The peer closed without having read everything.
            return if err.raw_os_error() == Some(libc::ECONNRESET) { Ok(None) } else { Err(err) };
        }
    };

    let mut descriptors = Vec::new();
    // SAFETY: `message` and the control bytes it points to are as the kernel left them.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&message) };
    while !header.is_null() {
        // SAFETY: not null, so CMSG_FIRSTHDR or CMSG_NXTHDR found a whole header in `control`.
        let cmsg = unsafe { &*header };
        if cmsg.cmsg_level == libc::SOL_SOCKET && cmsg.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: CMSG_DATA only computes, within the message whose header this is.
            let data = unsafe { libc::CMSG_DATA(header) };
            let bytes = (header as usize + cmsg.cmsg_len).saturating_sub(data as usize);
            for index in 0..bytes / mem::size_of::<RawFd>() {
                // SAFETY: `index` stays within the length the kernel wrote, and the kernel has just
                // installed these numbers for this process: nobody else owns them.
                let fd = unsafe {
                    OwnedFd::from_raw_fd(data.cast::<RawFd>().add(index).read_unaligned())
                };
                descriptors.push(fd);
            }
        }
        // SAFETY: `header` came from the same `message`.
        header = unsafe { libc::CMSG_NXTHDR(&message, header) };
    }
    let is_whole = message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) == 0;
    Ok(Some(Datagram { length, descriptors, is_whole }))
}

/// Sends one datagram, or fails instead of waiting.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: pointer and length describe `bytes`, which the kernel only reads.
    let sent = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    // A datagram is sent whole or not at all.
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

// === children ===

/// A descriptor that becomes readable when a child dies. SIGCHLD is blocked from now on.
pub(crate) fn watch_children() -> io::Result<OwnedFd> {
    // SAFETY: a signal set is plain integers; `sigemptyset` gives it its value right below.
    let mut set: libc::sigset_t = unsafe { mem::zeroed() };
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: every call gets a pointer to `set`, which lives here; SIGCHLD is a valid number; the
    // process has one thread, so its mask is the process's.
    let fd = unsafe {
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        check(libc::sigprocmask(libc::SIG_BLOCK, &set, ptr::null_mut()))?;
        libc::signalfd(-1, &set, flags)
    };
    check(fd)?;
    // SAFETY: `signalfd` succeeded, and made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes what is to be read from the signal descriptor. How many died is not said there.
pub(crate) fn drain(deaths: BorrowedFd<'_>) -> io::Result<()> {
    let mut record = [0_u8; mem::size_of::<libc::signalfd_siginfo>()];
    // SAFETY: pointer and length describe `record`.
    let read = unsafe { libc::read(deaths.as_raw_fd(), record.as_mut_ptr().cast(), record.len()) };
    if read >= 0 {
        return Ok(());
    }
    let err = io::Error::last_os_error();
    if err.kind() == io::ErrorKind::WouldBlock { Ok(()) } else { Err(err) }
}

/// Buries one dead child, without waiting for a living one.
pub(crate) fn bury() -> io::Result<Child> {
    let mut status = 0;
    // SAFETY: `status` lives here and is the only memory the call writes.
    match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } {
        -1 => match io::Error::last_os_error() {
            err if err.raw_os_error() == Some(libc::ECHILD) => Ok(Child::None),
            err => Err(err),
        },
        0 => Ok(Child::Alive),
        pid => Ok(Child::Buried { pid, status }),
    }
}

/// Sends a signal to one child that is not buried; a dead one ignores it.
pub(crate) fn signal(pid: i32, number: i32) -> io::Result<()> {
    // SAFETY: touches no memory; `pid` is a child's, whose number cannot be anybody else's.
    check(unsafe { libc::kill(pid, number) })
}

/// Kills others, as far as there are any.
pub(crate) fn kill(others: &Others) {
    let target = match others {
        Others::Everybody => -1,
        Others::Group(leader) => -leader,
    };
    // SAFETY: touches no memory. -1 spares PID 1 itself, and `Everybody` is only made by that one.
    // The one way to fail is that nobody is there.
    unsafe { libc::kill(target, libc::SIGKILL) };
}

// === this process ===

/// Whether this is the first process of its pid namespace.
pub(crate) fn is_init() -> bool {
    std::process::id() == 1
}

/// Makes this process the parent of orphans beneath it, as PID 1 is by nature.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    // SAFETY: this option takes one integer and touches no memory.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })
}

/// Makes this process unreadable through `/proc` and `ptrace` to its own user.
pub(crate) fn hide() -> io::Result<()> {
    // SAFETY: this option takes one integer and touches no memory.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })
}

// === executing ===

/// Executes a program in a new session; its process id, or `errno` of the call that failed.
///
/// The child has standard input from `/dev/null`, the log as output and error, the link if there is
/// one, no other descriptor, default signal dispositions and an empty signal mask.
pub(crate) fn execute(program: Program) -> Result<i32, i32> {
    let strings = |list: Vec<Vec<u8>>| {
        list.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>().map_err(|_| libc::EINVAL)
    };
    let (argv, env) = (strings(program.argv)?, strings(program.env)?);
    let pointers = |list: &[CString]| {
        list.iter().map(|item| item.as_ptr()).chain([ptr::null()]).collect::<Vec<_>>()
    };
    let stage = Stage {
        argv: pointers(&argv),
        env: pointers(&env),
        cwd: CString::new(program.cwd).map_err(|_| libc::EINVAL)?,
        log: program.log.as_raw_fd(),
        link: program.link.as_ref().map(AsRawFd::as_raw_fd),
        errno: AtomicI32::new(0),
    };
    // The child assigns 0 to 3: a descriptor down there would be overwritten before it is used. None
    // can be, since 3 is the socket and Rust's start-up fills 0 to 2.
    if stage.log <= LINK_FD || stage.link.is_some_and(|link| link <= LINK_FD) {
        return Err(libc::EBADF);
    }
    let mut stack = vec![0_u128; STACK];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: CLONE_VFORK holds this thread, the only one, until the child has executed or exited,
    // so `stack`, `stage` and the strings its pointers lead to outlive the child's use of them, and
    // nothing here runs at the same time. The stack grows downwards from its aligned end.
    let pid = unsafe {
        libc::clone(
            enter,
            stack.as_mut_ptr_range().end.cast::<c_void>(),
            flags,
            (&raw const stage).cast_mut().cast::<c_void>(),
        )
    };
    if pid < 0 {
        return Err(errno());
    }
    match stage.errno.load(Ordering::Relaxed) {
        0 => Ok(pid),
        // It has exited and is buried with the other dead.
        errno => Err(errno),
    }
}

/// The child, between `clone` and `execve`, in its parent's memory and on its own stack.
extern "C" fn enter(stage: *mut c_void) -> c_int {
    // SAFETY: `execute` passes a `Stage` that outlives this function.
    let stage = unsafe { &*stage.cast::<Stage>() };
    // SAFETY: this is the child that `execute` made for it.
    let errno = unsafe { become_program(stage) };
    stage.errno.store(errno, Ordering::Relaxed);
    127
}

/// Turns the calling process into the program; returns only if that fails, with `errno`.
///
/// # Safety
/// Only for the child of [`execute`]: it closes and replaces descriptors that the parent owns.
unsafe fn become_program(stage: &Stage) -> c_int {
    let default_action = [0_u64; 4];
    for number in 1..=64 {
        // Not libc's `sigaction`, which hides the two signals glibc keeps for itself: they could be
        // inherited as ignored like any other.
        // SAFETY: the kernel reads one `struct sigaction` of at most 32 bytes, all zeros: SIG_DFL.
        // Dispositions are this process's own (no CLONE_SIGHAND). SIGKILL and SIGSTOP are refused,
        // and need no change.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                default_action.as_ptr(),
                ptr::null::<c_void>(),
                8,
            )
        };
    }
    let first_closed = if stage.link.is_some() { LINK_FD + 1 } else { LINK_FD };
    // SAFETY: plain system calls, which neither allocate nor take a lock. Descriptors are this
    // process's own (no CLONE_FILES), so the parent's stay as they are; the strings and arrays that
    // `stage` leads to are terminated, and live until this process has its own memory.
    unsafe {
        let mut nothing: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&mut nothing);
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        let ready = libc::sigprocmask(libc::SIG_SETMASK, &nothing, ptr::null_mut()) == 0
            && libc::setsid() >= 0
            && null >= 0
            && libc::dup2(null, 0) >= 0
            && unblock(stage.log)
            && libc::dup2(stage.log, 1) >= 0
            && libc::dup2(stage.log, 2) >= 0
            && stage.link.is_none_or(|link| libc::dup2(link, LINK_FD) >= 0)
            && libc::syscall(libc::SYS_close_range, first_closed, u32::MAX, 0) == 0
            && libc::chdir(stage.cwd.as_ptr()) == 0;
        if ready {
            libc::execve(stage.argv[0], stage.argv.as_ptr(), stage.env.as_ptr());
        }
    }
    errno()
}

/// Clears O_NONBLOCK, which belongs to the open file and may have been set for the other end's sake:
/// a function's output waits for a slow reader instead of failing.
fn unblock(fd: RawFd) -> bool {
    // SAFETY: F_GETFL takes no argument and touches no memory; a closed descriptor gives EBADF.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    // SAFETY: F_SETFL takes an integer and touches no memory.
    flags >= 0 && unsafe { libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_NONBLOCK) } == 0
}

fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)
}

fn check(returned: c_int) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
