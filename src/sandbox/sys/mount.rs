//! Mounts by descriptor: trees that are cloned, given flags and attached without naming a path twice.
//!
//! A path that is resolved between two steps can be swapped in between (runc, crun and Firecracker
//! each had that bug). Here a tree is a descriptor from birth, its target is a descriptor opened
//! without following links, and the two meet in one `move_mount`.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::mount::{MntFlags, MsFlags};

use super::owned;

// Commands of fsconfig(2), from <linux/mount.h>; `libc` does not name them yet.
const SET_FLAG: libc::c_uint = 0;
const SET_STRING: libc::c_uint = 1;
const CMD_CREATE: libc::c_uint = 6;
const CMD_RECONFIGURE: libc::c_uint = 7;

/// What is switched off on a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Nothing can be written through it.
    pub read_only: bool,
    /// Set-user-id bits and file capabilities have no effect.
    pub no_suid: bool,
    /// Device nodes cannot be opened.
    pub no_dev: bool,
    /// Nothing can be executed from it.
    pub no_exec: bool,
}

/// A directory, opened beneath `root` without following a single link or crossing upwards.
///
/// # Errors
/// What `openat2` returns: `ELOOP` for a link, `EXDEV` for an escape.
pub fn open_beneath(root: BorrowedFd<'_>, path: &Path) -> nix::Result<OwnedFd> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).resolve(
        ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS,
    );
    openat2(root, path, how)
}

/// A directory by an absolute path on which there is not a single link.
///
/// Its last part may lie in a directory that belongs to a user whom we do not trust: what he can put
/// there instead is a directory of his own, and never the way to somebody else's.
///
/// # Errors
/// What `openat2` returns: `ELOOP` for a link.
pub fn open_unlinked(path: &Path) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(nix::fcntl::AT_FDCWD, path, how)
}

/// A detached copy of the mount a directory lies on, with that directory as its root.
///
/// # Errors
/// What `open_tree` returns: `EINVAL` when the directory is not on a mount of this namespace.
pub fn clone_tree(directory: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    open_tree(directory, 0)
}

/// The same with whatever is mounted beneath it.
///
/// # Errors
/// As [`clone_tree`].
pub fn clone_trees(directory: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    open_tree(directory, libc::AT_RECURSIVE as u32)
}

fn open_tree(directory: BorrowedFd<'_>, depth: u32) -> nix::Result<OwnedFd> {
    let flags = libc::OPEN_TREE_CLONE | libc::O_CLOEXEC as u32 | libc::AT_EMPTY_PATH as u32 | depth;
    // SAFETY: the path is a static, empty C string; a non-negative result is a new descriptor.
    unsafe {
        owned(libc::syscall(
            libc::SYS_open_tree,
            directory.as_raw_fd(),
            c"".as_ptr(),
            libc::c_ulong::from(flags),
        ))
    }
}

/// Switches the given things off on a mount.
///
/// # Errors
/// What `mount_setattr` returns.
pub fn set_attributes(mount: BorrowedFd<'_>, attributes: Attributes) -> nix::Result<()> {
    change_attributes(mount, attributes, 0)
}

/// The same on a mount and all beneath it.
///
/// # Errors
/// What `mount_setattr` returns.
pub fn set_attributes_of_all(mount: BorrowedFd<'_>, attributes: Attributes) -> nix::Result<()> {
    change_attributes(mount, attributes, libc::AT_RECURSIVE)
}

/// Sets and never clears: what a mount of the host's has, and its user may not take away, stays.
fn change_attributes(
    mount: BorrowedFd<'_>,
    attributes: Attributes,
    depth: libc::c_int,
) -> nix::Result<()> {
    let attr =
        libc::mount_attr { attr_set: attributes.bits(), attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the path is a static, empty C string, and `attr` is readable for the size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | depth,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(result).map(drop)
}

/// Attaches a detached mount on top of a directory.
///
/// # Errors
/// What `move_mount` returns.
pub fn attach(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> nix::Result<()> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are static, empty C strings; the descriptors say what and where.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    };
    Errno::result(result).map(drop)
}

/// A new, detached instance of a file system without a device. An option with an empty value is one
/// that is there or not.
///
/// # Errors
/// What `fsopen`, `fsconfig` or `fsmount` return: `EPERM` for a `proc` where none is fully visible,
/// `EINVAL` for an option the kernel does not know.
pub fn new_filesystem(
    kind: &CStr,
    options: &[(&CStr, &CStr)],
    attributes: Attributes,
) -> nix::Result<OwnedFd> {
    let flags = libc::c_ulong::from(libc::FSOPEN_CLOEXEC);
    // SAFETY: `kind` is a C string; a non-negative result is a new descriptor.
    let context = unsafe { owned(libc::syscall(libc::SYS_fsopen, kind.as_ptr(), flags)) }?;
    for (key, value) in options {
        set_option(&context, key, value)?;
    }
    command(&context, CMD_CREATE)?;
    let flags = libc::c_ulong::from(libc::FSMOUNT_CLOEXEC);
    // SAFETY: no pointers; a non-negative result is a new descriptor.
    unsafe {
        owned(libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            flags,
            attributes.bits() as libc::c_ulong,
        ))
    }
}

/// Changes options of the file system mounted exactly at `path`, not following a final link.
///
/// # Errors
/// What `fspick` or `fsconfig` return.
pub fn reconfigure(path: &CStr, options: &[(&CStr, &CStr)]) -> nix::Result<()> {
    let flags = libc::FSPICK_CLOEXEC | libc::FSPICK_SYMLINK_NOFOLLOW | libc::FSPICK_NO_AUTOMOUNT;
    // SAFETY: `path` is a C string; a non-negative result is a new descriptor.
    let context = unsafe {
        owned(libc::syscall(
            libc::SYS_fspick,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::c_ulong::from(flags),
        ))
    }?;
    for (key, value) in options {
        set_option(&context, key, value)?;
    }
    command(&context, CMD_RECONFIGURE)
}

fn set_option(context: &OwnedFd, key: &CStr, value: &CStr) -> nix::Result<()> {
    let (command, value) = match value.is_empty() {
        true => (SET_FLAG, std::ptr::null()),
        false => (SET_STRING, value.as_ptr()),
    };
    // SAFETY: key and value are C strings that outlive the call, or the value is null where there is none.
    let result = unsafe {
        libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key.as_ptr(), value, 0)
    };
    Errno::result(result).map(drop)
}

fn command(context: &OwnedFd, command: libc::c_uint) -> nix::Result<()> {
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: these commands take neither key nor value; both are null.
    let result =
        unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, none, none, 0) };
    Errno::result(result).map(drop)
}

/// Cuts every mount of this namespace off from propagation.
///
/// # Errors
/// What `mount` returns.
pub fn make_all_private() -> nix::Result<()> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    nix::mount::mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
}

/// Makes a mounted directory the root of this namespace and lets go of the old root.
///
/// Both arguments of `pivot_root` are the directory itself: the old root lands on top of the new one
/// and is unmounted from there, so that no directory has to exist for it.
///
/// # Errors
/// What `fchdir`, `pivot_root`, `umount2` or `chdir` return.
pub fn pivot_into(root: BorrowedFd<'_>) -> nix::Result<()> {
    nix::unistd::fchdir(root)?;
    nix::unistd::pivot_root(".", ".")?;
    nix::mount::umount2(".", MntFlags::MNT_DETACH)?;
    nix::unistd::chdir("/")
}

// === impl Attributes ===

impl Attributes {
    fn bits(self) -> u64 {
        let pick = |on: bool, bit: u64| if on { bit } else { 0 };
        pick(self.read_only, libc::MOUNT_ATTR_RDONLY)
            | pick(self.no_suid, libc::MOUNT_ATTR_NOSUID)
            | pick(self.no_dev, libc::MOUNT_ATTR_NODEV)
            | pick(self.no_exec, libc::MOUNT_ATTR_NOEXEC)
    }
}
