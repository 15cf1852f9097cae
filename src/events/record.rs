//! What a destination is told: AWS's invocation record, version 1.0.
//!
//! Event and answer stand in it as they were, byte for byte, if they are JSON; an answer that is none
//! (a custom runtime may give any bytes) stands in it as a text. An event that never got as far as
//! its function has no answer, and its record no members for one.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use store::events::QueuedEvent;

use crate::functions::Answer;
use crate::policy::Condition;

/// The record.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    version: &'static str,
    timestamp: String,
    request_context: RequestContext<'a>,
    request_payload: Payload,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_context: Option<ResponseContext>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_payload: Option<Payload>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    request_id: &'a str,
    function_arn: &'a str,
    condition: &'static str,
    approximate_invoke_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext {
    /// Of the invocation, which succeeded even where the function failed.
    status_code: u16,
    executed_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_error: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Payload {
    Json(Box<RawValue>),
    Text(String),
}

/// The record of an event that is over; `attempts` is how often the function has answered it.
pub(crate) fn write(
    event: &QueuedEvent,
    arn: &str,
    condition: Condition,
    attempts: u32,
    payload: &Bytes,
    answer: Option<&Answer>,
    now_ms: u64,
) -> Result<Bytes, serde_json::Error> {
    let record = Record {
        version: "1.0",
        timestamp: timestamp(now_ms),
        request_context: RequestContext {
            request_id: event.id.as_str(),
            function_arn: arn,
            condition: condition.as_str(),
            approximate_invoke_count: attempts,
        },
        request_payload: Payload::of(payload),
        response_context: answer.map(|answer| ResponseContext {
            status_code: 200,
            executed_version: answer.version.text(),
            function_error: answer.error,
        }),
        response_payload: answer.map(|answer| Payload::of(&answer.payload)),
    };
    serde_json::to_vec(&record).map(Bytes::from)
}

/// `2019-11-14T18:16:05.568Z`
fn timestamp(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

// === impl Payload ===

impl Payload {
    fn of(bytes: &Bytes) -> Self {
        match serde_json::from_slice::<Box<RawValue>>(bytes) {
            Ok(json) => Self::Json(json),
            Err(_) => Self::Text(String::from_utf8_lossy(bytes).into_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
