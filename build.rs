//! Builds the two programs that ship inside `hearth`: the spawner and the runner.
//!
//! Both are linked statically and run from sealed memory files, so that the privileged process maps
//! nothing but its own short list of dependencies, and the runner needs nothing of a sandbox's root.
//! Stable Cargo has no artifact dependencies; this runs a second Cargo with a target directory of its
//! own (two Cargos in one directory would wait for each other for ever).

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Package, program, and the variable by which `include_bytes!` finds it.
const PROGRAMS: [(&str, &str, &str); 2] = [
    ("spawner", "hearth-spawner", "HEARTH_SPAWNER_PROGRAM"),
    ("runner", "hearth-runner", "HEARTH_RUNNER_PROGRAM"),
];

/// Of the root manifest: as `release`, but a panic ends the process.
const PROFILE: &str = "privileged";

fn main() {
    for watched in ["src/spawner", "src/sandbox", "src/wire", "runner", "Cargo.lock", "build.rs"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    let target = env::var("TARGET").expect("Cargo sets TARGET");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    let directory = target_directory(&out).join("privileged");

    let mut cargo = Command::new(env::var_os("CARGO").expect("Cargo sets CARGO"));
    cargo.args(["build", "--profile", PROFILE, "--locked", "--target", &target]);
    cargo.arg("--target-dir").arg(&directory);
    for (package, program, _) in PROGRAMS {
        cargo.args(["--package", package, "--bin", program]);
        cargo.args(["--features", &format!("{package}/program")]);
    }
    // What the outer Cargo set up for its own crates (a linter in place of the compiler, flags,
    // this package's metadata) must not leak into the inner one.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let ours = name.starts_with("CARGO_") && name != "CARGO_HOME" && name != "CARGO_MAKEFLAGS";
        if ours || name.starts_with("RUSTC") || name == "RUSTFLAGS" || name == "RUSTDOCFLAGS" {
            cargo.env_remove(name.as_ref());
        }
    }
    // With `--target`, flags reach the programs but not build scripts and macros, which must stay
    // dynamic.
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");

    let status = cargo.status().unwrap_or_else(|err| panic!("cargo could not be started: {err}"));
    assert!(status.success(), "the spawner and the runner could not be built, see above");
    for (_, program, variable) in PROGRAMS {
        let path = directory.join(&target).join(PROFILE).join(program);
        println!("cargo::rustc-env={variable}={}", path.display());
    }
}

/// `OUT_DIR` is `<target>/[<triple>/]<profile>/build/<package>-<hash>/out`.
fn target_directory(out: &Path) -> PathBuf {
    let profile = out.ancestors().nth(3).expect("OUT_DIR lies below a profile's directory");
    profile.parent().expect("a profile's directory lies below the target directory").to_owned()
}
