//! Carries a plan out: copies, writes, links, compiles.
//!
//! Every file is a new one, made here and nowhere else: an image shares no inode with the server.
//! Files are opened without following links (their paths were resolved when they were looked at) and
//! must still be what was looked at; what was replaced in between makes the attempt fail, and the next
//! one plans anew. Owner is who makes the image, modes are 0644 and 0755: nothing is setuid, whatever
//! it was on the server.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;

use crate::host::plan::{Item, Plan, Source};
use crate::host::recipe::COMPILE;
use crate::host::survey::Interpreter;
use crate::host::{HostError, Progress};
use crate::identifier::{Identifier, Language};

/// Makes the root of a tree, which the function sees as `/`.
///
/// # Errors
/// [`HostError::Write`].
pub(crate) fn make_root(tree: &Path) -> Result<(), HostError> {
    let failed = |source| HostError::Write { path: tree.to_owned(), source };
    fs::create_dir(tree)
        .and_then(|()| fs::set_permissions(tree, Permissions::from_mode(0o755)))
        .map_err(failed)
}

/// Writes everything in `plan` beneath `tree`, which is there and empty.
///
/// # Errors
/// [`HostError::Write`], [`HostError::Changed`].
pub(crate) fn write(
    plan: &Plan,
    tree: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), HostError> {
    let (files, bytes) = plan.size();
    let mut done = Progress { files_done: 0, files, bytes_done: 0, bytes };
    progress(done);
    for (path, item) in plan.iter() {
        let to = tree.join(path);
        let failed = |source| HostError::Write { path: to.clone(), source };
        match item {
            Item::Directory => fs::create_dir(&to)
                .and_then(|()| fs::set_permissions(&to, Permissions::from_mode(0o755)))
                .map_err(failed)?,
            Item::Link(target) => std::os::unix::fs::symlink(target, &to).map_err(failed)?,
            Item::Text(text) => {
                write_own(&to, text.as_bytes(), 0o644).map_err(failed)?;
                done.files_done += 1;
                done.bytes_done += text.len() as u64;
            }
            Item::Library(ours) | Item::Program(ours) => {
                let mode = if matches!(item, Item::Program(_)) { 0o755 } else { 0o644 };
                write_own(&to, ours, mode).map_err(failed)?;
                done.files_done += 1;
                done.bytes_done += ours.len() as u64;
            }
            Item::File(source) => {
                copy(source, &to)?;
                done.files_done += 1;
                done.bytes_done += source.size;
            }
        }
        progress(done);
    }
    Ok(())
}

fn write_own(to: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = create(to)?;
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(mode))
}

fn copy(source: &Source, to: &Path) -> Result<(), HostError> {
    let read = |err| HostError::Read { path: source.path.clone(), source: err };
    let failed = |source| HostError::Write { path: to.to_owned(), source };
    let changed = || HostError::Changed { path: source.path.clone() };
    let mut from = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(&source.path)
        .map_err(read)?;
    let found = from.metadata().map_err(read)?;
    if Source::new(source.path.clone(), &found).map_err(read)? != *source {
        return Err(changed());
    }
    let mut file = create(to).map_err(failed)?;
    // The kernel copies, where the file systems allow it.
    if io::copy(&mut from, &mut file).map_err(failed)? != source.size {
        return Err(changed());
    }
    let mode = if source.executable { 0o755 } else { 0o644 };
    let time = TimeSpec::new(source.modified.0, source.modified.1);
    file.set_permissions(Permissions::from_mode(mode))
        .and_then(|()| futimens(&file, &time, &time).map_err(io::Error::from))
        .map_err(failed)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Asks an interpreter what it is; its identifier and whole version.
///
/// # Errors
/// [`HostError::WrongVersion`], where it is not what it has to be.
pub(crate) fn version(interpreter: &Interpreter) -> Result<(Identifier, String), HostError> {
    let path = &interpreter.source;
    let run = |source| HostError::Run { path: path.clone(), source };
    let output = Command::new(path)
        .arg("--version")
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(run)?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let wrong = |expected: String| HostError::WrongVersion {
        path: path.clone(),
        expected,
        printed: printed.trim().chars().take(80).collect(),
    };
    let found = Identifier::from_version(interpreter.language, &printed)
        .filter(|_| output.status.success());
    match (found, interpreter.expected) {
        (Some(found), None) => Ok(found),
        (Some(found), Some(expected)) if found.0 == expected => Ok(found),
        (_, Some(expected)) => Err(wrong(expected.to_string())),
        (None, None) => Err(wrong("a version of Node".to_owned())),
    }
}

/// Compiles what of a Python's standard library has no valid compiled form, and the bootstrap; the
/// bootstrap's compiled form, as a path in the image.
///
/// # Errors
/// [`HostError::Run`], [`HostError::Compile`].
pub(crate) fn compile(
    plan: &Plan,
    tree: &Path,
    interpreter: &Interpreter,
    bootstrap: &Path,
) -> Result<PathBuf, HostError> {
    debug_assert_eq!(interpreter.language, Language::Python);
    let name = interpreter.program.file_name().unwrap_or_default().to_string_lossy();
    // python3.11 → cpython-311, as in the names of everything compiled.
    let tag = format!("cpython-{}", name.trim_start_matches("python").replace('.', ""));
    let compiled = bootstrap.with_extension(format!("{tag}.pyc"));
    let mut list = vec![(bootstrap.to_owned(), compiled.clone())];
    for (path, source) in &interpreter.modules {
        let Some(result) = compiled_form(path, &tag) else { continue };
        let valid = match plan.get(result.strip_prefix("/").unwrap_or(&result)) {
            Some(Item::File(found)) => is_valid(found, source),
            _ => false,
        };
        if !valid {
            list.push((path.clone(), result));
        }
    }

    let inside = |path: &Path| tree.join(path.strip_prefix("/").unwrap_or(path));
    let run = |source| HostError::Run { path: interpreter.source.clone(), source };
    let mut child = Command::new(&interpreter.source)
        // -B: what it imports for this is the server's, and stays as it is.
        .args(["-I", "-S", "-B", "-c", COMPILE])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(run)?;
    let mut text = String::new();
    for (source, result) in &list {
        let line = [&inside(source), &inside(result), source].map(|it| it.display().to_string());
        text.push_str(&line.join("\t"));
        text.push('\n');
    }
    // Taken out of the child so that it is closed, which is what ends the list.
    let mut input = child.stdin.take().ok_or_else(|| run(io::ErrorKind::BrokenPipe.into()))?;
    let written = input.write_all(text.as_bytes());
    drop(input);
    let status = child.wait().map_err(run)?;
    written.map_err(run)?;
    if !status.success() || !inside(&compiled).is_file() {
        return Err(HostError::Compile { path: interpreter.source.clone() });
    }
    for (_, result) in &list {
        make_readable(&inside(result))?;
    }
    Ok(compiled)
}

// What a program of the server's wrote went through our umask; some of it may not be there, where a
// source does not compile.
fn make_readable(path: &Path) -> Result<(), HostError> {
    let failed = |source| HostError::Write { path: path.to_owned(), source };
    for (path, mode) in [(path, 0o644), (path.parent().unwrap_or(path), 0o755)] {
        match fs::set_permissions(path, Permissions::from_mode(mode)) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(failed)?,
        }
    }
    Ok(())
}

// `/a/b.py` → `/a/__pycache__/b.cpython-311.pyc`.
fn compiled_form(module: &Path, tag: &str) -> Option<PathBuf> {
    let stem = module.file_name()?.to_str()?.strip_suffix(".py")?;
    Some(module.parent()?.join("__pycache__").join(format!("{stem}.{tag}.pyc")))
}

// The head of a compiled module: magic, flags, and either its source's time and size or a hash.
fn is_valid(compiled: &Source, source: &Source) -> bool {
    let mut head = [0; 16];
    let read =
        File::open(&compiled.path).and_then(|mut file| io::Read::read_exact(&mut file, &mut head));
    if read.is_err() {
        return false;
    }
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    // Both are kept as their low 32 bits.
    let expected = (source.modified.0 as u32, source.size as u32);
    word(4) == 0 && (word(8), word(12)) == expected
}
