//! An ordinary user of the machine, who is not on it.
//!
//! ```text
//!   test (root) ── unshare --mount ── sh: binds, joins groups ── setpriv ── hearth
//! ```
//!
//! What he has is arranged in a mount namespace that only the program he runs is in: a line in
//! `/etc/passwd`, ranges in `/etc/subuid` and `/etc/subgid`, `newuidmap` where the machine has none,
//! the program itself and an image cache in directories he can reach. The machine's own files are not
//! touched, and all of it is gone with the program. Control groups are delegated to him as an
//! administrator does it: directories beneath our own, given away, removed again when dropped.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::leftovers::own_groups;
use super::setup;

/// His user id and group id: far from any that a distribution gives.
pub const USER: u32 = 1_500_000_001;
/// A supplementary group of his.
pub const GROUP: u32 = 1_500_000_002;
/// What he is called, where he has a name.
const NAME: &str = "hearth-test";
/// First of the ids that are handed to the users of this file, and how many a test process takes.
const FIRST_ID: u32 = 600_000_000;
const IDS_OF_A_PROCESS: u32 = 16 * 65_536;

/// What such a user has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    /// Subordinate ids, a name that they are under, and the programs that hand them out.
    pub ids: bool,
    /// A control group in every hierarchy that limits are set in.
    pub groups: bool,
}

/// All there are.
pub const EVERY_KIND: [Means; 4] = [
    Means { ids: false, groups: false },
    Means { ids: true, groups: false },
    Means { ids: false, groups: true },
    Means { ids: true, groups: true },
];

/// One such user.
#[derive(Debug)]
pub struct Account {
    /// What he has.
    pub means: Means,
    /// First of his subordinate ids, if he has any.
    pub first_id: u32,
    /// Whether his ids are under a name, which `newuidmap` insists on, or under his number.
    named: bool,
    /// Directories of control groups that are his.
    groups: Vec<PathBuf>,
}

// === impl Account ===

impl Account {
    /// A new one.
    pub fn new(means: Means) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id() % 1_000;
        let first_id = FIRST_ID + process * IDS_OF_A_PROCESS + (number % 16) * 65_536;
        let groups = if means.groups { delegate(number) } else { Vec::new() };
        Self { means, first_id, named: true, groups }
    }

    /// One who has ids, by his number and without a name.
    pub fn nameless() -> Self {
        let mut account = Self::new(Means { ids: true, groups: false });
        account.named = false;
        account
    }

    /// A command that runs `hearth` as this user, whose home directory this is. Its process is the
    /// command's own: every program on the way there replaces itself.
    pub fn hearth(&self, home: &Path) -> Command {
        let lines = self.script(home);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-e", "-c", &lines, "sh"]);
        command.args(["setpriv", "--reuid", &USER.to_string(), "--regid", &USER.to_string()]);
        command.args(["--groups", &GROUP.to_string()]).arg(home.join("hearth"));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home);
        command.env("XDG_RUNTIME_DIR", home.join("run")).current_dir("/");
        command
    }

    /// What stands before the program in the shell's script.
    fn script(&self, home: &Path) -> String {
        own(home);
        let bind = |from: &Path, to: &Path| {
            format!("mount --bind '{}' '{}'\n", from.display(), to.display())
        };
        let place = |name: &str, text: &str| {
            let path = home.join(name);
            fs::write(&path, text).expect("our own directory");
            path
        };
        let mut script = String::new();
        // Both may lie in a directory that only root can enter.
        let program = place("hearth", "");
        script += &bind(Path::new(env!("CARGO_BIN_EXE_hearth")), &program);
        let images = home.join("images");
        fs::create_dir_all(&images).expect("our own directory");
        script += &bind(&cache(), &images);
        if self.means.ids {
            if self.named {
                let passwd = fs::read_to_string("/etc/passwd").expect("every system has one");
                let line = format!("{NAME}:x:{USER}:{USER}::{}:/bin/sh\n", home.display());
                script += &bind(&place("passwd", &(passwd + &line)), Path::new("/etc/passwd"));
            }
            let name = if self.named { NAME.to_owned() } else { USER.to_string() };
            let range = place("subordinate", &format!("{name}:{}:65536\n", self.first_id));
            for file in ["/etc/subuid", "/etc/subgid"] {
                script += &bind(&range, Path::new(file));
            }
            if let Some(helpers) = setup::id_helpers() {
                script += &bind(helpers, Path::new("/usr/local/bin"));
            }
        }
        for group in &self.groups {
            script += &format!("echo $$ > '{}/cgroup.procs'\n", group.display());
        }
        script + "exec \"$@\"\n"
    }

    /// Directories that are left in his control groups.
    pub fn remaining_groups(&self) -> Vec<PathBuf> {
        let entries = self.groups.iter().flat_map(fs::read_dir).flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        // Depth first. What is still in use stays, and the test that left it there has said so.
        for group in self.groups.iter().rev() {
            remove(group);
        }
    }
}

fn remove(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}

/// Gives a directory, and what is in it, to the user.
fn own(path: &Path) {
    chown(path, Some(USER), Some(USER)).expect("we are root");
    fs::create_dir_all(path.join("run")).expect("our own directory");
    chown(path.join("run"), Some(USER), Some(USER)).expect("we are root");
}

/// The image cache of such users: one that belongs to him, or it would not be used.
fn cache() -> PathBuf {
    let cache = setup::folder().join("images-of-a-user");
    fs::create_dir_all(&cache).expect("the target folder is writable");
    if fs::metadata(&cache).expect("just made").uid() != USER {
        chown(&cache, Some(USER), Some(USER)).expect("we are root");
    }
    cache
}

/// Makes a group beneath our own in every hierarchy, and gives it away.
fn delegate(number: u32) -> Vec<PathBuf> {
    let name = format!("hearth-test-{}-{number}", std::process::id());
    let wanted = ["memory", "pids", "cpu", ""];
    let own = own_groups();
    let mut made = Vec::new();
    for (controllers, group) in own {
        if !controllers.split(',').any(|one| wanted.contains(&one)) {
            continue;
        }
        if controllers.is_empty() {
            // Whoever has all controllers in this tree hands down what he can; others have none here.
            let _ = fs::write(group.join("cgroup.subtree_control"), "+memory +pids +cpu");
        }
        let path = group.join(&name);
        fs::create_dir(&path).expect("root makes groups");
        made.push(path.clone());
        for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            let file = if file.is_empty() { path.clone() } else { path.join(file) };
            if file.exists() {
                chown(&file, Some(USER), Some(USER)).expect("root gives away");
            }
        }
    }
    made
}
