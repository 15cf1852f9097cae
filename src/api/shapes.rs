//! What responses say: AWS's members, in AWS's form.
//!
//! Members that AWS always gives are always here, and members that AWS leaves out are left out:
//! clients such as Terraform see a difference in either.

pub(crate) mod provisioned;

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::url::{Cors, InvokeMode, UrlConfig};
use model::{AttachedLayer, Environment, Home, Version};
use serde::Serialize;
use store::{Failure, Function, FunctionVersion, LastUpdate, Optimization, State};

use crate::server::UrlBase;

/// `FunctionConfiguration`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FunctionConfiguration {
    function_name: String,
    function_arn: String,
    runtime: String,
    role: String,
    handler: String,
    code_size: u64,
    description: String,
    timeout: u32,
    memory_size: u32,
    last_modified: String,
    code_sha256: String,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<EnvironmentResponse>,
    tracing_config: TracingConfig,
    revision_id: String,
    #[serde(flatten)]
    progress: Option<Progress>,
    package_type: &'static str,
    architectures: [&'static str; 1],
    ephemeral_storage: EphemeralStorage,
    snap_start: SnapStart,
    logging_config: LoggingConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<lambda::types::Layer>>,
}

/// The members that lists leave out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Progress {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_update_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_update_status_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_update_status_reason_code: Option<&'static str>,
    runtime_version_config: RuntimeVersionConfig,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct EnvironmentResponse {
    variables: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TracingConfig {
    mode: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct EphemeralStorage {
    size: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SnapStart {
    apply_on: &'static str,
    optimization_status: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RuntimeVersionConfig {
    runtime_version_arn: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LoggingConfig {
    log_format: &'static str,
    log_group: String,
}

/// How much of a version is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Everything, the ARN of `$LATEST` unqualified.
    Full,
    /// Everything, the ARN unqualified even for a published version: CreateFunction's answer.
    Created,
    /// Everything, the ARN qualified.
    Qualified,
    /// What lists show, the ARN of `$LATEST` unqualified.
    Listed,
    /// What lists show, the ARN qualified.
    ListedQualified,
}

/// `GetFunctionResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetFunctionResponse {
    pub(crate) configuration: FunctionConfiguration,
    pub(crate) code: FunctionCodeLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) concurrency: Option<Concurrency>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FunctionCodeLocation {
    pub(crate) repository_type: &'static str,
    pub(crate) location: String,
}

/// `Concurrency`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Concurrency {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reserved_concurrent_executions: Option<u32>,
}

/// `ListFunctionsResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListFunctionsResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_marker: Option<String>,
    pub(crate) functions: Vec<FunctionConfiguration>,
}

/// `ListVersionsByFunctionResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListVersionsResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_marker: Option<String>,
    pub(crate) versions: Vec<FunctionConfiguration>,
}

/// `FunctionUrlConfig` and the responses that look like it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FunctionUrlConfig {
    function_url: String,
    function_arn: String,
    auth_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cors: Option<CorsResponse>,
    creation_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoke_mode: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct CorsResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_credentials: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_headers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_methods: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_origins: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expose_headers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<u32>,
}

/// `ListFunctionUrlConfigsResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListUrlsResponse {
    pub(crate) function_url_configs: Vec<FunctionUrlConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_marker: Option<String>,
}

/// `GetAccountSettingsResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AccountSettings {
    pub(crate) account_limit: AccountLimit,
    pub(crate) account_usage: AccountUsage,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AccountLimit {
    pub(crate) total_code_size: u64,
    pub(crate) code_size_unzipped: u64,
    pub(crate) code_size_zipped: u64,
    pub(crate) concurrent_executions: u64,
    pub(crate) unreserved_concurrent_executions: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AccountUsage {
    pub(crate) total_code_size: u64,
    pub(crate) function_count: u64,
}

/// AWS's word for why something is not ready yet; an update says so too.
const BEING_CREATED: &str = "The function is being created.";

// === impl FunctionConfiguration ===

impl FunctionConfiguration {
    /// A version of a function; `runtime_version` is the ARN of what runs it.
    pub(crate) fn of(
        home: &Home,
        function: &Function,
        version: &FunctionVersion,
        shown: Shown,
        runtime_version: String,
    ) -> Self {
        let configuration = &version.configuration;
        let qualified = match shown {
            Shown::Qualified | Shown::ListedQualified => true,
            Shown::Full | Shown::Listed => version.version != Version::Latest,
            Shown::Created => false,
        };
        let plain = home.function_arn(&function.name);
        let full = !matches!(shown, Shown::Listed | Shown::ListedQualified);
        Self {
            function_name: function.name.to_string(),
            function_arn: match qualified {
                true => format!("{plain}:{}", version.version),
                false => plain,
            },
            runtime: configuration.runtime.to_string(),
            role: configuration.role.to_string(),
            handler: configuration.handler.to_string(),
            code_size: version.code.size,
            description: configuration.description.to_string(),
            timeout: configuration.timeout.seconds(),
            memory_size: configuration.memory.mib(),
            last_modified: function_time(version.modified_ms),
            code_sha256: archive::code::code_sha256(&version.code.digest),
            version: version.version.text(),
            environment: configuration.environment.as_ref().map(EnvironmentResponse::of),
            tracing_config: TracingConfig { mode: "PassThrough" },
            revision_id: version.revision.to_string(),
            progress: full.then(|| Progress::of(version, runtime_version)),
            package_type: "Zip",
            architectures: [configuration.architecture.as_str()],
            ephemeral_storage: EphemeralStorage { size: configuration.tmp.mib() },
            snap_start: SnapStart {
                apply_on: configuration.snap_start.as_str(),
                optimization_status: version.optimization.name(),
            },
            layers: configuration.layers.as_ref().map(|layers| {
                let layer = |layer: &AttachedLayer| lambda::types::Layer {
                    arn: Some(home.layer_version_arn(&layer.name, layer.version)),
                    code_size: Some(layer.size.cast_signed()),
                    ..lambda::types::Layer::default()
                };
                layers.list().iter().map(layer).collect()
            }),
            logging_config: LoggingConfig {
                log_format: "Text",
                log_group: match &configuration.log_group {
                    Some(group) => group.to_string(),
                    None => format!("/aws/lambda/{}", function.name),
                },
            },
        }
    }

    /// The same under the ARN of the alias by which it was asked for.
    pub(crate) fn under(self, arn: String) -> Self {
        Self { function_arn: arn, ..self }
    }
}

// === impl Progress ===

impl Progress {
    fn of(version: &FunctionVersion, runtime_version_arn: String) -> Self {
        let (state_reason, state_reason_code) = match &version.state {
            // AWS has no reason for something that works, and no other place for this one.
            State::Active => match &version.optimization {
                Optimization::Off { reason } => (reason.clone(), None),
                Optimization::On => (None, None),
            },
            State::Pending => (Some(BEING_CREATED.to_owned()), Some("Creating")),
            State::Failed(failure) => words(failure),
        };
        let (update_reason, update_code) = match &version.last_update {
            None | Some(LastUpdate::Successful) => (None, None),
            Some(LastUpdate::InProgress) => (Some(BEING_CREATED.to_owned()), Some("Creating")),
            Some(LastUpdate::Failed(failure)) => words(failure),
        };
        Self {
            state: version.state.name(),
            state_reason,
            state_reason_code,
            last_update_status: version.last_update.as_ref().map(LastUpdate::name),
            last_update_status_reason: update_reason,
            last_update_status_reason_code: update_code,
            runtime_version_config: RuntimeVersionConfig { runtime_version_arn },
        }
    }
}

fn words(failure: &Failure) -> (Option<String>, Option<&'static str>) {
    (Some(failure.reason.clone()), Some(failure.code.name()))
}

// === impl EnvironmentResponse ===

impl EnvironmentResponse {
    fn of(environment: &Environment) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self { variables: environment.iter().map(owned).collect() }
    }
}

// === impl FunctionUrlConfig ===

impl FunctionUrlConfig {
    /// What creating a URL answers: the mode only if it was given, no time of modification.
    pub(crate) fn created(home: &Home, base: &UrlBase, url: &UrlConfig) -> Self {
        Self {
            last_modified_time: None,
            invoke_mode: url.invoke_mode.map(InvokeMode::as_str),
            ..Self::of(home, base, url)
        }
    }

    /// What looking at one answers.
    pub(crate) fn of(home: &Home, base: &UrlBase, url: &UrlConfig) -> Self {
        let plain = home.function_arn(&url.name);
        Self {
            function_url: base.url(&url.id, &home.region),
            function_arn: match &url.alias {
                Some(alias) => format!("{plain}:{alias}"),
                None => plain,
            },
            auth_type: url.auth.as_str(),
            cors: url.cors.as_ref().map(CorsResponse::of),
            creation_time: url_time(url.created_ms),
            last_modified_time: Some(url_time(url.modified_ms)),
            invoke_mode: Some(url.invoke_mode.unwrap_or(InvokeMode::Buffered).as_str()),
        }
    }
}

// === impl CorsResponse ===

impl CorsResponse {
    fn of(cors: &Cors) -> Self {
        Self {
            allow_credentials: cors.allow_credentials,
            allow_headers: cors.allow_headers.clone(),
            allow_methods: cors.allow_methods.clone(),
            allow_origins: cors.allow_origins.clone(),
            expose_headers: cors.expose_headers.clone(),
            max_age: cors.max_age,
        }
    }
}

/// `2026-11-20T05:11:00.123+0000`, as functions have it.
pub(crate) fn function_time(ms: u64) -> String {
    timestamp(ms).strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}

/// `2026-11-20T05:11:00.123000Z`, as URLs have it.
fn url_time(ms: u64) -> String {
    timestamp(ms).strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// A moment; one that no calendar has becomes the last there is.
fn timestamp(ms: u64) -> Timestamp {
    let moment = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    moment.unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
