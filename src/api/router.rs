//! The way of every request: who asks, what for, within which limits.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::header::{HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use httpd::{AwsError, BodyError, MessageKey, collect_body};
use lambda::Operation as Lambda;
use lambda::operation::{Input, Labels};
use lambda::shape::{Member, Place};
use model::RequestId;
use serde::de::DeserializeOwned;
use store::{Function, FunctionVersion};

use crate::credentials::{Caller, Gate};
use crate::event_sources;
use crate::operation::{Operation, Route};
use crate::query::Query;
use crate::respond::Answer;
use crate::rules;
use crate::scheduler;
use crate::server::Api;
use crate::target::{self, Local, Target};
use crate::validate::{Text, Violations};
use crate::{
    account, aliases, code, code_signing, concurrency, configuration, download, errors,
    event_invoke, functions, health, invoke, layers, logs, payload, permissions, provisioned,
    settings, streaming, tags, unserved, urls, versions,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// One call of one operation by somebody who may call it.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// What it works with.
    pub(crate) api: &'a Arc<Api>,
    /// What is asked for.
    pub(crate) operation: Operation,
    /// What the path names.
    pub(crate) labels: &'a Labels<'a>,
    /// The first of it: the function or resource.
    pub(crate) target: &'a str,
    /// The statement that the path names.
    pub(crate) statement: &'a str,
    /// What stands behind the `?`.
    pub(crate) query: Query<'a>,
    /// The head.
    pub(crate) headers: &'a HeaderMap,
    /// The body, within the operation's limit.
    pub(crate) body: Bytes,
    /// Names the call, and the invocation if it is one.
    pub(crate) request_id: RequestId,
}

/// The API as a service: give it to [`httpd::Server`].
pub fn router(api: Arc<Api>) -> Router {
    Router::new().fallback(move |request: Request| serve(Arc::clone(&api), request))
}

async fn serve(api: Arc<Api>, request: Request) -> Response<Body> {
    let request_id = RequestId::random();
    let (parts, body) = request.into_parts();
    let answered = match health::answer(&api, &parts) {
        Some(answer) => answer,
        None => answer(&api, &parts, body, request_id).await,
    };
    let mut response = match answered {
        Ok(response) => response,
        Err(err) => err.into_response(&request_id),
    };
    if let Ok(value) = HeaderValue::from_str(request_id.as_str()) {
        response.headers_mut().entry(REQUEST_ID).or_insert(value);
    }
    response
}

async fn answer(api: &Arc<Api>, parts: &Parts, body: Body, request_id: RequestId) -> Answer {
    if download::is_for(parts) {
        return download::serve(api, parts).await;
    }
    let route = Route::parse(&parts.method, parts.uri.path(), parts.uri.query());
    let route = route.told(&parts.headers);
    let answer = operate(api, parts, &route, body, request_id).await;
    match route.operation {
        // Clients of JSON protocols look for the code in the body, and for one spelling.
        Operation::Logs | Operation::Rules => answer.map_err(|err| {
            let code = err.code.clone().into_owned();
            AwsError { key: MessageKey::Lower, ..err }.member("__type", code)
        }),
        Operation::Scheduler(_) => {
            answer.map_err(|err| AwsError { key: MessageKey::Capital, ..err })
        }
        _ => answer,
    }
}

async fn operate(
    api: &Arc<Api>,
    parts: &Parts,
    route: &Route<'_>,
    body: Body,
    request_id: RequestId,
) -> Answer {
    let gate = Gate::approach(api, parts)?;
    let limit = route.operation.body_limit();
    let body = match collect_body(body, limit).await {
        Ok(body) => body,
        Err(err) => return Err(body_refused(&err, route.operation, &parts.headers)),
    };
    let caller = gate.enter(api, &body).await?;
    let call = Call {
        api,
        operation: route.operation,
        labels: &route.labels,
        target: route.labels.first(),
        statement: route.labels.get("StatementId"),
        query: Query::parse(parts.uri.query())?,
        headers: &parts.headers,
        body,
        request_id,
    };
    call.dispatch(&caller).await
}

/// What to answer for a body that was not read.
fn body_refused(err: &BodyError, operation: Operation, headers: &HeaderMap) -> AwsError {
    match err {
        BodyError::TooLarge { .. } if operation.is_invocation() => payload::too_large(headers),
        BodyError::TooLarge { limit } => errors::too_large(format!(
            "Request must be smaller than {} bytes for the {} operation",
            limit + 1,
            operation.name()
        )),
        err => {
            let code = match err {
                BodyError::TooSlow => "RequestTimeoutException",
                BodyError::NoRoom => "ServiceUnavailableException",
                BodyError::TooLarge { .. } | BodyError::Broken { .. } => {
                    "InvalidRequestContentException"
                }
            };
            AwsError::new(err.status(), code, err.to_string())
        }
    }
}

// === impl Call ===

impl Call<'_> {
    /// Does what is asked for. The caller is asked for so that nobody can forget to.
    async fn dispatch(&self, caller: &Caller) -> Answer {
        let signed_for = self.operation.service();
        if caller.service.as_deref().is_some_and(|service| service != signed_for) {
            return Err(AwsError::new(
                StatusCode::FORBIDDEN,
                "InvalidSignatureException",
                format!("Credential should be scoped to correct service: '{signed_for}'. "),
            ));
        }
        match self.operation {
            Operation::Lambda(operation) => self.serve(operation).await,
            Operation::Logs => logs::answer(self).await,
            Operation::Rules => rules::answer(self).await,
            Operation::Scheduler(operation) => scheduler::answer(self, operation).await,
            Operation::Metrics => health::metrics(self.api, &self.query),
            Operation::Unknown => Err(AwsError::unknown_operation()),
        }
    }

    /// Does what is asked for of Lambda.
    async fn serve(&self, operation: Lambda) -> Answer {
        use Lambda as O;
        match operation {
            O::AddLayerVersionPermission => layers::policy::add(self).await,
            O::AddPermission => permissions::add(self).await,
            O::CreateAlias => aliases::create(self).await,
            O::CreateCodeSigningConfig => code_signing::create(self).await,
            O::CreateEventSourceMapping => event_sources::create(self).await,
            O::CreateFunction => functions::create(self).await,
            O::CreateFunctionUrlConfig => urls::create(self).await,
            O::DeleteAlias => aliases::delete(self).await,
            O::DeleteCodeSigningConfig => code_signing::delete(self).await,
            O::DeleteEventSourceMapping => event_sources::delete(self).await,
            O::DeleteFunction => functions::delete(self).await,
            O::DeleteFunctionCodeSigningConfig => code_signing::delete_of_function(self).await,
            O::DeleteFunctionConcurrency => concurrency::delete(self).await,
            O::DeleteFunctionEventInvokeConfig => event_invoke::delete(self).await,
            O::DeleteFunctionUrlConfig => urls::delete(self).await,
            O::DeleteLayerVersion => layers::delete(self).await,
            O::DeleteProvisionedConcurrencyConfig => provisioned::delete(self).await,
            O::GetAccountSettings => account::get(self),
            O::GetAlias => aliases::get(self),
            O::GetCodeSigningConfig => code_signing::get(self),
            O::GetEventSourceMapping => event_sources::get(self),
            O::GetFunction => functions::get(self),
            O::GetFunctionCodeSigningConfig => code_signing::get_of_function(self),
            O::GetFunctionConcurrency => concurrency::get(self),
            O::GetFunctionConfiguration => functions::get_configuration(self),
            O::GetFunctionEventInvokeConfig => event_invoke::get(self),
            O::GetFunctionRecursionConfig => settings::get_recursion(self),
            O::GetFunctionUrlConfig => urls::get(self),
            O::GetLayerVersion => layers::get(self),
            O::GetLayerVersionByArn => layers::get_by_arn(self),
            O::GetLayerVersionPolicy => layers::policy::get(self),
            O::GetPolicy => permissions::get(self),
            O::GetProvisionedConcurrencyConfig => provisioned::get(self),
            O::GetRuntimeManagementConfig => settings::get_runtime(self),
            O::Invoke => invoke::invoke(self).await,
            O::InvokeAsync => invoke::invoke_async(self).await,
            O::InvokeWithResponseStream => streaming::invoke(self).await,
            O::ListAliases => aliases::list(self),
            O::ListCodeSigningConfigs => code_signing::list(self),
            O::ListFunctionEventInvokeConfigs => event_invoke::list(self),
            O::ListEventSourceMappings => event_sources::list(self),
            O::ListFunctionUrlConfigs => urls::list(self),
            O::ListFunctions => functions::list(self),
            O::ListFunctionsByCodeSigningConfig => code_signing::list_functions(self),
            O::ListLayerVersions => layers::list_versions(self),
            O::ListLayers => layers::list(self),
            O::ListProvisionedConcurrencyConfigs => provisioned::list(self),
            O::ListTags => tags::list(self),
            O::ListVersionsByFunction => versions::list(self),
            O::PublishLayerVersion => layers::publish(self).await,
            O::PublishVersion => versions::publish(self).await,
            O::PutFunctionCodeSigningConfig => code_signing::put_of_function(self).await,
            O::PutFunctionConcurrency => concurrency::put(self).await,
            O::PutFunctionEventInvokeConfig => event_invoke::put(self).await,
            O::PutFunctionRecursionConfig => settings::put_recursion(self).await,
            O::PutProvisionedConcurrencyConfig => provisioned::put(self).await,
            O::PutRuntimeManagementConfig => settings::put_runtime(self).await,
            O::RemoveLayerVersionPermission => layers::policy::remove(self).await,
            O::RemovePermission => permissions::remove(self).await,
            O::TagResource => tags::tag(self).await,
            O::UntagResource => tags::untag(self).await,
            O::UpdateAlias => aliases::update(self).await,
            O::UpdateCodeSigningConfig => code_signing::update(self).await,
            O::UpdateEventSourceMapping => event_sources::update(self).await,
            O::UpdateFunctionCode => code::update(self).await,
            O::UpdateFunctionConfiguration => configuration::update(self).await,
            O::UpdateFunctionEventInvokeConfig => event_invoke::update(self).await,
            O::UpdateFunctionUrlConfig => urls::update(self).await,
            other => unserved::answer(self, other),
        }
    }

    /// The request, if nothing about it breaks the model.
    ///
    /// # Errors
    /// In AWS's words: a body that is not JSON, a member of the wrong type, or everything that breaks
    /// the model at once.
    pub(crate) fn read<T: Input + DeserializeOwned>(&self) -> Result<T, AwsError> {
        let headers = self.lines(T::OPERATION);
        self.request(&headers).read().map_err(errors::unreadable)
    }

    /// Whether the request breaks the model of an operation; for operations that have no use for what it
    /// says.
    ///
    /// # Errors
    /// As [`Call::read`].
    pub(crate) fn check(&self, operation: Lambda) -> Result<(), AwsError> {
        let headers = self.lines(operation);
        self.request(&headers).check(operation).map_err(errors::unreadable)
    }

    fn request<'a>(&'a self, headers: &'a [(&'a str, &'a str)]) -> lambda::Request<'a> {
        let (labels, query) = (self.labels, self.query.pairs());
        lambda::Request { labels, query, headers, body: &self.body }
    }

    /// Lines of the head, for the few operations whose requests have members there.
    fn lines(&self, operation: Lambda) -> Vec<(&str, &str)> {
        let in_head = |member: &Member| matches!(member.place, Place::Header(_));
        if !operation.row().input.members().iter().any(in_head) {
            return Vec::new();
        }
        let text = self.headers.iter().map(|(name, value)| (name.as_str(), value.to_str()));
        text.filter_map(|(name, value)| Some((name, value.ok()?))).collect()
    }

    /// What is wrong with name and qualifier, before the body is looked at.
    pub(crate) fn violations(&self) -> Violations {
        let mut violations = Violations::default();
        target::check_name(&mut violations, self.operation, self.target);
        let must = Text { least: 1, most: 128, pattern: self.operation.qualifier() };
        violations.text("qualifier", self.qualifier(), must);
        violations
    }

    /// The qualifier in the query, if the operation takes one.
    pub(crate) fn qualifier(&self) -> Option<&str> {
        self.operation.qualifier().and_then(|_| self.query.get("Qualifier"))
    }

    /// The function that the path names, after everything else about the request's shape.
    ///
    /// # Errors
    /// Every violation of the shape, or a function that is not here.
    pub(crate) fn local(&self, violations: Violations) -> Result<Local<'_>, AwsError> {
        violations.finish()?;
        self.meant()
    }

    /// The function that the path names, of a request that was read.
    ///
    /// # Errors
    /// For a function that is not here.
    pub(crate) fn meant(&self) -> Result<Local<'_>, AwsError> {
        let target =
            Target::parse(self.target).ok_or_else(|| errors::function_not_found(self.target))?;
        target.here(self.qualifier(), &self.api.home, self.operation)
    }

    /// The same for operations on functions, not on their versions.
    ///
    /// # Errors
    /// As [`Call::local`], and for a qualifier.
    pub(crate) fn unqualified(&self, violations: Violations) -> Result<Local<'_>, AwsError> {
        violations.finish()?;
        self.meant_unqualified()
    }

    /// The same, of a request that was read.
    ///
    /// # Errors
    /// As [`Call::meant`], and for a qualifier.
    pub(crate) fn meant_unqualified(&self) -> Result<Local<'_>, AwsError> {
        let local = self.meant()?;
        match local.qualifier {
            None => Ok(local),
            Some(_) => Err(errors::unqualified_only()),
        }
    }

    /// The function that is meant.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn function(&self, local: &Local<'_>) -> Result<Arc<Function>, AwsError> {
        let snapshot = self.api.store.snapshot();
        let function = snapshot.function(local.name).cloned();
        function.ok_or_else(|| errors::function_not_found(&local.arn(&self.api.home)))
    }

    /// The version that is meant.
    ///
    /// # Errors
    /// If there is no such function or version.
    pub(crate) fn version(
        &self,
        local: &Local<'_>,
    ) -> Result<(Arc<Function>, Arc<FunctionVersion>), AwsError> {
        let function = self.function(local)?;
        let version = match local.parsed_qualifier() {
            Ok(qualifier) => function.version(qualifier.as_ref()).cloned(),
            Err(()) => None,
        };
        let none = || errors::function_not_found(&local.arn(&self.api.home));
        let version = version.ok_or_else(none)?;
        Ok((function, version))
    }

    /// What the request calls this server.
    pub(crate) fn host(&self) -> Option<&str> {
        self.headers.get(HOST).and_then(|value| value.to_str().ok())
    }
}
