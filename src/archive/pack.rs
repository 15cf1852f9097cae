//! From a folder to an archive, for the command line.
//!
//! The caller walks the folder (what is ignored is its business) and hands over relative paths; the
//! same files give the same bytes, on every machine and at every time, which is what lets a
//! deployment say "nothing has changed". Names are sorted, times fixed, modes 0644 or 0755, contents
//! deflated at one level.
//!
//! Symbolic links that stay within the folder are kept as links; one that leads out of it is
//! followed to a file, because what it points to will not be there. A link out to a directory is
//! refused: its contents were not walked.

use std::fs::{self, File};
use std::io::{self, Cursor};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::link;
use crate::name::{BadName, Name};
use crate::plan::Limits;

/// Why a folder was not packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file could not be read.
    #[error("could not read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A path has a form that the server would refuse.
    #[error("{} cannot be packed", path.display())]
    Name {
        /// Relative to the folder.
        path: PathBuf,
        /// Why; [`BadName::EmptyComponent`] also stands for a name that is not text.
        source: BadName,
    },
    /// Neither a file nor a link to one.
    #[error("{} is neither a file nor a link to one in the folder", path.display())]
    Kind {
        /// Which.
        path: PathBuf,
    },
    /// The contents are over the limit.
    #[error("the files hold more than {limit} bytes; the largest is {} with {size}", largest.display())]
    TooLarge {
        /// [`Limits::unzipped`].
        limit: u64,
        /// The largest file met.
        largest: PathBuf,
        /// Its size.
        size: u64,
    },
    /// More paths than the limit.
    #[error("{found} files are more than the {limit} that one package may hold")]
    TooMany {
        /// How many were given.
        found: usize,
        /// [`Limits::nodes`].
        limit: usize,
    },
    /// The archive is over the limit.
    #[error("the package has {size} bytes zipped, more than {limit}")]
    ZippedTooLarge {
        /// Of the archive.
        size: u64,
        /// [`Limits::zipped`].
        limit: u64,
    },
    /// The archive could not be put together.
    #[error("could not pack {}", path.display())]
    Zip {
        /// What was being added.
        path: PathBuf,
        /// What the writer said.
        source: ZipError,
    },
}

/// Packs `paths`, each relative to `folder`; directories need not be among them.
///
/// # Errors
/// [`PackError`]; limits are those of the server, so that nothing is uploaded in vain.
pub fn pack(folder: &Path, paths: &[PathBuf], limits: &Limits) -> Result<Vec<u8>, PackError> {
    if paths.len() > limits.nodes {
        return Err(PackError::TooMany { found: paths.len(), limit: limits.nodes });
    }
    let mut names = paths.iter().map(|path| name(path)).collect::<Result<Vec<_>, _>>()?;
    names.sort_unstable();
    names.dedup();
    let mut packer = Packer {
        zip: ZipWriter::new(Cursor::new(Vec::new())),
        folder,
        limits,
        unzipped: 0,
        largest: (0, PathBuf::new()),
    };
    for name in names {
        packer.add(name)?;
    }
    let failed = |source| PackError::Zip { path: folder.to_owned(), source };
    let zip = packer.zip.finish().map_err(failed)?.into_inner();
    let (size, limit) = (zip.len() as u64, limits.zipped);
    if size > limit { Err(PackError::ZippedTooLarge { size, limit }) } else { Ok(zip) }
}

// === Packer ===

struct Packer<'p> {
    zip: ZipWriter<Cursor<Vec<u8>>>,
    folder: &'p Path,
    limits: &'p Limits,
    unzipped: u64,
    largest: (u64, PathBuf),
}

impl Packer<'_> {
    fn add(&mut self, name: &str) -> Result<(), PackError> {
        let path = self.folder.join(name);
        let read = |source| PackError::Read { path: path.clone(), source };
        let zip = |source| PackError::Zip { path: path.clone(), source };
        let found = fs::symlink_metadata(&path).map_err(read)?;
        if found.is_dir() {
            return self.zip.add_directory(name, options(0o755)).map_err(zip);
        }
        if found.is_symlink() {
            let target = fs::read_link(&path).map_err(read)?;
            let target = target.as_os_str();
            if let Some(text) = target.to_str()
                && link::check(name.as_bytes(), target.as_bytes()).is_ok()
            {
                return self.zip.add_symlink(name, text, options(0o777)).map_err(zip);
            }
        }
        let mut file = File::open(&path).map_err(read)?;
        let found = file.metadata().map_err(read)?;
        if !found.is_file() {
            return Err(PackError::Kind { path });
        }
        let mode = if found.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        self.zip.start_file(name, options(mode)).map_err(zip)?;
        let size = io::copy(&mut file, &mut self.zip).map_err(read)?;
        self.unzipped += size;
        if size >= self.largest.0 {
            self.largest = (size, PathBuf::from(name));
        }
        if self.unzipped > self.limits.unzipped {
            let (size, largest) = self.largest.clone();
            return Err(PackError::TooLarge { limit: self.limits.unzipped, largest, size });
        }
        Ok(())
    }
}

fn name(path: &Path) -> Result<&str, PackError> {
    let refused = |source| PackError::Name { path: path.to_owned(), source };
    let text = path.to_str().ok_or_else(|| refused(BadName::EmptyComponent))?;
    Name::parse(text.as_bytes()).map_err(refused)?;
    Ok(text)
}

fn options(mode: u32) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        // 6 is every tool's default; naming it keeps packages equal should the library's change.
        .compression_level(Some(6))
        .last_modified_time(DateTime::DEFAULT)
        .unix_permissions(mode)
}

#[cfg(test)]
mod tests;
