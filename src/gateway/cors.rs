//! Cross-origin sharing, as configured on a URL.
//!
//! With a configuration, preflight requests are answered here and never reach the function, and the
//! headers that browsers look for are set on its responses; what the function says in them itself
//! gives way, because two values of one of these headers are an error to a browser. Without a
//! configuration all of it is the function's own business.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN,
    VARY,
};
use http::{HeaderMap, Method};
use model::url::Cors;

/// The headers that answer a preflight request; `None` if it is none, and is for the function.
///
/// The headers of an origin that is not allowed are empty: that is how a browser is refused.
pub fn preflight(cors: &Cors, method: &Method, headers: &HeaderMap) -> Option<HeaderMap> {
    let wanted = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    if *method != Method::OPTIONS || !headers.contains_key(ORIGIN) {
        return None;
    }
    let mut out = HeaderMap::new();
    if !allow_origin(cors, headers, &mut out) {
        return Some(out);
    }
    let asked = headers.get(ACCESS_CONTROL_REQUEST_HEADERS);
    list(cors, cors.allow_methods.as_deref(), Some(wanted), ACCESS_CONTROL_ALLOW_METHODS, &mut out);
    list(cors, cors.allow_headers.as_deref(), asked, ACCESS_CONTROL_ALLOW_HEADERS, &mut out);
    if let Some(seconds) = cors.max_age {
        out.insert(ACCESS_CONTROL_MAX_AGE, seconds.into());
    }
    Some(out)
}

/// Sets the headers of an ordinary response.
pub fn apply(cors: &Cors, request: &HeaderMap, response: &mut HeaderMap) {
    for name in [
        ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        ACCESS_CONTROL_EXPOSE_HEADERS,
    ] {
        response.remove(name);
    }
    if allow_origin(cors, request, response) {
        let exposed = cors.expose_headers.as_deref();
        list(cors, exposed, None, ACCESS_CONTROL_EXPOSE_HEADERS, response);
    }
}

/// Whether the request's origin may read the response; if so, says so.
fn allow_origin(cors: &Cors, request: &HeaderMap, out: &mut HeaderMap) -> bool {
    let Some(origins) = cors.allow_origins.as_deref().filter(|origins| !origins.is_empty()) else {
        return false;
    };
    let any = origins.iter().any(|origin| origin == "*");
    if !any || credentials(cors) {
        // The answer differs by origin, which caches must know even where there is none.
        out.append(VARY, HeaderValue::from_static("Origin"));
    }
    let Some(origin) = request.get(ORIGIN) else { return false };
    let listed = origins.iter().any(|known| known.as_bytes() == origin.as_bytes());
    if !any && !listed {
        return false;
    }
    if credentials(cors) {
        // With credentials a star means nothing to a browser.
        out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        out.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    } else if any {
        out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else {
        out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    true
}

/// A configured list as a header; a star stands for what was asked where credentials forbid stars.
fn list(
    cors: &Cors,
    configured: Option<&[String]>,
    asked: Option<&HeaderValue>,
    name: HeaderName,
    out: &mut HeaderMap,
) {
    let Some(configured) = configured.filter(|list| !list.is_empty()) else { return };
    let star = configured.iter().any(|entry| entry == "*");
    let value = match asked {
        Some(asked) if star && credentials(cors) => Some(asked.clone()),
        _ if star => Some(HeaderValue::from_static("*")),
        // What the API accepted is printable; a value that is not would be dropped here.
        _ => HeaderValue::from_str(&configured.join(",")).ok(),
    };
    if let Some(value) = value {
        out.insert(name, value);
    }
}

fn credentials(cors: &Cors) -> bool {
    cors.allow_credentials == Some(true)
}

#[cfg(test)]
mod tests;
