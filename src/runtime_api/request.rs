//! A request's head, as far as it is one of the two usual ones.
//!
//! Whatever is not plainly usual is [`Seen::Other`], which costs nothing but time: it is read again by
//! somebody who knows all of HTTP. So a head with an encoding, an expectation, a length that is said
//! twice or a name in its place that is no identifier is other, and so is every path but two.

use http::Method;
use model::RequestId;

use crate::reply::INVOCATION_ID;
use crate::route::Route;

/// More headers than the official clients send; a request with more is other.
const HEADERS: usize = 32;

/// A usual request, from its head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Bytes of the head, with its empty line.
    pub(crate) head: usize,
    pub(crate) asks: Asks,
}

/// What it asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// `GET /runtime/invocation/next`, without a body.
    Next,
    /// `POST /runtime/invocation/{request}/response`, with a body of this length.
    Response { request: RequestId, attempt: Option<RequestId>, length: usize },
}

/// What the first bytes of a connection, or those behind the last request, are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The beginning of a head.
    Part,
    /// A head, and maybe more.
    Usual(Request),
    /// Something else.
    Other,
}

/// What headers say, of what matters.
#[derive(Default)]
struct Said {
    length: Option<usize>,
    attempt: Option<RequestId>,
}

// === impl Request ===

impl Request {
    /// Reads what has come so far.
    pub(crate) fn read(bytes: &[u8]) -> Seen {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let head = match request.parse(bytes) {
            Ok(httparse::Status::Complete(head)) => head,
            Ok(httparse::Status::Partial) => return Seen::Part,
            Err(_other) => return Seen::Other,
        };
        match asks(&request) {
            Some(asks) => Seen::Usual(Self { head, asks }),
            None => Seen::Other,
        }
    }
}

fn asks(request: &httparse::Request<'_, '_>) -> Option<Asks> {
    if request.version != Some(1) {
        return None;
    }
    let method = match request.method? {
        "GET" => Method::GET,
        "POST" => Method::POST,
        _ => return None,
    };
    let route = Route::parse(&method, request.path?).ok()?;
    let said = Said::read(request.headers)?;
    match (route, said) {
        (Route::Next, Said { length: None | Some(0), .. }) => Some(Asks::Next),
        (Route::Response { request_id }, Said { length: Some(length), attempt }) => {
            Some(Asks::Response { request: RequestId::parse(request_id)?, attempt, length })
        }
        _ => None,
    }
}

// === impl Said ===

impl Said {
    /// `None` if something is said that makes the request an unusual one.
    fn read(headers: &[httparse::Header<'_>]) -> Option<Self> {
        let mut said = Self::default();
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                if said.length.replace(length(header.value)?).is_some() {
                    return None;
                }
            } else if is(INVOCATION_ID.as_str()) {
                let attempt = RequestId::parse(std::str::from_utf8(header.value).ok()?)?;
                if said.attempt.replace(attempt).is_some() {
                    return None;
                }
            } else if is("connection") {
                if !header.value.eq_ignore_ascii_case(b"keep-alive") {
                    return None;
                }
            } else if ["transfer-encoding", "expect", "upgrade", "trailer"].into_iter().any(is)
                || is("lambda-runtime-function-response-mode")
            {
                return None;
            }
        }
        Some(said)
    }
}

/// Digits and nothing else, of a number that is not absurd.
fn length(text: &[u8]) -> Option<usize> {
    let plain = (1..=9).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| plain)?.parse().ok()
}

#[cfg(test)]
mod tests;
