//! The walls as the host's root sees them: what a program inside could not tell, and second walls,
//! which show only where the first is taken away.
//!
//! A test here stands on the host's side of the glass: it looks at a cell through `/proc`, steps into
//! one of its namespaces, or changes the directories under the spawner's hands.

mod processes;
mod set_uid;
mod swap;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::programs::{sealed_runner, unsealed_runner};
use crate::harness::{Cell, Spawner, World, children_of, processes_of};

/// What a program does that is only there to be looked at.
const STAY: &str = "import time\nprint('away', flush=True)\ntime.sleep(600)\n";

/// The first line of an identity map: inside, outside, how many.
fn map(pid: u32, kind: &str) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/{kind}_map")).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text.split_whitespace().map(|field| field.parse().unwrap()).collect()
}

/// Whether a process is one ordinary user of the host and no other.
fn is_one_user(pid: u32) -> bool {
    ["uid", "gid"].into_iter().all(|kind| match map(pid, kind)[..] {
        [inside, outside, count] => (inside, count) == (1000, 1) && outside != 0,
        _ => false,
    })
}

/// Python on the host, as root; what it prints.
fn on_the_host(source: &str) -> String {
    let output = Command::new("/usr/bin/python3").args(["-I", "-c", source]).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// What the descriptors of a process lead to.
fn open_in(pid: u32) -> BTreeSet<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.map(|link| link.to_string_lossy().into_owned()).collect()
}

/// Of those, what is neither a pipe, a socket, an object without a name nor the null device.
fn leads_out(pid: u32) -> Vec<String> {
    let harmless = ["pipe:[", "socket:[", "anon_inode:", "/dev/null"];
    let suspicious = |link: &String| !harmless.iter().any(|start| link.starts_with(start));
    open_in(pid).into_iter().filter(suspicious).collect()
}

fn mounts_of(pid: u32) -> Vec<String> {
    let table = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    table.lines().map(str::to_owned).collect()
}

#[test]
fn living_sandboxes_have_ids_that_differ_and_none_is_the_hosts_root() {
    const LIVING: usize = 6;
    let world = World::new();
    let mut spawner = world.start(16);
    let cells: Vec<Cell> = (0..LIVING).map(|_| spawner.ready()).collect();
    let mut ids = BTreeSet::new();
    for cell in &cells {
        assert!(is_one_user(cell.pid()));
        assert_eq!((map(cell.pid(), "uid")[1], map(cell.pid(), "gid")[1]), (cell.uid, cell.uid));
        cell.stay(&format!("open('/tmp/mine', 'w').close()\n{STAY}"));
        let mine = fs::metadata(format!("/proc/{}/root/tmp/mine", cell.pid())).unwrap();
        assert_eq!((mine.uid(), mine.gid()), (cell.uid, cell.uid), "as the host's files show it");
        ids.insert(mine.uid());
    }
    assert_eq!(ids.len(), LIVING);
    // The control: the host's own processes are everybody.
    assert!(!is_one_user(std::process::id()));

    // An id is free when its sandbox is gone, and even then it waits.
    let (last, uid) = (&cells[LIVING - 1], cells[LIVING - 1].uid);
    assert_eq!(processes_of(uid..uid + 1).len(), 2, "the runner and the program");
    spawner.end(last);
    assert_eq!(processes_of(uid..uid + 1), [], "when its end is told, nothing of it runs");
    assert!(!ids.contains(&spawner.make().uid));
}

#[test]
fn without_the_filter_a_nested_user_namespace_is_refused_by_a_limit() {
    let world = World::new();
    let mut spawner = world.start(2);
    let cell = spawner.ready();
    // Root of the host steps into the user namespace and holds every capability there.
    let step_in = format!(
        "import ctypes, errno, os\n\
         libc = ctypes.CDLL(None, use_errno=True)\n\
         home = os.open('/proc/{}/ns/user', os.O_RDONLY)\n\
         assert libc.setns(home, 0) == 0\n\
         os.setresgid(1000, 1000, 1000)\n\
         os.setresuid(1000, 1000, 1000)\n",
        cell.pid()
    );
    let nested = "import ctypes, errno\n\
        libc = ctypes.CDLL(None, use_errno=True)\n\
        failed = libc.unshare(0x10000000)\n\
        print(errno.errorcode[ctypes.get_errno()] if failed else 'made')\n";
    assert_eq!(on_the_host(&format!("{step_in}{nested}")), "ENOSPC\n");
    // The control: the same in a user namespace that nobody limited.
    let fresh = "import ctypes\n\
        assert ctypes.CDLL(None).unshare(0x10000000) == 0\n\
        for name, text in (('setgroups', 'deny'), ('uid_map', '1000 0 1'), ('gid_map', '1000 0 1')):\n\
        \x20   open('/proc/self/' + name, 'w').write(text)\n";
    assert_eq!(on_the_host(&format!("{fresh}{nested}")), "made\n");
    // The limit is the sandbox's own: the host's is what it was.
    let limit = "print(open('/proc/sys/user/max_user_namespaces').read().strip())\n";
    assert_eq!(on_the_host(&format!("{step_in}{limit}")), "0\n");
    assert_ne!(on_the_host(limit), "0\n");
}

#[test]
fn the_groups_of_a_sandbox_have_paths_that_only_the_host_sees() {
    let world = World::new();
    let mut spawner = world.start(2);
    let cell = spawner.ready();
    let paths = |text: &str| -> BTreeSet<String> {
        let named = text.lines().filter(|line| !line.contains(":name="));
        named.map(|line| line.splitn(3, ':').nth(2).unwrap().to_owned()).collect()
    };
    let outside = paths(&fs::read_to_string(format!("/proc/{}/cgroup", cell.pid())).unwrap());
    assert!(outside.iter().any(|path| path.contains("/hearth-")), "{outside:?}");
    let seen = cell.python(
        "import ctypes, os\n\
         libc = ctypes.CDLL(None, use_errno=True)\n\
         for kind in (b'cgroup', b'cgroup2'):\n\
         \x20   print(libc.mount(b'none', b'/tmp', kind, 0, None), ctypes.get_errno())\n\
         print(os.path.exists('/sys'))\n\
         print(open('/proc/self/cgroup').read())\n",
    );
    let table = seen.strip_prefix("-1 1\n-1 1\nFalse\n").unwrap();
    assert_eq!(paths(table.trim()), BTreeSet::from(["/".to_owned()]));
}

#[test]
fn what_is_open_in_a_sandbox_leads_nowhere() {
    let world = World::new();
    let mut spawner = world.start(2);
    let cell = spawner.ready();
    cell.stay(STAY);
    let processes = processes_of(cell.uid..cell.uid + 1);
    assert_eq!(processes.len(), 2);
    for pid in processes {
        assert_eq!(leads_out(pid), Vec::<String>::new());
        let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        assert!(open <= 6, "{open} descriptors: {:?}", open_in(pid));
        let folder = fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
        assert!(folder.is_absolute() && !folder.starts_with(world.state()), "{folder:?}");
    }
    // The control: one folder left open on purpose is found.
    let cell = spawner.ready();
    cell.stay(&format!("import os\nos.open('/usr', os.O_RDONLY)\n{STAY}"));
    let found = processes_of(cell.uid..cell.uid + 1).into_iter().flat_map(leads_out);
    assert_eq!(found.count(), 1);
}

#[test]
fn the_program_of_pid_1_cannot_be_changed_even_by_the_hosts_root() {
    let world = World::new();
    let mut spawner = world.start(2);
    let cell = spawner.ready();
    let program = PathBuf::from(format!("/proc/{}/exe", cell.pid()));
    let name = fs::read_link(&program).unwrap();
    assert!(name.starts_with("/memfd:runner (deleted)"), "no file of the host's: {name:?}");
    assert!(fs::OpenOptions::new().write(true).open(&program).is_err());
    // Nor when it does not run: its seals forbid it. The control is the same memory without them.
    let write = |fd: std::os::fd::OwnedFd| std::io::Write::write(&mut fs::File::from(fd), b"x");
    assert!(write(sealed_runner()).is_err());
    assert_eq!(write(unsealed_runner()).unwrap(), 1);
}

#[test]
fn mounts_of_sandboxes_are_in_no_table_but_their_own() {
    let world = World::new();
    let mut spawner = world.start(8);
    let first = spawner.ready();
    let inner = spawner.inner_pid();
    let maker = children_of(inner)[0];
    let before = (mounts_of(inner), mounts_of(maker));
    let others: Vec<Cell> = (0..6).map(|_| spawner.ready()).collect();
    assert_eq!((mounts_of(inner), mounts_of(maker)), before);
    // Of this world's directory, where everything is mounted, the host sees nothing.
    let state = world.state().to_str().unwrap();
    let seen = mounts_of(std::process::id());
    assert!(!seen.iter().any(|line| line.contains(state)), "{seen:#?}");
    for cell in [first].into_iter().chain(others) {
        // The control: there are mounts to be seen.
        assert_eq!(mounts_of(cell.pid()).len(), 5);
        spawner.end(&cell);
    }
    assert_eq!((mounts_of(inner), mounts_of(maker)), before);
}

#[test]
fn a_crash_dumps_no_core() {
    const DUMPED: u32 = 0x80;
    const SIGABRT: u32 = 6;
    let world = World::new();
    let mut spawner = world.start(2);
    let cell = spawner.ready();
    assert_eq!(cell.run(&["/bin/sh", "-c", "cd /tmp && kill -ABRT $$"]).status, SIGABRT);
    spawner.ended(&cell);
    let cell = spawner.ready();
    let seen = cell.python(
        "import os, resource, signal\n\
         if os.fork() == 0:\n\
         \x20   os.chdir('/tmp')\n\
         \x20   os.abort()\n\
         print(os.WCOREDUMP(os.wait()[1]), os.listdir('/tmp'), resource.prlimit(0, resource.RLIMIT_CORE))\n",
    );
    assert_eq!(seen, "False [] (1, 1)\n");
    // The control, where the host writes cores into the working directory: elsewhere a handler of the
    // host's would be started, and its pile of crashes is not ours to add to.
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if !pattern.starts_with(['|', '/', '@']) {
        let folder = tempfile::tempdir().unwrap();
        let script = "ulimit -c \"$(ulimit -Hc)\" && kill -ABRT $$";
        let mut command = Command::new("/bin/sh");
        let status = command.args(["-c", script]).current_dir(&folder).status().unwrap();
        let status = std::os::unix::process::ExitStatusExt::into_raw(status);
        assert_eq!(status.cast_unsigned(), SIGABRT | DUMPED);
    }
}

/// Nothing of ours dumps core either, or lets anybody with its uid look into it.
#[test]
fn our_own_processes_dump_no_core() {
    let world = World::new();
    let mut spawner: Spawner = world.start(2);
    let cell = spawner.ready();
    let inner = spawner.inner_pid();
    for pid in [spawner.pid(), inner, children_of(inner)[0], cell.pid()] {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
        let core: Vec<&str> = core.split_whitespace().collect();
        assert_eq!(core, ["1", "1", "bytes"], "{pid}");
    }
}

// Those in which something runs in a cell.
on_forked_cells! {
    living_sandboxes_have_ids_that_differ_and_none_is_the_hosts_root,
    the_groups_of_a_sandbox_have_paths_that_only_the_host_sees,
    what_is_open_in_a_sandbox_leads_nowhere,
    mounts_of_sandboxes_are_in_no_table_but_their_own,
    a_crash_dumps_no_core,
}
