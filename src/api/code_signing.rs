//! Code signing: who must have signed what is deployed.
//!
//! Configurations are kept, attached to functions and listed as on AWS. There is no signing service here,
//! so that no package carries a signature of one: `Enforce` refuses every package, as AWS refuses one
//! that nobody allowed has signed, and `Warn` lets every package pass.

use http::StatusCode;
use httpd::AwsError;
use lambda::types;
use lambda::types::{
    AllowedPublishers, CodeSigningPolicies, CreateCodeSigningConfigRequest,
    CreateCodeSigningConfigResponse, DeleteCodeSigningConfigRequest,
    DeleteFunctionCodeSigningConfigRequest, GetCodeSigningConfigRequest,
    GetCodeSigningConfigResponse, GetFunctionCodeSigningConfigRequest,
    GetFunctionCodeSigningConfigResponse, ListCodeSigningConfigsRequest,
    ListCodeSigningConfigsResponse, ListFunctionsByCodeSigningConfigRequest,
    ListFunctionsByCodeSigningConfigResponse, PutFunctionCodeSigningConfigRequest,
    PutFunctionCodeSigningConfigResponse, UpdateCodeSigningConfigRequest,
    UpdateCodeSigningConfigResponse,
};
use model::Home;
use model::settings::{SigningConfig, SigningId, Untrusted};
use store::{ChangeError, Refusal};

use crate::errors;
use crate::listing::{self, Page};
use crate::respond::{Answer, empty, json};
use crate::router::Call;
use crate::server::{Api, now_ms};
use crate::shapes::function_time;

/// CreateCodeSigningConfig.
pub(crate) async fn create(call: &Call<'_>) -> Answer {
    let request: CreateCodeSigningConfigRequest = call.read()?;
    let new = SigningConfig {
        id: SigningId::random(),
        description: request.description,
        publishers: publishers(request.allowed_publishers).unwrap_or_default(),
        untrusted: untrusted(request.code_signing_policies).unwrap_or_default(),
        modified_ms: now_ms(),
        tags: request.tags.unwrap_or_default().0.into_iter().collect(),
    };
    let created = call.api.store.create_signing(new).await;
    let config = created.map_err(|err| errors::refused(err, ""))?;
    let code_signing_config = Some(shape(&call.api.home, &config));
    json(StatusCode::CREATED, &CreateCodeSigningConfigResponse { code_signing_config })
}

/// GetCodeSigningConfig.
pub(crate) fn get(call: &Call<'_>) -> Answer {
    call.read::<GetCodeSigningConfigRequest>()?;
    let snapshot = call.api.store.snapshot();
    let found = id_here(&call.api.home, call.target)
        .and_then(|id| snapshot.settings().signing(&id).cloned())
        .ok_or_else(|| gone(call.target))?;
    let code_signing_config = Some(shape(&call.api.home, &found));
    json(StatusCode::OK, &GetCodeSigningConfigResponse { code_signing_config })
}

/// UpdateCodeSigningConfig: what is not given stays.
pub(crate) async fn update(call: &Call<'_>) -> Answer {
    let request: UpdateCodeSigningConfigRequest = call.read()?;
    let id = id_here(&call.api.home, call.target).ok_or_else(|| gone(call.target))?;
    let change = move |config: &mut SigningConfig| {
        if request.description.is_some() {
            config.description = request.description;
        }
        if let Some(publishers) = publishers(request.allowed_publishers) {
            config.publishers = publishers;
        }
        if let Some(untrusted) = untrusted(request.code_signing_policies) {
            config.untrusted = untrusted;
        }
        config.modified_ms = now_ms();
    };
    let changed = call.api.store.change_signing(&id, change).await;
    let config = changed.map_err(|err| refused(err, call.target))?;
    let code_signing_config = Some(shape(&call.api.home, &config));
    json(StatusCode::OK, &UpdateCodeSigningConfigResponse { code_signing_config })
}

/// DeleteCodeSigningConfig.
pub(crate) async fn delete(call: &Call<'_>) -> Answer {
    call.read::<DeleteCodeSigningConfigRequest>()?;
    let id = id_here(&call.api.home, call.target).ok_or_else(|| gone(call.target))?;
    call.api.store.delete_signing(&id).await.map_err(|err| refused(err, call.target))?;
    empty(StatusCode::NO_CONTENT)
}

/// ListCodeSigningConfigs.
pub(crate) fn list(call: &Call<'_>) -> Answer {
    let request: ListCodeSigningConfigsRequest = call.read()?;
    let page = Page::of(request.marker, request.max_items)?;
    let snapshot = call.api.store.snapshot();
    let all = snapshot.settings().all_signing(page.after.as_deref());
    let name =
        |config: &&_| -> String { AsRef::<SigningConfig>::as_ref(*config).id.as_str().into() };
    let (page, next_marker) = listing::take(all, page.size, name);
    let shapes = page.into_iter().map(|config| shape(&call.api.home, config)).collect();
    let code_signing_configs = Some(shapes);
    json(StatusCode::OK, &ListCodeSigningConfigsResponse { next_marker, code_signing_configs })
}

/// ListFunctionsByCodeSigningConfig.
pub(crate) fn list_functions(call: &Call<'_>) -> Answer {
    let request: ListFunctionsByCodeSigningConfigRequest = call.read()?;
    let page = Page::of(request.marker, request.max_items)?;
    let snapshot = call.api.store.snapshot();
    let id = id_here(&call.api.home, call.target)
        .filter(|id| snapshot.settings().signing(id).is_some())
        .ok_or_else(|| gone(call.target))?;
    let all = snapshot.settings().signed_by(&id, page.after.as_deref());
    let (page, next_marker) = listing::take(all, page.size, |name| name.to_string());
    let function_arns =
        Some(page.into_iter().map(|name| call.api.home.function_arn(name)).collect());
    json(StatusCode::OK, &ListFunctionsByCodeSigningConfigResponse { next_marker, function_arns })
}

/// PutFunctionCodeSigningConfig.
pub(crate) async fn put_of_function(call: &Call<'_>) -> Answer {
    let request: PutFunctionCodeSigningConfigRequest = call.read()?;
    let arn = request.code_signing_config_arn.unwrap_or_default();
    let local = call.meant_unqualified()?;
    let function_arn = local.arn(&call.api.home);
    let snapshot = call.api.store.snapshot();
    let id = id_here(&call.api.home, &arn)
        .filter(|id| snapshot.settings().signing(id).is_some())
        .ok_or_else(|| not_found(&arn))?;
    let function = call.function(&local)?;
    let attach = move |settings: &mut model::settings::Settings| settings.signing = Some(id);
    let changed = call.api.store.change_settings(&function.name, attach).await;
    changed.map_err(|err| match err {
        ChangeError::Refused(Refusal::NoSigning) => not_found(&arn),
        err => errors::refused(err, &function_arn),
    })?;
    let response = PutFunctionCodeSigningConfigResponse {
        code_signing_config_arn: Some(arn),
        function_name: Some(function.name.to_string()),
    };
    json(StatusCode::OK, &response)
}

/// GetFunctionCodeSigningConfig: most functions have none, and Terraform asks all the time.
pub(crate) fn get_of_function(call: &Call<'_>) -> Answer {
    call.read::<GetFunctionCodeSigningConfigRequest>()?;
    let function = call.function(&call.meant_unqualified()?)?;
    let snapshot = call.api.store.snapshot();
    let config = snapshot.settings().signing_of(function.name.as_str());
    let response = GetFunctionCodeSigningConfigResponse {
        code_signing_config_arn: config.map(|config| arn(&call.api.home, &config.id)),
        function_name: Some(function.name.to_string()),
    };
    json(StatusCode::OK, &response)
}

/// DeleteFunctionCodeSigningConfig.
pub(crate) async fn delete_of_function(call: &Call<'_>) -> Answer {
    call.read::<DeleteFunctionCodeSigningConfigRequest>()?;
    let local = call.meant_unqualified()?;
    let function = call.function(&local)?;
    let changed =
        call.api.store.change_settings(&function.name, |settings| settings.signing = None);
    changed.await.map_err(|err| errors::refused(err, &local.arn(&call.api.home)))?;
    empty(StatusCode::NO_CONTENT)
}

/// What CreateFunction is told to have its code signed by; empty is nothing.
///
/// # Errors
/// If it is not there, or would refuse the package that comes with the function.
pub(crate) fn of_new(
    api: &Api,
    arn: Option<&str>,
    function: &str,
) -> Result<Option<SigningId>, AwsError> {
    let Some(arn) = arn.filter(|arn| !arn.is_empty()) else { return Ok(None) };
    let snapshot = api.store.snapshot();
    let config = id_here(&api.home, arn).and_then(|id| snapshot.settings().signing(&id).cloned());
    let config = config.ok_or_else(|| not_found(arn))?;
    admit(&config, function)?;
    Ok(Some(config.id.clone()))
}

/// Whether a function may get the code that comes with a request, which nobody has signed.
///
/// # Errors
/// If it enforces signatures.
pub(crate) fn admit_code(api: &Api, function: &str) -> Result<(), AwsError> {
    match api.store.snapshot().settings().signing_of(function) {
        Some(config) => admit(config, function),
        None => Ok(()),
    }
}

fn admit(config: &SigningConfig, function: &str) -> Result<(), AwsError> {
    match config.untrusted {
        Untrusted::Warn => Ok(()),
        Untrusted::Enforce => Err(AwsError::user(
            StatusCode::BAD_REQUEST,
            "CodeVerificationFailedException",
            format!(
                "Lambda cannot deploy the function. The function or layer might be signed using a \
                 signature that the client is not configured to accept. Check the provided \
                 signature for {function}."
            ),
        )),
    }
}

/// The identifier in an ARN, if it is one of ours.
pub(crate) fn id_here(home: &Home, text: &str) -> Option<SigningId> {
    let id = text.rsplit(':').next().and_then(SigningId::parse)?;
    (arn(home, &id) == text).then_some(id)
}

fn arn(home: &Home, id: &SigningId) -> String {
    let (region, account) = (&home.region, &home.account);
    format!("arn:aws:lambda:{region}:{account}:code-signing-config:{}", id.as_str())
}

fn shape(home: &Home, config: &SigningConfig) -> types::CodeSigningConfig {
    types::CodeSigningConfig {
        code_signing_config_id: Some(config.id.as_str().to_owned()),
        code_signing_config_arn: Some(arn(home, &config.id)),
        description: config.description.clone(),
        allowed_publishers: Some(AllowedPublishers {
            signing_profile_version_arns: Some(config.publishers.clone()),
        }),
        code_signing_policies: Some(CodeSigningPolicies {
            untrusted_artifact_on_deployment: Some(config.untrusted.as_str().to_owned()),
        }),
        last_modified: Some(function_time(config.modified_ms)),
    }
}

fn publishers(given: Option<AllowedPublishers>) -> Option<Vec<String>> {
    given.and_then(|given| given.signing_profile_version_arns)
}

fn untrusted(given: Option<CodeSigningPolicies>) -> Option<Untrusted> {
    Untrusted::parse(given?.untrusted_artifact_on_deployment.as_deref()?)
}

fn refused(err: ChangeError, arn: &str) -> AwsError {
    match err {
        ChangeError::Refused(Refusal::NoSigning) => gone(arn),
        err => errors::refused(err, arn),
    }
}

/// Where a code signing configuration itself is asked for.
fn gone(arn: &str) -> AwsError {
    let message = format!("The Lambda code signing configuration {arn} can not be found.");
    AwsError::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
}

/// Where something else refers to it.
pub(crate) fn not_found(arn: &str) -> AwsError {
    AwsError::user(
        StatusCode::NOT_FOUND,
        "CodeSigningConfigNotFoundException",
        format!(
            "The code signing configuration cannot be found. Check that the provided configuration \
             is not deleted: {arn}."
        ),
    )
}
