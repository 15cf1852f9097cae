//! Where rows are measured: the daemon that most of them share, and how much of everything there is to be.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::daemon::Daemon;

/// What a row is given.
pub struct Lab {
    /// Whether it is the run of every day, under a minute in all.
    pub short: bool,
    /// Until when a row is repeated so that somebody can look at it.
    hold: Option<Instant>,
    folder: PathBuf,
    shared: OnceCell<Daemon>,
}

// === impl Lab ===

impl Lab {
    /// In a folder, which whoever made it removes.
    pub fn new(folder: &Path, short: bool, hold: Option<Duration>) -> Self {
        let hold = hold.map(|time| Instant::now() + time);
        Self { short, hold, folder: folder.to_owned(), shared: OnceCell::new() }
    }

    /// The daemon that rows share, set up as it comes.
    pub fn daemon(&self) -> Result<&Daemon> {
        if let Some(daemon) = self.shared.get() {
            return Ok(daemon);
        }
        let daemon = self.another("shared", "")?;
        Ok(self.shared.get_or_init(|| daemon))
    }

    /// A daemon of a row's own, set up as the row wants it.
    pub fn another(&self, name: &str, config: &str) -> Result<Daemon> {
        let daemon = Daemon::start(&self.folder(name), config)?;
        if self.hold.is_some() {
            for process in daemon.processes()?.iter().filter(|process| !process.inside) {
                eprintln!("{name}: pid {} is {}", process.pid, process.name);
            }
        }
        Ok(daemon)
    }

    /// A folder for whatever a row keeps in files.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// How many, or how long.
    pub fn much<T>(&self, full: T, short: T) -> T {
        if self.short { short } else { full }
    }

    /// Whether floors are left out: somebody looks at ours.
    pub fn is_held(&self) -> bool {
        self.hold.is_some()
    }

    /// Whether the row is to go on.
    pub fn is_to_go_on(&self) -> bool {
        self.hold.is_some_and(|until| Instant::now() < until)
    }

    /// Stops what is shared.
    pub fn close(self) -> Result<()> {
        self.shared.into_inner().map_or(Ok(()), Daemon::stop)
    }
}
