//! Lists, page by page.
//!
//! A marker is the last entry of the page before, in base64 so that nobody takes it for more. It
//! stays good while entries come and go.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use httpd::AwsError;

use crate::errors;
use crate::query::Query;
use crate::validate::Violations;

/// Most entries of one page of functions or versions, however many are asked for (an AWS limit).
pub(crate) const PAGE: usize = 50;

/// Where a page begins and how long it is.
#[derive(Debug)]
pub(crate) struct Page {
    /// The entry before its first.
    pub(crate) after: Option<String>,
    /// How many entries.
    pub(crate) size: usize,
}

// === impl Page ===

impl Page {
    /// Reads `Marker` and `MaxItems`; `most` is what the model allows.
    ///
    /// # Errors
    /// For a number outside its limits, with whatever else is wrong, or a marker that is none.
    pub(crate) fn read(
        query: &Query<'_>,
        mut violations: Violations,
        most: i64,
    ) -> Result<Self, AwsError> {
        let items = query.get("MaxItems").filter(|text| !text.is_empty());
        let number = items.map(str::parse::<i64>).transpose().map_err(|_| {
            errors::validation(
                "1 validation error detected: Value at 'maxItems' failed to satisfy constraint: \
                 Member must be a number",
            )
        })?;
        violations.number("maxItems", number, 1, Some(most));
        violations.finish()?;
        Self::of(query.get("Marker").map(str::to_owned), number)
    }

    /// The same of a request that was read.
    ///
    /// # Errors
    /// For a marker that is none.
    pub(crate) fn of(marker: Option<String>, number: Option<i64>) -> Result<Self, AwsError> {
        let marker = marker.filter(|text| !text.is_empty());
        let after = marker.as_deref().map(unmark).transpose()?;
        let size = number.and_then(|number| usize::try_from(number).ok()).unwrap_or(PAGE).min(PAGE);
        Ok(Self { after, size })
    }
}

/// Takes a page from entries, and says where the next begins if there is one.
pub(crate) fn take<T>(
    mut entries: impl Iterator<Item = T>,
    size: usize,
    name: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let page: Vec<T> = entries.by_ref().take(size).collect();
    let more = entries.next().is_some();
    let next = page.last().filter(|_| more).map(|last| mark(&name(last)));
    (page, next)
}

fn mark(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

/// The entry that a marker names.
///
/// # Errors
/// If it is no marker.
pub(crate) fn unmark(marker: &str) -> Result<String, AwsError> {
    let bytes = URL_SAFE_NO_PAD.decode(marker).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| errors::invalid(format!("The pagination marker '{marker}' is not valid.")))
}

#[cfg(test)]
mod tests;
