//! Statements on `events.db`.

use std::sync::Arc;

use bytes::Bytes;
use model::{FunctionId, FunctionName, Qualifier, RequestId};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::events::{Due, EventNumber, Mark, NewEvent, QueuedEvent, Verdict};

const COLUMNS: &str = "number, id, function, name, qualifier, accepted_ms, due_ms, attempts,
    setbacks, trace, lineage, bytes";

/// The highest number there is; 0 if there are no events.
pub(super) fn last_number(connection: &Connection) -> Result<u64, rusqlite::Error> {
    connection.query_row("SELECT coalesce(max(number), 0) FROM event", [], |row| unsigned(row, 0))
}

/// How many events there are.
pub(super) fn count(connection: &Connection) -> Result<u64, rusqlite::Error> {
    connection.query_row("SELECT count(*) FROM event", [], |row| unsigned(row, 0))
}

/// When the oldest was accepted.
pub(super) fn oldest(connection: &Connection) -> Result<Option<u64>, rusqlite::Error> {
    connection
        .prepare_cached("SELECT accepted_ms FROM event ORDER BY number LIMIT 1")?
        .query_row([], |row| unsigned(row, 0))
        .optional()
}

/// Every function that has events, with the name it had: a step through the index for each.
pub(super) fn functions(
    connection: &Connection,
) -> Result<Vec<(FunctionId, FunctionName)>, rusqlite::Error> {
    let mut next = connection.prepare(
        "SELECT function, name FROM event WHERE function > ?1 ORDER BY function LIMIT 1",
    )?;
    let mut all = Vec::new();
    // Identifiers begin at 1, and no number is below this one.
    let mut last = i64::MIN;
    while let Some((id, name)) =
        next.query_row([last], |row| Ok((row.get::<_, i64>(0)?, name(row, 1)?))).optional()?
    {
        last = id;
        all.push((FunctionId(id.cast_unsigned()), name));
    }
    Ok(all)
}

/// What of a function is due, the longest due first: at most `limit` of those that are not in `but`.
pub(super) fn due(
    connection: &Connection,
    function: FunctionId,
    now_ms: u64,
    limit: usize,
    but: &[EventNumber],
) -> Result<Due, rusqlite::Error> {
    let mut query = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM event WHERE function = ?1 ORDER BY due_ms, number"
    ))?;
    let mut rows = query.query([integer(function.0)])?;
    let mut due = Due::default();
    while let Some(row) = rows.next()? {
        let event = event(row)?;
        if but.contains(&event.number) {
            continue;
        }
        if event.due_ms > now_ms || due.events.len() == limit {
            due.next_ms = Some(event.due_ms);
            break;
        }
        due.events.push(event);
    }
    Ok(due)
}

/// A payload; `None` if the event is over.
pub(super) fn payload(
    connection: &Connection,
    number: EventNumber,
) -> Result<Option<Bytes>, rusqlite::Error> {
    connection
        .prepare_cached("SELECT body FROM payload WHERE number = ?1")?
        .query_row([integer(number.0)], |row| row.get::<_, Vec<u8>>(0))
        .optional()
        .map(|body| body.map(Bytes::from))
}

/// Adds an event.
pub(super) fn insert(
    connection: &Connection,
    number: EventNumber,
    new: &NewEvent,
) -> Result<(), rusqlite::Error> {
    let accepted_ms = integer(new.accepted_ms);
    connection
        .prepare_cached(&format!(
            "INSERT INTO event ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 0, 0, ?7, ?8, ?9)"
        ))?
        .execute(params![
            integer(number.0),
            new.id.as_str(),
            integer(new.function.0),
            new.name.as_str(),
            new.qualifier.as_ref().map(Qualifier::to_string),
            accepted_ms,
            &*new.trace,
            &*new.lineage,
            integer(new.payload.len() as u64),
        ])?;
    connection
        .prepare_cached("INSERT INTO payload (number, body) VALUES (?1, ?2)")?
        .execute(params![integer(number.0), &*new.payload])?;
    Ok(())
}

/// Notes how far something has got; whether it had not got as far before.
pub(super) fn advance(connection: &Connection, mark: &Mark) -> Result<bool, rusqlite::Error> {
    let rows = connection
        .prepare_cached(
            "INSERT INTO mark (key, instant_ms) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET instant_ms = ?2 WHERE instant_ms < ?2",
        )?
        .execute(params![mark.key, mark.instant_ms])?;
    Ok(rows > 0)
}

/// Every mark.
pub(super) fn marks(connection: &Connection) -> Result<Vec<Mark>, rusqlite::Error> {
    let mut query = connection.prepare_cached("SELECT key, instant_ms FROM mark")?;
    let rows = query.query_map([], |row| Ok(Mark { key: row.get(0)?, instant_ms: row.get(1)? }))?;
    rows.collect()
}

/// Takes marks away; how many it were.
pub(super) fn forget(connection: &Connection, keys: &[String]) -> Result<u64, rusqlite::Error> {
    let mut delete = connection.prepare_cached("DELETE FROM mark WHERE key = ?1")?;
    keys.iter().map(|key| delete.execute([key]).map(|rows| rows as u64)).sum()
}

/// Writes what becomes of an event; whether there was one.
pub(super) fn settle(
    connection: &Connection,
    number: EventNumber,
    verdict: Verdict,
) -> Result<bool, rusqlite::Error> {
    let number = integer(number.0);
    let rows = match verdict {
        Verdict::Over => {
            connection.prepare_cached("DELETE FROM event WHERE number = ?1")?.execute([number])?
        }
        Verdict::Again { due_ms, attempts, setbacks } => connection
            .prepare_cached(
                "UPDATE event SET due_ms = ?2, attempts = ?3, setbacks = ?4 WHERE number = ?1",
            )?
            .execute(params![number, integer(due_ms), attempts, setbacks])?,
    };
    Ok(rows > 0)
}

/// Takes out at most `limit` events of a function; how many it were.
pub(super) fn purge(
    connection: &Connection,
    function: FunctionId,
    limit: u32,
) -> Result<u64, rusqlite::Error> {
    let rows = connection
        .prepare_cached(
            "DELETE FROM event WHERE number IN
                 (SELECT number FROM event WHERE function = ?1 LIMIT ?2)",
        )?
        .execute(params![integer(function.0), limit])?;
    Ok(rows as u64)
}

/// Brings times that cannot be, because the clock was set back, to what can: nothing was accepted in
/// the future, and nothing waits for longer than `horizon_ms`. How many it were.
pub(super) fn tame(
    connection: &Connection,
    now_ms: u64,
    horizon_ms: u64,
) -> Result<u64, rusqlite::Error> {
    let latest = integer(now_ms.saturating_add(horizon_ms));
    let rows = connection.execute(
        "UPDATE event SET accepted_ms = min(accepted_ms, ?1), due_ms = min(due_ms, ?2)
         WHERE accepted_ms > ?1 OR due_ms > ?2",
        params![integer(now_ms), latest],
    )?;
    Ok(rows as u64)
}

fn event(row: &Row<'_>) -> Result<QueuedEvent, rusqlite::Error> {
    let id: String = row.get(1)?;
    let qualifier: Option<String> = row.get(4)?;
    let qualifier = qualifier.as_deref().map(Qualifier::parse).transpose();
    Ok(QueuedEvent {
        number: EventNumber(unsigned(row, 0)?),
        id: RequestId::parse(&id).ok_or_else(|| strange(1, &id))?,
        function: FunctionId(unsigned(row, 2)?),
        name: name(row, 3)?,
        qualifier: qualifier
            .map_err(|err| rusqlite::Error::FromSqlConversionFailure(4, Type::Text, err.into()))?,
        accepted_ms: unsigned(row, 5)?,
        due_ms: unsigned(row, 6)?,
        attempts: row.get(7)?,
        setbacks: row.get(8)?,
        trace: row.get::<_, String>(9).map(Arc::from)?,
        lineage: row.get::<_, String>(10).map(Arc::from)?,
        bytes: unsigned(row, 11)?,
    })
}

fn name(row: &Row<'_>, column: usize) -> Result<FunctionName, rusqlite::Error> {
    let text: String = row.get(column)?;
    FunctionName::parse(&text)
        .map_err(|err| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, err.into()))
}

fn strange(column: usize, text: &str) -> rusqlite::Error {
    let message = format!("'{text}' is not what it should be");
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, message.into())
}

fn unsigned(row: &Row<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// SQLite's integers are signed; identifiers keep their bits.
fn integer(value: u64) -> i64 {
    value.cast_signed()
}
