//! What is measured beside, fetched once into `target/tests/`, where the tests keep theirs.
//!
//! | what | for |
//! |---|---|
//! | `bench-packages/` | numpy and boto3, `packages.txt`: what the row `imports` imports |
//! | `bench-servers/` | functions-framework and uvicorn, `servers.txt`, in a virtual environment |
//! | `bench-workerd/` | workerd from npm, where there is an npm |
//! | `bench-debian/` | runc and bubblewrap out of Debian's packages, where they are not installed |
//! | `bench-echo/` | `functions/echo.rs`, built by `rustc` |
//!
//! Nothing is installed on the machine. What cannot be had is said to be not installed, and the rows
//! that need it are left without figures.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::report::Unmeasured;
use crate::setup;

pub use crate::setup::{custom_runtime, folder, node};

/// The interpreter that virtual environments are made with: that of the functions.
const PYTHON: &str = "/usr/bin/python3";
const PACKAGES: &str = include_str!("packages.txt");
const SERVERS: &str = include_str!("servers.txt");
/// Of `@cloudflare/workerd-linux-64`.
const WORKERD: &str = "1.20261117.1";

/// The Python that sandboxes execute: the file in the image, not what it was copied from.
pub fn python() -> Result<PathBuf> {
    in_image("usr/bin/python3")
}

/// The Node that sandboxes execute.
pub fn node_program() -> Result<PathBuf> {
    in_image("usr/bin/node")
}

/// The tree of the image that was made last. Others that lie there differ in what stands beside the
/// interpreters.
pub fn image() -> Result<PathBuf> {
    // Not by way of a link: runc takes no such root.
    let images = fs::read_dir(fs::canonicalize(folder().join("images/sha256"))?)?.flatten();
    let made =
        |path: &PathBuf| fs::metadata(path.join("manifest.json")).and_then(|it| it.modified());
    let images = images.map(|entry| entry.path()).filter(|path| made(path).is_ok());
    let newest = images.max_by_key(|path| made(path).ok()).context("there is no image")?;
    Ok(newest.join("tree"))
}

fn in_image(program: &str) -> Result<PathBuf> {
    let path = image()?.join(program);
    fs::canonicalize(&path).with_context(|| format!("the image has no {program}"))
}

/// A folder with numpy and boto3 in it, as `pip install --target` makes one.
pub fn packages() -> Result<PathBuf> {
    let venv = folder().join("bench-servers");
    let _servers = servers()?;
    once("bench-packages", PACKAGES, |folder| {
        let pins = folder.join("packages.txt");
        fs::write(&pins, PACKAGES)?;
        let mut pip = pip(&venv);
        run(pip.arg("--target").arg(folder.join("site")).arg("--requirement").arg(&pins))
    })
    .map(|folder| folder.join("site"))
}

/// The virtual environment of other people's servers.
pub fn servers() -> Result<PathBuf> {
    once("bench-servers", SERVERS, |folder| {
        run(Command::new(PYTHON).args(["-m", "venv"]).arg(folder))?;
        let pins = folder.join("servers.txt");
        fs::write(&pins, SERVERS)?;
        run(pip(folder).arg("--requirement").arg(&pins))
    })
}

fn pip(venv: &Path) -> Command {
    let mut command = Command::new(venv.join("bin/pip"));
    command
        .args(["install", "--no-input", "--disable-pip-version-check", "--quiet"])
        .args(["--only-binary=:all:", "--no-deps"]);
    command
}

/// The program workerd.
pub fn workerd() -> Result<PathBuf> {
    let folder = once("bench-workerd", WORKERD, |folder| {
        let package = format!("@cloudflare/workerd-linux-64@{WORKERD}");
        run(Command::new("npm")
            .args(["install", "--no-save", "--ignore-scripts", "--prefix"])
            .args([folder.as_os_str(), package.as_ref()]))
    })?;
    Ok(folder.join("node_modules/@cloudflare/workerd-linux-64/bin/workerd"))
}

/// A program of a Debian package: the machine's own, or one that is only unpacked.
pub fn debian(package: &str, program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin".into(), "/sbin".into()];
    let mut folders = std::env::split_paths(&path).chain(sbin);
    if let Some(found) = folders.find_map(|folder| fs::canonicalize(folder.join(program)).ok()) {
        return Ok(found);
    }
    let folder = once(&format!("bench-debian-{package}"), package, |folder| {
        run(Command::new("apt-get").args(["download", package]).current_dir(folder))?;
        let entries = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
        let mut packages = entries.filter(|path| path.extension().is_some_and(|it| it == "deb"));
        let file = packages.next().context("apt-get downloaded nothing")?;
        run(Command::new("dpkg-deb").arg("-x").args([&file, &folder.join("unpacked")]))
    })?;
    let places =
        ["usr/bin", "usr/sbin"].map(|place| folder.join("unpacked").join(place).join(program));
    let found = places.into_iter().find(|path| path.exists());
    found.with_context(|| format!("{package} has no {program}"))
}

/// The custom runtime that does nothing but echo.
pub fn echo() -> Result<Vec<u8>> {
    const SOURCE: &str = include_str!("functions/echo.rs");
    let folder = once("bench-echo", SOURCE, |folder| {
        let source = folder.join("echo.rs");
        fs::write(&source, SOURCE)?;
        let mut rustc = Command::new("rustc");
        rustc.args([
            "--edition",
            "2024",
            "-C",
            "opt-level=3",
            "-C",
            "panic=abort",
            "-C",
            "strip=symbols",
        ]);
        rustc.args(["-C", "target-feature=+crt-static", "-o"]);
        run(rustc.args([&folder.join("bootstrap"), &source]))
    })?;
    Ok(fs::read(folder.join("bootstrap"))?)
}

/// Does `work` in an empty folder unless it was done there from the same `key`; gives the folder. What
/// cannot be had is not installed.
fn once(part: &str, key: &str, work: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let place = folder().join(part);
    let stamp = folder().join(format!("{part}.stamp"));
    let lock = File::create(folder().join(format!("{part}.lock")))?;
    lock.lock()?;
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == key) {
        return Ok(place);
    }
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(&place)?;
    eprintln!("set-up: {} (once)", place.display());
    work(&place).map_err(|err| Unmeasured::NotInstalled(format!("not installed: {err:#}")))?;
    fs::write(&stamp, key)?;
    Ok(place)
}

fn run(command: &mut Command) -> Result<()> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{program} does not start"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().last().unwrap_or_default();
    ensure!(output.status.success(), "{program} failed ({}): {last}", output.status);
    Ok(())
}

/// The version a program gives itself, for the record.
pub fn version(program: &Path) -> Result<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("{} has no version", program.display());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether the tests' set-up found a Node for functions.
pub fn has_node() -> bool {
    setup::node().runtime != "nodejs0.x"
}
