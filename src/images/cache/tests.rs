//! The cache: whole images only, and only where nobody else can write.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use model::Digest;

use super::{Cache, CacheError};
use crate::manifest::{Manifest, Start};

fn manifest() -> Manifest {
    Manifest {
        digest: Digest([5; 32]),
        recipe: "test".to_owned(),
        runtimes: BTreeMap::from([("provided".to_owned(), Start::custom())]),
        files: 1,
        bytes: 2,
        left_out: vec!["curl: needs a library".to_owned()],
    }
}

#[test]
fn an_image_is_found_as_it_was_published() {
    let root = tempfile::tempdir().expect("a directory");
    let cache = Cache::open(root.path()).expect("a cache");
    assert_eq!(cache.load(Digest([5; 32])).expect("a look"), None);
    let lock = cache.lock().expect("the lock");
    let aside = cache.begin(&lock, Digest([5; 32])).expect("a directory");
    fs::create_dir(aside.join("tree")).expect("a tree");
    let image = cache.publish(&lock, &aside, manifest()).expect("published");
    assert_eq!(image.manifest, manifest());
    assert!(
        image.tree.is_dir() && image.tree.ends_with(format!("sha256/{}/tree", "05".repeat(32)))
    );
    assert_eq!(cache.load(Digest([5; 32])).expect("a look"), Some(image));
}

#[test]
fn what_a_maker_that_died_left_is_removed_by_the_next() {
    let root = tempfile::tempdir().expect("a directory");
    let cache = Cache::open(root.path()).expect("a cache");
    let lock = cache.lock().expect("the lock");
    let aside = cache.begin(&lock, Digest([5; 32])).expect("a directory");
    fs::write(aside.join("half"), "made").expect("a file");
    drop(lock);
    let lock = cache.lock().expect("the lock");
    assert!(!aside.exists());
    cache.begin(&lock, Digest([5; 32])).expect("can begin again");
}

#[test]
fn one_maker_at_a_time() {
    let root = tempfile::tempdir().expect("a directory");
    let cache = Cache::open(root.path()).expect("a cache");
    let lock = cache.lock().expect("the lock");
    let other = fs::File::open(root.path().join("lock")).expect("the file");
    assert!(other.try_lock().is_err());
    drop(lock);
    assert!(other.try_lock().is_ok());
}

#[test]
fn a_cache_that_others_can_write_to_is_not_used() {
    let root = tempfile::tempdir().expect("a directory");
    for exposed in ["", "sha256"] {
        Cache::open(root.path()).expect("a cache");
        let path = root.path().join(exposed);
        fs::set_permissions(&path, Permissions::from_mode(0o775)).expect("a mode");
        let err = Cache::open(root.path()).expect_err("exposed");
        assert!(matches!(err, CacheError::Exposed { mode: 0o775, .. }), "{err:?}");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("a mode");
    }
}

#[test]
fn a_cache_reached_through_a_link_is_not_used() {
    let root = tempfile::tempdir().expect("a directory");
    fs::create_dir(root.path().join("real")).expect("a directory");
    std::os::unix::fs::symlink("real", root.path().join("link")).expect("a link");
    let err = Cache::open(&root.path().join("link")).expect_err("a link");
    assert!(matches!(err, CacheError::Exposed { .. }), "{err:?}");
}

#[test]
fn something_else_under_an_images_name_is_an_error() {
    let root = tempfile::tempdir().expect("a directory");
    let cache = Cache::open(root.path()).expect("a cache");
    let place = root.path().join("sha256").join("07".repeat(32));
    fs::create_dir(&place).expect("a directory");
    let other = serde_json::to_string(&manifest()).expect("JSON");
    for text in ["", "{}", "[]", other.as_str()] {
        fs::write(place.join("manifest.json"), text).expect("a file");
        let err = cache.load(Digest([7; 32])).expect_err(text);
        assert!(err.to_string().ends_with("delete its directory to have it made again"));
    }
}
