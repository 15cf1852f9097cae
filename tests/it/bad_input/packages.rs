//! Deployment packages that are refused before anything of them is unpacked for good.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::raw_zip::{DEFLATED, Entry, archive, crowd};
use crate::harness::{Daemon, Function, Package, Response, setup, shared};

/// AWS's answer to everything that cannot be unzipped.
const NOT_A_ZIP: &str =
    "Could not unzip uploaded file. Please check your file, then try to upload again.";

const CODE: &str = "def handler(event, context):\n    return 'ran'\n";

fn create(daemon: &Daemon, package: Vec<u8>) -> Response {
    Function::new(setup::python_runtime(), "app.handler", package).create(daemon)
}

/// Checks that something is refused that is no archive at all.
#[track_caller]
fn is_no_archive(package: &[u8]) {
    let refused = create(&shared(), package.to_vec());
    refused.refused(400, "InvalidParameterValueException", NOT_A_ZIP);
}

/// Checks that an archive is refused in AWS's words, followed by ours on why.
#[track_caller]
fn is_no_zip(package: Vec<u8>, why: &str) {
    let message = format!("{NOT_A_ZIP} ({why})");
    create(&shared(), package).refused(400, "InvalidParameterValueException", &message);
}

/// The package of a working function with one more entry.
fn with(entry: Entry) -> Vec<u8> {
    archive(&[Entry::new("app.py", CODE), entry])
}

#[test]
fn what_is_not_a_zip_is_refused() {
    is_no_archive(b"not a zip");
    is_no_archive(&[0; 4096]);
    is_no_archive(b"PK\x03\x04 only the beginning");
    is_no_archive(b"PK\x05\x06");
}

#[test]
fn a_truncated_zip_is_refused_wherever_it_was_cut() {
    let whole = Package::new().file("app.py", CODE).file("more.txt", "x".repeat(300)).build();
    for length in [1, 10, whole.len() / 3, whole.len() / 2, whole.len() - 30, whole.len() - 1] {
        is_no_archive(&whole[..length]);
    }
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    for (name, why) in [
        ("../escaped", "its name climbs out with \"..\""),
        ("a/../../escaped", "its name climbs out with \"..\""),
        ("..", "its name climbs out with \"..\""),
        ("a/./escaped", "its name has a component that is empty or \".\""),
        ("/etc/escaped", "its name is absolute"),
        ("//escaped", "its name is absolute"),
        ("..\\escaped", "its name holds a backslash; the separator in a zip is \"/\""),
        ("C:\\escaped", "its name holds a backslash; the separator in a zip is \"/\""),
        ("nul\0byte", "its name holds a NUL byte"),
        ("", "its name is empty"),
        (&"a".repeat(5_000), "its name is longer than 2048 bytes, or a part of it than 255"),
        (&"a".repeat(256), "its name is longer than 2048 bytes, or a part of it than 255"),
    ] {
        let response = create(&shared(), with(Entry::new(name, "x")));
        assert_eq!(response.status, 400, "{name}: {response:?}");
        let message = response.json()["message"].as_str().expect("a message").to_owned();
        // The name stands between, with what cannot be shown escaped and cut if it is long.
        assert!(message.starts_with(&format!("{NOT_A_ZIP} (\"")), "{name}: {message}");
        assert!(
            message.ends_with(&format!("\": {why})")),
            "{name:.9}: {}",
            &message[message.len().saturating_sub(200)..]
        );
    }
    assert!(!fs::exists("/etc/escaped").expect("/etc is readable"));
}

#[test]
fn the_same_name_twice_is_refused() {
    is_no_zip(with(Entry::new("app.py", CODE)), "\"app.py\": its name is given twice");
    // A file that is also a folder is the same conflict in another form.
    let why = "\"app.py/inside\": it lies beneath a file or symbolic link";
    is_no_zip(with(Entry::new("app.py/inside", "x")), why);
}

#[test]
fn links_out_of_the_folder_are_refused_and_links_within_it_work() {
    let link = |name: &str, target: &str| Entry::new(name, target).mode(0o120_777);
    for (target, why) in [
        ("/etc/passwd", "it is a symbolic link to an absolute path"),
        ("/", "it is a symbolic link to an absolute path"),
        ("../outside", "it is a symbolic link out of the archive"),
        ("..", "it is a symbolic link out of the archive"),
        ("a/../../outside", "its target climbs after it has descended"),
        ("", "it is a symbolic link to nothing"),
    ] {
        is_no_zip(with(link("link", target)), &format!("\"link\": {why}"));
    }
    // Through a link that leads nowhere bad by itself.
    let through = archive(&[link("folder", "."), Entry::new("folder/escaped", "x")]);
    is_no_zip(through, "\"folder/escaped\": it lies beneath a file or symbolic link");
    assert!(!fs::exists("/tmp/escaped").expect("/tmp is readable"));

    let daemon = shared();
    let package = Package::new().file("real.py", CODE).link("app.py", "real.py").build();
    let function = Function::new(setup::python_runtime(), "app.handler", package).deploy(&daemon);
    assert_eq!(function.answer(&json!({})), "ran");
}

#[test]
fn devices_sockets_and_pipes_are_refused() {
    for kind in [0o020_666, 0o060_660, 0o010_644, 0o140_777] {
        let why = "\"special\": it is neither a file, a directory nor a symbolic link";
        is_no_zip(with(Entry::new("special", "").mode(kind)), why);
    }
}

#[test]
fn setuid_setgid_and_sticky_bits_do_not_survive() {
    let daemon = shared();
    let package = archive(&[
        Entry::new(
            "app.py",
            "import os\n\ndef handler(event, context):\n    \
             return {name: oct(os.stat(name).st_mode) for name in ('one', 'two')}\n",
        ),
        Entry::new("one", "x").mode(0o104_755),
        Entry::new("two", "x").mode(0o103_777),
    ]);
    let function = Function::new(setup::python_runtime(), "app.handler", package).deploy(&daemon);
    let modes = function.answer(&json!({}));
    for name in ["one", "two"] {
        let mode = modes[name].as_str().expect("octal digits");
        assert!(mode.starts_with("0o100"), "{name} has {mode}");
    }
}

#[test]
fn an_encrypted_or_strangely_compressed_entry_is_refused() {
    let strange = Entry { method: 99, ..Entry::new("strange", "x") };
    let why = "\"strange\": it is compressed with method 99; only stored (0) and deflated (8) are accepted";
    is_no_zip(with(strange), why);
    let corrupt = Entry { crc: 1, ..Entry::new("corrupt", "x") };
    is_no_zip(with(corrupt), "\"corrupt\": its checksum is wrong");
    let broken = Entry { method: DEFLATED, ..Entry::new("broken", "\u{7}not deflate") };
    is_no_zip(with(broken), "\"broken\": its contents are damaged");
}

// ------------------------------------------------------------------------------- too much

/// Runs `work` and returns by how many MiB the daemon's memory rose at its highest.
fn rise(daemon: &Daemon, work: impl FnOnce()) -> u64 {
    let high = || {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid)).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("the kernel counts it") / 1024
    };
    // 5: forget the highest so far.
    fs::write(format!("/proc/{}/clear_refs", daemon.pid), "5").expect("root may");
    let before = high();
    work();
    high() - before
}

/// A zip of one file of zeros.
fn zeros(mebibytes: usize) -> Vec<u8> {
    Package::new().file("zeros", vec![0; mebibytes << 20]).build()
}

const TOO_LARGE_UNZIPPED: &str = "Unzipped size must be smaller than 262144000 bytes";

#[test]
fn bombs_are_refused_early_and_in_little_memory() {
    let daemon = Daemon::start();
    let honest = zeros(300);
    // The same bytes, saying of themselves that they are few.
    let mut lying = honest.clone();
    let size = ((300 << 20) as u32).to_le_bytes();
    while let Some(at) = lying.windows(4).position(|window| window == size) {
        lying[at..at + 4].copy_from_slice(&1_000_u32.to_le_bytes());
    }
    let many = crowd(150_000);
    let risen = rise(&daemon, || {
        let refused = create(&daemon, honest);
        refused.refused(400, "InvalidParameterValueException", TOO_LARGE_UNZIPPED);
        let why = "\"zeros\": it holds more than the 1000 bytes it declares";
        let message = format!("{NOT_A_ZIP} ({why})");
        create(&daemon, lying).refused(400, "InvalidParameterValueException", &message);
    });
    assert!(risen <= 64, "{risen} MiB for a zip bomb");
    let risen = rise(&daemon, || {
        let why = "the archive holds more than 100000 files and directories";
        let message = format!("{NOT_A_ZIP} ({why})");
        create(&daemon, many).refused(400, "InvalidParameterValueException", &message);
    });
    assert!(risen <= 64, "{risen} MiB for very many entries");
}

#[test]
fn a_zip_inside_a_zip_is_a_file() {
    let daemon = shared();
    let inner = zeros(40);
    let package = Package::new().file("app.py", CODE).file("inner.zip", inner).build();
    let function = Function::new(setup::python_runtime(), "app.handler", package).deploy(&daemon);
    assert_eq!(function.answer(&json!({})), "ran");
}

#[test]
fn a_million_entries_are_refused() {
    is_no_zip(crowd(1_000_000), "the archive holds more than 100000 files and directories");
}

#[test]
fn a_package_above_fifty_megabytes_is_refused_by_size() {
    let daemon = shared();
    let response = create(&daemon, vec![0; 52_428_800 + 1]);
    let message = "Zipped size must be smaller than 52428800 bytes";
    assert_eq!(response.status, 413, "{response:?}");
    let code = response.header("x-amzn-errortype");
    assert_eq!(code, Some("RequestEntityTooLargeException"), "{response:?}");
    let body = response.json();
    assert_eq!(body["message"].as_str().or(body["Message"].as_str()), Some(message));
}

#[test]
fn nothing_of_a_refused_package_stays() {
    let daemon = Daemon::start();
    let code = daemon.home().data().join("code/sha256");
    let count = || fs::read_dir(&code).map(Iterator::count).unwrap_or(0);
    let before = count();
    create(&daemon, with(Entry::new("../escaped", "x"))).expect(400);
    create(&daemon, zeros(300)).expect(400);
    create(&daemon, b"nothing".to_vec()).expect(400);
    assert_eq!(count(), before);
    let functions = daemon.api("GET", "/2015-03-31/functions", &Value::Null).json();
    assert_eq!(functions["Functions"], json!([]));
}

#[test]
fn an_update_with_a_bad_package_leaves_the_function_as_it_was() {
    let daemon = shared();
    let function = Function::python(CODE).deploy(&daemon);
    let before = function.get()["Configuration"].take();
    let body = json!({"ZipFile": STANDARD.encode("nothing")});
    let refused = daemon.api("PUT", &function.path("code"), &body);
    refused.refused(400, "InvalidParameterValueException", NOT_A_ZIP);
    assert_eq!(function.get()["Configuration"], before);
    assert_eq!(function.answer(&json!({})), "ran");
}

#[test]
fn code_that_is_not_base64_or_not_there_is_refused() {
    let daemon = shared();
    let mut body = Function::python(CODE).body();
    body["Code"] = json!({"ZipFile": "*** not base64 ***"});
    let refused = daemon.api("POST", "/2015-03-31/functions", &body);
    assert_eq!(refused.status, 400, "{refused:?}");
    body["Code"] = json!({});
    let refused = daemon.api("POST", "/2015-03-31/functions", &body);
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(refused.header("x-amzn-errortype"), Some("InvalidParameterValueException"));
}

#[test]
fn code_in_s3_is_refused_clearly() {
    let daemon = shared();
    let mut body = Function::python(CODE).body();
    body["Code"] = json!({"S3Bucket": "bucket", "S3Key": "key"});
    let refused = daemon.api("POST", "/2015-03-31/functions", &body);
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(refused.header("x-amzn-errortype"), Some("InvalidParameterValueException"));
    assert!(refused.text().contains("S3"), "{refused:?}");
    assert!(refused.text().contains("ZipFile"), "it says what to do instead: {refused:?}");
}
