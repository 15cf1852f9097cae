//! The database file: how it is opened, migrated, read whole, and written row by row.
//!
//! Write-ahead log with `synchronous=FULL`: a commit that returned is on the disk. The file holds
//! secrets, so only its owner may read it.

pub(crate) mod document;
pub(crate) mod event_invokes;
pub(crate) mod layers;
mod load;
pub(crate) mod migrations;
pub(crate) mod rows;
pub(crate) mod schedules;
pub(crate) mod settings;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::snapshot::Snapshot;
use crate::writer::Counters;

pub use document::DocumentError;
pub use load::LoadError;
pub use migrations::MigrateError;

/// What a database is for, so that one is never taken for another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Marks the file (`PRAGMA application_id`).
    application_id: i32,
    /// The steps that lead to its schema.
    steps: &'static [&'static str],
}

/// Functions and what belongs to them: "HRTH".
pub(crate) const CONTROL: Kind = Kind { application_id: 0x4852_5448, steps: migrations::CONTROL };

/// Accepted events: "HREV".
pub(crate) const EVENTS: Kind =
    Kind { application_id: 0x4852_4556, steps: crate::events::schema::STEPS };

/// How long another process that looks at the file may hold us up.
const BUSY: Duration = Duration::from_secs(10);

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be made.
    #[error("cannot create '{path}'")]
    Create {
        /// The database.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is no database, or cannot be used as one.
    #[error("cannot open the database '{path}'")]
    Open {
        /// The database.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rusqlite::Error,
    },
    /// A database of something else.
    #[error("'{path}' is a database of another program (application id {found:#x})")]
    Foreign {
        /// The database.
        path: PathBuf,
        /// Whose.
        found: i32,
    },
    /// Its schema cannot be brought up to date.
    #[error("cannot migrate the database '{path}'")]
    Migrate {
        /// The database.
        path: PathBuf,
        /// Why not.
        #[source]
        source: MigrateError,
    },
    /// It cannot be read.
    #[error("cannot read the database '{path}'")]
    Load {
        /// The database.
        path: PathBuf,
        /// Why not.
        #[source]
        source: LoadError,
    },
    /// There is no thread to be had.
    #[error("cannot start the thread that writes the database")]
    Thread {
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Opens or makes a database and brings its schema up to date.
pub(crate) fn open(path: &Path, kind: Kind) -> Result<Connection, OpenError> {
    let create = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    create.map_err(|source| OpenError::Create { path: path.to_owned(), source })?;
    let failed = |source| OpenError::Open { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    prepare(&connection).map_err(failed)?;
    let found: i32 =
        connection.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(failed)?;
    if found != 0 && found != kind.application_id {
        return Err(OpenError::Foreign { path: path.to_owned(), found });
    }
    connection.pragma_update(None, "application_id", kind.application_id).map_err(failed)?;
    migrations::migrate(&mut connection, kind.steps)
        .map_err(|source| OpenError::Migrate { path: path.to_owned(), source })?;
    Ok(connection)
}

/// Reads everything there is.
pub(crate) fn load(
    connection: &Connection,
    path: &Path,
) -> Result<(Snapshot, Counters), OpenError> {
    load::load(connection).map_err(|source| OpenError::Load { path: path.to_owned(), source })
}

/// The name of this database, made when it is asked for the first time.
pub(crate) fn instance(
    connection: &Connection,
    path: &Path,
    new: impl FnOnce() -> String,
) -> Result<String, OpenError> {
    const SETTING: &str = "instance";
    let failed = |source| OpenError::Open { path: path.to_owned(), source };
    if let Some(name) = load::setting(connection, SETTING).map_err(failed)? {
        return Ok(name);
    }
    let name = new();
    rows::save_setting(connection, SETTING, &name).map_err(failed)?;
    Ok(name)
}

fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    // Tables have a handful of statements each; none is prepared twice.
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}
