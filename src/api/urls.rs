//! Function URLs: CreateFunctionUrlConfig, GetFunctionUrlConfig, UpdateFunctionUrlConfig,
//! DeleteFunctionUrlConfig, ListFunctionUrlConfigs.

use std::sync::Arc;

use http::StatusCode;
use httpd::AwsError;
use lambda::types;
use lambda::types::{
    CreateFunctionUrlConfigRequest, DeleteFunctionUrlConfigRequest, GetFunctionUrlConfigRequest,
    ListFunctionUrlConfigsRequest, UpdateFunctionUrlConfigRequest,
};
use model::name::AliasName;
use model::url::{AuthType, Cors, InvokeMode, UrlConfig};
use store::{ChangeError, Function, NewUrl, Refusal, UrlChange};

use crate::errors;
use crate::listing::{self, Page};
use crate::respond::{Answer, empty, json};
use crate::router::Call;
use crate::server::now_ms;
use crate::shapes::{FunctionUrlConfig, ListUrlsResponse};

/// CreateFunctionUrlConfig.
pub(crate) async fn create(call: &Call<'_>) -> Answer {
    let request: CreateFunctionUrlConfigRequest = call.read()?;
    let (function, alias, arn) = find(call)?;
    let new = NewUrl {
        alias,
        auth: auth(request.auth_type).unwrap_or(AuthType::AwsIam),
        cors: request.cors.map(cors),
        invoke_mode: mode(request.invoke_mode)?,
        at_ms: now_ms(),
    };
    let created = call.api.store.create_url(&function.name, new).await;
    let url = created.map_err(|err| match err {
        ChangeError::Refused(Refusal::NoAlias) => no_function(),
        err => errors::refused(err, &arn),
    })?;
    let shape = FunctionUrlConfig::created(&call.api.home, &call.api.urls, &url);
    json(StatusCode::CREATED, &shape)
}

/// GetFunctionUrlConfig.
pub(crate) fn get(call: &Call<'_>) -> Answer {
    let none = || errors::not_found("The resource you requested does not exist.");
    call.read::<GetFunctionUrlConfigRequest>()?;
    let (function, alias, _) = find(call)
        .map_err(|err| if err.code == "ResourceNotFoundException" { none() } else { err })?;
    let url = function.url(alias.as_ref()).ok_or_else(none)?;
    json(StatusCode::OK, &FunctionUrlConfig::of(&call.api.home, &call.api.urls, url))
}

/// UpdateFunctionUrlConfig.
pub(crate) async fn update(call: &Call<'_>) -> Answer {
    let request: UpdateFunctionUrlConfigRequest = call.read()?;
    let (function, alias, arn) = find(call)?;
    let change = UrlChange {
        auth: auth(request.auth_type),
        cors: request.cors.map(cors),
        invoke_mode: mode(request.invoke_mode)?,
        at_ms: now_ms(),
    };
    let updated = call.api.store.update_url(&function.name, alias, change).await;
    let url = updated.map_err(|err| errors::refused(err, &arn))?;
    json(StatusCode::OK, &FunctionUrlConfig::of(&call.api.home, &call.api.urls, &url))
}

/// DeleteFunctionUrlConfig.
pub(crate) async fn delete(call: &Call<'_>) -> Answer {
    call.read::<DeleteFunctionUrlConfigRequest>()?;
    let (function, alias, arn) = find(call)?;
    let deleted = call.api.store.delete_url(&function.name, alias).await;
    deleted.map_err(|err| errors::refused(err, &arn))?;
    empty(StatusCode::NO_CONTENT)
}

/// ListFunctionUrlConfigs.
pub(crate) fn list(call: &Call<'_>) -> Answer {
    let request: ListFunctionUrlConfigsRequest = call.read()?;
    let page = Page::of(request.marker, request.max_items)?;
    let (function, _, _) = find(call)?;
    let name = |url: &&Arc<UrlConfig>| url.id.to_string();
    let before = page.after.as_deref().map_or(0, |after| {
        // A marker whose URL is gone begins again: a function has a handful of them.
        function.urls.iter().position(|url| url.id.as_str() == after).map_or(0, |at| at + 1)
    });
    let rest = function.urls.iter().skip(before);
    let (urls, next_marker) = listing::take(rest, page.size, name);
    let shape = |url: &Arc<UrlConfig>| FunctionUrlConfig::of(&call.api.home, &call.api.urls, url);
    let function_url_configs = urls.into_iter().map(shape).collect();
    json(StatusCode::OK, &ListUrlsResponse { function_url_configs, next_marker })
}

/// The function whose URL is meant, for which alias, and its ARN as meant.
fn find(call: &Call<'_>) -> Result<(Arc<Function>, Option<AliasName>, String), AwsError> {
    let local = call.meant()?;
    let function =
        call.api.store.snapshot().function(local.name).cloned().ok_or_else(no_function)?;
    let alias = local.qualifier.map(AliasName::parse).transpose().map_err(|_| no_function())?;
    Ok((function, alias, local.arn(&call.api.home)))
}

fn no_function() -> AwsError {
    errors::not_found("Function does not exist")
}

fn auth(given: Option<String>) -> Option<AuthType> {
    given.as_deref().and_then(AuthType::parse)
}

fn mode(given: Option<String>) -> Result<Option<InvokeMode>, AwsError> {
    match given.as_deref().and_then(InvokeMode::parse) {
        Some(InvokeMode::ResponseStream) => Err(errors::unavailable(
            "InvokeMode RESPONSE_STREAM is",
            "Use BUFFERED, or leave InvokeMode out.",
        )),
        mode => Ok(mode),
    }
}

fn cors(given: types::Cors) -> Cors {
    Cors {
        allow_credentials: given.allow_credentials,
        allow_headers: given.allow_headers,
        allow_methods: given.allow_methods,
        allow_origins: given.allow_origins,
        expose_headers: given.expose_headers,
        max_age: given.max_age.and_then(|seconds| u32::try_from(seconds).ok()),
    }
}
