//! What is promised about ambiguous requests.

use http::Request;

use super::{FramingError, check};

fn checked(build: http::request::Builder, raw: &str) -> Result<(), FramingError> {
    let (parts, ()) = build.body(()).unwrap().into_parts();
    check(&parts, raw.as_bytes())
}

fn chunked() -> http::request::Builder {
    Request::post("/").header("host", "h").header("transfer-encoding", "chunked")
}

#[test]
fn a_chunked_request_without_a_length_is_fine() {
    for raw in [
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nContent-Length: 3\r\n",
        "\r\nPOST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n",
    ] {
        assert_eq!(checked(chunked(), raw), Ok(()), "{raw}");
    }
}

#[test]
fn two_statements_about_the_length_are_refused_in_any_order_and_spelling() {
    for raw in [
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length:3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\nCONTENT-LENGTH : 3\nTransfer-Encoding: chunked\n\n",
    ] {
        assert_eq!(checked(chunked(), raw), Err(FramingError::TwoLengths), "{raw}");
    }
}

#[test]
fn a_chunked_head_that_was_not_seen_whole_is_refused() {
    for raw in ["", "chunked\r\n\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"] {
        assert_eq!(checked(chunked(), raw), Err(FramingError::TwoLengths), "{raw}");
    }
}

#[test]
fn a_request_without_transfer_encoding_needs_no_second_look() {
    let request = Request::post("/").header("host", "h").header("content-length", "3");
    assert_eq!(checked(request, ""), Ok(()));
}

#[test]
fn exactly_one_host_is_asked_for() {
    assert_eq!(checked(Request::get("/"), ""), Err(FramingError::Host));
    let two = Request::get("/").header("host", "a").header("host", "a");
    assert_eq!(checked(two, ""), Err(FramingError::Host));
    let old = Request::get("/").version(http::Version::HTTP_10);
    assert_eq!(checked(old, ""), Ok(()));
}

#[test]
fn a_host_in_the_request_line_must_be_the_same() {
    let same = Request::get("http://h:80/").header("host", "h:80");
    assert_eq!(checked(same, ""), Ok(()));
    let other = Request::get("http://evil/").header("host", "h");
    assert_eq!(checked(other, ""), Err(FramingError::OtherHost));
}

#[test]
fn a_tunnel_is_refused() {
    let tunnel = Request::builder().method("CONNECT").uri("h:80").header("host", "h:80");
    assert_eq!(checked(tunnel, ""), Err(FramingError::Tunnel));
}
