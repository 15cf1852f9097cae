//! Function URLs: CreateFunctionUrlConfig, GetFunctionUrlConfig, UpdateFunctionUrlConfig,
//! DeleteFunctionUrlConfig, ListFunctionUrlConfigs.

use std::sync::Arc;

use http::StatusCode;
use httpd::AwsError;
use model::name::AliasName;
use model::url::{AuthType, Cors, InvokeMode, UrlConfig};
use store::{ChangeError, Function, NewUrl, Refusal, UrlChange};

use crate::errors;
use crate::listing::{self, Page};
use crate::requests::{self, CorsRequest, UrlRequest};
use crate::respond::{Answer, empty, json};
use crate::router::Call;
use crate::server::now_ms;
use crate::shapes::{FunctionUrlConfig, ListUrlsResponse};
use crate::validate::{Text, Violations};

/// Longest that a browser may remember what it was told, seconds: a day (an AWS limit).
const MAX_AGE: i64 = 86_400;

/// CreateFunctionUrlConfig.
pub(crate) async fn create(call: &Call<'_>) -> Answer {
    let request: UrlRequest = requests::parse(&call.body)?;
    let mut violations = call.violations();
    violations.required("authType", request.auth_type.is_some());
    check(&mut violations, &request);
    let (function, alias, arn) = find(call, violations)?;
    let new = NewUrl {
        alias,
        auth: auth(&request).unwrap_or(AuthType::AwsIam),
        cors: request.cors.as_ref().map(cors),
        invoke_mode: mode(&request)?,
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
    let (function, alias, _) = find(call, call.violations())
        .map_err(|err| if err.code == "ResourceNotFoundException" { none() } else { err })?;
    let url = function.url(alias.as_ref()).ok_or_else(none)?;
    json(StatusCode::OK, &FunctionUrlConfig::of(&call.api.home, &call.api.urls, url))
}

/// UpdateFunctionUrlConfig.
pub(crate) async fn update(call: &Call<'_>) -> Answer {
    let request: UrlRequest = requests::parse(&call.body)?;
    let mut violations = call.violations();
    check(&mut violations, &request);
    let (function, alias, arn) = find(call, violations)?;
    let change = UrlChange {
        auth: auth(&request),
        cors: request.cors.as_ref().map(cors),
        invoke_mode: mode(&request)?,
        at_ms: now_ms(),
    };
    let updated = call.api.store.update_url(&function.name, alias, change).await;
    let url = updated.map_err(|err| errors::refused(err, &arn))?;
    json(StatusCode::OK, &FunctionUrlConfig::of(&call.api.home, &call.api.urls, &url))
}

/// DeleteFunctionUrlConfig.
pub(crate) async fn delete(call: &Call<'_>) -> Answer {
    let (function, alias, arn) = find(call, call.violations())?;
    let deleted = call.api.store.delete_url(&function.name, alias).await;
    deleted.map_err(|err| errors::refused(err, &arn))?;
    empty(StatusCode::NO_CONTENT)
}

/// ListFunctionUrlConfigs.
pub(crate) fn list(call: &Call<'_>) -> Answer {
    let page = Page::read(&call.query, call.violations(), 50)?;
    let (function, _, _) = find(call, Violations::default())?;
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
fn find(
    call: &Call<'_>,
    violations: Violations,
) -> Result<(Arc<Function>, Option<AliasName>, String), AwsError> {
    let local = call.local(violations)?;
    let function =
        call.api.store.snapshot().function(local.name).cloned().ok_or_else(no_function)?;
    let alias = local.qualifier.map(AliasName::parse).transpose().map_err(|_| no_function())?;
    Ok((function, alias, local.arn(&call.api.home)))
}

fn no_function() -> AwsError {
    errors::not_found("Function does not exist")
}

fn check(violations: &mut Violations, request: &UrlRequest) {
    violations.one_of("authType", request.auth_type.as_deref(), &["NONE", "AWS_IAM"]);
    if let Some(cors) = &request.cors {
        let headers = Text { least: 0, most: 1024, pattern: None };
        let methods = Text { least: 0, most: 6, pattern: None };
        let origins = Text { least: 1, most: 253, pattern: None };
        let lists = [
            ("cors.allowHeaders", &cors.allow_headers, 100, headers),
            ("cors.allowMethods", &cors.allow_methods, 6, methods),
            ("cors.allowOrigins", &cors.allow_origins, 100, origins),
            ("cors.exposeHeaders", &cors.expose_headers, 100, headers),
        ];
        for (at, list, most, must) in lists {
            violations.count(at, list.as_deref(), 0, most);
            violations.each_text(at, list.as_deref(), must);
        }
        violations.number("cors.maxAge", cors.max_age, 0, Some(MAX_AGE));
    }
    // AWS prints this set in this order.
    let modes = ["RESPONSE_STREAM", "BUFFERED"];
    violations.one_of("invokeMode", request.invoke_mode.as_deref(), &modes);
}

fn auth(request: &UrlRequest) -> Option<AuthType> {
    request.auth_type.as_deref().and_then(AuthType::parse)
}

fn mode(request: &UrlRequest) -> Result<Option<InvokeMode>, AwsError> {
    match request.invoke_mode.as_deref().and_then(InvokeMode::parse) {
        Some(InvokeMode::ResponseStream) => Err(errors::unavailable(
            "InvokeMode RESPONSE_STREAM is",
            "Use BUFFERED, or leave InvokeMode out.",
        )),
        mode => Ok(mode),
    }
}

fn cors(request: &CorsRequest) -> Cors {
    Cors {
        allow_credentials: request.allow_credentials,
        allow_headers: request.allow_headers.clone(),
        allow_methods: request.allow_methods.clone(),
        allow_origins: request.allow_origins.clone(),
        expose_headers: request.expose_headers.clone(),
        max_age: request.max_age.and_then(|seconds| u32::try_from(seconds).ok()),
    }
}
