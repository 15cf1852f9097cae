//! Arbitrary bytes: whatever comes in, nothing panics and nothing outside the root is touched.
//!
//! Time-boxed to a few seconds; `BOLERO_RANDOM_TEST_TIME_MS` makes it longer.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use archive::{Limits, unpack};
use bolero::check;

use crate::raw::{Member, zip};

const TIME: Duration = Duration::from_secs(2);
/// Small enough that a mutation that finds a bomb costs little.
const LIMITS: Limits =
    Limits { zipped: 1 << 20, unzipped: 1 << 20, nodes: 1_000, time: Duration::from_secs(5) };

/// Unpacks into a fresh root and looks around it afterwards.
fn attempt(outer: &Path, bytes: &[u8]) {
    let root = outer.join("root");
    fs::create_dir(&root).expect("a directory");
    let result = unpack(bytes, File::open(&root).expect("the root"), &LIMITS);
    if let Err(err) = &result {
        assert!(!format!("{err} {:?}", err.answer()).is_empty());
    }
    fs::remove_dir_all(&root).expect("what was unpacked can be removed");
    let around: Vec<_> = fs::read_dir(outer)
        .expect("a listing")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(around, ["canary"]);
}

fn outer() -> tempfile::TempDir {
    let outer = tempfile::tempdir().expect("a directory");
    fs::write(outer.path().join("canary"), "alive").expect("a file");
    outer
}

#[test]
fn arbitrary_bytes_never_panic_and_stay_inside() {
    let outer = outer();
    check!()
        .with_max_len(2_048)
        .with_test_time(TIME)
        .for_each(|bytes| attempt(outer.path(), bytes));
}

#[test]
fn mutated_archives_never_panic_and_stay_inside() {
    let outer = outer();
    let good = zip(&[
        Member::deflated("app.py", "print('hello')\n".repeat(20)),
        Member::file("pkg/", ""),
        Member::file("pkg/data", vec![7; 64]),
        Member::link("pkg/link", "../app.py"),
    ]);
    check!().with_type::<Vec<(u16, u8)>>().with_test_time(TIME).for_each(|changes| {
        let mut bytes = good.clone();
        for (at, value) in changes.iter().take(8) {
            let at = usize::from(*at) % bytes.len();
            bytes[at] = *value;
        }
        attempt(outer.path(), &bytes);
    });
}

#[test]
fn arbitrary_names_and_targets_stay_inside() {
    let outer = outer();
    check!().with_type::<Vec<(Vec<u8>, Vec<u8>, bool)>>().with_test_time(TIME).for_each(
        |members| {
            let alphabet = |bytes: &[u8]| -> Vec<u8> {
                bytes.iter().take(24).map(|byte| b"..//ab\\\0"[usize::from(*byte) % 8]).collect()
            };
            let members: Vec<_> = members
                .iter()
                .take(6)
                .map(|(name, content, link)| match link {
                    true => Member::link(alphabet(name), alphabet(content)),
                    false => Member::file(alphabet(name), content),
                })
                .collect();
            attempt(outer.path(), &zip(&members));
        },
    );
}
