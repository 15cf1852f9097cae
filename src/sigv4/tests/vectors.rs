//! AWS's published test vectors: what Amazon's signers sign is believed, and what ours signs is,
//! byte for byte, what theirs does.
//!
//! The requests are text and older than some of HTTP's rules: a request line may hold a blank, a
//! header may be folded over several lines. The reader here unfolds and otherwise passes bytes on.

use std::fs;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use sigv4::sign::Scope;
use sigv4::{
    Credentials, PathStyle, Payload, Policy, Refusal, RequestParts, Secret, Verified, sign, verify,
};

/// 2015-08-30T12:36:00Z, the time of every case.
const NOW: u64 = 1_440_938_160;

/// One folder.
struct Case {
    name: String,
    folder: PathBuf,
    context: Value,
}

/// A request as its text says.
struct Request {
    method: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: String,
}

// === impl Case ===

impl Case {
    fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
        let mut cases: Vec<Self> = fs::read_dir(&folder)
            .expect("the vectors are there")
            .map(|entry| entry.expect("a folder can be read").path())
            .filter(|path| path.is_dir())
            .map(|folder| {
                let context = fs::read(folder.join("context.json")).expect("every case has one");
                Self {
                    name: folder.file_name().expect("it has a name").to_string_lossy().into(),
                    context: serde_json::from_slice(&context).expect("it is JSON"),
                    folder,
                }
            })
            .collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(cases.len(), 38, "cases in the suite");
        cases
    }

    fn request(&self, file: &str) -> Request {
        let text = fs::read_to_string(self.folder.join(file)).expect("the file is there");
        Request::parse(&text)
    }

    fn text(&self, name: &str) -> &str {
        self.context[name].as_str().expect("a text in the context")
    }

    fn secret(&self) -> Secret {
        let credentials = &self.context["credentials"];
        let secret = credentials["secret_access_key"].as_str().expect("a secret");
        match credentials["token"].as_str() {
            Some(token) => Secret::temporary(secret, token),
            None => Secret::new(secret),
        }
    }

    fn access_key_id(&self) -> &str {
        self.context["credentials"]["access_key_id"].as_str().expect("a key")
    }

    /// Two cases add the session token after signing. AWS lets each service choose whether the
    /// token must be signed; here it must.
    fn token_is_unsigned(&self) -> bool {
        self.context["omit_session_token"] == true
    }

    fn paths(&self) -> PathStyle {
        match self.context["normalize"].as_bool() {
            Some(false) => PathStyle::Verbatim,
            _ => PathStyle::Normalised,
        }
    }

    fn verify(&self, request: &Request) -> Result<Verified, Refusal> {
        let service = self.text("service");
        let policy = Policy {
            region: self.text("region"),
            services: &[service],
            paths: self.paths(),
            unsigned_payload: false,
        };
        let payload = Payload::Bytes(request.body.as_bytes());
        verify(request.parts(), payload, NOW, &policy, |id| {
            (id == self.access_key_id()).then(|| self.secret())
        })
    }
}

// === impl Request ===

impl Request {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let line = lines.next().expect("a request line");
        let (method, rest) = line.split_once(' ').expect("a method");
        let target = rest.strip_suffix(" HTTP/1.1").expect("a version");
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in lines {
            match (line.starts_with(' '), fields.last_mut()) {
                (true, Some((_, value))) => value.push_str(line),
                _ => {
                    let (name, value) = line.split_once(':').expect("a header");
                    fields.push((name.to_owned(), value.to_owned()));
                }
            }
        }
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_str(value.trim()).expect("a value"));
        }
        let body = body.to_owned();
        Self { method: method.to_owned(), path: path.to_owned(), query, headers, body }
    }

    fn parts(&self) -> RequestParts<'_> {
        RequestParts {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
        }
    }
}

#[test]
fn every_request_signed_in_its_header_is_believed() {
    for case in Case::all() {
        let mut request = case.request("header-signed-request.txt");
        if case.token_is_unsigned() {
            let header = "x-amz-security-token".to_owned();
            assert_eq!(case.verify(&request), Err(Refusal::Unsigned { header }), "{}", case.name);
            // Without the token the same signature stands, for a key that needs none.
            request.headers.remove("x-amz-security-token");
            assert_eq!(case.verify(&request), Err(Refusal::UnknownKey), "{}", case.name);
            continue;
        }
        let verified = case.verify(&request).unwrap_or_else(|err| panic!("{}: {err}", case.name));
        assert_eq!(verified.access_key_id, case.access_key_id());
        assert_eq!(verified.signed_at, NOW);
    }
}

#[test]
fn every_request_signed_in_its_query_is_believed() {
    for case in Case::all() {
        let request = case.request("query-signed-request.txt");
        let result = case.verify(&request);
        if case.token_is_unsigned() {
            assert_eq!(result, Err(Refusal::Mismatch), "{}", case.name);
        } else {
            assert!(result.is_ok(), "{}: {result:?}", case.name);
        }
    }
}

#[test]
fn what_we_sign_is_what_amazon_signs() {
    for case in Case::all() {
        if case.token_is_unsigned() {
            continue;
        }
        let signed = case.request("header-signed-request.txt");
        let mut request = case.request("request.txt");
        if let Some(hash) = signed.headers.get("x-amz-content-sha256") {
            request.headers.insert("x-amz-content-sha256", hash.clone());
        }
        // The unsigned form of one case is encoded already, as it is on the wire; its signature is
        // for a service that would not encode it again.
        request.path = signed.path.clone();
        let credentials =
            Credentials { access_key_id: case.access_key_id().to_owned(), secret: case.secret() };
        let scope = Scope {
            region: case.text("region"),
            service: case.text("service"),
            paths: case.paths(),
        };
        let method = Method::from_bytes(request.method.as_bytes()).expect("a method");
        let target = (request.path.as_str(), request.query.as_deref());
        let body = Payload::Bytes(request.body.as_bytes());
        sign(&credentials, scope, &method, target, &mut request.headers, body, NOW)
            .unwrap_or_else(|err| panic!("{}: {err}", case.name));
        assert_eq!(request.headers, signed.headers, "{}", case.name);
    }
}

#[test]
fn a_vector_with_another_secret_is_not_believed() {
    for case in Case::all() {
        if case.token_is_unsigned() {
            continue;
        }
        let mut other = Case { name: case.name.clone(), ..case };
        other.context["credentials"]["secret_access_key"] = Value::from("another");
        let request = other.request("header-signed-request.txt");
        assert_eq!(other.verify(&request), Err(Refusal::Mismatch), "{}", other.name);
    }
}
