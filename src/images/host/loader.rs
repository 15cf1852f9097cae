//! Finds the libraries that a program needs, as the dynamic loader of this server would.
//!
//! The order is the loader's: the object's own search path, what `/etc/ld.so.conf` adds, the default
//! directories. Asking the loader itself (`ldd`) would mean executing what is only to be copied, and
//! costs a process for each of a hundred objects at every start.
//!
//! Where a library is found decides where it goes. In the image there is no `ld.so.conf`: what was
//! found through it moves to the directory of the C library, where every loader looks.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::host::elf::{self, ElfError, Object};

/// Answers for one server; remembers every object it has read.
#[derive(Debug)]
pub(crate) struct Loader {
    /// By `ld.so.conf`, in its order.
    configured: Vec<PathBuf>,
    /// Searched by every loader; without symbolic links.
    defaults: Vec<PathBuf>,
    objects: HashMap<PathBuf, Option<Object>>,
    /// What objects without a search path of their own find, by name and machine.
    found: HashMap<(String, u16), Option<Library>>,
}

/// A library, found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Library {
    /// What it is asked for as.
    pub(crate) name: String,
    /// The directory it was found in, without symbolic links.
    pub(crate) directory: PathBuf,
    /// The file itself, without symbolic links.
    pub(crate) source: PathBuf,
    /// How it was found.
    pub(crate) how: How,
}

/// How a library was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    /// In a directory that every loader searches, or named by its whole path.
    Default,
    /// Through the object's own search path, relative to where the object is.
    Origin,
    /// Through an absolute directory in the object's own search path.
    Absolute,
    /// Through this server's configuration.
    Configured,
}

/// Everything an object needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Closure {
    /// The loader it names, if it is a program.
    pub(crate) interpreter: Option<PathBuf>,
    /// All libraries, also those that libraries need.
    pub(crate) libraries: Vec<Library>,
}

/// Why an object's needs cannot be met.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unmet {
    #[error("{} needs {name}, which is not on this server", object.display())]
    Missing { object: PathBuf, name: String },
    #[error(transparent)]
    Elf(#[from] ElfError),
}

/// `include` within `include`, at most this deep: the loader's own files have one level.
const MAX_INCLUDES: usize = 4;

// === impl Loader ===

impl Loader {
    /// Reads this server's configuration, as far as it has one.
    pub(crate) fn of_this_server() -> Self {
        let mut configured = Vec::new();
        read_configuration(Path::new("/etc/ld.so.conf"), MAX_INCLUDES, &mut configured);
        let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
        // What glibc is built with: the multiarch directories on Debian, the others everywhere.
        let defaults = [
            Path::new("/lib").join(&triplet),
            Path::new("/usr/lib").join(&triplet),
            PathBuf::from("/lib64"),
            PathBuf::from("/usr/lib64"),
            PathBuf::from("/lib"),
            PathBuf::from("/usr/lib"),
        ];
        let defaults = defaults.iter().filter_map(|it| it.canonicalize().ok()).collect();
        Self { configured, defaults, objects: HashMap::new(), found: HashMap::new() }
    }

    /// Everything the object at `path` needs; `None` where it is not an object.
    ///
    /// # Errors
    /// [`Unmet`].
    pub(crate) fn closure(&mut self, path: &Path) -> Result<Option<Closure>, Unmet> {
        let Some(object) = self.object(path)? else {
            return Ok(None);
        };
        let mut closure =
            Closure { interpreter: object.interpreter.clone(), libraries: Vec::new() };
        let mut waiting = vec![(path.to_owned(), object)];
        while let Some((asking, object)) = waiting.pop() {
            for name in &object.needed {
                // One name is loaded once, whoever asks for it.
                if closure.libraries.iter().any(|it| it.name == *name) {
                    continue;
                }
                let found = self.find(name, &asking, &object)?;
                let library = found
                    .ok_or_else(|| Unmet::Missing { object: asking.clone(), name: name.clone() })?;
                if let Some(next) = self.object(&library.source)? {
                    waiting.push((library.source.clone(), next));
                }
                closure.libraries.push(library);
            }
        }
        Ok(Some(closure))
    }

    /// Looks for a library that is loaded by name at run time, by an object of this machine.
    ///
    /// # Errors
    /// [`Unmet::Elf`].
    pub(crate) fn named(&mut self, name: &str, machine: u16) -> Result<Option<Library>, Unmet> {
        let object = Object { machine, ..Object::default() };
        self.find(name, Path::new("/"), &object)
    }

    /// Reads an object, once.
    ///
    /// # Errors
    /// [`ElfError`].
    pub(crate) fn object(&mut self, path: &Path) -> Result<Option<Object>, ElfError> {
        if let Some(known) = self.objects.get(path) {
            return Ok(known.clone());
        }
        let object = elf::read(path)?;
        self.objects.insert(path.to_owned(), object.clone());
        Ok(object)
    }

    fn find(
        &mut self,
        name: &str,
        asking: &Path,
        object: &Object,
    ) -> Result<Option<Library>, Unmet> {
        if name.contains('/') {
            return self.look(Path::new(name), name, object.machine, How::Default);
        }
        let origin = asking.parent().unwrap_or(Path::new("/"));
        for directory in &object.search {
            let how = if directory.contains("ORIGIN") { How::Origin } else { How::Absolute };
            let origin = origin.to_string_lossy();
            let directory = directory.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin);
            let path = Path::new(&directory).join(name);
            if let Some(found) = self.look(&path, name, object.machine, how)? {
                return Ok(Some(found));
            }
        }
        let key = (name.to_owned(), object.machine);
        if let Some(known) = self.found.get(&key) {
            return Ok(known.clone());
        }
        let mut found = None;
        for directory in [self.configured.clone(), self.defaults.clone()].concat() {
            found = self.look(&directory.join(name), name, object.machine, How::Configured)?;
            if let Some(library) = &mut found {
                if self.defaults.contains(&library.directory) {
                    library.how = How::Default;
                }
                break;
            }
        }
        self.found.insert(key, found.clone());
        Ok(found)
    }

    fn look(
        &mut self,
        path: &Path,
        name: &str,
        machine: u16,
        how: How,
    ) -> Result<Option<Library>, Unmet> {
        let Ok(source) = path.canonicalize() else {
            return Ok(None);
        };
        let Some(directory) = path.parent().and_then(|it| it.canonicalize().ok()) else {
            return Ok(None);
        };
        // A linker script (`libc.so`) or a library for another machine is passed over, as the
        // loader does.
        match self.object(&source)? {
            Some(found) if found.machine == machine => {
                Ok(Some(Library { name: name.to_owned(), directory, source, how }))
            }
            _ => Ok(None),
        }
    }
}

// What cannot be read adds nothing: a server without the file is an ordinary one.
fn read_configuration(path: &Path, depth: usize, out: &mut Vec<PathBuf>) {
    let Ok(text) = fs::read_to_string(path) else {
        return;
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or("").trim();
        if let Some(pattern) = line.strip_prefix("include ") {
            if depth > 0 {
                for file in matches(Path::new(pattern.trim())) {
                    read_configuration(&file, depth - 1, out);
                }
            }
        } else if line.starts_with('/') {
            out.push(PathBuf::from(line));
        }
    }
}

// `/etc/ld.so.conf.d/*.conf`: a star in the last component, which is the one form in use.
fn matches(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().and_then(|it| it.to_str()).unwrap_or("");
    let Some((before, after)) = name.split_once('*') else {
        return vec![pattern.to_owned()];
    };
    let Some(listing) = pattern.parent().and_then(|it| fs::read_dir(it).ok()) else {
        return Vec::new();
    };
    let mut out: Vec<_> = listing
        .flatten()
        .filter(|it| {
            let name = it.file_name();
            let name = name.to_string_lossy();
            name.len() >= before.len() + after.len()
                && name.starts_with(before)
                && name.ends_with(after)
        })
        .map(|it| it.path())
        .collect();
    out.sort();
    out
}
