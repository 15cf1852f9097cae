//! The loader's view of programs; what images are made of is tested in `tests/host.rs`.

use std::fs;
use std::path::Path;

use super::elf;
use super::loader::{How, Loader, Unmet};

#[test]
fn a_program_needs_the_c_library_and_names_its_loader() {
    let mut loader = Loader::of_this_server();
    let shell = Path::new("/bin/sh").canonicalize().expect("a shell");
    let closure = loader.closure(&shell).expect("its needs").expect("a program");
    assert!(closure.interpreter.expect("a loader").is_absolute());
    let libc = closure.libraries.iter().find(|it| it.name.starts_with("libc.")).expect("libc");
    assert_eq!(libc.how, How::Default);
    assert!(libc.source.is_file());
}

#[test]
fn a_script_and_a_text_are_no_programs() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("script");
    for text in ["#!/bin/sh\n", "", "\x7fEL", "\x7fELF"] {
        fs::write(&path, text).expect("a file");
        assert!(elf::read(&path).expect("read").is_none(), "{text:?}");
    }
}

#[test]
fn a_damaged_program_is_an_error_or_none_but_never_a_panic() {
    let root = tempfile::tempdir().expect("a directory");
    let good = fs::read("/bin/sh").expect("a shell");
    let path = root.path().join("damaged");
    for at in (0..1024).step_by(7) {
        for value in [0, 0x7f, 0xff] {
            let mut bytes = good[..8192].to_vec();
            bytes[at] = value;
            fs::write(&path, bytes).expect("a file");
            let _either = elf::read(&path);
        }
    }
}

#[test]
fn a_missing_library_is_named_with_who_needs_it() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("needy");
    let mut bytes = fs::read(Path::new("/bin/sh").canonicalize().expect("a shell")).expect("it");
    let name = bytes.windows(10).position(|it| it == b"libc.so.6\0").expect("the name");
    bytes[name..name + 9].copy_from_slice(b"libX.so.6");
    fs::write(&path, bytes).expect("a file");
    let err = Loader::of_this_server().closure(&path).expect_err("not there");
    assert!(
        matches!(&err, Unmet::Missing { object, name } if *object == path && name == "libX.so.6"),
        "{err}"
    );
}
