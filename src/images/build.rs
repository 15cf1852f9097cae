//! Compiles what Python functions are forked with: one freestanding C file, a library without a single
//! symbol of another one.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = "../../runner/python/fork.c";
/// No C library: nothing of one may come in by the back door, such as a stack protector or `memcpy`.
const FLAGS: &str = include_str!("../../runner/python/fork.flags");

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=../../runner/python/fork.flags");
    println!("cargo::rerun-if-env-changed=CC");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    let library = out.join("fork.so");
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let status = Command::new(&compiler)
        .args(FLAGS.split_whitespace())
        .arg("-o")
        .arg(&library)
        .arg(SOURCE)
        .status()
        .unwrap_or_else(|err| panic!("the C compiler {compiler:?} could not be started: {err}"));
    assert!(status.success(), "{SOURCE} could not be compiled, see above");
    println!("cargo::rustc-env=HEARTH_FORK_LIBRARY={}", library.display());
}
