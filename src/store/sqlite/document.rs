//! The JSON documents that rows carry: what the database keeps and never looks into.
//!
//! A field added here needs no step of the schema, only a default for the rows that lack it; a field
//! is never renamed. Reading checks every value again, because a file may have been edited.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::configuration::{
    Architecture, Description, EphemeralStorage, Handler, LogGroup, MemorySize, RoleArn, RuntimeId,
    SnapStart, Timeout,
};
use model::name::AliasName;
use model::policy::Statement;
use model::url::{AuthType, Cors, InvokeMode, UrlConfig, UrlId};
use model::{Configuration, Digest, Environment, FunctionName, Generation, RevisionId};
use serde::{Deserialize, Serialize};

use crate::access::PolicyScope;
use crate::function::{Code, Failure, FailureCode, FunctionVersion};
use crate::snapshots::Optimization;
use crate::sqlite::layers::AttachedDocument;

/// A value that no document should hold.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON, or JSON of another shape.
    #[error("a {what} is not the JSON it should be")]
    Json {
        /// Which document.
        what: &'static str,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// A value outside its limits.
    #[error("'{value}' is no {what}")]
    Value {
        /// Which value.
        what: &'static str,
        /// What was there.
        value: String,
    },
}

/// [`Configuration`].
#[derive(Serialize, Deserialize)]
struct ConfigurationDocument {
    runtime: String,
    handler: String,
    role: String,
    description: String,
    timeout_s: u32,
    memory_mib: u32,
    tmp_mib: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<BTreeMap<String, String>>,
    architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log_group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snap_start: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layers: Option<AttachedDocument>,
    /// What came of that: of the version, not of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snapshot: Option<SnapshotDocument>,
}

/// [`Optimization`], of a version for which a snapshot was wanted.
#[derive(Serialize, Deserialize)]
struct SnapshotDocument {
    on: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What of [`FunctionVersion::previous`] is not the same as in the version itself.
#[derive(Serialize, Deserialize)]
struct PreviousDocument {
    generation: u64,
    modified_ms: u64,
    code: String,
    code_size: u64,
    configuration: ConfigurationDocument,
}

/// What [`PreviousDocument`] says.
pub(crate) struct Previous {
    pub(crate) generation: Generation,
    pub(crate) modified_ms: u64,
    pub(crate) code: Code,
    pub(crate) configuration: Configuration,
}

/// [`Failure`].
#[derive(Serialize, Deserialize)]
struct FailureDocument {
    code: String,
    reason: String,
}

/// [`Statement`].
#[derive(Serialize, Deserialize)]
struct StatementDocument {
    id: String,
    action: String,
    principal: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_arn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_source_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    principal_org_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url_auth: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    via_url: Option<bool>,
}

/// [`UrlConfig`] but for its identifier and function.
#[derive(Serialize, Deserialize)]
struct UrlDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    auth: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cors: Option<CorsDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invoke_mode: Option<String>,
    created_ms: u64,
    modified_ms: u64,
}

/// [`Cors`].
#[derive(Serialize, Deserialize)]
struct CorsDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allow_credentials: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allow_headers: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allow_methods: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allow_origins: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expose_headers: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_age: Option<u32>,
}

// === impl ConfigurationDocument ===

impl ConfigurationDocument {
    fn of(configuration: &Configuration) -> Self {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Self {
            runtime: configuration.runtime.as_str().to_owned(),
            handler: configuration.handler.as_str().to_owned(),
            role: configuration.role.as_str().to_owned(),
            description: configuration.description.as_str().to_owned(),
            timeout_s: configuration.timeout.seconds(),
            memory_mib: configuration.memory.mib(),
            tmp_mib: configuration.tmp.mib(),
            environment: configuration
                .environment
                .as_ref()
                .map(|environment| environment.iter().map(owned).collect()),
            architecture: configuration.architecture.as_str().to_owned(),
            log_group: configuration.log_group.as_ref().map(|group| group.as_str().to_owned()),
            snap_start: match configuration.snap_start {
                SnapStart::None => None,
                given => Some(given.as_str().to_owned()),
            },
            snapshot: None,
            layers: configuration.layers.as_deref().map(AttachedDocument::of),
        }
    }

    fn read(self) -> Result<Configuration, DocumentError> {
        let environment = self.environment.map(|pairs| {
            Environment::parse(pairs.into_iter().collect())
                .map_err(|err| value("environment", &err.to_string()))
        });
        let log_group = self
            .log_group
            .map(|text| LogGroup::parse(&text).map_err(|_| value("log group", &text)));
        Ok(Configuration {
            runtime: RuntimeId::parse(&self.runtime)
                .map_err(|_| value("runtime", &self.runtime))?,
            handler: Handler::parse(&self.handler).map_err(|_| value("handler", &self.handler))?,
            role: RoleArn::parse(&self.role).map_err(|_| value("role", &self.role))?,
            description: Description::parse(&self.description)
                .map_err(|_| value("description", &self.description))?,
            timeout: Timeout::parse(self.timeout_s.into())
                .map_err(|_| value("timeout", &self.timeout_s.to_string()))?,
            memory: MemorySize::parse(self.memory_mib.into())
                .map_err(|_| value("memory size", &self.memory_mib.to_string()))?,
            tmp: EphemeralStorage::parse(self.tmp_mib.into())
                .map_err(|_| value("size of /tmp", &self.tmp_mib.to_string()))?,
            environment: environment.transpose()?,
            architecture: Architecture::parse(&self.architecture)
                .ok_or_else(|| value("architecture", &self.architecture))?,
            log_group: log_group.transpose()?,
            snap_start: match self.snap_start {
                Some(text) => {
                    SnapStart::parse(&text).ok_or_else(|| value("SnapStart mode", &text))?
                }
                None => SnapStart::None,
            },
            layers: self.layers.map(|layers| layers.read().map(Arc::new)).transpose()?,
        })
    }
}

// === impl Previous ===

impl Previous {
    /// Writes what of `version` is kept while an update of it is in progress.
    pub(crate) fn write(version: &FunctionVersion) -> String {
        write(&PreviousDocument {
            generation: version.generation.0,
            modified_ms: version.modified_ms,
            code: version.code.digest.hex(),
            code_size: version.code.size,
            configuration: ConfigurationDocument::of(&version.configuration),
        })
    }

    /// Reads what [`Previous::write`] wrote.
    pub(crate) fn read(text: &str) -> Result<Self, DocumentError> {
        let document: PreviousDocument = read("previous version", text)?;
        Ok(Self {
            generation: Generation(document.generation),
            modified_ms: document.modified_ms,
            code: Code { digest: digest(&document.code)?, size: document.code_size },
            configuration: document.configuration.read()?,
        })
    }
}

/// Writes a version's configuration, and whether it is restored from a snapshot.
pub(crate) fn write_configuration(version: &FunctionVersion) -> String {
    let snapshot = match &version.optimization {
        Optimization::On => Some(SnapshotDocument { on: true, reason: None }),
        Optimization::Off { reason: None } => None,
        Optimization::Off { reason } => {
            Some(SnapshotDocument { on: false, reason: reason.clone() })
        }
    };
    write(&ConfigurationDocument { snapshot, ..ConfigurationDocument::of(&version.configuration) })
}

/// Reads what [`write_configuration`] wrote.
pub(crate) fn read_configuration(
    text: &str,
) -> Result<(Configuration, Optimization), DocumentError> {
    let mut document: ConfigurationDocument = read("configuration", text)?;
    let optimization = match document.snapshot.take() {
        Some(SnapshotDocument { on: true, .. }) => Optimization::On,
        Some(SnapshotDocument { on: false, reason }) => Optimization::Off { reason },
        None => Optimization::default(),
    };
    Ok((document.read()?, optimization))
}

/// Writes a failure.
pub(crate) fn write_failure(failure: &Failure) -> String {
    write(&FailureDocument { code: failure.code.name().to_owned(), reason: failure.reason.clone() })
}

/// Reads a failure.
pub(crate) fn read_failure(text: &str) -> Result<Failure, DocumentError> {
    let document: FailureDocument = read("failure", text)?;
    let code =
        FailureCode::parse(&document.code).ok_or_else(|| value("failure", &document.code))?;
    Ok(Failure { code, reason: document.reason })
}

/// Writes the statements of a policy.
pub(crate) fn write_statements(statements: &[Statement]) -> String {
    let documents: Vec<StatementDocument> = statements
        .iter()
        .map(|statement| StatementDocument {
            id: statement.id.clone(),
            action: statement.action.clone(),
            principal: statement.principal.clone(),
            source_arn: statement.source_arn.clone(),
            source_account: statement.source_account.clone(),
            event_source_token: statement.event_source_token.clone(),
            principal_org_id: statement.principal_org_id.clone(),
            url_auth: statement.url_auth.clone(),
            via_url: statement.via_url,
        })
        .collect();
    write(&documents)
}

/// Reads the statements of a policy.
pub(crate) fn read_statements(text: &str) -> Result<Vec<Statement>, DocumentError> {
    let documents: Vec<StatementDocument> = read("policy", text)?;
    let statement = |document: StatementDocument| Statement {
        id: document.id,
        action: document.action,
        principal: document.principal,
        source_arn: document.source_arn,
        source_account: document.source_account,
        event_source_token: document.event_source_token,
        principal_org_id: document.principal_org_id,
        url_auth: document.url_auth,
        via_url: document.via_url,
    };
    Ok(documents.into_iter().map(statement).collect())
}

/// Writes a URL.
pub(crate) fn write_url(url: &UrlConfig) -> String {
    let cors = url.cors.as_ref().map(|cors| CorsDocument {
        allow_credentials: cors.allow_credentials,
        allow_headers: cors.allow_headers.clone(),
        allow_methods: cors.allow_methods.clone(),
        allow_origins: cors.allow_origins.clone(),
        expose_headers: cors.expose_headers.clone(),
        max_age: cors.max_age,
    });
    write(&UrlDocument {
        alias: url.alias.as_ref().map(|alias| alias.as_str().to_owned()),
        auth: url.auth.as_str().to_owned(),
        cors,
        invoke_mode: url.invoke_mode.map(|mode| mode.as_str().to_owned()),
        created_ms: url.created_ms,
        modified_ms: url.modified_ms,
    })
}

/// Reads a URL.
pub(crate) fn read_url(
    id: &str,
    name: &FunctionName,
    text: &str,
) -> Result<Arc<UrlConfig>, DocumentError> {
    let document: UrlDocument = read("URL", text)?;
    let alias =
        document.alias.map(|text| AliasName::parse(&text).map_err(|_| value("alias", &text)));
    let mode = document
        .invoke_mode
        .map(|text| InvokeMode::parse(&text).ok_or_else(|| value("invoke mode", &text)));
    let cors = document.cors.map(|cors| Cors {
        allow_credentials: cors.allow_credentials,
        allow_headers: cors.allow_headers,
        allow_methods: cors.allow_methods,
        allow_origins: cors.allow_origins,
        expose_headers: cors.expose_headers,
        max_age: cors.max_age,
    });
    Ok(Arc::new(UrlConfig {
        id: UrlId::parse(id).ok_or_else(|| value("URL identifier", id))?,
        name: name.clone(),
        alias: alias.transpose()?,
        auth: AuthType::parse(&document.auth).ok_or_else(|| value("auth type", &document.auth))?,
        cors,
        invoke_mode: mode.transpose()?,
        created_ms: document.created_ms,
        modified_ms: document.modified_ms,
    }))
}

/// The column of a policy's scope; a qualifier can never be empty.
pub(crate) fn write_scope(scope: &PolicyScope) -> String {
    match scope {
        PolicyScope::Function => String::new(),
        PolicyScope::Version(number) => number.to_string(),
        PolicyScope::Alias(alias) => alias.to_string(),
    }
}

/// Reads what [`write_scope`] writes.
pub(crate) fn read_scope(text: &str) -> Result<PolicyScope, DocumentError> {
    if text.is_empty() {
        return Ok(PolicyScope::Function);
    }
    if let Ok(number) = text.parse() {
        return Ok(PolicyScope::Version(number));
    }
    AliasName::parse(text).map(PolicyScope::Alias).map_err(|_| value("policy scope", text))
}

/// Reads a digest.
pub(crate) fn digest(text: &str) -> Result<Digest, DocumentError> {
    Digest::from_hex(text).ok_or_else(|| value("digest", text))
}

/// Reads a revision id.
pub(crate) fn revision(text: &str) -> Result<RevisionId, DocumentError> {
    RevisionId::parse(text).ok_or_else(|| value("revision id", text))
}

/// The error of a value outside its limits.
pub(crate) fn value(what: &'static str, value: &str) -> DocumentError {
    DocumentError::Value { what, value: value.to_owned() }
}

/// Reads a document.
pub(crate) fn read<'a, T: Deserialize<'a>>(
    what: &'static str,
    text: &'a str,
) -> Result<T, DocumentError> {
    serde_json::from_str(text).map_err(|source| DocumentError::Json { what, source })
}

/// Writes a document: strings, numbers and maps with string keys, for which JSON has no error.
pub(crate) fn write<T: Serialize>(document: &T) -> String {
    serde_json::to_string(document).expect("documents hold nothing that JSON cannot say")
}
