//! Why a request is not believed, in AWS's words.
//!
//! `Display` is the message a client gets; [`Refusal::code`] goes into `x-amzn-ErrorType` and
//! [`Refusal::status`] is the HTTP status. The words are those of the front end that stands before
//! Lambda and API Gateway, which answers 403 throughout. What a client sent in `Authorization` is
//! never echoed: as AWS does, only its hash, since people put passwords there.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest as _, Sha256};

/// A request that was not signed well enough.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No credentials at all.
    #[error("Missing Authentication Token")]
    MissingToken,
    /// Credentials in the header and in the query: which would count is nobody's guess to make.
    #[error(
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature \
         query string parameter or the Authorization header should be specified"
    )]
    TwoMechanisms,
    /// `Authorization` is of another scheme, or not a list of assignments.
    #[error(
        "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 \
         and encoded with Base64): '{hash}'."
    )]
    NotAssignments {
        /// Of the header's value.
        hash: String,
    },
    /// Parts of the signature are missing.
    #[error("{text}")]
    Incomplete {
        /// One sentence per missing part.
        text: String,
    },
    /// Another algorithm than `AWS4-HMAC-SHA256`.
    #[error("Unsupported AWS 'algorithm': '{algorithm}'")]
    Algorithm {
        /// What was asked for.
        algorithm: String,
    },
    /// The credential has no five parts.
    #[error(
        "Credential must have exactly 5 slash-delimited elements, e.g. \
         keyid/date/region/service/term, got '{credential}'"
    )]
    Credential {
        /// What was given.
        credential: String,
    },
    /// The timestamp is not one.
    #[error(
        "Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
    )]
    Date {
        /// What was given.
        date: String,
    },
    /// `X-Amz-Expires` is not a number of seconds up to a week.
    #[error("X-Amz-Expires must be a number of seconds between 1 and 604800")]
    Expires,
    /// `x-amz-content-sha256` names a way of signing the body that is not accepted here.
    #[error("x-amz-content-sha256 must be a valid sha256 value.")]
    Payload,
    /// A header that must be signed is not.
    #[error("'{header}' must be a 'SignedHeader' in the AWS Authorization.")]
    Unsigned {
        /// Its name.
        header: String,
    },
    /// The credential is for another region, service, day or purpose.
    #[error("{text}")]
    Scope {
        /// One sentence per part that does not fit, each with a blank after it, as AWS has it.
        text: String,
    },
    /// Too old.
    #[error("Signature expired: {signed} is now earlier than {earliest} ({now} - {window})")]
    Expired {
        /// When it was signed.
        signed: String,
        /// The earliest that would do.
        earliest: String,
        /// Our time.
        now: String,
        /// The difference, such as `5 min.`
        window: String,
    },
    /// From the future.
    #[error("Signature not yet current: {signed} is still later than {latest} ({now} + {window})")]
    NotYetCurrent {
        /// When it says it was signed.
        signed: String,
        /// The latest that would do.
        latest: String,
        /// Our time.
        now: String,
        /// The difference, such as `5 min.`
        window: String,
    },
    /// The signature, or the hash it covers, is not that of this request.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your \
         AWS Secret Access Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
    /// Nobody has this access key, or the session token is not the one that belongs to it.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
}

// === impl Refusal ===

impl Refusal {
    /// AWS's name for it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingToken => "MissingAuthenticationTokenException",
            Self::UnknownKey => "UnrecognizedClientException",
            Self::TwoMechanisms
            | Self::NotAssignments { .. }
            | Self::Incomplete { .. }
            | Self::Algorithm { .. }
            | Self::Credential { .. }
            | Self::Date { .. }
            | Self::Expires
            | Self::Payload => "IncompleteSignatureException",
            Self::Unsigned { .. }
            | Self::Scope { .. }
            | Self::Expired { .. }
            | Self::NotYetCurrent { .. }
            | Self::Mismatch => "InvalidSignatureException",
        }
    }

    /// The HTTP status; one for all, so that it tells a prober nothing.
    pub fn status(&self) -> http::StatusCode {
        http::StatusCode::FORBIDDEN
    }
}

/// Base64 of SHA-256, which is how AWS names a header without repeating it.
pub(crate) fn hash_of(value: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(value))
}
