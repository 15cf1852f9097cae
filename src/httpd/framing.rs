//! Where one request ends and the next begins must not be a matter of opinion.
//!
//! A request that carries both `Transfer-Encoding` and `Content-Length` is read one way by some
//! servers and another way by others; behind a proxy that is how requests are smuggled. The HTTP
//! library follows the specification's gentler way: it believes the former, removes the latter, and
//! closes the connection afterwards, which leaves no trace in the headers to refuse by. So the head
//! is looked at once more as it came, for requests with `Transfer-Encoding` alone, which are few.

use http::request::Parts;
use http::{Method, Version, header};

/// Why a request cannot be told apart from what follows it, or from its neighbour's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FramingError {
    /// Two statements about the length.
    #[error("a request must not have both Transfer-Encoding and Content-Length")]
    TwoLengths,
    /// HTTP/1.1 asks for exactly one.
    #[error("a request must have exactly one Host header")]
    Host,
    /// `CONNECT` asks for a tunnel: what follows would not be requests at all.
    #[error("this is no proxy")]
    Tunnel,
    /// The request line names a host of its own, and it is another.
    #[error("the host in the request line is not that of the Host header")]
    OtherHost,
}

/// Checks a parsed head against `raw`, the same head as it came.
pub(crate) fn check(parts: &Parts, raw: &[u8]) -> Result<(), FramingError> {
    if parts.method == Method::CONNECT {
        return Err(FramingError::Tunnel);
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if parts.version == Version::HTTP_11 => return Err(FramingError::Host),
        (_, Some(_)) => return Err(FramingError::Host),
        (host, None) => {
            let named = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
            if named.is_some_and(|named| Some(named) != host.map(|host| host.as_bytes())) {
                return Err(FramingError::OtherHost);
            }
        }
    }
    if parts.headers.contains_key(header::TRANSFER_ENCODING)
        && mentions_length(raw, parts.method.as_str())
    {
        return Err(FramingError::TwoLengths);
    }
    Ok(())
}

/// Whether a head states a length, or cannot be seen whole.
///
/// It cannot if the request was pipelined behind another: part of it was read with that one's body.
/// Nobody pipelines chunked requests, so this refuses nobody.
fn mentions_length(raw: &[u8], method: &str) -> bool {
    let start = raw.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(raw.len());
    let mut lines = raw[start..].split_inclusive(|byte| *byte == b'\n');
    if !lines.next().unwrap_or_default().starts_with(method.as_bytes()) {
        return true;
    }
    for line in lines {
        if matches!(line, b"\n" | b"\r\n") {
            return false;
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if name.trim_ascii().eq_ignore_ascii_case(b"content-length") {
            return true;
        }
    }
    true
}

#[cfg(test)]
mod tests;
