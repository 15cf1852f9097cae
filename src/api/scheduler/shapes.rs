//! Bodies of EventBridge Scheduler's requests and answers.
//!
//! Dates are seconds since the epoch, with milliseconds behind the point.

use std::collections::BTreeMap;

use model::Home;
use model::schedule::{Schedule, ScheduleGroup, ScheduleTarget};
use schedules::event::schedule_arn;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// CreateSchedule and UpdateSchedule.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ScheduleRequest {
    pub(super) group_name: Option<String>,
    pub(super) schedule_expression: Option<String>,
    pub(super) schedule_expression_timezone: Option<String>,
    pub(super) start_date: Option<f64>,
    pub(super) end_date: Option<f64>,
    pub(super) description: Option<String>,
    pub(super) state: Option<String>,
    pub(super) kms_key_arn: Option<String>,
    pub(super) target: Option<TargetRequest>,
    pub(super) flexible_time_window: Option<Window>,
    pub(super) client_token: Option<String>,
    pub(super) action_after_completion: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TargetRequest {
    pub(super) arn: Option<String>,
    pub(super) role_arn: Option<String>,
    pub(super) input: Option<String>,
    pub(super) retry_policy: Option<Retry>,
    pub(super) dead_letter_config: Option<DeadLetter>,
    pub(super) ecs_parameters: Option<IgnoredAny>,
    pub(super) event_bridge_parameters: Option<IgnoredAny>,
    pub(super) event_bridge_put_events_v2_parameters: Option<IgnoredAny>,
    pub(super) event_bridge_put_raw_events_parameters: Option<IgnoredAny>,
    pub(super) kinesis_parameters: Option<IgnoredAny>,
    pub(super) sage_maker_pipeline_parameters: Option<IgnoredAny>,
    pub(super) sqs_parameters: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Retry {
    pub(super) maximum_event_age_in_seconds: Option<i64>,
    pub(super) maximum_retry_attempts: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct DeadLetter {
    pub(super) arn: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Window {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) maximum_window_in_minutes: Option<i64>,
}

/// CreateScheduleGroup.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct GroupRequest {
    pub(super) tags: Option<Vec<Tag>>,
    pub(super) client_token: Option<String>,
}

/// TagResource, and what ListTagsForResource answers.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Tags {
    pub(super) tags: Option<Vec<Tag>>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Tag {
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
}

/// CreateSchedule, UpdateSchedule.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ScheduleArn {
    pub(super) schedule_arn: String,
}

/// CreateScheduleGroup.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GroupArn {
    pub(super) schedule_group_arn: String,
}

/// GetSchedule.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ScheduleShape<'a> {
    arn: String,
    group_name: &'a str,
    name: &'a str,
    schedule_expression: &'a str,
    schedule_expression_timezone: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_date: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_date: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    state: &'static str,
    creation_date: f64,
    last_modification_date: f64,
    target: TargetShape<'a>,
    flexible_time_window: Window,
    action_after_completion: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TargetShape<'a> {
    arn: &'a str,
    role_arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a str>,
    retry_policy: Retry,
}

/// An entry of ListSchedules.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ScheduleSummary {
    arn: String,
    group_name: String,
    name: String,
    state: &'static str,
    creation_date: f64,
    last_modification_date: f64,
    target: TargetSummary,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TargetSummary {
    arn: String,
}

/// ListSchedules.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ScheduleList {
    pub(super) schedules: Vec<ScheduleSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_token: Option<String>,
}

/// GetScheduleGroup, and an entry of ListScheduleGroups.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GroupShape {
    arn: String,
    name: String,
    state: &'static str,
    creation_date: f64,
    last_modification_date: f64,
}

/// ListScheduleGroups.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GroupList {
    pub(super) schedule_groups: Vec<GroupShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_token: Option<String>,
}

// === impl ScheduleShape ===

impl<'a> ScheduleShape<'a> {
    /// A schedule as GetSchedule shows it.
    pub(super) fn of(home: &Home, schedule: &'a Schedule) -> Self {
        let content = &schedule.content;
        Self {
            arn: schedule_arn(home, &schedule.path),
            group_name: schedule.group(),
            name: schedule.name(),
            schedule_expression: &content.expression,
            schedule_expression_timezone: content.zone.as_deref().unwrap_or("UTC"),
            start_date: content.start_ms.map(seconds),
            end_date: content.end_ms.map(seconds),
            description: content.description.as_deref(),
            state: state(content.enabled),
            creation_date: seconds(schedule.created_ms.cast_signed()),
            last_modification_date: seconds(schedule.modified_ms.cast_signed()),
            target: TargetShape::of(&content.target),
            flexible_time_window: Window {
                mode: Some(
                    if content.window_minutes.is_some() { "FLEXIBLE" } else { "OFF" }.into(),
                ),
                maximum_window_in_minutes: content.window_minutes.map(i64::from),
            },
            action_after_completion: if content.delete_after { "DELETE" } else { "NONE" },
        }
    }
}

impl<'a> TargetShape<'a> {
    fn of(target: &'a ScheduleTarget) -> Self {
        Self {
            arn: &target.arn,
            role_arn: &target.role,
            input: target.input.as_deref(),
            // AWS shows its own, where none was given.
            retry_policy: Retry {
                maximum_event_age_in_seconds: Some(target.retry.max_age_s.into()),
                maximum_retry_attempts: Some(target.retry.max_attempts.into()),
            },
        }
    }
}

impl ScheduleSummary {
    /// A schedule as ListSchedules shows it.
    pub(super) fn of(home: &Home, schedule: &Schedule) -> Self {
        Self {
            arn: schedule_arn(home, &schedule.path),
            group_name: schedule.group().to_owned(),
            name: schedule.name().to_owned(),
            state: state(schedule.content.enabled),
            creation_date: seconds(schedule.created_ms.cast_signed()),
            last_modification_date: seconds(schedule.modified_ms.cast_signed()),
            target: TargetSummary { arn: schedule.content.target.arn.clone() },
        }
    }
}

impl GroupShape {
    /// A group as GetScheduleGroup shows it.
    pub(super) fn of(home: &Home, group: &ScheduleGroup) -> Self {
        Self {
            arn: group_arn(home, &group.name),
            name: group.name.clone(),
            state: "ACTIVE",
            creation_date: seconds(group.created_ms.cast_signed()),
            last_modification_date: seconds(group.modified_ms.cast_signed()),
        }
    }
}

impl Tags {
    /// Tags as a list.
    pub(super) fn of(tags: &BTreeMap<String, String>) -> Self {
        let tag = |(key, value): (&String, &String)| Tag {
            key: Some(key.clone()),
            value: Some(value.clone()),
        };
        Self { tags: Some(tags.iter().map(tag).collect()) }
    }
}

/// The ARN of a group.
pub(super) fn group_arn(home: &Home, name: &str) -> String {
    format!("arn:aws:scheduler:{}:{}:schedule-group/{name}", home.region, home.account)
}

fn state(enabled: bool) -> &'static str {
    if enabled { "ENABLED" } else { "DISABLED" }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
