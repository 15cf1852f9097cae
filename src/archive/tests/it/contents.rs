//! Evil archives: records and contents that lie, places that are shared, bombs, limits.

use std::fs::{self, File};

use archive::unpack::Answer;
use archive::{Limits, unpack};

use crate::raw::{End, Member, crc, zip, zip_with};
use crate::verdict::Outcome::{Because, NotAZip, Says};
use crate::verdict::{AWS, check, check_within, file, leak};

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
