//! DescribeLogGroups and DescribeLogStreams.

use std::sync::Arc;

use httpd::AwsError;
use serde::{Deserialize, Serialize};
use telemetry::logs::{Group, Stream};

use super::{group, invalid, json, limit, parse, read};
use crate::respond::Answer;
use crate::router::Call;

/// Most groups or streams of one page (an AWS limit).
const PAGE: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupsRequest {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupsResponse {
    log_groups: Vec<LogGroup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogGroup {
    log_group_name: String,
    creation_time: u64,
    metric_filter_count: u32,
    arn: String,
    stored_bytes: u64,
    log_group_class: &'static str,
    log_group_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamsRequest {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    descending: Option<bool>,
    next_token: Option<String>,
    limit: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StreamsResponse {
    log_streams: Vec<LogStream>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogStream {
    log_stream_name: String,
    creation_time: u64,
    first_event_timestamp: u64,
    last_event_timestamp: u64,
    last_ingestion_time: u64,
    arn: String,
    stored_bytes: u64,
}

/// DescribeLogGroups.
pub(super) async fn groups(call: &Call<'_>) -> Answer {
    let request: GroupsRequest = parse(&call.body)?;
    if request.log_group_name_prefix.is_some() && request.log_group_name_pattern.is_some() {
        return Err(invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    let size = limit(request.limit, PAGE)?;
    let logs = Arc::clone(&call.api.logs);
    let prefix = request.log_group_name_prefix.unwrap_or_default();
    let mut all = read(move || Ok(logs.groups(&prefix))).await?;
    if let Some(pattern) = &request.log_group_name_pattern {
        all.retain(|group| group.name.contains(pattern.as_str()));
    }
    let (page, next_token) = page(all, size, request.next_token.as_deref())?;
    let shape = |group: Group| {
        let home = &call.api.home;
        let arn = format!("arn:aws:logs:{}:{}:log-group:{}", home.region, home.account, group.name);
        LogGroup {
            log_group_name: group.name.to_string(),
            creation_time: group.created_ms,
            metric_filter_count: 0,
            arn: format!("{arn}:*"),
            stored_bytes: group.stored_bytes,
            log_group_class: "STANDARD",
            log_group_arn: arn,
        }
    };
    json(&GroupsResponse { log_groups: page.into_iter().map(shape).collect(), next_token })
}

/// DescribeLogStreams.
pub(super) async fn streams(call: &Call<'_>) -> Answer {
    let request: StreamsRequest = parse(&call.body)?;
    let by_time = match request.order_by.as_deref() {
        None | Some("LogStreamName") => false,
        Some("LastEventTime") => true,
        Some(other) => {
            return Err(invalid(format!(
                "1 validation error detected: Value '{other}' at 'orderBy' failed to satisfy \
                 constraint: Member must satisfy enum value set: [LogStreamName, LastEventTime]"
            )));
        }
    };
    if by_time && request.log_stream_name_prefix.is_some() {
        return Err(invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let size = limit(request.limit, PAGE)?;
    let group = group(request.log_group_name, request.log_group_identifier)?;
    let (logs, of) = (Arc::clone(&call.api.logs), group.clone());
    let prefix = request.log_stream_name_prefix.unwrap_or_default();
    let mut all = read(move || logs.streams(&of, &prefix)).await?;
    if by_time {
        all.sort_by_key(|stream| stream.last_ms);
    }
    if request.descending == Some(true) {
        all.reverse();
    }
    let (page, next_token) = page(all, size, request.next_token.as_deref())?;
    let shape = |stream: Stream| {
        let home = &call.api.home;
        LogStream {
            arn: format!(
                "arn:aws:logs:{}:{}:log-group:{group}:log-stream:{}",
                home.region, home.account, stream.name
            ),
            log_stream_name: stream.name,
            creation_time: stream.first_ms,
            first_event_timestamp: stream.first_ms,
            last_event_timestamp: stream.last_ms,
            last_ingestion_time: stream.last_ingestion_ms,
            // AWS, too, has said 0 for every stream since 2019.
            stored_bytes: 0,
        }
    };
    json(&StreamsResponse { log_streams: page.into_iter().map(shape).collect(), next_token })
}

/// A page of a list that is at hand; a token says how many entries came before it.
fn page<T>(
    all: Vec<T>,
    size: usize,
    token: Option<&str>,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    let before: usize = match token {
        None => 0,
        Some(token) => token.parse().map_err(|_| invalid("The specified nextToken is invalid."))?,
    };
    let end = before.saturating_add(size);
    let next = (all.len() > end).then(|| end.to_string());
    Ok((all.into_iter().skip(before).take(size).collect(), next))
}
