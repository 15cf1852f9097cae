//! What was compiled is whole or not there, belongs to its code and image, and goes with them.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use model::Digest;
use tempfile::TempDir;

use super::Edition;
use crate::code::{CodeStore, Stored};
use crate::pack::pack;
use crate::plan::Limits;

const IMAGE: Digest = Digest([1; 32]);
const OTHER: Digest = Digest([2; 32]);

/// A store with one package of two modules, 30 bytes of Python.
fn store() -> (TempDir, CodeStore, Stored) {
    let directory = tempfile::tempdir().unwrap();
    let store = CodeStore::open(&directory.path().join("code"), Limits::AWS).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("deep")).unwrap();
    let files = [("app.py", 10), ("deep/module.py", 20), ("deep/data.txt", 500)];
    let paths: Vec<_> = files.iter().map(|(name, _)| PathBuf::from(name)).collect();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), "#".repeat(bytes)).unwrap();
    }
    let stored = store.put(&pack(folder.path(), &paths, &Limits::AWS).unwrap()).unwrap();
    (directory, store, stored)
}

fn edition(stored: &Stored, image: Digest) -> Edition {
    Edition { code: stored.digest, image, runtime: "python3.11".to_owned() }
}

fn keep(store: &CodeStore, stored: &Stored, image: Digest, images: &[Digest]) {
    let (draft, mut file) = store.begin_compiled().unwrap();
    file.write_all(b"bytes").unwrap();
    let images: BTreeSet<_> = images.iter().copied().collect();
    store.keep_compiled(stored, &edition(stored, image), draft, &images).unwrap();
}

fn leftovers(store: &CodeStore, stored: &Stored) -> usize {
    let packages = store.path(&stored.digest);
    let packages = fs::read_dir(packages.parent().unwrap()).unwrap();
    packages.filter(|entry| entry.as_ref().unwrap().path().is_file()).count()
}

#[test]
fn what_is_kept_lies_beside_the_package_and_can_be_read_by_everybody() {
    let (_directory, store, stored) = store();
    let edition = edition(&stored, IMAGE);
    assert!(!store.is_compiled(&edition).unwrap());
    keep(&store, &stored, IMAGE, &[IMAGE]);
    assert!(store.is_compiled(&edition).unwrap());
    let path = store.compiled_path(&edition);
    let place = format!("compiled/{}/python3.11", IMAGE.hex());
    assert_eq!(path, store.path(&stored.digest).join(place));
    assert_eq!(fs::read(&path).unwrap(), b"bytes");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&path), 0o644);
    assert_eq!(mode(path.parent().unwrap()), 0o755);
    assert_eq!(leftovers(&store, &stored), 0);
}

#[test]
fn what_is_not_kept_is_gone_with_whoever_was_writing() {
    let (_directory, store, stored) = store();
    let (draft, mut file) = store.begin_compiled().unwrap();
    file.write_all(b"half").unwrap();
    assert_eq!(leftovers(&store, &stored), 1);
    drop(draft);
    assert_eq!(leftovers(&store, &stored), 0);
    assert!(!store.is_compiled(&edition(&stored, IMAGE)).unwrap());
}

#[test]
fn what_was_being_written_when_everything_ended_is_swept() {
    let (directory, store, stored) = store();
    keep(&store, &stored, IMAGE, &[IMAGE]);
    let (draft, mut file) = store.begin_compiled().unwrap();
    file.write_all(b"half").unwrap();
    // As a process leaves it that is killed.
    std::mem::forget(draft);
    let digest = stored.digest;
    drop((stored, store));
    let mut store = CodeStore::open(&directory.path().join("code"), Limits::AWS).unwrap();
    let swept = store.sweep(&HashSet::from([digest])).unwrap();
    assert_eq!((swept.removed, swept.missing.len()), (1, 0));
    let stored = store.hold(digest).unwrap().unwrap();
    assert_eq!(leftovers(&store, &stored), 0);
    assert!(store.is_compiled(&edition(&stored, IMAGE)).unwrap());
}

#[test]
fn what_images_made_that_are_no_more_goes_when_another_has_compiled() {
    let (_directory, store, stored) = store();
    let there = |image| store.is_compiled(&edition(&stored, image)).unwrap();
    keep(&store, &stored, OTHER, &[OTHER]);
    // Both are in use.
    keep(&store, &stored, IMAGE, &[IMAGE, OTHER]);
    assert!(there(IMAGE) && there(OTHER));
    keep(&store, &stored, IMAGE, &[IMAGE]);
    assert!(there(IMAGE) && !there(OTHER));
}

#[test]
fn it_is_deleted_with_its_package() {
    let (_directory, store, stored) = store();
    keep(&store, &stored, IMAGE, &[IMAGE]);
    let edition = edition(&stored, IMAGE);
    drop(stored);
    assert!(store.remove(&edition.code, || false).unwrap());
    assert!(!store.is_compiled(&edition).unwrap());
}

#[test]
fn sources_are_counted_up_to_what_is_asked_for() {
    let (_directory, store, stored) = store();
    let has =
        |suffixes: &[&str], bytes| store.has_sources(&stored.digest, suffixes, bytes).unwrap();
    assert!(has(&[".py"], 30));
    assert!(!has(&[".py"], 31));
    assert!(has(&[".py", ".txt"], 530));
    assert!(!has(&[".js"], 1));
}
