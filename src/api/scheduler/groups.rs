//! Groups of schedules, and the tags that they alone have.

use std::collections::BTreeMap;

use http::StatusCode;
use httpd::AwsError;
use model::schedule::ScheduleGroup;
use schedules::Changed;

use super::listing::Page;
use super::shapes::{GroupArn, GroupList, GroupRequest, GroupShape, Tag, Tags, group_arn};
use super::{CLIENT_TOKEN, NAME, no_group, refused};
use crate::patterns::{Pattern, every};
use crate::respond::{Answer, json};
use crate::router::Call;
use crate::server::now_ms;
use crate::validate::{Text, Violations};
use crate::{listing, requests};

/// What can have tags: groups.
const TAGGABLE: Text = Text {
    least: 1,
    most: 1011,
    pattern: Some(Pattern {
        text: r"arn:aws[a-z-]*:scheduler:[a-z0-9\-]+:\d{12}:schedule-group\/[0-9a-zA-Z-_.]+",
        matches: |text| {
            let parts: Vec<&str> = text.splitn(6, ':').collect();
            let &["arn", partition, "scheduler", region, account, rest] = parts.as_slice() else {
                return false;
            };
            let group = rest.strip_prefix("schedule-group/");
            let lower = |b: u8| b.is_ascii_lowercase() || b == b'-';
            partition.strip_prefix("aws").is_some_and(|more| more.bytes().all(lower))
                && !region.is_empty()
                && region.bytes().all(|b| lower(b) || b.is_ascii_digit())
                && crate::target::is_account(account)
                && group.is_some_and(|group| every(group, b"-_."))
        },
    }),
};

/// Key and value of a tag (AWS limits: here, unlike elsewhere, a value is not empty).
const KEY: Text = Text { least: 1, most: 128, pattern: None };
const VALUE: Text = Text { least: 1, most: 256, pattern: None };

/// CreateScheduleGroup.
pub(super) async fn create(call: &Call<'_>) -> Answer {
    let request: GroupRequest = requests::parse(&call.body)?;
    let mut violations = named(call);
    let tags = checked(&mut violations, request.tags.unwrap_or_default());
    violations.text("clientToken", request.client_token.as_deref(), CLIENT_TOKEN);
    violations.finish()?;
    let now = now_ms();
    let new = ScheduleGroup {
        name: call.target.to_owned(),
        created_ms: now,
        modified_ms: now,
        tags,
        client_token: request.client_token,
    };
    let created = call.api.store.create_schedule_group(new).await;
    let group = created.map_err(|err| refused(err, "", call.target))?;
    let schedule_group_arn = group_arn(&call.api.home, &group.name);
    json(StatusCode::OK, &GroupArn { schedule_group_arn })
}

/// GetScheduleGroup.
pub(super) fn get(call: &Call<'_>) -> Answer {
    named(call).finish()?;
    let snapshot = call.api.store.snapshot();
    let group = snapshot.schedules().group(call.target).ok_or_else(|| no_group(call.target))?;
    json(StatusCode::OK, &GroupShape::of(&call.api.home, group))
}

/// DeleteScheduleGroup. AWS deletes the schedules within first and shows the group as `DELETING`
/// meanwhile; here all of it is one change.
pub(super) async fn delete(call: &Call<'_>) -> Answer {
    let mut violations = named(call);
    violations.text("clientToken", call.query.get("clientToken"), CLIENT_TOKEN);
    violations.finish()?;
    let deleted = call.api.store.delete_schedule_group(call.target.to_owned()).await;
    deleted.map_err(|err| refused(err, "", call.target))?;
    call.api.schedules.changed(Changed::Group(call.target.to_owned()));
    json(StatusCode::OK, &serde_json::Map::new())
}

/// ListScheduleGroups.
pub(super) fn list(call: &Call<'_>) -> Answer {
    let page = Page::read(call, Violations::default())?;
    let snapshot = call.api.store.snapshot();
    let groups = snapshot.schedules().groups(page.after.as_deref());
    let groups = groups.filter(|group| group.name.starts_with(page.prefix));
    let (groups, next_token) = listing::take(groups, page.size, |group| group.name.clone());
    let shape = |group| GroupShape::of(&call.api.home, group);
    let schedule_groups = groups.into_iter().map(|group| shape(group)).collect();
    json(StatusCode::OK, &GroupList { schedule_groups, next_token })
}

/// TagResource.
pub(super) async fn tag(call: &Call<'_>) -> Answer {
    let request: Tags = requests::parse(&call.body)?;
    let mut violations = Violations::default();
    violations.required("tags", request.tags.is_some());
    let tags = checked(&mut violations, request.tags.unwrap_or_default());
    let name = tagged(call, violations)?;
    change_tags(call, name, move |all| all.extend(tags)).await
}

/// UntagResource.
pub(super) async fn untag(call: &Call<'_>) -> Answer {
    let keys = call.query.all("TagKeys");
    let mut violations = Violations::default();
    violations.required("tagKeys", !keys.is_empty());
    violations.each_text("tagKeys", Some(&keys), KEY);
    let name = tagged(call, violations)?;
    change_tags(call, name, move |all| all.retain(|key, _| !keys.contains(key))).await
}

/// ListTagsForResource.
pub(super) fn tags(call: &Call<'_>) -> Answer {
    let name = tagged(call, Violations::default())?;
    let snapshot = call.api.store.snapshot();
    let group = snapshot.schedules().group(&name).ok_or_else(|| no_group(&name))?;
    json(StatusCode::OK, &Tags::of(&group.tags))
}

async fn change_tags(
    call: &Call<'_>,
    name: String,
    change: impl FnOnce(&mut BTreeMap<String, String>) + Send + 'static,
) -> Answer {
    let changed = call.api.store.tag_schedule_group(name.clone(), now_ms(), change).await;
    changed.map_err(|err| refused(err, "", &name))?;
    json(StatusCode::OK, &serde_json::Map::new())
}

/// The group of an ARN that is one of ours.
fn tagged(call: &Call<'_>, violations: Violations) -> Result<String, AwsError> {
    let mut all = Violations::default();
    all.text("resourceArn", Some(call.target), TAGGABLE);
    all.append(violations);
    all.finish()?;
    let name = call.target.rsplit('/').next().unwrap_or_default();
    match call.target == group_arn(&call.api.home, name) {
        true => Ok(name.to_owned()),
        false => Err(no_group(call.target)),
    }
}

fn named(call: &Call<'_>) -> Violations {
    let mut violations = Violations::default();
    violations.text("name", Some(call.target), NAME);
    violations
}

/// Tags of a request, after a look at each.
fn checked(violations: &mut Violations, tags: Vec<Tag>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (number, tag) in (1..).zip(tags) {
        let at = |member| format!("tags.{number}.member.{member}");
        violations.required(&at("key"), tag.key.is_some());
        violations.text(&at("key"), tag.key.as_deref(), KEY);
        violations.required(&at("value"), tag.value.is_some());
        violations.text(&at("value"), tag.value.as_deref(), VALUE);
        if let (Some(key), Some(value)) = (tag.key, tag.value) {
            all.insert(key, value);
        }
    }
    all
}
