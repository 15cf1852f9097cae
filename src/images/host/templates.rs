//! What the templates of an image execute, written into it: [`TEMPLATES`] says how.
//!
//! They lie inside the tree because that is what the privileged side mounts anyway: it reads them as
//! it reads everything of an image, and no argument vector ever crosses to it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::host::HostError;
use crate::manifest::TEMPLATES;

/// The directory of an image that is being made, and how many are in it.
#[derive(Debug)]
pub(crate) struct Templates {
    directory: PathBuf,
    count: usize,
}

// === impl Templates ===

impl Templates {
    /// An empty directory in `tree`, which has everything that was planned.
    ///
    /// # Errors
    /// [`HostError::Write`].
    pub(crate) fn new(tree: &Path) -> Result<Self, HostError> {
        let directory = tree.join(TEMPLATES.trim_start_matches('/'));
        let failed = |source| HostError::Write { path: directory.clone(), source };
        fs::create_dir(&directory)
            .and_then(|()| fs::set_permissions(&directory, Permissions::from_mode(0o755)))
            .map_err(failed)?;
        Ok(Self { directory, count: 0 })
    }

    /// Writes the next one; its index.
    ///
    /// # Errors
    /// [`HostError::Write`], [`HostError::TooManyTemplates`].
    pub(crate) fn write(&mut self, argv: &[String], env: &[String]) -> Result<u8, HostError> {
        let index = u8::try_from(self.count).map_err(|_| HostError::TooManyTemplates)?;
        let path = self.directory.join(index.to_string());
        let failed = |source| HostError::Write { path: path.clone(), source };
        fs::write(&path, encode(argv, env))
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)))
            .map_err(failed)?;
        self.count += 1;
        Ok(index)
    }
}

fn encode(argv: &[String], env: &[String]) -> Vec<u8> {
    let end = String::new();
    let mut out = Vec::new();
    for entry in argv.iter().chain([&end]).chain(env) {
        out.extend_from_slice(entry.as_bytes());
        out.push(0);
    }
    out
}
