//! Whether a URL may be called, and what it calls: decided from a snapshot, without waiting.
//!
//! Everything that is not plainly allowed is refused: a URL that does not exist, one whose function
//! has no version there, one that no statement of the resource policy opens to the public. AWS's
//! answers to the first two are the same, and tell a prober nothing.

use std::sync::Arc;

use model::alias::Roll;
use model::name::Qualifier;
use model::policy::Statement;
use model::url::{AuthType, UrlConfig};
use model::{Home, RequestId, Runnable};
use store::{Function, PolicyScope, Snapshot, State};

use crate::address::Address;

/// A URL that exists, and the function behind it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The URL.
    pub url: Arc<UrlConfig>,
    /// Whether the resource policy lets anybody call it.
    pub public: bool,
    /// What it calls.
    pub callee: Callee,
}

/// What is behind a URL.
#[derive(Debug, Clone)]
pub enum Callee {
    /// A version that can be run.
    Ready(Arc<Runnable>),
    /// One that is being made ready.
    Pending,
    /// One that could not be.
    Broken,
}

/// Finds what an address names, for one request; `None` if there is no such URL.
pub fn find(snapshot: &Snapshot, address: &Address<'_>, request: &RequestId) -> Option<Target> {
    let (function, url) = match address {
        Address::Nothing => return None,
        Address::Url(id) => {
            let url = snapshot.url(id.as_str())?;
            (snapshot.function(url.name.as_str())?, url)
        }
        Address::Function { name, .. } => {
            let function = snapshot.function(name.as_str())?;
            (function, function.url(None)?)
        }
    };
    let qualifier = url.alias.clone().map(Qualifier::Alias);
    let version = function.serving(qualifier.as_ref(), || Roll::of(request))?;
    let callee = match version.state {
        State::Active => Callee::Ready(Arc::clone(&version.runnable)),
        State::Pending => Callee::Pending,
        State::Failed(_) => Callee::Broken,
    };
    Some(Target { url: Arc::clone(url), public: is_public(function, url), callee })
}

/// The ARN a function sees as the one it was invoked by.
pub fn invoked_arn(home: &Home, url: &UrlConfig) -> String {
    match &url.alias {
        None => home.function_arn(&url.name),
        Some(alias) => home.qualified_arn(&url.name, &Qualifier::Alias(alias.clone())),
    }
}

fn is_public(function: &Function, url: &UrlConfig) -> bool {
    let scope = match &url.alias {
        None => PolicyScope::Function,
        Some(alias) => PolicyScope::Alias(alias.clone()),
    };
    url.auth == AuthType::None
        && function.statements(&scope).iter().any(Statement::admits_public_url_calls)
}
