//! What a request says about who signed it, read from its head.
//!
//! A claim is found in one of two places: the `Authorization` header, or, for a presigned URL, the
//! query. Both at once are refused, as is everything that needs no secret to be seen: a missing
//! part, another region or service, a stale date, a header that had to be signed and is not. What is
//! left, whether the signature is right, is [`Claim::verify`]'s question and needs the body.

use http::HeaderMap;

use crate::canonical;
use crate::credential::TERMINATOR;
use crate::refusal::{Refusal, hash_of};
use crate::time;

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

/// The parts of a signature, before any of them is looked at.
#[derive(Default)]
struct Raw {
    credential: Option<String>,
    signed_headers: Option<String>,
    signature: Option<String>,
    date: Option<String>,
    expires: Option<String>,
    token: Option<String>,
}

// === impl Claim ===

impl<'a> Claim<'a> {
    /// Reads the claim of a request that arrived at `now`, seconds since the epoch.
    ///
    /// # Errors
    /// Whatever can be refused without a secret.
    pub fn read(
        parts: RequestParts<'a>,
        policy: &Policy<'_>,
        now: u64,
    ) -> Result<Self, Refusal> {
        let in_header = parts.headers.contains_key(http::header::AUTHORIZATION);
        let in_query = parts.query.is_some_and(mentions_signature);
        let raw = match (in_header, in_query) {
            (false, false) => return Err(Refusal::MissingToken),
            (true, true) => return Err(Refusal::TwoMechanisms),
            (true, false) => Raw::from_header(&parts)?,
            (false, true) => Raw::from_query(&parts)?,
        };
        let missing = || Refusal::Incomplete { text: String::new() };
        let (Some(credential), Some(signed_headers)) = (raw.credential, raw.signed_headers) else {
            return Err(missing());
        };
        let (Some(signature), Some(date)) = (raw.signature, raw.date) else {
            return Err(missing());
        };

        let signed_at =
            time::parse(&date).ok_or_else(|| Refusal::Date { date: date.clone() })?;
        check_signed_headers(&signed_headers, parts.headers, in_header)?;
        let (access_key_id, scope, service) = check_scope(&credential, policy, &date)?;
        let life = raw.expires.map(|text| expires(&text)).transpose()?;
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
            token: raw.token,
            content,
        })
    }

    /// The public half of the key that is said to have signed.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }
}

// === impl Raw ===

impl Raw {
    fn from_header(parts: &RequestParts<'_>) -> Result<Self, Refusal> {
        let value = sole(parts.headers, "authorization")?.unwrap_or_default();
        let not_assignments = || Refusal::NotAssignments { hash: hash_of(value.as_bytes()) };
        let (algorithm, rest) = value.trim().split_once(' ').ok_or_else(not_assignments)?;
        if algorithm != ALGORITHM {
            // `AWS4-…` of another kind was at least meant for us; `Bearer` and `Basic` were not.
            if algorithm.starts_with("AWS4-") {
                return Err(Refusal::Algorithm { algorithm: algorithm.to_owned() });
            }
            return Err(not_assignments());
        }
        let mut raw = Self::default();
        for assignment in rest.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            let (name, value) = assignment.split_once('=').ok_or_else(not_assignments)?;
            let slot = match name {
                "Credential" => &mut raw.credential,
                "SignedHeaders" => &mut raw.signed_headers,
                "Signature" => &mut raw.signature,
                _ => return Err(not_assignments()),
            };
            if slot.replace(value.to_owned()).is_some() {
                return Err(not_assignments());
            }
        }
        raw.date = sole(parts.headers, "x-amz-date")?;
        raw.token = sole(parts.headers, "x-amz-security-token")?;

        let mut text = String::new();
        for (name, part) in [
            ("Credential", &raw.credential),
            ("Signature", &raw.signature),
            ("SignedHeaders", &raw.signed_headers),
        ] {
            if part.is_none() {
                text.push_str(&format!("Authorization header requires '{name}' parameter. "));
            }
        }
        if raw.date.is_none() {
            text.push_str(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                 header. ",
            );
        }
        if text.is_empty() {
            return Ok(raw);
        }
        let hash = hash_of(value.as_bytes());
        text.push_str(&format!("(Hashed with SHA-256 and encoded with Base64) Authorization={hash}"));
        Err(Refusal::Incomplete { text })
    }

    fn from_query(parts: &RequestParts<'_>) -> Result<Self, Refusal> {
        let mut raw = Self::default();
        let mut algorithm = None;
        for (name, value) in canonical::parameters(parts.query.unwrap_or_default()) {
            let slot = match &*name {
                b"X-Amz-Algorithm" => &mut algorithm,
                b"X-Amz-Credential" => &mut raw.credential,
                b"X-Amz-SignedHeaders" => &mut raw.signed_headers,
                b"X-Amz-Signature" => &mut raw.signature,
                b"X-Amz-Date" => &mut raw.date,
                b"X-Amz-Expires" => &mut raw.expires,
                b"X-Amz-Security-Token" => &mut raw.token,
                _ => continue,
            };
            let text = String::from_utf8_lossy(&value).into_owned();
            if slot.replace(text).is_some() {
                let name = String::from_utf8_lossy(&name);
                return Err(Refusal::Incomplete {
                    text: format!("AWS query-string parameters must not repeat '{name}'."),
                });
            }
        }
        let mut text = String::new();
        for (name, part) in [
            ("X-Amz-Algorithm", &algorithm),
            ("X-Amz-Credential", &raw.credential),
            ("X-Amz-Signature", &raw.signature),
            ("X-Amz-SignedHeaders", &raw.signed_headers),
            ("X-Amz-Date", &raw.date),
            ("X-Amz-Expires", &raw.expires),
        ] {
            if part.is_none() {
                text.push_str(&format!("AWS query-string parameters must include '{name}'. "));
            }
        }
        if !text.is_empty() {
            text.push_str("Re-examine the query-string parameters.");
            return Err(Refusal::Incomplete { text });
        }
        match algorithm {
            Some(algorithm) if algorithm != ALGORITHM => Err(Refusal::Algorithm { algorithm }),
            _ => Ok(raw),
        }
    }
}

/// Whether a query holds any parameter that only a presigned URL has, however it is spelled.
fn mentions_signature(query: &str) -> bool {
    const NAMES: [&str; 6] = [
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-signature",
        "x-amz-signedheaders",
        "x-amz-date",
        "x-amz-expires",
    ];
    canonical::parameters(query)
        .any(|(name, _)| NAMES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())))
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
fn check_signed_headers(
    signed: &str,
    headers: &HeaderMap,
    in_header: bool,
) -> Result<(), Refusal> {
    let ordered = signed.split(';').is_sorted_by(|a, b| a < b);
    if !ordered || signed.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(Refusal::Incomplete {
            text: "SignedHeaders must be lower-case, sorted and without repetition.".to_owned(),
        });
    }
    let covers = |name: &str| signed.split(';').any(|other| other == name);
    if !covers("host") {
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

fn expires(text: &str) -> Result<u64, Refusal> {
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
