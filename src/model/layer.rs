//! Layers: what functions share, and how a function refers to it.

use std::fmt;
use std::sync::Arc;

use crate::digest::Digest;
use crate::name::NameError;

/// A layer's name: 1 to 140 letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerName(Arc<str>);

/// One version of a layer, as a function that uses it remembers it. It outlives the version: who uses
/// a layer goes on using it after it was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedLayer {
    /// Of which layer.
    pub name: LayerName,
    /// Which version of it.
    pub version: u64,
    /// Its archive.
    pub archive: Digest,
    /// Size of the archive, bytes: AWS's CodeSize.
    pub size: u64,
    /// Size of the files in it, bytes.
    pub unzipped: u64,
}

/// The layers of a function: at least one, at most [`AttachedLayers::MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedLayers {
    /// Later ones lie over earlier ones.
    list: Vec<AttachedLayer>,
    /// What lies in `/opt`: all of them, merged.
    tree: Digest,
}

// === impl LayerName ===

impl LayerName {
    /// Most characters (an AWS limit).
    pub const MAX: usize = 140;

    /// Reads a bare name.
    ///
    /// # Errors
    /// Empty, too long, or another character than AWS's pattern `[a-zA-Z0-9-_]+` allows.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if text.is_empty() || !text.bytes().all(fits) {
            return Err(NameError::Form { value: text.to_owned(), what: "a layer's name" });
        }
        if text.len() > Self::MAX {
            return Err(NameError::TooLong { value: text.to_owned(), limit: Self::MAX });
        }
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LayerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl AttachedLayers ===

impl AttachedLayers {
    /// Most layers of a function (an AWS limit).
    pub const MAX: usize = 5;
    /// Most bytes of a function's files and its layers' together (an AWS limit).
    pub const MAX_UNZIPPED: u64 = 262_144_000;

    /// These layers, which `tree` is made of; `None` if there are none, or too many, or two of one name.
    pub fn of(list: Vec<AttachedLayer>, tree: Digest) -> Option<Self> {
        let twice = |at: usize| list[..at].iter().any(|other| other.name == list[at].name);
        let fits = (1..=Self::MAX).contains(&list.len()) && !(0..list.len()).any(twice);
        fits.then_some(Self { list, tree })
    }

    /// In their order.
    pub fn list(&self) -> &[AttachedLayer] {
        &self.list
    }

    /// Names what lies in `/opt`.
    pub fn tree(&self) -> Digest {
        self.tree
    }

    /// Everything of them that has to be kept: what lies in `/opt`, and what that is made of.
    pub fn packages(&self) -> impl Iterator<Item = Digest> {
        self.list.iter().map(|layer| layer.archive).chain([self.tree])
    }

    /// Bytes of the files of all of them, each counted though another may lie over it.
    pub fn unzipped(&self) -> u64 {
        self.list.iter().map(|layer| layer.unzipped).sum()
    }
}

#[cfg(test)]
mod tests;
