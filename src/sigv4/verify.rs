//! Whether a claim is true.
//!
//! The signature is computed for whoever claims to have made it, with the secret of nobody if no
//! such key exists, and compared in constant time: neither the time taken nor the order of checks
//! tells a stranger which keys there are. (The answer does, as AWS's does: access key ids are not
//! secrets.)

use hmac::Mac as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::canonical;
use crate::claim::{Claim, Content, Policy, RequestParts};
use crate::credential::Secret;
use crate::refusal::Refusal;

/// The body of a request.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// All of it.
    Bytes(&'a [u8]),
    /// Its SHA-256, computed while it was read.
    Sha256([u8; 32]),
}

/// A request that was signed by the owner of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The public half of the key.
    pub access_key_id: String,
    /// The service it was signed for, one of the policy's.
    pub service: String,
    /// When, seconds since the epoch.
    pub signed_at: u64,
}

/// Verifies a request whose body is at hand: [`Claim::read`] and [`Claim::verify`] in one.
///
/// `now` is seconds since the epoch; `lookup` finds the secret of an access key.
///
/// # Errors
/// The refusal to answer with.
pub fn verify(
    parts: RequestParts<'_>,
    payload: Payload<'_>,
    now: u64,
    policy: &Policy<'_>,
    lookup: impl FnOnce(&str) -> Option<Secret>,
) -> Result<Verified, Refusal> {
    Claim::read(parts, policy, now)?.verify(payload, lookup)
}

// === impl Claim ===

impl Claim<'_> {
    /// Compares the signature with the one the key's owner would have made.
    ///
    /// # Errors
    /// [`Refusal::UnknownKey`] if there is no such key or its session token is another one,
    /// [`Refusal::Mismatch`] if the signature or the body is not what was signed.
    pub fn verify(
        self,
        payload: Payload<'_>,
        lookup: impl FnOnce(&str) -> Option<Secret>,
    ) -> Result<Verified, Refusal> {
        let (known, secret) = match lookup(&self.access_key_id) {
            Some(secret) => (true, secret),
            None => (false, Secret::of_nobody()),
        };
        let actual = canonical::hex(&payload.sha256());
        let said = match &self.content {
            Content::Unsigned => "UNSIGNED-PAYLOAD",
            Content::Hash(said) => said,
            Content::Unsaid => &actual,
        };
        let body_is_right = self.content == Content::Unsigned || *said == actual;
        let text = canonical::string_to_sign(
            &self.parts,
            self.paths,
            &self.signed_headers,
            said,
            &self.date,
            &self.scope,
        )
        .ok_or(Refusal::Mismatch)?;

        let mut key = secret.signing_key(&self.scope);
        key.update(&text);
        let expected = canonical::hex(&key.finalize().into_bytes().into());
        let signature_is_right: bool = expected.as_bytes().ct_eq(self.signature.as_bytes()).into();

        let token = self.token.as_deref().unwrap_or_default();
        let token_is_right: bool =
            secret.token().unwrap_or_default().as_bytes().ct_eq(token.as_bytes()).into();
        if !known || !token_is_right {
            return Err(Refusal::UnknownKey);
        }
        if !signature_is_right || !body_is_right {
            return Err(Refusal::Mismatch);
        }
        Ok(Verified {
            access_key_id: self.access_key_id,
            service: self.service,
            signed_at: self.signed_at,
        })
    }
}

// === impl Payload ===

impl Payload<'_> {
    pub(crate) fn sha256(self) -> [u8; 32] {
        match self {
            Self::Bytes(bytes) => Sha256::digest(bytes).into(),
            Self::Sha256(hash) => hash,
        }
    }
}

#[cfg(test)]
mod tests;
