//! Tables of our own processes: what each may call once it is set up.
//!
//! | process | shape | what stands behind it |
//! |---|---|---|
//! | spawner proper | allowlist; anything else ends it | it makes no process and executes nothing any more: the maker does, which has no privilege outside of the nursery |
//! | outer process, sweeper | allowlist; anything else ends it | it waits, passes a signal on, removes directories |
//! | maker | what a function may call, and what making a cell takes | every cell inherits it, so it refuses only what no function may do |
//! | template | what a function may call, and what forking into a cell takes | its forks inherit it, so it refuses only what no function may do |
//! | control plane | denylist | it has no privilege to lose, and its libraries are not ours |
//!
//! The first two are ours to the last line and linked statically, so that their lists are short and
//! complete: they were found by tracing everything that their tests make them do. What a step needs
//! that is new is added here, with its reason; what is missing ends the process by `SIGSYS`, and the
//! kernel's log has the number (`type=1326`).

use super::rules::{self, ENOSYS};
use super::table::{allow, is, refuse};
use super::{Entry, arch};

/// The spawner proper.
pub(super) fn spawner() -> impl Iterator<Item = &'static Entry> {
    EVERY.iter().chain(SPAWNER).chain(arch::EVERY).chain(arch::SPAWNER)
}

/// The outer process.
pub(super) fn outer() -> impl Iterator<Item = &'static Entry> {
    EVERY.iter().chain(OUTER).chain(arch::EVERY).chain(arch::OUTER)
}

/// What the maker may call beside what a function may.
pub(super) fn maker() -> impl Iterator<Item = &'static Entry> {
    MAKER.iter()
}

/// What a template may call beside what a function may.
pub(super) fn template() -> impl Iterator<Item = &'static Entry> {
    TEMPLATE.iter()
}

/// What the control plane may not call.
pub(super) fn control_plane() -> impl Iterator<Item = &'static Entry> {
    CONTROL_PLANE.iter().chain(arch::CONTROL_PLANE)
}

/// A Rust program with one thread: memory, files it was given, its own end.
#[rustfmt::skip] // One line per call: it is read as a table.
static EVERY: &[Entry] = &[
    allow("read", libc::SYS_read, "sockets, pipes, control group files"),
    allow("write", libc::SYS_write, "control group files; the log"),
    allow("writev", libc::SYS_writev, "a panic's words"),
    allow("close", libc::SYS_close, "own descriptors"),
    allow("fcntl", libc::SYS_fcntl, "flags of own descriptors"),
    allow("openat", libc::SYS_openat, "control group files, directories to be listed"),
    allow("fstat", libc::SYS_fstat, "what was opened is what it should be"),
    allow("statx", libc::SYS_statx, "the same"),
    allow("newfstatat", libc::SYS_newfstatat, "the same, where the C library prefers it"),
    allow("lseek", libc::SYS_lseek, "the size of a file that is read"),
    allow("getdents64", libc::SYS_getdents64, "what is beneath a control group"),
    allow("unlinkat", libc::SYS_unlinkat, "removing control groups; which of two calls, the C library decides"),
    allow("brk", libc::SYS_brk, "heap"),
    is("mmap", libc::SYS_mmap, rules::NOTHING_EXECUTABLE, "heap; never anything to execute"),
    is("mprotect", libc::SYS_mprotect, rules::NOTHING_EXECUTABLE, "heap; never anything to execute"),
    allow("munmap", libc::SYS_munmap, "heap"),
    allow("mremap", libc::SYS_mremap, "heap"),
    allow("madvise", libc::SYS_madvise, "heap"),
    allow("futex", libc::SYS_futex, "the locks of the standard library"),
    allow("getrandom", libc::SYS_getrandom, "seeds of hash tables"),
    allow("clock_gettime", libc::SYS_clock_gettime, "where the kernel gives no clock without a call"),
    allow("clock_nanosleep", libc::SYS_clock_nanosleep, "between two tries; and where a test makes it stop at a certain point"),
    allow("ppoll", libc::SYS_ppoll, "waiting for descriptors"),
    allow("waitid", libc::SYS_waitid, "children that ended"),
    allow("pidfd_send_signal", libc::SYS_pidfd_send_signal, "ending a child, by descriptor and never by number"),
    allow("rt_sigprocmask", libc::SYS_rt_sigprocmask, "aborting"),
    allow("rt_sigaction", libc::SYS_rt_sigaction, "aborting"),
    allow("rt_sigreturn", libc::SYS_rt_sigreturn, "aborting"),
    allow("sigaltstack", libc::SYS_sigaltstack, "the standard library's stack guard"),
    allow("getpid", libc::SYS_getpid, "aborting"),
    allow("gettid", libc::SYS_gettid, "aborting"),
    allow("tgkill", libc::SYS_tgkill, "aborting: a signal to itself"),
    allow("restart_syscall", libc::SYS_restart_syscall, "the kernel itself continues calls with it"),
    allow("exit", libc::SYS_exit, "its end"),
    allow("exit_group", libc::SYS_exit_group, "its end"),
];

/// The spawner proper, beside those.
#[rustfmt::skip]
static SPAWNER: &[Entry] = &[
    allow("sendmsg", libc::SYS_sendmsg, "replies and orders, with descriptors beside them"),
    allow("recvmsg", libc::SYS_recvmsg, "requests and births"),
    allow("epoll_create1", libc::SYS_epoll_create1, "the one thing it waits on"),
    allow("epoll_ctl", libc::SYS_epoll_ctl, "the one thing it waits on"),
    allow("epoll_pwait", libc::SYS_epoll_pwait, "the one thing it waits on"),
    allow("signalfd4", libc::SYS_signalfd4, "SIGTERM and SIGCHLD, read"),
    allow("pipe2", libc::SYS_pipe2, "a cell's report"),
    is("socketpair", libc::SYS_socketpair, rules::LOCAL_SOCKET, "a runner's socket"),
    is("socket", libc::SYS_socket, rules::LISTENER, "a cell's listener, in the cell's network"),
    allow("setsockopt", libc::SYS_setsockopt, "no descriptors into a runner's socket"),
    allow("bind", libc::SYS_bind, "a cell's listener; it has no network of its own"),
    allow("listen", libc::SYS_listen, "a cell's listener"),
    allow("mkdirat", libc::SYS_mkdirat, "a cell's control groups"),
    allow("openat2", libc::SYS_openat2, "images and code beneath their directories, without following links"),
    allow("open_tree", libc::SYS_open_tree, "a mount of its own for image and code"),
    allow("mount_setattr", libc::SYS_mount_setattr, "read-only, nosuid, nodev"),
    allow("move_mount", libc::SYS_move_mount, "code into a cell"),
    allow("fspick", libc::SYS_fspick, "the size of a cell's /tmp"),
    allow("fsconfig", libc::SYS_fsconfig, "the size of a cell's /tmp"),
    is("setns", libc::SYS_setns, rules::INTO_A_CELL, "into a cell's mounts or network, and back"),
];

/// The outer process, beside those.
#[rustfmt::skip]
static OUTER: &[Entry] = &[
    allow("rt_sigtimedwait", libc::SYS_rt_sigtimedwait, "SIGTERM and SIGCHLD"),
    allow("flock", libc::SYS_flock, "giving up what was locked"),
];

/// The maker, and a cell's first process until it has loaded its own filter.
#[rustfmt::skip]
static MAKER: &[Entry] = &[
    allow("clone3", libc::SYS_clone3, "a cell's first process, in its namespaces"),
    is("clone", libc::SYS_clone, rules::CLONE_FOR_PARENT, "a template, which inherits this, makes the spawner's children"),
    allow("unshare", libc::SYS_unshare, "its cgroup namespace, once it has joined its groups"),
    allow("setgroups", libc::SYS_setgroups, "no groups"),
    allow("prlimit64", libc::SYS_prlimit64, "its limits, RLIMIT_CORE among them"),
    allow("sethostname", libc::SYS_sethostname, "a neutral name"),
    allow("mount", libc::SYS_mount, "mounts made private"),
    allow("fsopen", libc::SYS_fsopen, "its /tmp and /proc"),
    allow("fsconfig", libc::SYS_fsconfig, "its /tmp and /proc"),
    allow("fsmount", libc::SYS_fsmount, "its /tmp and /proc"),
    allow("openat2", libc::SYS_openat2, "those places, beneath its root and without following links"),
    allow("move_mount", libc::SYS_move_mount, "image, /dev, /tmp and /proc in their places"),
    allow("pivot_root", libc::SYS_pivot_root, "into the image"),
    allow("umount2", libc::SYS_umount2, "the old root"),
    allow("keyctl", libc::SYS_keyctl, "a session keyring of its own"),
    allow("prctl", libc::SYS_prctl, "same-page merging off, whatever it inherited"),
    allow("seccomp", libc::SYS_seccomp, "its own filter, on top of this one"),
    is("setns", libc::SYS_setns, rules::INTO_ALL_OF_A_CELL, "a template, which inherits this, into the cells it is handed"),
];

/// A template, and its fork until it has loaded the last filter.
#[rustfmt::skip]
static TEMPLATE: &[Entry] = &[
    is("setns", libc::SYS_setns, rules::INTO_ALL_OF_A_CELL, "into the cell it was handed, one namespace after the other"),
    is("clone", libc::SYS_clone, rules::CLONE_FOR_PARENT, "a fork is the spawner's child"),
    is("unshare", libc::SYS_unshare, rules::ONE_THREAD, "asks whether it has one thread; changes nothing"),
    is("keyctl", libc::SYS_keyctl, rules::NEW_KEYRING, "a session keyring of the fork's own"),
    is("seccomp", libc::SYS_seccomp, rules::ANOTHER_FILTER, "the last filter, in the fork"),
];

/// What the control plane never does: it executes nothing, makes no process, and neither mounts,
/// traces, nor reaches for what only the kernel's keepers need.
#[rustfmt::skip]
static CONTROL_PLANE: &[Entry] = &[
    never("execve", libc::SYS_execve, "no program is ever executed after the root phase"),
    never("execveat", libc::SYS_execveat, "as execve"),
    refuse("clone3", libc::SYS_clone3, ENOSYS, "its flags lie in memory a filter cannot read; threads are made with clone"),
    is("clone", libc::SYS_clone, rules::THREADS, "threads, no process and no namespace"),
    never("unshare", libc::SYS_unshare, "namespaces are the maker's"),
    never("setns", libc::SYS_setns, "namespaces are the spawner's"),
    never("mount", libc::SYS_mount, "mount family"),
    never("umount2", libc::SYS_umount2, "mount family"),
    never("pivot_root", libc::SYS_pivot_root, "mount family"),
    never("chroot", libc::SYS_chroot, "mount family"),
    never("move_mount", libc::SYS_move_mount, "mount family"),
    never("open_tree", libc::SYS_open_tree, "mount family"),
    never("fsopen", libc::SYS_fsopen, "mount family"),
    never("fsconfig", libc::SYS_fsconfig, "mount family"),
    never("fsmount", libc::SYS_fsmount, "mount family"),
    never("fspick", libc::SYS_fspick, "mount family"),
    never("mount_setattr", libc::SYS_mount_setattr, "mount family"),
    never("ptrace", libc::SYS_ptrace, "other processes"),
    never("process_vm_readv", libc::SYS_process_vm_readv, "other processes"),
    never("process_vm_writev", libc::SYS_process_vm_writev, "other processes"),
    never("process_madvise", libc::SYS_process_madvise, "other processes"),
    never("pidfd_getfd", libc::SYS_pidfd_getfd, "other processes"),
    never("kcmp", libc::SYS_kcmp, "other processes"),
    never("bpf", libc::SYS_bpf, "programs in the kernel"),
    never("perf_event_open", libc::SYS_perf_event_open, "measuring others"),
    never("userfaultfd", libc::SYS_userfaultfd, "holding the kernel up in the middle of a copy"),
    refuse("io_uring_setup", libc::SYS_io_uring_setup, ENOSYS, "a second system-call table that no filter sees"),
    refuse("io_uring_enter", libc::SYS_io_uring_enter, ENOSYS, "as io_uring_setup"),
    refuse("io_uring_register", libc::SYS_io_uring_register, ENOSYS, "as io_uring_setup"),
    refuse("splice", libc::SYS_splice, ENOSYS, "moves page-cache pages into pipes; the standard library copies instead"),
    refuse("tee", libc::SYS_tee, ENOSYS, "as splice"),
    refuse("vmsplice", libc::SYS_vmsplice, ENOSYS, "as splice"),
    is("socket", libc::SYS_socket, rules::SOCKET, "local, TCP and UDP sockets"),
    is("setsockopt", libc::SYS_setsockopt, rules::SETSOCKOPT, "all but handing a connection to another protocol or to a filter"),
    never("add_key", libc::SYS_add_key, "keys"),
    never("request_key", libc::SYS_request_key, "keys"),
    never("keyctl", libc::SYS_keyctl, "keys"),
    never("init_module", libc::SYS_init_module, "the kernel's own code"),
    never("finit_module", libc::SYS_finit_module, "the kernel's own code"),
    never("delete_module", libc::SYS_delete_module, "the kernel's own code"),
    never("kexec_load", libc::SYS_kexec_load, "the kernel's own code"),
    never("reboot", libc::SYS_reboot, "the machine"),
    never("swapon", libc::SYS_swapon, "the machine"),
    never("swapoff", libc::SYS_swapoff, "the machine"),
    never("acct", libc::SYS_acct, "the machine"),
    never("quotactl", libc::SYS_quotactl, "the machine"),
    never("syslog", libc::SYS_syslog, "the machine"),
    never("settimeofday", libc::SYS_settimeofday, "the machine"),
    never("clock_settime", libc::SYS_clock_settime, "the machine"),
    never("clock_adjtime", libc::SYS_clock_adjtime, "the machine"),
    never("adjtimex", libc::SYS_adjtimex, "the machine"),
    never("sethostname", libc::SYS_sethostname, "the machine"),
    never("setdomainname", libc::SYS_setdomainname, "the machine"),
    never("open_by_handle_at", libc::SYS_open_by_handle_at, "files without their directories"),
    never("name_to_handle_at", libc::SYS_name_to_handle_at, "files without their directories"),
    never("fanotify_init", libc::SYS_fanotify_init, "watching whole file systems"),
    never("lookup_dcookie", libc::SYS_lookup_dcookie, "a profiler's"),
    never("mbind", libc::SYS_mbind, "memory policy"),
    never("set_mempolicy", libc::SYS_set_mempolicy, "memory policy"),
    never("migrate_pages", libc::SYS_migrate_pages, "memory policy"),
    never("move_pages", libc::SYS_move_pages, "memory policy"),
    is("personality", libc::SYS_personality, rules::PERSONALITY, "no personality that weakens mappings"),
];

/// A call that is refused as to anybody without privileges.
pub(super) const fn never(name: &'static str, number: libc::c_long, why: &'static str) -> Entry {
    refuse(name, number, libc::EPERM, why)
}
