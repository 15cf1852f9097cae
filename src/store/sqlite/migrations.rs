//! The schema, as the numbered steps that lead to it.
//!
//! Step *n* brings a database of version *n − 1* (`PRAGMA user_version`) to version *n*, in one
//! transaction. A step that has been released is never edited; a change is a new step. There is no
//! way back: an older program refuses a newer file.

use rusqlite::Connection;

/// A schema that cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// Written by a newer program.
    #[error("its schema has version {found}, this program knows {known}; start a newer one")]
    Newer {
        /// What the file has.
        found: u32,
        /// What this program has.
        known: u32,
    },
    /// A step failed and was undone.
    #[error("step {step} of its schema failed")]
    Step {
        /// Which.
        step: u32,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}

/// Every step of `control.db`; the first is step 1.
pub(crate) const CONTROL: &[&str] = &[STEP_1, STEP_2, STEP_3, STEP_4, STEP_5, STEP_6, STEP_7];

/// Functions and what belongs to them, access keys, settings.
///
/// Texts that the database never looks into (a configuration, the list of origins of a URL) are JSON
/// documents of `document.rs`. A version with number 0 is `$LATEST`.
const STEP_1: &str = "
CREATE TABLE setting (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE access_key (
    id         TEXT NOT NULL PRIMARY KEY,
    secret     TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE function (
    id           INTEGER NOT NULL PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    created_ms   INTEGER NOT NULL,
    last_version INTEGER NOT NULL,
    reserved     INTEGER
) STRICT;

CREATE TABLE version (
    function       INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    number         INTEGER NOT NULL,
    generation     INTEGER NOT NULL UNIQUE,
    revision       TEXT NOT NULL,
    modified_ms    INTEGER NOT NULL,
    code           TEXT NOT NULL,
    code_size      INTEGER NOT NULL,
    configuration  TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('Pending', 'Active', 'Failed')),
    state_failure  TEXT,
    last_update    TEXT CHECK (last_update IN ('Successful', 'InProgress', 'Failed')),
    update_failure TEXT,
    published_from TEXT,
    previous       TEXT,
    PRIMARY KEY (function, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE tag (
    function INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    name     TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (function, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE policy (
    function   INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    scope      TEXT NOT NULL,
    revision   TEXT NOT NULL,
    statements TEXT NOT NULL,
    PRIMARY KEY (function, scope)
) STRICT, WITHOUT ROWID;

CREATE TABLE url (
    id            TEXT NOT NULL PRIMARY KEY,
    function      INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    position      INTEGER NOT NULL,
    configuration TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX url_of_function ON url (function, position);
";

/// Provisioned concurrency. A qualifier is a version's number or an alias, as callers write it.
const STEP_2: &str = "
CREATE TABLE provisioned (
    function    INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    qualifier   TEXT NOT NULL,
    wanted      INTEGER NOT NULL CHECK (wanted > 0),
    modified_ms INTEGER NOT NULL,
    PRIMARY KEY (function, qualifier)
) STRICT, WITHOUT ROWID;
";

/// What runs by the clock. There is always a group called `default`.
const STEP_3: &str = "
CREATE TABLE schedule_group (
    name         TEXT NOT NULL PRIMARY KEY,
    created_ms   INTEGER NOT NULL,
    modified_ms  INTEGER NOT NULL,
    tags         TEXT NOT NULL,
    client_token TEXT
) STRICT, WITHOUT ROWID;

INSERT INTO schedule_group (name, created_ms, modified_ms, tags)
    SELECT 'default', now, now, '{}' FROM (SELECT unixepoch() * 1000 AS now);

CREATE TABLE schedule (
    id       TEXT NOT NULL PRIMARY KEY,
    path     TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rule (
    id       TEXT NOT NULL PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Aliases. A version with number 0 is `$LATEST`; the second version and its weight are there, both of
/// them, where an alias divides its calls.
const STEP_4: &str = "
CREATE TABLE alias (
    function    INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    version     INTEGER NOT NULL,
    description TEXT NOT NULL,
    second      INTEGER,
    weight      REAL,
    revision    TEXT NOT NULL,
    PRIMARY KEY (function, name),
    CHECK ((second IS NULL) = (weight IS NULL))
) STRICT, WITHOUT ROWID;
";

/// What is said about functions beside their configuration.
const STEP_5: &str = "
CREATE TABLE signing_config (
    id       TEXT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE function_settings (
    function INTEGER NOT NULL PRIMARY KEY REFERENCES function (id) ON DELETE CASCADE,
    document TEXT NOT NULL
) STRICT;
";

/// How asynchronous events are treated. A qualifier is as callers write it; `$LATEST` for none.
const STEP_6: &str = "
CREATE TABLE event_invoke (
    function    INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    qualifier   TEXT NOT NULL,
    retries     INTEGER CHECK (retries BETWEEN 0 AND 2),
    max_age_s   INTEGER CHECK (max_age_s BETWEEN 60 AND 21600),
    on_success  TEXT,
    on_failure  TEXT,
    modified_ms INTEGER NOT NULL,
    PRIMARY KEY (function, qualifier)
) STRICT, WITHOUT ROWID;
";

/// Layers. One whose versions are all deleted keeps its row: numbers are not used again.
const STEP_7: &str = "
CREATE TABLE layer (
    name         TEXT NOT NULL PRIMARY KEY,
    last_version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE layer_version (
    layer      TEXT NOT NULL REFERENCES layer (name) ON DELETE CASCADE,
    number     INTEGER NOT NULL CHECK (number > 0),
    created_ms INTEGER NOT NULL,
    code       TEXT NOT NULL,
    code_size  INTEGER NOT NULL,
    unzipped   INTEGER NOT NULL,
    about      TEXT NOT NULL,
    revision   TEXT,
    statements TEXT,
    PRIMARY KEY (layer, number)
) STRICT, WITHOUT ROWID;
";

/// Takes every step of a schema that is missing.
pub(crate) fn migrate(connection: &mut Connection, steps: &[&str]) -> Result<(), MigrateError> {
    migrate_to(connection, steps, steps.len())
}

/// The same up to one version; tests make old databases with it.
pub(crate) fn migrate_to(
    connection: &mut Connection,
    steps: &[&str],
    target: usize,
) -> Result<(), MigrateError> {
    let found: u32 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|source| MigrateError::Step { step: 0, source })?;
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(MigrateError::Newer { found, known });
    }
    for (step, statements) in (1..).zip(&steps[..target]).skip(found as usize) {
        take(connection, step, statements).map_err(|source| MigrateError::Step { step, source })?;
    }
    Ok(())
}

fn take(connection: &mut Connection, step: u32, statements: &str) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(statements)?;
    transaction.pragma_update(None, "user_version", step)?;
    transaction.commit()
}

#[cfg(test)]
mod tests;
