//! InvokeWithResponseStream: Invoke's answer as a stream of events.
//!
//! What the function answers is collected and then sent: chunks of it, and an event that says how it
//! went. Clients see what they see on AWS, later. Each event is framed as AWS frames them:
//!
//! ```text
//!   u32 length of all │ u32 length of headers │ u32 CRC of these two │ headers │ payload │ u32 CRC of all
//!   header: u8 length of name │ name │ 7 (a text) │ u16 length of value │ value
//! ```

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use lambda::Operation;
use lambda::types::InvokeWithResponseStreamCompleteEvent;
use pool::Outcome;

use crate::errors;
use crate::invoke;
use crate::respond::Answer;
use crate::router::Call;

/// Bytes of one chunk at most; clients take much longer ones, and nobody needs them.
const CHUNK: usize = 64 * 1024;

/// A header whose value is a text.
const TEXT: u8 = 7;

/// InvokeWithResponseStream.
pub(crate) async fn invoke(call: &Call<'_>) -> Answer {
    call.check(Operation::InvokeWithResponseStream)?;
    invoke::called(call, respond).await
}

fn respond(outcome: Outcome, trace_id: &str) -> Answer {
    let failed = outcome.function_error.map(|error| error.as_str().to_owned());
    let mut body = Vec::with_capacity(outcome.payload.len() + 1024);
    if failed.is_none() {
        for chunk in outcome.payload.chunks(CHUNK) {
            event(&mut body, "PayloadChunk", "application/octet-stream", chunk);
        }
    }
    let details = || String::from_utf8_lossy(&outcome.payload).into_owned();
    let complete = InvokeWithResponseStreamCompleteEvent {
        error_details: failed.is_some().then(details),
        error_code: failed,
        log_result: outcome.log_tail.map(|tail| STANDARD.encode(tail)),
    };
    let complete = serde_json::to_vec(&complete).map_err(|err| {
        tracing::error!(%err, "the end of a stream could not be written as JSON");
        errors::internal()
    })?;
    event(&mut body, "InvokeComplete", "application/json", &complete);
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/vnd.amazon.eventstream");
    headers.insert(CONTENT_TYPE, kind);
    invoke::say_which(headers, outcome.executed_version, trace_id);
    Ok(response)
}

/// Adds one event.
fn event(to: &mut Vec<u8>, kind: &str, content: &str, payload: &[u8]) {
    let mut headers = Vec::new();
    for (name, value) in
        [(":message-type", "event"), (":event-type", kind), (":content-type", content)]
    {
        // Names and values are ours, and short.
        headers.push(name.len() as u8);
        headers.extend(name.as_bytes());
        headers.push(TEXT);
        headers.extend((value.len() as u16).to_be_bytes());
        headers.extend(value.as_bytes());
    }
    let begin = to.len();
    // Two lengths and three sums around what differs; a chunk is far below 4 GiB.
    let all = 4 + 4 + 4 + headers.len() + payload.len() + 4;
    to.extend((all as u32).to_be_bytes());
    to.extend((headers.len() as u32).to_be_bytes());
    to.extend(crc32(&to[begin..]).to_be_bytes());
    to.extend(&headers);
    to.extend(payload);
    to.extend(crc32(&to[begin..]).to_be_bytes());
}

/// The CRC-32 of ISO-HDLC (polynomial 0x04C11DB7, reflected), as zip and Ethernet have it.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut sum = index as u32;
            let mut bit = 0;
            while bit < 8 {
                sum = if sum & 1 == 1 { 0xEDB8_8320 ^ (sum >> 1) } else { sum >> 1 };
                bit += 1;
            }
            table[index] = sum;
            index += 1;
        }
        table
    };
    let step = |sum: u32, byte: &u8| TABLE[((sum ^ u32::from(*byte)) & 0xFF) as usize] ^ (sum >> 8);
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests;
