//! Layers in the database: a row for each that ever had a version, and one for each version there is.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::configuration::{Architecture, Description};
use model::{AttachedLayer, AttachedLayers, LayerName};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use crate::access::Policy;
use crate::function::Code;
use crate::layer::{AboutLayer, Layer, LayerVersion};
use crate::sqlite::document::{self, DocumentError, value};
use crate::sqlite::load::{LoadError, unsigned};
use crate::sqlite::rows::integer;

/// [`AboutLayer`].
#[derive(Serialize, Deserialize)]
struct AboutDocument {
    description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runtimes: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    architectures: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    license: Option<String>,
}

/// [`AttachedLayers`], in a configuration.
#[derive(Serialize, Deserialize)]
pub(crate) struct AttachedDocument {
    tree: String,
    list: Vec<AttachedLayerDocument>,
}

/// [`AttachedLayer`].
#[derive(Serialize, Deserialize)]
struct AttachedLayerDocument {
    name: String,
    version: u64,
    archive: String,
    size: u64,
    unzipped: u64,
}

/// A row of `layer_version`.
struct VersionRow {
    layer: String,
    number: u64,
    created_ms: u64,
    code: String,
    code_size: u64,
    unzipped: u64,
    about: String,
    revision: Option<String>,
    statements: Option<String>,
}

// === rows ===

/// Writes what differs between two states of a layer.
pub(crate) fn save(
    connection: &Connection,
    before: Option<&Layer>,
    now: &Layer,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "INSERT INTO layer (name, last_version) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET last_version = ?2",
        )?
        .execute(params![now.name.as_str(), integer(now.last_version)])?;
    let same = |number: &u64, version: &Arc<LayerVersion>| {
        let there = before.and_then(|before| before.versions.get(number));
        there.is_some_and(|there| Arc::ptr_eq(there, version))
    };
    for (_, version) in now.versions.iter().filter(|(number, version)| !same(number, version)) {
        save_version(connection, &now.name, version)?;
    }
    let gone = before.into_iter().flat_map(|before| before.versions.keys());
    for number in gone.filter(|number| !now.versions.contains_key(number)) {
        connection
            .prepare_cached("DELETE FROM layer_version WHERE layer = ?1 AND number = ?2")?
            .execute(params![now.name.as_str(), integer(*number)])?;
    }
    Ok(())
}

fn save_version(
    connection: &Connection,
    layer: &LayerName,
    version: &LayerVersion,
) -> Result<(), rusqlite::Error> {
    let policy = version.policy.as_ref();
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO layer_version (layer, number, created_ms, code, code_size,
                 unzipped, about, revision, statements)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            layer.as_str(),
            integer(version.number),
            integer(version.created_ms),
            version.code.digest.hex(),
            integer(version.code.size),
            integer(version.unzipped),
            write_about(&version.about),
            policy.map(|policy| policy.revision.as_str()),
            policy.map(|policy| document::write_statements(&policy.statements)),
        ])?;
    Ok(())
}

/// Reads every layer.
pub(crate) fn load(connection: &Connection) -> Result<Vec<Layer>, LoadError> {
    let mut query = connection.prepare(
        "SELECT layer, number, created_ms, code, code_size, unzipped, about, revision, statements
         FROM layer_version",
    )?;
    let mut versions: BTreeMap<String, BTreeMap<u64, Arc<LayerVersion>>> = BTreeMap::new();
    for row in query.query_map([], version_row)? {
        let row = row?;
        let what = || format!("version {} of layer '{}'", row.number, row.layer);
        let version = version(&row).map_err(|source| LoadError::Row { what: what(), source })?;
        versions.entry(row.layer).or_default().insert(row.number, Arc::new(version));
    }
    let mut query = connection.prepare("SELECT name, last_version FROM layer")?;
    let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, unsigned(row, 1)?)))?;
    let mut layers = Vec::new();
    for row in rows {
        let (name, last_version) = row?;
        let versions = Arc::new(versions.remove(&name).unwrap_or_default());
        let name = read_name(&name)
            .map_err(|source| LoadError::Row { what: format!("layer '{name}'"), source })?;
        layers.push(Layer { name, last_version, versions });
    }
    Ok(layers)
}

fn version_row(row: &Row<'_>) -> Result<VersionRow, rusqlite::Error> {
    Ok(VersionRow {
        layer: row.get(0)?,
        number: unsigned(row, 1)?,
        created_ms: unsigned(row, 2)?,
        code: row.get(3)?,
        code_size: unsigned(row, 4)?,
        unzipped: unsigned(row, 5)?,
        about: row.get(6)?,
        revision: row.get(7)?,
        statements: row.get(8)?,
    })
}

fn version(row: &VersionRow) -> Result<LayerVersion, DocumentError> {
    let policy = match (&row.revision, &row.statements) {
        (Some(revision), Some(statements)) => Some(Policy {
            revision: document::revision(revision)?,
            statements: document::read_statements(statements)?,
        }),
        _ => None,
    };
    Ok(LayerVersion {
        number: row.number,
        created_ms: row.created_ms,
        code: Code { digest: document::digest(&row.code)?, size: row.code_size },
        unzipped: row.unzipped,
        about: read_about(&row.about)?,
        policy,
    })
}

// === documents ===

fn write_about(about: &AboutLayer) -> String {
    let names = |list: &Vec<Architecture>| list.iter().map(|it| it.as_str().to_owned()).collect();
    document::write(&AboutDocument {
        description: about.description.as_str().to_owned(),
        runtimes: about.runtimes.clone(),
        architectures: about.architectures.as_ref().map(names),
        license: about.license.clone(),
    })
}

fn read_about(text: &str) -> Result<AboutLayer, DocumentError> {
    let document: AboutDocument = document::read("description of a layer", text)?;
    let architecture =
        |text: &String| Architecture::parse(text).ok_or_else(|| value("architecture", text));
    let architectures = document
        .architectures
        .map(|list| list.iter().map(architecture).collect::<Result<Vec<_>, _>>());
    Ok(AboutLayer {
        description: Description::parse(&document.description)
            .map_err(|_| value("description", &document.description))?,
        runtimes: document.runtimes,
        architectures: architectures.transpose()?,
        license: document.license,
    })
}

fn read_name(text: &str) -> Result<LayerName, DocumentError> {
    LayerName::parse(text).map_err(|_| value("layer's name", text))
}

// === impl AttachedDocument ===

impl AttachedDocument {
    pub(crate) fn of(layers: &AttachedLayers) -> Self {
        let list = layers.list().iter().map(|layer| AttachedLayerDocument {
            name: layer.name.as_str().to_owned(),
            version: layer.version,
            archive: layer.archive.hex(),
            size: layer.size,
            unzipped: layer.unzipped,
        });
        Self { tree: layers.tree().hex(), list: list.collect() }
    }

    pub(crate) fn read(self) -> Result<AttachedLayers, DocumentError> {
        let layer = |layer: AttachedLayerDocument| {
            Ok(AttachedLayer {
                name: read_name(&layer.name)?,
                version: layer.version,
                archive: document::digest(&layer.archive)?,
                size: layer.size,
                unzipped: layer.unzipped,
            })
        };
        let count = self.list.len();
        let list = self.list.into_iter().map(layer).collect::<Result<Vec<_>, _>>()?;
        AttachedLayers::of(list, document::digest(&self.tree)?)
            .ok_or_else(|| value("list of layers", &format!("{count} layers")))
    }
}
