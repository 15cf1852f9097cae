//! Who may ask: every management route wants a signature, and says no in AWS's words.
//!
//! Requests are signed by the harness's own signer; `clients` shows that AWS's signers are believed.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::signature::Signer;
use crate::harness::{Daemon, Function, Home, Options, Request, Response, shared};

const LIST: &str = "/2015-03-31/functions";

/// AWS's answer to a signature that is not this request's.
const MISMATCH: &str = "The request signature we calculated does not match the signature you \
     provided. Check your AWS Secret Access Key and signing method. Consult the service \
     documentation for details.";

fn list() -> Request {
    Request::new("GET", LIST)
}

/// Sends ListFunctions as somebody else would sign it.
fn signed_with(daemon: &Daemon, change: impl FnOnce(&mut Signer)) -> Response {
    let mut signer = daemon.signer();
    change(&mut signer);
    signer.sign(list(), &daemon.api.to_string()).send(daemon.api)
}

/// A time as SigV4 writes it.
fn basic(time: Timestamp) -> String {
    time.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[test]
fn a_request_signed_with_the_administrator_key_is_answered() {
    let daemon = shared();
    let answer = daemon.send(list()).expect(200).json();
    assert!(answer["Functions"].is_array(), "{answer}");
}

#[test]
fn an_unsigned_request_is_refused_on_every_management_route() {
    let daemon = shared();
    for (method, target) in [
        ("GET", "/2015-03-31/functions"),
        ("POST", "/2015-03-31/functions"),
        ("GET", "/2015-03-31/functions/any"),
        ("DELETE", "/2015-03-31/functions/any"),
        ("POST", "/2015-03-31/functions/any/invocations"),
        ("PUT", "/2015-03-31/functions/any/code"),
        ("PUT", "/2015-03-31/functions/any/configuration"),
        ("POST", "/2015-03-31/functions/any/versions"),
        ("GET", "/2015-03-31/functions/any/policy"),
        ("POST", "/2021-10-31/functions/any/url"),
        ("GET", "/2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:function:any"),
        ("PUT", "/2017-10-31/functions/any/concurrency"),
        ("GET", "/2020-06-30/functions/any/code-signing-config"),
        ("GET", "/metrics"),
        ("GET", "/no/such/route"),
    ] {
        let response = Request::new(method, target).send(daemon.api);
        let refused = (response.status, response.header("x-amzn-errortype"));
        let wanted = (403, Some("MissingAuthenticationTokenException"));
        assert_eq!(refused, wanted, "{method} {target}: {response:?}");
        assert_eq!(response.json()["message"], "Missing Authentication Token", "{method} {target}");
    }
}

#[test]
fn a_signature_older_than_five_minutes_is_refused() {
    let daemon = shared();
    let signed = Timestamp::now() - Duration::from_secs(5 * 60 + 30);
    let response = signed_with(&daemon, |signer| signer.time = signed);
    assert_eq!(response.status, 403, "{response:?}");
    assert_eq!(response.header("x-amzn-errortype"), Some("InvalidSignatureException"));
    let message = response.json()["message"].as_str().expect("a message").to_owned();
    let begins = format!("Signature expired: {} is now earlier than ", basic(signed));
    assert!(message.starts_with(&begins), "{message}");
    assert!(message.ends_with(" - 5 min.)"), "{message}");
}

#[test]
fn a_signature_from_the_future_is_refused() {
    let daemon = shared();
    let signed = Timestamp::now() + Duration::from_secs(5 * 60 + 30);
    let response = signed_with(&daemon, |signer| signer.time = signed);
    assert_eq!(response.status, 403, "{response:?}");
    let message = response.json()["message"].as_str().expect("a message").to_owned();
    let begins = format!("Signature not yet current: {} is still later than ", basic(signed));
    assert!(message.starts_with(&begins), "{message}");
}

#[test]
fn a_signature_within_five_minutes_is_accepted() {
    let daemon = shared();
    let past = Timestamp::now() - Duration::from_secs(4 * 60);
    assert_eq!(signed_with(&daemon, |signer| signer.time = past).status, 200);
    let future = Timestamp::now() + Duration::from_secs(4 * 60);
    assert_eq!(signed_with(&daemon, |signer| signer.time = future).status, 200);
}

#[test]
fn a_wrong_secret_is_refused() {
    let response = signed_with(&shared(), |signer| signer.secret.push('x'));
    response.refused(403, "InvalidSignatureException", MISMATCH);
}

#[test]
fn an_unknown_key_is_refused() {
    let response = signed_with(&shared(), |signer| signer.key = "AKIAIOSFODNN7EXAMPLE".to_owned());
    let message = "The security token included in the request is invalid.";
    response.refused(403, "UnrecognizedClientException", message);
}

#[test]
fn a_session_token_that_belongs_to_nobody_is_refused() {
    let response = signed_with(&shared(), |signer| signer.token = Some("made-up".to_owned()));
    let message = "The security token included in the request is invalid.";
    response.refused(403, "UnrecognizedClientException", message);
}

#[test]
fn another_region_or_service_in_the_scope_is_refused() {
    let daemon = shared();
    for change in [
        (|signer: &mut Signer| signer.region = "eu-west-1".to_owned()) as fn(&mut Signer),
        |signer| signer.service = "s3".to_owned(),
    ] {
        let response = signed_with(&daemon, change);
        assert_eq!(response.status, 403, "{response:?}");
        assert_eq!(response.header("x-amzn-errortype"), Some("InvalidSignatureException"));
        let message = response.json()["message"].as_str().expect("a message").to_owned();
        assert!(message.starts_with("Credential should be scoped to "), "{message}");
    }
}

#[test]
fn a_request_changed_after_it_was_signed_is_refused() {
    let daemon = shared();
    let host = daemon.api.to_string();
    let body = json!({"FunctionName": "a"}).to_string();
    let signed = |request: Request| daemon.signer().sign(request, &host);
    let create = || signed(Request::new("POST", LIST).body(body.clone()));

    let mut other_body = create();
    other_body.body = json!({"FunctionName": "b"}).to_string().into_bytes();
    let mut other_path = signed(list());
    other_path.target = "/2015-03-31/functions/a".to_owned();
    let mut other_query = signed(list());
    other_query.target.push_str("?MaxItems=1");
    let mut other_method = create();
    other_method.method = "PUT".to_owned();
    let mut other_header = signed(list().header("x-amz-client-context", "e30="));
    let context = other_header.headers.iter_mut().find(|(name, _)| name == "x-amz-client-context");
    context.expect("just added").1 = "bnVsbA==".to_owned();

    for request in [other_body, other_path, other_query, other_method, other_header] {
        request.send(daemon.api).refused(403, "InvalidSignatureException", MISMATCH);
    }
}

#[test]
fn an_authorization_header_that_is_none_is_refused_without_being_repeated() {
    let daemon = shared();
    for header in ["hunter2", "Bearer hunter2", "Basic aHVudGVyMg==", "AWS4-HMAC-SHA256 hunter2"] {
        let response = list().header("authorization", header).send(daemon.api);
        assert_eq!(response.status, 403, "{response:?}");
        assert!(!response.text().contains("hunter2"), "{response:?}");
        assert!(!response.text().contains("aHVudGVyMg"), "{response:?}");
    }
}

#[test]
fn the_first_start_creates_a_key_that_only_its_owner_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let daemon = Daemon::start_in(&Home::new(), &Options { by_hand: true, ..Options::default() });
    let facts = std::fs::metadata(&daemon.credentials).expect("the credentials are there");
    assert_eq!(facts.permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&daemon.credentials).expect("root may read it");
    let signer = daemon.signer();
    assert!(text.trim_start().starts_with('['), "AWS's format begins with a profile: {text}");
    assert!(signer.secret.len() >= 40, "the secret is as long as AWS's");
    let said = daemon.log();
    let place = daemon.credentials.display().to_string();
    assert!(said.contains(&place), "the daemon says where the key is: {said}");
    assert!(!said.contains(&signer.secret), "and does not say what it is");
}

// ------------------------------------------------------------------------------- --dev

fn in_development() -> Daemon {
    Daemon::start_in(&Home::new(), &Options { dev: true, ..Options::default() })
}

#[test]
fn development_mode_accepts_any_credentials_and_none_but_nothing_from_a_web_page() {
    let daemon = in_development();
    list().send(daemon.api).expect(200);
    signed_with(&daemon, |signer| signer.key = "anything".to_owned()).expect(200);

    let port = daemon.api.port();
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        list().header("host", &host).send(daemon.api).expect(200);
    }
    for (what, request) in [
        ("a foreign host", list().header("host", "attacker.example")),
        ("a host bound anew", list().header("host", &format!("attacker.example:{port}"))),
        ("a foreign origin", list().header("origin", "https://attacker.example")),
        ("no origin at all", list().header("origin", "null")),
        ("another local page", list().header("origin", "http://localhost:3000")),
        ("a cross-site fetch", list().header("sec-fetch-site", "cross-site")),
        ("a fetch from a sibling", list().header("sec-fetch-site", "same-site")),
    ] {
        let response = request.send(daemon.api);
        assert_eq!(response.status, 403, "{what}: {response:?}");
        assert!(response.header("access-control-allow-origin").is_none(), "{what}: {response:?}");
    }
    let own = format!("http://127.0.0.1:{port}");
    list()
        .header("origin", &own)
        .header("sec-fetch-site", "same-origin")
        .send(daemon.api)
        .expect(200);
}

#[test]
fn development_mode_changes_nothing_else() {
    let daemon = in_development();
    let function =
        Function::python("def handler(event, context):\n    return event\n").deploy(&daemon);
    assert_eq!(function.answer(&json!({"a": [1, null]})), json!({"a": [1, null]}));
    assert_eq!(function.answer(&Value::Null), Value::Null);
}
