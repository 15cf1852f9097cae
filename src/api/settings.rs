//! What is said of a function beside its configuration: PutRuntimeManagementConfig,
//! GetRuntimeManagementConfig, PutFunctionRecursionConfig, GetFunctionRecursionConfig.

use http::StatusCode;
use lambda::types::{
    GetFunctionRecursionConfigRequest, GetFunctionRecursionConfigResponse,
    GetRuntimeManagementConfigRequest, GetRuntimeManagementConfigResponse,
    PutFunctionRecursionConfigRequest, PutFunctionRecursionConfigResponse,
    PutRuntimeManagementConfigRequest, PutRuntimeManagementConfigResponse,
};
use model::settings::{RecursiveLoop, RuntimeUpdate, Settings};
use model::{FunctionName, Version};

use crate::errors;
use crate::respond::{Answer, json};
use crate::router::Call;

/// PutRuntimeManagementConfig.
///
/// A server has one version of each runtime. `Manual` is accepted for that one, and every other is
/// refused: nothing could run it.
pub(crate) async fn put_runtime(call: &Call<'_>) -> Answer {
    let request: PutRuntimeManagementConfigRequest = call.read()?;
    let (name, version, arn) = version(call)?;
    let mode = request.update_runtime_on.unwrap_or_default();
    let given = request.runtime_version_arn.filter(|arn| !arn.is_empty());
    if mode != "Manual" && given.is_some() {
        return Err(errors::invalid(format!(
            "RuntimeVersionArn can only be given with UpdateRuntimeOn Manual, not with {mode}."
        )));
    }
    let there = call.api.runtime_version_arn(&version.runtime);
    let update = match given {
        Some(other) if other != there => {
            return Err(errors::unavailable(
                &format!("Runtime version {other} is"),
                &format!("It runs {} with {there}.", version.runtime),
            ));
        }
        given => RuntimeUpdate::parse(&mode, given).ok_or_else(|| {
            errors::invalid("RuntimeVersionArn must be given with UpdateRuntimeOn Manual.")
        })?,
    };
    let response = PutRuntimeManagementConfigResponse {
        update_runtime_on: Some(mode),
        function_arn: Some(arn.clone()),
        runtime_version_arn: update.version_arn().map(str::to_owned),
    };
    let change = move |settings: &mut Settings| match update {
        RuntimeUpdate::Auto => drop(settings.runtime.remove(&version.number)),
        update => drop(settings.runtime.insert(version.number, update)),
    };
    let changed = call.api.store.change_settings(&name, change).await;
    changed.map_err(|err| errors::refused(err, &arn))?;
    json(StatusCode::OK, &response)
}

/// GetRuntimeManagementConfig.
pub(crate) fn get_runtime(call: &Call<'_>) -> Answer {
    call.read::<GetRuntimeManagementConfigRequest>()?;
    let (name, version, arn) = version(call)?;
    let snapshot = call.api.store.snapshot();
    let settings = snapshot.settings().function(name.as_str());
    let update = settings.and_then(|settings| settings.runtime.get(&version.number));
    let update = update.unwrap_or(&RuntimeUpdate::Auto);
    let response = GetRuntimeManagementConfigResponse {
        update_runtime_on: Some(update.as_str().to_owned()),
        function_arn: Some(arn),
        runtime_version_arn: update.version_arn().map(str::to_owned),
    };
    json(StatusCode::OK, &response)
}

/// PutFunctionRecursionConfig.
pub(crate) async fn put_recursion(call: &Call<'_>) -> Answer {
    let request: PutFunctionRecursionConfigRequest = call.read()?;
    let local = call.meant_unqualified()?;
    let function = call.function(&local)?;
    let wanted = request.recursive_loop.as_deref().and_then(RecursiveLoop::parse);
    let wanted = wanted.unwrap_or_default();
    let change = move |settings: &mut Settings| settings.recursion = wanted;
    let changed = call.api.store.change_settings(&function.name, change).await;
    changed.map_err(|err| errors::refused(err, &local.arn(&call.api.home)))?;
    let recursive_loop = Some(wanted.as_str().to_owned());
    json(StatusCode::OK, &PutFunctionRecursionConfigResponse { recursive_loop })
}

/// GetFunctionRecursionConfig.
pub(crate) fn get_recursion(call: &Call<'_>) -> Answer {
    call.read::<GetFunctionRecursionConfigRequest>()?;
    let function = call.function(&call.meant_unqualified()?)?;
    let snapshot = call.api.store.snapshot();
    let settings = snapshot.settings().function(function.name.as_str());
    let recursion = settings.map_or(RecursiveLoop::default(), |settings| settings.recursion);
    let recursive_loop = Some(recursion.as_str().to_owned());
    json(StatusCode::OK, &GetFunctionRecursionConfigResponse { recursive_loop })
}

/// A version whose runtime is meant.
struct Meant {
    /// `$LATEST` or its number.
    number: String,
    runtime: String,
}

/// The function, its version, and the ARN as the caller meant it.
fn version(call: &Call<'_>) -> Result<(FunctionName, Meant, String), httpd::AwsError> {
    let local = call.meant()?;
    let (function, version) = call.version(&local)?;
    let number = match version.version {
        Version::Latest => "$LATEST".to_owned(),
        Version::Number(number) => number.to_string(),
    };
    let meant = Meant { number, runtime: version.configuration.runtime.to_string() };
    Ok((function.name.clone(), meant, local.arn(&call.api.home)))
}
