//! Filter patterns, as CloudWatch Logs has them for plain text.
//!
//! ```text
//!   ERROR               contains the term
//!   ERROR timeout       contains both
//!   "task timed out"    contains the phrase, blanks and all
//!   -DEBUG              does not contain it
//!   ?ERROR ?WARN        contains one of them; without effect beside terms of the other kinds
//! ```
//!
//! Terms are compared byte by byte, case included, and anywhere in the message. Patterns over the
//! fields of JSON (`{ … }`), over columns (`[ … ]`) and regular expressions (`%…%`) are refused with
//! a sentence that says so, never treated as text.

use memchr::memmem::Finder;

/// Longest pattern (an AWS limit).
const MAX_PATTERN: usize = 1024;

/// A pattern that was understood.
#[derive(Debug, Clone, Default)]
pub struct FilterPattern {
    /// All of these must occur.
    required: Vec<Finder<'static>>,
    /// None of these may.
    excluded: Vec<Finder<'static>>,
    /// One of these must, if `required` and `excluded` are empty.
    optional: Vec<Finder<'static>>,
}

/// Why a pattern was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Too long.
    #[error("the filter pattern has {length} bytes, at most {MAX_PATTERN} are allowed")]
    TooLong {
        /// How long it is.
        length: usize,
    },
    /// A kind of pattern that is not served.
    #[error(
        "filter patterns over {what} are not supported; \
         use terms such as ERROR, \"a phrase\", -excluded, or ?one ?another"
    )]
    Unsupported {
        /// What it is over.
        what: &'static str,
    },
    /// A quotation mark without its partner.
    #[error("the filter pattern has a quotation mark that is not closed: {rest}")]
    Unclosed {
        /// From the mark on.
        rest: String,
    },
    /// `?` or `-` with nothing behind it.
    #[error("the filter pattern has an empty term")]
    EmptyTerm,
}

// === impl FilterPattern ===

impl FilterPattern {
    /// Reads a pattern; an empty one admits everything.
    ///
    /// # Errors
    /// Too long, of a kind that is not served, or malformed.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN {
            return Err(PatternError::TooLong { length: text.len() });
        }
        let mut rest = text.trim();
        match rest.as_bytes() {
            [b'{', ..] => return Err(PatternError::Unsupported { what: "the fields of JSON" }),
            [b'[', ..] => return Err(PatternError::Unsupported { what: "columns" }),
            [b'%', .., b'%'] => {
                return Err(PatternError::Unsupported { what: "regular expressions" });
            }
            _ => {}
        }
        let mut pattern = Self::default();
        while !rest.is_empty() {
            let (list, term) = match rest.as_bytes()[0] {
                b'-' => (&mut pattern.excluded, &rest[1..]),
                b'?' => (&mut pattern.optional, &rest[1..]),
                _ => (&mut pattern.required, rest),
            };
            let (term, after) = take_term(term)?;
            if term.is_empty() {
                return Err(PatternError::EmptyTerm);
            }
            list.push(Finder::new(term.as_bytes()).into_owned());
            rest = after.trim_start();
        }
        Ok(pattern)
    }

    /// Whether a message is admitted.
    pub fn matches(&self, message: &[u8]) -> bool {
        let has = |finder: &Finder<'_>| finder.find(message).is_some();
        if self.required.is_empty() && self.excluded.is_empty() {
            return self.optional.is_empty() || self.optional.iter().any(has);
        }
        self.required.iter().all(has) && !self.excluded.iter().any(has)
    }
}

/// The term at the front, without its quotation marks, and what follows it.
fn take_term(text: &str) -> Result<(String, &str), PatternError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut term = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, next)) = chars.next() {
        match next {
            '"' => return Ok((term, &quoted[at + 1..])),
            // `\"` and `\\` stand for the second character; other backslashes for themselves.
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => term.push(escaped),
                Some((_, other)) => term.extend(['\\', other]),
                None => term.push('\\'),
            },
            plain => term.push(plain),
        }
    }
    Err(PatternError::Unclosed { rest: text.to_owned() })
}

#[cfg(test)]
mod tests;
