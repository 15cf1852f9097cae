//! Looks at the server and plans its image.
//!
//! Nothing is executed and only the heads of programs and libraries are read: this happens at every
//! start. What an interpreter says its version is, is asked when the image is made.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use crate::host::HostError;
use crate::host::loader::{Closure, How, Library, Loader};
use crate::host::plan::{self, Item, Plan, Source, between};
use crate::host::recipe::{PYTHON, Recipe};
use crate::identifier::{Identifier, Language, RuntimePath};

/// A server, looked at.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) plan: Plan,
    pub(crate) interpreters: Vec<Interpreter>,
    /// What is not in the plan for want of a library, and which.
    pub(crate) left_out: Vec<String>,
}

/// An interpreter that will be in the image.
#[derive(Debug)]
pub(crate) struct Interpreter {
    pub(crate) language: Language,
    /// What it has to be: named by the operator, or by its own file name. A Node found on the server
    /// is whatever it says it is.
    pub(crate) expected: Option<Identifier>,
    /// By the operator; otherwise it was found.
    pub(crate) named: bool,
    /// On the server.
    pub(crate) source: PathBuf,
    /// In the image, absolute.
    pub(crate) program: PathBuf,
    /// Files of its standard library, in the image.
    pub(crate) modules: Vec<(PathBuf, Source)>,
    /// Of the packages that were added to it, those a template may import.
    pub(crate) packages: Vec<String>,
}

/// Where interpreters go that are not in `/usr`.
const ELSEWHERE: &str = "/usr/lib/runtimes";

/// Plans the image that `recipe` and the operator's `paths` and `packages` make of this server.
///
/// # Errors
/// [`HostError`], for an interpreter or packages named by the operator that cannot be copied, and for
/// what is there but cannot be looked at.
pub(crate) fn survey(
    recipe: &Recipe,
    paths: &[RuntimePath],
    packages: Option<&Path>,
) -> Result<Survey, HostError> {
    let mut surveyor = Surveyor {
        recipe,
        plan: Plan::default(),
        loader: Loader::of_this_server(),
        interpreters: Vec::new(),
        left_out: Vec::new(),
        moved: Vec::new(),
        library_directory: PathBuf::from("/usr/lib"),
        machine: 0,
    };
    surveyor.learn_machine()?;
    surveyor.ours()?;
    let taken: BTreeSet<_> = paths.iter().map(|it| it.identifier).collect();
    surveyor.pythons(&taken)?;
    surveyor.node()?;
    for path in paths {
        surveyor.named(path)?;
    }
    if let Some(packages) = packages {
        surveyor.packages(packages)?;
    }
    surveyor.programs()?;
    surveyor.libraries()?;
    let Surveyor { plan, interpreters, left_out, .. } = surveyor;
    Ok(Survey { plan, interpreters, left_out })
}

// === Surveyor ===

struct Surveyor<'r> {
    recipe: &'r Recipe,
    plan: Plan,
    loader: Loader,
    interpreters: Vec<Interpreter>,
    left_out: Vec<String>,
    /// Prefixes of interpreters that lie elsewhere in the image than on the server.
    moved: Vec<(PathBuf, PathBuf)>,
    /// Where the C library is; every loader looks there.
    library_directory: PathBuf,
    machine: u16,
}

impl Surveyor<'_> {
    // Libraries loaded by name have to be for the machine that we are a program of.
    fn learn_machine(&mut self) -> Result<(), HostError> {
        let own = Path::new("/proc/self/exe").canonicalize().unwrap_or_default();
        if let Some(object) = self.loader.object(&own).ok().flatten() {
            self.machine = object.machine;
        }
        if let Some(libc) = self.loader.named("libc.so.6", self.machine)? {
            self.library_directory = libc.directory;
        }
        Ok(())
    }

    fn ours(&mut self) -> Result<(), HostError> {
        for (path, target) in &self.recipe.links {
            self.plan.add(path, Item::Link(target.clone()));
        }
        for path in &self.recipe.directories.empty {
            self.plan.add(path, Item::Directory);
        }
        for (path, text) in &self.recipe.files {
            self.plan.add(path, Item::Text(text.trim_start().to_owned()));
        }
        for copied in &self.recipe.copy {
            match copied.from.iter().find(|it| it.exists()) {
                Some(from) if from.is_dir() => {
                    self.plan.add_tree(&copied.to, from, &copied.exclude)?;
                }
                Some(from) => {
                    self.plan.add_file(&copied.to, from)?;
                }
                None => {
                    if let Some(target) = &copied.otherwise {
                        self.plan.add(&copied.to, Item::Link(target.clone()));
                    }
                }
            }
        }
        Ok(())
    }

    fn pythons(&mut self, taken: &BTreeSet<Identifier>) -> Result<(), HostError> {
        let mut seen = taken.clone();
        for directory in &self.recipe.python.directories {
            // A directory that is not there has no interpreters.
            let Ok(listing) = fs::read_dir(directory) else { continue };
            let mut names: Vec<_> =
                listing.flatten().filter_map(|it| it.file_name().into_string().ok()).collect();
            names.sort();
            for name in names {
                let Some(identifier) = Identifier::parse(&name) else { continue };
                if seen.contains(&identifier) {
                    continue;
                }
                let path = directory.join(&name);
                match self.interpreter(&path, Some(identifier), Language::Python, None) {
                    Ok(()) => {
                        seen.insert(identifier);
                        let plain = directory.join("python3");
                        if plain.canonicalize().ok() == path.canonicalize().ok() {
                            self.plan.add(&plain, Item::Link(PathBuf::from(&name)));
                        }
                    }
                    Err(err) => self.leave_out(&path, &err),
                }
            }
        }
        Ok(())
    }

    fn node(&mut self) -> Result<(), HostError> {
        for path in self.recipe.node.paths.iter().filter(|it| it.exists()) {
            match self.interpreter(path, None, Language::Node, None) {
                Ok(()) => {
                    for tree in self.recipe.node.trees.iter().filter(|it| it.is_dir()) {
                        self.plan.add_tree(tree, tree, &[])?;
                    }
                    return Ok(());
                }
                Err(err) => self.leave_out(path, &err),
            }
        }
        Ok(())
    }

    // What the operator named is wanted: here nothing is left out quietly.
    fn named(&mut self, given: &RuntimePath) -> Result<(), HostError> {
        let home = Path::new(ELSEWHERE).join(given.identifier.to_string());
        let (language, expected) = (given.identifier.language, Some(given.identifier));
        self.interpreter(&given.path, expected, language, Some(&home))?;
        let Some(added) = self.interpreters.last() else { return Ok(()) };
        let name = match language {
            Language::Python => given.identifier.to_string(),
            Language::Node => "node".to_owned(),
        };
        // For scripts that call it by name, where the server has none of that name: its own is the
        // one that other programs of the server expect.
        if !self.plan.has(&Path::new("/usr/bin").join(&name)) {
            let directory = Path::new("/usr/local/bin");
            let link = Item::Link(between(directory, &added.program));
            self.plan.add(&directory.join(name), link);
        }
        Ok(())
    }

    /// Plans the interpreter at `path` and its standard library; under `home`, if that is given and
    /// the interpreter is not in `/usr`.
    fn interpreter(
        &mut self,
        path: &Path,
        expected: Option<Identifier>,
        language: Language,
        home: Option<&Path>,
    ) -> Result<(), HostError> {
        let look = |source| HostError::Read { path: path.to_owned(), source };
        let source = path.canonicalize().map_err(look)?;
        let closure = self.loader.closure(&source)?.ok_or_else(|| HostError::NotAProgram {
            path: path.to_owned(),
            script: source.clone(),
        })?;
        let bin = source.parent().unwrap_or(Path::new("/"));
        let prefix = bin.parent().unwrap_or(Path::new("/")).to_owned();
        let named = home.is_some();
        let home =
            home.filter(|_| prefix != Path::new("/usr") && prefix != Path::new("/usr/local"));
        let name = match (language, expected) {
            (Language::Python, Some(identifier)) => identifier.to_string(),
            _ => "node".to_owned(),
        };
        let program = match home {
            Some(home) => home.join("bin").join(&name),
            None => path.parent().unwrap_or(Path::new("/usr/bin")).join(&name),
        };
        let mut modules = Vec::new();
        if language == Language::Python {
            if let Some(home) = home {
                self.moved.push((prefix.clone(), home.to_owned()));
            }
            modules = self.standard_library(&prefix, &name, home.unwrap_or(&prefix))?;
        }
        self.plan.add_file(&program, &source)?;
        self.add_closure(&closure)?;
        let packages = Vec::new();
        let found = Interpreter { language, expected, named, source, program, modules, packages };
        self.interpreters.push(found);
        Ok(())
    }

    /// Plans a copy of installed packages for every Python.
    fn packages(&mut self, from: &Path) -> Result<(), HostError> {
        let look = |source| HostError::Look { path: from.to_owned(), source };
        let from = from.canonicalize().map_err(look)?;
        if !from.is_dir() {
            return Err(HostError::NoPackages { path: from });
        }
        let recipe = &self.recipe.python.packages;
        let has =
            |name: &&String| from.join(name).is_dir() || from.join(format!("{name}.py")).is_file();
        let packages: Vec<_> = recipe.preimport.iter().filter(has).cloned().collect();
        for at in 0..self.interpreters.len() {
            let interpreter = &self.interpreters[at];
            let (Language::Python, Some(identifier)) = (interpreter.language, interpreter.expected)
            else {
                continue;
            };
            let to = PathBuf::from(recipe.to.replace(PYTHON, &identifier.to_string()));
            self.moved.push((from.clone(), to.clone()));
            let files = self.plan.add_tree(&to, &from, &[])?;
            let modules = self.with_libraries(files)?;
            let interpreter = &mut self.interpreters[at];
            interpreter.modules.extend(modules);
            interpreter.packages.clone_from(&packages);
        }
        Ok(())
    }

    fn standard_library(
        &mut self,
        prefix: &Path,
        name: &str,
        home: &Path,
    ) -> Result<Vec<(PathBuf, Source)>, HostError> {
        let mut modules = Vec::new();
        // Fedora has the standard library in lib64 and only packages in lib.
        for library in ["lib", "lib64"] {
            let from = prefix.join(library).join(name);
            if from.join("os.py").is_file() {
                let to = home.join(library).join(name);
                modules = self.plan.add_tree(&to, &from, &self.recipe.python.exclude)?;
                break;
            }
        }
        if modules.is_empty() {
            let prefix = prefix.to_owned();
            return Err(HostError::NoStandardLibrary { prefix, name: name.to_owned() });
        }
        self.with_libraries(modules)
    }

    /// Plans what the libraries among `files` need, and leaves out those that need what is not there;
    /// the other files.
    fn with_libraries(
        &mut self,
        files: Vec<(PathBuf, Source)>,
    ) -> Result<Vec<(PathBuf, Source)>, HostError> {
        let (objects, others): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|(to, _)| is_library(to));
        for (to, source) in objects {
            match self.loader.closure(&source.path) {
                Ok(closure) => self.add_closure(&closure.unwrap_or_default())?,
                Err(unmet) => {
                    self.plan.remove(&to);
                    self.leave_out(&to, &unmet.into());
                }
            }
        }
        Ok(others)
    }

    fn programs(&mut self) -> Result<(), HostError> {
        // A program with many names (busybox, uutils) is copied once.
        let mut first: HashMap<PathBuf, PathBuf> = HashMap::new();
        let directories = &self.recipe.programs.directories;
        for name in &self.recipe.programs.names {
            let found = directories.iter().map(|it| it.join(name)).find(|it| it.is_file());
            let Some(path) = found else { continue };
            let to = Path::new("/usr/bin").join(name);
            let Ok(source) = path.canonicalize() else { continue };
            if let Some(first) = first.get(&source) {
                self.plan.add(&to, Item::Link(between(Path::new("/usr/bin"), first)));
                continue;
            }
            match self.loader.closure(&source) {
                Ok(closure) => {
                    self.plan.add_file(&to, &source)?;
                    self.add_closure(&closure.unwrap_or_default())?;
                    first.insert(source, to);
                }
                Err(unmet) => self.leave_out(&path, &unmet.into()),
            }
        }
        Ok(())
    }

    fn libraries(&mut self) -> Result<(), HostError> {
        for name in &self.recipe.libraries.names {
            let Some(library) = self.loader.named(name, self.machine)? else { continue };
            match self.loader.closure(&library.source) {
                Ok(closure) => {
                    let mut closure = closure.unwrap_or_default();
                    closure.libraries.push(library);
                    self.add_closure(&closure)?;
                }
                Err(unmet) => self.leave_out(&library.source, &unmet.into()),
            }
        }
        Ok(())
    }

    fn add_closure(&mut self, closure: &Closure) -> Result<(), HostError> {
        for library in &closure.libraries {
            let to = self.place(library);
            // Every program needs the C library: only the first brings it.
            if !self.plan.has(&to) {
                self.plan.add_file(&to, &library.source)?;
            }
        }
        match &closure.interpreter {
            Some(interpreter) if !self.plan.has(interpreter) => self.add_loader(interpreter),
            _ => Ok(()),
        }
    }

    // Programs name their loader by a path that is a link almost everywhere.
    fn add_loader(&mut self, path: &Path) -> Result<(), HostError> {
        let look = |source| HostError::Look { path: path.to_owned(), source };
        let real = path.canonicalize().map_err(look)?;
        self.plan.add_file(&real, &real)?;
        let (link, real) = (plan::merged(path), plan::merged(&real));
        if link != real {
            let base = link.parent().unwrap_or(Path::new("/"));
            self.plan.add(&link, Item::Link(between(base, &real)));
        }
        Ok(())
    }

    fn place(&self, library: &Library) -> PathBuf {
        let Library { name, directory, how, .. } = library;
        let leaf = Path::new(name).file_name().unwrap_or(name.as_ref());
        let stays = match how {
            How::Default => true,
            How::Configured => false,
            How::Absolute | How::Origin => directory.starts_with("/usr"),
        };
        if stays {
            return directory.join(leaf);
        }
        if *how == How::Origin {
            for (from, to) in &self.moved {
                if let Ok(rest) = directory.strip_prefix(from) {
                    return to.join(rest).join(leaf);
                }
            }
        }
        self.library_directory.join(leaf)
    }

    fn leave_out(&mut self, path: &Path, why: &HostError) {
        self.left_out.push(format!("{}: {why}", path.display()));
    }
}

// `_ssl.cpython-311-x86_64-linux-gnu.so`, `libpython3.11.so.1.0`.
fn is_library(path: &Path) -> bool {
    let name = path.file_name().map(|it| it.to_string_lossy()).unwrap_or_default();
    name.ends_with(".so") || name.contains(".so.")
}
