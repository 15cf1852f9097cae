//! Ids have one owner, and nobody but root can say whose they are.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// A directory of root's; `None` for an ordinary user, who has no ids of the machine's.
fn directory() -> Option<tempfile::TempDir> {
    nix::unistd::geteuid().is_root().then(|| tempfile::tempdir().unwrap())
}

#[test]
fn ids_have_one_owner_until_it_is_gone_and_then_no_file() {
    let Some(directory) = directory() else { return };
    let owner = Ids::lock_in(directory.path(), 7).unwrap().expect("nobody has them");
    assert!(Ids::lock_in(directory.path(), 7).unwrap().is_none());
    let other = Ids::lock_in(directory.path(), 8).unwrap();
    assert!(other.is_some());
    drop((owner, other));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    assert!(Ids::lock_in(directory.path(), 7).unwrap().is_some());
}

#[test]
fn a_file_that_a_killed_owner_left_is_taken_over() {
    let Some(directory) = directory() else { return };
    fs::write(directory.path().join("ids-7"), "").unwrap();
    assert!(Ids::lock_in(directory.path(), 7).unwrap().is_some());
}

#[test]
fn a_directory_others_can_write_to_is_refused() {
    let Some(directory) = directory() else { return };
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(Ids::lock_in(directory.path(), 7), Err(IdsError::NotRoots { .. })));
    let link = directory.path().join("link");
    std::os::unix::fs::symlink("/run", &link).unwrap();
    assert!(matches!(Ids::lock_in(&link, 7), Err(IdsError::NotRoots { .. })));
}
