//! Provisioned concurrency: how many instances of a version are to be ready, as configured.
//!
//! It is configured for a published version, or for an alias and then means the version that the
//! alias points to. What a function has provisioned is part of what it has reserved; where it has
//! reserved nothing, it is set aside from what all functions share, as on AWS.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Qualifier, Runnable};

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
            let Some(version) = self.version(Some(qualifier)) else { continue };
            if version.state == State::Active {
                let floor = floors
                    .entry(version.runnable.generation)
                    .or_insert_with(|| (Arc::clone(&version.runnable), 0));
                floor.1 = floor.1.saturating_add(provisioned.wanted);
            }
        }
        floors.into_values().collect()
    }

    /// The same function with something provisioned.
    pub(crate) fn with_provisioned(
        &self,
        new: &Provisioning,
        totals: Totals,
        unreserved: Unreserved,
    ) -> Result<Self, Refusal> {
        let version = self.version(Some(&new.qualifier)).ok_or(Refusal::NoVersion)?;
        if version.takes_snapshot() {
            return Err(Refusal::SnapStartProvisioned);
        }
        self.check_nobody_else_provisions(&new.qualifier, version)?;
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

    /// A version is provisioned either itself or by aliases, never both.
    fn check_nobody_else_provisions(
        &self,
        qualifier: &Qualifier,
        version: &FunctionVersion,
    ) -> Result<(), Refusal> {
        let is_alias = |qualifier: &Qualifier| matches!(qualifier, Qualifier::Alias(_));
        let same = |other: &Qualifier| {
            self.version(Some(other)).is_some_and(|other| other.version == version.version)
        };
        let mut others = self.provisioned.keys().filter(|other| same(other));
        match qualifier {
            Qualifier::Alias(_) if others.any(|other| !is_alias(other)) => {
                Err(Refusal::VersionProvisioned)
            }
            Qualifier::Version(_) if others.any(is_alias) => Err(Refusal::AliasProvisioned),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
