//! What is served: a runtime identifier, or why not.
//!
//! Read at every creation and at every making of a cell, so it is a plain map, built once from the
//! images that are loaded. Of two images that serve the same identifier the one given first wins.
//! An alias serves one identifier with another's interpreter, because an operator said so; it never
//! stands before an image that serves the identifier itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use model::Digest;

use crate::identifier::Identifier;
use crate::looks::Looks;
use crate::manifest::{Manifest, Start};

/// Everything that is served.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    served: BTreeMap<String, Served>,
    /// Which code is served best by which template; of all copies of this.
    looks: Arc<Looks>,
}

/// How an identifier is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// By which image.
    pub image: Digest,
    /// As what: the identifier itself, or what it is an alias for.
    pub runtime: String,
    /// Started how.
    pub start: Start,
}

/// An identifier that nothing serves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("runtime {runtime} is not served here; served are {served}. {remedy}")]
pub struct Unserved {
    /// What was asked for.
    pub runtime: String,
    /// What there is, comma-separated.
    pub served: String,
    /// What an operator can do about it.
    pub remedy: String,
}

/// An alias that cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("runtime_alias {alias} names {target}, which is not served here; served are {served}")]
pub struct BadAlias {
    /// The identifier that was to be served.
    pub alias: String,
    /// By what.
    pub target: String,
    /// What there is, comma-separated.
    pub served: String,
}

// === impl Catalogue ===

impl Catalogue {
    /// Serves what `images` serve, and `aliases` (identifier → identifier that an image serves).
    ///
    /// # Errors
    /// [`BadAlias`], for an alias to nothing: a mistake to be told at start, not at the first
    /// deployment.
    pub fn new<'m>(
        images: impl IntoIterator<Item = &'m Manifest>,
        aliases: &BTreeMap<String, String>,
    ) -> Result<Self, BadAlias> {
        let mut catalogue = Self::default();
        for manifest in images {
            for (runtime, start) in &manifest.runtimes {
                catalogue.served.entry(runtime.clone()).or_insert_with(|| Served {
                    image: manifest.digest,
                    runtime: runtime.clone(),
                    start: start.clone(),
                });
            }
        }
        let own = catalogue.served.clone();
        for (alias, target) in aliases {
            let Some(served) = own.get(target) else {
                let served = catalogue.list();
                return Err(BadAlias { alias: alias.clone(), target: target.clone(), served });
            };
            catalogue.served.entry(alias.clone()).or_insert_with(|| served.clone());
        }
        let starts = catalogue.served.values().map(|served| &served.start);
        catalogue.looks = Arc::new(Looks::new(starts));
        Ok(catalogue)
    }

    /// Looks at code whose files lie in `tree`, so that [`Catalogue::template`] knows it. Reads files.
    ///
    /// # Errors
    /// If one cannot be read; functions of that code are then served by the lean template.
    pub fn learn(&self, code: Digest, tree: &Path) -> io::Result<()> {
        self.looks.learn(code, tree)
    }

    /// Looks at layers whose files lie in `tree`, merged, so that [`Catalogue::template`] knows them. Reads
    /// directories.
    ///
    /// # Errors
    /// If one cannot be read; functions with those layers are then served by the lean template.
    pub fn learn_layers(&self, layers: Digest, tree: &Path) -> io::Result<()> {
        self.looks.learn_layers(layers, tree)
    }

    /// Whether there is any choice of templates, and so any use in looking at code.
    pub fn has_choice(&self) -> bool {
        self.served.values().any(|served| served.start.heavy.is_some())
    }

    /// Forgets code and layers that have been deleted.
    pub fn forget(&self, package: Digest) {
        self.looks.forget(package);
    }

    /// The template that serves a function of this code and these layers best, if its runtime has any.
    pub fn template(&self, served: &Served, code: Digest, layers: Option<Digest>) -> Option<u8> {
        let start = &served.start;
        let suits = || {
            self.looks.imports(code, &start.packages)
                && layers.is_none_or(|layers| self.looks.are_harmless(layers))
        };
        start.heavy.filter(|_| suits()).or(start.template)
    }

    /// Who serves `runtime`.
    pub fn resolve(&self, runtime: &str) -> Option<&Served> {
        self.served.get(runtime)
    }

    /// [`Catalogue::resolve`], with words for the caller where nobody does.
    ///
    /// # Errors
    /// [`Unserved`].
    pub fn require(&self, runtime: &str) -> Result<&Served, Unserved> {
        self.resolve(runtime).ok_or_else(|| self.unserved(runtime))
    }

    /// Every image that serves one.
    pub fn images(&self) -> BTreeSet<Digest> {
        self.served.values().map(|served| served.image).collect()
    }

    /// Every identifier that is served, in order.
    pub fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.served.keys().map(String::as_str)
    }

    fn unserved(&self, runtime: &str) -> Unserved {
        let wanted = Identifier::parse(runtime);
        let nearest = wanted.and_then(|wanted| {
            let same = |name: &&str| {
                Identifier::parse(name).is_some_and(|own| own.language == wanted.language)
            };
            // Later versions understand earlier ones' programs more often than the reverse.
            self.identifiers().filter(same).max_by_key(|name| Identifier::parse(name))
        });
        let remedy = match (wanted, nearest) {
            (None, _) => "Runtimes without an interpreter here run as provided.al2023.".to_owned(),
            (Some(_), None) => format!(
                "To add it, install the interpreter on the server or start with \
                 --runtime-path {runtime}=/path/to/interpreter."
            ),
            (Some(_), Some(nearest)) => format!(
                "To add it, install the interpreter on the server or start with \
                 --runtime-path {runtime}=/path/to/interpreter; to serve it with {nearest} \
                 instead, set runtime_alias {runtime} = {nearest}."
            ),
        };
        Unserved { runtime: runtime.to_owned(), served: self.list(), remedy }
    }

    fn list(&self) -> String {
        self.identifiers().collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests;
