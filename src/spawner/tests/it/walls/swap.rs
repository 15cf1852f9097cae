//! Names that change while they are used: a directory that is a link the next moment.
//!
//! The store of code belongs to the control plane's user. Whoever took that over can replace its
//! directories by links at any moment, also between two looks of the spawner's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::harness::image::CODE;
use crate::harness::{LIMITS, World};

/// Stops the swapping, also where an assertion fails: the other thread would go on for ever.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Swaps a directory and a link to somewhere else, in one step each time, until told to stop.
fn swap(one: &Path, other: &Path, done: &AtomicBool) {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    while !done.load(Ordering::Relaxed) {
        renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).unwrap();
    }
}

#[test]
fn a_directory_that_is_swapped_for_a_link_leads_no_mount_elsewhere() {
    // Enough for the odds of each outcome; more only where one has not been seen yet.
    const TRIES: std::ops::Range<usize> = 60..2_000;
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
    let done = AtomicBool::new(false);
    let (mut mounted, mut refused, mut fooled) = (0, 0, 0);
    thread::scope(|scope| {
        let _stop = Stop(&done);
        scope.spawn(|| swap(&meant, &link, &done));
        for number in 0..TRIES.end {
            let seen_all = mounted > 0 && refused > 0 && fooled > 0;
            if number >= TRIES.start && seen_all {
                break;
            }
            let cell = spawner.make();
            match spawner.assign(&cell, LIMITS) {
                Ok(()) => {
                    let seen = cell.run(&["/bin/cat", "/var/task/name"]).output;
                    assert_eq!(seen, "meant");
                    // A cell ends with its program.
                    spawner.ended(&cell);
                    mounted += 1;
                }
                Err(detail) => {
                    assert!(detail.contains("ELOOP") || detail.contains("ENOTDIR"), "{detail}");
                    spawner.end(&cell);
                    refused += 1;
                }
            }
            // The control: whoever opens the same name by its path is led astray.
            let read = fs::read_to_string(meant.join("tree/name")).unwrap();
            fooled += usize::from(read == "outside");
        }
    });
    assert!(mounted > 0 && refused > 0, "{mounted} mounted, {refused} refused");
    assert!(fooled > 0, "the names were swapped under everybody's eyes");
}
