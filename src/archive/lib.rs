//! Zips in and out, safely.
//!
//! A deployment package comes from a stranger. [`unpack`] reads it with one parser, decides about
//! the whole archive before anything is written ([`plan`]), and writes beneath one directory
//! descriptor with calls that cannot be led out of it. [`CodeStore`] keeps packages and their trees
//! by content and survives a power failure at any moment, and lays layers over each other ([`merge`]);
//! [`pack`] is the other direction, for the command line.
//!
//! The parser is ours: what must be refused (a million entries, a name given twice, contents that
//! overlap) cannot be seen through a reader that first builds a table of what it liked, and two
//! parsers in a row are the classic way to be shown two different archives. The `zip` crate writes
//! ours, and in the tests says whether we read what others write.

mod content;
mod directory;
mod link;
mod name;
mod plan;

pub mod code;
pub mod compiled;
pub mod merge;
pub mod pack;
pub mod unpack;

pub use code::{CodeStore, Stored};
pub use compiled::{Draft, Edition};
pub use content::BadContent;
pub use directory::Malformed;
pub use link::BadLink;
pub use merge::{MergeError, merged_digest};
pub use name::BadName;
pub use pack::{PackError, pack};
pub use plan::{BadEntry, Limits};
pub use unpack::{Answer, UnpackError, Unpacked, unpack};
