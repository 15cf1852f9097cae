//! Secrets, and the keys derived from them.
//!
//! A signature is not made with the secret itself but with a key derived from it for one day, one
//! region and one service, by four HMACs. The derived key is remembered *inside* the [`Secret`]: it
//! can never outlive the secret it came from, nor be found under another one's name.

use std::fmt;
use std::sync::{Arc, LazyLock, RwLock};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// HMAC-SHA256, keyed; cloning it is cheaper than keying it again.
pub(crate) type SigningKey = Hmac<Sha256>;

/// Derived keys remembered per secret: two days around midnight, a handful of services.
///
/// Only scopes that passed the policy get here, so a stranger cannot push useful ones out.
const REMEMBERED: usize = 8;

/// Bytes of a scope's ending, `/aws4_request`.
pub(crate) const TERMINATOR: &str = "aws4_request";

/// A secret access key; cheap to clone, and never printed.
#[derive(Clone)]
pub struct Secret(Arc<Inner>);

struct Inner {
    /// What the key's owner was given.
    text: Box<str>,
    /// The session token that belongs to a temporary key.
    token: Option<Box<str>>,
    /// `date/region/service/aws4_request` and the key for it; the oldest first.
    derived: RwLock<Vec<(Box<str>, SigningKey)>>,
}

/// Who signs.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The public half, such as `AKIAIOSFODNN7EXAMPLE`.
    pub access_key_id: String,
    /// The other half.
    pub secret: Secret,
}

// === impl Secret ===

impl Secret {
    /// The secret of a permanent key.
    pub fn new(text: &str) -> Self {
        Self::with_token(text, None)
    }

    /// The secret of a temporary key, good only together with its session token.
    pub fn temporary(text: &str, token: &str) -> Self {
        Self::with_token(text, Some(token))
    }

    fn with_token(text: &str, token: Option<&str>) -> Self {
        let derived = RwLock::new(Vec::new());
        Self(Arc::new(Inner { text: text.into(), token: token.map(Into::into), derived }))
    }

    /// What a request by an unknown key is checked against, so that it takes the same path.
    pub(crate) fn of_nobody() -> Self {
        static NOBODY: LazyLock<Secret> =
            LazyLock::new(|| Secret::new("0000000000000000000000000000000000000000"));
        NOBODY.clone()
    }

    /// The session token that must accompany the key, if it is a temporary one.
    pub(crate) fn token(&self) -> Option<&str> {
        self.0.token.as_deref()
    }

    /// The key for a scope of the form `date/region/service/aws4_request`.
    pub(crate) fn signing_key(&self, scope: &str) -> SigningKey {
        {
            // A poisoned lock still guards whole entries: they are pushed complete or not at all.
            let known = self.0.derived.read().unwrap_or_else(|poison| poison.into_inner());
            if let Some((_, key)) = known.iter().find(|(of, _)| **of == *scope) {
                return key.clone();
            }
        }
        let mut key = hmac(format!("AWS4{}", self.0.text).as_bytes());
        for part in scope.split('/') {
            key.update(part.as_bytes());
            key = hmac(&key.finalize().into_bytes());
        }
        let mut known = self.0.derived.write().unwrap_or_else(|poison| poison.into_inner());
        if known.len() == REMEMBERED {
            known.remove(0);
        }
        known.push((scope.into(), key.clone()));
        key
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

fn hmac(key: &[u8]) -> SigningKey {
    SigningKey::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests;
