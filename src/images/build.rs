//! Compiles what Python functions are forked and restored with: freestanding C, without a single symbol
//! of a library.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const FOLDER: &str = "../../runner/python";
/// No C library: nothing of one may come in by the back door, such as a stack protector or `memcpy`.
const FLAGS: &str = include_str!("../../runner/python/freestanding.flags");
/// A library, all of it bound when it is loaded.
const LIBRARY: &str = include_str!("../../runner/python/library.flags");
/// A program at an address that nobody else uses.
const PROGRAM: &str = include_str!("../../runner/python/program.flags");

fn main() {
    for name in ["fork.c", "snapshot.c", "restore.c", "snapshot.h"] {
        println!("cargo::rerun-if-changed={FOLDER}/{name}");
    }
    for name in ["freestanding", "library", "program"] {
        println!("cargo::rerun-if-changed={FOLDER}/{name}.flags");
    }
    println!("cargo::rerun-if-env-changed=CC");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    for (source, more, result, variable) in [
        ("fork.c", LIBRARY, "fork.so", "HEARTH_FORK_LIBRARY"),
        ("snapshot.c", LIBRARY, "snapshot.so", "HEARTH_SNAPSHOT_LIBRARY"),
        ("restore.c", PROGRAM, "restore", "HEARTH_RESTORE_PROGRAM"),
    ] {
        let result = out.join(result);
        if source == "restore.c" && env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("x86_64") {
            // Written for this processor only; without it nothing is restored.
            std::fs::write(&result, "").expect("OUT_DIR can be written to");
        } else {
            compile(source, more, &result);
        }
        println!("cargo::rustc-env={variable}={}", result.display());
    }
}

fn compile(source: &str, more: &str, result: &Path) {
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let status = Command::new(&compiler)
        .args(FLAGS.split_whitespace())
        .args(more.split_whitespace())
        .arg("-o")
        .arg(result)
        .arg(format!("{FOLDER}/{source}"))
        .status()
        .unwrap_or_else(|err| panic!("the C compiler {compiler:?} could not be started: {err}"));
    assert!(status.success(), "{source} could not be compiled, see above");
}
