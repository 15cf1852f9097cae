//! Credentials, and who is let in without.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request};
use serde_json::Value;
use sigv4::claim::PathStyle;
use sigv4::sign::Scope;
use sigv4::verify::Payload;
use sigv4::{Credentials, Secret};
use store::AccessKey;

use super::server::Server;
use crate::Access;
use crate::server::now_ms;

const LIST: &str = "/2015-03-31/functions";

async fn signed_server() -> Server {
    let server = Server::with(Access::Signed);
    let key = AccessKey { id: "AKTEST".into(), secret: "secret".into(), created_ms: 0 };
    server.api.store.put_key(key).await.unwrap();
    server
}

/// A request signed with a secret for a service.
fn signed(secret: &str, service: &str, path: &str, body: &str) -> Request<Body> {
    let credentials =
        Credentials { access_key_id: "AKTEST".to_owned(), secret: Secret::new(secret) };
    let scope = Scope { region: "us-east-1", service, paths: PathStyle::Normalised };
    let method = if body.is_empty() { Method::GET } else { Method::POST };
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost"));
    let (raw, query) = path.split_once('?').map_or((path, None), |(a, b)| (a, Some(b)));
    let payload = Payload::Bytes(body.as_bytes());
    let now = now_ms() / 1000;
    sigv4::sign(&credentials, scope, &method, (raw, query), &mut headers, payload, now).unwrap();
    let mut request =
        Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
    *request.headers_mut() = headers;
    request
}

#[tokio::test]
async fn nothing_is_answered_to_somebody_who_does_not_sign_except_for_health() {
    let server = signed_server().await;
    for (method, path) in [
        ("GET", LIST),
        ("POST", LIST),
        ("POST", "/2015-03-31/functions/f/invocations"),
        ("POST", "/"),
        ("GET", "/metrics"),
        ("GET", "/metrics?function=echo"),
        ("GET", "/no/such/path"),
        ("GET", "/healthz/"),
        ("POST", "/healthz"),
    ] {
        let refused = server.call(method, path, Value::Null).await;
        let message = "Missing Authentication Token";
        refused.refused(403, "MissingAuthenticationTokenException", message);
    }
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn whoever_signs_with_a_key_of_ours_is_let_in() {
    let server = signed_server().await;
    for _ in 0..2 {
        let reply = server.send(signed("secret", "lambda", LIST, "")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let metrics = server.send(signed("secret", "lambda", "/metrics", "")).await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.body.starts_with(b"# HELP hearth_"));
}

#[tokio::test]
async fn a_functions_own_figures_are_shown_to_whoever_names_it_and_to_no_web_page() {
    let server = Server::open();
    server.create("echo").await;
    let path = "/metrics?function=echo";
    let reply = server.get(path).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(text.contains("\nhearth_function_invocations_total{function=\"echo\"} "), "{text}");
    assert!(!text.contains("hearth_invocations_total"), "{text}");
    let (status, code, _) = server.get("/metrics?function=other").await.error();
    assert_eq!((status, code.as_str()), (404, "ResourceNotFoundException"));
    let (status, code, _) = server.get("/metrics?function=a%22%0Ab").await.error();
    assert_eq!((status, code.as_str()), (404, "ResourceNotFoundException"));
    let foreign = Request::builder().uri(path).header("host", "evil.example");
    let (status, _, _) = server.send(foreign.body(Body::empty()).unwrap()).await.error();
    assert_eq!(status, 403);
}

#[tokio::test]
async fn another_secret_another_service_and_another_body_are_refused() {
    let server = signed_server().await;
    let (status, code, _) = server.send(signed("wrong", "lambda", LIST, "")).await.error();
    assert_eq!((status, code.as_str()), (403, "InvalidSignatureException"));
    let (status, code, _) = server.send(signed("secret", "s3", LIST, "")).await.error();
    assert_eq!((status, code.as_str()), (403, "InvalidSignatureException"));
    let (status, code, _) = server.send(signed("secret", "logs", LIST, "")).await.error();
    assert_eq!((status, code.as_str()), (403, "InvalidSignatureException"), "signed for Logs");
    let mut tampered = signed("secret", "lambda", LIST, "{\"a\":1}");
    *tampered.body_mut() = Body::from("{\"a\":2}");
    let (status, code, _) = server.send(tampered).await.error();
    assert_eq!((status, code.as_str()), (403, "InvalidSignatureException"));
}

#[tokio::test]
async fn a_key_whose_secret_was_replaced_no_longer_opens_anything() {
    let server = signed_server().await;
    assert_eq!(server.send(signed("secret", "lambda", LIST, "")).await.status, 200);
    let key = AccessKey { id: "AKTEST".into(), secret: "other".into(), created_ms: 0 };
    server.api.store.put_key(key).await.unwrap();
    assert_eq!(server.send(signed("secret", "lambda", LIST, "")).await.status, 403);
    assert_eq!(server.send(signed("other", "lambda", LIST, "")).await.status, 200);
}

#[tokio::test]
async fn without_credentials_any_are_accepted_and_none_but_no_web_page() {
    let server = Server::open();
    let send = |headers: &[(&'static str, &'static str)]| {
        let mut request = Request::builder().uri(LIST);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        server.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(send(&[("host", "localhost:9000")]).await.status, 200);
    assert_eq!(send(&[("host", "127.0.0.1"), ("authorization", "AWS4 x")]).await.status, 200);
    for headers in [
        &[("host", "evil.example")] as &[_],
        &[("host", "localhost"), ("origin", "https://evil.example")],
        &[("host", "localhost"), ("origin", "null")],
        &[("host", "localhost"), ("sec-fetch-site", "cross-site")],
        &[],
    ] {
        let (status, code, _) = send(headers).await.error();
        assert_eq!((status, code.as_str()), (403, "AccessDeniedException"), "{headers:?}");
    }
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let server = Server::open();
    for path in [LIST, "/2015-03-31/functions/none", "/healthz"] {
        let id = server.get(path).await.header("x-amzn-requestid").map(str::to_owned);
        assert!(id.is_some_and(|id| model::RequestId::parse(&id).is_some()), "{path}");
    }
}
