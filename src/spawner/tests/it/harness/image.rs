//! A small image: Python and a template of it, Node where the host has it, a shell and a few tools; and
//! some code.
//!
//! Copied at the first run and kept in Cargo's directory for tests: cells share no inode with the host.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use wire::spawner::Digest;

/// Name of the image; no file was ever hashed for it.
pub(crate) const IMAGE: Digest = [0xAA; 32];
/// An image that has no `/proc` to mount on.
pub(crate) const BROKEN_IMAGE: Digest = [0xBB; 32];
/// Name of the code.
pub(crate) const CODE: Digest = [0xCC; 32];

const PROGRAMS: [&str; 8] = [
    "/bin/sh",
    "/bin/ls",
    "/bin/cat",
    "/bin/sleep",
    "/bin/echo",
    "/usr/bin/id",
    "/bin/true",
    "/usr/bin/env",
];
const PYTHON: &str = "/usr/bin/python3.11";
const PYTHON_LIBRARY: &str = "/usr/lib/python3.11";
/// What the C library loads by itself when a thread is ended.
const UNWINDER: &str = "/lib/x86_64-linux-gnu/libgcc_s.so.1";
const NODE: &str = "/usr/bin/node";
/// Directories every image has for the spawner and the function.
const EMPTY: [&str; 8] =
    ["dev", "proc", "tmp", "var/task", "var/runtime", "opt/lib", "etc", "var/lang/compiled"];

/// How `fork.c` is compiled: as for the product's images.
const FREESTANDING: &str = include_str!("../../../../../runner/python/freestanding.flags");
const LIBRARY: &str = include_str!("../../../../../runner/python/library.flags");
const FORK: &str = include_str!("../../../../../runner/python/fork.c");
/// The product's, with a bootstrap that does what tests say.
const TEMPLATE: &str = include_str!("../../../../../runner/python/template.py");
const BOOTSTRAP: &str = include_str!("../programs/bootstrap.py");
/// The product's own, under another name.
const PRODUCT: &str = include_str!("../../../../../runner/python/bootstrap.py");
/// Index of an ordinary template, of one that has made random numbers already, and of what none should
/// be.
pub(crate) const LEAN: u8 = 0;
pub(crate) const SEEDED: u8 = 3;
pub(crate) const FAILING: u8 = 1;
pub(crate) const THREADED: u8 = 2;
/// Modules, or another program altogether.
const TEMPLATES: [Result<&[&str], &str>; 4] = [
    Ok(&["random"]),
    Err("import sys; sys.exit('template: it cannot be')"),
    Err("import sys; sys.path.insert(0, '/var/runtime'); sys.argv[1:] = []\n\
         import threading, time; threading.Thread(target=time.sleep, args=(3600,)).start()\n\
         sys.argv[0] = '/var/runtime/template.py'; __file__ = sys.argv[0]\n\
         exec(open(__file__).read())"),
    Ok(&["random", "ssl", "uuid", "tempfile"]),
];

pub(crate) struct Shared {
    pub(crate) images: PathBuf,
    pub(crate) code: PathBuf,
    pub(crate) has_node: bool,
}

pub(crate) fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(build)
}

fn build() -> Shared {
    let has_node = Path::new(NODE).exists();
    // Another for every state of what goes into it.
    let sources =
        [FREESTANDING, LIBRARY, FORK, TEMPLATE, BOOTSTRAP, PRODUCT, include_str!("image.rs")];
    let sum = sources
        .iter()
        .flat_map(|source| source.bytes())
        .fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("spawner-image-{sum:08x}"));
    if !directory.exists() {
        // Under another name first: a run that was interrupted leaves nothing that looks finished.
        let parent = directory.parent().unwrap();
        let draft = tempfile::Builder::new().prefix("image-").tempdir_in(parent).unwrap();
        fill(draft.path(), has_node);
        fs::set_permissions(draft.path(), fs::Permissions::from_mode(0o755)).unwrap();
        match fs::rename(draft.path(), &directory) {
            // Renamed away from the guard's hands.
            Ok(()) => std::mem::forget(draft),
            Err(_) => assert!(directory.exists(), "another run was faster"),
        }
    }
    Shared { images: directory.join("images"), code: directory.join("code"), has_node }
}

fn fill(directory: &Path, has_node: bool) {
    let path = |kind: &str, digest: Digest| {
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        directory.join(kind).join("sha256").join(hex).join("tree")
    };
    let tree = path("images", IMAGE);
    for empty in EMPTY {
        fs::create_dir_all(tree.join(empty)).unwrap();
    }
    let mut files = BTreeSet::new();
    for program in PROGRAMS.into_iter().chain([PYTHON, UNWINDER]) {
        with_libraries(Path::new(program), &mut files);
    }
    if has_node {
        with_libraries(Path::new(NODE), &mut files);
    }
    copy_library(Path::new(PYTHON_LIBRARY), &tree, &mut files);
    for file in files {
        copy(&file, &tree);
    }
    symlink("python3.11", tree.join("usr/bin/python3")).unwrap();
    write_templates(&tree);
    for empty in ["dev", "tmp", "var/task"] {
        fs::create_dir_all(path("images", BROKEN_IMAGE).join(empty)).unwrap();
    }
    let code = path("code", CODE);
    fs::create_dir_all(&code).unwrap();
    fs::write(code.join("hello.txt"), "hello from the code\n").unwrap();
    for open in [&tree, &code] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// What the image's templates execute: see [`TEMPLATES`].
fn write_templates(tree: &Path) {
    let runtime = tree.join("var/runtime");
    let library = runtime.join("fork.so");
    let source = runtime.join("fork.c");
    fs::write(&source, FORK).unwrap();
    let mut compiler = Command::new("cc");
    let flags = FREESTANDING.split_whitespace().chain(LIBRARY.split_whitespace());
    compiler.args(flags).arg("-o").arg(&library).arg(&source);
    assert!(compiler.status().unwrap().success(), "fork.c cannot be compiled");
    fs::remove_file(source).unwrap();
    fs::write(runtime.join("template.py"), TEMPLATE).unwrap();
    fs::write(runtime.join("bootstrap.py"), BOOTSTRAP).unwrap();
    fs::write(runtime.join("product.py"), PRODUCT).unwrap();
    fs::create_dir(runtime.join("templates")).unwrap();
    for (index, source) in TEMPLATES.into_iter().enumerate() {
        let mut text = String::new();
        let arguments = match source {
            Ok(modules) => [&["/var/runtime/template.py"], modules].concat(),
            Err(source) => ["-c", source].to_vec(),
        };
        let environment = ["HOME=/tmp", "LANG=C.UTF-8", "PATH=/usr/bin:/bin"];
        for string in ["/usr/bin/python3.11", "-S", "-B"].iter().chain(&arguments) {
            text.push_str(&format!("{string}\0"));
        }
        text.push('\0');
        environment.iter().for_each(|entry| text.push_str(&format!("{entry}\0")));
        fs::write(runtime.join("templates").join(index.to_string()), text).unwrap();
    }
}

/// A program and whatever the loader would map for it, by the paths the loader will look for.
fn with_libraries(program: &Path, files: &mut BTreeSet<PathBuf>) {
    files.insert(program.to_owned());
    let output = Command::new("ldd").arg(program).output().unwrap();
    for word in String::from_utf8(output.stdout).unwrap().split_whitespace() {
        if word.starts_with('/') {
            files.insert(PathBuf::from(word));
        }
    }
}

/// The standard library without what no function uses, and what its extension modules need.
fn copy_library(directory: &Path, tree: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let unused = ["test", "__pycache__", "idlelib", "lib2to3", "tkinter", "ensurepip"];
        if unused.contains(&name.as_str()) || name.starts_with("config-") {
            continue;
        }
        if path.is_dir() {
            copy_library(&path, tree, files);
        } else if name.ends_with(".so") {
            with_libraries(&path, files);
        } else {
            copy(&path, tree);
        }
    }
}

fn copy(file: &Path, tree: &Path) {
    let to = tree.join(file.strip_prefix("/").unwrap());
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(file, to).unwrap();
}
