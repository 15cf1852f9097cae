//! What is promised to browsers.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::url::Cors;

use super::{apply, preflight};

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut out = HeaderMap::new();
    for (name, value) in fields {
        out.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    out
}

fn list(entries: &[&str]) -> Option<Vec<String>> {
    Some(entries.iter().map(|entry| (*entry).to_owned()).collect())
}

fn asking(origin: &str) -> HeaderMap {
    headers(&[
        ("origin", origin),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-one,x-two"),
    ])
}

fn configured() -> Cors {
    Cors {
        allow_origins: list(&["https://a.example", "https://b.example"]),
        allow_methods: list(&["GET", "PUT"]),
        allow_headers: list(&["x-one"]),
        expose_headers: list(&["x-shown", "date"]),
        max_age: Some(60),
        allow_credentials: None,
    }
}

#[test]
fn a_preflight_of_an_allowed_origin_is_answered_from_the_configuration() {
    let answer = preflight(&configured(), &Method::OPTIONS, &asking("https://b.example")).unwrap();
    let expected = headers(&[
        ("vary", "Origin"),
        ("access-control-allow-origin", "https://b.example"),
        ("access-control-allow-methods", "GET,PUT"),
        ("access-control-allow-headers", "x-one"),
        ("access-control-max-age", "60"),
    ]);
    assert_eq!(answer, expected);
}

#[test]
fn a_preflight_of_another_origin_is_answered_without_permission() {
    for origin in ["https://evil.example", "https://a.example.evil", "http://a.example", "null"] {
        let answer = preflight(&configured(), &Method::OPTIONS, &asking(origin)).unwrap();
        assert_eq!(answer, headers(&[("vary", "Origin")]), "{origin}");
    }
    let none = preflight(&Cors::default(), &Method::OPTIONS, &asking("https://a.example"));
    assert_eq!(none, Some(HeaderMap::new()));
}

#[test]
fn only_a_preflight_is_taken_from_the_function() {
    let cors = configured();
    assert_eq!(preflight(&cors, &Method::PUT, &asking("https://a.example")), None);
    let plain = headers(&[("origin", "https://a.example")]);
    assert_eq!(preflight(&cors, &Method::OPTIONS, &plain), None);
    let no_origin = headers(&[("access-control-request-method", "PUT")]);
    assert_eq!(preflight(&cors, &Method::OPTIONS, &no_origin), None);
}

#[test]
fn a_star_is_a_star_unless_credentials_are_allowed() {
    let open = Cors {
        allow_origins: list(&["*"]),
        allow_methods: list(&["*"]),
        allow_headers: list(&["*"]),
        ..Cors::default()
    };
    let answer = preflight(&open, &Method::OPTIONS, &asking("https://any.example")).unwrap();
    let expected = headers(&[
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "*"),
        ("access-control-allow-headers", "*"),
    ]);
    assert_eq!(answer, expected);

    let trusting = Cors { allow_credentials: Some(true), ..open };
    let answer = preflight(&trusting, &Method::OPTIONS, &asking("https://any.example")).unwrap();
    let expected = headers(&[
        ("vary", "Origin"),
        ("access-control-allow-origin", "https://any.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "PUT"),
        ("access-control-allow-headers", "x-one,x-two"),
    ]);
    assert_eq!(answer, expected);
}

#[test]
fn a_response_carries_the_configurations_headers_and_not_the_functions() {
    let own = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("vary", "Accept"),
        ("x-shown", "1"),
    ];
    let mut response = headers(&own);
    apply(&configured(), &headers(&[("origin", "https://a.example")]), &mut response);
    let expected = headers(&[
        ("vary", "Accept"),
        ("vary", "Origin"),
        ("x-shown", "1"),
        ("access-control-allow-origin", "https://a.example"),
        ("access-control-expose-headers", "x-shown,date"),
    ]);
    assert_eq!(response, expected);

    let mut response = headers(&own);
    apply(&configured(), &headers(&[("origin", "https://evil.example")]), &mut response);
    assert_eq!(response, headers(&[("vary", "Accept"), ("vary", "Origin"), ("x-shown", "1")]));
}
