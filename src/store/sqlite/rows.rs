//! Saving the difference between two states of a function.
//!
//! What is the same allocation in both is the same value and is not written; nor is a version whose
//! revision is the same, because everything that is kept of a version draws a new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{FunctionId, Version};
use rusqlite::{Connection, params};

use crate::access::AccessKey;
use crate::function::{Function, FunctionVersion, LastUpdate, State};
use crate::sqlite::{document, event_invokes};
use crate::writer::Counters;

/// The number of `$LATEST` in the column of versions; published ones start at 1.
pub(crate) const LATEST: i64 = 0;

/// Settings that hold [`Counters`].
pub(crate) const LAST_FUNCTION: &str = "last_function";
/// See [`LAST_FUNCTION`].
pub(crate) const LAST_GENERATION: &str = "last_generation";

/// Writes what differs.
pub(crate) fn save(
    connection: &Connection,
    before: Option<&Function>,
    now: &Function,
) -> Result<(), rusqlite::Error> {
    save_function(connection, now)?;
    if before.is_none_or(|before| before.latest.revision != now.latest.revision) {
        save_version(connection, now.id, &now.latest)?;
    }
    if before.is_none_or(|before| !Arc::ptr_eq(&before.versions, &now.versions)) {
        let empty = BTreeMap::new();
        save_versions(connection, now, before.map_or(&empty, |before| &before.versions))?;
    }
    if before.is_none_or(|before| !Arc::ptr_eq(&before.aliases, &now.aliases)) {
        save_aliases(connection, now)?;
    }
    if before.is_none_or(|before| !Arc::ptr_eq(&before.tags, &now.tags)) {
        save_tags(connection, now)?;
    }
    if before.is_none_or(|before| !Arc::ptr_eq(&before.policies, &now.policies)) {
        save_policies(connection, now)?;
    }
    if before.is_none_or(|before| !Arc::ptr_eq(&before.urls, &now.urls)) {
        save_urls(connection, now)?;
    }
    if before.is_none_or(|before| !Arc::ptr_eq(&before.provisioned, &now.provisioned)) {
        save_provisioned(connection, now)?;
    }
    if before.is_none_or(|before| !Arc::ptr_eq(&before.event_invokes, &now.event_invokes)) {
        event_invokes::save(connection, now)?;
    }
    Ok(())
}

/// Deletes a function; what refers to it goes with it.
pub(crate) fn delete(connection: &Connection, id: FunctionId) -> Result<(), rusqlite::Error> {
    connection.prepare_cached("DELETE FROM function WHERE id = ?1")?.execute([integer(id.0)])?;
    Ok(())
}

/// Writes an access key.
pub(crate) fn save_key(connection: &Connection, key: &AccessKey) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "INSERT INTO access_key (id, secret, created_ms) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET secret = ?2, created_ms = ?3",
        )?
        .execute(params![key.id, key.secret, integer(key.created_ms)])?;
    Ok(())
}

/// Writes what identifiers were given out.
pub(crate) fn save_counters(
    connection: &Connection,
    counters: Counters,
) -> Result<(), rusqlite::Error> {
    save_setting(connection, LAST_FUNCTION, &counters.function.to_string())?;
    save_setting(connection, LAST_GENERATION, &counters.generation.to_string())
}

/// Writes a setting.
pub(crate) fn save_setting(
    connection: &Connection,
    name: &str,
    value: &str,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "INSERT INTO setting (name, value) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET value = ?2",
        )?
        .execute(params![name, value])?;
    Ok(())
}

fn save_function(connection: &Connection, now: &Function) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "INSERT INTO function (id, name, created_ms, last_version, reserved)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET last_version = ?4, reserved = ?5",
        )?
        .execute(params![
            integer(now.id.0),
            now.name.as_str(),
            integer(now.created_ms),
            integer(now.last_version),
            now.reserved_concurrency,
        ])?;
    Ok(())
}

fn save_versions(
    connection: &Connection,
    now: &Function,
    before: &BTreeMap<u64, Arc<FunctionVersion>>,
) -> Result<(), rusqlite::Error> {
    for (number, version) in now.versions.iter() {
        if before.get(number).is_none_or(|before| before.revision != version.revision) {
            save_version(connection, now.id, version)?;
        }
    }
    for number in before.keys().filter(|number| !now.versions.contains_key(number)) {
        connection
            .prepare_cached("DELETE FROM version WHERE function = ?1 AND number = ?2")?
            .execute([integer(now.id.0), integer(*number)])?;
    }
    Ok(())
}

fn save_version(
    connection: &Connection,
    function: FunctionId,
    version: &FunctionVersion,
) -> Result<(), rusqlite::Error> {
    let state_failure = match &version.state {
        State::Failed(failure) => Some(document::write_failure(failure)),
        State::Pending | State::Active => None,
    };
    let update_failure = match &version.last_update {
        Some(LastUpdate::Failed(failure)) => Some(document::write_failure(failure)),
        _ => None,
    };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO version (function, number, generation, revision, modified_ms,
                 code, code_size, configuration, state, state_failure, last_update,
                 update_failure, published_from, previous)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            integer(function.0),
            number(version.version),
            integer(version.generation.0),
            version.revision.as_str(),
            integer(version.modified_ms),
            version.code.digest.hex(),
            integer(version.code.size),
            document::write_configuration(version),
            version.state.name(),
            state_failure,
            version.last_update.as_ref().map(LastUpdate::name),
            update_failure,
            version.published_from.as_ref().map(|description| description.as_str()),
            version.previous.as_deref().map(document::Previous::write),
        ])?;
    Ok(())
}

fn save_aliases(connection: &Connection, now: &Function) -> Result<(), rusqlite::Error> {
    let function = integer(now.id.0);
    connection.prepare_cached("DELETE FROM alias WHERE function = ?1")?.execute([function])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO alias (function, name, version, description, second, weight, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for alias in now.aliases.values() {
        insert.execute(params![
            function,
            alias.name.as_str(),
            number(alias.version),
            alias.description.as_str(),
            alias.second.map(|share| integer(share.version)),
            alias.second.map(|share| share.weight.get()),
            alias.revision.as_str(),
        ])?;
    }
    Ok(())
}

fn save_tags(connection: &Connection, now: &Function) -> Result<(), rusqlite::Error> {
    let function = integer(now.id.0);
    connection.prepare_cached("DELETE FROM tag WHERE function = ?1")?.execute([function])?;
    let mut insert =
        connection.prepare_cached("INSERT INTO tag (function, name, value) VALUES (?1, ?2, ?3)")?;
    for (name, value) in now.tags.iter() {
        insert.execute(params![function, name, value])?;
    }
    Ok(())
}

fn save_policies(connection: &Connection, now: &Function) -> Result<(), rusqlite::Error> {
    let function = integer(now.id.0);
    connection.prepare_cached("DELETE FROM policy WHERE function = ?1")?.execute([function])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO policy (function, scope, revision, statements) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (scope, policy) in now.policies.iter() {
        insert.execute(params![
            function,
            document::write_scope(scope),
            policy.revision.as_str(),
            document::write_statements(&policy.statements),
        ])?;
    }
    Ok(())
}

fn save_urls(connection: &Connection, now: &Function) -> Result<(), rusqlite::Error> {
    let function = integer(now.id.0);
    connection.prepare_cached("DELETE FROM url WHERE function = ?1")?.execute([function])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO url (id, function, position, configuration) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (position, url) in (0_i64..).zip(now.urls.iter()) {
        insert.execute(params![url.id.as_str(), function, position, document::write_url(url)])?;
    }
    Ok(())
}

fn save_provisioned(connection: &Connection, now: &Function) -> Result<(), rusqlite::Error> {
    let function = integer(now.id.0);
    connection
        .prepare_cached("DELETE FROM provisioned WHERE function = ?1")?
        .execute([function])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO provisioned (function, qualifier, wanted, modified_ms)
         VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (qualifier, provisioned) in now.provisioned.iter() {
        let modified_ms = integer(provisioned.modified_ms);
        insert.execute(params![
            function,
            qualifier.to_string(),
            provisioned.wanted,
            modified_ms
        ])?;
    }
    Ok(())
}

fn number(version: Version) -> i64 {
    match version {
        Version::Latest => LATEST,
        Version::Number(number) => integer(number),
    }
}

/// SQLite's integers are signed; identifiers keep their bits.
pub(crate) fn integer(value: u64) -> i64 {
    value.cast_signed()
}
