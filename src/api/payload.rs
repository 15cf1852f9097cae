//! Events as callers send them: how large, and whether they are JSON.
//!
//! The event itself goes to the function byte for byte. It is looked at only to be refused with
//! AWS's words, which are those of the Jackson library; an operator who knows AWS recognises them.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use httpd::AwsError;
use serde::de::IgnoredAny;

use crate::errors;

/// Largest event of a synchronous invocation, bytes (an AWS limit).
pub(crate) const MAX: usize = 6 * 1024 * 1024;

/// From this many bytes on, work that looks at each of them leaves the thread that serves others: a
/// megabyte takes about a millisecond to hash, which is what others may wait.
const HEAVY: usize = 1024 * 1024;

/// What an event without a payload is.
const EMPTY: Bytes = Bytes::from_static(b"{}");

/// Does work on so many bytes, elsewhere if they are many.
///
/// # Errors
/// If the work panicked.
pub(crate) async fn heavy<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AwsError> {
    if bytes < HEAVY {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|err| {
        tracing::error!(%err, "work on a large body did not finish");
        errors::internal()
    })
}

/// An event that can be delivered.
///
/// # Errors
/// If it is not JSON.
pub(crate) async fn event(body: Bytes) -> Result<Bytes, AwsError> {
    if body.is_empty() {
        return Ok(EMPTY);
    }
    let checked = body.clone();
    heavy(body.len(), move || check(&checked)).await??;
    Ok(body)
}

/// Whether it is JSON in UTF-8.
fn check(body: &[u8]) -> Result<(), AwsError> {
    let text = std::str::from_utf8(body).map_err(|err| {
        let at = err.valid_up_to();
        refused(&format!("Invalid UTF-8 start byte 0x{:x}", body[at]), body, at)
    })?;
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(err) if err.is_eof() => Err(refused("Unexpected end-of-input", body, body.len())),
        Err(err) => {
            let at = offset(text, err.line(), err.column());
            Err(match text[at..].chars().next() {
                None => refused("Unexpected end-of-input", body, at),
                Some(found) if is_of_word(found) => {
                    let begin = text[..at].trim_end_matches(is_of_word).len();
                    let end = text.len() - text[at..].trim_start_matches(is_of_word).len();
                    refused(&unrecognized(&text[begin..end]), body, end)
                }
                Some(found) => refused(&unexpected(found), body, at),
            })
        }
    }
}

/// Whether a character is part of what could be meant as `null`, `true` or `false`.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// Jackson's sentence for a word that is no value; a long one is cut, as Jackson cuts it.
fn unrecognized(word: &str) -> String {
    const LONGEST: usize = 256;
    let (shown, more) = match word.char_indices().nth(LONGEST) {
        None => (word, ""),
        Some((end, _)) => (&word[..end], "..."),
    };
    format!(
        "Unrecognized token '{shown}{more}': was expecting (JSON String, Number, Array, Object or \
         token 'null', 'true' or 'false')"
    )
}

/// Jackson's sentence for a character where no value begins.
fn unexpected(found: char) -> String {
    let code = found as u32;
    let shown = if found.is_control() {
        format!("(CTRL-CHAR, code {code})")
    } else {
        format!("'{found}' (code {code})")
    };
    format!(
        "Unexpected character ({shown}): expected a valid value (JSON String, Number, Array, Object \
         or token 'null', 'true' or 'false')"
    )
}

/// The byte at a line and column as the parser counts them: from 1, in bytes; a column of 0 is the
/// line break before.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let begin = match line {
        0 | 1 => 0,
        line => text.match_indices('\n').nth(line - 2).map_or(0, |(at, _)| at + 1),
    };
    let mut at = (begin + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The refusal, with the place as Jackson prints it.
fn refused(what: &str, body: &[u8], at: usize) -> AwsError {
    let before = &body[..at];
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let column = at - begin + 1;
    errors::content(format!(
        "Could not parse request body into json: Could not parse payload into json: {what}\n at \
         [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {line}, \
         column: {column}]"
    ))
}

/// The refusal of an event that is too large.
pub(crate) fn too_large(headers: &HeaderMap) -> AwsError {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let bytes = announced.and_then(|text| text.parse().ok()).unwrap_or(MAX + 1);
    errors::too_large(format!(
        "{bytes} byte payload is too large for the RequestResponse invocation type (limit {MAX} \
         bytes)"
    ))
}

#[cfg(test)]
mod tests;
