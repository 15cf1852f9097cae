//! Evil archives: devices, modes, passwords, methods; times.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use archive::unpack;
use archive::unpack::MODIFIED;

use crate::raw::{Member, zip};
use crate::verdict::Outcome::{Because, Tree};
use crate::verdict::{AWS, check, file};

#[test]
fn what_is_neither_file_directory_nor_link_is_refused() {
    let why = Because(r#""n": it is neither a file, a directory nor a symbolic link"#);
    check("a character device", &zip(&[file("n").mode(0o020_666)]), why);
    let why = Because(r#""n": it is neither a file, a directory nor a symbolic link"#);
    check("a block device", &zip(&[file("n").mode(0o060_660)]), why);
    let why = Because(r#""n": it is neither a file, a directory nor a symbolic link"#);
    check("a pipe", &zip(&[file("n").mode(0o010_644)]), why);
    let why = Because(r#""n": it is neither a file, a directory nor a symbolic link"#);
    check("a socket", &zip(&[file("n").mode(0o140_755)]), why);
    let why = Because(r#""n": it is neither a file, a directory nor a symbolic link"#);
    check("no kind at all", &zip(&[file("n").mode(0o170_644)]), why);
    let why = Because(r#""l/": it is neither a file, a directory nor a symbolic link"#);
    check("a link that ends with a slash", &zip(&[Member::link("l/", "x")]), why);
    let why = Because(r#""d/": it is a directory with contents"#);
    check("a directory with contents", &zip(&[file("d/")]), why);
    let why = Because(r#""d": it is a directory with contents"#);
    check("a directory by mode with contents", &zip(&[file("d").mode(0o040_755)]), why);
}

#[test]
fn modes_are_ours() {
    check(
        "whatever the archive says",
        &zip(&[
            file("setuid").mode(0o104_755),
            file("setgid").mode(0o102_644),
            file("sticky").mode(0o101_777),
            file("none").mode(0o100_000),
            file("one-x").mode(0o100_001),
            file("no-type").mode(0o755),
            Member::file("dir/", "").mode(0o041_777),
            Member::file("closed", "").mode(0o040_000),
            Member { host: 0, ..file("from-dos").mode(0o104_755) },
            Member { host: 0, ..Member::link("link-from-dos", "x") },
        ]),
        Tree(&[
            "closed/ 755",
            "dir/ 755",
            "from-dos 644 x",
            "link-from-dos 644 x",
            "no-type 755 x",
            "none 644 x",
            "one-x 755 x",
            "setgid 644 x",
            "setuid 755 x",
            "sticky 755 x",
        ]),
    );
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let encrypted = Member { flags: 1, ..file("a") };
    check("encrypted", &zip(&[encrypted]), Because(r#""a": it is encrypted"#));
    let masked = Member { flags: 1 << 13, ..file("a") };
    check("masked", &zip(&[masked]), Because(r#""a": it is encrypted"#));
    for (method, why) in [
        (
            9,
            r#""a": it is compressed with method 9; only stored (0) and deflated (8) are accepted"#,
        ),
        (
            12,
            r#""a": it is compressed with method 12; only stored (0) and deflated (8) are accepted"#,
        ),
        (
            93,
            r#""a": it is compressed with method 93; only stored (0) and deflated (8) are accepted"#,
        ),
        (
            99,
            r#""a": it is compressed with method 99; only stored (0) and deflated (8) are accepted"#,
        ),
    ] {
        check("a method", &zip(&[Member { method, ..file("a") }]), Because(why));
    }
}

#[test]
fn a_tree_has_no_times_of_its_own() {
    let outer = tempfile::tempdir().expect("a directory");
    let members = [file("d/e/f"), Member::link("d/l", "e")];
    unpack(&zip(&members), File::open(outer.path()).expect("the root"), &AWS).expect("a good zip");
    for path in ["", "d", "d/e", "d/e/f", "d/l"] {
        let found = fs::symlink_metadata(outer.path().join(path)).expect("metadata");
        assert_eq!((found.mtime(), found.mtime_nsec()), (MODIFIED, 0), "{path}");
    }
}
