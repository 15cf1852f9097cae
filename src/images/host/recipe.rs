//! The recipe of the `host` image, as `rootfs/host.toml` has it.
//!
//! Data, so that what is in an image can be read without reading code; embedded, so that the one
//! executable needs no file beside it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// The whole recipe.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    pub(crate) python: Python,
    pub(crate) node: Node,
    pub(crate) programs: Programs,
    pub(crate) libraries: Libraries,
    pub(crate) copy: Vec<Copied>,
    /// Path in the image → target, as it is written into the link.
    pub(crate) links: BTreeMap<PathBuf, PathBuf>,
    pub(crate) directories: Directories,
    /// Path in the image → text.
    pub(crate) files: BTreeMap<PathBuf, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Python {
    pub(crate) directories: Vec<PathBuf>,
    pub(crate) arguments: Vec<String>,
    pub(crate) preimport: Vec<String>,
    pub(crate) packages: Packages,
    pub(crate) exclude: Vec<Pattern>,
}

/// Packages that the operator adds for every function of a Python.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Packages {
    pub(crate) to: String,
    pub(crate) preimport: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node {
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) arguments: Vec<String>,
    pub(crate) trees: Vec<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Programs {
    pub(crate) directories: Vec<PathBuf>,
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Libraries {
    pub(crate) names: Vec<String>,
}

/// A file or tree of the server's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Copied {
    pub(crate) to: PathBuf,
    pub(crate) from: Vec<PathBuf>,
    #[serde(default)]
    pub(crate) exclude: Vec<Pattern>,
    #[serde(default)]
    pub(crate) otherwise: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Directories {
    pub(crate) empty: Vec<PathBuf>,
}

/// What is left out of a tree: a name anywhere in it, or, with a slash, a path from its root; one
/// star at either end stands for anything.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Pattern(String);

/// The recipe's text: part of an image's digest.
pub(crate) const TEXT: &str = include_str!("../../../rootfs/host.toml");
/// Compiles Python modules while an image is made.
pub(crate) const COMPILE: &str = include_str!("../../../rootfs/compile.py");
/// Stands in `arguments` for the path of the bootstrap in the image.
pub(crate) const BOOTSTRAP: &str = "{bootstrap}";
/// Stands in `packages.to` for the identifier of the Python they are for.
pub(crate) const PYTHON: &str = "{python}";

// === impl Recipe ===

impl Recipe {
    pub(crate) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

// === impl Pattern ===

impl Pattern {
    /// Whether a file called `name`, at `path` from the tree's root, is meant.
    pub(crate) fn matches(&self, name: &str, path: &str) -> bool {
        let against = if self.0.contains('/') { path } else { name };
        if let Some(end) = self.0.strip_prefix('*') {
            against.ends_with(end)
        } else if let Some(start) = self.0.strip_suffix('*') {
            against.starts_with(start)
        } else {
            against == self.0
        }
    }
}
