//! Who is asking: the one gate in front of every operation.
//!
//! ```text
//!   head ── no claim, stale, wrong scope ──► 403          nothing of the body has been read
//!     └─ Claim ── body ── signature wrong ──► 403
//!                           └─ Caller ──► operations take one, and only this file makes one
//! ```
//!
//! Without credentials (`--dev`) anybody on this machine may ask, but no web page: a listener on
//! loopback is open to every page in every browser here.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use httpd::{AwsError, local_only};
use sha2::{Digest as _, Sha256};
use sigv4::claim::PathStyle;
use sigv4::verify::Payload;
use sigv4::{Claim, Policy, RequestParts, Secret};
use store::Snapshot;

use crate::payload;
use crate::server::{Api, now_ms};

/// Who may ask.
#[derive(Debug, Clone)]
pub enum Access {
    /// Whoever signs with an access key of the store.
    Signed,
    /// Whoever is on this machine and not a web page; credentials are neither needed nor looked at.
    Open {
        /// Names of this server beside loopback's, lower case, without port.
        hosts: Vec<String>,
    },
}

/// Secrets by access key, each with what was derived from it.
#[derive(Debug, Default)]
pub(crate) struct Secrets(RwLock<HashMap<String, (String, Secret)>>);

/// Somebody who may ask. Nothing but [`Gate::enter`] makes one.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The service the request was signed for; `None` where nobody signs.
    pub(crate) service: Option<String>,
}

/// A request whose head may pass.
#[derive(Debug)]
pub(crate) struct Gate<'a>(Option<Claim<'a>>);

/// Services that requests may be signed for.
const SERVICES: [&str; 4] = ["lambda", "logs", "events", "scheduler"];

// === impl Gate ===

impl<'a> Gate<'a> {
    /// Looks at a head.
    ///
    /// # Errors
    /// Whatever can be refused without the body.
    pub(crate) fn approach(api: &Api, parts: &'a Parts) -> Result<Self, AwsError> {
        if let Access::Open { hosts } = &api.access {
            let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
            return match local_only::check(&parts.headers, &hosts) {
                Ok(()) => Ok(Self(None)),
                Err(err) => Err(AwsError::new(
                    StatusCode::FORBIDDEN,
                    "AccessDeniedException",
                    err.to_string(),
                )),
            };
        }
        let head = RequestParts {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &parts.headers,
        };
        let policy = Policy {
            region: api.home.region.as_str(),
            services: &SERVICES,
            paths: PathStyle::Normalised,
            unsigned_payload: false,
        };
        let claim = Claim::read(head, &policy, now_ms() / 1000).map_err(refused)?;
        // A body of 70 MB is not read, let alone kept, for a key that nobody has. That there is no such
        // key is what the answer says in any case.
        if api.store.snapshot().key(claim.access_key_id()).is_none() {
            return Err(refused(sigv4::Refusal::UnknownKey));
        }
        Ok(Self(Some(claim)))
    }

    /// Lets a caller in whose signature is right.
    ///
    /// # Errors
    /// If it is not.
    pub(crate) async fn enter(self, api: &Api, body: &Bytes) -> Result<Caller, AwsError> {
        let Some(claim) = self.0 else { return Ok(Caller { service: None }) };
        let owned = body.clone();
        let hash = payload::heavy(body.len(), move || Sha256::digest(&owned).into()).await?;
        let snapshot = api.store.snapshot();
        let verified = claim
            .verify(Payload::Sha256(hash), |id| api.secrets.of(&snapshot, id))
            .map_err(refused)?;
        Ok(Caller { service: Some(verified.service) })
    }
}

// === impl Secrets ===

impl Secrets {
    /// The secret of an access key, if there is such a key.
    fn of(&self, snapshot: &Snapshot, id: &str) -> Option<Secret> {
        let key = snapshot.key(id)?;
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((text, secret)) = known.get(id)
            && *text == key.secret
        {
            return Some(secret.clone());
        }
        drop(known);
        let secret = Secret::new(&key.secret);
        let entry = (key.secret.clone(), secret.clone());
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), entry);
        Some(secret)
    }
}

/// A refusal as an error.
pub(crate) fn refused(refusal: sigv4::Refusal) -> AwsError {
    AwsError::new(refusal.status(), refusal.code(), refusal.to_string())
}
