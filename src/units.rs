//! What the service consists of on disk: every file, where it lies, and what is in it.
//!
//! The texts are those of `rootfs/systemd/`; only the kernel settings are computed, so that no limit of
//! this machine is ever lowered.

use sandbox::budget::{Budget, HostLimits};

/// The one program, as the units start it.
pub const PROGRAM: &str = "/usr/local/bin/hearth";
/// What operators edit; both services read it.
pub const CONFIGURATION: &str = "/etc/hearth/hearth.toml";
/// Limits of the kernel that all sandboxes share.
pub const SYSCTLS: &str = "/etc/sysctl.d/60-hearth.conf";
/// The user, for `systemd-sysusers`.
pub const SYSUSERS: &str = "/etc/sysusers.d/hearth.conf";
/// Functions, images, logs.
pub const DATA: &str = "/var/lib/hearth";
/// Where an operator's units lie.
pub const UNITS: &str = "/etc/systemd/system";

/// A unit: its name, its text, and what wants it at boot.
pub struct Unit {
    /// As `systemctl` knows it.
    pub name: &'static str,
    /// What is in it.
    pub text: &'static str,
    /// The target that starts it with the machine, if one does: `WantedBy=`.
    pub wanted_by: Option<&'static str>,
}

/// What the configuration file holds until somebody edits it.
pub const CONFIGURATION_TEXT: &str = include_str!("../rootfs/systemd/hearth.toml");
/// What makes the user.
pub const SYSUSERS_TEXT: &str = include_str!("../rootfs/systemd/hearth.sysusers");

/// All of them; sockets first, since the services want them.
pub const ALL: [Unit; 5] = [
    Unit {
        name: "hearth-spawner.socket",
        text: include_str!("../rootfs/systemd/hearth-spawner.socket"),
        wanted_by: Some("sockets.target"),
    },
    Unit {
        name: "hearth-api.socket",
        text: include_str!("../rootfs/systemd/hearth-api.socket"),
        wanted_by: Some("sockets.target"),
    },
    Unit {
        name: "hearth-http.socket",
        text: include_str!("../rootfs/systemd/hearth-http.socket"),
        wanted_by: Some("sockets.target"),
    },
    Unit {
        name: "hearth-spawner.service",
        text: include_str!("../rootfs/systemd/hearth-spawner.service"),
        wanted_by: None,
    },
    Unit {
        name: "hearth.service",
        text: include_str!("../rootfs/systemd/hearth.service"),
        wanted_by: Some("multi-user.target"),
    },
];

/// For how many sandboxes the kernel's limits should do: `max_instances` as it is by default.
const SANDBOXES: u32 = 1_024;
/// What an entry of a shortfall that is a sysctl begins with.
const SYSCTL: &str = "sysctl ";

/// The kernel settings with which every sandbox gets its full share, never less than `host` has.
pub fn sysctls(host: &HostLimits) -> Vec<(&'static str, u64)> {
    let plenty = HostLimits {
        inotify_instances: u64::MAX,
        inotify_watches: u64::MAX,
        pending_signals: u64::MAX,
        orphaned_connections: u64::MAX,
    };
    let nothing = HostLimits {
        inotify_instances: 0,
        inotify_watches: 0,
        pending_signals: 0,
        orphaned_connections: 0,
    };
    let needed = Budget::share(&plenty, SANDBOXES).shortfall(&nothing, SANDBOXES);
    let sysctls = needed.into_iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(SYSCTL)?;
        let there = match name {
            "fs.inotify.max_user_instances" => host.inotify_instances,
            "fs.inotify.max_user_watches" => host.inotify_watches,
            "net.ipv4.tcp_max_orphans" => host.orphaned_connections,
            _ => 0,
        };
        // What is not this machine's to set is left out.
        (there < u64::MAX).then(|| (name, value.max(there)))
    });
    sysctls.collect()
}

/// The same as a file of `sysctl.d(5)`.
pub fn sysctls_text(host: &HostLimits) -> String {
    let mut text = String::from(
        "# Limits that all sandboxes share, so that none can use up another's part: room for 1,024.\n",
    );
    for (name, value) in sysctls(host) {
        text.push_str(&format!("{name} = {value}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn text(name: &str) -> &'static str {
        ALL.iter().find(|unit| unit.name == name).expect("a unit of ours").text
    }

    /// The values of a directive, in order.
    fn values<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        lines.filter(|(key, _)| *key == name).map(|(_, value)| value).collect()
    }

    #[test]
    fn the_control_plane_has_no_privilege_and_no_way_to_any() {
        let text = text("hearth.service");
        for (name, value) in [
            ("Type", "notify"),
            ("User", "hearth"),
            ("Restart", "always"),
            ("CapabilityBoundingSet", ""),
            ("AmbientCapabilities", ""),
            ("NoNewPrivileges", "yes"),
            ("PrivateUsers", "yes"),
            ("PrivateNetwork", "yes"),
            ("PrivateDevices", "yes"),
            ("PrivateTmp", "yes"),
            ("ProtectSystem", "strict"),
            ("ProtectHome", "yes"),
            ("ProtectProc", "invisible"),
            ("ProtectClock", "yes"),
            ("ProtectControlGroups", "yes"),
            ("ProtectHostname", "yes"),
            ("ProtectKernelLogs", "yes"),
            ("ProtectKernelModules", "yes"),
            ("ProtectKernelTunables", "yes"),
            ("RestrictAddressFamilies", "AF_UNIX"),
            ("RestrictNamespaces", "yes"),
            ("RestrictRealtime", "yes"),
            ("LockPersonality", "yes"),
            ("MemoryDenyWriteExecute", "yes"),
            ("SystemCallArchitectures", "native"),
            ("LimitCORE", "0"),
            ("UMask", "0077"),
        ] {
            assert_eq!(values(text, name), [value], "{name}");
        }
        assert!(values(text, "SystemCallFilter").contains(&"@system-service"));
        // It would take openat2 away.
        assert!(values(text, "RestrictSUIDSGID").is_empty());
        assert!(!values(text, "WatchdogSec").is_empty());
    }

    #[test]
    fn functions_inherit_nothing_from_the_spawners_unit_that_they_break_on() {
        let text = text("hearth-spawner.service");
        for name in [
            "SystemCallFilter",
            "SystemCallArchitectures",
            "MemoryDenyWriteExecute",
            "RestrictNamespaces",
            "RestrictAddressFamilies",
            "RestrictRealtime",
            "RestrictSUIDSGID",
            "LockPersonality",
            "PrivateUsers",
            "PrivateNetwork",
            "PrivateDevices",
            "ProtectSystem",
            "ProtectHome",
            "ProtectProc",
            "ProtectKernelTunables",
            "ProtectControlGroups",
            "MemoryMax",
            "LimitAS",
            "CPUQuota",
        ] {
            assert!(values(text, name).is_empty(), "{name} is set");
        }
        for (name, value) in [
            ("Type", "notify"),
            ("Delegate", "yes"),
            ("OOMPolicy", "continue"),
            ("TasksMax", "infinity"),
            ("KillMode", "mixed"),
        ] {
            assert_eq!(values(text, name), [value], "{name}");
        }
    }

    #[test]
    fn what_the_spawners_unit_leaves_out_it_says_why() {
        let text = text("hearth-spawner.service");
        for name in
            ["SystemCallFilter", "MemoryDenyWriteExecute", "RestrictNamespaces", "ProtectSystem"]
        {
            assert!(
                text.lines().any(|line| line.starts_with('#') && line.contains(name)),
                "{name}"
            );
        }
    }

    #[test]
    fn the_spawners_unit_may_have_exactly_the_capabilities_on_the_list() {
        use sandbox::capability::{OUTER, SPAWNER, START};
        let lists = [&START[..], &SPAWNER[..], &OUTER[..]];
        let listed: BTreeSet<String> =
            lists.concat().iter().map(|(capability, _)| capability.to_string()).collect();
        let granted = values(text("hearth-spawner.service"), "CapabilityBoundingSet");
        let granted: BTreeSet<String> =
            granted.iter().flat_map(|line| line.split(' ')).map(str::to_owned).collect();
        assert_eq!(granted, listed);
    }

    #[test]
    fn the_listeners_are_called_what_the_daemon_knows_them_as() {
        for (unit, name) in [("hearth-api.socket", "api"), ("hearth-http.socket", "http")] {
            assert_eq!(values(text(unit), "FileDescriptorName"), [name]);
            assert!(values(text(unit), "ListenStream")[0].starts_with("127.0.0.1:"));
        }
        assert_eq!(values(text("hearth-spawner.socket"), "SocketMode"), ["0600"]);
        assert_eq!(values(text("hearth-spawner.socket"), "SocketUser"), ["hearth"]);
    }

    #[test]
    fn units_are_wanted_by_what_their_install_section_says() {
        for unit in &ALL {
            assert_eq!(values(unit.text, "WantedBy").first().copied(), unit.wanted_by);
        }
    }

    #[test]
    fn no_limit_of_this_machine_is_lowered() {
        let rich = HostLimits {
            inotify_instances: 1 << 40,
            inotify_watches: 1 << 40,
            pending_signals: 0,
            orphaned_connections: 1 << 40,
        };
        let poor = HostLimits {
            inotify_instances: 128,
            inotify_watches: 1,
            pending_signals: 0,
            orphaned_connections: 1,
        };
        assert!(sysctls(&rich).iter().all(|(_, value)| *value == 1 << 40));
        let raised = sysctls(&poor);
        assert_eq!(raised.len(), 3);
        assert!(raised.iter().all(|(_, value)| *value > 16_384));
        let elsewhere = HostLimits { orphaned_connections: u64::MAX, ..poor };
        assert_eq!(sysctls(&elsewhere), raised[..2]);
        // Once they are in force, the same again.
        let after = HostLimits {
            inotify_instances: raised[0].1,
            inotify_watches: raised[1].1,
            pending_signals: 0,
            orphaned_connections: raised[2].1,
        };
        assert_eq!(sysctls(&after), raised);
    }

    #[test]
    fn the_configuration_as_installed_changes_nothing() {
        assert!(CONFIGURATION_TEXT.lines().all(|line| line.is_empty() || line.starts_with('#')));
    }
}
