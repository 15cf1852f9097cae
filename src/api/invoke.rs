//! Invoke.
//!
//! The path of every call: nothing here is parsed twice, copied, or looked up in a database, and the
//! event is passed on as it came.

use std::sync::Arc;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use httpd::AwsError;
use model::alias::Roll;
use model::{Runnable, Version};
use pool::{Invocation, Outcome, Refusal};
use serde::de::IgnoredAny;
use store::State;

use crate::respond::{Answer, empty};
use crate::router::Call;
use crate::server::now_ms;
use crate::target::Local;
use crate::validate::Violations;
use crate::{asynchronous, errors, payload, snapshots, trace};

const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");
const LOG_TYPE: HeaderName = HeaderName::from_static("x-amz-log-type");
const CLIENT_CONTEXT: HeaderName = HeaderName::from_static("x-amz-client-context");
const DURABLE_EXECUTION: HeaderName = HeaderName::from_static("x-amz-durable-execution-name");
const TENANT: HeaderName = HeaderName::from_static("x-amz-tenant-id");
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
const LOG_RESULT: HeaderName = HeaderName::from_static("x-amz-log-result");
const EXECUTED_VERSION: HeaderName = HeaderName::from_static("x-amz-executed-version");

/// Longest client context, bytes of base64 (an AWS limit).
const MAX_CLIENT_CONTEXT: usize = 3583;

/// How often a function that is updated while it is called is looked up again. An update takes much
/// longer than a look, so that twice in a row is already an accident.
const LOOKS: usize = 4;

/// Calls a function.
pub(crate) async fn invoke(call: &Call<'_>) -> Answer {
    called(call, respond).await
}

/// Calls a function; `respond` makes an answer of what it answered and the trace it belongs to.
pub(crate) async fn called(call: &Call<'_>, respond: fn(Outcome, &str) -> Answer) -> Answer {
    let mut violations = call.violations();
    let asks = Asks::read(call.headers, &mut violations);
    let local = call.local(violations)?;
    asks.refuse_unavailable()?;
    let client_context = client_context(call.headers)?;
    let mut function = resolve(call, &local)?;
    if asks.event {
        return accept(call, &local, &function).await;
    }
    let payload = payload::event(call.body.clone()).await?;
    if asks.dry_run {
        return empty(StatusCode::NO_CONTENT);
    }
    let invoked_arn: Arc<str> = local.arn(&call.api.home).into();
    let trace_id = trace::of(call.headers, now_ms() / 1000);
    for _ in 0..LOOKS {
        let invocation = Invocation {
            function,
            request_id: call.request_id,
            payload: payload.clone(),
            invoked_arn: Arc::clone(&invoked_arn),
            trace_id: Arc::clone(&trace_id),
            client_context: Arc::clone(&client_context),
            log_tail: asks.tail,
        };
        match call.api.pool.invoke(invocation).await {
            Ok(outcome) => return respond(outcome, &trace_id),
            Err(Refusal::Retired) => function = resolve(call, &local)?,
            Err(refusal) => return Err(refused(&refusal)),
        }
    }
    Err(refused(&Refusal::Retired))
}

/// InvokeAsync, which AWS has kept for those who called it before there was Invoke.
pub(crate) async fn invoke_async(call: &Call<'_>) -> Answer {
    let local = call.local(call.violations())?;
    let function = resolve(call, &local)?;
    accept(call, &local, &function).await
}

/// Keeps an event, which is delivered later.
async fn accept(call: &Call<'_>, local: &Local<'_>, function: &Runnable) -> Answer {
    asynchronous::check_length(&call.body)?;
    let payload = payload::event(call.body.clone()).await?;
    let trace_id = trace::of(call.headers, now_ms() / 1000);
    // It was resolved, so that it is one.
    let qualifier = local.parsed_qualifier().ok().flatten();
    asynchronous::accept(call, function, qualifier, payload, trace_id).await
}

/// What the headers ask for.
struct Asks<'a> {
    event: bool,
    dry_run: bool,
    tail: bool,
    /// Something that Hearth has not, and what it is called.
    unavailable: Option<&'a str>,
}

// === impl Asks ===

impl<'a> Asks<'a> {
    fn read(headers: &'a HeaderMap, violations: &mut Violations) -> Self {
        let kind = text(headers, &INVOCATION_TYPE);
        let types = ["Event", "RequestResponse", "DryRun"];
        violations.one_of("invocationType", kind, &types);
        let log = text(headers, &LOG_TYPE);
        violations.one_of("logType", log, &["None", "Tail"]);
        let others = [(&DURABLE_EXECUTION, "Durable executions are"), (&TENANT, "Tenants are")];
        let unavailable = others.iter().find(|(header, _)| headers.contains_key(*header));
        Self {
            event: kind == Some("Event"),
            dry_run: kind == Some("DryRun"),
            tail: log == Some("Tail"),
            unavailable: unavailable.map(|(_, what)| *what),
        }
    }

    fn refuse_unavailable(&self) -> Result<(), AwsError> {
        match self.unavailable {
            Some(what) => Err(errors::unavailable(what, "Leave the header out.")),
            None => Ok(()),
        }
    }
}

/// What serves the version that is meant, now.
fn resolve(call: &Call<'_>, local: &Local<'_>) -> Result<Arc<Runnable>, AwsError> {
    let none = || {
        let arn = local.arn(&call.api.home);
        errors::function_not_found(&match local.qualifier {
            Some(_) => arn,
            None => format!("{arn}:$LATEST"),
        })
    };
    let qualifier = local.parsed_qualifier().map_err(|()| none())?;
    let snapshot = call.api.store.snapshot();
    let version = snapshot
        .resolve(local.name, qualifier.as_ref(), || Roll::of(&call.request_id))
        .ok_or_else(none)?;
    match &version.state {
        State::Active => Ok(Arc::clone(&version.runnable)),
        State::Pending if version.takes_snapshot() => Err(snapshots::not_ready()),
        State::Pending | State::Failed(_) => Err(errors::wrong_state(version.state.name())),
    }
}

fn respond(outcome: Outcome, trace_id: &str) -> Answer {
    let mut response = Response::new(Body::from(outcome.payload));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    say_which(headers, outcome.executed_version, trace_id);
    if let Some(error) = outcome.function_error {
        headers.insert(FUNCTION_ERROR, HeaderValue::from_static(error.as_str()));
    }
    if let Some(tail) = outcome.log_tail
        && let Ok(value) = HeaderValue::from_str(&STANDARD.encode(tail))
    {
        headers.insert(LOG_RESULT, value);
    }
    Ok(response)
}

/// Says which version has answered, and within which trace.
pub(crate) fn say_which(headers: &mut HeaderMap, version: Version, trace_id: &str) {
    headers.insert(
        EXECUTED_VERSION,
        match version {
            Version::Latest => HeaderValue::from_static("$LATEST"),
            Version::Number(number) => HeaderValue::from(number),
        },
    );
    if let Ok(value) = HeaderValue::from_str(trace_id) {
        headers.insert(trace::HEADER, value);
    }
}

fn refused(refusal: &Refusal) -> AwsError {
    match refusal {
        Refusal::Throttled(throttle) => errors::throttled(throttle.reason()),
        Refusal::Retired => errors::conflict(
            "The operation cannot be performed at this time. The function is being updated.",
        ),
        Refusal::StartFailed { detail } => {
            tracing::error!(detail, "no sandbox could be started");
            AwsError::service("No sandbox could be started; the server's log says more.")
        }
        Refusal::Stopping | Refusal::Closed => AwsError::service("The server is stopping."),
    }
}

/// The client context as JSON; empty if there is none.
fn client_context(headers: &HeaderMap) -> Result<Arc<str>, AwsError> {
    let Some(encoded) = headers.get(CLIENT_CONTEXT) else { return Ok(Arc::from("")) };
    if encoded.len() > MAX_CLIENT_CONTEXT {
        return Err(errors::content(format!(
            "Client context must be at most {MAX_CLIENT_CONTEXT} bytes of base64."
        )));
    }
    let decoded = STANDARD.decode(encoded.as_bytes()).ok();
    let json = decoded
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    let refused = || errors::content("Client context must be a valid Base64-encoded JSON object.");
    json.map(Arc::from).ok_or_else(refused)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty())
}
