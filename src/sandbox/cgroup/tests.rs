//! Where controllers are found, and what is written for them.

use std::path::Path;

use super::leaf::cpu_value;
use super::room;
use super::{Claim, Controller, Home, Instance, InstanceError, Layout, Place, Tree, Version};

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
fn a_group_hands_down_what_it_does_not_hand_down_yet_and_takes_back_no_more() {
    let (root, _) = tree("memory pids io", "");
    let file = root.path().join("cgroup.subtree_control");
    let made = room::make(root.path(), &[], &Controller::ALL).unwrap();
    assert_eq!(made, [Controller::Cpu]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "+cpu");
    room::give_back(root.path(), &made).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "-cpu");
    std::fs::write(&file, "cpu memory pids").unwrap();
    assert_eq!(room::make(root.path(), &[], &Controller::ALL).unwrap(), []);
    room::give_back(root.path(), &[]).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "cpu memory pids");
}

/// A version-2 group that is not the root, in plain files: reading and writing them is all that is done
/// to the kernel's.
fn group(path: &Path, controllers: &str, hands_down: &str, processes: &str) {
    std::fs::create_dir_all(path).unwrap();
    std::fs::write(path.join("cgroup.type"), "domain\n").unwrap();
    std::fs::write(path.join("cgroup.controllers"), controllers).unwrap();
    std::fs::write(path.join("cgroup.subtree_control"), hands_down).unwrap();
    std::fs::write(path.join("cgroup.procs"), processes).unwrap();
}

/// A tree whose root hands down `hands_down`, with this process at `own` in it.
fn tree(hands_down: &str, own: &str) -> (tempfile::TempDir, Home) {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("cgroup.controllers"), "cpu memory pids").unwrap();
    std::fs::write(root.path().join("cgroup.subtree_control"), hands_down).unwrap();
    std::fs::write(root.path().join("cgroup.procs"), "1\n").unwrap();
    let home = Home { mount: root.path().to_owned(), own: root.path().join(own) };
    (root, home)
}

const US: u32 = 4_711;

#[test]
fn beside_others_the_nearest_group_that_hands_down_all_is_taken_and_nothing_is_switched_on() {
    let (root, home) = tree("cpu memory pids", "user/of/session");
    let (user, of) = (root.path().join("user"), root.path().join("user/of"));
    group(&user, "cpu memory pids", "memory pids cpu", "");
    group(&of, "cpu memory pids", "memory pids", "");
    group(&home.own, "memory pids", "", &format!("1\n{US}\n"));
    let place = Place::find(&home, &[US]).unwrap();
    assert_eq!(place, Place { group: user, controllers: Controller::ALL.to_vec() });
    // Where none hands down all, the nearest of those that hand down most.
    std::fs::write(root.path().join("cgroup.subtree_control"), "memory pids").unwrap();
    std::fs::write(root.path().join("user/cgroup.subtree_control"), "memory pids").unwrap();
    let place = Place::find(&home, &[US]).unwrap();
    assert_eq!(place.group, of);
    assert_eq!(place.controllers, [Controller::Memory, Controller::Pids]);
}

#[test]
fn a_group_that_is_ours_alone_is_taken_whatever_it_has_and_whatever_an_earlier_run_left() {
    let (_root, mut home) = tree("cpu memory pids", "service");
    group(&home.own, "memory pids", "", &US.to_string());
    let first = Place::find(&home, &[US]).unwrap();
    assert_eq!(first.group, home.own);
    assert_eq!(first.controllers, [Controller::Memory, Controller::Pids]);
    // Killed, it has left this.
    std::fs::write(home.own.join("cgroup.subtree_control"), "memory pids").unwrap();
    std::fs::write(home.own.join("cgroup.procs"), "").unwrap();
    group(&home.own.join("hearth-main"), "memory pids", "", "");
    assert_eq!(Place::find(&home, &[US]), Some(first.clone()));
    // And who is still there is meant to be above.
    home.own.push("hearth-main");
    assert_eq!(Place::find(&home, &[US]), Some(first));
}

#[test]
fn a_threaded_group_is_passed_over() {
    let (root, home) = tree("cpu memory pids", "service");
    group(&home.own, "cpu pids", "", &US.to_string());
    std::fs::write(home.own.join("cgroup.type"), "threaded\n").unwrap();
    assert_eq!(Place::find(&home, &[US]).unwrap().group, root.path());
}

#[test]
fn our_processes_make_room_and_go_back_when_the_directory_is_given_up() {
    let (_root, home) = tree("", "service");
    let (service, aside) = (&home.own, home.own.join("hearth-main"));
    group(service, "pids", "", &US.to_string());
    // The kernel would let `pids` alone be handed down without the processes moving.
    room::make(service, &[US], &[Controller::Pids]).unwrap();
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_eq!(text(&aside.join("cgroup.procs")), US.to_string());
    assert_eq!(text(&service.join("cgroup.subtree_control")), "+pids");
    // The kernel's files change by what is written to them; these are what was written.
    std::fs::write(service.join("cgroup.procs"), "").unwrap();
    std::fs::write(service.join("cgroup.subtree_control"), "pids").unwrap();
    let gone = room::give_back(service, &[Controller::Pids]);
    assert_eq!(text(&service.join("cgroup.subtree_control")), "-pids");
    assert_eq!(text(&service.join("cgroup.procs")), US.to_string());
    // The stand-in's files are in the way of its removal, as a kernel's are not.
    assert_eq!(gone.unwrap_err().kind(), std::io::ErrorKind::DirectoryNotEmpty);
}

#[test]
fn nobody_else_is_ever_moved() {
    let (_root, home) = tree("", "service");
    group(&home.own, "memory pids cpu", "", &format!("{US}\n1\n"));
    assert!(room::make(&home.own, &[US], &Controller::ALL).is_err());
    assert!(!home.own.join("hearth-main").exists());
}

#[test]
fn controllers_that_were_not_handed_to_us_are_named() {
    let root = tempfile::tempdir().unwrap();
    let mounts = format!("1 0 0:1 / {} rw - cgroup2 c rw\n", root.path().display());
    let layout = Layout::parse("0::/\n", &mounts);
    let refused = Instance::plan(&layout, 1, &Controller::ALL).unwrap_err();
    assert!(refused.to_string().ends_with("was not handed memory, pids, cpu"), "{refused}");
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
