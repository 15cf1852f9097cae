//! Log group names as directories.
//!
//! A group's name is the user's choice (up to 512 characters, slashes among them) and becomes part of
//! a path, so every byte that could mean something to a file system is replaced: `/` by `,`, `.` by
//! `=`, `#` by `+`, anything else that is not a letter, digit, `-` or `_` by `%XX`. The result has
//! no dot and no slash, cannot be empty, and maps back to exactly one name. What is longer than a
//! directory's name may be is cut into nested directories, all but the last of which end in `~`.

use std::path::{Path, PathBuf};

/// Longest name of a group or a stream (an AWS limit).
pub(super) const MAX_NAME: usize = 512;

/// Characters of one directory. The kernel allows 255; what is left is room for `~`.
const MAX_COMPONENT: usize = 200;

/// Nested directories at most: a name of 512 characters, each three bytes long.
pub(super) const MAX_DEPTH: usize = (3 * MAX_NAME).div_ceil(MAX_COMPONENT);

/// The relative path of a group's directory; `None` if this cannot be a group's name.
pub(super) fn directory(group: &str) -> Option<PathBuf> {
    if group.is_empty() || group.len() > MAX_NAME {
        return None;
    }
    let encoded = encode(group);
    let mut path = PathBuf::new();
    let mut rest = encoded.as_str();
    // Splitting inside an escape does no harm: the parts are joined before they are decoded.
    while rest.len() > MAX_COMPONENT {
        let (head, tail) = rest.split_at(MAX_COMPONENT);
        path.push(format!("{head}~"));
        rest = tail;
    }
    path.push(rest);
    Some(path)
}

/// The group whose directory this relative path is; `None` if no group's is.
pub(super) fn group(path: &Path) -> Option<String> {
    let mut encoded = String::new();
    for component in path.components() {
        let component = component.as_os_str().to_str()?;
        encoded.push_str(component.strip_suffix('~').unwrap_or(component));
    }
    let name = decode(&encoded)?;
    (directory(&name)? == path).then_some(name)
}

/// Whether a directory of this name holds further directories and not a group's segments.
pub(super) fn is_nested(component: &str) -> bool {
    component.ends_with('~')
}

fn encode(name: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(name.len() + 8);
    for byte in name.bytes() {
        match byte {
            b'/' => out.push(','),
            b'.' => out.push('='),
            b'#' => out.push('+'),
            b'-' | b'_' => out.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => out.push(byte.into()),
            _ => {
                out.push('%');
                out.push(DIGITS[usize::from(byte >> 4)].into());
                out.push(DIGITS[usize::from(byte & 15)].into());
            }
        }
    }
    out
}

fn decode(encoded: &str) -> Option<String> {
    let mut out = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b',' => b'/',
            b'=' => b'.',
            b'+' => b'#',
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests;
