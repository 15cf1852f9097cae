//! Control groups of this process and of a spawner's slot.

use std::path::{Path, PathBuf};

/// The groups this process is in where version 1 has controllers, and version 2's beside them. None
/// where version 2 has them all: a group beneath ours is there for whoever hands controllers down.
pub(crate) fn own_control_groups() -> Vec<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let mut found = Vec::new();
    for line in text.lines() {
        // `4:memory:/path`, and `0::/path` for version 2.
        let [_, controllers, path] = line.splitn(3, ':').collect::<Vec<_>>()[..] else { continue };
        let tree = if controllers.is_empty() { "unified" } else { controllers };
        let group = Path::new("/sys/fs/cgroup").join(tree).join(path.trim_start_matches('/'));
        if ["memory", "pids", "cpu", "unified"].contains(&tree) && group.exists() {
            found.push(group);
        }
    }
    found
}

/// Directories of a slot in every control group hierarchy.
pub(crate) fn control_groups_of(uid_base: u32) -> Vec<PathBuf> {
    fn walk(directory: &Path, name: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name() == name {
                    found.push(entry.path());
                }
                walk(&entry.path(), name, found);
            }
        }
    }
    let slot = slot_of(uid_base);
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), &format!("hearth-{slot}"), &mut found);
    found
}

/// The slot whose ids begin here.
pub(crate) fn slot_of(uid_base: u32) -> u32 {
    (uid_base - sandbox::plan::FIRST_ID) / sandbox::plan::IDS_PER_SLOT
}
