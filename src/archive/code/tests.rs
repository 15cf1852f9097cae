//! The store: whole or not there, whoever races and whenever it stops.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use model::Digest;
use tempfile::TempDir;

use super::{CodeError, CodeStore};
use crate::pack::pack;
use crate::plan::Limits;

fn store() -> (TempDir, CodeStore) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = CodeStore::open(&directory.path().join("code"), Limits::AWS).expect("a store");
    (directory, store)
}

fn package(files: usize, text: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a directory");
    let paths: Vec<_> = (0..files).map(|n| PathBuf::from(format!("f{n}.py"))).collect();
    for path in &paths {
        fs::write(folder.path().join(path), text).expect("a file");
    }
    pack(folder.path(), &paths, &Limits::AWS).expect("a package")
}

fn listing(directory: &TempDir) -> Vec<String> {
    let path = directory.path().join("code/sha256");
    let mut names: Vec<_> = fs::read_dir(path)
        .expect("a listing")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_package_lies_under_its_digest() {
    let (directory, store) = store();
    let zip = package(2, "x = 1\n");
    let stored = store.put(&zip).expect("stored");
    assert_eq!(listing(&directory), [stored.digest.hex()]);
    assert_eq!(stored.size, zip.len() as u64);
    assert_eq!(fs::read(store.zip_path(&stored.digest)).expect("the zip"), zip);
    let file = store.tree_path(&stored.digest).join("f1.py");
    assert_eq!(fs::read_to_string(&file).expect("the file"), "x = 1\n");
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o7777;
    assert_eq!(mode(&store.tree_path(&stored.digest)), 0o755);
    assert_eq!(mode(&store.path(&stored.digest)), 0o755);
    assert_eq!(mode(&store.zip_path(&stored.digest)), 0o600);
    assert_eq!(mode(&directory.path().join("code/sha256")), 0o711);
}

#[test]
fn the_digest_is_what_aws_calls_code_sha256() {
    let (_directory, store) = store();
    // The empty zip, whose digest any sha256sum confirms.
    let zip = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let stored = store.put(zip).expect("stored");
    assert_eq!(
        stored.digest.hex(),
        "8739c76e681f900923b900c9df0ef75cf421d39cabb54650c4b9ad19b6a76d85"
    );
    assert_eq!(stored.code_sha256(), "hznHbmgfkAkjuQDJ3w73XPQh05yrtUZQxLmtGbanbYU=");
}

#[test]
fn the_same_content_is_stored_once() {
    let (directory, store) = store();
    let zip = package(1, "x");
    let first = store.put(&zip).expect("stored");
    let second = store.put(&zip).expect("stored");
    assert!(first.unpacked.is_some() && second.unpacked.is_none());
    assert_eq!(listing(&directory).len(), 1);
}

#[test]
fn many_files_are_stored_like_few() {
    let (_directory, store) = store();
    let stored = store.put(&package(200, "y = 2\n")).expect("stored");
    assert_eq!(stored.unpacked.expect("unpacked").files, 200);
}

#[test]
fn uploads_of_the_same_content_race_harmlessly() {
    let (directory, store) = store();
    let zip = package(40, "x");
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                let stored = store.put(&zip).expect("stored");
                assert!(store.tree_path(&stored.digest).join("f39.py").exists());
            });
        }
    });
    assert_eq!(listing(&directory).len(), 1);
}

#[test]
fn a_refused_package_leaves_nothing() {
    let (directory, store) = store();
    let good = package(3, "x");
    let err = store.put(&good[..good.len() - 4]).expect_err("cut short");
    assert!(matches!(err, CodeError::Unpack(_)), "{err:?}");
    // A wrong checksum of the last file shows only after the others have been written.
    let mut damaged = good.clone();
    let last = damaged.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").expect("a record");
    damaged[last + 16] ^= 0xff;
    assert!(store.put(&damaged).is_err());
    assert_eq!(listing(&directory), [""; 0]);
}

#[test]
fn what_is_held_or_used_is_not_removed() {
    let (directory, store) = store();
    let zip = package(1, "x");
    let stored = store.put(&zip).expect("stored");
    let digest = stored.digest;
    assert!(!store.remove(&digest, || false).expect("held"));
    drop(stored);
    assert!(!store.remove(&digest, || true).expect("used"));
    assert_eq!(listing(&directory).len(), 1);
    assert!(store.remove(&digest, || false).expect("neither"));
    assert_eq!(listing(&directory), [""; 0]);
    assert!(!store.remove(&digest, || false).expect("gone already"));
    assert!(store.put(&zip).expect("stored again").unpacked.is_some());
}

#[test]
fn only_what_is_there_can_be_held() {
    let (_directory, store) = store();
    let zip = package(1, "x");
    let digest = store.put(&zip).expect("stored").digest;
    let held = store.hold(digest).expect("a look").expect("there");
    assert_eq!(held.size, zip.len() as u64);
    assert!(!store.remove(&digest, || false).expect("held"));
    assert!(store.hold(Digest([7; 32])).expect("a look").is_none());
    assert!(store.pins.lock().expect("pins").len() == 1, "a failed hold holds nothing");
}

#[test]
fn uploads_and_removals_of_one_content_never_lose_a_held_package() {
    let (_directory, store) = store();
    let zip = package(1, "x");
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..100 {
                    let stored = store.put(&zip).expect("stored");
                    assert!(store.tree_path(&stored.digest).join("f0.py").exists());
                }
            });
            scope.spawn(|| {
                barrier.wait();
                let digest = store.put(&zip).expect("stored").digest;
                for _ in 0..100 {
                    store.remove(&digest, || false).expect("removed or held");
                }
            });
        }
    });
}

#[test]
fn a_sweep_keeps_what_is_used_and_says_what_is_missing() {
    let (directory, mut store) = store();
    let used = store.put(&package(1, "used")).expect("stored").digest;
    store.put(&package(1, "unused")).expect("stored");
    let packages = directory.path().join("code/sha256");
    fs::create_dir_all(packages.join(".new-1-0/tree")).expect("a leftover");
    fs::write(packages.join(".old-1-1"), "").expect("a leftover");
    fs::write(packages.join("README"), "the operator's").expect("a file");
    let missing = Digest([9; 32]);
    let swept = store.sweep(&HashSet::from([used, missing])).expect("swept");
    assert_eq!((swept.removed, swept.missing), (3, vec![missing]));
    assert_eq!(listing(&directory), ["README".to_owned(), used.hex()]);
}

// === layers ===

fn layer(name: &str, text: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a directory");
    fs::write(folder.path().join(name), text).expect("a file");
    pack(folder.path(), &[PathBuf::from(name)], &Limits::AWS).expect("a package")
}

#[test]
fn merged_layers_lie_under_a_name_of_their_own_and_stay_when_the_layers_go() {
    let (directory, store) = store();
    let one = store.put(&layer("a", "of one")).expect("stored").digest;
    let two = store.put(&layer("a", "of two")).expect("stored").digest;
    let three = store.put(&layer("b", "of three")).expect("stored").digest;
    let whole = store.merge(&[one, two, three]).expect("merged").expect("all are there");
    assert_eq!(listing(&directory).len(), 4);
    for layer in [one, two, three] {
        assert!(store.remove(&layer, || false).expect("removed"));
    }
    let tree = store.tree_path(&whole.digest);
    assert_eq!(fs::read_to_string(tree.join("a")).expect("there"), "of two");
    assert_eq!(fs::read_to_string(tree.join("b")).expect("there"), "of three");
    // There is no need of the layers to have it once more, only to make it.
    assert!(store.merge(&[one, two, three]).expect("there").is_some());
    assert!(store.merge(&[two, one, three]).expect("a look").is_none());
    assert!(!store.remove(&whole.digest, || false).expect("a look"), "it is held");
    let digest = whole.digest;
    drop(whole);
    assert!(!store.remove(&digest, || true).expect("a look"), "it is used");
    assert!(store.remove(&digest, || false).expect("removed"));
    assert_eq!(listing(&directory), [""; 0]);
}

#[test]
fn one_layer_is_its_own_tree_and_none_is_no_tree() {
    let (directory, store) = store();
    let one = store.put(&layer("a", "of one")).expect("stored").digest;
    assert_eq!(store.merge(&[one]).expect("there").expect("held").digest, one);
    assert!(store.merge(&[]).expect("nothing").is_none());
    assert!(store.merge(&[Digest([1; 32])]).expect("a look").is_none());
    assert_eq!(listing(&directory), [one.hex()]);
}

#[test]
fn the_same_layers_merged_by_many_at_once_are_there_once() {
    let (directory, store) = store();
    let layers: Vec<_> =
        (0..3).map(|n| store.put(&layer(&format!("f{n}"), "x")).expect("stored").digest).collect();
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                assert!(store.merge(&layers).expect("merged").is_some());
            });
        }
    });
    assert_eq!(listing(&directory).len(), 4);
}

#[test]
fn what_a_tree_weighs_is_what_its_files_hold() {
    let (_directory, store) = store();
    let stored = store.put(&package(3, "12345")).expect("stored");
    assert_eq!(store.unzipped(&stored.digest).expect("a look"), 15);
    assert_eq!(stored.unpacked.expect("new").bytes, 15);
}
