//! Which symbolic links are kept.
//!
//! A link is safe when no way of following it leaves the tree. Looking at `..` alone does not decide
//! that: behind a link into a shallower directory, one `..` climbs further than it reads. So a target
//! must climb first and then only descend: `../lib/a.js`, never `x/../../y`. Its own directories are
//! real ones (nothing may lie beneath a link), hence climbing is exact; and what it descends through
//! are links that keep the same rule. `node_modules/.bin` and package managers write this form.

/// A target that is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLink {
    /// Nothing to point to.
    #[error("it is a symbolic link to nothing")]
    Empty,
    /// Longer than the kernel accepts.
    #[error("its target is longer than {MAX_TARGET} bytes")]
    TooLong,
    /// Holds a NUL byte.
    #[error("its target holds a NUL byte")]
    Nul,
    /// Begins with `/`.
    #[error("it is a symbolic link to an absolute path")]
    Absolute,
    /// Climbs above the root of the tree.
    #[error("it is a symbolic link out of the archive")]
    Leaves,
    /// A `..` behind an ordinary component.
    #[error("its target climbs after it has descended")]
    ClimbsLate,
}

/// Longest target, in bytes: PATH_MAX without its NUL.
pub(crate) const MAX_TARGET: usize = 4_095;

/// Decides about the link at `path`, which has been checked as a name.
///
/// # Errors
/// [`BadLink`].
pub(crate) fn check(path: &[u8], target: &[u8]) -> Result<(), BadLink> {
    if target.is_empty() {
        return Err(BadLink::Empty);
    }
    if target.len() > MAX_TARGET {
        return Err(BadLink::TooLong);
    }
    if target.contains(&0) {
        return Err(BadLink::Nul);
    }
    if target[0] == b'/' {
        return Err(BadLink::Absolute);
    }
    let mut above = path.iter().filter(|byte| **byte == b'/').count();
    let mut descended = false;
    for component in target.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if descended => return Err(BadLink::ClimbsLate),
            b".." => above = above.checked_sub(1).ok_or(BadLink::Leaves)?,
            _ => descended = true,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
