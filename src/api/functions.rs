//! Functions: CreateFunction, GetFunction, GetFunctionConfiguration, DeleteFunction, ListFunctions.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use lambda::types::ListFunctionsRequest;
use model::{FunctionName, Qualifier, Version};
use store::{Code, Function, FunctionVersion, NewFunction};

use crate::layers::attach;
use crate::listing::{self, Page};
use crate::requests::{self, FunctionRequest};
use crate::respond::{Answer, empty, json};
use crate::router::Call;
use crate::server::now_ms;
use crate::shapes::{
    Concurrency, FunctionCodeLocation, FunctionConfiguration, GetFunctionResponse,
    ListFunctionsResponse, Shown,
};
use crate::target::{self, Local, Target};
use crate::validate::Violations;
use crate::{activation, code, code_signing, configuration, errors, payload, tags};

/// CreateFunction.
pub(crate) async fn create(call: &Call<'_>) -> Answer {
    let body = call.body.clone();
    let mut request: FunctionRequest =
        payload::heavy(body.len(), move || requests::parse(&body)).await??;
    let mut violations = Violations::default();
    violations.required("functionName", request.function_name.is_some());
    let given = request.function_name.take().unwrap_or_default();
    if !given.is_empty() {
        target::check_name(&mut violations, call.operation, &given);
    }
    violations.required("role", request.role.is_some());
    violations.required("code", request.code.is_some());
    configuration::check(&mut violations, &request);
    tags::check(&mut violations, request.tags.as_ref());
    violations.finish()?;

    let target = Target::parse(&given).ok_or_else(|| errors::function_not_found(&given))?;
    let local = target.here(None, &call.api.home, call.operation)?;
    if local.qualifier.is_some() {
        return Err(errors::unqualified_only());
    }
    let name = FunctionName::parse(local.name).map_err(|_| {
        errors::invalid(format!(
            "1 validation error detected: Value '{}' at 'functionName' failed to satisfy \
             constraint: Member must have length less than or equal to {}",
            local.name,
            FunctionName::MAX
        ))
    })?;
    let arn = local.arn(&call.api.home);
    configuration::check_machine(request.architectures.as_deref())?;
    let mut configuration = configuration::of_new(&request, &call.api.catalogue)?;
    configuration.layers = attach::find(call, request.layers.as_deref())?.flatten();
    // Told before the package is unpacked; the store says so again.
    if call.api.store.snapshot().function(name.as_str()).is_some() {
        return Err(errors::refused(store::Refusal::FunctionExists.into(), &arn));
    }
    let signing = request.code_signing_config_arn.as_deref();
    let signing = code_signing::of_new(call.api, signing, name.as_str())?;
    let mut source = request.code.take().unwrap_or_default();
    if source.image_uri.take().is_some() {
        return Err(errors::unavailable(
            "Functions from container images are",
            "Use PackageType Zip with a deployment package.",
        ));
    }
    let stored = code::take_in(call.api, source).await?;
    let layers = configuration.layers.as_deref();
    let small_enough = attach::check_size(call.api, stored.digest, layers).await;
    small_enough.inspect_err(|_| activation::forget_package(call.api, stored.digest))?;
    let new = NewFunction {
        name,
        code: Code { digest: stored.digest, size: stored.size },
        configuration,
        tags: request.tags.take().unwrap_or_default().0.into_iter().collect(),
        publish: request.publish.unwrap_or(false),
        at_ms: now_ms(),
    };
    let created = call.api.store.create_signed_function(new, signing).await;
    let function = created.map_err(|err| {
        activation::forget_package(call.api, stored.digest);
        errors::refused(err, &arn)
    })?;
    drop(stored);
    activation::begin(call.api, &function);
    // The version that was published with it is shown in its place, under the function's own ARN.
    let shown = function.versions.get(&1).unwrap_or(&function.latest);
    let runtime = call.api.runtime_version_arn(shown.configuration.runtime.as_str());
    let shape =
        FunctionConfiguration::of(&call.api.home, &function, shown, Shown::Created, runtime);
    json(StatusCode::CREATED, &shape)
}

/// GetFunction.
pub(crate) fn get(call: &Call<'_>) -> Answer {
    let local = call.local(call.violations())?;
    let (function, version) = call.version(&local)?;
    let location = call.api.presigner.location(
        call.host().unwrap_or("localhost"),
        &call.api.home.account,
        function.name.as_str(),
        &version.code.digest,
        now_ms() / 1000,
    );
    let tags: BTreeMap<String, String> = (*function.tags).clone();
    let response = GetFunctionResponse {
        configuration: shown_as_asked(call, &local, &function, &version),
        code: FunctionCodeLocation { repository_type: "S3", location },
        tags: Some(tags).filter(|tags| !tags.is_empty()),
        concurrency: function
            .reserved_concurrency
            .map(|reserved| Concurrency { reserved_concurrent_executions: Some(reserved) }),
    };
    json(StatusCode::OK, &response)
}

/// GetFunctionConfiguration.
pub(crate) fn get_configuration(call: &Call<'_>) -> Answer {
    let local = call.local(call.violations())?;
    let (function, version) = call.version(&local)?;
    json(StatusCode::OK, &shown_as_asked(call, &local, &function, &version))
}

/// A version under the ARN by which it was asked for: the alias', if it was one.
fn shown_as_asked(
    call: &Call<'_>,
    local: &Local<'_>,
    function: &Function,
    version: &FunctionVersion,
) -> FunctionConfiguration {
    let shown = if local.qualifier.is_some() { Shown::Qualified } else { Shown::Full };
    let runtime = call.api.runtime_version_arn(version.configuration.runtime.as_str());
    let shape = FunctionConfiguration::of(&call.api.home, function, version, shown, runtime);
    match local.parsed_qualifier() {
        Ok(Some(Qualifier::Alias(_))) => shape.under(local.arn(&call.api.home)),
        _ => shape,
    }
}

/// DeleteFunction: a function with everything, or one version.
pub(crate) async fn delete(call: &Call<'_>) -> Answer {
    let local = call.local(call.violations())?;
    let arn = local.unqualified_arn(&call.api.home);
    let name = local.function_name().ok_or_else(|| errors::function_not_found(&arn))?;
    let refused = |err| errors::refused(err, &arn);
    match local.parsed_qualifier() {
        Ok(None) => {
            let function = call.api.store.delete_function(&name).await.map_err(refused)?;
            activation::end(call.api, &function);
            call.api.events.forget(function.id, &function.name);
        }
        Ok(Some(Qualifier::Latest)) => {
            return Err(errors::invalid(
                "$LATEST version cannot be deleted without deleting the function.",
            ));
        }
        Ok(Some(Qualifier::Version(number))) => {
            let version = call.api.store.delete_version(&name, number).await.map_err(refused)?;
            if let Some(version) = version {
                if let Some(function) = call.api.store.snapshot().function(name.as_str()) {
                    call.api.tell_provisioned(function.id, &name);
                }
                call.api.pool.retire(version.generation);
                for package in version.packages() {
                    activation::forget_package(call.api, package);
                }
            }
        }
        Ok(Some(Qualifier::Alias(_))) | Err(()) => {
            return Err(errors::invalid("Deletion of aliases is not currently supported."));
        }
    }
    empty(StatusCode::NO_CONTENT)
}

/// ListFunctions.
pub(crate) fn list(call: &Call<'_>) -> Answer {
    let request: ListFunctionsRequest = call.read()?;
    let versions = request.function_version;
    let page = Page::of(request.marker, request.max_items)?;
    let snapshot = call.api.store.snapshot();
    let home = &call.api.home;
    let (functions, next_marker) = if versions.is_some() {
        // The marker of a version is `name:version`; the function it belongs to is looked at again.
        let (name, after) = match page.after.as_deref().map(|marker| marker.split_once(':')) {
            Some(Some((name, version))) => (Some(name), version.parse().unwrap_or(0)),
            _ => (None, 0),
        };
        let rest = name.and_then(|name| snapshot.function(name)).into_iter().flat_map(|function| {
            function.versions.range(after + 1..).map(move |(_, version)| (function, version))
        });
        let all = snapshot
            .functions(name)
            .flat_map(|function| function.all_versions().map(move |version| (function, version)));
        let (page, next) = listing::take(rest.chain(all), page.size, |(function, version)| {
            let number = match version.version {
                Version::Latest => 0,
                Version::Number(number) => number,
            };
            format!("{}:{number}", function.name)
        });
        let shape = |(function, version): (&Arc<Function>, &Arc<FunctionVersion>)| {
            let shown = Shown::ListedQualified;
            FunctionConfiguration::of(home, function, version, shown, String::new())
        };
        (page.into_iter().map(shape).collect(), next)
    } else {
        let all = snapshot.functions(page.after.as_deref());
        let (page, next) = listing::take(all, page.size, |function| function.name.to_string());
        let shape = |function: &Arc<Function>| {
            let shown = Shown::Listed;
            FunctionConfiguration::of(home, function, &function.latest, shown, String::new())
        };
        (page.into_iter().map(shape).collect(), next)
    };
    json(StatusCode::OK, &ListFunctionsResponse { next_marker, functions })
}
