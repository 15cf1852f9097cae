//! Uploads that would lead unpacking or set-up astray: links named like the folders of a sandbox, and
//! file systems instead of zips.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::text;
use crate::harness::raw_zip::{Entry, archive};
use crate::harness::tools::run;
use crate::harness::{Function, Package, setup, shared};

const LOOK: &str = "
import os

def handler(event, context):
    with open('/proc/self/mountinfo') as table:
        mounts = sorted(line.split()[4] for line in table)
    return {'mounts': mounts, 'devices': sorted(os.listdir('/dev')), 'root': sorted(os.listdir('/'))}
";

/// Everything below a folder: names, modes and contents.
fn tree(folder: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        let mode = fs::symlink_metadata(&path).expect("it is there").permissions().mode();
        if path.is_dir() {
            found.extend(tree(&path));
        }
        found.push((text(&path), mode, fs::read(&path).unwrap_or_default()));
    }
    found.sort();
    found
}

#[test]
fn links_named_like_the_folders_of_a_sandbox_lead_nowhere() {
    let daemon = shared();
    // In a folder that everybody may write to: only the refusal protects it.
    let canary = tempfile::tempdir().expect("a temp dir");
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(canary.path(), open).expect("our own directory");
    fs::write(canary.path().join("here"), "as it was").expect("our own directory");
    let before = tree(canary.path());
    let up = format!("{}{}", "../".repeat(16), text(canary.path()).trim_start_matches('/'));
    let ordinary =
        Function::new(setup::python_runtime(), "app.handler", package(&[])).deploy(&daemon);
    let expected: Value = ordinary.answer(&json!({}));

    let (mut refused, mut harmless) = (0, 0);
    for name in ["dev", "proc", "tmp", "tree"] {
        for target in [&text(canary.path()), &up, "app.py", ".", "tmp"] {
            let link = Entry::new(name, target).mode(0o120_777);
            let through = Entry::new(format!("{name}/written"), "by a stranger");
            for entries in [vec![link.clone()], vec![link, through]] {
                let evil = Function::new(setup::python_runtime(), "app.handler", package(&entries));
                let response = evil.create(&daemon);
                if response.status == 400 {
                    refused += 1;
                    continue;
                }
                response.expect(201);
                let evil = evil.deployed(&daemon);
                evil.settle();
                // One of each name is enough: they are the same once they are unpacked.
                if target == "." {
                    assert_eq!(evil.answer(&json!({})), expected, "{name} → {target}");
                }
                harmless += 1;
            }
        }
        assert_eq!(tree(canary.path()), before, "{name}");
    }
    assert!(refused > harmless && harmless > 0, "{refused} refused, {harmless} harmless");

    // The control: whoever unpacks such a package without looking writes elsewhere.
    let link = Entry::new("tmp", &text(canary.path())).mode(0o120_777);
    let naive = "
import io, os, stat, sys, zipfile
os.chdir(sys.argv[2])
with zipfile.ZipFile(sys.argv[1]) as package:
    for entry in package.infolist():
        data = package.read(entry)
        if stat.S_ISLNK(entry.external_attr >> 16):
            os.symlink(data, entry.filename)
        else:
            with open(entry.filename, 'wb') as file:
                file.write(data)
";
    let folder = tempfile::tempdir().expect("a temp dir");
    let zip = folder.path().join("evil.zip");
    let evil = package(&[link, Entry::new("tmp/written", "by a stranger")]);
    fs::write(&zip, evil).expect("our own directory");
    let mut command = Command::new("/usr/bin/python3");
    run(command.args(["-c", naive]).arg(&zip).arg(folder.path()), "").succeeded();
    assert_ne!(tree(canary.path()), before);
}

/// A package whose handler tells what it sees, with some more entries.
fn package(more: &[Entry]) -> Vec<u8> {
    let mut entries = vec![Entry::new("app.py", LOOK)];
    entries.extend_from_slice(more);
    archive(&entries)
}

#[test]
fn file_systems_and_other_archives_are_not_taken_for_packages() {
    let daemon = shared();
    // What each is known by, and where: an upload that looks like it in every other respect.
    let kinds: [(&str, usize, &[u8]); 8] = [
        ("ext4", 1_080, &[0x53, 0xEF]),
        ("squashfs", 0, b"hsqs"),
        ("erofs", 1_024, &[0xE2, 0xE1, 0xF5, 0xE0]),
        ("iso9660", 32_769, b"CD001"),
        ("a disk of qemu", 0, b"QFI\xFB"),
        ("tar", 257, b"ustar\x0000"),
        ("gzip", 0, &[0x1F, 0x8B, 8]),
        ("xz", 0, b"\xFD7zXZ\x00"),
    ];
    for (kind, at, magic) in kinds {
        let mut image = vec![0; 64 << 10];
        image[at..at + magic.len()].copy_from_slice(magic);
        let function = Function::new(setup::python_runtime(), "app.handler", image.clone());
        let response = function.create(&daemon);
        assert_eq!(response.status, 400, "{kind}: {response:?}");
        // The control: as a file in a zip it is taken, and lies there unopened.
        if kind == "squashfs" {
            let package = Package::new().file("app.py", LOOK).file("image", &image).build();
            Function::new(setup::python_runtime(), "app.handler", package).deploy(&daemon);
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    let home = text(daemon.home().path());
    assert!(!mounts.lines().any(|line| line.contains(&home)), "nothing of it is mounted");
}
