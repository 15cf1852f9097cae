//! What a function returned, as an HTTP response.
//!
//! A JSON object with `statusCode` describes the response. Anything else *is* the response: status
//! 200, `application/json`, the value in compact form, except that a string loses its quotes. What
//! is neither, or describes a response that cannot be sent, is 502 `Internal Server Error`.
//!
//! Bodies are not copied where the payload holds them as they are to be sent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::json;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Most headers and cookies of an answer: what browsers and proxies take, several times over. A map of
/// headers ends somewhere, too, and not with an error.
const MOST_HEADERS: usize = 500;
/// Most bytes of their names and values (AWS's API Gateway takes 10,240; proxies take 64 KiB at most).
const MOST_HEADER_BYTES: usize = 64 * 1024;

/// Headers that frame the message or belong to the connection: set by the server alone. AWS hands
/// them on under another name, and so do we.
const FRAMING: [&str; 10] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
];

/// A described response; unknown members are passed over, as AWS does.
#[derive(Deserialize)]
struct Described<'a> {
    #[serde(borrow, rename = "statusCode")]
    status: Option<&'a RawValue>,
    #[serde(borrow, default)]
    headers: Option<BTreeMap<Cow<'a, str>, &'a RawValue>>,
    #[serde(borrow, default)]
    cookies: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
    #[serde(rename = "isBase64Encoded", default)]
    base64: Option<bool>,
}

/// Only whether there is a status, for objects whose other members are of other shapes.
#[derive(Deserialize)]
struct Status<'a> {
    #[serde(borrow, rename = "statusCode")]
    status: Option<&'a RawValue>,
}

/// The response that a handler's result makes.
pub fn response(payload: &Bytes) -> Response<Bytes> {
    read(payload).unwrap_or_else(internal_server_error)
}

/// The response to a request whose function failed, in whatever way.
pub fn internal_server_error() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"Internal Server Error"));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn read(payload: &Bytes) -> Option<Response<Bytes>> {
    let first = payload.iter().find(|byte| !byte.is_ascii_whitespace())?;
    match first {
        b'{' => match serde_json::from_slice::<Described<'_>>(payload) {
            Ok(said) if said.status.is_some() => described(payload, said),
            Ok(_) => Some(plain(compact(payload))),
            // `headers` and the like may be anything in a value that describes no response.
            Err(_) => match serde_json::from_slice::<Status<'_>>(payload).ok()?.status {
                Some(_) => None,
                None => Some(plain(compact(payload))),
            },
        },
        b'"' => Some(plain(text(payload, payload)?)),
        _ => {
            serde_json::from_slice::<IgnoredAny>(payload).ok()?;
            Some(plain(compact(payload)))
        }
    }
}

fn plain(body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn described(payload: &Bytes, said: Described<'_>) -> Option<Response<Bytes>> {
    let status = scalar(said.status?)?;
    let status = StatusCode::from_u16(status.parse().ok()?).ok()?;
    // A response of 1xx is not final: the client would wait for another.
    if status.is_informational() {
        return None;
    }
    let body = match said.body.map(RawValue::get) {
        None | Some("null") => Bytes::new(),
        Some(raw) if raw.starts_with('"') => {
            let text = text(payload, raw.as_bytes())?;
            if said.base64 == Some(true) {
                Bytes::from(BASE64_STANDARD.decode(&text).ok()?)
            } else {
                text
            }
        }
        Some(raw) => compact(&payload.slice_ref(raw.as_bytes())),
    };
    let mut response = plain(body);
    *response.status_mut() = status;
    let (fields, cookies) = (said.headers.unwrap_or_default(), said.cookies.unwrap_or_default());
    if fields.len() + cookies.len() > MOST_HEADERS {
        return None;
    }
    let headers = response.headers_mut();
    let mut bytes = 0;
    for (name, value) in fields {
        if value.get() == "null" {
            continue;
        }
        bytes += name.len() + value.get().len();
        let mut name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        if FRAMING.contains(&name.as_str()) {
            let other = format!("x-amzn-remapped-{name}");
            name = HeaderName::from_bytes(other.as_bytes()).ok()?;
        }
        headers.insert(name, HeaderValue::from_bytes(scalar(value)?.as_bytes()).ok()?);
    }
    for cookie in cookies {
        bytes += SET_COOKIE.as_str().len() + cookie.len();
        headers.append(SET_COOKIE, HeaderValue::from_bytes(cookie.as_bytes()).ok()?);
    }
    (bytes <= MOST_HEADER_BYTES).then_some(response)
}

/// A string's text, a number's or a boolean's spelling.
fn scalar(value: &RawValue) -> Option<Cow<'_, str>> {
    match value.get().as_bytes().first()? {
        b'"' => string(value.get().as_bytes()),
        b'{' | b'[' => None,
        _ => Some(Cow::Borrowed(value.get())),
    }
}

fn string(raw: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_slice::<Text<'_>>(raw).ok().map(|text| text.0)
}

/// The text of a JSON string that lies in `payload`: a part of it if nothing in it is escaped.
fn text(payload: &Bytes, raw: &[u8]) -> Option<Bytes> {
    Some(match string(raw)? {
        Cow::Borrowed(text) => payload.slice_ref(text.as_bytes()),
        Cow::Owned(text) => Bytes::from(text),
    })
}

fn compact(json: &Bytes) -> Bytes {
    if json::is_loose(json) { json::compact(json).into() } else { json.clone() }
}

#[cfg(test)]
mod tests;
