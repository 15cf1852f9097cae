//! Event source mappings: Create-, Get-, Update-, Delete-, ListEventSourceMapping(s).
//!
//! What functions read from (queues, streams, tables) plugs in as an [`EventSource`], which keeps the
//! mappings from it, with their states, and reads on their behalf. Here is what is the same for all:
//! what a request may say, and what is answered for a source that nobody has. None is here yet, so that
//! creating a mapping comes to AWS's words for a queue or a stream that does not exist.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use http::StatusCode;
use httpd::AwsError;
use lambda::types::{
    CreateEventSourceMappingRequest, DeleteEventSourceMappingRequest,
    EventSourceMappingConfiguration, FilterCriteria, GetEventSourceMappingRequest,
    ListEventSourceMappingsRequest, ListEventSourceMappingsResponse,
    UpdateEventSourceMappingRequest,
};
use serde_json::Value;

use crate::errors;
use crate::listing::{self, Page};
use crate::respond::{Answer, json};
use crate::router::Call;
use crate::target::Target;

/// A mapping, once it is made or changed.
pub type Mapped<'a> =
    Pin<Box<dyn Future<Output = Result<EventSourceMappingConfiguration, AwsError>> + Send + 'a>>;

/// A service whose records functions are called with.
pub trait EventSource: Send + Sync {
    /// What ARNs of it have in the third place: `sqs` and the like.
    fn service(&self) -> &'static str;

    /// Makes a mapping to the function of an ARN; what the request says has been looked at.
    fn create(&self, request: CreateEventSourceMappingRequest, function: String) -> Mapped<'_>;

    /// Every mapping, by its identifier, as it is now.
    fn mappings(&self) -> BTreeMap<String, EventSourceMappingConfiguration>;

    /// Changes one of its mappings.
    fn update(&self, id: String, request: UpdateEventSourceMappingRequest) -> Mapped<'_>;

    /// Ends one of its mappings; gives it back as it is while it ends.
    fn delete(&self, id: String) -> Mapped<'_>;
}

/// Records of a queue that are delivered at once without a wait for more (an AWS limit).
const AT_ONCE: i64 = 10;

/// CreateEventSourceMapping.
pub(crate) async fn create(call: &Call<'_>) -> Answer {
    let request: CreateEventSourceMappingRequest = call.read()?;
    let Some(arn) = request.event_source_arn.clone() else {
        return Err(without_arn(&request));
    };
    let service = service_of(&arn);
    check(service, &arn, &request)?;
    let function = function(call, request.function_name.as_deref().unwrap_or_default())?;
    let source = call.api.sources.iter().find(|source| Some(source.service()) == service);
    let source = source.ok_or_else(|| nobody_s(service, &arn))?;
    json(StatusCode::ACCEPTED, &source.create(request, function).await?)
}

/// GetEventSourceMapping.
pub(crate) fn get(call: &Call<'_>) -> Answer {
    call.read::<GetEventSourceMappingRequest>()?;
    let (_, mapping) = find(call)?;
    json(StatusCode::OK, &mapping)
}

/// UpdateEventSourceMapping.
pub(crate) async fn update(call: &Call<'_>) -> Answer {
    let mut request: UpdateEventSourceMappingRequest = call.read()?;
    filters(request.filter_criteria.as_ref())?;
    let (source, _) = find(call)?;
    if let Some(name) = &request.function_name {
        request.function_name = Some(function(call, name)?);
    }
    let id = call.labels.get("UUID").to_owned();
    json(StatusCode::ACCEPTED, &source.update(id, request).await?)
}

/// DeleteEventSourceMapping.
pub(crate) async fn delete(call: &Call<'_>) -> Answer {
    call.read::<DeleteEventSourceMappingRequest>()?;
    let (source, _) = find(call)?;
    let id = call.labels.get("UUID").to_owned();
    json(StatusCode::ACCEPTED, &source.delete(id).await?)
}

/// ListEventSourceMappings.
pub(crate) fn list(call: &Call<'_>) -> Answer {
    let request: ListEventSourceMappingsRequest = call.read()?;
    let function = request.function_name.as_deref().map(|name| full_arn(call, name)).transpose()?;
    let page = Page::of(request.marker, request.max_items)?;
    let sources = call.api.sources.iter();
    let all: BTreeMap<String, EventSourceMappingConfiguration> =
        sources.flat_map(|source| source.mappings()).collect();
    let asked = |mapping: &EventSourceMappingConfiguration| {
        (function.is_none() || mapping.function_arn == function)
            && (request.event_source_arn.is_none()
                || mapping.event_source_arn == request.event_source_arn)
    };
    let rest = all.into_iter().filter(|(id, mapping)| {
        page.after.as_deref().is_none_or(|after| id.as_str() > after) && asked(mapping)
    });
    let (mappings, next_marker) = listing::take(rest, page.size, |(id, _)| id.clone());
    let event_source_mappings = Some(mappings.into_iter().map(|(_, mapping)| mapping).collect());
    json(StatusCode::OK, &ListEventSourceMappingsResponse { next_marker, event_source_mappings })
}

/// The mapping that the path names, and whose it is.
fn find<'a>(
    call: &'a Call<'_>,
) -> Result<(&'a dyn EventSource, EventSourceMappingConfiguration), AwsError> {
    let id = call.labels.get("UUID");
    let mut sources = call.api.sources.iter();
    let found = sources.find_map(|source| Some((&**source, source.mappings().remove(id)?)));
    found.ok_or_else(|| errors::not_found("The resource you requested does not exist."))
}

/// The service in an ARN.
fn service_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(2)
}

/// What to answer for a request that names no source by an ARN.
fn without_arn(request: &CreateEventSourceMappingRequest) -> AwsError {
    match (&request.self_managed_event_source, &request.source_access_configurations) {
        (None, _) => errors::invalid("Unrecognized event source."),
        (Some(_), None) => {
            errors::invalid("Required 'sourceAccessConfigurations' parameter is missing.")
        }
        (Some(_), Some(_)) => errors::unavailable(
            "Self-managed event sources are",
            "Functions have no network yet, and nothing reads on their behalf.",
        ),
    }
}

/// What AWS says of a source that is not there.
fn nobody_s(service: Option<&str>, arn: &str) -> AwsError {
    match service {
        Some("sqs") => errors::invalid(
            "Error occurred while ReceiveMessage. SQS Error Code: \
             AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does \
             not exist.",
        ),
        Some("kinesis" | "dynamodb") => errors::invalid(format!("Stream not found: {arn}")),
        Some("kafka" | "mq" | "rds") => errors::unavailable(
            &format!("The event source {arn} is"),
            "Functions have no network yet, and nothing reads on their behalf.",
        ),
        _ => errors::invalid("Unrecognized event source."),
    }
}

/// What AWS asks of a request, beside its shape, for the kind of source it names.
fn check(
    service: Option<&str>,
    arn: &str,
    request: &CreateEventSourceMappingRequest,
) -> Result<(), AwsError> {
    match service {
        Some("sqs") => {
            let window = request.maximum_batching_window_in_seconds.unwrap_or(0);
            if request.batch_size.is_some_and(|size| size > AT_ONCE) && window == 0 {
                return Err(errors::invalid(
                    "Maximum batch window in seconds must be greater than 0 if maximum batch size \
                     is greater than 10",
                ));
            }
            if request.destination_config.is_some() {
                return Err(errors::invalid(
                    "Unsupported DestinationConfig parameter for given event source mapping type.",
                ));
            }
        }
        Some(service @ ("kinesis" | "dynamodb")) => match request.starting_position.as_deref() {
            None => {
                return Err(errors::invalid(
                    "1 validation error detected: Value null at 'startingPosition' failed to \
                     satisfy constraint: Member must not be null.",
                ));
            }
            Some("AT_TIMESTAMP") if service == "dynamodb" => {
                return Err(errors::invalid(format!(
                    "Unsupported starting position for arn type: {arn}"
                )));
            }
            Some(_) => {}
        },
        _ => {}
    }
    filters(request.filter_criteria.as_ref())
}

/// Whether every filter is one: an object whose leaves are lists.
fn filters(criteria: Option<&FilterCriteria>) -> Result<(), AwsError> {
    let all = criteria.and_then(|criteria| criteria.filters.as_ref()).into_iter().flatten();
    let mut patterns = all.filter_map(|filter| filter.pattern.as_deref());
    let is_pattern = |text: &str| match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(members)) => members.values().all(is_condition),
        _ => false,
    };
    match patterns.all(is_pattern) {
        true => Ok(()),
        false => Err(errors::invalid("Invalid filter pattern definition.")),
    }
}

fn is_condition(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().all(is_condition),
        Value::Array(values) => !values.is_empty(),
        _ => false,
    }
}

/// The ARN of a function that is here.
fn function(call: &Call<'_>, name: &str) -> Result<String, AwsError> {
    let arn = full_arn(call, name)?;
    let there = Target::parse(name).is_some_and(|target| {
        let snapshot = call.api.store.snapshot();
        let qualifier = target.qualifier.map(model::Qualifier::parse).transpose();
        let function = snapshot.function(target.name);
        function.zip(qualifier.ok()).is_some_and(|(function, qualifier)| {
            qualifier.is_none_or(|qualifier| function.has(&qualifier))
        })
    });
    if there { Ok(arn) } else { Err(errors::invalid("Function does not exist")) }
}

/// The ARN of whatever form of name, in this account and region.
fn full_arn(call: &Call<'_>, name: &str) -> Result<String, AwsError> {
    let none = || errors::invalid("Function does not exist");
    let target = Target::parse(name).ok_or_else(none)?;
    Ok(target.here(None, &call.api.home, call.operation)?.arn(&call.api.home))
}
