//! The regular expressions of AWS's model, each beside the code that decides it.
//!
//! The text is printed in refusals and has to be AWS's to the letter; deciding by hand keeps a
//! regular-expression engine, and its surprises, away from what strangers send. Java's `matches`
//! is meant: the whole text, not a part of it. Where recorded refusals print a newer pattern than
//! the published model (`eusc-`), the recorded one stands.

use crate::target::Target;

/// A form that texts can have.
#[derive(Clone, Copy)]
pub(crate) struct Pattern {
    /// As AWS prints it.
    pub(crate) text: &'static str,
    /// Whether a text has it.
    pub(crate) matches: fn(&str) -> bool,
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text)
    }
}

/// A function in requests that change it.
pub(crate) const FUNCTION: Pattern = Pattern {
    text: r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?",
    matches: |text| {
        Target::parse(text).is_some_and(|target| {
            !target.name.contains('.') && target.qualifier != Some("$LATEST.PUBLISHED")
        })
    },
};

/// A function in requests that look at it or call it.
pub(crate) const NAMESPACED_FUNCTION: Pattern = Pattern {
    text: r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?",
    matches: |text| Target::parse(text).is_some(),
};

/// A version or alias.
pub(crate) const QUALIFIER: Pattern = Pattern {
    text: r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+",
    matches: |text| text == "$LATEST.PUBLISHED" || every(text, b"-_$"),
};

/// An alias, or nothing, where `$LATEST` is meant by giving nothing.
pub(crate) const URL_QUALIFIER: Pattern = Pattern {
    text: r"((?!^\d+$)^[0-9a-zA-Z-_]+$)",
    matches: |text| every(text, b"-_") && !text.bytes().all(|b| b.is_ascii_digit()),
};

/// A role.
pub(crate) const ROLE: Pattern = Pattern {
    text: r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+",
    matches: |text| model::configuration::RoleArn::parse(text).is_ok(),
};

/// A handler.
pub(crate) const HANDLER: Pattern = Pattern {
    text: r"[^\s]+",
    matches: |text| !text.is_empty() && !text.chars().any(char::is_whitespace),
};

/// The name of a variable.
pub(crate) const VARIABLE: Pattern =
    Pattern { text: "[a-zA-Z]([a-zA-Z0-9_])+", matches: model::environment::is_name };

/// A log group.
pub(crate) const LOG_GROUP: Pattern =
    Pattern { text: r"[\.\-_/#A-Za-z0-9]+", matches: |text| every(text, b".-_/#") };

/// Any resource.
pub(crate) const ARN: Pattern = Pattern {
    text: r"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)",
    matches: |text| {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let &["arn", partition, service, region, account, rest] = parts.as_slice() else {
            return false;
        };
        is_partition(partition)
            && every(service, b"-")
            && (region.is_empty() || crate::target::is_region(region))
            && (account.is_empty() || crate::target::is_account(account))
            && !rest.contains(['\n', '\r'])
    },
};

/// `aws`, `aws-cn` and the like.
pub(crate) fn is_partition(text: &str) -> bool {
    text.strip_prefix("aws")
        .is_some_and(|more| more.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

/// At least one character, and each a letter, a digit, or one of `others`.
pub(crate) fn every(text: &str, others: &[u8]) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b))
}

#[cfg(test)]
mod tests;
