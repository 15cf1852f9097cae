//! What the processes of the spawner keep, as the kernel sees it.

use std::process::{Command, Stdio};

use sandbox::capability::{MAKER, OUTER, SPAWNER};

use crate::harness::{Spawner, World, children_of, eventually};

/// A field of `/proc/<pid>/status`.
fn status(pid: u32, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').split_whitespace().collect::<Vec<_>>().join(" ")
}

fn assert_keeps(pid: u32, keep: u64) {
    let (kept, none) = (format!("{keep:016x}"), format!("{:016x}", 0));
    for (field, expected) in [
        ("CapPrm", &kept),
        ("CapEff", &kept),
        ("CapBnd", &kept),
        ("CapInh", &none),
        ("CapAmb", &none),
    ] {
        assert_eq!(&status(pid, field), expected, "{field}");
    }
    assert_eq!(status(pid, "NoNewPrivs"), "1");
}

fn namespace(pid: u32, kind: &str) -> std::path::PathBuf {
    std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap()
}

fn spawner() -> Spawner {
    let mut spawner = World::new().start(2);
    // Hello is said when everything is set up; the maker is when it has borne something.
    let cell = spawner.make();
    spawner.end(&cell);
    // The outer process has only to wait, and may come to that after all of this.
    for pid in [spawner.pid(), spawner.sweeper_pid()] {
        eventually("it waits", || status(pid, "Seccomp") == "2");
    }
    spawner
}

#[test]
fn each_process_keeps_the_capabilities_it_names_and_no_other() {
    let bits = |keep: &[(_, _)]| keep.iter().map(|(capability, _)| bit(capability)).sum::<u64>();
    let spawner = spawner();
    assert_keeps(spawner.pid(), bits(&OUTER));
    assert_keeps(spawner.sweeper_pid(), bits(&OUTER));
    let sweeper = spawner.sweeper_pid();
    eventually("it has given up the rest", || status(sweeper, "Seccomp") == "2");
    assert_keeps(sweeper, bits(&OUTER));
    assert_keeps(spawner.inner_pid(), bits(&SPAWNER));
    let maker = children_of(spawner.inner_pid())[0];
    assert_keeps(maker, bits(&MAKER));
    // Real and saved ids are the nursery's root; the effective one owns every cell.
    let base = spawner.uid_base;
    assert_eq!(status(maker, "Uid"), format!("{base} {} {base} {}", base + 1, base + 1));
    assert_eq!(status(maker, "Groups"), "");
}

#[test]
fn each_process_has_loaded_its_own_filter_and_a_function_the_maker_s_and_its_own() {
    let mut spawner = spawner();
    let inner = spawner.inner_pid();
    let maker = children_of(inner)[0];
    for pid in [spawner.pid(), spawner.sweeper_pid(), inner, maker] {
        assert_eq!((status(pid, "Seccomp"), status(pid, "Seccomp_filters")), two("2", "1"));
    }
    let cell = spawner.ready();
    let seen = cell.python("print(open('/proc/self/status').read())");
    assert!(seen.contains("Seccomp:\t2\nSeccomp_filters:\t2\n"), "{seen}");
    // The control: a process of the host's has none.
    let own = std::process::id();
    assert_eq!((status(own, "Seccomp"), status(own, "Seccomp_filters")), two("0", "0"));
}

fn two(one: &str, other: &str) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

#[test]
fn a_crash_of_our_own_processes_leaves_no_core_and_nobody_reads_their_memory() {
    // Somebody with the same id, and without the capability that passes by all of this.
    let somebody = |program: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "sh", "-c", program]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    };
    let memory = |pid: u32| somebody(&format!(": < /proc/{pid}/mem")).wait().unwrap().success();
    let spawner = spawner();
    let inner = spawner.inner_pid();
    let maker = children_of(inner)[0];
    for pid in [spawner.pid(), inner, maker] {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
        let core: Vec<&str> = core.unwrap().split_whitespace().collect();
        // A hard limit of 0 that is inherited cannot be raised to 1.
        assert!(core[..2] == ["1", "1"] || core[..2] == ["0", "0"], "{core:?}");
    }
    // Ends by itself with the test, whatever becomes of that.
    let mut ordinary = somebody("exec cat");
    eventually("it has executed", || status(ordinary.id(), "Name") == "cat");
    assert!(memory(ordinary.id()), "the reader cannot read anything");
    // Not the maker: whoever made its user namespace, and that is root, may do anything in it.
    for pid in [spawner.pid(), spawner.sweeper_pid(), inner] {
        assert!(!memory(pid), "process {pid}");
    }
    drop(ordinary.stdin.take());
    ordinary.wait().unwrap();
}

fn bit(capability: &sandbox::capability::Capability) -> u64 {
    1 << capability.index()
}

#[test]
fn the_spawner_proper_has_a_world_of_its_own_and_no_network() {
    let spawner = spawner();
    let (own, inner) = (std::process::id(), spawner.inner_pid());
    for kind in ["pid", "mnt", "net", "ipc", "uts"] {
        assert_ne!(namespace(own, kind), namespace(inner, kind), "{kind}");
    }
    let mounts = std::fs::read_to_string(format!("/proc/{inner}/mountinfo")).unwrap();
    let mut points: Vec<&str> = mounts.lines().map(|l| l.split(' ').nth(4).unwrap()).collect();
    points.retain(|point| !point.starts_with("/cgroup/"));
    points.sort_unstable();
    assert_eq!(points, ["/", "/code", "/dev", "/images", "/proc"]);
    // In the maker's user namespace, cells are owned by an id that is nobody's.
    let maker = children_of(inner)[0];
    assert_ne!(namespace(maker, "user"), namespace(inner, "user"));
    let map = std::fs::read_to_string(format!("/proc/{maker}/uid_map")).unwrap();
    let map: Vec<u32> = map.split_whitespace().map(|number| number.parse().unwrap()).collect();
    assert_eq!(map, [0, spawner.uid_base, 65_536]);
}

#[test]
fn nothing_is_open_in_the_maker_but_what_it_works_with() {
    let spawner = spawner();
    let maker = children_of(spawner.inner_pid())[0];
    let mut open: Vec<u32> = std::fs::read_dir(format!("/proc/{maker}/fd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    open.sort_unstable();
    assert_eq!(open, [0, 1, 2, 3, 4]);
}
