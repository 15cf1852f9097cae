//! Other files.

use std::fs;

use serde_json::json;

use super::{Probe, text};
use crate::harness::{Daemon, Function, eventually, shared};

#[test]
fn a_function_reads_no_file_of_the_host_and_holds_none_open() {
    holds(&shared());
}

/// In sandboxes of this daemon.
pub fn holds(daemon: &Daemon) {
    let folder = tempfile::Builder::new().prefix("hearth-secret-").tempdir().expect("a temp dir");
    let secret = folder.path().join("secret");
    fs::write(&secret, "for nobody").expect("our own directory");

    // The code of another function, and the daemon's own files.
    let other =
        Function::python("def handler(event, context):\n    return 'secret'\n").deploy(daemon);
    assert_eq!(other.answer(&json!({})), "secret");
    let code = daemon.home().data().join("code/sha256");
    let package = eventually("the code is on disk", std::time::Duration::from_secs(10), || {
        let tree = fs::read_dir(&code).ok()?.flatten().next()?.path().join("tree/app.py");
        tree.exists().then_some(tree)
    });
    let database = daemon.home().data().join("control.db");
    let secrets = [&secret, &daemon.credentials, &database, &package].map(|path| text(path));

    // What runs cannot be written by anybody; outside it is a copy that does not run.
    let copy = folder.path().join("program");
    fs::copy("/bin/sh", &copy).expect("our own directory");
    let inside = json!({"secrets": secrets, "program": "/proc/self/exe"});
    let outside = json!({"secrets": secrets, "program": text(&copy)});
    let probe = Probe::new(include_str!("probes/files.py"));
    // The control is given what a careless daemon would leak: an open folder of the host.
    let leak = "\nleaked = os.open('/usr', os.O_RDONLY)\n";
    let control = Probe(format!("{}{leak}", probe.0));
    let function = probe.function().deploy(daemon);
    let held = super::findings(&function.answer(&inside));
    let fallen: Vec<_> = held.iter().filter(|(_, found)| !found.starts_with("held: ")).collect();
    assert!(fallen.is_empty(), "a wall does not stand: {fallen:#?}");
    let broken = super::findings(&control.outside(&outside));
    let blind: Vec<_> = broken.iter().filter(|(_, found)| !found.starts_with("broken: ")).collect();
    assert!(blind.is_empty(), "the probe cannot see these: {blind:#?}");
    assert_eq!(held.len(), broken.len());
}

/// What Docker hides or protects of the kernel's files, and more devices than any function needs.
const OF_THE_KERNEL: [&str; 38] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/bus",
    "/proc/cpuinfo",
    "/proc/fs",
    "/proc/interrupts",
    "/proc/irq",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/key-users",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/meminfo",
    "/proc/modules",
    "/proc/net",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/uptime",
    "/proc/version",
    "/sys/devices/system/cpu",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/cgroup",
    "/sys/kernel/debug",
    "/dev/fuse",
    "/dev/kmsg",
    "/dev/kvm",
    "/dev/loop0",
    "/dev/mem",
    "/dev/mqueue",
    "/dev/ptmx",
    "/dev/shm",
    "/dev/tty",
    "/dev/vsock",
];

#[test]
fn a_function_is_shown_nothing_of_the_kernel_and_no_device_of_the_machine() {
    let there: Vec<&str> =
        OF_THE_KERNEL.into_iter().filter(|path| fs::exists(path).unwrap_or(false)).collect();
    assert!(there.len() >= 12, "this host shows enough to be looked for: {there:?}");
    let event = json!({"paths": there});
    let probe = Probe::new(include_str!("probes/kernel.py"));
    probe.holds_inside_and_breaks_outside(&event, &event);
}

#[test]
fn a_function_changes_nothing_outside_of_its_tmp_by_any_call() {
    changes_nothing(&shared());
}

/// In sandboxes of this daemon.
pub fn changes_nothing(daemon: &Daemon) {
    // A file on each mount but /tmp. The null device takes bytes, which is no change of the device.
    let inside = [
        ("/usr/bin", "/usr/bin/env", false),
        ("/", "/etc/os-release", false),
        ("/var/task", "/var/task/app.py", false),
        ("/proc", "/proc/self/comm", false),
        ("/dev", "/dev/null", true),
    ];
    let folder = tempfile::tempdir().expect("a temp dir");
    let place = |folder: &str, file: &str, device: bool| json!({"folder": folder, "file": file, "device": device});
    let outside = inside.iter().enumerate().map(|(number, (_, _, device))| {
        let folder = folder.path().join(number.to_string());
        fs::create_dir(&folder).expect("our own directory");
        fs::write(folder.join("file"), "x").expect("our own directory");
        place(&text(&folder), &text(&folder.join("file")), *device)
    });
    let mounts = ["/", "/var/task", "/proc", "/dev", "/tmp"];
    let outside = json!({"places": outside.collect::<Vec<_>>(), "mounts": mounts.map(|_| "/")});
    let places: Vec<_> =
        inside.iter().map(|(folder, file, device)| place(folder, file, *device)).collect();
    let inside = json!({"places": places, "mounts": mounts});
    let probe = Probe::new(include_str!("probes/writes.py"));
    let held = probe.holds_in(daemon, &inside, &outside);
    // Refused for what they are, and not because there was nothing there.
    for (name, found) in held {
        let refused = ["EROFS", "EPERM", "EACCES"].map(|error| format!("held: {error}"));
        // In /proc, the fourth place, nothing can be made by anybody.
        let in_proc = name.starts_with("3: ") && found == "held: ENOENT";
        assert!(refused.contains(&found) || in_proc, "{name}: {found}");
    }
}
