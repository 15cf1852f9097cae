//! FilterLogEvents and GetLogEvents.

use std::sync::Arc;

use httpd::AwsError;
use serde::{Deserialize, Serialize};
use telemetry::logs::{Direction, Event, FilterPattern, Page, Position, Query, StreamFilter};

use super::{group, invalid, json, limit, parse, read};
use crate::respond::Answer;
use crate::router::Call;

/// Most events of one page (an AWS limit).
const PAGE: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilterRequest {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    filter_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FilterResponse {
    events: Vec<FilteredEvent>,
    /// AWS no longer fills it either.
    searched_log_streams: [(); 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FilteredEvent {
    log_stream_name: String,
    timestamp: u64,
    message: String,
    ingestion_time: u64,
    event_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetRequest {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    next_token: Option<String>,
    limit: Option<i64>,
    start_from_head: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GetResponse {
    events: Vec<OutputEvent>,
    next_forward_token: String,
    next_backward_token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutputEvent {
    timestamp: u64,
    message: String,
    ingestion_time: u64,
}

/// FilterLogEvents.
pub(super) async fn filter(call: &Call<'_>) -> Answer {
    let request: FilterRequest = parse(&call.body)?;
    if request.log_stream_names.is_some() && request.log_stream_name_prefix.is_some() {
        return Err(invalid("logStreamNames and logStreamNamePrefix are mutually exclusive."));
    }
    let limit = limit(request.limit, PAGE)?;
    let group = group(request.log_group_name, request.log_group_identifier)?;
    let pattern = match request.filter_pattern.as_deref() {
        None | Some("") => None,
        Some(text) => Some(FilterPattern::parse(text).map_err(|err| invalid(err.to_string()))?),
    };
    let start = request.next_token.as_deref().map(position).transpose()?;
    let logs = Arc::clone(&call.api.logs);
    let page = read(move || {
        let streams = match (&request.log_stream_names, &request.log_stream_name_prefix) {
            (Some(names), _) => StreamFilter::Names(names),
            (None, Some(prefix)) => StreamFilter::Prefix(prefix),
            (None, None) => StreamFilter::All,
        };
        logs.events(&Query {
            group: &group,
            streams,
            from_ms: time(request.start_time),
            // AWS leaves out what is later than the end; the store leaves out the end, too.
            to_ms: time(request.end_time).map(|end| end.saturating_add(1)),
            start,
            direction: Direction::Forward,
            limit,
            pattern: pattern.as_ref(),
        })
    })
    .await?;
    let next_token = page.more.then(|| page.next.to_string());
    let shape = |event: Event| FilteredEvent {
        log_stream_name: event.stream.to_string(),
        timestamp: event.timestamp_ms,
        message: text(event.message),
        ingestion_time: event.ingestion_ms,
        event_id: event.id.to_string(),
    };
    let events = page.events.into_iter().map(shape).collect();
    json(&FilterResponse { events, searched_log_streams: [], next_token })
}

/// GetLogEvents.
pub(super) async fn get(call: &Call<'_>) -> Answer {
    let request: GetRequest = parse(&call.body)?;
    let limit = limit(request.limit, PAGE)?;
    let group = group(request.log_group_name, request.log_group_identifier)?;
    let Some(stream) = request.log_stream_name else {
        return Err(invalid(
            "1 validation error detected: Value null at 'logStreamName' failed to satisfy \
             constraint: Member must not be null",
        ));
    };
    let (direction, start) = match request.next_token.as_deref() {
        Some(token) => match token.split_once('/') {
            Some(("f", at)) => (Direction::Forward, Some(position(at)?)),
            Some(("b", at)) => (Direction::Backward, Some(position(at)?)),
            _ => return Err(bad_token()),
        },
        None if request.start_from_head == Some(true) => (Direction::Forward, None),
        None => (Direction::Backward, None),
    };
    let logs = Arc::clone(&call.api.logs);
    let page: Page = read(move || {
        logs.events(&Query {
            group: &group,
            streams: StreamFilter::Names(std::slice::from_ref(&stream)),
            from_ms: time(request.start_time),
            to_ms: time(request.end_time),
            start,
            direction,
            limit,
            pattern: None,
        })
    })
    .await?;
    let (forward, backward) = match direction {
        Direction::Forward => (page.next, page.opposite),
        Direction::Backward => (page.opposite, page.next),
    };
    let shape = |event: Event| OutputEvent {
        timestamp: event.timestamp_ms,
        message: text(event.message),
        ingestion_time: event.ingestion_ms,
    };
    json(&GetResponse {
        events: page.events.into_iter().map(shape).collect(),
        next_forward_token: format!("f/{forward}"),
        next_backward_token: format!("b/{backward}"),
    })
}

fn position(token: &str) -> Result<Position, AwsError> {
    Position::parse(token).ok_or_else(bad_token)
}

fn bad_token() -> AwsError {
    invalid("The specified nextToken is invalid.")
}

/// Milliseconds since the epoch; before it nothing was logged.
fn time(given: Option<i64>) -> Option<u64> {
    given.map(|ms| u64::try_from(ms).unwrap_or(0))
}

/// What was printed, as text: bytes that are not UTF-8 are replaced.
fn text(message: Vec<u8>) -> String {
    String::from_utf8(message)
        .unwrap_or_else(|err| String::from_utf8_lossy(err.as_bytes()).into_owned())
}
