//! A listener that asks for no credentials, kept to the machine's own programs.
//!
//! Binding to loopback keeps other machines out, not the web: any page in a browser on this machine
//! can send requests to `http://localhost:9000`. Three things give a page away, and each of them is
//! refused: a `Host` that is not ours (a name of the attacker's that resolves to 127.0.0.1: DNS
//! rebinding), an `Origin` that is not ours, and `Sec-Fetch-Site`, which browsers add and scripts
//! cannot forge. A program such as curl or an SDK sends the first rightly and the others not at all.

use http::HeaderMap;
use http::header::{HOST, HeaderName, ORIGIN};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Names of loopback that browsers and resolvers agree on.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// A request that may come from a web page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLocal {
    /// The request is for another host.
    #[error(
        "Host '{host}' is not served without credentials: use localhost, or start with credentials"
    )]
    Host {
        /// What it was for.
        host: String,
    },
    /// A page of another origin sent it.
    #[error("a web page of '{origin}' may not use an API that asks for no credentials")]
    Origin {
        /// Whose page.
        origin: String,
    },
    /// A browser says that another site caused it.
    #[error("another web site may not use an API that asks for no credentials")]
    CrossSite,
}

/// Refuses requests that a web page of somebody else's may have sent.
///
/// `hosts` are names beside loopback's that are ours, without port, lower case.
///
/// # Errors
/// See [`NotLocal`].
pub fn check(headers: &HeaderMap, hosts: &[&str]) -> Result<(), NotLocal> {
    let text = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().map(|value| String::from_utf8_lossy(value.as_bytes()));
        // A second value is no browser's and no client's: it is made to match nothing.
        if values.next().is_some() { Some("(repeated)".into()) } else { value }
    };
    let host = text(&HOST).unwrap_or_default();
    if !is_ours(&host, hosts) {
        return Err(NotLocal::Host { host: host.into_owned() });
    }
    if let Some(origin) = text(&ORIGIN) {
        // `null` is the origin of sandboxed frames and local files: nobody's.
        // An origin includes its port: a page of another local program is somebody else's, too.
        let named = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if !named.is_some_and(|named| named.eq_ignore_ascii_case(&host)) {
            return Err(NotLocal::Origin { origin: origin.into_owned() });
        }
    }
    match text(&FETCH_SITE).as_deref() {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) => Err(NotLocal::CrossSite),
    }
}

/// Whether a `host` or `host:port` is loopback's or one of `hosts`.
fn is_ours(authority: &str, hosts: &[&str]) -> bool {
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    let name = name.to_ascii_lowercase();
    LOOPBACK.contains(&name.as_str()) || hosts.contains(&name.as_str())
}

#[cfg(test)]
mod tests;
