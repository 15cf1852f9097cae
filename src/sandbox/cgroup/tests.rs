//! Where controllers are found, and what is written for them.

use std::path::Path;

use super::instance::missing_controllers;
use super::leaf::cpu_value;
use super::{Claim, Controller, Instance, InstanceError, Layout, Tree, Version};

const HYBRID_GROUPS: &str = "9:name=systemd:/\n8:pids:/\n4:memory:/some/where\n2:cpuacct:/\n\
    1:cpu:/\n0::/\n";
const HYBRID_MOUNTS: &str = "\
    31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
    32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
    33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n\
    35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
    39 31 0:36 / /sys/fs/cgroup/pids rw,relatime shared:4 - cgroup cgroup rw,pids\n\
    41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

fn path_of(instance: &Instance, controller: Controller) -> &Path {
    let tree = instance.trees.iter().find(|tree| tree.controllers.contains(&controller)).unwrap();
    &tree.path
}

#[test]
fn on_a_hybrid_host_each_controller_is_used_where_it_is() {
    let layout = Layout::parse(HYBRID_GROUPS, HYBRID_MOUNTS);
    let instance = Instance::plan(&layout, 3, &Controller::ALL).unwrap();
    let memory = path_of(&instance, Controller::Memory);
    assert_eq!(memory, Path::new("/sys/fs/cgroup/memory/some/where/hearth-3"));
    assert_eq!(path_of(&instance, Controller::Cpu), Path::new("/sys/fs/cgroup/cpu/hearth-3"));
    let last = instance.trees.last().unwrap();
    assert_eq!((last.version, last.controllers.len()), (Version::V2, 0));
    assert_eq!(last.path, Path::new("/sys/fs/cgroup/unified/hearth-3"));
}

#[test]
fn hierarchies_that_share_controllers_are_entered_once() {
    let groups = "4:cpu,memory,pids:/a:b\n0::/\n";
    let mounts = "1 0 0:1 / /cg/all rw - cgroup c rw,cpu,memory,pids\n\
        2 0 0:2 / /cg/two rw - cgroup2 c rw\n";
    let instance = Instance::plan(&Layout::parse(groups, mounts), 0, &Controller::ALL).unwrap();
    assert_eq!(instance.trees.len(), 2);
    assert_eq!(instance.trees[0].path, Path::new("/cg/all/a:b/hearth-0"));
    assert_eq!(instance.trees[0].controllers, Controller::ALL);
}

#[test]
fn a_group_outside_of_the_mounted_part_is_not_taken_for_one_inside() {
    let mounts = "1 0 0:1 /docker/x /cg rw - cgroup2 c rw\n";
    let inside = Layout::parse("0::/docker/x/y\n", mounts).v2.unwrap();
    assert_eq!(inside.own, Path::new("/cg/y"));
    assert_eq!(Layout::parse("0::/elsewhere\n", mounts).v2, None);
    assert_eq!(Layout::parse("0::/docker/x/../z\n", mounts).v2, None);
}

#[test]
fn escaped_mount_points_are_understood() {
    let mounts = "1 0 0:1 / /my\\040cg\\134x rw - cgroup2 c rw\n";
    let home = Layout::parse("0::/\n", mounts).v2.unwrap();
    assert_eq!(home.mount, Path::new("/my cg\\x"));
}

#[test]
fn a_host_without_the_version_2_tree_is_refused() {
    let layout = Layout::parse("4:memory:/\n", HYBRID_MOUNTS);
    let refused = Instance::plan(&layout, 0, &Controller::ALL).unwrap_err();
    assert!(matches!(refused, InstanceError::NoUnifiedTree));
}

#[test]
fn a_version_2_group_hands_down_what_it_does_not_hand_down_yet() {
    assert_eq!(missing_controllers("memory pids io\n", &Controller::ALL), "+cpu");
    assert_eq!(missing_controllers("", &[Controller::Memory]), "+memory");
    assert_eq!(missing_controllers("cpu memory pids", &Controller::ALL), "");
}

#[test]
fn in_a_version_2_tree_the_directory_lies_beneath_the_nearest_group_that_delegates() {
    // Plain files stand in for the kernel's: reading and writing them is all that is done here.
    let root = tempfile::tempdir().unwrap();
    let own = root.path().join("slice/session");
    std::fs::create_dir_all(&own).unwrap();
    let slice = root.path().join("slice");
    group(&slice, "io cpu memory pids", "");
    std::fs::write(slice.join("cgroup.subtree_control"), "memory pids cpu").unwrap();
    // The session itself has the controllers, and somebody else in it.
    group(&own, "cpu memory pids", "1\n");
    let mounts = format!("1 0 0:1 / {} rw - cgroup2 c rw\n", root.path().display());
    let layout = Layout::parse("0::/slice/session\n", &mounts);
    let instance = Instance::plan(&layout, 1, &Controller::ALL).unwrap();
    assert_eq!(instance.trees[0].path, root.path().join("slice/hearth-1"));
}

/// A version-2 group that is not the root, in plain files.
fn group(path: &Path, controllers: &str, processes: &str) {
    std::fs::write(path.join("cgroup.type"), "domain\n").unwrap();
    std::fs::write(path.join("cgroup.controllers"), controllers).unwrap();
    std::fs::write(path.join("cgroup.subtree_control"), "").unwrap();
    std::fs::write(path.join("cgroup.procs"), processes).unwrap();
}

#[test]
fn our_processes_make_room_and_go_back_when_the_directory_is_given_up() {
    let root = tempfile::tempdir().unwrap();
    let (service, aside) = (root.path().join("service"), root.path().join("service/hearth-main"));
    std::fs::create_dir(&service).unwrap();
    let us = std::process::id().to_string();
    group(&service, "pids", &us);
    let mounts = format!("1 0 0:1 / {} rw - cgroup2 c rw\n", root.path().display());
    let layout = Layout::parse("0::/service\n", &mounts);
    // The kernel would let `pids` alone be handed down without the processes moving.
    let instance = Instance::plan(&layout, 1, &[Controller::Pids]).unwrap();
    assert_eq!(instance.trees[0].path, service.join("hearth-1"));
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_eq!(text(&aside.join("cgroup.procs")), us);
    assert_eq!(text(&service.join("cgroup.subtree_control")), "+pids");
    std::fs::write(service.join("cgroup.procs"), "").unwrap();
    let gone = super::instance::give_room_back(&service, &[Controller::Pids]);
    assert_eq!(text(&service.join("cgroup.subtree_control")), "-pids");
    assert_eq!(text(&service.join("cgroup.procs")), us);
    // The stand-in's files are in the way of its removal, as a kernel's are not.
    assert_eq!(gone.unwrap_err().kind(), std::io::ErrorKind::DirectoryNotEmpty);
}

#[test]
fn nobody_is_moved_where_a_controller_is_not_to_be_had() {
    let root = tempfile::tempdir().unwrap();
    let service = root.path().join("service");
    std::fs::create_dir(&service).unwrap();
    group(&service, "memory pids", &std::process::id().to_string());
    let mounts = format!("1 0 0:1 / {} rw - cgroup2 c rw\n", root.path().display());
    let layout = Layout::parse("0::/service\n", &mounts);
    assert!(Instance::plan(&layout, 1, &Controller::ALL).is_err());
    assert!(!service.join("hearth-main").exists());
}

#[test]
fn where_no_group_delegates_the_missing_controllers_are_named() {
    let root = tempfile::tempdir().unwrap();
    let mounts = format!("1 0 0:1 / {} rw - cgroup2 c rw\n", root.path().display());
    let layout = Layout::parse("0::/\n", &mounts);
    let refused = Instance::plan(&layout, 1, &Controller::ALL).unwrap_err();
    assert!(refused.to_string().ends_with("hands down memory, pids, cpu"), "{refused}");
}

#[test]
fn weights_keep_their_proportion_on_version_1() {
    assert_eq!(cpu_value(100, Version::V1), 1024);
    assert_eq!(cpu_value(200, Version::V1), 2048);
    assert_eq!(cpu_value(1, Version::V1), 10);
    assert_eq!(cpu_value(10_000, Version::V1), 102_400);
    assert_eq!(cpu_value(100, Version::V2), 100);
}

fn instance_at(path: &Path) -> Instance {
    let tree = Tree { version: Version::V1, controllers: Vec::new(), path: path.to_owned() };
    Instance { trees: vec![tree] }
}

#[test]
fn what_a_living_spawner_holds_is_neither_taken_nor_swept() {
    let root = tempfile::tempdir().unwrap();
    let instance = instance_at(&root.path().join("hearth-0"));
    let claim = Claim::new(&instance, &[]).unwrap();
    let cell = root.path().join("hearth-0/c1");
    std::fs::create_dir(&cell).unwrap();
    let refused = Claim::new(&instance, &[]).unwrap_err();
    assert!(matches!(refused, InstanceError::Held { .. }), "{refused}");
    // Nor by a spawner of another place that was told that this had been its own.
    let other = instance_at(&root.path().join("elsewhere"));
    assert!(Claim::new(&other, &instance.paths()).is_err());
    // What was made before the refusal is gone again.
    let mut shared = instance_at(&root.path().join("fresh"));
    shared.trees.extend(instance.trees.clone());
    assert!(Claim::new(&shared, &[]).is_err());
    assert!(!root.path().join("fresh").exists() && !root.path().join("elsewhere").exists());
    assert!(cell.exists());
    claim.release().unwrap();
    assert!(!cell.exists() && !root.path().join("hearth-0").exists());
}

#[test]
fn what_a_dead_spawner_left_is_swept_wherever_it_was() {
    let root = tempfile::tempdir().unwrap();
    let (here, there) = (root.path().join("here/hearth-0"), root.path().join("there/hearth-0"));
    std::fs::create_dir_all(here.join("c1/deep")).unwrap();
    std::fs::create_dir_all(there.join("c7")).unwrap();
    let claim = Claim::new(&instance_at(&here), std::slice::from_ref(&there)).unwrap();
    assert_eq!(claim.swept, 3);
    assert!(here.exists() && !here.join("c1").exists() && !there.exists());
}
