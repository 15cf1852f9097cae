//! A real systemd that runs nothing but Hearth, in namespaces and a control group of its own.
//!
//! What the rest of these tests play, here is the original: whether a unit's defences leave the program
//! what it needs can be seen nowhere else. It boots in a second from this machine's `/usr`, on a root
//! in memory (`boot.sh`), and is gone with the process that holds it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::daemon::{self, Home};
use super::eventually;
use super::leftovers::Process;

/// The program, where Debian and everybody with a merged `/usr` has it.
const SYSTEMD: &str = "/usr/lib/systemd/systemd";
/// Longest boot, and longest time for a unit to become what it should be.
pub const BOOT: Duration = Duration::from_secs(120);
/// Where the daemons of this machine, ours among them, agree on user ids: in there `/srv/state`.
const ALLOCATIONS: &str = "/run/hearth";
/// What makes its root.
const SCRIPT: &str = include_str!("../service/boot.sh");
/// Enters the control group whose file is $1, which then is the root of what it sees, and goes on. Who
/// holds it stays outside: a group with a process in it hands no controller down.
const ENTER: &str = "echo 0 > \"$1\" && shift && exec unshare --cgroup \"$@\"";

/// One that runs.
pub struct Systemd {
    /// `unshare`, which takes everything with it when it dies.
    holder: Child,
    /// systemd itself, as this machine sees it.
    pid: u32,
    group: PathBuf,
    home: std::sync::Arc<Home>,
}

// === impl Systemd ===

impl Systemd {
    /// Boots one; `None` where there is no systemd to boot.
    pub fn boot() -> Option<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        daemon::require_root();
        if !Path::new(SYSTEMD).exists() {
            return None;
        }
        let home = Home::new();
        let root = home.path().join("root");
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let group = unified().join(format!("hearth-systemd-{}-{number}", std::process::id()));
        for folder in [&root, &group] {
            fs::create_dir(folder).expect("a new folder");
        }
        fs::create_dir_all(daemon::images()).expect("our own folder");
        // As the product makes it.
        fs::create_dir_all(ALLOCATIONS).expect("root may");
        let log = File::create(home.path().join("boot.log")).expect("our own folder");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts", "--net"]);
        command.args(["--propagation", "private", "/bin/sh", "-c", ENTER, "enter"]);
        command.arg(group.join("cgroup.procs"));
        command.args(["/bin/sh", "-c", SCRIPT, "boot.sh"]).arg(&root);
        command.arg(daemon::images()).arg(ALLOCATIONS);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a copy")).stderr(log);
        let mut holder = command.spawn().expect("a shell");
        let pid = eventually("systemd is up", BOOT, || {
            let said = || fs::read_to_string(home.path().join("boot.log")).unwrap_or_default();
            let ended = holder.try_wait().expect("our own child");
            assert!(ended.is_none(), "systemd does not boot ({ended:?}):\n{}", said());
            let all = Process::all();
            let family = Process::family(holder.id(), &all);
            let systemd = family.iter().find(|one| one.pid != holder.id())?.pid;
            let up = run(systemd, &["systemctl", "is-active", "--quiet", "up.target"]);
            up.status.success().then_some(systemd)
        });
        Some(Self { holder, pid, group, home })
    }

    /// Runs a program in there.
    pub fn run(&self, words: &[&str]) -> Output {
        run(self.pid, words)
    }

    /// Runs a program that must succeed; what it printed.
    #[track_caller]
    pub fn check(&self, words: &[&str]) -> String {
        let out = self.run(words);
        assert!(out.status.success(), "{words:?}: {out:?}\n{}", self.journal());
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// A program in there that has not ended yet.
    pub fn start(&self, words: &[&str]) -> Child {
        let mut command = enter(self.pid, words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("nsenter")
    }

    /// A path in there, as this process sees it.
    pub fn path(&self, path: &str) -> PathBuf {
        Path::new("/proc")
            .join(self.pid.to_string())
            .join("root")
            .join(path.trim_start_matches('/'))
    }

    /// Writes a file there.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("absolute")).expect("root may");
        File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).expect("root may");
    }

    /// Puts a program there, under a name that is free.
    pub fn bring(&self, program: &str, path: &str) {
        fs::copy(program, self.path(path)).expect("root may");
    }

    /// What the services have said.
    pub fn journal(&self) -> String {
        let out = self.run(&["journalctl", "--no-pager", "--output=short-monotonic"]);
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// One property of a unit.
    pub fn show(&self, unit: &str, property: &str) -> String {
        self.check(&["systemctl", "show", "--value", "--property", property, unit])
    }

    /// Which of the controllers that limit sandboxes it was not given.
    pub fn lacks(&self) -> Vec<&'static str> {
        let there = fs::read_to_string(self.group.join("cgroup.controllers")).expect("a group");
        let has = |name: &&str| there.split_whitespace().any(|one| one == *name);
        ["memory", "pids", "cpu"].into_iter().filter(|name| !has(name)).collect()
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- what was said in there ---\n{}", self.journal());
        }
        let _gone_already = self.holder.kill();
        let _reaped = self.holder.wait();
        let _until_empty = fs::write(self.group.join("cgroup.kill"), "1");
        let begin = std::time::Instant::now();
        while self.group.exists() && begin.elapsed() < daemon::MOMENT {
            remove(&self.group);
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!self.group.exists() || std::thread::panicking(), "{:?} stays", self.group);
        let _kept_until_here = &self.home;
    }
}

// ------------------------------------------------------------------------------- helpers

/// Where version-2 control groups are, on a hybrid host as well.
fn unified() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    let mut fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let found = fields.find(|fields| fields.get(2) == Some(&"cgroup2")).expect("a cgroup2 mount");
    PathBuf::from(found[1])
}

fn enter(pid: u32, words: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &pid.to_string(), "--mount", "--pid", "--ipc", "--uts", "--net"]);
    command.args(["--root", "--wd", "--"]).args(words);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin").env("LANG", "C.UTF-8");
    command
}

fn run(pid: u32, words: &[&str]) -> Output {
    enter(pid, words).stdin(Stdio::null()).output().expect("nsenter")
}

/// Removes a control group and those beneath it, as far as they are empty.
fn remove(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _busy_or_gone = fs::remove_dir(group);
}
