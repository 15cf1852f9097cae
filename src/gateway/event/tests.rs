//! What is promised about events: the shape recorded from AWS, member by member.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{IamCaller, UrlRequest, encode};

fn headers(fields: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut out = HeaderMap::new();
    for (name, value) in fields {
        out.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
    }
    out
}

fn request<'a>(
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
    body: &'a [u8],
) -> UrlRequest<'a> {
    UrlRequest {
        method: &Method::POST,
        path,
        query,
        version: Version::HTTP_11,
        headers,
        body,
        source: Some(IpAddr::from([127, 0, 0, 1])),
        url_id: "gz35gityuve3my64zwqypdfznq0bcuwk",
        domain: "gz35gityuve3my64zwqypdfznq0bcuwk.lambda-url.us-east-1.localhost",
        port: 8080,
        request_id: "d382c483-bfff-4f29-9094-7d6e1a427b19",
        trace_id: "Root=1-62790940-791d9c4f64628ce840aa9da1",
        time_ms: 1_652_099_392_316,
        caller: None,
    }
}

fn event(request: &UrlRequest<'_>) -> Value {
    serde_json::from_str(&encode(request)).unwrap()
}

#[test]
fn a_bare_request_is_written_byte_for_byte_as_recorded() {
    let headers = headers(&[("host", b"h:8080"), ("user-agent", b"curl/8")]);
    let request = UrlRequest { method: &Method::GET, ..request("/", "", &headers, b"") };
    assert_eq!(
        encode(&request),
        concat!(
            r#"{"version":"2.0","routeKey":"$default","rawPath":"/","rawQueryString":"","#,
            r#""headers":{"host":"h:8080","user-agent":"curl/8","x-forwarded-for":"127.0.0.1","#,
            r#""x-forwarded-port":"8080","x-forwarded-proto":"http","#,
            r#""x-amzn-trace-id":"Root=1-62790940-791d9c4f64628ce840aa9da1"},"#,
            r#""requestContext":{"accountId":"anonymous","apiId":"gz35gityuve3my64zwqypdfznq0bcuwk","#,
            r#""domainName":"gz35gityuve3my64zwqypdfznq0bcuwk.lambda-url.us-east-1.localhost","#,
            r#""domainPrefix":"gz35gityuve3my64zwqypdfznq0bcuwk","http":{"method":"GET","path":"/","#,
            r#""protocol":"HTTP/1.1","sourceIp":"127.0.0.1","userAgent":"curl/8"},"#,
            r#""requestId":"d382c483-bfff-4f29-9094-7d6e1a427b19","routeKey":"$default","#,
            r#""stage":"$default","time":"09/May/2022:12:29:52 +0000","timeEpoch":1652099392316},"#,
            r#""isBase64Encoded":false}"#
        )
    );
}

#[test]
fn a_path_stays_as_it_came() {
    let headers = HeaderMap::new();
    let event = event(&request("/pa2%Fth/%2e%2e/1", "", &headers, b""));
    assert_eq!(event["rawPath"], "/pa2%Fth/%2e%2e/1");
    assert_eq!(event["requestContext"]["http"]["path"], "/pa2%Fth/%2e%2e/1");
}

#[test]
fn parameters_are_decoded_and_what_repeats_is_joined() {
    let headers = HeaderMap::new();
    let event = event(&request("/", "b=2&a=x%20y+z&b=1&flag&=e&c=%ff&a%3D=%22", &headers, b""));
    assert_eq!(event["rawQueryString"], "b=2&a=x%20y+z&b=1&flag&=e&c=%ff&a%3D=%22");
    assert_eq!(
        event["queryStringParameters"],
        json!({"": "e", "a": "x y z", "a=": "\"", "b": "2,1", "c": "\u{fffd}", "flag": ""})
    );
}

#[test]
fn what_is_empty_is_left_out() {
    let headers = HeaderMap::new();
    let event = event(&request("/", "&&", &headers, b""));
    for name in ["cookies", "queryStringParameters", "body"] {
        assert_eq!(event.get(name), None, "{name}");
    }
    assert_eq!(event["requestContext"]["http"].get("userAgent"), None);
}

#[test]
fn cookies_are_apart_from_the_other_headers_and_hops_are_gone() {
    let headers = headers(&[
        ("cookie", b"a=1; b=2"),
        ("cookie", b"c=3;"),
        ("accept", b"x"),
        ("accept", b"y"),
        ("connection", b"keep-alive"),
        ("transfer-encoding", b"chunked"),
        ("x-odd", b"\"\xff\t"),
        ("x-forwarded-for", b"10.0.0.1"),
        ("x-forwarded-proto", b"https"),
        ("x-amzn-trace-id", b"theirs"),
    ]);
    let event = event(&request("/", "", &headers, b""));
    assert_eq!(event["cookies"], json!(["a=1", "b=2", "c=3"]));
    assert_eq!(
        event["headers"],
        json!({
            "accept": "x,y",
            "x-odd": "\"\u{fffd}\t",
            "x-forwarded-for": "10.0.0.1, 127.0.0.1",
            "x-forwarded-port": "8080",
            "x-forwarded-proto": "http",
            "x-amzn-trace-id": "Root=1-62790940-791d9c4f64628ce840aa9da1",
        })
    );
}

#[test]
fn a_body_is_text_or_base64_by_its_type() {
    for (kind, body, text) in [
        (Some("application/json"), &b"{\"a\":\"\xc3\xa9\"}"[..], true),
        (Some("Application/JSON; charset=utf-8"), b"{}", true),
        (Some("text/plain"), b"a\nb", true),
        (Some("application/xml"), b"<a/>", true),
        (Some("application/javascript"), b"a()", true),
        (Some("application/problem+json"), b"{}", true),
        (Some("image/svg+xml"), b"<svg/>", true),
        (None, b"text", true),
        (None, b"\xff", false),
        (Some("application/json"), b"\xff", false),
        (Some("application/x-www-form-urlencoded"), b"a=b", false),
        (Some("multipart/form-data; boundary=x"), b"--x--", false),
        (Some("application/octet-stream"), b"a", false),
        (Some("image/png"), b"\x89PNG", false),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert("content-type", HeaderValue::from_str(kind).unwrap());
        }
        let event = event(&request("/", "", &headers, body));
        assert_eq!(event["isBase64Encoded"], !text, "{kind:?}");
        if text {
            assert_eq!(event["body"].as_str().unwrap().as_bytes(), body, "{kind:?}");
        }
    }
    let compressed = headers(&[("content-type", b"text/plain"), ("content-encoding", b"gzip")]);
    assert_eq!(event(&request("/", "", &compressed, b"a"))["body"], "YQ==");
}

#[test]
fn who_signed_is_named_as_the_accounts_root() {
    let caller = IamCaller { access_key: "AKID".to_owned(), account: "000000000000".to_owned() };
    let headers = HeaderMap::new();
    let event = event(&UrlRequest { caller: Some(&caller), ..request("/", "", &headers, b"") });
    let context = &event["requestContext"];
    assert_eq!(context["accountId"], "000000000000");
    assert_eq!(context["authentication"], Value::Null);
    assert_eq!(
        context["authorizer"],
        json!({"iam": {
            "accessKey": "AKID",
            "accountId": "000000000000",
            "callerId": "000000000000",
            "cognitoIdentity": null,
            "principalOrgId": null,
            "userArn": "arn:aws:iam::000000000000:root",
            "userId": "000000000000",
        }})
    );
}

#[test]
fn an_address_is_written_in_its_plain_form() {
    let headers = HeaderMap::new();
    for (source, text) in [("::ffff:10.0.0.1", "10.0.0.1"), ("::1", "::1")] {
        let source = Some(source.parse().unwrap());
        let event = event(&UrlRequest { source, ..request("/", "", &headers, b"") });
        assert_eq!(event["requestContext"]["http"]["sourceIp"], text);
        assert_eq!(event["headers"]["x-forwarded-for"], text);
    }
}

proptest! {
    #[test]
    fn whatever_comes_the_event_is_json_and_says_so(
        path in "/\\PC{0,20}",
        query in "\\PC{0,20}|[a-c=&%+0-9]{0,20}",
        value in "[ -~\u{80}-\u{ff}]{0,20}",
        body in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("x-any", HeaderValue::from_bytes(value.as_bytes()).unwrap());
        headers.insert("cookie", HeaderValue::from_bytes(value.as_bytes()).unwrap());
        let event = event(&request(&path, &query, &headers, &body));
        prop_assert_eq!(event["rawPath"].as_str(), Some(path.as_str()));
        prop_assert_eq!(event["rawQueryString"].as_str(), Some(query.as_str()));
        prop_assert_eq!(event["headers"]["x-any"].as_str(), Some(value.as_str()));
    }
}
