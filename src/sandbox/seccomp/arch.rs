//! What differs between architectures: the audit name, the highest number, calls others never had.
//!
//! x86_64 is tested. aarch64 was born without the old calls, so its list of them is empty.

use super::Entry;

pub(super) use own::{
    AUDIT, CONTROL_PLANE, EVERY, GAP, HIGHEST, LEGACY, OTHER_ABI, OUTER, SPAWNER,
};

/// x86_64.
#[cfg(target_arch = "x86_64")]
mod own {
    use super::super::own::never;
    use super::super::rules::{ENOSYS, MKNOD, NOTHING, OPEN, SETRLIMIT};
    use super::super::table::{allow, is, refuse};
    use super::Entry;

    /// `AUDIT_ARCH_X86_64`: machine 62, 64 bits, little endian.
    pub(in super::super) const AUDIT: u32 = 62 | 0x8000_0000 | 0x4000_0000;
    /// `file_setattr`, Linux 6.17.
    pub(in super::super) const HIGHEST: u32 = 469;
    /// Between the old numbers of this architecture and those that all of them share from then on.
    pub(in super::super) const GAP: (u32, u32) = (337, 423);
    /// Numbers from here up are the x32 ABI: other structures behind the same calls.
    pub(in super::super) const OTHER_ABI: Option<u32> = Some(0x4000_0000);

    /// What newer architectures replaced by the `…at` calls, or never had.
    #[rustfmt::skip] // One line per call: it is read as a table.
    pub(in super::super) static LEGACY: &[Entry] = &[
        is("open", libc::SYS_open, OPEN, "open a file, but not past the page cache"),
        allow("creat", libc::SYS_creat, "create a file"),
        allow("stat", libc::SYS_stat, "file metadata"),
        allow("lstat", libc::SYS_lstat, "file metadata"),
        allow("access", libc::SYS_access, "file metadata"),
        allow("poll", libc::SYS_poll, "wait for descriptors"),
        allow("select", libc::SYS_select, "wait for descriptors"),
        allow("pipe", libc::SYS_pipe, "pipes between own processes"),
        allow("dup2", libc::SYS_dup2, "own descriptors"),
        allow("pause", libc::SYS_pause, "wait for a signal"),
        allow("alarm", libc::SYS_alarm, "own timer"),
        allow("fork", libc::SYS_fork, "processes, bounded by pids.max"),
        allow("vfork", libc::SYS_vfork, "processes, bounded by pids.max"),
        allow("getdents", libc::SYS_getdents, "list a directory"),
        allow("rename", libc::SYS_rename, "files in /tmp"),
        allow("mkdir", libc::SYS_mkdir, "files in /tmp"),
        allow("rmdir", libc::SYS_rmdir, "files in /tmp"),
        allow("link", libc::SYS_link, "files in /tmp"),
        allow("unlink", libc::SYS_unlink, "files in /tmp"),
        allow("symlink", libc::SYS_symlink, "files in /tmp"),
        allow("readlink", libc::SYS_readlink, "file metadata"),
        allow("chmod", libc::SYS_chmod, "own files in /tmp"),
        allow("chown", libc::SYS_chown, "own files; one id exists"),
        allow("lchown", libc::SYS_lchown, "own files; one id exists"),
        allow("utime", libc::SYS_utime, "own files in /tmp"),
        allow("utimes", libc::SYS_utimes, "own files in /tmp"),
        allow("futimesat", libc::SYS_futimesat, "own files in /tmp"),
        allow("getrlimit", libc::SYS_getrlimit, "read own limits"),
        is("setrlimit", libc::SYS_setrlimit, SETRLIMIT, "lower own limits, but not RLIMIT_CORE"),
        allow("getpgrp", libc::SYS_getpgrp, "own process group"),
        is("mknod", libc::SYS_mknod, MKNOD, "FIFOs and sockets, no device"),
        allow("arch_prctl", libc::SYS_arch_prctl, "thread-local storage"),
        allow("time", libc::SYS_time, "clock"),
        allow("epoll_create", libc::SYS_epoll_create, "wait for descriptors"),
        allow("epoll_wait", libc::SYS_epoll_wait, "wait for descriptors"),
        allow("inotify_init", libc::SYS_inotify_init, "watch files, bounded per sandbox"),
        allow("signalfd", libc::SYS_signalfd, "own signals"),
        allow("eventfd", libc::SYS_eventfd, "wake own threads"),
        refuse("sync_file_range", libc::SYS_sync_file_range, NOTHING, "as fsync"),
        refuse("io_pgetevents", 333, ENOSYS, "as io_setup"),
        refuse("uretprobe", 335, ENOSYS, "the kernel's own trampoline; newer kernels do not even ask a filter"),
        refuse("uprobe", 336, ENOSYS, "as uretprobe"),
    ];

    /// The older forms that the C library prefers here.
    #[rustfmt::skip]
    pub(in super::super) static EVERY: &[Entry] = &[
        allow("poll", libc::SYS_poll, "waiting for descriptors"),
        allow("rmdir", libc::SYS_rmdir, "removing control groups"),
        allow("pause", libc::SYS_pause, "where a test makes it stop at a certain point"),
    ];
    /// The spawner proper's, of these.
    #[rustfmt::skip]
    pub(in super::super) static SPAWNER: &[Entry] = &[
        allow("epoll_wait", libc::SYS_epoll_wait, "the one thing it waits on"),
        allow("mkdir", libc::SYS_mkdir, "a cell's control groups"),
    ];
    /// The outer process's, of these.
    pub(in super::super) static OUTER: &[Entry] = &[];
    /// The control plane's, of these.
    #[rustfmt::skip]
    pub(in super::super) static CONTROL_PLANE: &[Entry] = &[
        never("fork", libc::SYS_fork, "no process is ever made after the root phase"),
        never("vfork", libc::SYS_vfork, "as fork"),
        never("iopl", libc::SYS_iopl, "the machine"),
        never("ioperm", libc::SYS_ioperm, "the machine"),
        never("modify_ldt", libc::SYS_modify_ldt, "segments nobody uses"),
        never("kexec_file_load", libc::SYS_kexec_file_load, "the kernel's own code"),
        never("vhangup", libc::SYS_vhangup, "terminals"),
    ];
}

/// aarch64: untested.
#[cfg(target_arch = "aarch64")]
mod own {
    use super::Entry;

    /// `AUDIT_ARCH_AARCH64`: machine 183, 64 bits, little endian.
    pub(in super::super) const AUDIT: u32 = 183 | 0x8000_0000 | 0x4000_0000;
    /// `file_setattr`, Linux 6.17.
    pub(in super::super) const HIGHEST: u32 = 469;
    /// Between the old numbers of this architecture and those that all of them share from then on.
    pub(in super::super) const GAP: (u32, u32) = (295, 423);
    /// 32-bit programs are another audit architecture here.
    pub(in super::super) const OTHER_ABI: Option<u32> = None;
    /// None: the generic table starts after them.
    pub(in super::super) static LEGACY: &[Entry] = &[];
    /// None, for the same reason.
    pub(in super::super) static EVERY: &[Entry] = &[];
    /// None.
    pub(in super::super) static SPAWNER: &[Entry] = &[];
    /// None.
    pub(in super::super) static OUTER: &[Entry] = &[];
    /// None.
    pub(in super::super) static CONTROL_PLANE: &[Entry] = &[];
}
