//! ARNs of layers and of their versions.

use crate::patterns::{Pattern, every, is_partition};
use crate::target::{is_account, is_region};

/// `arn:<partition>:lambda:<region>:<account>:layer:<name>`, perhaps with `:<version>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LayerArn<'a> {
    /// All of it.
    pub(super) text: &'a str,
    /// The region.
    pub(super) region: &'a str,
    /// The account.
    pub(super) account: &'a str,
    /// The name: of the right characters, of any length.
    pub(super) name: &'a str,
    /// The version, if it says one: digits, of any number.
    pub(super) version: Option<&'a str>,
}

/// A version of a layer, where a function names it. AWS's own layers, which the pattern allows, have
/// neither region nor account.
pub(super) const LAYER_VERSION: Pattern = Pattern {
    text: r"(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)",
    matches: |text| {
        LayerArn::parse(text).is_some_and(|arn| arn.version.is_some()) || is_of_aws(text)
    },
};

// === impl LayerArn ===

impl<'a> LayerArn<'a> {
    /// Reads one.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let (head, version) = match parts[..] {
            [ref head @ .., version] if head.len() == 7 => (head, Some(version)),
            ref head => (head, None),
        };
        let &["arn", partition, "lambda", region, account, "layer", name] = head else {
            return None;
        };
        let fits = (partition.is_empty() || is_partition(partition))
            && is_region(region)
            && is_account(account)
            && every(name, b"-_")
            && version.is_none_or(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit()));
        fits.then_some(Self { text, region, account, name, version })
    }
}

/// `arn:<partition>:lambda:::awslayer:<name>`
fn is_of_aws(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    matches!(parts[..], ["arn", partition, "lambda", "", "", "awslayer", name]
        if every(partition, b"-") && every(name, b"-_"))
}

#[cfg(test)]
mod tests;
