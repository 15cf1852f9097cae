//! EventBridge's rules, as far as the clock is what triggers them and functions are what they call.
//!
//! There is one event bus, `default`, and nothing is ever sent to it: a rule has a schedule expression,
//! and one with an event pattern is refused. What else EventBridge has (buses, archives, pipes,
//! connections, API destinations) is answered as an operation that is not known.

mod rule;
mod shapes;
mod tags;
mod targets;

use std::borrow::Cow;

use http::{HeaderMap, StatusCode};
use httpd::AwsError;
use store::{ChangeError, Refusal, ScheduleRefusal};

use crate::errors;
use crate::json_rpc::target;
use crate::listing::unmark;
use crate::patterns::{Pattern, every};
use crate::respond::Answer;
use crate::router::Call;
use crate::validate::{Text, Violations};

const PREFIX: &str = "AWSEvents.";

/// The one event bus.
const BUS: &str = "default";

/// Entries of a page, unless fewer are asked for; also the most that may be (an AWS limit).
const PAGE: i64 = 100;

/// Names of rules and of targets.
const NAME: Text = Text {
    least: 1,
    most: 64,
    pattern: Some(Pattern { text: r"[\.\-_A-Za-z0-9]+", matches: |text| every(text, b".-_") }),
};

/// Names of event buses, and their ARNs.
const BUS_NAME: Text = Text {
    least: 1,
    most: 1600,
    pattern: Some(Pattern {
        text: r"(arn:aws[\w-]*:events:[a-z]+-[a-z]+-[\w-]+:[0-9]{12}:event-bus\/)?[/\.\-_A-Za-z0-9]+",
        matches: |text| {
            let name = match text.split_once(":event-bus/") {
                Some((arn, name)) if arn.starts_with("arn:aws") => name,
                _ => text,
            };
            every(name, b"/.-_")
        },
    }),
};

/// Whether a request says that it means EventBridge.
pub(crate) fn is_meant(headers: &HeaderMap) -> bool {
    target(headers).is_some_and(|target| target.starts_with(PREFIX))
}

/// Answers whichever operation is asked for.
pub(crate) async fn answer(call: &Call<'_>) -> Answer {
    match target(call.headers).and_then(|target| target.strip_prefix(PREFIX)) {
        Some("PutRule") => rule::put(call).await,
        Some("DescribeRule") => rule::describe(call),
        Some("ListRules") => rule::list(call),
        Some("EnableRule") => rule::enable(call, true).await,
        Some("DisableRule") => rule::enable(call, false).await,
        Some("DeleteRule") => rule::delete(call).await,
        Some("PutTargets") => targets::put(call).await,
        Some("RemoveTargets") => targets::remove(call).await,
        Some("ListTargetsByRule") => targets::list(call),
        Some("ListRuleNamesByTarget") => targets::rules(call),
        Some("TagResource") => tags::tag(call).await,
        Some("UntagResource") => tags::untag(call).await,
        Some("ListTagsForResource") => tags::list(call),
        _ => Err(AwsError::new(
            StatusCode::BAD_REQUEST,
            "UnknownOperationException",
            "This server has EventBridge's operations on rules, their targets and their tags.",
        )),
    }
}

/// Where a page begins, and how long it is.
#[derive(Debug)]
struct Page {
    after: Option<String>,
    size: usize,
}

// === impl Page ===

impl Page {
    /// Reads `NextToken` and `Limit`.
    fn read(
        token: Option<&str>,
        limit: Option<i64>,
        mut violations: Violations,
    ) -> Result<Self, AwsError> {
        violations.text("nextToken", token, Text { least: 1, most: 2048, pattern: None });
        violations.number("limit", limit, 1, Some(PAGE));
        violations.finish()?;
        let after = token.map(unmark).transpose();
        let after = after.map_err(|_| invalid("Parameter NextToken is not valid."))?;
        Ok(Self { after, size: usize::try_from(limit.unwrap_or(PAGE)).unwrap_or_default() })
    }
}

/// Whether a bus is the one there is, after everything about the request's shape.
fn only_bus(call: &Call<'_>, bus: Option<&str>, violations: Violations) -> Result<(), AwsError> {
    let mut all = violations;
    all.text("eventBusName", bus, BUS_NAME);
    all.finish()?;
    let Some(bus) = bus else { return Ok(()) };
    let home = &call.api.home;
    let arn = format!("arn:aws:events:{}:{}:event-bus/{BUS}", home.region, home.account);
    match bus == BUS || bus == arn {
        true => Ok(()),
        false => Err(not_found(format!("Event bus {bus} does not exist."))),
    }
}

fn named(name: Option<&str>, at: &str) -> Violations {
    let mut violations = Violations::default();
    violations.required(at, name.is_some());
    violations.text(at, name, NAME);
    violations
}

fn invalid(message: impl Into<Cow<'static, str>>) -> AwsError {
    errors::validation(message)
}

fn no_rule(name: &str) -> AwsError {
    not_found(format!("Rule {name} does not exist on EventBus {BUS}."))
}

fn not_found(message: String) -> AwsError {
    // JSON 1.1 says so in the body alone; the status is that of any fault of the caller's.
    AwsError::new(StatusCode::BAD_REQUEST, "ResourceNotFoundException", message)
}

/// What stood against a change of the rule of that name.
fn refused(err: ChangeError, name: &str) -> AwsError {
    let refusal = match err {
        ChangeError::Refused(Refusal::Schedule(refusal)) => refusal,
        err => return AwsError { fault: None, ..errors::refused(err, name) },
    };
    match refusal {
        ScheduleRefusal::NoRule => no_rule(name),
        ScheduleRefusal::HasTargets => invalid("Rule can't be deleted since it has targets."),
        ScheduleRefusal::TooManyTargets => AwsError::new(
            StatusCode::BAD_REQUEST,
            "LimitExceededException",
            "The requested resource exceeds the maximum number allowed.",
        ),
        ScheduleRefusal::TooManyTags => {
            invalid("The number of tags exceeds the maximum number allowed, which is 50.")
        }
        // Of schedules; no operation here meets them.
        other => invalid(other.to_string()),
    }
}
