//! Packing: the same files, the same bytes; nothing the server would refuse.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::{PackError, pack};
use crate::plan::Limits;
use crate::unpack::unpack;

const AWS: Limits = Limits::AWS;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a directory");
    fs::create_dir(folder.path().join("bin")).expect("a directory");
    fs::write(folder.path().join("bin/run"), "#!/bin/sh\n").expect("a file");
    fs::set_permissions(folder.path().join("bin/run"), Permissions::from_mode(0o700))
        .expect("a mode");
    fs::write(folder.path().join("app.py"), "x = 1\n").expect("a file");
    folder
}

fn paths(paths: &[&str]) -> Vec<PathBuf> {
    paths.iter().map(PathBuf::from).collect()
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let (one, two) = (folder(), folder());
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::open(two.path().join("app.py"))
        .and_then(|file| file.set_modified(long_ago))
        .expect("a time");
    fs::set_permissions(two.path().join("app.py"), Permissions::from_mode(0o600)).expect("a mode");
    let a = pack(one.path(), &paths(&["app.py", "bin/run"]), &AWS).expect("a package");
    let b = pack(two.path(), &paths(&["bin/run", "app.py", "app.py"]), &AWS).expect("a package");
    assert_eq!(a, b);
    fs::write(two.path().join("app.py"), "x = 2\n").expect("a file");
    let c = pack(two.path(), &paths(&["app.py", "bin/run"]), &AWS).expect("a package");
    assert_ne!(a, c);
}

#[test]
fn modes_and_links_survive() {
    let folder = folder();
    symlink("bin/run", folder.path().join("start")).expect("a link");
    symlink("/etc/hostname", folder.path().join("host")).expect("a link");
    let given = paths(&["app.py", "bin", "bin/run", "start", "host"]);
    let zip = pack(folder.path(), &given, &AWS).expect("a package");
    let to = tempfile::tempdir().expect("a directory");
    unpack(&zip, File::open(to.path()).expect("the root"), &AWS).expect("a good zip");
    let mode = |name| {
        fs::symlink_metadata(to.path().join(name)).expect("metadata").permissions().mode() & 0o777
    };
    assert_eq!((mode("app.py"), mode("bin/run"), mode("bin")), (0o644, 0o755, 0o755));
    assert_eq!(fs::read_link(to.path().join("start")).expect("a link"), PathBuf::from("bin/run"));
    // What it pointed to will not be there, so it was followed.
    assert_eq!(
        fs::read(to.path().join("host")).expect("the file"),
        fs::read("/etc/hostname").expect("the file")
    );
}

#[test]
fn what_cannot_be_uploaded_is_not_packed() {
    let folder = folder();
    symlink("/etc", folder.path().join("etc")).expect("a link");
    let refuse = |names: &[&str], limits: &Limits| {
        pack(folder.path(), &paths(names), limits).expect_err("refused")
    };
    assert!(matches!(refuse(&["etc"], &AWS), PackError::Kind { .. }));
    assert!(matches!(refuse(&["../x"], &AWS), PackError::Name { .. }));
    assert!(matches!(refuse(&["/etc/passwd"], &AWS), PackError::Name { .. }));
    assert!(matches!(refuse(&["a\\b"], &AWS), PackError::Name { .. }));
    assert!(matches!(refuse(&["not there"], &AWS), PackError::Read { .. }));
    let few = Limits { nodes: 1, ..AWS };
    assert!(matches!(refuse(&["app.py", "bin/run"], &few), PackError::TooMany { .. }));
    let small = Limits { unzipped: 12, ..AWS };
    let err = refuse(&["app.py", "bin/run"], &small);
    assert_eq!(
        err.to_string(),
        "the files hold more than 12 bytes; the largest is bin/run with 10"
    );
    let tiny = Limits { zipped: 100, ..AWS };
    assert!(matches!(refuse(&["app.py"], &tiny), PackError::ZippedTooLarge { .. }));
}
