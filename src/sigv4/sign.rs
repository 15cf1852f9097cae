//! Requests signed, for our own client of our own API.
//!
//! Signs what AWS's SDKs sign: every header that is there, except those that a hop on the way may
//! change.

use hmac::Mac as _;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::canonical;
use crate::claim::{PathStyle, RequestParts};
use crate::credential::{Credentials, TERMINATOR};
use crate::time;
use crate::verify::Payload;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const CONTENT: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// Headers that belong to one hop, or that an HTTP client writes after the signature was made.
const UNSIGNED: [&str; 10] = [
    "authorization",
    "connection",
    "expect",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// What, where and for whom a signature is made.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Such as `us-east-1`.
    pub region: &'a str,
    /// Such as `lambda`.
    pub service: &'a str,
    /// How that service canonicalises paths.
    pub paths: PathStyle,
}

/// A request that cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The server would not know what the signature covers.
    #[error("the request has no Host header")]
    NoHost,
    /// A key or token with a line break or the like.
    #[error("{header} would hold characters that no header may")]
    Unprintable {
        /// The header.
        header: HeaderName,
    },
}

/// Signs a request by adding `x-amz-date`, `authorization` and, for a temporary key,
/// `x-amz-security-token` to its headers; `now` is seconds since the epoch.
///
/// `path` and `query` are as they will be on the wire; every header that is sent must be there
/// already, `Host` above all.
///
/// # Errors
/// See [`SignError`]; the headers are then not to be used.
pub fn sign(
    credentials: &Credentials,
    scope: Scope<'_>,
    method: &Method,
    (path, query): (&str, Option<&str>),
    headers: &mut HeaderMap,
    payload: Payload<'_>,
    now: u64,
) -> Result<(), SignError> {
    if !headers.contains_key(HOST) {
        return Err(SignError::NoHost);
    }
    let date = time::format(now);
    headers.insert(DATE, value(&DATE, &date)?);
    if let Some(token) = credentials.secret.token() {
        headers.insert(TOKEN, value(&TOKEN, token)?);
    }
    headers.remove(AUTHORIZATION);

    let mut names: Vec<&str> =
        headers.keys().map(HeaderName::as_str).filter(|name| !UNSIGNED.contains(name)).collect();
    names.sort_unstable();
    let signed_headers = names.join(";");
    let hash = match headers.get(CONTENT).and_then(|value| value.to_str().ok()) {
        Some(said) => said.to_owned(),
        None => canonical::hex(&payload.sha256()),
    };
    let scope_text = format!("{}/{}/{}/{TERMINATOR}", &date[..8], scope.region, scope.service);
    let parts = RequestParts { method: method.as_str(), path, query, headers };
    let text =
        canonical::string_to_sign(&parts, scope.paths, &signed_headers, &hash, &date, &scope_text)
            .ok_or(SignError::NoHost)?;

    let mut key = credentials.secret.signing_key(&scope_text);
    key.update(&text);
    let signature = canonical::hex(&key.finalize().into_bytes().into());
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope_text}, SignedHeaders={signed_headers}, \
         Signature={signature}",
        credentials.access_key_id
    );
    headers.insert(AUTHORIZATION, value(&AUTHORIZATION, &authorization)?);
    Ok(())
}

fn value(header: &HeaderName, text: &str) -> Result<HeaderValue, SignError> {
    HeaderValue::from_str(text).map_err(|_| SignError::Unprintable { header: header.clone() })
}
