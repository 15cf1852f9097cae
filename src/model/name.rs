//! What functions are called: names, aliases and qualifiers.
//!
//! The several forms in which a path may name a function (partial and full ARNs) are the API's to
//! take apart, because what it answers to a wrong one differs by operation.

use std::fmt;
use std::sync::Arc;

/// 1 to 64 letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionName(Arc<str>);

/// An alias: 1 to 128 letters, digits, `-` and `_`, not all digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AliasName(Arc<str>);

/// Which of a function's versions is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Qualifier {
    /// `$LATEST`, the one that can be changed.
    Latest,
    /// A published one.
    Version(u64),
    /// Whatever an alias points to.
    Alias(AliasName),
}

/// Why some text names no function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Longer than AWS allows for this form.
    #[error("'{value}' is longer than {limit} characters")]
    TooLong {
        /// What was given.
        value: String,
        /// Most characters.
        limit: usize,
    },
    /// Not of the form.
    #[error("'{value}' does not have the form of {what}")]
    Form {
        /// What was given.
        value: String,
        /// What it should have been.
        what: &'static str,
    },
}

// === impl FunctionName ===

impl FunctionName {
    /// Most characters (an AWS limit).
    pub const MAX: usize = 64;

    /// Reads a bare name.
    ///
    /// # Errors
    /// Empty, too long, or another character than AWS's pattern `[a-zA-Z0-9-_]+` allows.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if !is_word(text) {
            return Err(NameError::Form { value: text.to_owned(), what: "a function name" });
        }
        if text.len() > Self::MAX {
            return Err(NameError::TooLong { value: text.to_owned(), limit: Self::MAX });
        }
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl AliasName ===

impl AliasName {
    /// Most characters (an AWS limit).
    pub const MAX: usize = 128;

    /// Reads an alias.
    ///
    /// # Errors
    /// Empty, too long, all digits, or a character outside the pattern.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        if !is_word(text) || digits || text.len() > Self::MAX {
            return Err(NameError::Form { value: text.to_owned(), what: "an alias" });
        }
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AliasName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Qualifier ===

impl Qualifier {
    /// Reads `$LATEST`, a version number or an alias.
    ///
    /// # Errors
    /// If it is none of them.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text == "$LATEST" {
            return Ok(Self::Latest);
        }
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            // A number that does not fit names no version there could ever be.
            return text
                .parse()
                .map(Self::Version)
                .map_err(|_| NameError::Form { value: text.to_owned(), what: "a version number" });
        }
        AliasName::parse(text)
            .map(Self::Alias)
            .map_err(|_| NameError::Form { value: text.to_owned(), what: "a qualifier" })
    }
}

impl fmt::Display for Qualifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("$LATEST"),
            Self::Version(number) => write!(f, "{number}"),
            Self::Alias(alias) => alias.fmt(f),
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests;
