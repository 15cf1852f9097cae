//! UpdateFunctionConfiguration, and what CreateFunction shares with it: reading a configuration.
//!
//! [`check`] is the first layer, [`change`] the second. What Hearth does not have is refused where it
//! is asked for, and accepted where it is asked to be absent, because SDKs and Terraform send empty
//! values for things that nobody configured.

use std::sync::Arc;

use http::StatusCode;
use httpd::AwsError;
use images::Catalogue;
use model::Environment;
use model::configuration::{
    Architecture, Configuration, Description, EphemeralStorage, Handler, LogGroup, MemorySize,
    RoleArn, RuntimeId, SnapStart, Timeout,
};
use model::environment::{CONCURRENCY, EnvironmentError, MAX_CONCURRENCY, RESERVED};
use store::{ConfigurationChange, Update};

use crate::layers::attach;
use crate::requests::{self, FunctionRequest};
use crate::respond::{Answer, json};
use crate::router::Call;
use crate::server::now_ms;
use crate::shapes::{FunctionConfiguration, Shown};
use crate::validate::{Text, Violations};
use crate::{activation, errors, patterns, snapshots};

/// AWS's order, which is not the alphabet's.
const ARCHITECTURES: [&str; 2] = ["x86_64", "arm64"];

/// UpdateFunctionConfiguration.
pub(crate) async fn update(call: &Call<'_>) -> Answer {
    let request: FunctionRequest = requests::parse(&call.body)?;
    let mut violations = call.violations();
    check(&mut violations, &request);
    let local = call.unqualified(violations)?;
    let arn = local.arn(&call.api.home);
    let before = call.function(&local)?;
    let mut configuration = change(&request, &call.api.catalogue)?;
    configuration.layers = attach::find(call, request.layers.as_deref())?;
    let given = configuration.layers.iter().flatten().next().map(Arc::as_ref);
    attach::check_size(call.api, before.latest.code.digest, given).await?;
    let now = &before.latest.configuration;
    let runtime = configuration.runtime.as_ref().unwrap_or(&now.runtime);
    check_concurrency(runtime, configuration.environment.as_ref().or(now.environment.as_ref()))?;
    let snap_start = configuration.snap_start.unwrap_or(now.snap_start);
    snapshots::check(snap_start, runtime, configuration.tmp.unwrap_or(now.tmp))?;
    let update = Update {
        revision: request.revision_id,
        configuration,
        at_ms: now_ms(),
        ..Update::default()
    };
    let function = call
        .api
        .store
        .update_function(&before.name, update)
        .await
        .map_err(|err| errors::refused(err, &arn))?;
    activation::begin(call.api, &function);
    let runtime = call.api.runtime_version_arn(function.latest.configuration.runtime.as_str());
    let shape = FunctionConfiguration::of(
        &call.api.home,
        &function,
        &function.latest,
        Shown::Full,
        runtime,
    );
    json(StatusCode::OK, &shape)
}

/// Collects what is wrong with the shape of a configuration.
pub(crate) fn check(violations: &mut Violations, request: &FunctionRequest) {
    let form = |pattern| Text { pattern: Some(pattern), ..Text::default() };
    violations.text("role", request.role.as_deref(), form(patterns::ROLE));
    let handler = Text { least: 0, most: Handler::MAX, pattern: Some(patterns::HANDLER) };
    violations.text("handler", request.handler.as_deref(), handler);
    let description = Text { most: Description::MAX, ..Text::default() };
    violations.text("description", request.description.as_deref(), description);
    let between = |least: u32, most: u32| (i64::from(least), Some(i64::from(most)));
    let (least, most) = between(Timeout::LEAST, Timeout::MOST);
    violations.number("timeout", request.timeout, least, most);
    let (least, most) = between(MemorySize::LEAST, MemorySize::MOST);
    violations.number("memorySize", request.memory_size, least, most);
    if let Some(vpc) = &request.vpc_config {
        violations.count("vpcConfig.subnetIds", vpc.subnet_ids.as_deref(), 0, 16);
        violations.count("vpcConfig.securityGroupIds", vpc.security_group_ids.as_deref(), 0, 5);
    }
    violations.one_of("packageType", request.package_type.as_deref(), &["Zip", "Image"]);
    if let Some(variables) = request.environment.as_ref().and_then(|env| env.variables.as_ref()) {
        // Reserved names are refused for being reserved, whatever their form.
        let names = variables.0.iter().map(|(name, _)| name.as_str());
        let names = names.filter(|name| !RESERVED.contains(name));
        violations.secret_keys("environment.variables", names, form(patterns::VARIABLE));
    }
    if let Some(tracing) = &request.tracing_config {
        violations.one_of(
            "tracingConfig.mode",
            tracing.mode.as_deref(),
            &["Active", "PassThrough"],
        );
    }
    if let Some(storage) = &request.ephemeral_storage {
        violations.required("ephemeralStorage.size", storage.size.is_some());
        let (least, most) = between(EphemeralStorage::LEAST, EphemeralStorage::MOST);
        violations.number("ephemeralStorage.size", storage.size, least, most);
    }
    if let Some(snap_start) = &request.snap_start {
        let modes = ["PublishedVersions", "None"];
        violations.one_of("snapStart.applyOn", snap_start.apply_on.as_deref(), &modes);
    }
    if let Some(logging) = &request.logging_config {
        violations.one_of(
            "loggingConfig.logFormat",
            logging.log_format.as_deref(),
            &["JSON", "Text"],
        );
        let group = Text { least: 1, most: LogGroup::MAX, pattern: Some(patterns::LOG_GROUP) };
        violations.text("loggingConfig.logGroup", logging.log_group.as_deref(), group);
    }
    check_architectures(violations, request.architectures.as_deref());
    attach::check(violations, request.layers.as_deref());
}

/// Collects what is wrong with a list of architectures.
pub(crate) fn check_architectures(violations: &mut Violations, given: Option<&[String]>) {
    violations.each_one_of("architectures", given, &ARCHITECTURES);
    violations.count("architectures", given, 1, 1);
}

/// What a request asks to be changed.
///
/// # Errors
/// For what cannot be, or is not there.
pub(crate) fn change(
    request: &FunctionRequest,
    catalogue: &Catalogue,
) -> Result<ConfigurationChange, AwsError> {
    refuse_unavailable(request)?;
    // Whatever has passed the first layer parses; the message names the limit all the same.
    let limit = |err: model::configuration::LimitError| errors::invalid(err.to_string());
    let number = |value: i64| u64::try_from(value).unwrap_or(0);
    let runtime = request.runtime.as_deref().map(|text| served(text, catalogue)).transpose()?;
    let logging = request.logging_config.as_ref();
    let log_group = logging.and_then(|logging| logging.log_group.as_deref());
    let tmp = request.ephemeral_storage.as_ref().and_then(|storage| storage.size);
    Ok(ConfigurationChange {
        runtime,
        handler: request.handler.as_deref().map(Handler::parse).transpose().map_err(limit)?,
        role: request.role.as_deref().map(RoleArn::parse).transpose().map_err(limit)?,
        description: request
            .description
            .as_deref()
            .map(Description::parse)
            .transpose()
            .map_err(limit)?,
        timeout: request.timeout.map(number).map(Timeout::parse).transpose().map_err(limit)?,
        memory: request
            .memory_size
            .map(number)
            .map(MemorySize::parse)
            .transpose()
            .map_err(limit)?,
        tmp: tmp.map(number).map(EphemeralStorage::parse).transpose().map_err(limit)?,
        environment: environment(request)?,
        log_group: log_group.map(LogGroup::parse).transpose().map_err(limit)?,
        // Which there are, the catalogue does not know.
        layers: None,
        snap_start: request
            .snap_start
            .as_ref()
            .and_then(|given| SnapStart::parse(given.apply_on.as_deref()?)),
    })
}

/// The configuration of a new function.
///
/// # Errors
/// For what cannot be, is not there, or is missing.
pub(crate) fn of_new(
    request: &FunctionRequest,
    catalogue: &Catalogue,
) -> Result<Configuration, AwsError> {
    let given = change(request, catalogue)?;
    let (Some(runtime), Some(handler)) = (given.runtime, given.handler) else {
        return Err(errors::invalid(
            "Runtime and Handler are mandatory parameters for functions created with deployment \
             packages.",
        ));
    };
    let role = given.role.ok_or_else(|| errors::invalid("Role is a mandatory parameter."))?;
    check_concurrency(&runtime, given.environment.as_ref())?;
    let snap_start = given.snap_start.unwrap_or_default();
    let tmp = given.tmp.unwrap_or(EphemeralStorage::DEFAULT);
    snapshots::check(snap_start, &runtime, tmp)?;
    Ok(Configuration {
        runtime,
        handler,
        role,
        description: given.description.unwrap_or_default(),
        timeout: given.timeout.unwrap_or(Timeout::DEFAULT),
        memory: given.memory.unwrap_or(MemorySize::DEFAULT),
        tmp,
        environment: given.environment,
        architecture: Architecture::HOST,
        log_group: given.log_group,
        layers: given.layers.flatten(),
        snap_start,
    })
}

/// Refuses several events at once where our own bootstrap would get them, which serves one at a time:
/// there the variable is reserved, as it is everywhere on AWS.
///
/// # Errors
/// If they are asked for and the runtime is not the package's own.
pub(crate) fn check_concurrency(
    runtime: &RuntimeId,
    environment: Option<&Environment>,
) -> Result<(), AwsError> {
    let asked = environment.is_some_and(|environment| environment.concurrency().is_some());
    if asked && !runtime.is_custom() {
        return Err(errors::invalid(reserved(&[CONCURRENCY.to_owned()])));
    }
    Ok(())
}

/// Refuses code for a machine that this is not.
///
/// # Errors
/// If it is.
pub(crate) fn check_machine(architectures: Option<&[String]>) -> Result<(), AwsError> {
    let host = Architecture::HOST.as_str();
    match architectures.and_then(|given| given.first()) {
        Some(given) if given != host => Err(errors::unavailable(
            &format!("Architecture {given} is"),
            &format!("Its processor runs {host}: build the package for {host}."),
        )),
        _ => Ok(()),
    }
}

/// A runtime that an image serves.
fn served(text: &str, catalogue: &Catalogue) -> Result<RuntimeId, AwsError> {
    let unserved = match (catalogue.require(text), RuntimeId::parse(text)) {
        (Ok(_), Ok(runtime)) => return Ok(runtime),
        (Err(unserved), _) => unserved,
        (Ok(_), Err(err)) => return Err(errors::invalid(err.to_string())),
    };
    Err(errors::invalid(format!(
        "Value {text} at 'runtime' failed to satisfy constraint: Member must satisfy enum value \
         set: [{}] or be a valid ARN. {}",
        unserved.served, unserved.remedy
    )))
}

const UNABLE: &str = "Lambda was unable to configure your environment variables because the \
                      environment variables you have provided";

fn reserved(names: &[String]) -> String {
    format!(
        "{UNABLE} contains reserved keys that are currently not supported for modification. Reserved \
         keys used in this request: {}",
        names.join(", ")
    )
}

fn environment(request: &FunctionRequest) -> Result<Option<Environment>, AwsError> {
    let Some(given) = &request.environment else { return Ok(None) };
    let pairs = given.variables.clone().unwrap_or_default().0;
    let parsed = Environment::parse(pairs).map_err(|err| {
        errors::invalid(match err {
            EnvironmentError::Reserved { names } => reserved(&names),
            EnvironmentError::Concurrency { value } => format!(
                "{UNABLE} contains a value that is not supported: {CONCURRENCY} is '{value}' and has \
                 to be a number from 1 to {MAX_CONCURRENCY}"
            ),
            EnvironmentError::TooLarge { measured } => {
                format!("{UNABLE} exceeded the 4KB limit. String measured: {measured}")
            }
            EnvironmentError::Form { name } => {
                format!("{UNABLE} contains a value that no process can be given: {name}")
            }
        })
    })?;
    Ok(Some(parsed))
}

/// Refuses what AWS has and Hearth has not, unless it is asked to be absent.
fn refuse_unavailable(request: &FunctionRequest) -> Result<(), AwsError> {
    let given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let text = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if let Some(vpc) = &request.vpc_config
        && (given(&vpc.subnet_ids) || given(&vpc.security_group_ids))
    {
        return Err(errors::unavailable("VPCs are", "Leave VpcConfig out, or empty."));
    }
    if request.package_type.as_deref() == Some("Image") || has_image_config(request) {
        return Err(errors::unavailable(
            "Functions from container images are",
            "Use PackageType Zip with a deployment package, and no ImageConfig.",
        ));
    }
    if request.dead_letter_config.as_ref().is_some_and(|config| text(&config.target_arn)) {
        return Err(errors::unavailable("Dead-letter queues are", "Leave DeadLetterConfig out."));
    }
    if text(&request.kms_key_arn) {
        return Err(errors::unavailable("Customer-managed keys are", "Leave KMSKeyArn out."));
    }
    if request.tracing_config.as_ref().is_some_and(|t| t.mode.as_deref() == Some("Active")) {
        return Err(errors::unavailable("Active tracing is", "Use TracingConfig PassThrough."));
    }
    if request.file_system_configs.as_ref().is_some_and(|configs| !configs.is_empty()) {
        return Err(errors::unavailable("File systems are", "Leave FileSystemConfigs out."));
    }
    if let Some(logging) = &request.logging_config {
        let levels = text(&logging.application_log_level) || text(&logging.system_log_level);
        if levels || logging.log_format.as_deref() == Some("JSON") {
            return Err(errors::unavailable(
                "The JSON log format, and log levels with it, are",
                "Use LoggingConfig with LogFormat Text.",
            ));
        }
    }
    let others = [
        ("CapacityProviderConfig is", request.capacity_provider_config.is_some()),
        ("DurableConfig is", request.durable_config.is_some()),
        ("TenancyConfig is", request.tenancy_config.is_some()),
        ("PublishTo is", request.publish_to.is_some()),
    ];
    match others.iter().find(|(_, given)| *given) {
        Some((what, _)) => Err(errors::unavailable(what, "Leave it out.")),
        None => Ok(()),
    }
}

fn has_image_config(request: &FunctionRequest) -> bool {
    request.image_config.as_ref().is_some_and(|config| {
        let given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|l| !l.is_empty());
        given(&config.entry_point)
            || given(&config.command)
            || config.working_directory.as_deref().is_some_and(|dir| !dir.is_empty())
    })
}
