//! The schema of `events.db`, as the numbered steps that lead to it.
//!
//! A payload has a row of its own: what changes with every attempt is then a hundred bytes, and not a
//! megabyte that is written again.

/// Every step; the first is step 1. One that has been released is never edited.
pub(crate) const STEPS: &[&str] = &[STEP_1, STEP_2];

/// Queued events. The index gives what of a function is due, and every function that has any,
/// without a look at the others.
const STEP_1: &str = "
CREATE TABLE event (
    number      INTEGER NOT NULL PRIMARY KEY,
    id          TEXT NOT NULL,
    function    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    qualifier   TEXT,
    accepted_ms INTEGER NOT NULL,
    due_ms      INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    setbacks    INTEGER NOT NULL,
    trace       TEXT NOT NULL,
    lineage     TEXT NOT NULL,
    bytes       INTEGER NOT NULL
) STRICT;

CREATE INDEX event_of_function ON event (function, due_ms, number);

CREATE TABLE payload (
    number INTEGER NOT NULL PRIMARY KEY REFERENCES event (number) ON DELETE CASCADE,
    body   BLOB NOT NULL
) STRICT;
";

/// How far schedules have got: noted in the transaction that accepts an event, so that no instant has
/// two.
const STEP_2: &str = "
CREATE TABLE mark (
    key        TEXT NOT NULL PRIMARY KEY,
    instant_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";
