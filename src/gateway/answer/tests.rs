//! What is promised about responses: AWS's rules, and 502 for what follows none of them.

use bytes::Bytes;
use http::Response;
use proptest::prelude::*;

use super::response;

fn of(payload: &str) -> Response<Bytes> {
    response(&Bytes::copy_from_slice(payload.as_bytes()))
}

/// Status, content type and body.
fn seen(payload: &str) -> (u16, String, String) {
    let response = of(payload);
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let body = String::from_utf8(response.body().to_vec()).unwrap();
    (response.status().as_u16(), kind, body)
}

fn json(status: u16, body: &str) -> (u16, String, String) {
    (status, "application/json".to_owned(), body.to_owned())
}

#[test]
fn a_value_that_describes_no_response_is_the_response() {
    for (payload, body) in [
        (r#""hello""#, "hello"),
        (r#""a \"b\" é""#, "a \"b\" é"),
        (r#"["hello", 3, true]"#, r#"["hello",3,true]"#),
        ("17", "17"),
        ("null", "null"),
        ("true", "true"),
        ("{}", "{}"),
        (r#"{"body": "a b"}"#, r#"{"body":"a b"}"#),
        (r#"{"headers": 3, "cookies": {}}"#, r#"{"headers":3,"cookies":{}}"#),
        (" \n1.50 ", "1.50"),
    ] {
        assert_eq!(seen(payload), json(200, body), "{payload}");
    }
}

#[test]
fn a_described_response_is_sent_as_described() {
    let response = of(
        r#"{"statusCode":201,"headers":{"Content-Type":"text/html","X-N":3,"X-B":true,"X-Z":null},
            "cookies":["a=1; Path=/","b=2"],"body":"<p>","unknown":{}}"#,
    );
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["content-type"], "text/html");
    assert_eq!(response.headers()["x-n"], "3");
    assert_eq!(response.headers()["x-b"], "true");
    assert!(!response.headers().contains_key("x-z"));
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1; Path=/", "b=2"]);
    assert_eq!(response.body(), "<p>");
}

#[test]
fn a_described_response_needs_no_more_than_its_status() {
    for (payload, expected) in [
        (r#"{"statusCode":200}"#, json(200, "")),
        (r#"{"statusCode":"404","body":null}"#, json(404, "")),
        (r#"{"statusCode":200,"body":"a\nb"}"#, json(200, "a\nb")),
        (r#"{"statusCode":200,"body":{"a": 1}}"#, json(200, r#"{"a":1}"#)),
        (r#"{"statusCode":200,"body":12}"#, json(200, "12")),
        (
            r#"{"statusCode":200,"headers":null,"cookies":null,"isBase64Encoded":null}"#,
            json(200, ""),
        ),
        (r#"{"statusCode":200,"isBase64Encoded":true,"body":"aGk="}"#, json(200, "hi")),
        (r#"{"statusCode":200,"isBase64Encoded":false,"body":"aGk="}"#, json(200, "aGk=")),
    ] {
        assert_eq!(seen(payload), expected, "{payload}");
    }
}

#[test]
fn what_cannot_be_sent_is_502() {
    for payload in [
        "",
        " ",
        "not json",
        "{",
        "[1,]",
        r#""unterminated"#,
        r#"{"statusCode":99}"#,
        r#"{"statusCode":100}"#,
        r#"{"statusCode":1000}"#,
        r#"{"statusCode":"abc"}"#,
        r#"{"statusCode":[200]}"#,
        r#"{"statusCode":200.5}"#,
        r#"{"statusCode":200,"headers":[]}"#,
        r#"{"statusCode":200,"headers":{"a b":"c"}}"#,
        r#"{"statusCode":200,"headers":{"a":"b\r\nc: d"}}"#,
        r#"{"statusCode":200,"headers":{"a":["b"]}}"#,
        r#"{"statusCode":200,"cookies":"a=1"}"#,
        r#"{"statusCode":200,"cookies":["a\n"]}"#,
        r#"{"statusCode":200,"isBase64Encoded":true,"body":"???"}"#,
        r#"{"statusCode":200} x"#,
    ] {
        assert_eq!(seen(payload), json(502, "Internal Server Error"), "{payload}");
    }
}

#[test]
fn a_function_does_not_frame_messages() {
    let response =
        of(r#"{"statusCode":200,"headers":{"Content-Length":"5","Transfer-Encoding":"chunked",
            "Connection":"close"},"body":"hello world"}"#);
    for name in ["content-length", "transfer-encoding", "connection"] {
        assert!(!response.headers().contains_key(name), "{name}");
        assert!(response.headers().contains_key(format!("x-amzn-remapped-{name}")), "{name}");
    }
    assert_eq!(response.body(), "hello world");
}

#[test]
fn a_body_is_not_copied_if_it_can_be_sent_as_it_is() {
    let payload = Bytes::from(format!(r#"{{"statusCode":200,"body":"{}"}}"#, "x".repeat(1000)));
    let response = response(&payload);
    assert!(payload.as_ptr_range().contains(&response.body().as_ptr()));
}

proptest! {
    #[test]
    fn no_payload_makes_the_gateway_panic(payload in "\\PC{0,40}|[{}\\[\\]\":,a1 ]{0,30}") {
        let status = of(&payload).status();
        let valid = serde_json::from_str::<serde_json::Value>(&payload).is_ok();
        prop_assert_eq!(status == 200, valid);
    }
}

#[test]
fn an_answer_with_more_headers_than_anybody_takes_is_refused() {
    let answer = |count: usize, size: usize| {
        let fields: Vec<String> =
            (0..count).map(|n| format!("\"h{n}\":\"{}\"", "v".repeat(size))).collect();
        let payload = format!("{{\"statusCode\":200,\"headers\":{{{}}}}}", fields.join(","));
        of(&payload).status().as_u16()
    };
    assert_eq!(answer(500, 1), 200);
    assert_eq!(answer(501, 1), 502);
    assert_eq!(answer(40_000, 1), 502, "a map of headers has an end, and a panic behind it");
    assert_eq!(answer(9, 7_000), 200);
    assert_eq!(answer(10, 7_000), 502);
}
