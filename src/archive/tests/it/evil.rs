//! The corpus of archives that want something else than to be unpacked.
//!
//! Every case says what the caller is told, word for word, or the exact tree that results. After
//! every case the directory around the destination is as it was.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use archive::unpack::{Answer, COULD_NOT_UNZIP, MODIFIED};
use archive::{Limits, unpack};

use crate::raw::{End, Member, REGULAR, crc, zip, zip_with};

/// What must become of an archive.
enum Outcome {
    /// Refused in AWS's words alone.
    NotAZip,
    /// Refused in AWS's words with this reason behind them.
    Because(&'static str),
    /// Refused with exactly this message.
    Says(&'static str),
    /// Accepted; the tree in the notation of [`list`].
    Tree(&'static [&'static str]),
}
use Outcome::{Because, NotAZip, Says, Tree};

const AWS: Limits = Limits::AWS;

#[track_caller]
fn check(case: &str, zip: &[u8], outcome: Outcome) {
    check_within(case, zip, &AWS, outcome);
}

#[track_caller]
fn check_within(case: &str, zip: &[u8], limits: &Limits, outcome: Outcome) {
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
        NotAZip => assert_eq!(answer, invalid(COULD_NOT_UNZIP.to_owned()), "{case}"),
        Because(why) => {
            assert_eq!(answer, invalid(format!("{COULD_NOT_UNZIP} ({why})")), "{case}");
        }
        Says(message) => assert_eq!(answer, invalid(message.to_owned()), "{case}"),
        Tree(expected) => {
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

fn file(name: &str) -> Member {
    Member::file(name, "x")
}

#[test]
fn what_is_not_a_whole_zip_is_refused_in_aws_words() {
    let good = zip(&[Member::deflated("a.py", "print(1)\n".repeat(50))]);
    check("nothing", b"", NotAZip);
    check("text", b"this is not a zip", NotAZip);
    check(
        "a gzip",
        &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        NotAZip,
    );
    check("zeros", &[0; 4096], NotAZip);
    check("cut by one byte", &good[..good.len() - 1], NotAZip);
    check("only its first half", &good[..good.len() / 2], NotAZip);
    check("its first half lost", &good[good.len() / 2..], NotAZip);
    check("an end record alone, cut", b"PK\x05\x06", NotAZip);
    let mut trailing = good.clone();
    trailing.extend_from_slice(b"more");
    check("bytes behind the end", &trailing, NotAZip);
    check(
        "one disk of several",
        &zip_with(b"", &[file("a")], &End { disk: 1, ..End::default() }),
        NotAZip,
    );
}

#[test]
fn directories_that_lie_about_themselves_are_refused() {
    let members = [file("a"), file("b")];
    let with = |end: End| zip_with(b"", &members, &end);
    check("more records than announced", &with(End { count: Some(1), ..End::default() }), NotAZip);
    check("fewer than announced", &with(End { count: Some(3), ..End::default() }), NotAZip);
    check("none announced", &with(End { count: Some(0), ..End::default() }), NotAZip);
    check("too long", &with(End { length: Some(1 << 30), ..End::default() }), NotAZip);
    check("too short", &with(End { length: Some(50), ..End::default() }), NotAZip);
    check("past the end", &with(End { offset: Some(1 << 30), ..End::default() }), NotAZip);
    let lie = End { zip64: true, count64: Some(3), ..End::default() };
    check("a zip64 count that is wrong", &with(lie), NotAZip);
    let lie = End { zip64: true, count64: Some(u64::MAX), ..End::default() };
    check(
        "a zip64 count past all counting",
        &with(lie),
        Because("the archive holds more than 100000 files and directories"),
    );
    let mut broken = with(End::default());
    let at = broken.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").expect("a record");
    broken[at] = b'Q';
    check("a record that is none", &broken, NotAZip);
    let mut broken = with(End::default());
    broken[at + 28..at + 30].copy_from_slice(&u16::MAX.to_le_bytes());
    check("a name longer than the directory", &broken, NotAZip);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for (name, why) in [
        ("../evil", r#""../evil": its name climbs out with "..""#),
        ("a/../../evil", r#""a/../../evil": its name climbs out with "..""#),
        ("a/..", r#""a/..": its name climbs out with "..""#),
        ("..", r#""..": its name climbs out with "..""#),
        ("./../evil", r#""./../evil": its name climbs out with "..""#),
        ("/etc/passwd", r#""/etc/passwd": its name is absolute"#),
        ("//evil", r#""//evil": its name is absolute"#),
        ("/", r#""/": its name is absolute"#),
        (".//etc/evil", r#"".//etc/evil": its name has a component that is empty or ".""#),
        ("a//b", r#""a//b": its name has a component that is empty or ".""#),
        ("a/./b", r#""a/./b": its name has a component that is empty or ".""#),
        (".", r#"".": its name has a component that is empty or ".""#),
        ("", r#""": its name is empty"#),
        ("a\0.py", r#""a\0.py": its name holds a NUL byte"#),
        ("..\\evil", r#""..\\evil": its name holds a backslash; the separator in a zip is "/""#),
        ("C:\\evil", r#""C:\\evil": its name holds a backslash; the separator in a zip is "/""#),
        (
            "\\\\host\\share",
            r#""\\\\host\\share": its name holds a backslash; the separator in a zip is "/""#,
        ),
    ] {
        check(name, &zip(&[file("good"), file(name)]), Because(why));
    }
    let raw = Member::file(b"a\xff\xfe/../../b", "x");
    check(
        "not text",
        &zip(&[raw]),
        Because("\"a\u{fffd}\u{fffd}/../../b\": its name climbs out with \"..\""),
    );
}

#[test]
fn names_too_long_or_too_deep_are_refused() {
    let long = "n".repeat(256);
    let why = format!(
        "\"{}…\": its name is longer than 2048 bytes, or a part of it than 255",
        &long[..120]
    );
    check("a component of 256", &zip(&[file(&long)]), Because(leak(why)));
    let deep = "d/".repeat(128) + "f";
    let why = format!("\"{}…\": it lies more than 128 directories deep", &deep[..120]);
    check("129 deep", &zip(&[file(&deep)]), Because(leak(why)));
    let long = format!("{0}/{0}/{0}/{0}/{0}/{0}/{0}/{0}/{0}", "n".repeat(250));
    let why = format!(
        "\"{}…\": its name is longer than 2048 bytes, or a part of it than 255",
        &long[..120]
    );
    check("2,258 bytes", &zip(&[file(&long)]), Because(leak(why)));
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

#[test]
fn a_path_has_one_meaning() {
    let twice = Because(r#""a": its name is given twice"#);
    check("a file twice", &zip(&[file("a"), Member::file("a", "y")]), twice);
    let twice = Because(r#""./a": its name is given twice"#);
    check("a file twice in two spellings", &zip(&[file("a"), file("./a")]), twice);
    let twice = Because(r#""a/": its name is given twice"#);
    check("a file, then a directory", &zip(&[file("a"), Member::file("a/", "")]), twice);
    let twice = Because(r#""a": its name is given twice"#);
    check("a directory, then a file", &zip(&[Member::file("a/", ""), file("a")]), twice);
    let twice = Because(r#""a": its name is given twice"#);
    check("a file where another implied a directory", &zip(&[file("a/b"), file("a")]), twice);
    let below = Because(r#""a/b": it lies beneath a file or symbolic link"#);
    check("a file beneath a file", &zip(&[file("a"), file("a/b")]), below);
    let twice = Because(r#""a": its name is given twice"#);
    check("a link over a file", &zip(&[file("a"), Member::link("a", "b")]), twice);
    let twice = Because(r#""l": its name is given twice"#);
    check("a link twice", &zip(&[Member::link("l", "a"), Member::link("l", "b")]), twice);
    check(
        "names that differ in case are two names",
        &zip(&[file("a"), file("A")]),
        Tree(&["A 644 x", "a 644 x"]),
    );
}

#[test]
fn nothing_is_written_through_a_link() {
    let below = || Because(r#""l/evil": it lies beneath a file or symbolic link"#);
    check("the link first", &zip(&[Member::link("l", "."), file("l/evil")]), below());
    let late = [file("l/evil"), Member::link("l", ".")];
    check("the link last", &zip(&late), Because(r#""l": its name is given twice"#));
    check(
        "deeper",
        &zip(&[Member::link("d/l", "."), file("d/l/a/evil")]),
        Because(r#""d/l/a/evil": it lies beneath a file or symbolic link"#),
    );
}

#[test]
fn links_that_leave_the_tree_are_refused() {
    for (name, target, why) in [
        ("l", "/etc/passwd", r#""l": it is a symbolic link to an absolute path"#),
        ("l", "..", r#""l": it is a symbolic link out of the archive"#),
        ("l", "../secret", r#""l": it is a symbolic link out of the archive"#),
        ("d/l", "../../secret", r#""d/l": it is a symbolic link out of the archive"#),
        ("d/l", "./.././../secret", r#""d/l": it is a symbolic link out of the archive"#),
        ("l", "d/../../secret", r#""l": its target climbs after it has descended"#),
        ("l", "d/..", r#""l": its target climbs after it has descended"#),
        ("l", "", r#""l": it is a symbolic link to nothing"#),
        ("l", "a\0b", r#""l": its target holds a NUL byte"#),
    ] {
        check(target, &zip(&[file("d/f"), Member::link(name, target)]), Because(why));
    }
    let long = Member::link("l", "t".repeat(4096));
    check(
        "a target of 4,096 bytes",
        &zip(&[long]),
        Because(r#""l": its target is longer than 4095 bytes"#),
    );
    // Behind the shallow link, one ".." climbs further than it reads.
    let pair =
        [file("t/f"), Member::link("a/b/c/x", "../../../t"), Member::link("y", "a/b/c/x/../..")];
    check(
        "two links that climb together",
        &zip(&pair),
        Because(r#""y": its target climbs after it has descended"#),
    );
}

#[test]
fn links_within_the_tree_are_kept() {
    check(
        "as package managers make them",
        &zip(&[
            Member::link("node_modules/.bin/tool", "../tool/cli.js"),
            file("node_modules/tool/cli.js"),
            Member::link("current", "node_modules/tool"),
            Member::link("dangling", "not/there"),
            Member::link("loop", "loop"),
            Member::deflated("node_modules/self", ".").mode(0o120_777),
        ]),
        Tree(&[
            "current -> node_modules/tool",
            "dangling -> not/there",
            "loop -> loop",
            "node_modules/ 755",
            "node_modules/.bin/ 755",
            "node_modules/.bin/tool -> ../tool/cli.js",
            "node_modules/self -> .",
            "node_modules/tool/ 755",
            "node_modules/tool/cli.js 644 x",
        ]),
    );
}

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
fn contents_that_are_not_what_is_declared_are_refused() {
    let text = "hello ".repeat(100);
    let good = || Member::deflated("a", &text);
    let small = good().packed;
    let cases = [
        (
            "more than declared",
            Member { size: 10, ..good() },
            r#""a": it holds more than the 10 bytes it declares"#,
        ),
        (
            "less than declared",
            Member { size: 601, ..good() },
            r#""a": it holds 600 bytes, not the 601 it declares"#,
        ),
        (
            "nothing declared",
            Member { size: 0, ..good() },
            r#""a": it holds more than the 0 bytes it declares"#,
        ),
        ("a wrong checksum", Member { crc: 1, ..good() }, r#""a": its checksum is wrong"#),
        (
            "a wrong checksum, stored",
            Member { crc: 1, ..file("a") },
            r#""a": its checksum is wrong"#,
        ),
        ("cut short", Member { packed: small - 2, ..good() }, r#""a": its contents are cut short"#),
        (
            "not deflate",
            Member { data: vec![0xff; 600], packed: 600, ..good() },
            r#""a": its contents are damaged"#,
        ),
        (
            "stored shorter",
            Member { size: 0, ..file("a") },
            r#""a": it holds more than the 0 bytes it declares"#,
        ),
        (
            "stored longer",
            Member { size: 9, ..file("a") },
            r#""a": it declares 9 bytes, which 1 packed ones cannot hold"#,
        ),
    ];
    for (case, member, why) in cases {
        check(case, &zip(&[member]), Because(why));
    }
    let mut padded = good();
    padded.data.extend_from_slice(b"hidden");
    padded.packed += 6;
    check(
        "bytes behind the stream",
        &zip(&[padded]),
        Because(r#""a": bytes follow the end of its contents"#),
    );
}

#[test]
fn places_that_are_shared_or_false_are_refused() {
    let why = || Because(r#""b": its local header is not where the central directory says"#);
    check(
        "the header of another",
        &zip(&[file("a"), Member { offset: Some(0), ..file("b") }]),
        why(),
    );
    check("no header at all", &zip(&[file("a"), Member { offset: Some(3), ..file("b") }]), why());
    check(
        "past the end",
        &zip(&[file("a"), Member { offset: Some(u32::MAX - 1), ..file("b") }]),
        why(),
    );
    check(
        "two names",
        &zip(&[file("a"), Member { local_name: Some(b"c".to_vec()), ..file("b") }]),
        why(),
    );
    check("two methods", &zip(&[file("a"), Member { local_method: Some(8), ..file("b") }]), why());
    check(
        "data that runs into the directory",
        &zip(&[file("a"), Member { packed: 2, ..file("b") }]),
        why(),
    );
}

/// A small core of data quoted by many entries, each a file of its own to who reads one by one.
fn overlapping(entries: usize) -> Vec<u8> {
    let mut inner = Member::deflated("z", vec![0; 200_000]);
    let mut members = Vec::new();
    for n in (0..entries).rev() {
        // A local header, quoted as one stored block, is the beginning of the one before it.
        let mut quoted = Vec::new();
        crate::raw::local(&mut quoted, b"", &inner);
        members.push(inner.clone());
        inner = Member { name: format!("e{n}").into_bytes(), ..Member::file("", &quoted) };
    }
    members.push(inner);
    members.reverse();
    // One outermost local header; every other one lies inside its data.
    let outermost = &members[0];
    let mut out = Vec::new();
    crate::raw::local(&mut out, b"", outermost);
    let total = out.len();
    let start = out.len();
    for member in &members {
        let mut header = Vec::new();
        crate::raw::local(&mut header, b"", member);
        let offset = u32::try_from(total - header.len()).expect("a small archive");
        crate::raw::central(&mut out, member, offset);
    }
    crate::raw::finish(&mut out, b"", start, members.len(), &End::default());
    out
}

#[test]
fn overlapping_entries_are_refused() {
    check("one inside another", &overlapping(1), Because(r#""z": it overlaps another entry"#));
    check("a hundred, quoted", &overlapping(100), Because(r#""e1": it overlaps another entry"#));
}

#[test]
fn bombs_are_refused_by_what_they_declare_or_by_what_they_are() {
    let too_large = || Says("Unzipped size must be smaller than 262144000 bytes");
    let megabyte = Member::deflated("m", vec![0; 1 << 20]);
    let many: Vec<_> = (0..251)
        .map(|n| Member { name: format!("m{n}").into_bytes(), ..megabyte.clone() })
        .collect();
    check("251 MiB of zeros in 250 KiB", &zip(&many), too_large());

    let honest = Member { size: 262_144_001, packed: 262_144_001, ..file("a") };
    check("declares too much", &zip(&[honest]), too_large());
    let lie = Member { size: 250_000_000, ..Member::deflated("a", vec![0; 10_000]) };
    let why = format!(
        r#""a": it declares 250000000 bytes, which {} packed ones cannot hold"#,
        lie.packed
    );
    check("declares what cannot be", &zip(&[lie]), Because(leak(why)));
    let lie = Member { size: 1_000, ..Member::deflated("a", vec![0; 10 << 20]) };
    check(
        "holds 10 MiB, declares 1,000 bytes",
        &zip(&[lie]),
        Because(r#""a": it holds more than the 1000 bytes it declares"#),
    );
    let sum = [0, 1, 2].map(|n| Member {
        size: u32::MAX - 2,
        packed: u32::MAX - 2,
        ..file(&format!("m{n}"))
    });
    check("sizes that overflow a sum of 32 bits", &zip(&sum), too_large());

    let nested = zip(&many);
    let crc = crc(&nested);
    let whole = zip(&[Member::file("inner.zip", &nested)]);
    let outer = tempfile::tempdir().expect("a directory");
    let root = File::open(outer.path()).expect("the root");
    unpack(&whole, root, &AWS).expect("a zip in a zip is a file");
    let inner = fs::read(outer.path().join("inner.zip")).expect("the file");
    assert_eq!(crate::raw::crc(&inner), crc, "and stays one");
}

#[test]
fn names_that_imply_too_many_directories_are_refused() {
    let limits = Limits { nodes: 50, ..AWS };
    let deep = [file(&("a/".repeat(30) + "f")), file(&("b/".repeat(30) + "f"))];
    check_within(
        "two files, 60 directories",
        &zip(&deep),
        &limits,
        Because("the archive holds more than 50 files and directories"),
    );
    check_within(
        "announced",
        &zip_with(b"", &[file("a")], &End { count: Some(51), ..End::default() }),
        &limits,
        Because("the archive holds more than 50 files and directories"),
    );
}

#[test]
fn unpacking_ends_when_its_time_is_over() {
    let limits = Limits { time: std::time::Duration::ZERO, ..AWS };
    let why = "unpacking took longer than 0 s";
    check_within("one file", &zip(&[Member::deflated("f", "x")]), &limits, Because(why));
}

#[test]
fn an_archive_over_the_limit_is_refused_in_aws_words() {
    let zip = vec![0; 52_428_801];
    let outer = tempfile::tempdir().expect("a directory");
    let err =
        unpack(&zip, File::open(outer.path()).expect("the root"), &AWS).expect_err("too large");
    let message = "Zipped size must be smaller than 52428800 bytes".to_owned();
    assert_eq!(err.answer(), Answer::TooLarge(message));
}

#[test]
fn a_destination_that_is_not_empty_is_left_as_it_is() {
    let outer = tempfile::tempdir().expect("a directory");
    let (root, victim) = (outer.path().join("root"), outer.path().join("victim"));
    fs::create_dir(&root).expect("a directory");
    fs::write(&victim, "alive").expect("a file");
    std::os::unix::fs::symlink(&victim, root.join("a")).expect("a link");
    std::os::unix::fs::symlink(outer.path(), root.join("d")).expect("a link");
    for name in ["a", "d/evil"] {
        let result = unpack(&zip(&[file(name)]), File::open(&root).expect("the root"), &AWS);
        assert_eq!(result.map_err(|err| err.answer()), Err(Answer::Internal), "{name}");
    }
    assert_eq!(fs::read_to_string(&victim).expect("the file"), "alive");
    assert!(!outer.path().join("evil").exists());
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

#[test]
fn ordinary_oddities_are_accepted() {
    check("empty", &zip(&[]), Tree(&[]));
    check(
        "with a comment",
        &zip_with(b"", &[file("a")], &End { comment: b"hello".to_vec(), ..End::default() }),
        Tree(&["a 644 x"]),
    );
    let comment = zip(&[]);
    check(
        "with a zip as its comment",
        &zip_with(b"", &[file("a")], &End { comment, ..End::default() }),
        Tree(&[]),
    );
    check(
        "behind a script",
        &zip_with(b"#!/bin/sh\nexit\n", &[file("a")], &End::default()),
        Tree(&["a 644 x"]),
    );
    check(
        "zip64 without need",
        &zip_with(b"", &[file("a")], &End { zip64: true, ..End::default() }),
        Tree(&["a 644 x"]),
    );
    let wide = Member {
        size: u32::MAX,
        packed: u32::MAX,
        extra: [&[1, 0, 16, 0][..], &1_u64.to_le_bytes(), &1_u64.to_le_bytes()].concat(),
        ..file("a")
    };
    check("zip64 sizes without need", &zip(&[wide]), Tree(&["a 644 x"]));
    check(
        "./ before every name",
        &zip(&[Member::file("./", ""), Member::file("./d/", ""), file("./d/a")]),
        Tree(&["d/ 755", "d/a 644 x"]),
    );
    check(
        "directories named again",
        &zip(&[file("d/a"), Member::file("d/", ""), Member::file("d/", "")]),
        Tree(&["d/ 755", "d/a 644 x"]),
    );
    check(
        "a name that is not text",
        &zip(&[Member::file(b"caf\x82", "x")]),
        Tree(&["caf\u{fffd} 644 x"]),
    );
    check(
        "a compressed directory of no bytes",
        &zip(&[Member {
            data: vec![3, 0],
            packed: 2,
            method: 8,
            ..Member::file("d/", "").mode(REGULAR)
        }]),
        Tree(&["d/ 755"]),
    );
    check(
        "AWS's own limit on names of functions does not hold here",
        &zip(&[file(&"n".repeat(255))]),
        Tree(leak_tree(format!("{} 644 x", "n".repeat(255)))),
    );
}

fn leak_tree(line: String) -> &'static [&'static str] {
    Box::leak(Box::new([leak(line)]))
}
