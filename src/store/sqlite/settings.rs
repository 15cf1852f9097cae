//! Rows of what is said about functions beside their configuration: JSON documents, which the database
//! does not look into.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::settings::{
    RecursiveLoop, RuntimeUpdate, Settings, SigningConfig, SigningId, Untrusted,
};
use model::{FunctionId, FunctionName};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::settings::{AllSettings, OfFunction};
use crate::sqlite::document::{self, DocumentError};
use crate::sqlite::load::LoadError;

/// [`SigningConfig`] but for its id.
#[derive(Serialize, Deserialize)]
struct SigningDocument {
    description: Option<String>,
    publishers: Vec<String>,
    untrusted: String,
    modified_ms: u64,
    tags: BTreeMap<String, String>,
}

/// [`Settings`].
#[derive(Serialize, Deserialize)]
struct SettingsDocument {
    signing: Option<String>,
    recursion: String,
    runtime: BTreeMap<String, RuntimeDocument>,
}

/// [`RuntimeUpdate`].
#[derive(Serialize, Deserialize)]
struct RuntimeDocument {
    update_on: String,
    version_arn: Option<String>,
}

/// Reads all of them.
pub(crate) fn load(connection: &Connection) -> Result<AllSettings, LoadError> {
    let mut signing = Vec::new();
    for (id, text) in pairs(connection, "SELECT id, document FROM signing_config")? {
        let failed =
            |source| LoadError::Row { what: format!("code signing configuration '{id}'"), source };
        signing.push(Arc::new(read_signing(&id, &text).map_err(failed)?));
    }
    let mut functions = Vec::new();
    let query = "SELECT function.name, document
                 FROM function_settings JOIN function ON function.id = function_settings.function";
    for (name, text) in pairs(connection, query)? {
        let failed =
            |source| LoadError::Row { what: format!("settings of function '{name}'"), source };
        functions.push(Arc::new(read_settings(&name, &text).map_err(failed)?));
    }
    Ok(AllSettings::of(signing, functions))
}

/// Writes the settings of a function; none are no row.
pub(crate) fn save_function(
    connection: &Connection,
    function: FunctionId,
    settings: &Settings,
) -> Result<(), rusqlite::Error> {
    let id = function.0.cast_signed();
    if *settings == Settings::default() {
        connection
            .prepare_cached("DELETE FROM function_settings WHERE function = ?1")?
            .execute([id])?;
        return Ok(());
    }
    let runtime = |(qualifier, update): (&String, &RuntimeUpdate)| {
        let update_on = update.as_str().to_owned();
        let version_arn = update.version_arn().map(str::to_owned);
        (qualifier.clone(), RuntimeDocument { update_on, version_arn })
    };
    let written = SettingsDocument {
        signing: settings.signing.as_ref().map(|id| id.as_str().to_owned()),
        recursion: settings.recursion.as_str().to_owned(),
        runtime: settings.runtime.iter().map(runtime).collect(),
    };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO function_settings (function, document) VALUES (?1, ?2)",
        )?
        .execute(params![id, document::write(&written)])?;
    Ok(())
}

/// Writes a code signing configuration.
pub(crate) fn save_signing(
    connection: &Connection,
    config: &SigningConfig,
) -> Result<(), rusqlite::Error> {
    let written = SigningDocument {
        description: config.description.clone(),
        publishers: config.publishers.clone(),
        untrusted: config.untrusted.as_str().to_owned(),
        modified_ms: config.modified_ms,
        tags: config.tags.clone(),
    };
    connection
        .prepare_cached("INSERT OR REPLACE INTO signing_config (id, document) VALUES (?1, ?2)")?
        .execute(params![config.id.as_str(), document::write(&written)])?;
    Ok(())
}

/// Deletes a code signing configuration.
pub(crate) fn delete_signing(
    connection: &Connection,
    id: &SigningId,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached("DELETE FROM signing_config WHERE id = ?1")?
        .execute([id.as_str()])?;
    Ok(())
}

fn read_signing(id: &str, text: &str) -> Result<SigningConfig, DocumentError> {
    let read: SigningDocument = document::read("code signing configuration", text)?;
    let untrusted = Untrusted::parse(&read.untrusted);
    Ok(SigningConfig {
        id: read_id(id)?,
        description: read.description,
        publishers: read.publishers,
        untrusted: untrusted
            .ok_or_else(|| document::value("code signing policy", &read.untrusted))?,
        modified_ms: read.modified_ms,
        tags: read.tags,
    })
}

fn read_settings(name: &str, text: &str) -> Result<OfFunction, DocumentError> {
    let read: SettingsDocument = document::read("list of settings", text)?;
    let runtime = |(qualifier, update): (String, RuntimeDocument)| {
        let unknown = document::value("way to update a runtime", &update.update_on);
        let update = RuntimeUpdate::parse(&update.update_on, update.version_arn);
        Ok((qualifier, update.ok_or(unknown)?))
    };
    let recursion = RecursiveLoop::parse(&read.recursion);
    let settings = Settings {
        signing: read.signing.as_deref().map(read_id).transpose()?,
        recursion: recursion
            .ok_or_else(|| document::value("answer to recursion", &read.recursion))?,
        runtime: read.runtime.into_iter().map(runtime).collect::<Result<_, _>>()?,
    };
    let name = FunctionName::parse(name).map_err(|_| document::value("function name", name))?;
    Ok(OfFunction { name, settings })
}

fn read_id(text: &str) -> Result<SigningId, DocumentError> {
    SigningId::parse(text).ok_or_else(|| document::value("code signing configuration's id", text))
}

fn pairs(connection: &Connection, query: &str) -> Result<Vec<(String, String)>, rusqlite::Error> {
    let mut query = connection.prepare(query)?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}
