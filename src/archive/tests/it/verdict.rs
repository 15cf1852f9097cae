//! How the corpus is judged.
//!
//! Every case says what the caller is told, word for word, or the exact tree that results. After
//! every case the directory around the destination is as it was.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use archive::unpack::{Answer, COULD_NOT_UNZIP};
use archive::{Limits, unpack};

use crate::raw::Member;

/// What must become of an archive.
pub(crate) enum Outcome<'a> {
    /// Refused in AWS's words alone.
    NotAZip,
    /// Refused in AWS's words with this reason behind them.
    Because(&'static str),
    /// Refused with exactly this message.
    Says(&'static str),
    /// Accepted; the tree in the notation of [`list`].
    Tree(&'a [&'static str]),
}
pub(crate) const AWS: Limits = Limits::AWS;

#[track_caller]
pub(crate) fn check(case: &str, zip: &[u8], outcome: Outcome<'_>) {
    check_within(case, zip, &AWS, outcome);
}

#[track_caller]
pub(crate) fn check_within(case: &str, zip: &[u8], limits: &Limits, outcome: Outcome<'_>) {
    let outer = tempfile::tempdir().expect("a directory");
    let root = outer.path().join("a/b/root");
    fs::create_dir_all(&root).expect("a directory");
    fs::write(outer.path().join("canary"), "alive").expect("a file");
    fs::write(outer.path().join("a/b/canary"), "alive").expect("a file");

    let result = unpack(zip, File::open(&root).expect("the root"), limits);
    let tree = list(&root);
    fs::remove_dir_all(&root).expect("what was unpacked can be removed");
    assert_eq!(
        list(outer.path()),
        ["a/ 755", "a/b/ 755", "a/b/canary 644 alive", "canary 644 alive"],
        "{case}: something was touched outside"
    );

    let answer = result.map_err(|err| err.answer());
    let invalid = |message: String| Err(Answer::Invalid(message));
    match outcome {
        Outcome::NotAZip => assert_eq!(answer, invalid(COULD_NOT_UNZIP.to_owned()), "{case}"),
        Outcome::Because(why) => {
            assert_eq!(answer, invalid(format!("{COULD_NOT_UNZIP} ({why})")), "{case}");
        }
        Outcome::Says(message) => assert_eq!(answer, invalid(message.to_owned()), "{case}"),
        Outcome::Tree(expected) => {
            assert!(answer.is_ok(), "{case}: {answer:?}");
            assert_eq!(tree, expected, "{case}");
        }
    }
}

/// `path mode content`, `path/ mode`, `path -> target`; sorted.
fn list(root: &Path) -> Vec<String> {
    fn walk(at: &Path, prefix: &str, out: &mut Vec<String>) {
        for entry in fs::read_dir(at).expect("a listing") {
            let path = entry.expect("an entry").path();
            let name = format!("{prefix}{}", path.file_name().expect("a name").to_string_lossy());
            let found = fs::symlink_metadata(&path).expect("metadata");
            let mode = found.permissions().mode() & 0o7777;
            if found.is_symlink() {
                let target = fs::read_link(&path).expect("a target");
                out.push(format!("{name} -> {}", target.display()));
            } else if found.is_dir() {
                out.push(format!("{name}/ {mode:o}"));
                walk(&path, &format!("{name}/"), out);
            } else {
                let content = fs::read(&path).expect("contents");
                out.push(format!("{name} {mode:o} {}", String::from_utf8_lossy(&content)));
            }
        }
    }
    let mut out = Vec::new();
    walk(root, "", &mut out);
    out.sort();
    out
}

pub(crate) fn file(name: &str) -> Member {
    Member::file(name, "x")
}

/// For outcomes that are computed.
pub(crate) fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}
