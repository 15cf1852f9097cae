//! How asynchronous events are treated: Put-, Update-, Get-, DeleteFunctionEventInvokeConfig,
//! ListFunctionEventInvokeConfigs.
//!
//! A destination is another function of this server. Queues, topics, buckets and buses are not there,
//! and are refused as AWS refuses what is not there.

use std::ops::Bound;

use http::StatusCode;
use httpd::AwsError;
use lambda::types::{
    DeleteFunctionEventInvokeConfigRequest, DestinationConfig, FunctionEventInvokeConfig,
    GetFunctionEventInvokeConfigRequest, ListFunctionEventInvokeConfigsRequest,
    ListFunctionEventInvokeConfigsResponse, OnFailure, OnSuccess,
    PutFunctionEventInvokeConfigRequest, UpdateFunctionEventInvokeConfigRequest,
};
use model::{FunctionName, Qualifier};
use store::{ChangeError, Destinations, EventInvoke, EventInvokeChange, Refusal};

use crate::errors;
use crate::listing::{self, Page};
use crate::respond::{Answer, empty, json};
use crate::router::Call;
use crate::server::now_ms;
use crate::target::Target;

/// What may be configured, as both operations that configure it say it.
struct Asked {
    retries: Option<i64>,
    max_age_s: Option<i64>,
    destinations: Option<DestinationConfig>,
}

/// What a request is about.
struct Subject {
    name: Option<FunctionName>,
    /// `None` if no version or alias could be called so.
    qualifier: Option<Qualifier>,
    /// Qualified.
    arn: String,
}

/// PutFunctionEventInvokeConfig: what was configured before is forgotten.
pub(crate) async fn put(call: &Call<'_>) -> Answer {
    let request: PutFunctionEventInvokeConfigRequest = call.read()?;
    let asked = Asked {
        retries: request.maximum_retry_attempts,
        max_age_s: request.maximum_event_age_in_seconds,
        destinations: request.destination_config,
    };
    configure(call, asked, true).await
}

/// UpdateFunctionEventInvokeConfig: what is not given stays.
pub(crate) async fn update(call: &Call<'_>) -> Answer {
    let request: UpdateFunctionEventInvokeConfigRequest = call.read()?;
    let asked = Asked {
        retries: request.maximum_retry_attempts,
        max_age_s: request.maximum_event_age_in_seconds,
        destinations: request.destination_config,
    };
    configure(call, asked, false).await
}

/// GetFunctionEventInvokeConfig.
pub(crate) fn get(call: &Call<'_>) -> Answer {
    call.read::<GetFunctionEventInvokeConfigRequest>()?;
    let subject = Subject::of(call)?;
    let snapshot = call.api.store.snapshot();
    let function = subject.name.as_ref().and_then(|name| snapshot.function(name.as_str()));
    let qualifier = subject.qualifier.as_ref();
    let configured = function
        .zip(qualifier)
        .and_then(|(function, qualifier)| function.event_invokes.get(qualifier));
    match configured {
        Some(configured) => json(StatusCode::OK, &shape(subject.arn, configured)),
        None => Err(subject.nothing()),
    }
}

/// DeleteFunctionEventInvokeConfig.
pub(crate) async fn delete(call: &Call<'_>) -> Answer {
    call.read::<DeleteFunctionEventInvokeConfigRequest>()?;
    let subject = Subject::of(call)?;
    let (Some(name), Some(qualifier)) = (&subject.name, subject.qualifier.clone()) else {
        return Err(subject.nothing());
    };
    let gone = call.api.store.unconfigure_events(name, qualifier).await;
    gone.map_err(|err| match err {
        ChangeError::Refused(Refusal::NoFunction | Refusal::NoEventInvoke) => subject.nothing(),
        err => errors::refused(err, &subject.arn),
    })?;
    empty(StatusCode::NO_CONTENT)
}

/// ListFunctionEventInvokeConfigs.
pub(crate) fn list(call: &Call<'_>) -> Answer {
    call.read::<ListFunctionEventInvokeConfigsRequest>()?;
    let page = Page::read(&call.query, crate::validate::Violations::default(), 50)?;
    let local = call.meant()?;
    let snapshot = call.api.store.snapshot();
    let function = snapshot.function(local.name).ok_or_else(no_function)?;
    let after = page.after.as_deref().and_then(|marker| Qualifier::parse(marker).ok());
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let rest = function.event_invokes.range((from, Bound::Unbounded));
    let (configs, next_marker) =
        listing::take(rest, page.size, |(qualifier, _)| qualifier.to_string());
    let shape = |(qualifier, configured): (&Qualifier, &EventInvoke)| {
        shape(call.api.home.qualified_arn(&function.name, qualifier), configured)
    };
    let configs = configs.into_iter().map(shape).collect();
    let response = ListFunctionEventInvokeConfigsResponse {
        function_event_invoke_configs: Some(configs),
        next_marker,
    };
    json(StatusCode::OK, &response)
}

async fn configure(call: &Call<'_>, asked: Asked, anew: bool) -> Answer {
    let subject = Subject::of(call)?;
    let Asked { retries, max_age_s, destinations } = asked;
    if retries.is_none() && max_age_s.is_none() && destinations.is_none() {
        return Err(errors::invalid(
            "You must specify at least one of error handling or destination setting.",
        ));
    }
    let (Some(name), Some(qualifier)) = (&subject.name, &subject.qualifier) else {
        return Err(no_function());
    };
    let snapshot = call.api.store.snapshot();
    let there = snapshot.function(name.as_str()).is_some_and(|function| function.has(qualifier));
    if !there {
        return Err(no_function());
    }
    let destinations = destinations.map(|asked| checked(call, name, asked)).transpose()?;
    // The model has looked at them: they fit.
    let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
    let change = EventInvokeChange {
        qualifier: qualifier.clone(),
        anew,
        retries: number(retries),
        max_age_s: number(max_age_s),
        destinations,
        at_ms: now_ms(),
    };
    let configured = call.api.store.configure_events(name, change).await;
    let configured = configured.map_err(|err| match err {
        ChangeError::Refused(Refusal::NoFunction | Refusal::NoVersion) => no_function(),
        ChangeError::Refused(Refusal::NoEventInvoke) => subject.nothing(),
        err => errors::refused(err, &subject.arn),
    })?;
    json(StatusCode::OK, &shape(subject.arn, &configured))
}

/// Who is to be told, if all of them can be.
fn checked(
    call: &Call<'_>,
    own: &FunctionName,
    asked: DestinationConfig,
) -> Result<Destinations, AwsError> {
    let given = |arn: Option<String>| arn.filter(|arn| !arn.is_empty());
    let on_success = given(asked.on_success.and_then(|to| to.destination));
    let on_failure = given(asked.on_failure.and_then(|to| to.destination));
    let mut strange = false;
    for arn in [&on_failure, &on_success].into_iter().flatten() {
        match arn.split(':').nth(2) {
            Some("lambda") => check_function(call, own, arn)?,
            // What this server has not: there can be none of that name.
            Some("sqs" | "sns" | "events" | "s3") => return Err(no_destination(arn)),
            _ => strange = true,
        }
    }
    if strange {
        let part = |kind: &str, arn: &Option<String>| match arn {
            Some(arn) => format!("{kind}(destination={arn})"),
            None => "null".to_owned(),
        };
        return Err(errors::invalid(format!(
            "The provided destination config DestinationConfig(onSuccess={}, onFailure={}) is \
             invalid.",
            part("OnSuccess", &on_success),
            part("OnFailure", &on_failure),
        )));
    }
    Ok(Destinations { on_success, on_failure })
}

/// Whether a function can be told: it is here, and another one.
fn check_function(call: &Call<'_>, own: &FunctionName, arn: &str) -> Result<(), AwsError> {
    let (home, snapshot) = (&call.api.home, call.api.store.snapshot());
    let target = Target::parse(arn).filter(|target| {
        target.region == Some(home.region.as_str()) && target.account == Some(home.account.as_str())
    });
    let function = target.and_then(|target| snapshot.function(target.name).zip(Some(target)));
    let (function, target) = function.ok_or_else(|| no_destination(arn))?;
    let there = match target.qualifier.map(Qualifier::parse) {
        None => true,
        Some(qualifier) => qualifier.is_ok_and(|qualifier| function.has(&qualifier)),
    };
    if !there {
        return Err(no_destination(arn));
    }
    if function.name == *own {
        return Err(errors::invalid("You can't specify the function as a destination for itself."));
    }
    Ok(())
}

fn no_destination(arn: &str) -> AwsError {
    errors::invalid(format!("The destination ARN {arn} is invalid."))
}

fn no_function() -> AwsError {
    errors::not_found("The function doesn't exist.")
}

/// As AWS shows it: who is told is always there, if only as nobody.
fn shape(arn: String, configured: &EventInvoke) -> FunctionEventInvokeConfig {
    let EventInvoke { retries, max_age_s, destinations, modified_ms } = configured;
    let Destinations { on_success, on_failure } = destinations.clone();
    FunctionEventInvokeConfig {
        // Seconds, with milliseconds behind the point; exact in a double for longer than there are
        // computers.
        last_modified: Some(*modified_ms as f64 / 1000.0),
        function_arn: Some(arn),
        maximum_retry_attempts: retries.map(i64::from),
        maximum_event_age_in_seconds: max_age_s.map(i64::from),
        destination_config: Some(DestinationConfig {
            on_success: Some(OnSuccess { destination: on_success }),
            on_failure: Some(OnFailure { destination: on_failure }),
        }),
    }
}

// === impl Subject ===

impl Subject {
    fn of(call: &Call<'_>) -> Result<Self, AwsError> {
        let local = call.meant()?;
        let qualifier = local.parsed_qualifier().ok();
        let text = local.qualifier.unwrap_or("$LATEST");
        Ok(Self {
            name: local.function_name(),
            qualifier: qualifier.map(|qualifier| qualifier.unwrap_or(Qualifier::Latest)),
            arn: format!("{}:{text}", local.unqualified_arn(&call.api.home)),
        })
    }

    fn nothing(&self) -> AwsError {
        errors::not_found(format!("The function {} doesn't have an EventInvokeConfig", self.arn))
    }
}
