//! Pages of EventBridge Scheduler's lists.

use httpd::AwsError;

use super::{NAME, invalid};
use crate::listing::unmark;
use crate::router::Call;
use crate::validate::{Text, Violations};

/// Entries of a page, unless fewer are asked for; also the most that may be (an AWS limit).
const PAGE: i64 = 100;

/// Where a page begins, and what is in it.
#[derive(Debug)]
pub(super) struct Page<'a> {
    /// The entry before its first.
    pub(super) after: Option<String>,
    /// How many entries at most.
    pub(super) size: usize,
    /// What their names begin with.
    pub(super) prefix: &'a str,
}

// === impl Page ===

impl<'a> Page<'a> {
    /// Reads `NextToken`, `MaxResults` and `NamePrefix`.
    ///
    /// # Errors
    /// For what is outside its limits, with whatever else is wrong, or a token that is none.
    pub(super) fn read(call: &'a Call<'_>, mut violations: Violations) -> Result<Self, AwsError> {
        let given = |name| call.query.get(name).filter(|text| !text.is_empty());
        let prefix = given("NamePrefix");
        violations.text("namePrefix", prefix, NAME);
        let token = given("NextToken");
        violations.text("nextToken", token, Text { least: 1, most: 2048, pattern: None });
        let size = given("MaxResults").map(str::parse::<i64>).transpose();
        let size = size.map_err(|_| invalid("MaxResults is not a number."))?;
        violations.number("maxResults", size, 1, Some(PAGE));
        violations.finish()?;
        let after = token.map(unmark).transpose();
        let after = after.map_err(|_| invalid("The NextToken is not valid."))?;
        let size = usize::try_from(size.unwrap_or(PAGE)).unwrap_or_default();
        Ok(Self { after, size, prefix: prefix.unwrap_or_default() })
    }
}
