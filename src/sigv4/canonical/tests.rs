//! What is promised about the canonical form, beyond AWS's published cases.

use http::{HeaderMap, HeaderValue};

use super::{decode, header, path, query};
use crate::claim::PathStyle;

fn path_of(raw: &str, style: PathStyle) -> String {
    let mut out = Vec::new();
    path(raw.as_bytes(), style, &mut out);
    String::from_utf8(out).unwrap()
}

fn query_of(raw: &str) -> String {
    let mut out = Vec::new();
    query(raw, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_normalised_path_is_encoded_a_second_time() {
    for (raw, canonical) in [
        ("", "/"),
        ("/", "/"),
        ("//", "/"),
        ("/a//b/", "/a/b/"),
        ("/a/./b", "/a/b"),
        ("/a/b/..", "/a"),
        ("/a/b/../", "/a/"),
        ("/../../a", "/a"),
        ("/a/..", "/"),
        ("/arn%3Aaws", "/arn%253Aaws"),
        ("/arn:aws", "/arn%3Aaws"),
        ("/@connections/a=", "/%40connections/a%3D"),
        ("/$default", "/%24default"),
    ] {
        assert_eq!(path_of(raw, PathStyle::Normalised), canonical, "{raw}");
    }
}

#[test]
fn a_verbatim_path_keeps_its_segments_and_only_levels_escapes() {
    for (raw, canonical) in [
        ("", "/"),
        ("/", "/"),
        ("//a/../b/.", "//a/../b/."),
        ("/a%20b", "/a%20b"),
        ("/%7e", "/~"),
        ("/a%2fb", "/a%2Fb"),
        ("/100%", "/100%25"),
    ] {
        assert_eq!(path_of(raw, PathStyle::Verbatim), canonical, "{raw}");
    }
}

#[test]
fn a_query_is_decoded_encoded_and_sorted_by_name_then_value() {
    for (raw, canonical) in [
        ("", ""),
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=1&a=10", "a=1&a=10&a=2"),
        ("a", "a="),
        ("a=b=c", "a=b%3Dc"),
        ("&&a=1&", "a=1"),
        ("a=x+y&b=x%20y&c=x%2By", "a=x%20y&b=x%20y&c=x%2By"),
        ("a=%e1%88%b4", "a=%E1%88%B4"),
        ("a=%ff%00", "a=%FF%00"),
        ("a=%zz%1", "a=%25zz%251"),
        ("Param-3=Value3&Param=Value2", "Param=Value2&Param-3=Value3"),
        ("X-Amz-Signature=1&a=1&x-amz-signature=2", "a=1&x-amz-signature=2"),
    ] {
        assert_eq!(query_of(raw), canonical, "{raw}");
    }
}

#[test]
fn header_values_are_trimmed_joined_and_may_be_any_bytes() {
    let mut headers = HeaderMap::new();
    headers.append("a", HeaderValue::from_static("  one   two\t "));
    headers.append("a", HeaderValue::from_static(""));
    headers.append("a", HeaderValue::from_bytes(b"\xff").unwrap());
    let mut out = Vec::new();
    assert!(header(&headers, "a", &mut out).is_some());
    assert_eq!(out, b"a:one two,,\xff\n");
    assert!(header(&headers, "b", &mut out).is_none());
    assert!(header(&headers, "not a name", &mut out).is_none());
}

#[test]
fn a_percent_sign_that_starts_no_escape_stands_for_itself() {
    for (raw, decoded) in
        [("%", "%"), ("%4", "%4"), ("%4g", "%4g"), ("%%41", "%A"), ("%2541", "%41")]
    {
        assert_eq!(decode(raw.as_bytes()).as_ref(), decoded.as_bytes(), "{raw}");
    }
}
