//! Paths, taken apart once.
//!
//! A path is split at its slashes first and each segment decoded after, exactly once: `%2F` is a
//! slash *in* a segment and never a separator, `%252e` is the text `%2e`. What could mean one thing
//! here and another thing elsewhere is refused: dot segments however they are spelled, NUL, and bytes
//! that are not UTF-8, overlong forms among them. What a segment may otherwise hold is for the type
//! it is parsed into to say.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A path's segments, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments<'a>(Vec<Cow<'a, str>>);

/// A path that is not taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash: `*`, or an authority.
    #[error("a path must begin with a slash")]
    Relative,
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("a path must not hold an incomplete escape")]
    Escape,
    /// `.` or `..`.
    #[error("a path must not hold dot segments")]
    Dots,
    /// NUL.
    #[error("a path must not hold NUL")]
    Nul,
    /// Not UTF-8 once decoded.
    #[error("a path must be UTF-8")]
    Encoding,
}

// === impl Segments ===

impl<'a> Segments<'a> {
    /// Takes a raw path apart.
    ///
    /// A slash at the end makes a last, empty segment: `/functions/` and `/functions` differ, and
    /// AWS's own model has operations of both forms.
    ///
    /// # Errors
    /// See [`PathError`].
    pub fn parse(raw: &'a str) -> Result<Self, PathError> {
        let rest = raw.strip_prefix('/').ok_or(PathError::Relative)?;
        if rest.is_empty() {
            return Ok(Self(Vec::new()));
        }
        rest.split('/').map(segment).collect::<Result<_, _>>().map(Self)
    }

    /// The segments, for matching.
    pub fn as_slice(&self) -> &[Cow<'a, str>] {
        &self.0
    }
}

fn segment(raw: &str) -> Result<Cow<'_, str>, PathError> {
    let bytes = raw.as_bytes();
    let escaped = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let mut percents = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    if percents.any(|(at, _)| !escaped(at + 1) || !escaped(at + 2)) {
        return Err(PathError::Escape);
    }
    let text = percent_decode_str(raw).decode_utf8().map_err(|_| PathError::Encoding)?;
    if text.contains('\0') {
        return Err(PathError::Nul);
    }
    // An escaped slash must not carry a dot segment through to somebody who splits again.
    if text.split(['/', '\\']).any(|part| matches!(part, "." | "..")) {
        return Err(PathError::Dots);
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
