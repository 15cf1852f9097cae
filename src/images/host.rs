//! The `host` image: a copy of the server's own interpreters.
//!
//! ```text
//!   survey ──► digest ──► in the cache? ──yes──► the image           every start: look, do not read
//!                              │ no
//!                           lock ──► in the cache? ──yes──► the image   another daemon was quicker
//!                              │ no
//!                       copy, compile, sync, rename ──► the image
//! ```
//!
//! The image is named by what it would be a copy of, not by what is in it: deciding that the copy of
//! yesterday is still good takes a look at two thousand files and not the reading of 150 MB. What an
//! upgrade of the server changes, changes a size or a time.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::cache::{Cache, CacheError, Image};
use crate::environment;
use crate::host::elf::ElfError;
use crate::host::loader::Unmet;
use crate::host::plan::{Item, Unseen};
use crate::host::recipe::{BOOTSTRAP, Recipe};
use crate::host::survey::{Interpreter, Survey};
use crate::host::templates::Templates;
use crate::identifier::{Identifier, Language, RuntimePath};
use crate::manifest::{CUSTOM, Compiler, Kind, Manifest, Snapshot, Spare, Start};

mod build;
mod elf;
mod loader;
mod plan;
mod recipe;
mod survey;
mod templates;

/// The `host` image of this server, not yet made.
#[derive(Debug)]
pub struct HostImage {
    recipe: Recipe,
    survey: Survey,
    digest: model::Digest,
}

/// How far the making of an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Files copied.
    pub files_done: u64,
    /// Files to copy.
    pub files: u64,
    /// Bytes copied.
    pub bytes_done: u64,
    /// Bytes to copy.
    pub bytes: u64,
}

/// Why there is no `host` image.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The recipe is not one: a mistake in this program, found by its tests.
    #[error("the recipe of the host image is not valid")]
    Recipe(#[from] toml::de::Error),
    /// The cache is not usable.
    #[error("the image cache is not usable")]
    Cache(#[from] CacheError),
    /// Something on the server could not be looked at.
    #[error("could not look at {}", path.display())]
    Look {
        /// What.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file to be copied could not be read.
    #[error("could not read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// An interpreter that is a script around another.
    #[error(
        "{} is not a program but a script ({}); name the interpreter that it starts, as `pyenv which \
         python` or `readlink -f` prints it",
        path.display(),
        script.display()
    )]
    NotAProgram {
        /// As given.
        path: PathBuf,
        /// What it leads to.
        script: PathBuf,
    },
    /// An interpreter without its library.
    #[error("there is no standard library of {name} in {}", prefix.display())]
    NoStandardLibrary {
        /// Where it was looked for.
        prefix: PathBuf,
        /// Of which Python.
        name: String,
    },
    /// A library that a program needs is not there.
    #[error("{} needs {name}, which is not on this server", object.display())]
    MissingLibrary {
        /// Who needs it.
        object: PathBuf,
        /// What it asks for.
        name: String,
    },
    /// A program or library that the loader could not make sense of either.
    #[error("{} is a damaged program or library", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: object::read::Error,
    },
    /// An interpreter could not be run.
    #[error("could not run {}", path.display())]
    Run {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// An interpreter is of another version than it is to serve.
    #[error("{} is to be {expected}, but says that it is \"{printed}\"", path.display())]
    WrongVersion {
        /// Which.
        path: PathBuf,
        /// What it has to be.
        expected: String,
        /// What it printed for `--version`.
        printed: String,
    },
    /// What is to be copied as packages is no directory.
    #[error("python_packages names {}, which is not a directory", path.display())]
    NoPackages {
        /// As given.
        path: PathBuf,
    },
    /// More templates than an index counts.
    #[error("the interpreters named here need more than 256 templates")]
    TooManyTemplates,
    /// The bootstrap could not be compiled.
    #[error("{} could not compile its bootstrap", path.display())]
    Compile {
        /// Which interpreter.
        path: PathBuf,
    },
    /// A file of the server's was replaced while it was being copied.
    #[error("{} was changed while it was being copied; start again", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// A file of the image could not be written.
    #[error("could not write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Our side of a Python function, in the image.
const PYTHON_BOOTSTRAP: &str = "/var/runtime/bootstrap.py";
/// Our side of a Node function, in the image.
const NODE_BOOTSTRAP: &str = "/var/runtime/bootstrap.cjs";
/// What a template of a Python executes, in the image.
const PYTHON_TEMPLATE: &str = "/var/runtime/template.py";
/// What compiles the code of Python functions, in the image.
const PYTHON_COMPILER: &str = "/var/runtime/compile.py";
/// What compiles the code of Node functions, in the image.
const NODE_COMPILER: &str = "/var/runtime/compile.cjs";
/// What it forks with, in the image: see `build.rs`.
const PYTHON_FORK: &str = "/var/runtime/fork.so";
const FORK_LIBRARY: &[u8] = include_bytes!(env!("HEARTH_FORK_LIBRARY"));
/// What a snapshot is taken with, in the image.
const PYTHON_SNAPSHOT: &str = "/var/runtime/snapshot.so";
const SNAPSHOT_LIBRARY: &[u8] = include_bytes!(env!("HEARTH_SNAPSHOT_LIBRARY"));
/// What becomes what a snapshot was taken of, in the image.
const RESTORE: &str = "/var/runtime/restore";
/// Empty on processors it is not written for.
const RESTORE_PROGRAM: &[u8] = include_bytes!(env!("HEARTH_RESTORE_PROGRAM"));
/// Behind the arguments of a bootstrap: there is no function yet.
const SPARE: &str = "spare";
/// Behind them: the function is initialised for a snapshot.
const SNAPSHOT: &str = "snapshot";
/// What of ours is in every image: the bootstraps, and the functions they rehearse with.
const OURS: [(&str, &str); 11] = [
    (PYTHON_BOOTSTRAP, include_str!("../../runner/python/bootstrap.py")),
    (PYTHON_TEMPLATE, include_str!("../../runner/python/template.py")),
    (PYTHON_COMPILER, include_str!("../../runner/python/compile.py")),
    ("/var/runtime/snapshot.py", include_str!("../../runner/python/snapshot.py")),
    (
        "/var/runtime/snapshot_restore_py/__init__.py",
        include_str!("../../runner/python/snapshot_restore_py/__init__.py"),
    ),
    (NODE_BOOTSTRAP, include_str!("../../runner/node/bootstrap.cjs")),
    (NODE_COMPILER, include_str!("../../runner/node/compile.cjs")),
    ("/var/runtime/compiled.cjs", include_str!("../../runner/node/compiled.cjs")),
    (
        "/var/runtime/rehearsal/rehearsed.py",
        include_str!("../../runner/python/rehearsal/rehearsed.py"),
    ),
    ("/var/runtime/rehearsal/common.js", include_str!("../../runner/node/rehearsal/common.js")),
    ("/var/runtime/rehearsal/module.mjs", include_str!("../../runner/node/rehearsal/module.mjs")),
];
/// What decides, beside the server and the recipe, how an image turns out. Part of its digest, so
/// that a release that makes something else of the same server does not find the old image.
const MAKER: [&str; 7] = [
    include_str!("host.rs"),
    include_str!("host/build.rs"),
    include_str!("host/loader.rs"),
    include_str!("host/plan.rs"),
    include_str!("host/survey.rs"),
    include_str!("host/templates.rs"),
    include_str!("environment.rs"),
];

// === impl HostImage ===

impl HostImage {
    /// Looks at the server: which image would be made of it, with the interpreters that the operator
    /// named beside its own, and the directory of packages that every Python is to have.
    ///
    /// # Errors
    /// [`HostError`], for an interpreter in `paths` or a directory of packages that cannot be copied.
    pub fn survey(paths: &[RuntimePath], packages: Option<&Path>) -> Result<Self, HostError> {
        Self::from_recipe(recipe::TEXT, paths, packages)
    }

    fn from_recipe(
        text: &str,
        paths: &[RuntimePath],
        packages: Option<&Path>,
    ) -> Result<Self, HostError> {
        let recipe = Recipe::parse(text)?;
        let mut survey = survey::survey(&recipe, paths, packages)?;
        for (path, source) in OURS {
            survey.plan.add(Path::new(path), Item::Text(source.to_owned()));
        }
        survey.plan.add(Path::new(PYTHON_FORK), Item::Library(FORK_LIBRARY));
        survey.plan.add(Path::new(PYTHON_SNAPSHOT), Item::Library(SNAPSHOT_LIBRARY));
        if !RESTORE_PROGRAM.is_empty() {
            survey.plan.add(Path::new(RESTORE), Item::Program(RESTORE_PROGRAM));
        }
        // Who serves what is decided by the operator's identifiers as well as by the files.
        let wanted: Vec<_> = survey
            .interpreters
            .iter()
            .map(|it| format!("{:?} {:?} {}", it.language, it.expected, it.program.display()))
            .collect();
        let mut more = vec![text, recipe::COMPILE];
        more.extend(MAKER);
        more.extend(wanted.iter().map(String::as_str));
        let digest = survey.plan.digest(&more);
        Ok(Self { recipe, survey, digest })
    }

    /// What the image is called, whether or not it has been made.
    pub fn digest(&self) -> model::Digest {
        self.digest
    }

    /// The interpreters it will hold, as they answer now: identifier, whole version, and where each
    /// lies on the server. One that does not answer is left out.
    pub fn interpreters(&self) -> Vec<(Identifier, String, &Path)> {
        let answer = |interpreter: &Interpreter| build::version(interpreter).ok();
        let all = self.survey.interpreters.iter();
        all.filter_map(|it| answer(it).map(|(id, version)| (id, version, it.source.as_path())))
            .collect()
    }

    /// What of the recipe will not be in the image although the server has it, and why.
    pub fn left_out(&self) -> &[String] {
        &self.survey.left_out
    }

    /// The image, if it is there already.
    ///
    /// # Errors
    /// [`HostError::Cache`].
    pub fn find(&self, cache: &Cache) -> Result<Option<Image>, HostError> {
        Ok(cache.load(self.digest)?)
    }

    /// The image; made, where it is not there. Of several daemons that want it one makes it.
    ///
    /// `progress` is called for every file, if there is anything to do.
    ///
    /// # Errors
    /// [`HostError`]; nothing half made is ever found under the image's name.
    pub fn ensure(
        &self,
        cache: &Cache,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Image, HostError> {
        if let Some(image) = self.find(cache)? {
            return Ok(image);
        }
        let lock = cache.lock()?;
        if let Some(image) = self.find(cache)? {
            return Ok(image);
        }
        // Before anything is copied: an interpreter that is not what it should be is found at once.
        let mut left_out = self.survey.left_out.clone();
        let mut versions = Vec::new();
        for interpreter in &self.survey.interpreters {
            versions.push(wanted(interpreter, build::version(interpreter), &mut left_out)?);
        }
        let aside = cache.begin(&lock, self.digest)?;
        let made = self.make(&aside, &versions, left_out, progress);
        let image = made.and_then(|manifest| Ok(cache.publish(&lock, &aside, manifest)?));
        if image.is_err() {
            // The first error is the one to report; what stays behind goes when the next image is
            // made.
            let _ = std::fs::remove_dir_all(&aside);
        }
        image
    }

    fn make(
        &self,
        aside: &Path,
        versions: &[Option<(Identifier, String)>],
        mut left_out: Vec<String>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Manifest, HostError> {
        let tree = aside.join("tree");
        build::make_root(&tree)?;
        build::write(&self.survey.plan, &tree, progress)?;
        let mut runtimes = BTreeMap::from(CUSTOM.map(|name| (name.to_owned(), Start::custom())));
        let mut templates = Templates::new(&tree)?;
        for (interpreter, version) in self.survey.interpreters.iter().zip(versions) {
            let Some((identifier, version)) = version else { continue };
            let start =
                self.start(interpreter, *identifier, version.clone(), &tree, &mut templates);
            // The operator's come last, and replace the server's own.
            if let Some(start) = wanted(interpreter, start, &mut left_out)? {
                runtimes.insert(identifier.to_string(), start);
            }
        }
        let (files, bytes) = self.survey.plan.size();
        let recipe = "host".to_owned();
        Ok(Manifest { digest: self.digest, recipe, runtimes, files, bytes, left_out })
    }

    fn start(
        &self,
        interpreter: &Interpreter,
        identifier: Identifier,
        version: String,
        tree: &Path,
        templates: &mut Templates,
    ) -> Result<Start, HostError> {
        let recipe = &self.recipe;
        let (arguments, bootstrap) = match interpreter.language {
            Language::Python => {
                let source = Path::new(PYTHON_BOOTSTRAP);
                let compiled = build::compile(&self.survey.plan, tree, interpreter, source)?;
                (&recipe.python.arguments, compiled)
            }
            Language::Node => (&recipe.node.arguments, PathBuf::from(NODE_BOOTSTRAP)),
        };
        let argv = |script: &Path| -> Vec<String> {
            let script = script.display().to_string();
            let program = interpreter.program.display().to_string();
            let arguments = arguments.iter().map(|it| it.replace(BOOTSTRAP, &script));
            std::iter::once(program).chain(arguments).collect()
        };
        let kind = Kind::from(interpreter.language);
        let mut spare = argv(&bootstrap);
        spare.push(SPARE.to_owned());
        let spare = Spare { argv: spare, env: environment::entries(kind, identifier) };
        let mut start = Start::executed(kind, argv(&bootstrap));
        start.version = Some(version);
        if kind == Kind::Node {
            let argv = argv(Path::new(NODE_COMPILER));
            start.compiler = Some(Compiler { argv, env: Vec::new() });
        }
        if kind == Kind::Python {
            // With a fixed seed the same code compiles to the same bytes.
            let env = vec!["PYTHONHASHSEED=0".to_owned()];
            start.compiler = Some(Compiler { argv: argv(Path::new(PYTHON_COMPILER)), env });
            start.snapshot = (!RESTORE_PROGRAM.is_empty()).then(|| {
                let mut take = argv(&bootstrap);
                take.push(SNAPSHOT.to_owned());
                Snapshot { take, restore: RESTORE.to_owned() }
            });
            let (mut argv, mut env) = (argv(Path::new(PYTHON_TEMPLATE)), spare.env.clone());
            argv.extend(recipe.python.preimport.iter().cloned());
            start.preimport.clone_from(&recipe.python.preimport);
            start.template = Some(templates.write(&argv, &env)?);
            if !interpreter.packages.is_empty() {
                argv.extend(interpreter.packages.iter().cloned());
                let more = &recipe.python.packages.environment;
                env.extend(more.iter().map(|(name, value)| format!("{name}={value}")));
                start.heavy = Some(templates.write(&argv, &env)?);
                start.packages.clone_from(&interpreter.packages);
            }
        }
        start.spare = Some(spare);
        Ok(start)
    }
}

// What the operator named has to work; of what was merely found, what does not is left out.
fn wanted<T>(
    interpreter: &Interpreter,
    result: Result<T, HostError>,
    left_out: &mut Vec<String>,
) -> Result<Option<T>, HostError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(err) if interpreter.named => Err(err),
        Err(err) => {
            left_out.push(format!("{}: {err}", interpreter.source.display()));
            Ok(None)
        }
    }
}

impl From<ElfError> for HostError {
    fn from(err: ElfError) -> Self {
        match err {
            ElfError::Read { path, source } => Self::Read { path, source },
            ElfError::Damaged { path, source } => Self::Damaged { path, source },
        }
    }
}

impl From<Unmet> for HostError {
    fn from(unmet: Unmet) -> Self {
        match unmet {
            Unmet::Missing { object, name } => Self::MissingLibrary { object, name },
            Unmet::Elf(err) => err.into(),
        }
    }
}

impl From<Unseen> for HostError {
    fn from(Unseen { path, source }: Unseen) -> Self {
        Self::Look { path, source }
    }
}

#[cfg(test)]
mod tests;
