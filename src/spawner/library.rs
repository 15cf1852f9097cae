//! Trees by digest: the only way anything on disk is named.
//!
//! A digest becomes `sha256/<64 hexadecimal digits>/tree`, looked up beneath a directory that was
//! opened at start, without following a single link. What a control plane can point at is therefore
//! what stands in the store under that digest, and nothing else.

use std::fmt::Write;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use sandbox::plan::Place;
use sandbox::sys::mount::open_beneath;
use wire::spawner::{self, Digest, Trees};

/// Why a tree was not found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LibraryError {
    /// Nothing has that digest.
    #[error("{kind} sha256:{digest} is not there")]
    Absent { kind: &'static str, digest: String },
    /// It could not be opened.
    #[error("open {kind} sha256:{digest}")]
    Unreadable {
        kind: &'static str,
        digest: String,
        #[source]
        source: Errno,
    },
}

/// The tree of an image or of code, as a directory.
pub(crate) fn tree(
    kind: &'static str,
    store: BorrowedFd<'_>,
    digest: &Digest,
) -> Result<OwnedFd, LibraryError> {
    let digest = hexadecimal(digest);
    let path = format!("sha256/{digest}/tree");
    open_beneath(store, Path::new(&path)).map_err(|errno| match errno {
        Errno::ENOENT => LibraryError::Absent { kind, digest },
        source => LibraryError::Unreadable { kind, digest, source },
    })
}

/// What an assigned cell gets to see: each tree, and where it belongs.
///
/// All of them lie in one store: whoever may have code mounted may have any of it mounted. What was
/// compiled of the code belongs to it, and nobody names it: it lies beside the code, for each image
/// apart, and is there or not.
pub(crate) fn trees(
    store: BorrowedFd<'_>,
    trees: &Trees,
    image: &Digest,
) -> Result<Vec<(Place, OwnedFd)>, LibraryError> {
    let open = |(named, digest): (spawner::Place, &Digest)| {
        let (kind, place) = match named {
            spawner::Place::Code => ("code", Place::Code),
            spawner::Place::Layers => ("layers", Place::Layers),
        };
        Ok((place, tree(kind, store, digest)?))
    };
    let mut all = trees.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    if let Some(code) = trees.at(spawner::Place::Code)
        && let Some(compiled) = compiled(store, code, image)?
    {
        all.push((Place::Compiled, compiled));
    }
    Ok(all)
}

fn compiled(
    store: BorrowedFd<'_>,
    code: &Digest,
    image: &Digest,
) -> Result<Option<OwnedFd>, LibraryError> {
    let digest = hexadecimal(code);
    let path = format!("sha256/{digest}/compiled/{}", hexadecimal(image));
    match open_beneath(store, Path::new(&path)) {
        Ok(tree) => Ok(Some(tree)),
        Err(Errno::ENOENT) => Ok(None),
        Err(source) => {
            Err(LibraryError::Unreadable { kind: "what is compiled of", digest, source })
        }
    }
}

fn hexadecimal(digest: &Digest) -> String {
    let mut out = String::with_capacity(2 * digest.len());
    for byte in digest {
        // Writing to a string cannot fail.
        let _infallible = write!(out, "{byte:02x}");
    }
    out
}
