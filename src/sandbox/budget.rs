//! What each cell may take from budgets that the kernel keeps per user.
//!
//! Inotify instances, watches and pending signals of every cell are counted a second time against
//! the one id that owns all cells, and a third time against whoever owns the nursery: root. One cell
//! could so use up every other's share, and the host's. A share times the capacity therefore fits
//! into three quarters of the host's limit; the last quarter is the host's own.

/// What the host allows one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostLimits {
    /// `/proc/sys/user/max_inotify_instances`.
    pub inotify_instances: u64,
    /// `/proc/sys/user/max_inotify_watches`.
    pub inotify_watches: u64,
    /// Hard `RLIMIT_SIGPENDING` of the spawner.
    pub pending_signals: u64,
    /// `/proc/sys/net/ipv4/tcp_max_orphans`, of the whole machine: beyond it, the kernel resets
    /// connections of anybody that are being closed. The largest number where it is not to be seen, as
    /// in a network namespace other than the first: whoever has that one sets it.
    pub orphaned_connections: u64,
}

/// What one cell gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Inotify instances.
    pub inotify_instances: u64,
    /// Inotify watches.
    pub inotify_watches: u64,
    /// Queued signals and timers.
    pub pending_signals: u64,
}

/// What a cell gets where the host has enough: a file watcher or two per process, a source tree's
/// worth of watches, and as many queued signals as processes.
const WANTED: Budget =
    Budget { inotify_instances: 16, inotify_watches: 8_192, pending_signals: 1_024 };
/// Connections that a cell can close before their data is taken, which nothing else limits: 8 KiB of
/// socket memory each was measured, and version 1 of control groups gives it 32 MiB of that.
const ORPHANED_CONNECTIONS: u64 = 4_096;
/// Below this an ordinary program does not work.
const LEAST: Budget = Budget { inotify_instances: 1, inotify_watches: 64, pending_signals: 32 };

// === impl Budget ===

impl Budget {
    /// The share of one cell among `capacity`.
    ///
    /// Never below what an ordinary program needs, even if the shares then do not fit: see
    /// [`Budget::shortfall`].
    pub fn share(host: &HostLimits, capacity: u32) -> Self {
        let share = |limit: u64, wanted: u64, least: u64| {
            (limit / 4 * 3 / u64::from(capacity.max(1))).clamp(least, wanted)
        };
        Self {
            inotify_instances: share(
                host.inotify_instances,
                WANTED.inotify_instances,
                LEAST.inotify_instances,
            ),
            inotify_watches: share(
                host.inotify_watches,
                WANTED.inotify_watches,
                LEAST.inotify_watches,
            ),
            pending_signals: share(
                host.pending_signals,
                WANTED.pending_signals,
                LEAST.pending_signals,
            ),
        }
    }

    /// The host's settings that are too small for every cell of `capacity` to get this share, or to
    /// take what it can without taking it from others; and the least value that would do.
    pub fn shortfall(&self, host: &HostLimits, capacity: u32) -> Vec<(&'static str, u64)> {
        let needs = |share: u64| share * u64::from(capacity) / 3 * 4 + 4;
        [
            (
                "sysctl fs.inotify.max_user_instances",
                host.inotify_instances,
                self.inotify_instances,
            ),
            ("sysctl fs.inotify.max_user_watches", host.inotify_watches, self.inotify_watches),
            ("LimitSIGPENDING=", host.pending_signals, self.pending_signals),
            ("sysctl net.ipv4.tcp_max_orphans", host.orphaned_connections, ORPHANED_CONNECTIONS),
        ]
        .into_iter()
        .filter(|(_, limit, share)| limit / 4 * 3 < share * u64::from(capacity))
        .map(|(name, _, share)| (name, needs(share)))
        .collect()
    }
}

// === impl HostLimits ===

impl HostLimits {
    /// Reads them. What of a share cannot be read counts as nothing, which gives the smallest.
    pub fn read() -> Self {
        let found = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/{name}"));
            text.ok().and_then(|text| text.trim().parse().ok())
        };
        let number = |name: &str| found(name).unwrap_or(0);
        let signals = nix::sys::resource::Resource::RLIMIT_SIGPENDING;
        Self {
            inotify_instances: number("user/max_inotify_instances"),
            inotify_watches: number("user/max_inotify_watches"),
            pending_signals: nix::sys::resource::getrlimit(signals).map_or(0, |(_, hard)| hard),
            orphaned_connections: found("net/ipv4/tcp_max_orphans").unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests;
