//! EventBridge Scheduler: schedules and their groups, as far as functions are what they call.
//!
//! ```text
//!   /schedules/{Name}         POST create   GET   PUT update   DELETE      ?groupName=
//!   /schedules                GET list                                     ?ScheduleGroup=&NamePrefix=&State=
//!   /schedule-groups/{Name}   POST create   GET                DELETE
//!   /schedule-groups          GET list                                     ?NamePrefix=
//!   /tags/{ResourceArn}       POST tag      GET list           DELETE      of groups alone
//! ```
//!
//! What is not here is refused when it is asked for: targets that are no function of this server,
//! dead-letter queues, keys of KMS. The engine of the crate `schedules` is told of every change.

mod groups;
mod listing;
mod schedules;
mod shapes;

use std::borrow::Cow;

use http::{Method, StatusCode};
use httpd::AwsError;
use store::{ChangeError, Refusal, ScheduleRefusal};

use crate::errors;
use crate::patterns::{Pattern, every};
use crate::respond::Answer;
use crate::router::Call;
use crate::validate::{Text, Violations};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    CreateSchedule,
    GetSchedule,
    UpdateSchedule,
    DeleteSchedule,
    ListSchedules,
    CreateScheduleGroup,
    GetScheduleGroup,
    DeleteScheduleGroup,
    ListScheduleGroups,
    TagResource,
    UntagResource,
    ListTagsForResource,
}

/// The group of whoever names none.
const DEFAULT_GROUP: &str = "default";

/// Names of schedules and groups, and what they begin with.
const NAME: Text = Text {
    least: 1,
    most: 64,
    pattern: Some(Pattern { text: "[0-9a-zA-Z-_.]+", matches: |text| every(text, b"-_.") }),
};

/// What marks the repetition of a request.
const CLIENT_TOKEN: Text = Text {
    least: 1,
    most: 64,
    pattern: Some(Pattern { text: "[a-zA-Z0-9-_]+", matches: |text| every(text, b"-_") }),
};

/// Answers an operation.
pub(crate) async fn answer(call: &Call<'_>, operation: Operation) -> Answer {
    match operation {
        Operation::CreateSchedule => schedules::create(call).await,
        Operation::GetSchedule => schedules::get(call),
        Operation::UpdateSchedule => schedules::update(call).await,
        Operation::DeleteSchedule => schedules::delete(call).await,
        Operation::ListSchedules => schedules::list(call),
        Operation::CreateScheduleGroup => groups::create(call).await,
        Operation::GetScheduleGroup => groups::get(call),
        Operation::DeleteScheduleGroup => groups::delete(call).await,
        Operation::ListScheduleGroups => groups::list(call),
        Operation::TagResource => groups::tag(call).await,
        Operation::UntagResource => groups::untag(call).await,
        Operation::ListTagsForResource => groups::tags(call),
    }
}

// === impl Operation ===

impl Operation {
    /// The operation that a method and a path mean, and what the path names.
    pub(crate) fn find<'a>(
        method: &Method,
        segments: &[Cow<'a, str>],
    ) -> Option<(Self, Cow<'a, str>)> {
        let (kind, names) = segments.split_first()?;
        let (get, post) = (method == Method::GET, method == Method::POST);
        let (put, delete) = (method == Method::PUT, method == Method::DELETE);
        let operation = match (kind.as_ref(), names.len()) {
            ("schedules", 0) if get => Self::ListSchedules,
            ("schedules", 1) if post => Self::CreateSchedule,
            ("schedules", 1) if get => Self::GetSchedule,
            ("schedules", 1) if put => Self::UpdateSchedule,
            ("schedules", 1) if delete => Self::DeleteSchedule,
            ("schedule-groups", 0) if get => Self::ListScheduleGroups,
            ("schedule-groups", 1) if post => Self::CreateScheduleGroup,
            ("schedule-groups", 1) if get => Self::GetScheduleGroup,
            ("schedule-groups", 1) if delete => Self::DeleteScheduleGroup,
            // An ARN has a slash in it, which not every client encodes.
            ("tags", 1 | 2) if post => Self::TagResource,
            ("tags", 1 | 2) if get => Self::ListTagsForResource,
            ("tags", 1 | 2) if delete => Self::UntagResource,
            _ => return None,
        };
        let name = match names {
            [] => Cow::Borrowed(""),
            [name] => name.clone(),
            names => Cow::Owned(names.join("/")),
        };
        Some((operation, name))
    }

    /// AWS's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CreateSchedule => "CreateSchedule",
            Self::GetSchedule => "GetSchedule",
            Self::UpdateSchedule => "UpdateSchedule",
            Self::DeleteSchedule => "DeleteSchedule",
            Self::ListSchedules => "ListSchedules",
            Self::CreateScheduleGroup => "CreateScheduleGroup",
            Self::GetScheduleGroup => "GetScheduleGroup",
            Self::DeleteScheduleGroup => "DeleteScheduleGroup",
            Self::ListScheduleGroups => "ListScheduleGroups",
            Self::TagResource => "TagResource",
            Self::UntagResource => "UntagResource",
            Self::ListTagsForResource => "ListTagsForResource",
        }
    }
}

/// The group that a query names, or the one that is always there.
fn group_of<'a>(call: &'a Call<'_>, violations: &mut Violations) -> &'a str {
    let group = call.query.get("groupName").filter(|group| !group.is_empty());
    violations.text("groupName", group, NAME);
    group.unwrap_or(DEFAULT_GROUP)
}

fn invalid(message: impl Into<Cow<'static, str>>) -> AwsError {
    errors::validation(message)
}

fn no_schedule(name: &str) -> AwsError {
    not_found(format!("Schedule {name} does not exist."))
}

fn no_group(name: &str) -> AwsError {
    not_found(format!("Schedule group {name} does not exist."))
}

fn not_found(message: String) -> AwsError {
    AwsError::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
}

/// What stood against a change of a schedule or group of that name.
fn refused(err: ChangeError, schedule: &str, group: &str) -> AwsError {
    let refusal = match err {
        ChangeError::Refused(Refusal::Schedule(refusal)) => refusal,
        err => return AwsError { fault: None, ..errors::refused(err, schedule) },
    };
    let conflict = |message| AwsError::new(StatusCode::CONFLICT, "ConflictException", message);
    match refusal {
        ScheduleRefusal::NoSchedule => no_schedule(schedule),
        ScheduleRefusal::NoGroup => no_group(group),
        ScheduleRefusal::ScheduleExists => conflict(format!("Schedule {schedule} already exists.")),
        ScheduleRefusal::GroupExists => conflict(format!("Schedule group {group} already exists.")),
        ScheduleRefusal::DefaultGroup => invalid("The default schedule group can not be deleted."),
        ScheduleRefusal::TooManyTags => AwsError::new(
            StatusCode::PAYMENT_REQUIRED,
            "ServiceQuotaExceededException",
            "A schedule group has 50 tags at most.",
        ),
        // Of rules; no operation here meets them.
        other => invalid(other.to_string()),
    }
}
