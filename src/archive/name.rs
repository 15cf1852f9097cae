//! What an entry may be called.
//!
//! A name is taken as it stands or refused: nothing is cleaned, because a name that needs cleaning
//! was made by something that hoped for another reader. The one exception is a leading `./`, which
//! ordinary tools write. Names are bytes, as they are to the kernel; their case is kept.

/// A name that is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// No name at all.
    #[error("its name is empty")]
    Empty,
    /// Begins with `/`.
    #[error("its name is absolute")]
    Absolute,
    /// A component is `..`.
    #[error("its name climbs out with \"..\"")]
    Climbs,
    /// A component is `.` or empty.
    #[error("its name has a component that is empty or \".\"")]
    EmptyComponent,
    /// Holds a NUL byte.
    #[error("its name holds a NUL byte")]
    Nul,
    /// Holds a backslash, which some readers take for `/`.
    #[error("its name holds a backslash; the separator in a zip is \"/\"")]
    Backslash,
    /// Longer than [`MAX_NAME`], or a component longer than [`MAX_COMPONENT`].
    #[error("its name is longer than {MAX_NAME} bytes, or a part of it than {MAX_COMPONENT}")]
    TooLong,
    /// More than [`MAX_DEPTH`] components.
    #[error("it lies more than {MAX_DEPTH} directories deep")]
    TooDeep,
}

/// Longest name, in bytes: with `/var/task/` before it and a symbolic link or two behind it, a path
/// stays well within the kernel's PATH_MAX of 4,096.
pub(crate) const MAX_NAME: usize = 2_048;
/// The kernel's NAME_MAX.
pub(crate) const MAX_COMPONENT: usize = 255;
/// Most components: removing a tree holds a descriptor per level, of which a process has 1,024 by
/// default; nested `node_modules` reach about 40.
pub(crate) const MAX_DEPTH: usize = 128;

/// A name that is safe to use beneath a directory: relative, every component an ordinary one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name<'a> {
    /// Without a slash at either end; empty for the root itself (`./`).
    pub(crate) path: &'a [u8],
    /// It ended with a slash.
    pub(crate) directory: bool,
}

// === impl Name ===

impl<'a> Name<'a> {
    /// Checks a name as the archive has it.
    ///
    /// # Errors
    /// [`BadName`].
    pub(crate) fn parse(raw: &'a [u8]) -> Result<Self, BadName> {
        if raw.is_empty() {
            return Err(BadName::Empty);
        }
        if raw.contains(&0) {
            return Err(BadName::Nul);
        }
        if raw.contains(&b'\\') {
            return Err(BadName::Backslash);
        }
        if raw[0] == b'/' {
            return Err(BadName::Absolute);
        }
        let mut path = raw;
        while let Some(rest) = path.strip_prefix(b"./") {
            path = rest;
        }
        if path.is_empty() {
            return Ok(Self { path, directory: true });
        }
        let (path, directory) = match path.strip_suffix(b"/") {
            Some(path) => (path, true),
            None => (path, false),
        };
        if path.len() > MAX_NAME {
            return Err(BadName::TooLong);
        }
        let mut depth = 0;
        for component in path.split(|byte| *byte == b'/') {
            depth += 1;
            match component {
                b".." => return Err(BadName::Climbs),
                b"" | b"." => return Err(BadName::EmptyComponent),
                _ if component.len() > MAX_COMPONENT => return Err(BadName::TooLong),
                _ if depth > MAX_DEPTH => return Err(BadName::TooDeep),
                _ => {}
            }
        }
        Ok(Self { path, directory })
    }
}

/// The directory a path lies in; `None` for what lies in the root.
pub(crate) fn parent(path: &[u8]) -> Option<&[u8]> {
    path.iter().rposition(|byte| *byte == b'/').map(|slash| &path[..slash])
}

/// The last component.
pub(crate) fn leaf(path: &[u8]) -> &[u8] {
    parent(path).map_or(path, |parent| &path[parent.len() + 1..])
}

/// A name from a stranger, fit for a message: escaped, and cut to 120 characters.
pub(crate) fn printable(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(&raw[..raw.len().min(480)]);
    let mut out: String = text.escape_debug().take(120).collect();
    if out.len() < text.len() || raw.len() > 480 {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests;
