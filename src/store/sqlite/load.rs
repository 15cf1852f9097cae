//! Reading everything, once, at start.
//!
//! A row that cannot be understood stops the start: going on without it would lose a function that
//! was acknowledged.

use std::collections::{BTreeMap, HashMap};
use std::iter::Peekable;
use std::sync::Arc;

use model::alias::{Alias, Share, Weight};
use model::configuration::Description;
use model::name::AliasName;
use model::url::UrlConfig;
use model::{FunctionId, FunctionName, Generation, Qualifier, Version};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::access::{AccessKey, Policy, PolicyScope};
use crate::function::{
    Code, Function, FunctionVersion, LastUpdate, Nothing, State, runnable, shared,
};
use crate::provisioned::Provisioned;
use crate::snapshot::Snapshot;
use crate::snapshots::Optimization;
use crate::sqlite::document::{self, DocumentError, Previous};
use crate::sqlite::event_invokes;
use crate::sqlite::layers;
use crate::sqlite::rows::{LAST_FUNCTION, LAST_GENERATION, LATEST};
use crate::sqlite::{schedules, settings};
use crate::writer::Counters;

/// Why the database cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database says so.
    #[error("a query failed")]
    Query(#[from] rusqlite::Error),
    /// A row says something that cannot be.
    #[error("the row of {what} cannot be understood")]
    Row {
        /// Which.
        what: String,
        /// Why not.
        #[source]
        source: DocumentError,
    },
    /// A function without `$LATEST`.
    #[error("function '{name}' has no row for $LATEST")]
    NoLatest {
        /// Its name.
        name: String,
    },
}

/// Everything that has a function's identifier in its row, by that identifier.
type Parts<T> = HashMap<i64, T>;

/// Scope, revision and statements of a row of `policy`.
type PolicyRow = (String, String, String);

/// Qualifier, number and time of a row of `provisioned`.
type ProvisionedRow = (String, u32, u64);

/// What belongs to one function beside its versions.
struct Attached {
    aliases: Vec<AliasRow>,
    tags: BTreeMap<String, String>,
    policies: Vec<PolicyRow>,
    urls: Vec<(String, String)>,
    provisioned: Vec<ProvisionedRow>,
    event_invokes: Vec<event_invokes::Row>,
}

/// A row of `alias`.
struct AliasRow {
    name: String,
    version: i64,
    description: String,
    second: Option<i64>,
    weight: Option<f64>,
    revision: String,
}

/// A row of `function`.
struct FunctionRow {
    id: i64,
    name: String,
    created_ms: u64,
    last_version: u64,
    reserved: Option<u32>,
}

/// A row of `version`.
struct VersionRow {
    number: i64,
    generation: u64,
    revision: String,
    modified_ms: u64,
    code: String,
    code_size: u64,
    configuration: String,
    state: String,
    state_failure: Option<String>,
    last_update: Option<String>,
    update_failure: Option<String>,
    published_from: Option<String>,
    previous: Option<String>,
}

/// Reads everything.
pub(crate) fn load(connection: &Connection) -> Result<(Snapshot, Counters), LoadError> {
    let mut functions = Vec::new();
    let none = Nothing::default();
    // Of versions there are as many as of functions at least: they are read beside each other, in the
    // same order, so that no row outlives what is made of it. There are fewer of everything else.
    let mut query = connection.prepare(VERSIONS)?;
    let mut versions = query.query_map([], version_row)?.peekable();
    let mut aliases = aliases(connection)?;
    let mut tags = tags(connection)?;
    let mut policies = policies(connection)?;
    let mut urls = urls(connection)?;
    let mut provisioned = provisioned(connection)?;
    let mut event_invokes = event_invokes::load(connection)?;
    let mut query = connection
        .prepare("SELECT id, name, created_ms, last_version, reserved FROM function ORDER BY id")?;
    let rows = query.query_map([], |row| {
        Ok(FunctionRow {
            id: row.get(0)?,
            name: row.get(1)?,
            created_ms: unsigned(row, 2)?,
            last_version: unsigned(row, 3)?,
            reserved: row.get(4)?,
        })
    })?;
    for row in rows {
        let row = row?;
        let id = row.id;
        let attached = Attached {
            aliases: aliases.remove(&id).unwrap_or_default(),
            tags: tags.remove(&id).unwrap_or_default(),
            policies: policies.remove(&id).unwrap_or_default(),
            urls: urls.remove(&id).unwrap_or_default(),
            provisioned: provisioned.remove(&id).unwrap_or_default(),
            event_invokes: event_invokes.remove(&id).unwrap_or_default(),
        };
        let versions = rows_of(&mut versions, id)?;
        functions.push(Arc::new(function(row, versions, attached, &none)?));
    }
    let mut snapshot = Snapshot::of(functions);
    for layer in layers::load(connection)? {
        snapshot.put_layer(Arc::new(layer));
    }
    let mut query = connection.prepare("SELECT id, secret, created_ms FROM access_key")?;
    let rows = query.query_map([], |row| {
        let (id, secret) = (row.get(0)?, row.get(1)?);
        Ok(AccessKey { id, secret, created_ms: unsigned(row, 2)? })
    })?;
    for key in rows {
        snapshot.put_key(key?);
    }
    schedules::load(connection, snapshot.schedules_mut())?;
    *snapshot.settings_mut() = settings::load(connection)?;
    let counters = Counters {
        function: counter(connection, LAST_FUNCTION)?,
        generation: counter(connection, LAST_GENERATION)?,
    };
    Ok((snapshot, counters))
}

/// Reads a setting.
pub(crate) fn setting(
    connection: &Connection,
    name: &str,
) -> Result<Option<String>, rusqlite::Error> {
    connection
        .query_row("SELECT value FROM setting WHERE name = ?1", [name], |row| row.get(0))
        .optional()
}

fn counter(connection: &Connection, name: &str) -> Result<u64, LoadError> {
    let Some(text) = setting(connection, name)? else { return Ok(0) };
    text.parse().map_err(|_| LoadError::Row {
        what: format!("setting '{name}'"),
        source: document::value("number", &text),
    })
}

fn function(
    row: FunctionRow,
    versions: Vec<VersionRow>,
    attached: Attached,
    none: &Nothing,
) -> Result<Function, LoadError> {
    let Attached { aliases, tags, policies, urls, provisioned, event_invokes } = attached;
    let failed = |source| LoadError::Row { what: format!("function '{}'", row.name), source };
    let name = FunctionName::parse(&row.name)
        .map_err(|_| failed(document::value("function name", &row.name)))?;
    let id = FunctionId(row.id.cast_unsigned());
    let mut latest = None;
    let mut published = BTreeMap::new();
    for row_of_version in versions {
        let version = Arc::new(version(row_of_version, id, &name, row.reserved).map_err(failed)?);
        match version.version {
            Version::Latest => latest = Some(version),
            Version::Number(number) => drop(published.insert(number, version)),
        }
    }
    let aliases = aliases
        .into_iter()
        .map(|row| alias(row).map(|alias| (alias.name.clone(), Arc::new(alias))))
        .collect::<Result<BTreeMap<_, _>, _>>()
        .map_err(failed)?;
    let policies: BTreeMap<PolicyScope, Policy> = policies
        .into_iter()
        .map(|(scope, revision, statements)| {
            let revision = document::revision(&revision)?;
            let statements = document::read_statements(&statements)?;
            Ok((document::read_scope(&scope)?, Policy { revision, statements }))
        })
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    let urls: Vec<Arc<UrlConfig>> = urls
        .into_iter()
        .map(|(url, configuration)| document::read_url(&url, &name, &configuration))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    let provisioned = provisioned
        .into_iter()
        .map(|(qualifier, wanted, modified_ms)| {
            let read = Qualifier::parse(&qualifier)
                .map_err(|_| document::value("qualifier", &qualifier))?;
            Ok((read, Provisioned { wanted, modified_ms }))
        })
        .collect::<Result<BTreeMap<_, _>, _>>()
        .map_err(failed)?;
    let event_invokes = event_invokes::read(event_invokes).map_err(failed)?;
    Ok(Function {
        id,
        latest: latest.ok_or_else(|| LoadError::NoLatest { name: name.to_string() })?,
        name,
        created_ms: row.created_ms,
        last_version: row.last_version,
        reserved_concurrency: row.reserved,
        versions: shared(published, &none.versions),
        aliases: shared(aliases, &none.aliases),
        tags: shared(tags, &none.tags),
        policies: shared(policies, &none.policies),
        urls: shared(urls, &none.urls),
        provisioned: shared(provisioned, &none.provisioned),
        event_invokes: shared(event_invokes, &none.event_invokes),
    })
}

fn version(
    row: VersionRow,
    function: FunctionId,
    name: &FunctionName,
    reserved: Option<u32>,
) -> Result<FunctionVersion, DocumentError> {
    let version = version_of(row.number);
    let revision = document::revision(&row.revision)?;
    let code = Code { digest: document::digest(&row.code)?, size: row.code_size };
    let (configuration, optimization) = document::read_configuration(&row.configuration)?;
    let failure = |text: &Option<String>| document::read_failure(text.as_deref().unwrap_or("null"));
    let state = match row.state.as_str() {
        "Pending" => State::Pending,
        "Active" => State::Active,
        "Failed" => State::Failed(failure(&row.state_failure)?),
        other => return Err(document::value("state", other)),
    };
    let last_update = match row.last_update.as_deref() {
        None => None,
        Some("Successful") => Some(LastUpdate::Successful),
        Some("InProgress") => Some(LastUpdate::InProgress),
        Some("Failed") => Some(LastUpdate::Failed(failure(&row.update_failure)?)),
        Some(other) => return Err(document::value("update status", other)),
    };
    let published_from = row.published_from.map(|text| description(&text)).transpose()?;
    let runnable = |generation, code, configuration: &_| {
        runnable(function, name, version, generation, code, configuration, reserved)
    };
    let previous = row.previous.map(|text| Previous::read(&text)).transpose()?.map(|previous| {
        Arc::new(FunctionVersion {
            version,
            generation: previous.generation,
            revision,
            modified_ms: previous.modified_ms,
            code: previous.code,
            runnable: runnable(previous.generation, previous.code, &previous.configuration),
            configuration: previous.configuration,
            // What is served while an update is in progress was active before it.
            state: State::Active,
            last_update: Some(LastUpdate::Successful),
            published_from: None,
            optimization: Optimization::default(),
            previous: None,
        })
    });
    let generation = Generation(row.generation);
    let runnable = match &previous {
        Some(previous) => Arc::clone(&previous.runnable),
        None => runnable(generation, code, &configuration),
    };
    Ok(FunctionVersion {
        version,
        generation,
        revision,
        modified_ms: row.modified_ms,
        code,
        configuration,
        state,
        last_update,
        published_from,
        optimization,
        previous,
        runnable,
    })
}

fn alias(row: AliasRow) -> Result<Alias, DocumentError> {
    let second = row.second.zip(row.weight).map(|(version, weight)| {
        let weight =
            Weight::parse(weight).ok_or_else(|| document::value("weight", &weight.to_string()))?;
        Ok(Share { version: version.cast_unsigned(), weight })
    });
    Ok(Alias {
        name: AliasName::parse(&row.name).map_err(|_| document::value("alias", &row.name))?,
        version: version_of(row.version),
        description: description(&row.description)?,
        second: second.transpose()?,
        revision: document::revision(&row.revision)?,
    })
}

fn version_of(number: i64) -> Version {
    match number {
        LATEST => Version::Latest,
        number => Version::Number(number.cast_unsigned()),
    }
}

fn description(text: &str) -> Result<Description, DocumentError> {
    Description::parse(text).map_err(|_| document::value("description", text))
}

/// Every version, in the order of [`load`]'s functions.
const VERSIONS: &str =
    "SELECT function, number, generation, revision, modified_ms, code, code_size,
        configuration, state, state_failure, last_update, update_failure, published_from, previous
    FROM version ORDER BY function, number";

fn version_row(row: &Row<'_>) -> Result<(i64, VersionRow), rusqlite::Error> {
    let version = VersionRow {
        number: row.get(1)?,
        generation: unsigned(row, 2)?,
        revision: row.get(3)?,
        modified_ms: unsigned(row, 4)?,
        code: row.get(5)?,
        code_size: unsigned(row, 6)?,
        configuration: row.get(7)?,
        state: row.get(8)?,
        state_failure: row.get(9)?,
        last_update: row.get(10)?,
        update_failure: row.get(11)?,
        published_from: row.get(12)?,
        previous: row.get(13)?,
    };
    Ok((row.get(0)?, version))
}

/// The next rows, those of one function.
fn rows_of<T>(
    rows: &mut Peekable<impl Iterator<Item = Result<(i64, T), rusqlite::Error>>>,
    function: i64,
) -> Result<Vec<T>, rusqlite::Error> {
    let mut found = Vec::new();
    // Those of no function, which a foreign key forbids, are passed over.
    while let Some(row) =
        rows.next_if(|row| row.as_ref().map_or(true, |(owner, _)| *owner <= function))
    {
        let (owner, row) = row?;
        if owner == function {
            found.push(row);
        }
    }
    Ok(found)
}

fn aliases(connection: &Connection) -> Result<Parts<Vec<AliasRow>>, rusqlite::Error> {
    let mut query = connection.prepare(
        "SELECT function, name, version, description, second, weight, revision FROM alias",
    )?;
    gather(query.query_map([], |row| {
        let alias = AliasRow {
            name: row.get(1)?,
            version: row.get(2)?,
            description: row.get(3)?,
            second: row.get(4)?,
            weight: row.get(5)?,
            revision: row.get(6)?,
        };
        Ok((row.get(0)?, alias))
    })?)
}

fn tags(connection: &Connection) -> Result<Parts<BTreeMap<String, String>>, rusqlite::Error> {
    let mut query = connection.prepare("SELECT function, name, value FROM tag")?;
    gather(query.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?)
}

fn policies(connection: &Connection) -> Result<Parts<Vec<PolicyRow>>, rusqlite::Error> {
    let mut query =
        connection.prepare("SELECT function, scope, revision, statements FROM policy")?;
    gather(query.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))))?)
}

fn urls(connection: &Connection) -> Result<Parts<Vec<(String, String)>>, rusqlite::Error> {
    let mut query =
        connection.prepare("SELECT function, id, configuration FROM url ORDER BY position")?;
    gather(query.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?)
}

fn provisioned(connection: &Connection) -> Result<Parts<Vec<ProvisionedRow>>, rusqlite::Error> {
    let mut query =
        connection.prepare("SELECT function, qualifier, wanted, modified_ms FROM provisioned")?;
    gather(
        query.query_map([], |row| {
            Ok((row.get(0)?, (row.get(1)?, row.get(2)?, unsigned(row, 3)?)))
        })?,
    )
}

fn gather<T, C: Default + Extend<T>>(
    rows: impl Iterator<Item = Result<(i64, T), rusqlite::Error>>,
) -> Result<Parts<C>, rusqlite::Error> {
    let mut parts: Parts<C> = HashMap::new();
    for row in rows {
        let (function, part) = row?;
        parts.entry(function).or_default().extend([part]);
    }
    Ok(parts)
}

/// SQLite's integers are signed; identifiers keep their bits.
pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}
