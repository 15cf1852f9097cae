//! What is known about an image: `manifest.json` beside its tree.
//!
//! ```json
//! { "digest": "5d1f…", "recipe": "host", "files": 2011, "bytes": 151023112, "left_out": [],
//!   "runtimes": { "python3.11": { "kind": "python", "version": "3.11.2", "preimport": ["json"],
//!                                 "argv": ["/usr/bin/python3.11", "-s", "…"],
//!                                 "spare": { "argv": ["…", "spare"], "env": ["TZ=:UTC", "…"] },
//!                                 "template": 0 }, … } }
//! ```
//!
//! Written by whoever makes the image, read at every start, never by anything inside a sandbox.

use std::collections::BTreeMap;

use model::Digest;
use serde::{Deserialize, Serialize};

/// One image, described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Names the image: its directory, and what the spawner is told.
    #[serde(with = "hex")]
    pub digest: Digest,
    /// Which recipe made it.
    pub recipe: String,
    /// By runtime identifier, how a function is started.
    pub runtimes: BTreeMap<String, Start>,
    /// Regular files in the tree.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// What the recipe names and the server has, but which lacks a library; with the reason.
    pub left_out: Vec<String>,
}

/// How a function of one runtime is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Who speaks for the function.
    pub kind: Kind,
    /// Program and arguments; paths as inside the image.
    pub argv: Vec<String>,
    /// Of the interpreter, in full; `None` for custom runtimes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Modules that a template may have imported before it knows its function.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preimport: Vec<String>,
    /// How one is started that does not know its function yet; `None` for custom runtimes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spare: Option<Spare>,
    /// The template that it can be forked from: the name of a file in [`TEMPLATES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<u8>,
    /// The template that has `packages` imported as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heavy: Option<u8>,
    /// Of the packages that the operator added to the image, what `heavy` imports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// What compiles a function's code when it is taken in, if the image has it for the runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiler: Option<Compiler>,
    /// How its functions are initialised once and restored; `None` where they cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
}

/// A program that compiles what lies in `/var/task`, for instances that the image starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compiler {
    /// Program and arguments; paths as inside the image.
    pub argv: Vec<String>,
    /// `NAME=value`: its whole environment, which has nothing of any function's.
    pub env: Vec<String>,
}

/// Where an instance finds what was compiled of its code, in a file called like the runtime that the
/// image serves: see `runner/python/compile.py`.
pub const COMPILED: &str = "/var/lang/compiled";

/// How an interpreter is started that learns on the link whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spare {
    /// Program and arguments; paths as inside the image.
    pub argv: Vec<String>,
    /// `NAME=value`: what every function of the runtime finds in its environment, and no more.
    pub env: Vec<String>,
}

/// How a snapshot of a function is taken and restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Program and arguments that initialise a function and say what it is made of then.
    pub take: Vec<String>,
    /// The program that becomes what that was.
    pub restore: String,
}

/// Where it is written in an image what a template executes: a file for each, named by its index,
/// because an index is all that the privileged side is ever told.
///
/// Program and arguments, a NUL behind each; one more NUL; the variables of its environment, a NUL
/// behind each.
pub const TEMPLATES: &str = "/var/runtime/templates";

/// Who speaks for the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Our bootstrap for Python, on the link.
    Python,
    /// Our bootstrap for Node, on the link.
    Node,
    /// The package's own `bootstrap`, over the Runtime API.
    Custom,
}

/// Runtimes that are a program in the package; every image serves them.
pub const CUSTOM: [&str; 3] = ["provided", "provided.al2", "provided.al2023"];

// === impl Start ===

impl Start {
    /// A custom runtime: the package's executable `bootstrap`.
    pub fn custom() -> Self {
        let argv = vec!["/var/task/bootstrap".to_owned()];
        Self::executed(Kind::Custom, argv)
    }

    /// A program that is executed for every instance, and nothing ahead of time.
    pub fn executed(kind: Kind, argv: Vec<String>) -> Self {
        Self {
            kind,
            argv,
            version: None,
            preimport: Vec::new(),
            spare: None,
            template: None,
            heavy: None,
            packages: Vec::new(),
            compiler: None,
            snapshot: None,
        }
    }
}

// === Digest in JSON ===

mod hex {
    use model::Digest;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&digest.hex())
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(from)?;
        Digest::from_hex(&text).ok_or_else(|| de::Error::custom("not a digest"))
    }
}
