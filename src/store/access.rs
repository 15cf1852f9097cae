//! Who may do what: access keys, function URLs, and resource policies.
//!
//! A policy belongs to one scope of a function: the function itself, a version, or an alias. It has
//! a revision id of its own, which changes with every statement added or removed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use model::RevisionId;
use model::name::AliasName;
use model::policy::Statement;
use model::url::{AuthType, Cors, InvokeMode, UrlConfig, UrlId};

use crate::function::Function;
use crate::refusal::Refusal;

/// Who signs requests.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// What they say they are.
    pub id: String,
    /// What proves it; verifying a signature needs it in the clear.
    pub secret: String,
    /// When it was made, milliseconds since the epoch.
    pub created_ms: u64,
}

/// What of a function a policy is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyScope {
    /// The function, called without a qualifier.
    Function,
    /// One version.
    Version(u64),
    /// One alias.
    Alias(AliasName),
}

/// The statements of one scope, in the order they were added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Changes with every statement.
    pub revision: RevisionId,
    /// At least one.
    pub statements: Vec<Statement>,
}

/// A URL to create.
#[derive(Debug, Clone)]
pub struct NewUrl {
    /// For which alias; for `$LATEST` if there is none.
    pub alias: Option<AliasName>,
    /// Who may call it.
    pub auth: AuthType,
    /// Cross-origin sharing.
    pub cors: Option<Cors>,
    /// As the caller gave it.
    pub invoke_mode: Option<InvokeMode>,
    /// Now, milliseconds since the epoch.
    pub at_ms: u64,
}

/// What to change of a URL; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct UrlChange {
    /// Who may call it.
    pub auth: Option<AuthType>,
    /// Cross-origin sharing.
    pub cors: Option<Cors>,
    /// Collected or streamed.
    pub invoke_mode: Option<InvokeMode>,
    /// Now, milliseconds since the epoch.
    pub at_ms: u64,
}

/// Longest policy document, bytes (AWS's 20 KiB).
pub(crate) const MAX_POLICY: usize = 20 * 1024;

// === impl AccessKey ===

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

// === impl Function ===

impl Function {
    /// The URL of an alias, or that of `$LATEST`.
    pub fn url(&self, alias: Option<&AliasName>) -> Option<&Arc<UrlConfig>> {
        self.urls.iter().find(|url| url.alias.as_ref() == alias)
    }

    /// The statements of a scope; none if there is no policy.
    pub fn statements(&self, scope: &PolicyScope) -> &[Statement] {
        self.policies.get(scope).map_or(&[], |policy| &policy.statements)
    }

    /// The same function with a URL more.
    pub(crate) fn with_url(&self, new: NewUrl) -> Result<(Self, Arc<UrlConfig>), Refusal> {
        if self.url(new.alias.as_ref()).is_some() {
            return Err(Refusal::UrlExists);
        }
        if new.alias.as_ref().is_some_and(|alias| self.alias(alias).is_none()) {
            return Err(Refusal::NoAlias);
        }
        let url = Arc::new(UrlConfig {
            id: UrlId::random(),
            name: self.name.clone(),
            alias: new.alias,
            auth: new.auth,
            cors: new.cors,
            invoke_mode: new.invoke_mode,
            created_ms: new.at_ms,
            modified_ms: new.at_ms,
        });
        let mut urls = (*self.urls).clone();
        urls.push(Arc::clone(&url));
        Ok((Self { urls: Arc::new(urls), ..self.clone() }, url))
    }

    /// The same function with a URL changed.
    pub(crate) fn with_url_changed(
        &self,
        alias: Option<&AliasName>,
        change: UrlChange,
    ) -> Result<(Self, Arc<UrlConfig>), Refusal> {
        let before = self.url(alias).ok_or(Refusal::NoUrl)?;
        let url = Arc::new(UrlConfig {
            auth: change.auth.unwrap_or(before.auth),
            cors: change.cors.or_else(|| before.cors.clone()),
            invoke_mode: change.invoke_mode.or(before.invoke_mode),
            modified_ms: change.at_ms,
            ..(**before).clone()
        });
        let same = |other: &Arc<UrlConfig>| if other.id == url.id { &url } else { other }.clone();
        let urls = self.urls.iter().map(same).collect();
        Ok((Self { urls: Arc::new(urls), ..self.clone() }, url))
    }

    /// The same function without a URL.
    pub(crate) fn without_url(&self, alias: Option<&AliasName>) -> Result<Self, Refusal> {
        let gone = self.url(alias).ok_or(Refusal::NoUrl)?.id.clone();
        let urls = self.urls.iter().filter(|url| url.id != gone).cloned().collect();
        Ok(Self { urls: Arc::new(urls), ..self.clone() })
    }

    /// The same function with a statement more; `bytes` measures the document the API would show.
    pub(crate) fn with_statement(
        &self,
        scope: PolicyScope,
        seen: Option<&str>,
        statement: Statement,
        bytes: impl FnOnce(&[Statement]) -> usize,
    ) -> Result<Self, Refusal> {
        self.check_policy_revision(&scope, seen)?;
        let mut statements = self.statements(&scope).to_vec();
        if statements.iter().any(|other| other.id == statement.id) {
            return Err(Refusal::StatementExists);
        }
        statements.push(statement);
        let bytes = bytes(&statements);
        if bytes > MAX_POLICY {
            return Err(Refusal::PolicyTooLong { bytes });
        }
        let mut policies = (*self.policies).clone();
        policies.insert(scope, Policy { revision: RevisionId::random(), statements });
        Ok(self.with_policies(policies))
    }

    /// The same function without a statement.
    pub(crate) fn without_statement(
        &self,
        scope: &PolicyScope,
        seen: Option<&str>,
        id: &str,
    ) -> Result<Self, Refusal> {
        let policy = self.policies.get(scope).ok_or(Refusal::NoStatement)?;
        if !policy.statements.iter().any(|statement| statement.id == id) {
            return Err(Refusal::NoStatement);
        }
        self.check_policy_revision(scope, seen)?;
        let mut statements = policy.statements.clone();
        statements.retain(|statement| statement.id != id);
        let mut policies = (*self.policies).clone();
        if statements.is_empty() {
            policies.remove(scope);
        } else {
            policies.insert(scope.clone(), Policy { revision: RevisionId::random(), statements });
        }
        Ok(self.with_policies(policies))
    }

    fn with_policies(&self, policies: BTreeMap<PolicyScope, Policy>) -> Self {
        Self { policies: Arc::new(policies), ..self.clone() }
    }

    /// Whether the caller has seen the policy there is; before the first statement a caller can
    /// only have seen the function.
    fn check_policy_revision(
        &self,
        scope: &PolicyScope,
        seen: Option<&str>,
    ) -> Result<(), Refusal> {
        let current = match (self.policies.get(scope), scope) {
            (Some(policy), _) => policy.revision,
            (None, PolicyScope::Version(number)) => {
                self.versions.get(number).ok_or(Refusal::NoVersion)?.revision
            }
            (None, PolicyScope::Alias(name)) => self.alias(name).ok_or(Refusal::NoAlias)?.revision,
            (None, PolicyScope::Function) => self.latest.revision,
        };
        match seen {
            Some(seen) if seen != current.as_str() => Err(Refusal::PolicyRevision),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
