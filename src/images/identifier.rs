//! Identifiers of runtimes that an interpreter serves: `python3.11`, `nodejs22.x`.
//!
//! AWS's list of identifiers grows every year; this is their grammar, not the list. Identifiers
//! without an interpreter (`provided.al2023`) are [`crate::manifest::CUSTOM`].

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Whose interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Language {
    /// CPython 3.
    Python,
    /// Node.js.
    Node,
}

/// A language and the part of the version that AWS's identifiers name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identifier {
    /// Whose interpreter.
    pub language: Language,
    /// Python's minor version, Node's major.
    pub version: u32,
}

/// An interpreter named by the operator: `nodejs22.x=/opt/node/bin/node`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimePath {
    /// What it is to serve.
    pub identifier: Identifier,
    /// The program, absolute.
    pub path: PathBuf,
}

/// Why a text is not a [`RuntimePath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRuntimePath {
    /// No `=` in it.
    #[error("\"{text}\" is not of the form python3.12=/path/to/python3.12")]
    Form {
        /// What was given.
        text: String,
    },
    /// An identifier that no interpreter serves.
    #[error(
        "\"{identifier}\" is not a runtime that an interpreter serves, such as python3.12 or nodejs22.x"
    )]
    Identifier {
        /// What was given.
        identifier: String,
    },
    /// A path that depends on where one stands.
    #[error("\"{}\" is not an absolute path", path.display())]
    Relative {
        /// What was given.
        path: PathBuf,
    },
}

// === impl Identifier ===

impl Identifier {
    /// Reads `python3.N` or `nodejsN.x`.
    pub fn parse(text: &str) -> Option<Self> {
        let (language, version) = if let Some(minor) = text.strip_prefix("python3.") {
            (Language::Python, minor)
        } else {
            (Language::Node, text.strip_prefix("nodejs")?.strip_suffix(".x")?)
        };
        let version = number(version)?;
        Some(Self { language, version })
    }

    /// Reads what an interpreter prints for `--version`: `Python 3.11.2`, `v22.1.0`. Beside the
    /// identifier, the whole version.
    pub fn from_version(language: Language, printed: &str) -> Option<(Self, String)> {
        let printed = printed.trim();
        let whole = match language {
            Language::Python => printed.strip_prefix("Python ")?,
            Language::Node => printed.strip_prefix('v')?,
        };
        let mut parts = whole.split('.');
        let version = match language {
            Language::Python => {
                (parts.next()? == "3").then_some(())?;
                number(parts.next()?)?
            }
            Language::Node => number(parts.next()?)?,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        whole.chars().all(plain).then(|| (Self { language, version }, whole.to_owned()))
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.language {
            Language::Python => write!(f, "python3.{}", self.version),
            Language::Node => write!(f, "nodejs{}.x", self.version),
        }
    }
}

// === impl RuntimePath ===

impl FromStr for RuntimePath {
    type Err = BadRuntimePath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || BadRuntimePath::Form { text: text.to_owned() };
        let (identifier, path) = text.split_once('=').ok_or_else(form)?;
        let unknown = || BadRuntimePath::Identifier { identifier: identifier.to_owned() };
        let identifier = Identifier::parse(identifier).ok_or_else(unknown)?;
        let path = PathBuf::from(path);
        if !path.is_absolute() {
            return Err(BadRuntimePath::Relative { path });
        }
        Ok(Self { identifier, path })
    }
}

// Digits only: `u32::from_str` also takes "+3", and "03" would be a second name for 3.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
