//! Which function URL a request is for.
//!
//! Two styles, as S3 has them. *Host-style* is AWS's: `<url-id>.lambda-url.<region>.<domain>`, the
//! path all the function's. *Path-style* is for where no such name resolves:
//! `/<function-name>/<path>`, the name taken off before the function sees the path. The host decides:
//! whatever ends in the configured suffix is host-style and never falls back.

use model::FunctionName;
use model::url::UrlId;

/// What a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address<'a> {
    /// A URL by its identifier.
    Url(UrlId),
    /// A function by its name, and the path that is left for it.
    Function {
        /// The first segment of the path.
        name: FunctionName,
        /// What follows it, `/` at least.
        path: &'a str,
    },
    /// Neither.
    Nothing,
}

/// Reads the address of a request. `suffix` is `.lambda-url.<region>.<domain>`, lower case.
pub fn read<'a>(host: &str, path: &'a str, suffix: &str) -> Address<'a> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
    if let Some(label) = name.strip_suffix(suffix) {
        return UrlId::parse(label).map_or(Address::Nothing, Address::Url);
    }
    let Some(rest) = path.strip_prefix('/') else { return Address::Nothing };
    // A function's name needs no escapes, so an escaped one is not looked at as a name.
    let (name, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    match FunctionName::parse(name) {
        Ok(name) => Address::Function { name, path },
        Err(_) => Address::Nothing,
    }
}

#[cfg(test)]
mod tests;
