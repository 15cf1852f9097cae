//! Which request is which: the method and the bytes of the path, matched by hand.
//!
//! There are five routes and their paths are fixed; a router would only add to every request.
//! Segments are not percent-decoded: no client encodes them, and a request id that had to be would be
//! a wrong one.

use http::Method;

/// Where every path begins.
const PREFIX: &str = "/2018-06-01/";

/// A request that was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// `GET /ping`
    Ping,
    /// `GET /runtime/invocation/next`
    Next,
    /// `POST /runtime/invocation/{id}/response`
    Response { request_id: &'a str },
    /// `POST /runtime/invocation/{id}/error`
    Error { request_id: &'a str },
    /// `POST /runtime/init/error`
    InitError,
}

/// A request that was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unrouted {
    /// Nothing has this path.
    Path,
    /// Something has, but not with this method.
    Method,
}

// === impl Route ===

impl<'a> Route<'a> {
    /// Reads a method and a path (without a query).
    pub(crate) fn parse(method: &Method, path: &'a str) -> Result<Self, Unrouted> {
        let rest = path.strip_prefix(PREFIX).ok_or(Unrouted::Path)?;
        let (expected, route) = match rest {
            "runtime/invocation/next" => (Method::GET, Self::Next),
            "runtime/init/error" => (Method::POST, Self::InitError),
            "ping" => (Method::GET, Self::Ping),
            rest => {
                let rest = rest.strip_prefix("runtime/invocation/").ok_or(Unrouted::Path)?;
                let route = match rest.split_once('/') {
                    Some((request_id, "response")) => Self::Response { request_id },
                    Some((request_id, "error")) => Self::Error { request_id },
                    _ => return Err(Unrouted::Path),
                };
                (Method::POST, route)
            }
        };
        if expected == *method { Ok(route) } else { Err(Unrouted::Method) }
    }
}

#[cfg(test)]
mod tests;
