//! What real tools write is read, and what we write, others read.

use std::fs::{self, File};
use std::io::{Cursor, Read, Write};
use std::path::PathBuf;
use std::process::Command;

use archive::{pack, unpack};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::raw::{self, End, Member, REGULAR, zip_with};
use crate::verdict::Outcome::Tree;
use crate::verdict::{AWS, check, file, leak};

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_the_zip_crate_writes_is_unpacked_as_it_was(
        files in btree_map("[a-c]{1,3}(/[d-f]{1,3}){0,3}\\.txt", vec(any::<u8>(), 0..70_000), 0..8),
        stored in any::<bool>(),
    ) {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let method = if stored { CompressionMethod::Stored } else { CompressionMethod::Deflated };
        let options = SimpleFileOptions::default().compression_method(method);
        for (name, content) in &files {
            writer.start_file(name, options).expect("a name");
            writer.write_all(content).expect("a write into memory");
        }
        let zip = writer.finish().expect("an archive").into_inner();
        let root = tempfile::tempdir().expect("a directory");
        let done = unpack(&zip, File::open(root.path()).expect("the root"), &AWS).expect("a good zip");
        prop_assert_eq!(done.files, files.len() as u64);
        for (name, content) in &files {
            prop_assert_eq!(&fs::read(root.path().join(name)).expect("the file"), content);
        }
    }
}

#[test]
fn what_is_packed_is_unpacked_as_it_was_and_read_by_others() {
    let from = tempfile::tempdir().expect("a directory");
    fs::create_dir(from.path().join("lib")).expect("a directory");
    fs::write(from.path().join("lib/b.py"), "b = 1\n".repeat(1000)).expect("a file");
    fs::write(from.path().join("a.py"), "a = 1\n").expect("a file");
    let paths = ["lib/b.py", "a.py"].map(PathBuf::from);
    let zip = pack(from.path(), &paths, &AWS).expect("a package");

    let to = tempfile::tempdir().expect("a directory");
    let done = unpack(&zip, File::open(to.path()).expect("the root"), &AWS).expect("a good zip");
    assert_eq!((done.files, done.directories, done.bytes), (2, 1, 6_006));
    assert_eq!(fs::read_to_string(to.path().join("a.py")).expect("the file"), "a = 1\n");

    let mut other = ZipArchive::new(Cursor::new(zip)).expect("a zip");
    let mut text = String::new();
    other.by_name("lib/b.py").expect("the file").read_to_string(&mut text).expect("text");
    assert_eq!(text.len(), 6_000);
}

#[test]
fn what_python_writes_is_unpacked() {
    let root = tempfile::tempdir().expect("a directory");
    let zip = root.path().join("p.zip");
    let script = r#"
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as out:
    out.writestr("app.py", "def handler(event, context): return event\n")
    out.writestr("pkg/", "")
    out.writestr("pkg/data.bin", bytes(200_000))
    with out.open("pkg/wide.txt", "w", force_zip64=True) as member:
        member.write(b"wide")
class Pipe:
    def __init__(self, file): self.file = file
    def write(self, data): return self.file.write(data)
    def flush(self): self.file.flush()
with open(sys.argv[1] + ".stream", "wb") as file, zipfile.ZipFile(Pipe(file), "w", zipfile.ZIP_DEFLATED) as out:
    out.writestr("app.py", "streamed, with data descriptors\n" * 100)
    out.writestr("b.py", "second\n")
"#;
    let status = Command::new("python3").args(["-c", script]).arg(&zip).status().expect("python3");
    assert!(status.success());
    for (name, files, bytes) in [("p.zip", 3, 200_046), ("p.zip.stream", 2, 3_207)] {
        let to = tempfile::tempdir().expect("a directory");
        let bytes_of = fs::read(root.path().join(name)).expect("the zip");
        let done =
            unpack(&bytes_of, File::open(to.path()).expect("the root"), &AWS).expect("a good zip");
        assert_eq!((done.files, done.bytes), (files, bytes), "{name}");
    }
}

#[test]
fn ordinary_oddities_are_accepted() {
    check("empty", &raw::zip(&[]), Tree(&[]));
    check(
        "with a comment",
        &zip_with(b"", &[file("a")], &End { comment: b"hello".to_vec(), ..End::default() }),
        Tree(&["a 644 x"]),
    );
    let comment = raw::zip(&[]);
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
    check("zip64 sizes without need", &raw::zip(&[wide]), Tree(&["a 644 x"]));
    check(
        "./ before every name",
        &raw::zip(&[Member::file("./", ""), Member::file("./d/", ""), file("./d/a")]),
        Tree(&["d/ 755", "d/a 644 x"]),
    );
    check(
        "directories named again",
        &raw::zip(&[file("d/a"), Member::file("d/", ""), Member::file("d/", "")]),
        Tree(&["d/ 755", "d/a 644 x"]),
    );
    check(
        "a name that is not text",
        &raw::zip(&[Member::file(b"caf\x82", "x")]),
        Tree(&["caf\u{fffd} 644 x"]),
    );
    check(
        "a compressed directory of no bytes",
        &raw::zip(&[Member {
            data: vec![3, 0],
            packed: 2,
            method: 8,
            ..Member::file("d/", "").mode(REGULAR)
        }]),
        Tree(&["d/ 755"]),
    );
    check(
        "a name as long as the kernel takes",
        &raw::zip(&[file(&"n".repeat(255))]),
        Tree(&[leak(format!("{} 644 x", "n".repeat(255)))]),
    );
}
