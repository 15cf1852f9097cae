//! Provisioned concurrency: how many instances of a version are to be ready, as configured.
//!
//! It is configured for a published version, or for an alias, and then means whatever version the
//! alias points to; where the alias divides its calls between two, each gets its part. What a function has provisioned is part of what it has reserved; where it has
//! reserved nothing, it is set aside from what all functions share, as on AWS.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::alias::Alias;
use model::{Qualifier, Runnable, Version};

use crate::function::{Function, FunctionVersion, State};
use crate::refusal::Refusal;
use crate::snapshot::Totals;
use crate::store::Unreserved;

/// What is configured for one version or alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provisioned {
    /// How many instances are to be ready; at least one.
    pub wanted: u32,
    /// When that was configured, milliseconds since the epoch.
    pub modified_ms: u64,
}

/// A change of what is provisioned.
#[derive(Debug, Clone)]
pub struct Provisioning {
    /// A version's number or an alias.
    pub qualifier: Qualifier,
    /// How many instances are to be ready.
    pub wanted: u32,
    /// Now, milliseconds since the epoch.
    pub at_ms: u64,
}

// === impl Function ===

impl Function {
    /// What all its versions and aliases have provisioned together.
    pub fn provisioned_total(&self) -> u64 {
        self.provisioned.values().map(|provisioned| u64::from(provisioned.wanted)).sum()
    }

    /// What of the account's concurrency nobody else can use: what is reserved, or without a
    /// reservation what is provisioned.
    pub fn set_aside(&self) -> u64 {
        self.reserved_concurrency.map_or_else(|| self.provisioned_total(), u64::from)
    }

    /// How many instances of which versions are to be ready. A version that cannot be served yet, or
    /// never, is left out.
    pub fn floors(&self) -> Vec<(Arc<Runnable>, u32)> {
        let mut floors: BTreeMap<_, (Arc<Runnable>, u32)> = BTreeMap::new();
        for (qualifier, provisioned) in self.provisioned.iter() {
            for (version, wanted) in self.provisioned_parts(qualifier, provisioned.wanted) {
                if version.state == State::Active {
                    let floor = floors
                        .entry(version.runnable.generation)
                        .or_insert_with(|| (Arc::clone(&version.runnable), 0));
                    floor.1 = floor.1.saturating_add(wanted);
                }
            }
        }
        floors.into_values().collect()
    }

    /// What of `wanted` each version is to have that a qualifier means: all of it, unless an alias
    /// divides its calls.
    pub fn provisioned_parts(
        &self,
        qualifier: &Qualifier,
        wanted: u32,
    ) -> impl Iterator<Item = (&Arc<FunctionVersion>, u32)> {
        let alias = match qualifier {
            Qualifier::Alias(name) => self.alias(name),
            Qualifier::Latest | Qualifier::Version(_) => None,
        };
        let plain = match qualifier {
            Qualifier::Alias(_) => None,
            qualifier => self.version(Some(qualifier)).map(|version| (version, wanted)),
        };
        let parts = alias.into_iter().flat_map(move |alias| alias.parts(wanted));
        let parts = parts.filter_map(|(version, part)| Some((self.numbered(version)?, part)));
        plain.into_iter().chain(parts)
    }

    /// The same function with something provisioned.
    pub(crate) fn with_provisioned(
        &self,
        new: &Provisioning,
        totals: Totals,
        unreserved: Unreserved,
    ) -> Result<Self, Refusal> {
        self.version(Some(&new.qualifier)).ok_or(Refusal::NoVersion)?;
        self.check_provisionable(&new.qualifier)?;
        if let Qualifier::Alias(name) = &new.qualifier
            && self.alias(name).is_some_and(|alias| alias.second.is_some())
        {
            return Err(Refusal::AliasWeighted);
        }
        let before = self.provisioned.get(&new.qualifier).map_or(0, |before| before.wanted);
        let others = self.provisioned_total() - u64::from(before);
        let wanted = u64::from(new.wanted);
        match self.reserved_concurrency {
            Some(reserved) if others + wanted > u64::from(reserved) => {
                return Err(Refusal::BeyondReserved);
            }
            Some(_) => {}
            None => {
                let taken = totals.set_aside - u64::from(before);
                let left = u64::from(unreserved.limit).saturating_sub(taken);
                if wanted > left {
                    return Err(Refusal::BeyondUnreserved { left });
                }
                if left - wanted < u64::from(unreserved.minimum) {
                    return Err(Refusal::Unprovisioned { minimum: unreserved.minimum });
                }
            }
        }
        let provisioned = Provisioned { wanted: new.wanted, modified_ms: new.at_ms };
        let mut all = (*self.provisioned).clone();
        all.insert(new.qualifier.clone(), provisioned);
        Ok(Self { provisioned: Arc::new(all), ..self.clone() })
    }

    /// The same function with nothing provisioned for a version or an alias.
    pub(crate) fn without_provisioned(&self, qualifier: &Qualifier) -> Self {
        let mut all = (*self.provisioned).clone();
        all.remove(qualifier);
        Self { provisioned: Arc::new(all), ..self.clone() }
    }

    /// Whether what is provisioned for an alias may follow it to where it points now.
    pub(crate) fn check_still_provisioned(&self, alias: &Alias) -> Result<(), Refusal> {
        let qualifier = Qualifier::Alias(alias.name.clone());
        match self.provisioned.contains_key(&qualifier) {
            true => self.check_provisionable(&qualifier),
            false => Ok(()),
        }
    }

    /// What is provisioned is published, takes no snapshot, and is so either itself or by aliases,
    /// never both.
    fn check_provisionable(&self, qualifier: &Qualifier) -> Result<(), Refusal> {
        let own = self.versions_of(qualifier);
        if own.contains(&Version::Latest) {
            return Err(Refusal::Unpublished);
        }
        if own.iter().filter_map(|one| self.numbered(*one)).any(|one| one.takes_snapshot()) {
            return Err(Refusal::SnapStartProvisioned);
        }
        let is_alias = |qualifier: &Qualifier| matches!(qualifier, Qualifier::Alias(_));
        let shares =
            |other: &&Qualifier| self.versions_of(other).iter().any(|one| own.contains(one));
        let mut others = self.provisioned.keys().filter(|other| *other != qualifier);
        let mut clash =
            |aliases: bool| others.by_ref().filter(shares).any(|other| is_alias(other) == aliases);
        match qualifier {
            Qualifier::Alias(_) if clash(false) => Err(Refusal::VersionProvisioned),
            Qualifier::Version(_) if clash(true) => Err(Refusal::AliasProvisioned),
            _ => Ok(()),
        }
    }

    /// Every version that calls of a qualifier go to.
    fn versions_of(&self, qualifier: &Qualifier) -> Vec<Version> {
        match qualifier {
            Qualifier::Latest => vec![Version::Latest],
            Qualifier::Version(number) => vec![Version::Number(*number)],
            Qualifier::Alias(name) => {
                let alias = self.alias(name);
                alias.map_or_else(Vec::new, |alias| alias.parts(0).map(|(it, _)| it).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests;
