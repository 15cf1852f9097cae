//! A request to a function URL, as the function sees it: payload format 2.0.
//!
//! The order of members and what is left out follow events recorded from AWS: `cookies`,
//! `queryStringParameters` and `body` are absent when there is nothing in them, header names are
//! lower case, values that repeat are joined by commas, cookies are in `cookies` and not among the
//! headers. A body is text if its type says so and base64 otherwise, forms included.

use std::cell::RefCell;
use std::net::IpAddr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HeaderName, USER_AGENT};
use http::{HeaderMap, Method, Version};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use crate::json;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// Headers that concern one connection and end with it.
const HOP: [&str; 9] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request and what the gateway knows about it.
#[derive(Debug)]
pub struct UrlRequest<'a> {
    /// Its method.
    pub method: &'a Method,
    /// The path as it came, without what path-style put before it.
    pub path: &'a str,
    /// The query as it came; empty if there is none.
    pub query: &'a str,
    /// Its version.
    pub version: Version,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a [u8],
    /// Who sent it, if that has an address.
    pub source: Option<IpAddr>,
    /// The URL's identifier.
    pub url_id: &'a str,
    /// The URL's host, without port.
    pub domain: &'a str,
    /// The port the request came in by.
    pub port: u16,
    /// The invocation's id.
    pub request_id: &'a str,
    /// The trace it belongs to.
    pub trace_id: &'a str,
    /// When it came, milliseconds since the epoch.
    pub time_ms: u64,
    /// Who signed it, for a URL that asks for that.
    pub caller: Option<&'a IamCaller>,
}

/// Who signed a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamCaller {
    /// The access key.
    pub access_key: String,
    /// The account it belongs to, whose root it is.
    pub account: String,
}

/// Writes the event.
pub fn encode(request: &UrlRequest<'_>) -> String {
    // What is fixed takes some 700 bytes; escapes make a text body longer, base64 a third.
    let mut out = String::with_capacity(1024 + request.body.len() * 4 / 3 + head_size(request));
    out.push_str(r#"{"version":"2.0","routeKey":"$default","rawPath":"#);
    json::string(request.path, &mut out);
    out.push_str(r#","rawQueryString":"#);
    json::string(request.query, &mut out);
    cookies(request.headers, &mut out);
    headers(request, &mut out);
    parameters(request.query, &mut out);
    context(request, &mut out);
    body(request, &mut out);
    out.push('}');
    out
}

fn head_size(request: &UrlRequest<'_>) -> usize {
    let headers = request.headers.iter();
    let headers: usize = headers.map(|(name, value)| name.as_str().len() + value.len() + 8).sum();
    headers + 2 * (request.path.len() + request.query.len())
}

fn cookies(headers: &HeaderMap, out: &mut String) {
    let mut separator = r#","cookies":["#;
    for value in headers.get_all(COOKIE) {
        let value = String::from_utf8_lossy(value.as_bytes());
        for cookie in value.split(';').map(str::trim).filter(|cookie| !cookie.is_empty()) {
            out.push_str(separator);
            json::string(cookie, out);
            separator = ",";
        }
    }
    if separator == "," {
        out.push(']');
    }
}

fn headers(request: &UrlRequest<'_>, out: &mut String) {
    out.push_str(r#","headers":{"#);
    for name in request.headers.keys() {
        let ours = [FORWARDED_FOR, FORWARDED_PORT, FORWARDED_PROTO, TRACE_ID].contains(name);
        if ours || *name == COOKIE || HOP.contains(&name.as_str()) {
            continue;
        }
        // A header's name is a token: nothing in it needs escaping.
        out.push('"');
        out.push_str(name.as_str());
        out.push_str("\":\"");
        for (index, value) in request.headers.get_all(name).iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            json::contents(&String::from_utf8_lossy(value.as_bytes()), out);
        }
        out.push_str("\",");
    }
    out.push_str(r#""x-forwarded-for":""#);
    for value in request.headers.get_all(FORWARDED_FOR) {
        json::contents(&String::from_utf8_lossy(value.as_bytes()), out);
        out.push_str(", ");
    }
    source(request, out);
    out.push_str(r#"","x-forwarded-port":""#);
    push(out, request.port);
    out.push_str(r#"","x-forwarded-proto":"http","x-amzn-trace-id":"#);
    json::string(request.trace_id, out);
    out.push('}');
}

/// Decoded, names once each: what repeats is joined by commas.
fn parameters(query: &str, out: &mut String) {
    let decode = |text: &str| {
        let blanks = text.replace('+', " ");
        percent_decode_str(&blanks).decode_utf8_lossy().into_owned()
    };
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect();
    if pairs.is_empty() {
        return;
    }
    // Stable: values of one name keep their order.
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    out.push_str(r#","queryStringParameters":{"#);
    for (index, group) in pairs.chunk_by(|(a, _), (b, _)| a == b).enumerate() {
        if index > 0 {
            out.push(',');
        }
        json::string(&group[0].0, out);
        out.push_str(":\"");
        for (index, (_, value)) in group.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            json::contents(value, out);
        }
        out.push('"');
    }
    out.push('}');
}

fn context(request: &UrlRequest<'_>, out: &mut String) {
    let account = request.caller.map_or("anonymous", |caller| &caller.account);
    out.push_str(r#","requestContext":{"accountId":"#);
    json::string(account, out);
    out.push_str(r#","apiId":"#);
    json::string(request.url_id, out);
    if let Some(caller) = request.caller {
        authorizer(caller, out);
    }
    out.push_str(r#","domainName":"#);
    json::string(request.domain, out);
    out.push_str(r#","domainPrefix":"#);
    json::string(request.url_id, out);
    out.push_str(r#","http":{"method":"#);
    json::string(request.method.as_str(), out);
    out.push_str(r#","path":"#);
    json::string(request.path, out);
    let protocol = if request.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
    out.push_str(r#","protocol":""#);
    out.push_str(protocol);
    out.push_str(r#"","sourceIp":""#);
    source(request, out);
    out.push('"');
    if let Some(agent) = request.headers.get(USER_AGENT) {
        out.push_str(r#","userAgent":"#);
        json::string(&String::from_utf8_lossy(agent.as_bytes()), out);
    }
    out.push_str(r#"},"requestId":"#);
    json::string(request.request_id, out);
    out.push_str(r#","routeKey":"$default","stage":"$default","time":""#);
    time(request.time_ms / 1_000, out);
    out.push_str(r#"","timeEpoch":"#);
    push(out, request.time_ms);
    out.push('}');
}

/// The caller as AWS describes an account's root.
fn authorizer(caller: &IamCaller, out: &mut String) {
    out.push_str(r#","authentication":null,"authorizer":{"iam":{"accessKey":"#);
    json::string(&caller.access_key, out);
    for name in ["accountId", "callerId"] {
        out.push_str(",\"");
        out.push_str(name);
        out.push_str("\":");
        json::string(&caller.account, out);
    }
    out.push_str(r#","cognitoIdentity":null,"principalOrgId":null,"userArn":"#);
    json::string(&format!("arn:aws:iam::{}:root", caller.account), out);
    out.push_str(r#","userId":"#);
    json::string(&caller.account, out);
    out.push_str("}}");
}

fn body(request: &UrlRequest<'_>, out: &mut String) {
    let text = std::str::from_utf8(request.body).ok().filter(|_| is_text(request.headers));
    match text {
        _ if request.body.is_empty() => out.push_str(r#","isBase64Encoded":false"#),
        Some(text) => {
            out.push_str(r#","body":"#);
            json::string(text, out);
            out.push_str(r#","isBase64Encoded":false"#);
        }
        None => {
            out.push_str(r#","body":""#);
            BASE64_STANDARD.encode_string(request.body, out);
            out.push_str(r#"","isBase64Encoded":true"#);
        }
    }
}

/// Whether a body of this type, if it is UTF-8, is handed on as text.
///
/// Recorded: JSON and `text/*` are, forms (both kinds) are not. A body without a type is taken for
/// what it is; one that is compressed is never text.
fn is_text(headers: &HeaderMap) -> bool {
    if headers.contains_key(CONTENT_ENCODING) {
        return false;
    }
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let value = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    let kind = value.trim_ascii().to_ascii_lowercase();
    kind.starts_with(b"text/")
        || kind.ends_with(b"+json")
        || kind.ends_with(b"+xml")
        || matches!(
            kind.as_slice(),
            b"application/json" | b"application/javascript" | b"application/xml"
        )
}

/// `09/May/2022:12:29:52 +0000`; written once a second and remembered.
fn time(second: u64, out: &mut String) {
    thread_local! {
        static LAST: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    LAST.with_borrow_mut(|(known, text)| {
        if *known != second {
            let moment = i64::try_from(second).ok().and_then(|s| Timestamp::from_second(s).ok());
            let moment = moment.unwrap_or(Timestamp::UNIX_EPOCH);
            *text = moment.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
            *known = second;
        }
        out.push_str(text);
    });
}

/// The sender's address; an IPv4 address in IPv6's clothes is an IPv4 address.
fn source(request: &UrlRequest<'_>, out: &mut String) {
    if let Some(source) = request.source {
        push(out, source.to_canonical());
    }
}

/// Appends what prints as plain characters.
fn push(out: &mut String, value: impl std::fmt::Display) {
    use std::fmt::Write as _;
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

#[cfg(test)]
mod tests;
