//! What is promised about verification: only the owner of the key, and only this very request.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

use super::{Payload, Verified, verify};
use crate::canonical;
use crate::claim::{PathStyle, Policy, RequestParts};
use crate::credential::{Credentials, Secret};
use crate::refusal::Refusal;
use crate::sign::{Scope, SignError, sign};

const NOW: u64 = 1_440_938_160;
const KEY: &str = "AKIDEXAMPLE";

const POLICY: Policy<'_> = Policy {
    region: "us-east-1",
    services: &["lambda", "logs"],
    paths: PathStyle::Normalised,
    unsigned_payload: false,
};

#[derive(Debug, Clone)]
struct Request {
    method: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Vec<u8>,
}

// === impl Request ===

impl Request {
    fn example() -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("localhost:9000"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("x-amz-log-type", HeaderValue::from_static("Tail"));
        Self {
            method: "POST".to_owned(),
            path: "/2015-03-31/functions/arn%3Aaws%3Alambda/invocations".to_owned(),
            query: Some("Qualifier=live&a=%20".to_owned()),
            headers,
            body: b"{\"a\":1}".to_vec(),
        }
    }

    fn signed_by(mut self, secret: Secret) -> Self {
        let credentials = Credentials { access_key_id: KEY.to_owned(), secret };
        let scope = Scope { region: "us-east-1", service: "lambda", paths: PathStyle::Normalised };
        let method = Method::from_bytes(self.method.as_bytes()).unwrap();
        let target = (self.path.as_str(), self.query.as_deref());
        let body = Payload::Bytes(&self.body);
        sign(&credentials, scope, &method, target, &mut self.headers, body, NOW).unwrap();
        self
    }

    fn signed() -> Self {
        Self::example().signed_by(Secret::new("secret"))
    }

    fn parts(&self) -> RequestParts<'_> {
        RequestParts {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
        }
    }

    fn verify_with(&self, secret: Option<Secret>) -> Result<Verified, Refusal> {
        let body = Payload::Bytes(&self.body);
        verify(self.parts(), body, NOW, &POLICY, |id| secret.filter(|_| id == KEY))
    }

    fn verify(&self) -> Result<Verified, Refusal> {
        self.verify_with(Some(Secret::new("secret")))
    }

    /// What the request means, independent of spelling: only this must not change unnoticed.
    fn meaning(&self) -> impl PartialEq + use<> {
        let mut query: Vec<(Vec<u8>, Vec<u8>)> =
            canonical::parameters(self.query.as_deref().unwrap_or_default())
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
        query.sort();
        let mut headers: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for (name, value) in &self.headers {
            let words: Vec<&[u8]> = value
                .as_bytes()
                .split(|byte| matches!(byte, b' ' | b'\t'))
                .filter(|word| !word.is_empty())
                .collect();
            headers.entry(name.to_string()).or_default().push(words.join(&b' '));
        }
        (self.method.clone(), self.path.clone(), query, headers, self.body.clone())
    }
}

#[test]
fn what_the_owner_signed_is_believed() {
    let verified = Request::signed().verify().unwrap();
    let expected =
        Verified { access_key_id: KEY.to_owned(), service: "lambda".to_owned(), signed_at: NOW };
    assert_eq!(verified, expected);
}

#[test]
fn a_hash_computed_elsewhere_serves_as_well_as_the_body() {
    let request = Request::signed();
    let payload = Payload::Sha256(Payload::Bytes(&request.body).sha256());
    let secret = Secret::new("secret");
    assert!(verify(request.parts(), payload, NOW, &POLICY, |_| Some(secret)).is_ok());
}

#[test]
fn an_unknown_key_and_a_wrong_secret_are_told_apart_in_awss_words() {
    let unknown = Request::signed().verify_with(None).unwrap_err();
    assert_eq!(unknown.code(), "UnrecognizedClientException");
    assert_eq!(unknown.to_string(), "The security token included in the request is invalid.");
    let wrong = Request::signed().verify_with(Some(Secret::new("other"))).unwrap_err();
    assert_eq!(wrong.code(), "InvalidSignatureException");
    assert_eq!(
        wrong.to_string(),
        "The request signature we calculated does not match the signature you provided. Check your \
         AWS Secret Access Key and signing method. Consult the service documentation for details."
    );
}

#[test]
fn nobodys_secret_opens_nothing() {
    let request = Request::example().signed_by(Secret::of_nobody());
    assert_eq!(request.verify_with(None), Err(Refusal::UnknownKey));
}

#[test]
fn a_temporary_key_needs_its_own_token_and_a_permanent_one_none() {
    let temporary = Secret::temporary("secret", "token");
    let request = Request::example().signed_by(temporary.clone());
    assert!(request.verify_with(Some(temporary.clone())).is_ok());
    assert_eq!(Request::signed().verify_with(Some(temporary.clone())), Err(Refusal::UnknownKey));
    assert_eq!(request.verify(), Err(Refusal::UnknownKey));
    let other = Request::example().signed_by(Secret::temporary("secret", "other"));
    assert_eq!(other.verify_with(Some(temporary)), Err(Refusal::UnknownKey));
}

#[test]
fn the_hash_in_the_header_must_be_that_of_the_body() {
    let mut request = Request::example();
    let hash = canonical::hex(&Payload::Bytes(&request.body).sha256());
    request.headers.insert("x-amz-content-sha256", HeaderValue::from_str(&hash).unwrap());
    let mut request = request.signed_by(Secret::new("secret"));
    assert!(request.verify().is_ok());
    request.body.push(b' ');
    assert_eq!(request.verify(), Err(Refusal::Mismatch));
}

#[test]
fn a_signed_header_that_is_not_there_is_a_mismatch() {
    let mut request = Request::signed();
    request.headers.remove("content-type");
    assert_eq!(request.verify(), Err(Refusal::Mismatch));
}

#[test]
fn a_request_without_a_host_is_not_signed() {
    let mut headers = HeaderMap::new();
    let credentials = Credentials { access_key_id: KEY.to_owned(), secret: Secret::new("secret") };
    let scope = Scope { region: "us-east-1", service: "lambda", paths: PathStyle::Normalised };
    let body = Payload::Bytes(b"");
    let result = sign(&credentials, scope, &Method::GET, ("/", None), &mut headers, body, NOW);
    assert_eq!(result, Err(SignError::NoHost));
}

/// Where a byte is flipped: the request's parts one after the other.
fn flip(request: &mut Request, at: usize, mask: u8) -> Option<()> {
    fn text(text: &mut String, at: usize, mask: u8) -> Option<()> {
        let mut bytes = std::mem::take(text).into_bytes();
        *bytes.get_mut(at)? ^= mask;
        // What is not UTF-8 cannot be in a request line that was parsed at all.
        *text = String::from_utf8(bytes).ok()?;
        Some(())
    }
    let mut at = at;
    for part in [&mut request.method, &mut request.path] {
        if at < part.len() {
            return text(part, at, mask);
        }
        at -= part.len();
    }
    if let Some(query) = &mut request.query {
        if at < query.len() {
            return text(query, at, mask);
        }
        at -= query.len();
    }
    let names: Vec<HeaderName> = request.headers.keys().cloned().collect();
    for name in names {
        let mut value = request.headers[&name].as_bytes().to_vec();
        if at < value.len() {
            value[at] ^= mask;
            request.headers.insert(&name, HeaderValue::from_bytes(&value).ok()?);
            return Some(());
        }
        at -= value.len();
        let mut spelled = name.as_str().as_bytes().to_vec();
        if at < spelled.len() {
            spelled[at] ^= mask;
            let renamed = HeaderName::from_bytes(&spelled).ok()?;
            let value = request.headers.remove(&name)?;
            request.headers.append(renamed, value);
            return Some(());
        }
        at -= spelled.len();
    }
    *request.body.get_mut(at)? ^= mask;
    Some(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn no_request_makes_the_verifier_panic(
        authorization in "\\PC{0,60}|AWS4-HMAC-SHA256 [A-Za-z=,;/ 0-9_-]{0,120}",
        date in "[0-9TZ]{0,17}",
        query in proptest::option::of("([A-Za-z-]{0,12}=?[%0-9a-zA-Z+]{0,6}&?){0,6}"),
        path in "/?[a-z./%]{0,20}",
    ) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(authorization.as_bytes()) {
            headers.insert("authorization", value);
        }
        headers.insert("x-amz-date", HeaderValue::from_str(&date).unwrap());
        let parts = RequestParts { method: "GET", path: &path, query: query.as_deref(), headers: &headers };
        let result = verify(parts, Payload::Bytes(b""), NOW, &POLICY, |_| Some(Secret::new("s")));
        prop_assert!(result.is_err());
    }

    #[test]
    fn whatever_is_signed_here_is_believed_here(
        path in "/[a-zA-Z0-9:@$%./~ -]{0,30}",
        query in proptest::option::of("[a-zA-Z0-9=&%+._~-]{0,30}"),
        value in "[ -~]{0,20}",
        body in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut request = Request { path, query, body, ..Request::example() };
        request.headers.append("my-header", HeaderValue::from_str(&value).unwrap());
        prop_assert!(request.signed_by(Secret::new("secret")).verify().is_ok());
    }
}

#[test]
fn one_changed_byte_anywhere_is_refused() {
    let original = Request::signed();
    let meaning = original.meaning();
    let mut tried = 0;
    for at in 0..700 {
        for mask in 1..=255 {
            let mut changed = original.clone();
            if flip(&mut changed, at, mask).is_none() || changed.meaning() == meaning {
                continue;
            }
            tried += 1;
            assert!(changed.verify().is_err(), "byte {at}, mask {mask}: {changed:?}");
        }
    }
    assert!(tried > 50_000, "{tried} changes that mean something");
}
