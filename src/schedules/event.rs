//! What functions are called with: AWS's events of schedules, and what callers make of them.
//!
//! A rule sends the event itself, a constant, a part of the event, or a text with parts of it in it. A
//! schedule of EventBridge Scheduler sends what it was given, with its *context attributes* filled in,
//! or an event whose `detail` is a string (as AWS's is).

use jiff::Timestamp;
use model::schedule::{Rule, RuleInput, RuleTarget, Schedule};
use model::{Home, RequestId};
use serde::Serialize;
use serde_json::Value;

use crate::transform;

/// One run, for those who want to know about it.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Its instant, milliseconds since the epoch.
    pub instant_ms: i64,
    /// Names it: the event's `id`.
    pub id: RequestId,
    /// Which try this is; the first is 1.
    pub attempt: u32,
}

/// AWS's event.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ScheduledEvent<'a> {
    version: &'static str,
    id: &'a str,
    detail_type: &'static str,
    source: &'static str,
    account: &'a str,
    time: String,
    region: &'a str,
    resources: [&'a str; 1],
    detail: Value,
}

/// The ARN of a schedule.
pub fn schedule_arn(home: &Home, path: &str) -> String {
    format!("arn:aws:scheduler:{}:{}:schedule/{path}", home.region, home.account)
}

/// The ARN of a rule.
pub fn rule_arn(home: &Home, name: &str) -> String {
    format!("arn:aws:events:{}:{}:rule/{name}", home.region, home.account)
}

/// What a schedule calls its target with.
pub fn of_schedule(home: &Home, schedule: &Schedule, run: Run) -> String {
    let arn = schedule_arn(home, &schedule.path);
    let Some(input) = &schedule.content.target.input else {
        let detail = Value::String("{}".to_owned());
        return written(home, "aws.scheduler", &arn, run, detail).to_string();
    };
    filled(input, &arn, run)
}

/// What a rule calls a target with.
pub fn of_rule(home: &Home, rule: &Rule, target: &RuleTarget, run: Run) -> String {
    let arn = rule_arn(home, &rule.name);
    let event = written(home, "aws.events", &arn, run, Value::Object(serde_json::Map::new()));
    match &target.input {
        RuleInput::Event => event.to_string(),
        RuleInput::Constant(text) => text.clone(),
        RuleInput::Part(path) => {
            let event = event.to_value();
            transform::at_path(&event, path).unwrap_or(&Value::Null).to_string()
        }
        RuleInput::Template { paths, template } => {
            let facts =
                transform::Facts { rule_arn: &arn, rule_name: &rule.name, time: &event.time };
            transform::fill(template, paths, &event.to_value(), &event.to_string(), &facts)
        }
    }
}

/// The input of a schedule of that ARN, with the values of its context attributes.
pub fn filled(input: &str, arn: &str, run: Run) -> String {
    if !input.contains("<aws.scheduler.") {
        return input.to_owned();
    }
    input
        .replace("<aws.scheduler.schedule-arn>", arn)
        .replace("<aws.scheduler.scheduled-time>", &time(run.instant_ms))
        .replace("<aws.scheduler.execution-id>", run.id.as_str())
        .replace("<aws.scheduler.attempt-number>", &run.attempt.to_string())
}

fn written<'a>(
    home: &'a Home,
    source: &'static str,
    arn: &'a str,
    run: Run,
    detail: Value,
) -> Written {
    let event = ScheduledEvent {
        version: "0",
        id: run.id.as_str(),
        detail_type: "Scheduled Event",
        source,
        account: home.account.as_str(),
        time: time(run.instant_ms),
        region: home.region.as_str(),
        resources: [arn],
        detail,
    };
    let text = serde_json::to_string(&event).expect("strings and a value are JSON");
    Written { text, time: event.time }
}

/// An event as it is sent.
struct Written {
    text: String,
    time: String,
}

/// `2027-01-01T00:00:00Z`.
fn time(instant_ms: i64) -> String {
    match Timestamp::from_millisecond(instant_ms) {
        Ok(instant) => instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        // No recurrence gives such an instant: they end with the year 2199.
        Err(_) => String::new(),
    }
}

// === impl Written ===

impl Written {
    fn to_value(&self) -> Value {
        serde_json::from_str(&self.text).expect("what was written as JSON is JSON")
    }
}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
