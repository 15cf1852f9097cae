//! Addresses of packages that can be fetched without credentials, for ten minutes.
//!
//! GetFunction answers one, as AWS does, so that people can `curl` it. It is a presigned URL of
//! Signature Version 4, made with a key that lives as long as this process and opens nothing else;
//! it is verified by the same code as every other signature.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::request::Parts;
use httpd::AwsError;
use jiff::Timestamp;
use model::id::random_bytes;
use model::{AccountId, Digest, Region};
use sha2::{Digest as _, Sha256};
use sigv4::claim::PathStyle;
use sigv4::verify::Payload;
use sigv4::{Policy, RequestParts, Secret};

use crate::credentials::refused;

/// What addresses of packages begin with, as AWS's do.
pub(crate) const PREFIX: &str = "/snapshots/";

/// How long an address is good, seconds (as AWS's are).
const LIFE: u64 = 600;
/// Names the key; it is no access key, and found under this name here only.
const KEY_ID: &str = "HEARTHPACKAGES";
/// The service that the key is for.
const SERVICE: &str = "lambda";

/// Makes and verifies addresses.
pub(crate) struct Presigner {
    region: String,
    text: String,
    secret: Secret,
}

// === impl Presigner ===

impl Presigner {
    /// With a new key.
    pub(crate) fn new(region: &Region) -> Self {
        let bytes = random_bytes().into_iter().chain(random_bytes());
        let text: String = bytes.map(|byte| format!("{byte:02x}")).collect();
        Self { region: region.as_str().to_owned(), secret: Secret::new(&text), text }
    }

    /// The address of a package of a function or layer on the server that the caller knows as `host`; `now` is seconds
    /// since the epoch.
    pub(crate) fn location(
        &self,
        host: &str,
        account: &AccountId,
        name: &str,
        package: &Digest,
        now: u64,
    ) -> String {
        let path = format!("{PREFIX}{account}/{name}/{package}");
        let date = timestamp(now);
        let day = &date[..8];
        let scope = format!("{day}/{}/{SERVICE}/aws4_request", self.region);
        let credential = format!("{KEY_ID}/{scope}").replace('/', "%2F");
        // In the order of names, which is the canonical one.
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={date}\
             &X-Amz-Expires={LIFE}&X-Amz-SignedHeaders=host"
        );
        let empty = hex(&Sha256::digest(b""));
        let request = format!("GET\n{path}\n{query}\nhost:{host}\n\nhost\n{empty}");
        let hashed = hex(&Sha256::digest(request));
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashed}");
        let mut key = format!("AWS4{}", self.text).into_bytes();
        for part in [day, &self.region, SERVICE, "aws4_request"] {
            key = hmac(&key, part);
        }
        let signature = hex(&hmac(&key, &text));
        format!("http://{host}{path}?{query}&X-Amz-Signature={signature}")
    }

    /// Whether a request is for an address made here; `now` is seconds since the epoch.
    ///
    /// # Errors
    /// If it is not, or is no longer.
    pub(crate) fn verify(&self, parts: &Parts, now: u64) -> Result<(), AwsError> {
        let head = RequestParts {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &parts.headers,
        };
        let policy = Policy {
            region: &self.region,
            services: &[SERVICE],
            paths: PathStyle::Normalised,
            unsigned_payload: false,
        };
        let lookup = |id: &str| (id == KEY_ID).then(|| self.secret.clone());
        sigv4::verify(head, Payload::Bytes(b""), now, &policy, lookup).map(drop).map_err(refused)
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `20261120T051100Z`
fn timestamp(now: u64) -> String {
    let moment = i64::try_from(now).ok().and_then(|now| Timestamp::from_second(now).ok());
    moment.unwrap_or(Timestamp::MAX).strftime("%Y%m%dT%H%M%SZ").to_string()
}
