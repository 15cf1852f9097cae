//! One form for every request: what is hashed on both ends.
//!
//! ```text
//!   method ⏎ path ⏎ sorted query ⏎ name:value ⏎ … ⏎ ⏎ signed names ⏎ hash of the body
//! ```
//!
//! Everything is re-encoded from the bytes on the wire rather than taken as it stands, so that two
//! spellings of the same request sign alike and two different requests never do. No UTF-8 is asked
//! for: paths, queries and header values are bytes.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use sha2::{Digest as _, Sha256};

use crate::claim::{PathStyle, RequestParts};

/// The query parameter that holds the signature and is therefore not part of what is signed.
pub(crate) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

const HEX: &[u8; 16] = b"0123456789abcdef";
const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// What an HMAC is taken of.
///
/// `None` if a header that is said to be signed is not there.
pub(crate) fn string_to_sign(
    parts: &RequestParts<'_>,
    style: PathStyle,
    signed_headers: &str,
    payload_hash: &str,
    date: &str,
    scope: &str,
) -> Option<Vec<u8>> {
    let request = request(parts, style, signed_headers, payload_hash)?;
    let hash = hex(&Sha256::digest(&request).into());
    let mut out = Vec::with_capacity(160);
    for part in ["AWS4-HMAC-SHA256", "\n", date, "\n", scope, "\n", &hash] {
        out.extend_from_slice(part.as_bytes());
    }
    Some(out)
}

/// The canonical request.
fn request(
    parts: &RequestParts<'_>,
    style: PathStyle,
    signed_headers: &str,
    payload_hash: &str,
) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(parts.method.as_bytes());
    out.push(b'\n');
    path(parts.path.as_bytes(), style, &mut out);
    out.push(b'\n');
    query(parts.query.unwrap_or_default(), &mut out);
    out.push(b'\n');
    for name in signed_headers.split(';') {
        header(parts.headers, name, &mut out)?;
    }
    out.push(b'\n');
    out.extend_from_slice(signed_headers.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(payload_hash.as_bytes());
    Some(out)
}

fn path(raw: &[u8], style: PathStyle, out: &mut Vec<u8>) {
    match style {
        // What is on the wire is already encoded once and is encoded again, `%` included; segments
        // that mean nothing (`.`, empty) or undo another (`..`) go first.
        PathStyle::Normalised => {
            let start = out.len();
            for segment in raw.split(|byte| *byte == b'/') {
                match segment {
                    b"" | b"." => {}
                    b".." => {
                        let kept = out[start..].iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                        out.truncate(start + kept);
                    }
                    _ => {
                        out.push(b'/');
                        encode(segment, out);
                    }
                }
            }
            if out.len() == start || raw.ends_with(b"/") {
                out.push(b'/');
            }
        }
        // As S3 does: decoded and encoded once, so that only the spelling of escapes is levelled. An
        // escaped slash is data, not a separator, and stays escaped.
        PathStyle::Verbatim => {
            for (index, segment) in raw.split(|byte| *byte == b'/').enumerate() {
                if index > 0 {
                    out.push(b'/');
                }
                encode(&decode(segment), out);
            }
            if raw.is_empty() {
                out.push(b'/');
            }
        }
    }
}

fn query(raw: &str, out: &mut Vec<u8>) {
    if raw.is_empty() {
        return;
    }
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = parameters(raw)
        .filter(|(name, _)| name.as_ref() != SIGNATURE_PARAMETER.as_bytes())
        .map(|(name, value)| (encoded(&name), encoded(&value)))
        .collect();
    pairs.sort_unstable();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
}

/// The parameters of a raw query, decoded, in their order.
///
/// `+` is a blank, as it is for whoever reads the parameters afterwards: signed and acted upon are
/// the same thing.
pub(crate) fn parameters(raw: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (unplus(name.as_bytes()), unplus(value.as_bytes()))
    })
}

fn unplus(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'+') {
        return decode(raw);
    }
    let blanks: Vec<u8> = raw.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    Cow::Owned(decode(&blanks).into_owned())
}

/// `name:value,value⏎`, blanks at the ends dropped and runs of them made one.
fn header(headers: &HeaderMap, name: &str, out: &mut Vec<u8>) -> Option<()> {
    let key = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let mut values = headers.get_all(key).iter().peekable();
    values.peek()?;
    out.extend_from_slice(name.as_bytes());
    for (index, value) in values.enumerate() {
        out.push(if index == 0 { b':' } else { b',' });
        let start = out.len();
        for word in value.as_bytes().split(|b| matches!(b, b' ' | b'\t')).filter(|w| !w.is_empty())
        {
            if out.len() > start {
                out.push(b' ');
            }
            out.extend_from_slice(word);
        }
    }
    out.push(b'\n');
    Some(())
}

fn encoded(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    encode(bytes, &mut out);
    out
}

/// Percent-encodes all but RFC 3986's unreserved characters, in upper case.
fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(*byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'%', HEX_UPPER[high], HEX_UPPER[low]]);
        }
    }
}

/// Undoes percent-encoding; a `%` that starts no escape stands for itself.
fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'%') {
        return Cow::Borrowed(raw);
    }
    let digit = |at: usize| raw.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        match (raw[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                // Two hexadecimal digits: at most 255.
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(out)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8; 32]) -> String {
    let mut out = String::with_capacity(64);
    for byte in bytes {
        out.push(HEX[usize::from(byte >> 4)].into());
        out.push(HEX[usize::from(byte & 15)].into());
    }
    out
}

#[cfg(test)]
mod tests;
