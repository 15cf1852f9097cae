//! What a request says about who signed it, read from its head.
//!
//! A claim is found in one of two places: the `Authorization` header, or, for a presigned URL, the
//! query. Both at once are refused, as is everything that needs no secret to be seen: a missing
//! part, another region or service, a stale date, a header that had to be signed and is not. What is
//! left, whether the signature is right, is [`Claim::verify`]'s question and needs the body.

use http::HeaderMap;

use crate::credential::TERMINATOR;
use crate::refusal::Refusal;
use crate::time;

mod authorization;
mod presigned;

/// How long before or after our time a request may be signed, seconds (AWS's five minutes).
const SKEW: u64 = 300;
/// Longest life of a presigned URL, seconds (AWS's seven days).
const LONGEST_PRESIGNED: u64 = 604_800;
/// The one algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The head of a request, as it came: nothing decoded.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// Such as `POST`.
    pub method: &'a str,
    /// Up to the `?`.
    pub path: &'a str,
    /// After the `?`.
    pub query: Option<&'a str>,
    /// All of them, `Host` included.
    pub headers: &'a HeaderMap,
}

/// How a service canonicalises paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathStyle {
    /// Dot segments and empty segments removed, then encoded once more: all services but S3.
    Normalised,
    /// As it is on the wire, because `..` and `//` may be in an object's key: S3.
    Verbatim,
}

/// What a listener accepts.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// The one region.
    pub region: &'a str,
    /// Names of services as they stand in a credential's scope, the usual one first.
    pub services: &'a [&'a str],
    /// How they canonicalise paths.
    pub paths: PathStyle,
    /// Whether `UNSIGNED-PAYLOAD` is good enough; S3 alone needs it.
    pub unsigned_payload: bool,
}

/// A request's claim to have been signed by somebody: complete and current, not yet believed.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    pub(crate) parts: RequestParts<'a>,
    pub(crate) paths: PathStyle,
    pub(crate) access_key_id: String,
    /// `date/region/service/aws4_request`.
    pub(crate) scope: String,
    pub(crate) service: String,
    /// Lower-case names, sorted, joined by `;`.
    pub(crate) signed_headers: String,
    pub(crate) signature: String,
    /// The timestamp as it was signed.
    pub(crate) date: String,
    /// The same, seconds since the epoch.
    pub(crate) signed_at: u64,
    pub(crate) token: Option<String>,
    /// `x-amz-content-sha256`.
    pub(crate) content: Content,
}

/// The parts of a signature as they were found, all that must be there.
struct Raw {
    credential: String,
    signed_headers: String,
    signature: String,
    date: String,
    /// A presigned URL has it, a header has not.
    expires: Option<String>,
    token: Option<String>,
}

/// What a request says about its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// Nothing: the hash is that of the body, whatever it is.
    Unsaid,
    /// This hash.
    Hash(String),
    /// That it is not signed.
    Unsigned,
}

// === impl Claim ===

impl<'a> Claim<'a> {
    /// Reads the claim of a request that arrived at `now`, seconds since the epoch.
    ///
    /// # Errors
    /// Whatever can be refused without a secret.
    pub fn read(parts: RequestParts<'a>, policy: &Policy<'_>, now: u64) -> Result<Self, Refusal> {
        let in_header = parts.headers.contains_key(http::header::AUTHORIZATION);
        let in_query = parts.query.is_some_and(presigned::mentioned);
        let raw = match (in_header, in_query) {
            (false, false) => return Err(Refusal::MissingToken),
            (true, true) => return Err(Refusal::TwoMechanisms),
            (true, false) => authorization::read(parts.headers)?,
            (false, true) => presigned::read(parts.query.unwrap_or_default())?,
        };
        let Raw { credential, signed_headers, signature, date, expires, token } = raw;

        let signed_at = time::parse(&date).ok_or_else(|| Refusal::Date { date: date.clone() })?;
        check_signed_headers(&signed_headers, parts.headers, in_header)?;
        let (access_key_id, scope, service) = check_scope(&credential, policy, &date)?;
        let life = expires.map(|text| life(&text)).transpose()?;
        check_time(signed_at, now, life)?;
        let content = content(parts.headers, policy)?;

        let paths = policy.paths;
        Ok(Self {
            parts,
            paths,
            access_key_id,
            scope,
            service,
            signed_headers,
            signature,
            date,
            signed_at,
            token,
            content,
        })
    }

    /// The public half of the key that is said to have signed.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }
}

/// The value of a header that may be there once.
fn sole(headers: &HeaderMap, name: &str) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::Incomplete { text: format!("'{name}' must not be repeated.") });
    }
    Ok(Some(String::from_utf8_lossy(value.as_bytes()).into_owned()))
}

/// Names in order, none twice, and among them all that must be signed.
fn check_signed_headers(signed: &str, headers: &HeaderMap, in_header: bool) -> Result<(), Refusal> {
    let ordered = signed.split(';').is_sorted_by(|a, b| a < b);
    if !ordered || signed.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(Refusal::Incomplete {
            text: "SignedHeaders must be lower-case, sorted and without repetition.".to_owned(),
        });
    }
    let covers = |name: &str| signed.split(';').any(|other| other == name);
    if !covers("host") {
        // AWS names both spellings, each in quotes; the outer pair is the message's.
        return Err(Refusal::Unsigned { header: "Host' or ':authority".to_owned() });
    }
    let required = headers.keys().map(|name| name.as_str()).filter(|n| n.starts_with("x-amz-"));
    for name in required.chain(in_header.then_some("x-amz-date")) {
        if !covers(name) {
            return Err(Refusal::Unsigned { header: name.to_owned() });
        }
    }
    Ok(())
}

/// `keyid/date/region/service/aws4_request`, all as they must be; key, scope and service of it.
fn check_scope(
    credential: &str,
    policy: &Policy<'_>,
    date: &str,
) -> Result<(String, String, String), Refusal> {
    let parts: Vec<&str> = credential.split('/').collect();
    let [key, day, region, service, terminator] = parts[..] else {
        return Err(Refusal::Credential { credential: credential.to_owned() });
    };
    let mut text = String::new();
    if region != policy.region {
        text.push_str("Credential should be scoped to a valid region. ");
    }
    if !policy.services.contains(&service) {
        let usual = policy.services.first().unwrap_or(&"");
        text.push_str(&format!("Credential should be scoped to correct service: '{usual}'. "));
    }
    if terminator != TERMINATOR {
        text.push_str(&format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}', not \
             '{terminator}'. "
        ));
    }
    if day != &date[..8] {
        text.push_str(&format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: '{day}' != '{}', from '{date}'. ",
            &date[..8]
        ));
    }
    if !text.is_empty() {
        return Err(Refusal::Scope { text });
    }
    let scope = credential[key.len() + 1..].to_owned();
    Ok((key.to_owned(), scope, service.to_owned()))
}

fn life(text: &str) -> Result<u64, Refusal> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: Option<u64> = digits.then(|| text.parse().ok()).flatten();
    seconds.filter(|seconds| (1..=LONGEST_PRESIGNED).contains(seconds)).ok_or(Refusal::Expires)
}

/// `life` is that of a presigned URL; a header's signature is good for five minutes.
fn check_time(signed_at: u64, now: u64, life: Option<u64>) -> Result<(), Refusal> {
    let life = life.unwrap_or(SKEW);
    if signed_at + life < now {
        return Err(Refusal::Expired {
            signed: time::format(signed_at),
            earliest: time::format(now - life),
            now: time::format(now),
            window: window(life),
        });
    }
    if signed_at > now + SKEW {
        return Err(Refusal::NotYetCurrent {
            signed: time::format(signed_at),
            latest: time::format(now + SKEW),
            now: time::format(now),
            window: window(SKEW),
        });
    }
    Ok(())
}

fn window(seconds: u64) -> String {
    if seconds.is_multiple_of(60) {
        format!("{} min.", seconds / 60)
    } else {
        format!("{seconds} sec.")
    }
}

fn content(headers: &HeaderMap, policy: &Policy<'_>) -> Result<Content, Refusal> {
    match sole(headers, "x-amz-content-sha256")? {
        None => Ok(Content::Unsaid),
        Some(hash) if hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(Content::Hash(hash))
        }
        Some(text) if text == "UNSIGNED-PAYLOAD" && policy.unsigned_payload => {
            Ok(Content::Unsigned)
        }
        Some(_) => Err(Refusal::Payload),
    }
}

#[cfg(test)]
mod tests;
