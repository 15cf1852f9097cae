//! A layer with its versions, as one immutable value.
//!
//! A version never changes; what changes is who else may use it. Numbers are not used again: a layer
//! whose versions are all deleted is still known, with the last number it gave out, and shown nowhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::configuration::{Architecture, Description};
use model::policy::Statement;
use model::{AttachedLayer, Digest, LayerName, RevisionId};

use crate::access::{MAX_POLICY, Policy};
use crate::function::Code;
use crate::refusal::Refusal;

/// A layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// What it is called.
    pub name: LayerName,
    /// The highest number ever given to a version of it.
    pub last_version: u64,
    /// What there is of it, by number.
    pub versions: Arc<BTreeMap<u64, Arc<LayerVersion>>>,
}

/// One version of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerVersion {
    /// Its number, from 1 on.
    pub number: u64,
    /// When it was published, milliseconds since the epoch.
    pub created_ms: u64,
    /// Its archive.
    pub code: Code,
    /// Size of the files in it, bytes.
    pub unzipped: u64,
    /// What its publisher said about it.
    pub about: AboutLayer,
    /// Who else may use it.
    pub policy: Option<Policy>,
}

/// What publishers say about a version of a layer; nothing depends on it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AboutLayer {
    /// What it is for.
    pub description: Description,
    /// `CompatibleRuntimes`, if given.
    pub runtimes: Option<Vec<String>>,
    /// `CompatibleArchitectures`, if given.
    pub architectures: Option<Vec<Architecture>>,
    /// `LicenseInfo`, if given.
    pub license: Option<String>,
}

/// A version to publish.
#[derive(Debug, Clone)]
pub struct NewLayerVersion {
    /// Of which layer; made if there is none of that name.
    pub name: LayerName,
    /// Its archive, which is already kept.
    pub code: Code,
    /// Size of the files in it, bytes.
    pub unzipped: u64,
    /// What is said about it.
    pub about: AboutLayer,
    /// Now, milliseconds since the epoch.
    pub at_ms: u64,
}

// === impl Layer ===

impl Layer {
    /// One that has never had a version.
    pub(crate) fn named(name: LayerName) -> Self {
        Self { name, last_version: 0, versions: Arc::default() }
    }

    /// The newest version that `fits`.
    pub fn newest(&self, fits: impl Fn(&LayerVersion) -> bool) -> Option<&Arc<LayerVersion>> {
        self.versions.values().rev().find(|version| fits(version))
    }

    /// What a function that uses a version of it remembers.
    pub fn attached(&self, number: u64) -> Option<AttachedLayer> {
        self.versions.get(&number).map(|version| AttachedLayer {
            name: self.name.clone(),
            version: number,
            archive: version.code.digest,
            size: version.code.size,
            unzipped: version.unzipped,
        })
    }

    /// Every archive of it.
    pub fn packages(&self) -> impl Iterator<Item = Digest> {
        self.versions.values().map(|version| version.code.digest)
    }

    /// Bytes of all archives.
    pub(crate) fn code_size(&self) -> u64 {
        self.versions.values().map(|version| version.code.size).sum()
    }

    /// The same layer with a version more.
    pub(crate) fn with_version(&self, new: NewLayerVersion) -> (Self, Arc<LayerVersion>) {
        let number = self.last_version + 1;
        let version = Arc::new(LayerVersion {
            number,
            created_ms: new.at_ms,
            code: new.code,
            unzipped: new.unzipped,
            about: new.about,
            policy: None,
        });
        (Self { last_version: number, ..self.with(&version) }, version)
    }

    /// The same layer without a version.
    pub(crate) fn without_version(&self, number: u64) -> Self {
        let mut versions = (*self.versions).clone();
        versions.remove(&number);
        Self { versions: Arc::new(versions), ..self.clone() }
    }

    /// The same layer with a statement more in the policy of a version; `bytes` measures the document
    /// that the API would show.
    pub(crate) fn with_statement(
        &self,
        number: u64,
        seen: Option<&str>,
        statement: Statement,
        bytes: impl FnOnce(&[Statement]) -> usize,
    ) -> Result<(Self, RevisionId), Refusal> {
        let version = self.version(number)?;
        let mut statements = version.statements().to_vec();
        if statements.iter().any(|other| other.id == statement.id) {
            return Err(Refusal::StatementExists);
        }
        version.check_revision(seen)?;
        statements.push(statement);
        let bytes = bytes(&statements);
        if bytes > MAX_POLICY {
            return Err(Refusal::PolicyTooLong { bytes });
        }
        let revision = RevisionId::random();
        Ok((self.with(&version.with_policy(Some(Policy { revision, statements }))), revision))
    }

    /// The same layer without a statement in the policy of a version.
    pub(crate) fn without_statement(
        &self,
        number: u64,
        seen: Option<&str>,
        id: &str,
    ) -> Result<Self, Refusal> {
        let version = self.version(number)?;
        version.check_revision(seen)?;
        if !version.statements().iter().any(|statement| statement.id == id) {
            return Err(Refusal::NoStatement);
        }
        let mut statements = version.statements().to_vec();
        statements.retain(|statement| statement.id != id);
        let left =
            (!statements.is_empty()).then(|| Policy { revision: RevisionId::random(), statements });
        Ok(self.with(&version.with_policy(left)))
    }

    fn version(&self, number: u64) -> Result<&Arc<LayerVersion>, Refusal> {
        self.versions.get(&number).ok_or(Refusal::NoLayerVersion)
    }

    /// The same layer with a version in the place of its number.
    fn with(&self, version: &Arc<LayerVersion>) -> Self {
        let mut versions = (*self.versions).clone();
        versions.insert(version.number, Arc::clone(version));
        Self { versions: Arc::new(versions), ..self.clone() }
    }
}

// === impl LayerVersion ===

impl LayerVersion {
    /// The statements of its policy; none if it has no policy.
    pub fn statements(&self) -> &[Statement] {
        self.policy.as_ref().map_or(&[], |policy| &policy.statements)
    }

    fn with_policy(&self, policy: Option<Policy>) -> Arc<Self> {
        Arc::new(Self { policy, ..self.clone() })
    }

    /// Whether the caller has seen the policy there is; before the first statement there is none that
    /// anybody could have seen.
    fn check_revision(&self, seen: Option<&str>) -> Result<(), Refusal> {
        let current = self.policy.as_ref().map(|policy| policy.revision.as_str());
        match seen {
            Some(seen) if Some(seen) != current => Err(Refusal::PolicyRevision),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
