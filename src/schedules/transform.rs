//! Input transformers of EventBridge's rules: JSON paths, and templates with placeholders.
//!
//! A path is `$`, followed by names (`.detail`, `['detail-type']`) and positions (`[0]`). A placeholder
//! is a name in angle brackets. Within a string of the template a text goes in as it is, elsewhere as
//! JSON; what the event does not have is an empty text.

use std::collections::BTreeMap;

use serde_json::Value;

/// What every template may refer to, beside the event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) rule_arn: &'a str,
    pub(crate) rule_name: &'a str,
    /// When the event came about, as the event has it.
    pub(crate) time: &'a str,
}

/// A step of a path.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    Name(&'a str),
    Position(usize),
}

/// Names that are not of the event.
const RESERVED: [&str; 5] = [
    "aws.events.rule-arn",
    "aws.events.rule-name",
    "aws.events.event.ingestion-time",
    "aws.events.event",
    "aws.events.event.json",
];

/// Whether a text is a path that is understood here.
pub fn is_path(path: &str) -> bool {
    steps(path).is_some()
}

/// The first placeholder of a template that nothing gives a value.
pub fn unknown<'a>(template: &'a str, paths: &BTreeMap<String, String>) -> Option<&'a str> {
    let mut rest = template;
    while let Some((name, after)) = placeholder(rest) {
        if !paths.contains_key(name) && !RESERVED.contains(&name) {
            return Some(name);
        }
        rest = after;
    }
    None
}

/// What a path leads to.
pub(crate) fn at_path<'a>(event: &'a Value, path: &str) -> Option<&'a Value> {
    steps(path)?.into_iter().try_fold(event, |value, step| match step {
        Step::Name(name) => value.get(name),
        Step::Position(at) => value.get(at),
    })
}

/// A template with its placeholders filled in.
pub(crate) fn fill(
    template: &str,
    paths: &BTreeMap<String, String>,
    event: &Value,
    event_text: &str,
    facts: &Facts<'_>,
) -> String {
    let value = |name: &str| match name {
        "aws.events.rule-arn" => Value::from(facts.rule_arn),
        "aws.events.rule-name" => Value::from(facts.rule_name),
        "aws.events.event.ingestion-time" => Value::from(facts.time),
        _ => paths
            .get(name)
            .and_then(|path| at_path(event, path))
            .cloned()
            .unwrap_or_else(|| Value::from("")),
    };
    let mut filled = String::with_capacity(template.len());
    let mut quoted = false;
    let mut rest = template;
    while let Some((name, after)) = placeholder(rest) {
        let before = &rest[..rest.len() - after.len() - name.len() - 2];
        quoted ^= ends_within_string(before);
        filled.push_str(before);
        // The whole event is text already, with its members in AWS's order.
        let whole = matches!(name, "aws.events.event" | "aws.events.event.json");
        let text = match (whole, value(name)) {
            (true, _) => event_text.to_owned(),
            (false, Value::String(text)) if quoted => text,
            (false, value) => value.to_string(),
        };
        match quoted {
            true => filled.push_str(&inside_string(&text)),
            false => filled.push_str(&text),
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// The first placeholder: its name, and what follows it.
fn placeholder(text: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    while let Some(open) = text[from..].find('<') {
        let inside = &text[from + open + 1..];
        let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        match inside.find('>') {
            Some(close) if close > 0 && inside[..close].bytes().all(name) => {
                return Some((&inside[..close], &inside[close + 1..]));
            }
            _ => from += open + 1,
        }
    }
    None
}

/// Whether an odd number of quotes, but for those behind a backslash, stands in a text.
fn ends_within_string(text: &str) -> bool {
    let (mut within, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => within = !within,
            _ => {}
        }
    }
    within
}

/// A text as it stands between the quotes of a JSON string.
fn inside_string(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The steps of a path; `None` if it is none.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            if name.is_empty() || name.contains(['*', '?', '(', ')', ']', '\'']) {
                return None;
            }
            steps.push(Step::Name(name));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("['") {
            let (name, after) = after.split_once("']")?;
            steps.push(Step::Name(name));
            rest = after;
        } else {
            let (position, after) = rest.strip_prefix('[')?.split_once(']')?;
            let digits = !position.is_empty() && position.bytes().all(|b| b.is_ascii_digit());
            steps.push(Step::Position(digits.then(|| position.parse().ok()).flatten()?));
            rest = after;
        }
    }
    Some(steps)
}
