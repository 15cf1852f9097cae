//! Rows of configurations of asynchronous events.

use std::collections::{BTreeMap, HashMap};

use model::Qualifier;
use rusqlite::{Connection, params};

use crate::event_invoke::{Destinations, EventInvoke};
use crate::function::Function;
use crate::sqlite::document::{self, DocumentError};

/// Configurations of one function, by qualifier.
pub(crate) type EventInvokes = BTreeMap<Qualifier, EventInvoke>;

/// A row: its qualifier as it was written.
pub(crate) type Row = (String, EventInvoke);

/// Writes all of a function's.
pub(crate) fn save(connection: &Connection, now: &Function) -> Result<(), rusqlite::Error> {
    let function = now.id.0.cast_signed();
    connection
        .prepare_cached("DELETE FROM event_invoke WHERE function = ?1")?
        .execute([function])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO event_invoke (function, qualifier, retries, max_age_s, on_success,
             on_failure, modified_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (qualifier, configured) in now.event_invokes.iter() {
        insert.execute(params![
            function,
            qualifier.to_string(),
            configured.retries,
            configured.max_age_s,
            configured.destinations.on_success,
            configured.destinations.on_failure,
            configured.modified_ms.cast_signed(),
        ])?;
    }
    Ok(())
}

/// Every row, by the function it is of.
pub(crate) fn load(connection: &Connection) -> Result<HashMap<i64, Vec<Row>>, rusqlite::Error> {
    let mut query = connection.prepare(
        "SELECT function, qualifier, retries, max_age_s, on_success, on_failure, modified_ms
         FROM event_invoke",
    )?;
    let mut rows = query.query([])?;
    let mut all: HashMap<i64, Vec<Row>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let configured = EventInvoke {
            retries: row.get(2)?,
            max_age_s: row.get(3)?,
            destinations: Destinations { on_success: row.get(4)?, on_failure: row.get(5)? },
            modified_ms: row.get::<_, i64>(6)?.cast_unsigned(),
        };
        all.entry(row.get(0)?).or_default().push((row.get(1)?, configured));
    }
    Ok(all)
}

/// What rows of one function say.
pub(crate) fn read(rows: Vec<Row>) -> Result<EventInvokes, DocumentError> {
    let read = |(qualifier, configured): Row| match Qualifier::parse(&qualifier) {
        Ok(qualifier) => Ok((qualifier, configured)),
        Err(_) => Err(document::value("qualifier", &qualifier)),
    };
    rows.into_iter().map(read).collect()
}
