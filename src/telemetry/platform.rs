//! The lines the platform itself writes into a function's log, in AWS's exact form.
//!
//! ```text
//!   INIT_START Runtime Version: …        when an instance starts
//!   RESTORE_START …, RESTORE_REPORT …    instead, when it is restored
//!   START RequestId: … Version: …        before the event is delivered
//!   <whatever the function prints>
//!   END RequestId: …                     after the function's last line
//!   REPORT RequestId: …                  what it took
//!   XRAY TraceId: …                      in the same event, if the trace is sampled
//! ```
//!
//! Pure formatting: the caller decides when a line is written and passes the clock in. Every line
//! ends with a newline, as the recorded ones do. Only the text format exists; functions that ask
//! for the JSON format of these lines are not served yet.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

/// What one invocation took: the REPORT line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report<'a> {
    /// Which invocation.
    pub request_id: &'a str,
    /// From the delivery of the event to the answer.
    pub duration: Duration,
    /// MemorySize of the function, MiB.
    pub memory_size_mib: u32,
    /// The most the sandbox has used so far, MiB.
    pub max_memory_mib: u32,
    /// How long initialisation took, if this invocation was the first of its instance.
    pub init: Option<Duration>,
    /// Whether it was not initialised but restored, in that time.
    pub restored: bool,
}

/// The name of a new log stream: `YYYY/MM/DD/[version]` and 32 hexadecimal digits.
///
/// `now_ms` is milliseconds since the epoch; `version` is `$LATEST` or a number.
pub fn stream_name(now_ms: u64, version: &str, random: [u8; 16]) -> String {
    let mut name = format!("{}/[{version}]", timestamp(now_ms).strftime("%Y/%m/%d"));
    for byte in random {
        let _infallible = write!(name, "{byte:02x}");
    }
    name
}

/// An instance begins to start; `runtime_version` is such as `python:3.11.v1`.
///
/// One that is provisioned says so at the end. AWS says it in the JSON format only, which leaves
/// readers of this one to guess why there is no START.
pub fn init_start(runtime_version: &str, arn: &str, provisioned: bool) -> String {
    let kind = match provisioned {
        true => "\tInitialization Type: provisioned-concurrency",
        false => "",
    };
    format!("INIT_START Runtime Version: {runtime_version}\tRuntime Version ARN: {arn}{kind}\n")
}

/// An instance begins to be restored.
pub fn restore_start(runtime_version: &str, arn: &str) -> String {
    format!("RESTORE_START Runtime Version: {runtime_version}\tRuntime Version ARN: {arn}\n")
}

/// An instance was restored.
pub fn restore_report(took: Duration) -> String {
    format!("RESTORE_REPORT Restore Duration: {} ms\n", millis(took))
}

/// An event is about to be delivered.
pub fn start(request_id: &str, version: &str) -> String {
    format!("START RequestId: {request_id} Version: {version}\n")
}

/// The invocation is over and everything it printed stands above.
pub fn end(request_id: &str) -> String {
    format!("END RequestId: {request_id}\n")
}

/// What follows a REPORT line, in the same event, if the invocation's trace is sampled: nothing for
/// another header, or for one that names no trace. `header` is X-Ray's, as the function saw it; the
/// segment is the one that the function's own are beneath.
pub fn traced(header: &str) -> Option<String> {
    let field = |name: &str| {
        let fields = header.split(';').filter_map(|field| field.trim().split_once('='));
        fields.filter(|(other, _)| *other == name).map(|(_, value)| value).next()
    };
    if field("Sampled") != Some("1") {
        return None;
    }
    let mut line = format!("XRAY TraceId: {}\t", field("Root")?);
    if let Some(segment) = field("Parent") {
        let _infallible = write!(line, "SegmentId: {segment}\t");
    }
    line.push_str("Sampled: true\t\n");
    Some(line)
}

/// The function did not answer in time; `now_ms` is milliseconds since the epoch.
pub fn timed_out(now_ms: u64, request_id: &str, timeout: Duration) -> String {
    let when = timestamp(now_ms).strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    let seconds = timeout.as_secs_f64();
    format!("{when} {request_id} Task timed out after {seconds:.2} seconds\n")
}

// === impl Report ===

impl Report<'_> {
    /// The line. It ends with a tab before its newline, as AWS's does.
    pub fn line(&self) -> String {
        let mut line = format!(
            "REPORT RequestId: {}\tDuration: {} ms\tBilled Duration: {} ms\t\
             Memory Size: {} MB\tMax Memory Used: {} MB\t",
            self.request_id,
            millis(self.duration),
            self.billed_ms(),
            self.memory_size_mib,
            self.max_memory_mib,
        );
        if let Some(init) = self.init {
            let _infallible = match self.restored {
                true => write!(
                    line,
                    "Restore Duration: {} ms\tBilled Restore Duration: {} ms\t",
                    millis(init),
                    whole_millis(init)
                ),
                false => write!(line, "Init Duration: {} ms\t", millis(init)),
            };
        }
        line.push('\n');
        line
    }

    /// The duration in whole milliseconds, rounded up, at least one.
    ///
    /// It is computed from the duration as printed, so that a line never says 3.00 ms and bills 4.
    pub fn billed_ms(&self) -> u64 {
        whole_millis(self.duration)
    }
}

fn whole_millis(duration: Duration) -> u64 {
    hundredths(duration).div_ceil(100).max(1)
}

/// Milliseconds with two decimals.
fn millis(duration: Duration) -> String {
    let hundredths = hundredths(duration);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A duration in steps of 10 µs, rounded to the nearest. Saturates after 5.8 million years.
fn hundredths(duration: Duration) -> u64 {
    u64::try_from((duration.as_nanos() + 5_000) / 10_000).unwrap_or(u64::MAX)
}

/// A moment; one that no calendar has (beyond the year 9999) becomes the last there is.
fn timestamp(ms: u64) -> Timestamp {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
