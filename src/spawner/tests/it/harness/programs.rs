//! The programs, built once per test run the way the product builds them; one of them with points to
//! stop at.

use std::env;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// The only target whose standard library is always there and that links statically.
const TARGET: &str = "x86_64-unknown-linux-gnu";

pub(crate) struct Programs {
    pub(crate) spawner: PathBuf,
    pub(crate) runner: PathBuf,
    /// The spawner with points to stop at.
    pub(crate) failpoints: PathBuf,
}

/// How the product builds them.
const PROFILE: &str = "privileged";

/// What is built, in the order of [`Programs`]: package, program, feature. One after the other,
/// because the last is another build of the same libraries.
const BUILDS: [(&str, &str, &str); 3] = [
    ("spawner", "hearth-spawner", "program"),
    ("runner", "hearth-runner", "program"),
    ("spawner", "hearth-spawner-failpoints", "failpoints"),
];

/// Builds them at the first call.
pub(crate) fn get() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        assert!(
            nix::unistd::geteuid().is_root(),
            "cells are made by root: run these tests as root"
        );
        // <target>/tmp is what Cargo tells integration tests.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("privileged");
        for (package, program, feature) in BUILDS {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--profile", PROFILE, "--locked"]);
            cargo.args(["--target", TARGET]);
            cargo.arg("--target-dir").arg(&target);
            cargo.args(["--package", package, "--bin", program]);
            cargo.args(["--features", &format!("{package}/{feature}")]);
            // What the outer Cargo set for this test is not meant for the inner one.
            for (name, _) in env::vars_os() {
                let name = name.to_string_lossy().into_owned();
                if (name.starts_with("CARGO_") && name != "CARGO_HOME") || name.starts_with("RUSTC")
                {
                    cargo.env_remove(name);
                }
            }
            cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
            assert!(cargo.status().unwrap().success(), "{program} could not be built");
        }
        let built = target.join(TARGET).join(PROFILE);
        let [spawner, runner, failpoints] = BUILDS.map(|(_, program, _)| built.join(program));
        Programs { spawner, runner, failpoints }
    })
}

/// The runner in memory, as the product passes it.
pub(crate) fn sealed_runner() -> OwnedFd {
    let runner = unsealed_runner();
    let seals = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    fcntl(&runner, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    runner
}

/// The same, but anybody could still change it.
pub(crate) fn unsealed_runner() -> OwnedFd {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let memory = memfd_create(c"runner", flags).unwrap();
    let mut file = std::fs::File::from(memory);
    file.write_all(&std::fs::read(&get().runner).unwrap()).unwrap();
    file.into()
}
