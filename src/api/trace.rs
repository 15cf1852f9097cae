//! The trace that a call belongs to: what X-Ray's header says, or a new one.
//!
//! Nothing is sampled or sent anywhere; functions and what they call pass the header on, so that
//! their own logs can be put together.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use model::id::random_bytes;

/// X-Ray's header.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// Longest header that is passed on; X-Ray's own are about half as long, lineage included.
const MAX: usize = 256;

/// What the function is to see as `_X_AMZN_TRACE_ID`; `now` is seconds since the epoch.
pub(crate) fn of(headers: &HeaderMap, now: u64) -> Arc<str> {
    let given = headers.get(HEADER).and_then(|value| value.to_str().ok());
    match given.filter(|given| given.starts_with("Root=1-") && given.len() <= MAX) {
        Some(given) => given.into(),
        None => {
            let random = u128::from_le_bytes(random_bytes());
            let parent = u64::from_le_bytes(random_bytes()[..8].try_into().unwrap_or_default());
            // 96 bits after the time, as X-Ray has it.
            let root = random >> 32;
            format!("Root=1-{now:08x}-{root:024x};Parent={parent:016x};Sampled=0").into()
        }
    }
}

#[cfg(test)]
mod tests;
