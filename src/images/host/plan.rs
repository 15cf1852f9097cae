//! What an image will consist of: every path in it, and where its contents come from.
//!
//! A plan is made by looking, never by reading contents, so making one is how a start finds out
//! which image it wants: the digest is taken over the plan. The paths are sorted; a directory comes
//! before what lies in it.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use model::Digest;
use sha2::{Digest as _, Sha256};

use crate::host::recipe::Pattern;

/// Paths (relative to the image's root) and what will be there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    items: BTreeMap<PathBuf, Item>,
}

/// What will be at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// Nothing but what is planned beneath it.
    Directory,
    /// A copy.
    File(Source),
    /// A text of ours.
    Text(String),
    /// A library of ours.
    Library(&'static [u8]),
    /// A program of ours.
    Program(&'static [u8]),
    /// A symbolic link.
    Link(PathBuf),
}

/// A file of the server's, as it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Without symbolic links.
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    /// Seconds and nanoseconds: compiled Python is valid only as long as its source keeps them.
    pub(crate) modified: (i64, i64),
    pub(crate) executable: bool,
}

/// Why something could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("could not look at {}", path.display())]
pub(crate) struct Unseen {
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

// === impl Plan ===

impl Plan {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Path, &Item)> {
        self.items.iter().map(|(path, item)| (path.as_path(), item))
    }

    pub(crate) fn get(&self, path: &Path) -> Option<&Item> {
        self.items.get(path)
    }

    /// Whether something is planned at `path`, absolute as on the server.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.items.contains_key(&merged(path))
    }

    /// Files to be copied and their bytes together.
    pub(crate) fn size(&self) -> (u64, u64) {
        self.items.values().fold((0, 0), |(files, bytes), item| match item {
            Item::File(source) => (files + 1, bytes + source.size),
            Item::Text(text) => (files + 1, bytes + text.len() as u64),
            Item::Library(ours) | Item::Program(ours) => (files + 1, bytes + ours.len() as u64),
            Item::Directory | Item::Link(_) => (files, bytes),
        })
    }

    /// Plans `item` at `path`; what was planned there first stays.
    pub(crate) fn add(&mut self, path: &Path, item: Item) {
        let path = merged(path);
        if let Some(parent) = path.parent().filter(|it| !it.as_os_str().is_empty())
            && !self.items.contains_key(parent)
        {
            self.add(parent, Item::Directory);
        }
        self.items.entry(path).or_insert(item);
    }

    /// Takes back what was planned at `path`.
    pub(crate) fn remove(&mut self, path: &Path) {
        self.items.remove(&merged(path));
    }

    /// Plans a copy of the file that `from` leads to.
    pub(crate) fn add_file(&mut self, to: &Path, from: &Path) -> Result<Source, Unseen> {
        let unseen = |source| Unseen { path: from.to_owned(), source };
        let path = from.canonicalize().map_err(unseen)?;
        let found = fs::metadata(&path).map_err(unseen)?;
        let source = Source::new(path, &found).map_err(unseen)?;
        self.add(to, Item::File(source.clone()));
        Ok(source)
    }

    /// Plans a copy of the tree at `from`, and returns its files.
    ///
    /// Links within the tree stay links; links to files elsewhere become copies; links to
    /// directories elsewhere, and what is neither file, directory nor link, are not copied.
    pub(crate) fn add_tree(
        &mut self,
        to: &Path,
        from: &Path,
        exclude: &[Pattern],
    ) -> Result<Vec<(PathBuf, Source)>, Unseen> {
        let unseen = |source| Unseen { path: from.to_owned(), source };
        let root = from.canonicalize().map_err(unseen)?;
        let mut files = Vec::new();
        self.add(to, Item::Directory);
        let mut waiting = vec![(root.clone(), to.to_owned())];
        while let Some((from, to)) = waiting.pop() {
            let unseen = |source| Unseen { path: from.clone(), source };
            for entry in fs::read_dir(&from).map_err(unseen)? {
                let entry = entry.map_err(unseen)?;
                let (from, to) = (entry.path(), to.join(entry.file_name()));
                let unseen = |source| Unseen { path: from.clone(), source };
                let name = entry.file_name();
                let path = from.strip_prefix(&root).unwrap_or(&from).to_string_lossy();
                if exclude.iter().any(|it| it.matches(&name.to_string_lossy(), &path)) {
                    continue;
                }
                let found = entry.metadata().map_err(unseen)?;
                if found.is_dir() {
                    self.add(&to, Item::Directory);
                    waiting.push((from, to));
                } else if found.is_file() {
                    let source = Source::new(from.clone(), &found).map_err(unseen)?;
                    self.add(&to, Item::File(source.clone()));
                    files.push((to, source));
                } else if found.is_symlink() {
                    let Ok(target) = from.canonicalize() else { continue };
                    if target.starts_with(&root) {
                        let text = fs::read_link(&from).map_err(unseen)?;
                        self.add(&to, Item::Link(kept(&text, &from, &target)));
                    } else if target.is_file() {
                        let source = self.add_file(&to, &target)?;
                        files.push((to, source));
                    }
                }
            }
        }
        Ok(files)
    }

    /// Names the image that this plan, and `more` (whatever else decides), would make.
    pub(crate) fn digest(&self, more: &[&str]) -> Digest {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            // Each with its length: no two plans have the same bytes.
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        more.iter().for_each(|text| field(text.as_bytes()));
        for (path, item) in &self.items {
            field(path.as_os_str().as_bytes());
            match item {
                Item::Directory => field(b"directory"),
                Item::Text(text) => {
                    field(b"text");
                    field(text.as_bytes());
                }
                Item::Library(library) => {
                    field(b"library");
                    field(library);
                }
                Item::Program(program) => {
                    field(b"program");
                    field(program);
                }
                Item::Link(target) => {
                    field(b"link");
                    field(target.as_os_str().as_bytes());
                }
                Item::File(source) => {
                    field(b"file");
                    field(source.path.as_os_str().as_bytes());
                    field(&source.size.to_le_bytes());
                    field(&source.modified.0.to_le_bytes());
                    field(&source.modified.1.to_le_bytes());
                    field(&[u8::from(source.executable)]);
                }
            }
        }
        Digest(hash.finalize().into())
    }
}

// === impl Source ===

impl Source {
    /// What `found`, the metadata of `path`, says about a file.
    pub(crate) fn new(path: PathBuf, found: &Metadata) -> io::Result<Self> {
        if !found.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(Self {
            path,
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            executable: found.mode() & 0o111 != 0,
        })
    }
}

/// Where in the image a path of the server's lies, from its root: every tree has a merged `/usr`, so
/// what the server may have in `/bin` or `/lib` lies in `/usr` here.
pub(crate) fn merged(path: &Path) -> PathBuf {
    let parts: PathBuf =
        path.components().filter(|it| matches!(it, Component::Normal(_))).collect();
    let moves = ["bin", "sbin", "lib", "lib64"].iter().any(|it| parts.starts_with(it));
    if moves && parts.components().count() > 1 { Path::new("usr").join(parts) } else { parts }
}

// A link within a tree is kept as it is written, if what is written is relative; an absolute one is
// written anew, because the tree may lie elsewhere in the image.
fn kept(text: &Path, from: &Path, target: &Path) -> PathBuf {
    if text.is_relative() {
        return text.to_owned();
    }
    let base = from.parent().unwrap_or(Path::new("/"));
    between(base, target)
}

/// The relative path that leads from the directory `from` to `to`.
pub(crate) fn between(from: &Path, to: &Path) -> PathBuf {
    let (from, to): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(Component::ParentDir, from.len() - shared);
    up.chain(to[shared..].iter().copied()).collect()
}

#[cfg(test)]
mod tests;
