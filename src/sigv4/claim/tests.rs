//! What is promised about claims: each refusal, in AWS's words.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Claim, PathStyle, Policy, RequestParts};
use crate::refusal::Refusal;

/// 2015-08-30T12:36:00Z.
const NOW: u64 = 1_440_938_160;
const DATE: &str = "20150830T123600Z";

const POLICY: Policy<'_> = Policy {
    region: "us-east-1",
    services: &["lambda", "logs"],
    paths: PathStyle::Normalised,
    unsigned_payload: false,
};

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut out = HeaderMap::new();
    for (name, value) in fields {
        out.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    out
}

fn authorization(scope: &str, signed: &str) -> String {
    format!("AWS4-HMAC-SHA256 Credential=AKID/{scope}, SignedHeaders={signed}, Signature=00")
}

fn good() -> HeaderMap {
    let value = authorization("20150830/us-east-1/lambda/aws4_request", "host;x-amz-date");
    headers(&[("host", "h"), ("x-amz-date", DATE), ("authorization", &value)])
}

fn presigned() -> String {
    format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20150830%2Fus-east-1%2Flambda\
         %2Faws4_request&X-Amz-Date={DATE}&X-Amz-Expires=60&X-Amz-SignedHeaders=host\
         &X-Amz-Signature=00"
    )
}

fn read(headers: &HeaderMap, query: Option<&str>, now: u64) -> Result<String, Refusal> {
    let parts = RequestParts { method: "GET", path: "/", query, headers };
    Claim::read(parts, &POLICY, now).map(|claim| claim.access_key_id().to_owned())
}

/// Code and message of the refusal of a request that differs from a good one in some headers.
fn refused(fields: &[(&'static str, Option<&str>)]) -> (&'static str, String) {
    let mut headers = good();
    for (name, value) in fields {
        match value {
            Some(value) => {
                headers.insert(*name, HeaderValue::from_str(value).unwrap());
            }
            None => {
                headers.remove(*name);
            }
        }
    }
    let refusal = read(&headers, None, NOW).expect_err("it must not be accepted");
    (refusal.code(), refusal.to_string())
}

#[test]
fn a_complete_claim_is_read_from_either_place() {
    assert_eq!(read(&good(), None, NOW), Ok("AKID".to_owned()));
    assert_eq!(read(&headers(&[("host", "h")]), Some(&presigned()), NOW), Ok("AKID".to_owned()));
}

#[test]
fn no_credentials_are_a_missing_token() {
    let refusal = read(&headers(&[("host", "h")]), Some("a=1"), NOW).unwrap_err();
    assert_eq!(refusal.code(), "MissingAuthenticationTokenException");
    assert_eq!(refusal.to_string(), "Missing Authentication Token");
    assert_eq!(refusal.status(), 403);
}

#[test]
fn credentials_in_two_places_are_refused_however_they_are_spelled() {
    for query in [presigned().as_str(), "x-amz-signature=", "X%2DAmz-Algorithm=a", "X-AMZ-DATE"] {
        assert_eq!(read(&good(), Some(query), NOW), Err(Refusal::TwoMechanisms), "{query}");
    }
}

#[test]
fn another_scheme_is_named_by_its_hash_alone() {
    for value in ["Bearer secret", "Basic c2VjcmV0", "secret", "", "AWS4-HMAC-SHA256"] {
        let (code, text) = refused(&[("authorization", Some(value))]);
        assert_eq!(code, "IncompleteSignatureException");
        assert!(text.starts_with("Invalid key=value pair (missing equal-sign) in Auth"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
    let (_, text) = refused(&[("authorization", Some("AWS4-HMAC-SHA512 Credential=a"))]);
    assert_eq!(text, "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512'");
}

#[test]
fn every_missing_part_is_named() {
    let (code, text) = refused(&[
        ("authorization", Some("AWS4-HMAC-SHA256 Signature=secret")),
        ("x-amz-date", None),
    ]);
    assert_eq!(code, "IncompleteSignatureException");
    assert_eq!(
        text,
        "Authorization header requires 'Credential' parameter. Authorization header requires \
         'SignedHeaders' parameter. Authorization header requires existence of either a \
         'X-Amz-Date' or a 'Date' header. (Hashed with SHA-256 and encoded with Base64) \
         Authorization=hVfAQLw3XvdRwvflrMVX17Xmocf/BE/3PkCR8lNht8Y="
    );
    let refusal = read(&headers(&[]), Some("X-Amz-Algorithm=a&X-Amz-Date=b"), NOW).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string parameters \
         must include 'X-Amz-Signature'. AWS query-string parameters must include \
         'X-Amz-SignedHeaders'. AWS query-string parameters must include 'X-Amz-Expires'. \
         Re-examine the query-string parameters."
    );
}

#[test]
fn a_part_that_is_there_twice_is_refused() {
    let twice = authorization("20150830/us-east-1/lambda/aws4_request", "host;x-amz-date");
    let (code, _) = refused(&[("authorization", Some(&format!("{twice}, Signature=01")))]);
    assert_eq!(code, "IncompleteSignatureException");
    for name in ["authorization", "x-amz-date", "x-amz-security-token"] {
        let mut headers = good();
        headers.append(name, HeaderValue::from_static("a"));
        headers.append(name, HeaderValue::from_static("a"));
        let refusal = read(&headers, None, NOW).unwrap_err();
        assert_eq!(refusal.to_string(), format!("'{name}' must not be repeated."));
    }
    let query = format!("{}&X-Amz-Signature=01", presigned());
    let refusal = read(&headers(&[("host", "h")]), Some(&query), NOW).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "AWS query-string parameters must not repeat 'X-Amz-Signature'."
    );
}

#[test]
fn a_credential_of_another_scope_is_refused_with_all_that_is_wrong() {
    for (scope, text) in [
        (
            "20150830/eu-west-1/lambda/aws4_request",
            "Credential should be scoped to a valid region. ",
        ),
        (
            "20150830/us-east-1/s3/aws4_request",
            "Credential should be scoped to correct service: 'lambda'. ",
        ),
        (
            "20150830/us-east-1/lambda/aws5_request",
            "Credential should be scoped with a valid terminator: 'aws4_request', not \
             'aws5_request'. ",
        ),
        (
            "20150829/us-east-1/lambda/aws4_request",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: '20150829' != '20150830', from '20150830T123600Z'. ",
        ),
        (
            "20150830/eu-west-1/s3/aws4_request",
            "Credential should be scoped to a valid region. Credential should be scoped to correct \
             service: 'lambda'. ",
        ),
    ] {
        let value = authorization(scope, "host;x-amz-date");
        let refusal = refused(&[("authorization", Some(&value))]);
        assert_eq!(refusal, ("InvalidSignatureException", text.to_owned()));
    }
    for scope in ["20150830/us-east-1/lambda", "20150830/us-east-1/lambda/aws4_request/"] {
        let value = authorization(scope, "host;x-amz-date");
        let (code, text) = refused(&[("authorization", Some(&value))]);
        assert_eq!(code, "IncompleteSignatureException");
        assert_eq!(
            text,
            format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term, got 'AKID/{scope}'"
            )
        );
    }
}

#[test]
fn a_signature_is_good_for_five_minutes_around_its_date() {
    for now in [NOW - 300, NOW, NOW + 300] {
        assert!(read(&good(), None, now).is_ok());
    }
    let late = read(&good(), None, NOW + 301).unwrap_err();
    assert_eq!(late.code(), "InvalidSignatureException");
    assert_eq!(
        late.to_string(),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z \
         (20150830T124101Z - 5 min.)"
    );
    let early = read(&good(), None, NOW - 301).unwrap_err();
    assert_eq!(early.code(), "InvalidSignatureException");
    assert_eq!(
        early.to_string(),
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z \
         (20150830T123059Z + 5 min.)"
    );
    assert!(read(&good(), None, 0).is_err());
    let (_, text) = refused(&[("x-amz-date", Some("Sun, 30 Aug 2015 12:36:00 GMT"))]);
    assert_eq!(
        text,
        "Date must be in ISO-8601 'basic format'. Got 'Sun, 30 Aug 2015 12:36:00 GMT'. See \
         http://en.wikipedia.org/wiki/ISO_8601"
    );
}

#[test]
fn a_presigned_url_is_good_for_as_long_as_it_says_and_no_longer_than_a_week() {
    let host = headers(&[("host", "h")]);
    assert!(read(&host, Some(&presigned()), NOW + 60).is_ok());
    let late = read(&host, Some(&presigned()), NOW + 61).unwrap_err();
    assert!(late.to_string().ends_with("(20150830T123701Z - 1 min.)"), "{late}");
    for expires in ["0", "604801", "-1", "+60", "", "60s", "99999999999999999999"] {
        let query = presigned().replace("Expires=60", &format!("Expires={expires}"));
        assert_eq!(read(&host, Some(&query), NOW), Err(Refusal::Expires), "{expires}");
    }
    let query = presigned().replace("Expires=60", "Expires=604800");
    assert!(read(&host, Some(&query), NOW + 604_800).is_ok());
}

#[test]
fn what_must_be_signed_is_signed() {
    for (signed, header) in [("x-amz-date", "Host' or ':authority"), ("host", "x-amz-date")] {
        let value = authorization("20150830/us-east-1/lambda/aws4_request", signed);
        let (code, text) = refused(&[("authorization", Some(&value))]);
        assert_eq!(code, "InvalidSignatureException");
        assert_eq!(text, format!("'{header}' must be a 'SignedHeader' in the AWS Authorization."));
    }
    for header in ["x-amz-security-token", "x-amz-log-type", "x-amz-content-sha256"] {
        let (code, text) = refused(&[(header, Some("a"))]);
        assert_eq!(code, "InvalidSignatureException");
        assert_eq!(text, format!("'{header}' must be a 'SignedHeader' in the AWS Authorization."));
        let both = headers(&[("host", "h"), (header, "a")]);
        let refusal = read(&both, Some(&presigned()), NOW).unwrap_err();
        assert_eq!(refusal, Refusal::Unsigned { header: header.to_owned() });
    }
    // X-Ray's header is `x-amzn-…` and changes on the way: it need not be.
    let mut traced = good();
    traced.insert("x-amzn-trace-id", HeaderValue::from_static("Root=1"));
    assert!(read(&traced, None, NOW).is_ok());
}

#[test]
fn signed_headers_are_a_sorted_list_of_lower_case_names() {
    for signed in ["x-amz-date;host", "host;host;x-amz-date", "Host;host;x-amz-date"] {
        let value = authorization("20150830/us-east-1/lambda/aws4_request", signed);
        let (code, text) = refused(&[("authorization", Some(&value))]);
        assert_eq!(code, "IncompleteSignatureException");
        assert!(text.starts_with("SignedHeaders must be"), "{text}");
    }
}

#[test]
fn a_body_that_says_it_is_not_signed_is_refused_unless_that_is_allowed() {
    let signed = "host;x-amz-content-sha256;x-amz-date";
    let value = authorization("20150830/us-east-1/lambda/aws4_request", signed);
    for content in
        ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "", "abc", &"g".repeat(64)]
    {
        let (code, text) =
            refused(&[("authorization", Some(&value)), ("x-amz-content-sha256", Some(content))]);
        assert_eq!(code, "IncompleteSignatureException", "{content}");
        assert_eq!(text, "x-amz-content-sha256 must be a valid sha256 value.");
    }
    let mut headers = good();
    headers.insert("authorization", HeaderValue::from_str(&value).unwrap());
    headers.insert("x-amz-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
    let parts = RequestParts { method: "GET", path: "/", query: None, headers: &headers };
    let lenient = Policy { unsigned_payload: true, ..POLICY };
    assert!(Claim::read(parts, &lenient, NOW).is_ok());
}
