//! What a host must offer before a cell can be what it promises to be.
//!
//! The spawner refuses to start where something is missing; `hearth doctor` prints the same list. All
//! of it is found out by reading and asking, without privilege and without changing anything. What
//! only shows when it is tried fails later, in a step that says its name.
//!
//! The same list is true of root's spawner and of an ordinary user's, who is asked by what was
//! delegated to him: a controller of the host's that he has no group of is as good as none.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::cgroup::{Controller, Layout, Place};
use crate::sys::privilege;

/// Oldest kernel: `subset=pid`, `cgroup.kill` and `memory.peak` with all we rely on.
const OLDEST_KERNEL: (u32, u32) = (6, 1);
/// Namespaces of a cell, by their name below `/proc/self/ns`.
const NAMESPACES: [&str; 7] = ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"];

/// Something a host must offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Linux 6.1 or later.
    Kernel,
    /// All seven kinds, and leave to make user namespaces.
    Namespaces,
    /// System-call filters that can end a process.
    Filter,
    /// A mounted version-2 tree with `cgroup.kill`.
    Kill,
    /// Limits on memory.
    Memory,
    /// Limits on processes.
    Pids,
    /// CPU weights.
    Cpu,
    /// No swap beyond the memory limit.
    Swap,
}

/// What was found about one need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// About what.
    pub need: Need,
    /// `None` where it is there.
    pub missing: Option<Missing>,
}

/// What is missing, and what to do about it; both are ends of sentences without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// "no cgroup2 file system is mounted"
    pub what: String,
    /// "mount one: mount -t cgroup2 none /sys/fs/cgroup/unified"
    pub remedy: String,
}

/// Looks at everything, as the user who asks; `ours` are the processes that a spawner may move to a
/// group of their own.
pub fn findings(ours: &[u32]) -> Vec<Finding> {
    let ordinary = !nix::unistd::geteuid().is_root();
    let hosts = Layout::read().unwrap_or_default();
    let layout = if ordinary { hosts.clone().delegated() } else { hosts.clone() };
    let handed_down = v2_controllers(&layout, ours);
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    let release = nix::sys::utsname::uname()
        .map(|name| name.release().to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut out = vec![
        Finding { need: Need::Kernel, missing: kernel(&release) },
        Finding {
            need: Need::Namespaces,
            missing: namespaces().or_else(|| ordinary.then(unprivileged_namespaces).flatten()),
        },
        Finding { need: Need::Filter, missing: filter() },
        // An ordinary user's cells end with their first process where there is no group to kill.
        Finding { need: Need::Kill, missing: if ordinary { None } else { kill(&layout) } },
    ];
    for controller in Controller::ALL {
        let need = Need::of(controller);
        let mut missing = missing_controller(controller, &layout, &handed_down);
        if ordinary && missing.is_some() {
            missing = Some(not_delegated(controller, &hosts));
        }
        if controller == Controller::Memory {
            missing = missing.or_else(|| sockets(&layout));
        }
        out.push(Finding { need, missing });
    }
    out.push(Finding { need: Need::Swap, missing: swap(&layout, &handed_down, &swaps) });
    out
}

/// Whether this user's cells are ended by their group, and not only by their first process.
pub fn kills_by_group() -> bool {
    Layout::read().is_ok_and(|layout| layout.delegated().v2.is_some())
}

/// Whether cells can be frozen: version 1's freezer will not do, because what it froze cannot be killed.
pub fn freezes() -> bool {
    let root = nix::unistd::geteuid().is_root();
    Layout::read().is_ok_and(|hosts| (if root { hosts } else { hosts.delegated() }).v2.is_some())
}

/// What can be limited in the version-2 tree where a spawner started by this process has its directory.
fn v2_controllers(layout: &Layout, ours: &[u32]) -> Vec<Controller> {
    let place = layout.v2.as_ref().and_then(|home| Place::find(home, ours));
    place.map(|place| place.controllers).unwrap_or_default()
}

pub(crate) fn kernel(release: &str) -> Option<Missing> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let version = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    let (major, minor) = OLDEST_KERNEL;
    (version < OLDEST_KERNEL).then(|| Missing {
        what: format!("the kernel is {release}, and {major}.{minor} is the oldest that will do"),
        remedy: "run a newer kernel".to_owned(),
    })
}

fn namespaces() -> Option<Missing> {
    let absent: Vec<&str> = NAMESPACES
        .into_iter()
        .filter(|name| !Path::new("/proc/self/ns").join(name).exists())
        .collect();
    if !absent.is_empty() {
        return Some(Missing {
            what: format!("the kernel has no {} namespaces", absent.join(", ")),
            remedy: "use a kernel built with them".to_owned(),
        });
    }
    let limit = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    (limit.trim() == "0").then(|| Missing {
        what: "user namespaces are switched off".to_owned(),
        remedy: "allow them: sysctl -w user.max_user_namespaces=65536".to_owned(),
    })
}

/// What some distributions switch off for everybody but root.
fn unprivileged_namespaces() -> Option<Missing> {
    let says = |name: &str, value: &str| {
        let text = fs::read_to_string(Path::new("/proc/sys/kernel").join(name));
        text.is_ok_and(|text| text.trim() == value)
    };
    if says("unprivileged_userns_clone", "0") {
        return Some(Missing {
            what: "user namespaces are switched off for everybody but root".to_owned(),
            remedy: "allow them: sysctl -w kernel.unprivileged_userns_clone=1".to_owned(),
        });
    }
    says("apparmor_restrict_unprivileged_userns", "1").then(|| Missing {
        what: "AppArmor lets no ordinary program use user namespaces".to_owned(),
        remedy: "allow them: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give \
            hearth a profile with `userns,`"
            .to_owned(),
    })
}

fn filter() -> Option<Missing> {
    (!privilege::filters_available()).then(|| Missing {
        what: "the kernel has no seccomp filters".to_owned(),
        remedy: "use a kernel built with CONFIG_SECCOMP_FILTER".to_owned(),
    })
}

fn kill(layout: &Layout) -> Option<Missing> {
    layout.v2.is_none().then(|| Missing {
        what: "no cgroup2 file system is mounted, or this process is outside of what is mounted"
            .to_owned(),
        remedy: "mount one: mkdir -p /sys/fs/cgroup/unified && \
            mount -t cgroup2 none /sys/fs/cgroup/unified"
            .to_owned(),
    })
}

pub(crate) fn missing_controller(
    controller: Controller,
    layout: &Layout,
    v2: &[Controller],
) -> Option<Missing> {
    if layout.v1.contains_key(&controller) || v2.contains(&controller) {
        return None;
    }
    let root = layout.v2.as_ref().map(|home| home.mount.join("cgroup.controllers"));
    let in_root = root.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    if let Some(home) = layout.v2.as_ref()
        && in_root.split_whitespace().any(|name| name == controller.name())
    {
        return Some(Missing {
            what: format!(
                "the {controller} controller is not handed down to the control group {}",
                home.own.display()
            ),
            remedy: "start it as a service with Delegate=yes, or by hand with: \
                systemd-run --pty -p Delegate=yes hearth …"
                .to_owned(),
        });
    }
    Some(Missing {
        what: format!(
            "the {controller} controller is neither in a version-1 nor in the version-2 \
            tree of control groups"
        ),
        remedy: match controller {
            Controller::Memory => "boot with cgroup_enable=memory, or use a kernel built with it",
            Controller::Pids | Controller::Cpu => "use a kernel built with it",
        }
        .to_owned(),
    })
}

/// What an ordinary user is told about a controller that he has no group of.
fn not_delegated(controller: Controller, hosts: &Layout) -> Missing {
    let what = match hosts.v1.get(&controller).or(hosts.v2.as_ref()) {
        Some(home) => {
            let group = home.own.display();
            format!("the {controller} control group {group} was not delegated to this user")
        }
        None => format!("this host has no {controller} control groups"),
    };
    let remedy = "start in a delegated group (systemd-run --user --scope -p Delegate=yes hearth …), \
        or as root";
    Missing { what, remedy: remedy.to_owned() }
}

/// Version 1 counts socket buffers apart from other memory; version 2 has no choice.
fn sockets(layout: &Layout) -> Option<Missing> {
    let home = layout.v1.get(&Controller::Memory)?;
    (!home.own.join("memory.kmem.tcp.limit_in_bytes").exists()).then(|| Missing {
        what: "the kernel does not limit the memory of sockets per group".to_owned(),
        remedy: "use a kernel built with CONFIG_INET and CONFIG_MEMCG_KMEM".to_owned(),
    })
}

fn swap(layout: &Layout, v2: &[Controller], swaps: &str) -> Option<Missing> {
    // The first line is a heading.
    if swaps.lines().count() <= 1 {
        return None;
    }
    let counted = match layout.v1.get(&Controller::Memory) {
        Some(home) => home.own.join("memory.memsw.limit_in_bytes").exists(),
        // Version 2 always has memory.swap.max where the kernel counts swap; the root never has.
        None => v2.contains(&Controller::Memory),
    };
    (!counted).then(|| Missing {
        what: "the host swaps, and the kernel does not count swap per group".to_owned(),
        remedy: "boot with swapaccount=1, or switch swap off: swapoff -a".to_owned(),
    })
}

// === impl Need ===

impl Need {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Kernel,
        Self::Namespaces,
        Self::Filter,
        Self::Kill,
        Self::Memory,
        Self::Pids,
        Self::Cpu,
        Self::Swap,
    ];

    /// As it is written in `--allow-unenforced`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Namespaces => "namespaces",
            Self::Filter => "seccomp",
            Self::Kill => "cgroup-kill",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::Swap => "swap",
        }
    }

    /// Whether an operator may go without it: limits, yes; walls, no.
    pub fn may_be_missing(self) -> bool {
        matches!(self, Self::Memory | Self::Pids | Self::Cpu | Self::Swap)
    }

    /// The one about a controller.
    pub fn of(controller: Controller) -> Self {
        match controller {
            Controller::Memory => Self::Memory,
            Controller::Pids => Self::Pids,
            Controller::Cpu => Self::Cpu,
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
