//! Aliases: created, pointed elsewhere, deleted.
//!
//! An alias points to a version that exists, and a version that an alias points to stays: both are
//! decided in the same transaction, so that no alias is ever left hanging. What is attached to an alias
//! under its name goes with it (its policy, what is provisioned for it), but for its URL, which AWS
//! keeps and answers with a refusal until there is an alias of that name again.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::alias::{Alias, Roll, Share};
use model::configuration::Description;
use model::name::AliasName;
use model::{Qualifier, RevisionId, Version};

use crate::access::PolicyScope;
use crate::event_invoke;
use crate::function::{Function, FunctionVersion};
use crate::refusal::Refusal;

/// An alias to create.
#[derive(Debug, Clone)]
pub struct NewAlias {
    /// Its name.
    pub name: AliasName,
    /// What it points to.
    pub version: Version,
    /// What is written about it.
    pub description: Description,
    /// A second version and its part of the calls.
    pub second: Option<Share>,
}

/// What to change of an alias; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct AliasChange {
    /// The revision the caller has seen, if they say.
    pub revision: Option<String>,
    /// What it points to.
    pub version: Option<Version>,
    /// What is written about it.
    pub description: Option<Description>,
    /// A second version and its part of the calls; `Some(None)` takes it away.
    pub second: Option<Option<Share>>,
}

// === impl Function ===

impl Function {
    /// An alias by its name.
    pub fn alias(&self, name: &AliasName) -> Option<&Arc<Alias>> {
        self.aliases.get(name)
    }

    /// The version that serves a call of a qualifier: what an alias draws, or [`Function::version`].
    pub fn serving(
        &self,
        qualifier: Option<&Qualifier>,
        roll: impl FnOnce() -> Roll,
    ) -> Option<&Arc<FunctionVersion>> {
        match qualifier {
            Some(Qualifier::Alias(name)) => {
                let alias = self.alias(name)?;
                match alias.second {
                    Some(_) => self.numbered(alias.draw(roll())),
                    None => self.numbered(alias.version),
                }
            }
            qualifier => self.version(qualifier),
        }
    }

    /// A version by its number.
    pub(crate) fn numbered(&self, version: Version) -> Option<&Arc<FunctionVersion>> {
        match version {
            Version::Latest => Some(&self.latest),
            Version::Number(number) => self.versions.get(&number),
        }
    }

    /// Aliases that send calls to a version, by name.
    pub(crate) fn aliases_of(&self, version: Version) -> impl Iterator<Item = &AliasName> {
        let pointing = self.aliases.iter().filter(move |(_, alias)| alias.points_to(version));
        pointing.map(|(name, _)| name)
    }

    /// The same function with an alias more.
    pub(crate) fn with_alias(&self, new: NewAlias) -> Result<(Self, Arc<Alias>), Refusal> {
        let alias = Alias {
            name: new.name,
            version: new.version,
            description: new.description,
            second: new.second,
            revision: RevisionId::random(),
        };
        self.check_alias(&alias)?;
        if self.aliases.contains_key(&alias.name) {
            return Err(Refusal::AliasExists);
        }
        Ok(self.with(alias))
    }

    /// The same function with an alias changed.
    pub(crate) fn with_alias_changed(
        &self,
        name: &AliasName,
        change: AliasChange,
    ) -> Result<(Self, Arc<Alias>), Refusal> {
        let before = self.alias(name).ok_or(Refusal::NoAlias)?;
        if change.revision.is_some_and(|seen| seen != before.revision.as_str()) {
            return Err(Refusal::FunctionRevision);
        }
        let alias = Alias {
            name: name.clone(),
            version: change.version.unwrap_or(before.version),
            description: change.description.unwrap_or_else(|| before.description.clone()),
            second: change.second.unwrap_or(before.second),
            revision: RevisionId::random(),
        };
        self.check_alias(&alias)?;
        let (function, alias) = self.with(alias);
        function.check_still_provisioned(&alias)?;
        Ok((function, alias))
    }

    /// The same function without an alias.
    pub(crate) fn without_alias(&self, name: &AliasName) -> Self {
        let mut aliases = (*self.aliases).clone();
        aliases.remove(name);
        let without = self.without_provisioned(&Qualifier::Alias(name.clone()));
        let mut policies = Arc::clone(&self.policies);
        let scope = PolicyScope::Alias(name.clone());
        // Who was let in by this alias is not let in by another of its name.
        if policies.contains_key(&scope) {
            Arc::make_mut(&mut policies).remove(&scope);
        }
        let qualifier = Qualifier::Alias(name.clone());
        let event_invokes = event_invoke::without(&self.event_invokes, &qualifier);
        Self { aliases: Arc::new(aliases), policies, event_invokes, ..without }
    }

    fn with(&self, alias: Alias) -> (Self, Arc<Alias>) {
        let alias = Arc::new(alias);
        let mut aliases: BTreeMap<_, _> = (*self.aliases).clone();
        aliases.insert(alias.name.clone(), Arc::clone(&alias));
        (Self { aliases: Arc::new(aliases), ..self.clone() }, alias)
    }

    /// Whether an alias points to what there is, and may divide calls as it does.
    fn check_alias(&self, alias: &Alias) -> Result<(), Refusal> {
        let missing = |version| Refusal::VersionMissing { version };
        let first = self.numbered(alias.version).ok_or(missing(alias.version))?;
        let Some(share) = alias.second else { return Ok(()) };
        let second = Version::Number(share.version);
        if alias.version == second {
            return Err(Refusal::VersionRepeated { version: second });
        }
        if alias.version == Version::Latest {
            return Err(Refusal::LatestWeighted);
        }
        let second = self.numbered(second).ok_or(missing(second))?;
        if first.configuration.role != second.configuration.role {
            return Err(Refusal::RolesDiffer);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
