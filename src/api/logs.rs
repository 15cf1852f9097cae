//! CloudWatch Logs, the half that reads: what `aws logs tail`, `sam logs` and boto3 ask for.
//!
//! JSON 1.1 over `POST /`: the operation is in `X-Amz-Target`, the error's name in the body's
//! `__type`. Groups and streams are made by functions writing to them; there is no operation here
//! that changes anything, and one that is not here is refused by name.
//!
//! The logs are files: every operation blocks on the disk and runs on a thread where it may.

use std::sync::Arc;

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use httpd::AwsError;
use model::{Home, RequestId};
use serde::Deserialize;
use serde_json::{Value, json};
use telemetry::logs::{
    Direction, FilterPattern, LogStore, PatternError, Position, Query, ReadError, StreamFilter,
};

/// Prefix of every operation's `X-Amz-Target`.
const TARGET: &str = "Logs_20140328.";
/// What every answer of this protocol says it is.
const CONTENT: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
/// Most groups or streams of a page (an AWS limit, also the default).
const PAGE: usize = 50;
/// Most events of a page (an AWS limit, also the default).
const EVENTS: usize = 10_000;

/// Reads function logs.
#[derive(Debug, Clone)]
pub struct Logs {
    store: Arc<LogStore>,
    home: Home,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeLogGroups {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    limit: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeLogStreams {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    descending: Option<bool>,
    limit: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilterLogEvents {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    filter_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetLogEvents {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name: String,
    start_time: Option<i64>,
    end_time: Option<i64>,
    next_token: Option<String>,
    limit: Option<usize>,
    start_from_head: Option<bool>,
}

// === impl Logs ===

impl Logs {
    /// Reads from `store`; ARNs are built from `home`.
    pub fn new(store: Arc<LogStore>, home: Home) -> Self {
        Self { store, home }
    }

    /// Whether a request to `/` is meant for this service.
    pub fn is_target(headers: &HeaderMap) -> bool {
        operation(headers).is_some()
    }

    /// Answers one request.
    pub async fn respond(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        request_id: &RequestId,
    ) -> Response<Body> {
        let work = self.clone();
        let operation = operation(headers).unwrap_or_default().to_owned();
        let body = body.to_vec();
        let done = tokio::task::spawn_blocking(move || work.perform(&operation, &body)).await;
        let (status, document) = match done {
            Ok(Ok(document)) => (StatusCode::OK, document),
            Ok(Err(err)) => (err.status, error_document(&err)),
            Err(err) => {
                tracing::error!(%err, "reading logs failed");
                let err = AwsError::service("The service cannot complete the request.");
                (err.status, error_document(&err))
            }
        };
        let mut response = Response::new(Body::from(document.to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, CONTENT);
        if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
            response.headers_mut().insert("x-amzn-requestid", id);
        }
        response
    }

    fn perform(&self, operation: &str, body: &[u8]) -> Result<Value, AwsError> {
        match operation {
            "DescribeLogGroups" => self.describe_groups(&parse(body)?),
            "DescribeLogStreams" => self.describe_streams(&parse(body)?),
            "FilterLogEvents" => self.filter(&parse(body)?),
            "GetLogEvents" => self.get(&parse(body)?),
            _ => Err(refuse("UnknownOperationException", "")),
        }
    }

    fn describe_groups(&self, wanted: &DescribeLogGroups) -> Result<Value, AwsError> {
        let prefix = wanted.log_group_name_prefix.as_deref().unwrap_or_default();
        let part = wanted.log_group_name_pattern.as_deref().unwrap_or_default();
        let groups = self.store.groups(prefix);
        let after = wanted.next_token.as_deref().unwrap_or_default();
        let limit = limit(wanted.limit, PAGE)?;
        let mut page: Vec<_> = groups
            .iter()
            .filter(|group| &*group.name > after && group.name.contains(part))
            .take(limit + 1)
            .collect();
        let more = page.len() > limit;
        page.truncate(limit);
        let shown: Vec<Value> = page
            .iter()
            .map(|group| {
                json!({
                    "logGroupName": &*group.name,
                    "creationTime": group.created_ms,
                    "metricFilterCount": 0,
                    "arn": format!("{}:*", self.arn(&group.name)),
                    "logGroupArn": self.arn(&group.name),
                    "logGroupClass": "STANDARD",
                    "storedBytes": group.stored_bytes,
                })
            })
            .collect();
        let mut answer = json!({ "logGroups": shown });
        if let (true, Some(last)) = (more, page.last()) {
            answer["nextToken"] = (&*last.name).into();
        }
        Ok(answer)
    }

    fn describe_streams(&self, wanted: &DescribeLogStreams) -> Result<Value, AwsError> {
        let group = group_name(&wanted.log_group_name, &wanted.log_group_identifier)?;
        let prefix = wanted.log_stream_name_prefix.as_deref().unwrap_or_default();
        let by_time = match wanted.order_by.as_deref() {
            None | Some("LogStreamName") => false,
            Some("LastEventTime") if prefix.is_empty() => true,
            Some("LastEventTime") => {
                let text = "Cannot order by LastEventTime with a logStreamNamePrefix.";
                return Err(refuse("InvalidParameterException", text));
            }
            Some(other) => {
                let text = format!(
                    "1 validation error detected: Value '{other}' at 'orderBy' failed to satisfy \
                     constraint: Member must satisfy enum value set: [LogStreamName, LastEventTime]"
                );
                return Err(refuse("InvalidParameterException", text));
            }
        };
        let mut streams = self.store.streams(&group, prefix).map_err(unreadable)?;
        if by_time {
            streams.sort_by_key(|stream| stream.last_ms);
        }
        if wanted.descending == Some(true) {
            streams.reverse();
        }
        let start = match &wanted.next_token {
            None => 0,
            Some(token) => token.parse().map_err(|_| bad_token())?,
        };
        let limit = limit(wanted.limit, PAGE)?;
        let shown: Vec<Value> = streams
            .iter()
            .skip(start)
            .take(limit)
            .map(|stream| {
                json!({
                    "logStreamName": stream.name,
                    "creationTime": stream.first_ms,
                    "firstEventTimestamp": stream.first_ms,
                    "lastEventTimestamp": stream.last_ms,
                    "lastIngestionTime": stream.last_ingestion_ms,
                    "arn": format!("{}:log-stream:{}", self.arn(&group), stream.name),
                    "storedBytes": 0,
                })
            })
            .collect();
        let next = start + shown.len();
        let mut answer = json!({ "logStreams": shown });
        if next < streams.len() {
            answer["nextToken"] = next.to_string().into();
        }
        Ok(answer)
    }

    fn filter(&self, wanted: &FilterLogEvents) -> Result<Value, AwsError> {
        let group = group_name(&wanted.log_group_name, &wanted.log_group_identifier)?;
        let pattern = match wanted.filter_pattern.as_deref() {
            None | Some("") => None,
            Some(text) => Some(FilterPattern::parse(text).map_err(bad_pattern)?),
        };
        let streams = match (&wanted.log_stream_names, &wanted.log_stream_name_prefix) {
            (Some(_), Some(_)) => {
                let text = "logStreamNamePrefix and logStreamNames cannot be used together.";
                return Err(refuse("InvalidParameterException", text));
            }
            (Some(names), None) => StreamFilter::Names(names),
            (None, Some(prefix)) => StreamFilter::Prefix(prefix),
            (None, None) => StreamFilter::All,
        };
        let page = self
            .store
            .events(&Query {
                streams,
                from_ms: wanted.start_time.map(time),
                to_ms: wanted.end_time.map(time),
                start: position(wanted.next_token.as_deref())?,
                limit: limit(wanted.limit, EVENTS)?,
                pattern: pattern.as_ref(),
                ..Query::of(&group)
            })
            .map_err(unreadable)?;
        let events: Vec<Value> = page
            .events
            .iter()
            .map(|event| {
                json!({
                    "logStreamName": &*event.stream,
                    "timestamp": event.timestamp_ms,
                    "message": text(&event.message),
                    "ingestionTime": event.ingestion_ms,
                    "eventId": event.id.to_string(),
                })
            })
            .collect();
        let mut answer = json!({ "events": events, "searchedLogStreams": [] });
        if page.more {
            answer["nextToken"] = page.next.to_string().into();
        }
        Ok(answer)
    }

    fn get(&self, wanted: &GetLogEvents) -> Result<Value, AwsError> {
        let group = group_name(&wanted.log_group_name, &wanted.log_group_identifier)?;
        let names = [wanted.log_stream_name.clone()];
        let known = self.store.streams(&group, &names[0]).map_err(unreadable)?;
        if !known.iter().any(|stream| stream.name == names[0]) {
            let text = "The specified log stream does not exist.";
            return Err(refuse("ResourceNotFoundException", text));
        }
        // A token says where it continues and which way: `f/…` towards the newest, `b/…` back.
        let (direction, start) = match wanted.next_token.as_deref() {
            Some(token) => match token.split_once('/') {
                Some(("f", at)) => (Direction::Forward, position(Some(at))?),
                Some(("b", at)) => (Direction::Backward, position(Some(at))?),
                _ => return Err(bad_token()),
            },
            None if wanted.start_from_head == Some(true) => (Direction::Forward, None),
            None => (Direction::Backward, None),
        };
        let page = self
            .store
            .events(&Query {
                streams: StreamFilter::Names(&names),
                from_ms: wanted.start_time.map(time),
                to_ms: wanted.end_time.map(time),
                start,
                direction,
                limit: limit(wanted.limit, EVENTS)?,
                ..Query::of(&group)
            })
            .map_err(unreadable)?;
        let events: Vec<Value> = page
            .events
            .iter()
            .map(|event| {
                json!({
                    "timestamp": event.timestamp_ms,
                    "message": text(&event.message),
                    "ingestionTime": event.ingestion_ms,
                })
            })
            .collect();
        let (forward, backward) = match direction {
            Direction::Forward => (page.next, page.opposite),
            Direction::Backward => (page.opposite, page.next),
        };
        Ok(json!({
            "events": events,
            "nextForwardToken": format!("f/{forward}"),
            "nextBackwardToken": format!("b/{backward}"),
        }))
    }

    fn arn(&self, group: &str) -> String {
        format!("arn:aws:logs:{}:{}:log-group:{group}", self.home.region, self.home.account)
    }
}

fn operation(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-amz-target")?.to_str().ok()?.strip_prefix(TARGET)
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, AwsError> {
    serde_json::from_slice(body)
        .map_err(|err| refuse("SerializationException", format!("The request is not valid: {err}")))
}

fn group_name(name: &Option<String>, identifier: &Option<String>) -> Result<String, AwsError> {
    match (name, identifier) {
        (Some(name), None) => Ok(name.clone()),
        // An ARN: the name follows `log-group:`, and may be followed by `:*`.
        (None, Some(identifier)) => {
            let name = identifier.rsplit_once("log-group:").map_or(&**identifier, |(_, name)| name);
            Ok(name.trim_end_matches(":*").to_owned())
        }
        (Some(_), Some(_)) => {
            let text = "LogGroup name and LogGroup ARN are mutually exclusive parameters.";
            Err(refuse("ValidationException", text))
        }
        (None, None) => {
            let text = "At least one of logGroupName or logGroupIdentifier must be given.";
            Err(refuse("InvalidParameterException", text))
        }
    }
}

fn limit(given: Option<usize>, most: usize) -> Result<usize, AwsError> {
    match given {
        None => Ok(most),
        Some(given) if (1..=most).contains(&given) => Ok(given),
        Some(given) => {
            let (bound, side) = if given == 0 { (1, "greater") } else { (most, "less") };
            let text = format!(
                "1 validation error detected: Value '{given}' at 'limit' failed to satisfy \
                 constraint: Member must have value {side} than or equal to {bound}"
            );
            Err(refuse("InvalidParameterException", text))
        }
    }
}

fn position(token: Option<&str>) -> Result<Option<Position>, AwsError> {
    token.map(|token| Position::parse(token).ok_or_else(bad_token)).transpose()
}

/// Times before the epoch name no event there could be.
fn time(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or_default()
}

fn text(message: &[u8]) -> String {
    String::from_utf8_lossy(message.strip_suffix(b"\n").unwrap_or(message)).into_owned()
}

fn bad_token() -> AwsError {
    refuse("InvalidParameterException", "The specified nextToken is invalid.")
}

fn bad_pattern(err: PatternError) -> AwsError {
    refuse("InvalidParameterException", format!("Invalid filter pattern: {err}"))
}

fn unreadable(err: ReadError) -> AwsError {
    match err {
        ReadError::NoGroup { .. } => {
            refuse("ResourceNotFoundException", "The specified log group does not exist.")
        }
        err => {
            tracing::error!(%err, "logs cannot be read");
            AwsError::service("The service cannot complete the request.")
        }
    }
}

/// This protocol answers everything that is the caller's fault with 400.
fn refuse(code: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> AwsError {
    AwsError::new(StatusCode::BAD_REQUEST, code, message)
}

fn error_document(err: &AwsError) -> Value {
    json!({ "__type": err.code, "message": err.message })
}

#[cfg(test)]
mod tests;
