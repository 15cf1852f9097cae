//! Schedules.

use http::StatusCode;
use httpd::AwsError;
use model::RequestId;
use model::schedule::{RetryPolicy, Schedule, ScheduleContent, ScheduleTarget};
use schedules::event::{self, Run};
use schedules::{Changed, Dialect, Expression, recurrence};
use serde::de::IgnoredAny;
use store::NewSchedule;

use super::listing::Page;
use super::shapes::{ScheduleArn, ScheduleList, ScheduleRequest, ScheduleShape, ScheduleSummary};
use super::{CLIENT_TOKEN, DEFAULT_GROUP, NAME, group_of, invalid, no_group, no_schedule, refused};
use crate::callee::{self, Callee};
use crate::patterns::Pattern;
use crate::respond::{Answer, json};
use crate::router::Call;
use crate::server::now_ms;
use crate::validate::{Text, Violations};
use crate::{listing, requests};

/// How long ago a schedule may begin, milliseconds (recorded from AWS).
const LATE_START_MS: u64 = 5 * 60 * 1000;

/// A role.
const ROLE: Text = Text {
    least: 1,
    most: 1600,
    pattern: Some(Pattern {
        text: r"arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@\/-]+",
        matches: |text| {
            let parts: Vec<&str> = text.splitn(6, ':').collect();
            let &["arn", partition, "iam", "", account, rest] = parts.as_slice() else {
                return false;
            };
            let lower = |b: u8| b.is_ascii_lowercase() || b == b'-';
            partition.strip_prefix("aws").is_some_and(|more| more.bytes().all(lower))
                && crate::target::is_account(account)
                && rest
                    .strip_prefix("role/")
                    .is_some_and(|name| crate::patterns::every(name, b"_+=,.@/-"))
        },
    }),
};

/// CreateSchedule.
pub(super) async fn create(call: &Call<'_>) -> Answer {
    let new = read(call)?;
    let path = new.path.clone();
    let created = call.api.store.create_schedule(new).await;
    answer(call, created.map_err(|err| worded(err, &path))?.path.clone())
}

/// UpdateSchedule: what is not said goes back to what it is by itself.
pub(super) async fn update(call: &Call<'_>) -> Answer {
    let new = read(call)?;
    let path = new.path.clone();
    let updated = call.api.store.update_schedule(new).await;
    answer(call, updated.map_err(|err| worded(err, &path))?.path.clone())
}

/// GetSchedule.
pub(super) fn get(call: &Call<'_>) -> Answer {
    let mut violations = Violations::default();
    violations.text("name", Some(call.target), NAME);
    let group = group_of(call, &mut violations);
    violations.finish()?;
    let snapshot = call.api.store.snapshot();
    let there = snapshot.schedules();
    let path = format!("{group}/{}", call.target);
    there.group(group).ok_or_else(|| no_group(group))?;
    let schedule = there.schedule(&path).ok_or_else(|| no_schedule(call.target))?;
    json(StatusCode::OK, &ScheduleShape::of(&call.api.home, schedule))
}

/// DeleteSchedule.
pub(super) async fn delete(call: &Call<'_>) -> Answer {
    let mut violations = Violations::default();
    violations.text("name", Some(call.target), NAME);
    let group = group_of(call, &mut violations);
    violations.text("clientToken", call.query.get("clientToken"), CLIENT_TOKEN);
    violations.finish()?;
    let path = format!("{group}/{}", call.target);
    let deleted = call.api.store.delete_schedule(path.clone(), None).await;
    deleted.map_err(|err| refused(err, call.target, group))?;
    call.api.schedules.changed(Changed::Schedule(path));
    json(StatusCode::OK, &serde_json::Map::new())
}

/// ListSchedules.
pub(super) fn list(call: &Call<'_>) -> Answer {
    let given = |name| call.query.get(name).filter(|text| !text.is_empty());
    let (group, state) = (given("ScheduleGroup"), given("State"));
    let mut violations = Violations::default();
    violations.text("groupName", group, NAME);
    violations.one_of("state", state, &["ENABLED", "DISABLED"]);
    let page = Page::read(call, violations)?;
    let snapshot = call.api.store.snapshot();
    let there = snapshot.schedules();
    if let Some(group) = group {
        there.group(group).ok_or_else(|| no_group(group))?;
    }
    let wanted = |schedule: &&std::sync::Arc<Schedule>| {
        group.is_none_or(|group| schedule.group() == group)
            && schedule.name().starts_with(page.prefix)
            && state.is_none_or(|state| (state == "ENABLED") == schedule.content.enabled)
    };
    // Of one group, the list begins where the group does.
    let from = page.after.clone().or_else(|| group.map(|group| format!("{group}/")));
    let all = there.schedules(from.as_deref()).filter(wanted);
    let (schedules, next_token) = listing::take(all, page.size, |schedule| schedule.path.clone());
    let shape = |schedule| ScheduleSummary::of(&call.api.home, schedule);
    let schedules = schedules.into_iter().map(|schedule| shape(schedule)).collect();
    json(StatusCode::OK, &ScheduleList { schedules, next_token })
}

fn answer(call: &Call<'_>, path: String) -> Answer {
    let schedule_arn = event::schedule_arn(&call.api.home, &path);
    call.api.schedules.changed(Changed::Schedule(path));
    json(StatusCode::OK, &ScheduleArn { schedule_arn })
}

fn worded(err: store::ChangeError, path: &str) -> AwsError {
    let (group, name) = path.split_once('/').unwrap_or_default();
    refused(err, name, group)
}

/// A schedule as a request describes it, after everything that can be wrong with it.
fn read(call: &Call<'_>) -> Result<NewSchedule, AwsError> {
    let request: ScheduleRequest = requests::parse(&call.body)?;
    check(call, &request)?;
    let now = now_ms();
    let expression = request.schedule_expression.unwrap_or_default();
    let parsed = Expression::parse(&expression, Dialect::Scheduler)
        .ok_or_else(|| invalid(format!("Invalid Schedule Expression {expression}.")))?;
    let zone = request.schedule_expression_timezone;
    if recurrence::zone(zone.as_deref()).is_none() {
        let name = zone.unwrap_or_default();
        return Err(invalid(format!("Invalid Schedule Expression Timezone {name}.")));
    }
    let (start_ms, end_ms) = (request.start_date.map(ms), request.end_date.map(ms));
    dates(&parsed, start_ms, end_ms, now)?;
    let content = ScheduleContent {
        window_minutes: window(request.flexible_time_window.unwrap_or_default())?,
        target: target(call, request.target.unwrap_or_default())?,
        zone,
        start_ms,
        end_ms,
        description: request.description,
        enabled: request.state.as_deref() != Some("DISABLED"),
        delete_after: request.action_after_completion.as_deref() == Some("DELETE"),
        expression,
    };
    let group = request.group_name.as_deref().unwrap_or(DEFAULT_GROUP);
    Ok(NewSchedule {
        path: format!("{group}/{}", call.target),
        runs_at_once: matches!(parsed, Expression::Rate(_)) && start_ms.is_none(),
        content,
        client_token: request.client_token,
        at_ms: now,
    })
}

/// What the model says of a request.
fn check(call: &Call<'_>, request: &ScheduleRequest) -> Result<(), AwsError> {
    let some = |least, most| Text { least, most, pattern: None };
    let mut found = Violations::default();
    found.text("name", Some(call.target), NAME);
    found.text("groupName", request.group_name.as_deref(), NAME);
    found.required("scheduleExpression", request.schedule_expression.is_some());
    found.text("scheduleExpression", request.schedule_expression.as_deref(), some(1, 256));
    found.text("description", request.description.as_deref(), some(0, 512));
    let zone = request.schedule_expression_timezone.as_deref();
    found.text("scheduleExpressionTimezone", zone, some(1, 50));
    let states = ["ENABLED", "DISABLED"];
    found.one_of("state", request.state.as_deref(), &states);
    found.required("target", request.target.is_some());
    if let Some(target) = &request.target {
        found.required("target.arn", target.arn.is_some());
        found.text("target.arn", target.arn.as_deref(), some(1, 1600));
        found.required("target.roleArn", target.role_arn.is_some());
        found.text("target.roleArn", target.role_arn.as_deref(), ROLE);
        found.text("target.input", target.input.as_deref(), some(1, 0));
        if let Some(retry) = &target.retry_policy {
            let (age, attempts) =
                (retry.maximum_event_age_in_seconds, retry.maximum_retry_attempts);
            let at = |member| format!("target.retryPolicy.{member}");
            found.number(&at("maximumEventAgeInSeconds"), age, 60, Some(86_400));
            found.number(&at("maximumRetryAttempts"), attempts, 0, Some(185));
        }
    }
    found.required("flexibleTimeWindow", request.flexible_time_window.is_some());
    if let Some(window) = &request.flexible_time_window {
        found.required("flexibleTimeWindow.mode", window.mode.is_some());
        found.one_of("flexibleTimeWindow.mode", window.mode.as_deref(), &["OFF", "FLEXIBLE"]);
        let minutes = window.maximum_window_in_minutes;
        let at = "flexibleTimeWindow.maximumWindowInMinutes";
        found.number(at, minutes, 1, Some(1440));
    }
    found.text("clientToken", request.client_token.as_deref(), CLIENT_TOKEN);
    let action = request.action_after_completion.as_deref();
    found.one_of("actionAfterCompletion", action, &["NONE", "DELETE"]);
    found.finish()?;
    match request.kms_key_arn {
        None => Ok(()),
        Some(_) => {
            Err(invalid("KmsKeyArn is not available on this server: it has no KMS. Leave it out."))
        }
    }
}

/// What AWS asks of the two dates.
fn dates(
    expression: &Expression,
    start_ms: Option<i64>,
    end_ms: Option<i64>,
    now: u64,
) -> Result<(), AwsError> {
    if matches!(expression, Expression::At(_)) {
        return Ok(());
    }
    let earliest = now.saturating_sub(LATE_START_MS).cast_signed();
    if start_ms.is_some_and(|start| start < earliest) {
        return Err(invalid("The StartDate you specify cannot be earlier than 5 minutes ago."));
    }
    if let (Some(start), Some(end)) = (start_ms, end_ms)
        && end <= start
    {
        return Err(invalid("The EndDate you specify must come after the StartDate."));
    }
    match end_ms {
        Some(end) if end <= now.cast_signed() => {
            Err(invalid("The EndDate you specify cannot be in the past."))
        }
        _ => Ok(()),
    }
}

/// How late it may run.
fn window(window: super::shapes::Window) -> Result<Option<u16>, AwsError> {
    let minutes = window.maximum_window_in_minutes.and_then(|minutes| u16::try_from(minutes).ok());
    match (window.mode.as_deref(), minutes) {
        (Some("FLEXIBLE"), None) => Err(invalid(
            "MaximumWindowInMinutes must be given where the Mode of FlexibleTimeWindow is FLEXIBLE.",
        )),
        (Some("FLEXIBLE"), minutes) => Ok(minutes),
        (_, Some(_)) => Err(invalid(
            "MaximumWindowInMinutes must not be given where the Mode of FlexibleTimeWindow is OFF.",
        )),
        (_, None) => Ok(None),
    }
}

fn target(
    call: &Call<'_>,
    target: super::shapes::TargetRequest,
) -> Result<ScheduleTarget, AwsError> {
    let arn = target.arn.unwrap_or_default();
    match Callee::of(&arn, &call.api.home) {
        Callee::Function => {}
        Callee::Elsewhere => {
            return Err(invalid(format!(
                "Provided Arn is not in the account and region of this server: {arn}."
            )));
        }
        Callee::Other => return Err(invalid(callee::not_served(&arn))),
        Callee::NoArn => return Err(invalid("Provided Arn is not in correct format.")),
    }
    let parameters = [
        target.ecs_parameters.is_some(),
        target.event_bridge_parameters.is_some(),
        target.event_bridge_put_events_v2_parameters.is_some(),
        target.event_bridge_put_raw_events_parameters.is_some(),
        target.kinesis_parameters.is_some(),
        target.sage_maker_pipeline_parameters.is_some(),
        target.sqs_parameters.is_some(),
    ];
    if parameters.contains(&true) {
        return Err(invalid(
            "Parameters of other services do not go with a function for a target.",
        ));
    }
    if target.dead_letter_config.is_some_and(|config| config.arn.is_some()) {
        return Err(invalid(
            "DeadLetterConfig is not available on this server: it has no queues. Leave it out.",
        ));
    }
    if target.input.as_deref().is_some_and(|input| !is_json(input)) {
        return Err(invalid("Input is not valid JSON, which functions are called with."));
    }
    let usual = RetryPolicy::default();
    let retry = target.retry_policy.unwrap_or_default();
    let number = |given: Option<i64>, usual| {
        given.and_then(|number| u32::try_from(number).ok()).unwrap_or(usual)
    };
    let target = ScheduleTarget {
        arn,
        role: target.role_arn.unwrap_or_default(),
        input: target.input,
        retry: RetryPolicy {
            max_age_s: number(retry.maximum_event_age_in_seconds, usual.max_age_s),
            max_attempts: number(retry.maximum_retry_attempts, usual.max_attempts),
        },
    };
    Ok(target)
}

/// Whether an input is JSON once its context attributes are filled in.
fn is_json(input: &str) -> bool {
    let run = Run { instant_ms: 0, id: RequestId::random(), attempt: 1 };
    serde_json::from_str::<IgnoredAny>(&event::filled(input, "arn", run)).is_ok()
}

/// Seconds, perhaps with a fraction, as milliseconds.
fn ms(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
