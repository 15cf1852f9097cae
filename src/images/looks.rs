//! Which packages of the image a function's code imports: a look at its text when it is taken in.
//!
//! A template that has numpy imported serves a function that imports numpy in a fraction of the time,
//! and any other function worse: its copies have more pages to share and more to lose. So it is chosen
//! for code that says `import` and the name of such a package, and that brings no module of its own
//! under one of the names which that template has imported, neither in its package nor in a layer.
//!
//! Only speed depends on the answer. What a copy of a template does when a module is imported is decided
//! by where the search path leads at that moment (`runner/python/bootstrap.py`), so a word in a string
//! that looks like an import, or an import in a file that was not looked at, changes no result. That is
//! why reading lines is enough, and why nothing of the code is executed or parsed as Python.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use model::Digest;

use crate::manifest::Start;

/// What is known of the code of functions.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// Packages that some template has imported and functions may import.
    packages: BTreeSet<String>,
    /// Modules that those templates have imported, by the first part of their names.
    imported: BTreeSet<String>,
    /// Of code that imports one at least and brings none of `imported`: which.
    known: RwLock<HashMap<Digest, Vec<String>>>,
    /// Of what lies in `/opt`: what brings none of `imported` to where modules are looked for.
    harmless: RwLock<HashSet<Digest>>,
}

/// Files of one package that are looked at, and their bytes: more than the code of people's own, less
/// than what they bring along may be.
const FILES: u32 = 2_000;
const BYTES: u64 = 16 << 20;

// === impl Looks ===

impl Looks {
    /// Looks for what the heavy templates among `starts` have imported.
    pub(crate) fn new<'s>(starts: impl IntoIterator<Item = &'s Start>) -> Self {
        let mut looks = Self::default();
        for start in starts.into_iter().filter(|start| start.heavy.is_some()) {
            looks.packages.extend(start.packages.iter().cloned());
            let all = start.preimport.iter().chain(&start.packages);
            looks.imported.extend(all.map(|name| first(name).to_owned()));
        }
        looks
    }

    /// Looks at code whose files lie in `tree`. Nothing to do where there is no choice.
    ///
    /// # Errors
    /// If a file or directory cannot be read; the code is then one that imports nothing.
    pub(crate) fn learn(&self, code: Digest, tree: &Path) -> io::Result<()> {
        if self.packages.is_empty() {
            return Ok(());
        }
        let imports = self.look(tree)?;
        if !imports.is_empty() {
            self.known.write().unwrap_or_else(PoisonError::into_inner).insert(code, imports);
        }
        Ok(())
    }

    /// Looks at layers whose files lie in `tree`, merged as in `/opt`. Nothing to do where there is no
    /// choice.
    ///
    /// # Errors
    /// If a directory cannot be read; the layers are then taken for some that bring anything.
    pub(crate) fn learn_layers(&self, layers: Digest, tree: &Path) -> io::Result<()> {
        if self.packages.is_empty() {
            return Ok(());
        }
        if !self.is_shadowed(&tree.join("python"))? {
            self.harmless.write().unwrap_or_else(PoisonError::into_inner).insert(layers);
        }
        Ok(())
    }

    /// Forgets code and layers that are deleted.
    pub(crate) fn forget(&self, package: Digest) {
        if !self.packages.is_empty() {
            self.known.write().unwrap_or_else(PoisonError::into_inner).remove(&package);
            self.harmless.write().unwrap_or_else(PoisonError::into_inner).remove(&package);
        }
    }

    /// Whether layers bring nothing in the way of what is imported already; unknown ones might.
    pub(crate) fn are_harmless(&self, layers: Digest) -> bool {
        self.harmless.read().unwrap_or_else(PoisonError::into_inner).contains(&layers)
    }

    /// Whether some code imports one of `packages`.
    pub(crate) fn imports(&self, code: Digest, packages: &[String]) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&code).is_some_and(|found| found.iter().any(|it| packages.contains(it)))
    }

    /// Whether `python`, or a `python/lib/python3.x/site-packages` of any version, has a module of a name
    /// that is imported already.
    fn is_shadowed(&self, python: &Path) -> io::Result<bool> {
        let mut places = vec![python.to_owned()];
        for version in entries(&python.join("lib"))? {
            places.push(version?.path().join("site-packages"));
        }
        for place in places {
            for entry in entries(&place)? {
                if self.imported.contains(first(&entry?.file_name().to_string_lossy())) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn look(&self, tree: &Path) -> io::Result<Vec<String>> {
        let mut found = BTreeSet::new();
        let (mut files, mut bytes) = (0, 0);
        let mut open = vec![tree.to_owned()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory)? {
                let entry = entry?;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let module = first(&name);
                if directory == tree && self.imported.contains(module) {
                    return Ok(Vec::new());
                }
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    open.push(entry.path());
                } else if kind.is_file() && name.ends_with(".py") && files < FILES && bytes < BYTES
                {
                    let text = read(&entry.path(), BYTES - bytes)?;
                    (files, bytes) = (files + 1, bytes + text.len() as u64);
                    let text = String::from_utf8_lossy(&text);
                    let names = imported(&text).filter(|name| self.packages.contains(*name));
                    found.extend(names.map(str::to_owned));
                }
            }
        }
        Ok(found.into_iter().collect())
    }
}

/// What is in a directory; nothing in what is none.
fn entries(directory: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(err)
            if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None.into_iter().flatten())
        }
        Err(err) => Err(err),
    }
}

fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // What was unpacked has no links that lead elsewhere; this says that none is followed.
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(path)?;
    let mut text = Vec::new();
    file.take(limit).read_to_end(&mut text)?;
    Ok(text)
}

/// What the import statements of a text name, by the first parts of their names.
fn imported(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| {
        let (word, rest) = line.trim_start().split_once([' ', '\t']).unwrap_or_default();
        let several = match word {
            "import" => rest,
            "from" => rest.split(" import").next().unwrap_or_default(),
            _ => "",
        };
        several.split(',').map(|name| first(name.trim()))
    })
}

/// `numpy.random as random` → `numpy`, `numpy.py` → `numpy`.
fn first(name: &str) -> &str {
    let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
    &name[..end]
}

#[cfg(test)]
mod tests;
