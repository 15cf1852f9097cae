//! Where this process stands in every hierarchy, from two files of `/proc`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// A resource that is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Bytes.
    Memory,
    /// Processes and threads.
    Pids,
    /// Share of the processors.
    Cpu,
}

/// Which generation of control groups a hierarchy belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy per controller.
    V1,
    /// One tree for all.
    V2,
}

/// One hierarchy, and this process's place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Where the hierarchy is mounted.
    pub mount: PathBuf,
    /// The directory of this process's own group, beneath `mount` or equal to it.
    pub own: PathBuf,
}

/// Every hierarchy that matters here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// Version-1 controllers.
    pub v1: BTreeMap<Controller, Home>,
    /// The version-2 tree, if it is mounted.
    pub v2: Option<Home>,
}

// === impl Controller ===

impl Controller {
    /// All of them, in the order they are printed.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Pids, Self::Cpu];

    /// The kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Layout ===

impl Layout {
    /// Reads `/proc/self/cgroup` and `/proc/self/mountinfo`.
    ///
    /// # Errors
    /// What reading them returns.
    pub fn read() -> std::io::Result<Self> {
        let groups = std::fs::read_to_string("/proc/self/cgroup")?;
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        Ok(Self::parse(&groups, &mounts))
    }

    /// The same from their text. Lines that are not understood are not control groups to us.
    pub fn parse(groups: &str, mounts: &str) -> Self {
        let mounts: Vec<Mount<'_>> = mounts.lines().filter_map(Mount::parse).collect();
        let mut layout = Self::default();
        for line in groups.lines() {
            // "4:memory:/path", "7:cpu,cpuacct:/", "0::/"; the path may hold colons.
            let mut fields = line.splitn(3, ':');
            let (Some(id), Some(names), Some(path)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if id == "0" && names.is_empty() {
                let mounted = mounts.iter().filter(|mount| mount.kind == "cgroup2");
                layout.v2 = mounted.filter_map(|mount| mount.home(path)).next();
                continue;
            }
            for controller in Controller::ALL {
                if !names.split(',').any(|name| name == controller.name()) {
                    continue;
                }
                let mounted = mounts.iter().filter(|mount| {
                    mount.kind == "cgroup"
                        && mount.options.split(',').any(|option| option == controller.name())
                });
                if let Some(home) = mounted.filter_map(|mount| mount.home(path)).next() {
                    layout.v1.insert(controller, home);
                }
            }
        }
        layout
    }
}

/// What one line of mountinfo says about a mount.
struct Mount<'a> {
    /// The part of the hierarchy that is mounted.
    root: PathBuf,
    point: PathBuf,
    kind: &'a str,
    options: &'a str,
}

// === impl Mount ===

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, point) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        let (kind, _source, options) = (right.next()?, right.next()?, right.next()?);
        Some(Self { root: unescape(root), point: unescape(point), kind, options })
    }

    /// Where the group `path` is in this mount, if it is in it at all.
    fn home(&self, path: &str) -> Option<Home> {
        let beneath = Path::new(path).strip_prefix(&self.root).ok()?;
        // `join("")` would leave a trailing slash, which compares equal but prints badly.
        let own = match beneath.as_os_str().is_empty() {
            true => self.point.clone(),
            false => self.point.join(beneath),
        };
        // "/../x" is how the kernel shows a group outside of this cgroup namespace.
        let outside = beneath.components().any(|part| part == std::path::Component::ParentDir);
        (!outside).then(|| Home { mount: self.point.clone(), own })
    }
}

/// mountinfo writes space, tab, newline and backslash as three octal digits.
fn unescape(field: &str) -> PathBuf {
    let mut out = String::with_capacity(field.len());
    let mut rest = field;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &rest[at + 4..];
            }
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out.into()
}
