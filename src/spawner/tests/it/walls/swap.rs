//! Names that change while they are used: a directory that is a link the next moment.
//!
//! The store of code belongs to the control plane's user. Whoever took that over can replace its
//! directories by links at any moment, also between two looks of the spawner's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::harness::image::CODE;
use crate::harness::{LIMITS, Spawner, World};

/// Stops the swapping, also where an assertion fails: the other thread would go on for ever.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Swaps a directory and a link to somewhere else, in one step.
fn swap(one: &Path, other: &Path) {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).unwrap();
}

/// What a cell with that code sees of it, or why it was given none.
fn try_once(spawner: &mut Spawner) -> Result<String, String> {
    let cell = spawner.make();
    match spawner.assign(&cell, LIMITS) {
        Ok(()) => {
            let seen = cell.run(&["/bin/cat", "/var/task/name"]).output;
            // A cell ends with its program.
            spawner.ended(&cell);
            Ok(seen)
        }
        Err(detail) => {
            spawner.end(&cell);
            Err(detail)
        }
    }
}

#[test]
fn a_directory_that_is_swapped_for_a_link_leads_no_mount_elsewhere() {
    const RACES: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let hex: String = CODE.iter().map(|byte| format!("{byte:02x}")).collect();
    // What must not be reached, and what is meant.
    let outside = folder.path().join("outside");
    fs::create_dir_all(outside.join("tree")).unwrap();
    fs::write(outside.join("tree/name"), "outside").unwrap();
    let code = folder.path().join("code");
    let store = code.join("sha256");
    let meant = store.join(&hex);
    fs::create_dir_all(meant.join("tree")).unwrap();
    fs::write(meant.join("tree/name"), "meant").unwrap();
    let link = store.join("link");
    symlink(&outside, &link).unwrap();

    let world = World::with_code(code);
    let mut spawner = world.start(4);
    let followed = || fs::read_to_string(meant.join("tree/name")).unwrap();
    assert_eq!((try_once(&mut spawner), followed()), (Ok("meant".to_owned()), "meant".to_owned()));
    swap(&meant, &link);
    let refused = |detail: &str| detail.contains("ELOOP") || detail.contains("ENOTDIR");
    let detail = try_once(&mut spawner).unwrap_err();
    assert!(refused(&detail), "{detail}");
    // The control: whoever opens the same name by its path is led astray.
    assert_eq!(followed(), "outside");

    // And while it changes between any two looks, it is the one or nothing.
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = Stop(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                swap(&meant, &link);
                // Every change makes all lookups on the machine look again.
                thread::yield_now();
            }
        });
        for _ in 0..RACES {
            match try_once(&mut spawner) {
                Ok(seen) => assert_eq!(seen, "meant"),
                Err(detail) => assert!(refused(&detail), "{detail}"),
            }
        }
    });
}
