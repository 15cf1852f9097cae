//! TagResource, UntagResource, ListTagsForResource.

use std::collections::BTreeMap;

use httpd::AwsError;
use schedules::event::rule_arn;

use super::shapes::{Tag, TagList, TagRequest};
use super::{no_rule, not_found, refused};
use crate::json_rpc::{json, parse};
use crate::respond::Answer;
use crate::router::Call;
use crate::validate::{Text, Violations};

/// Key and value of a tag (AWS limits).
const KEY: Text = Text { least: 1, most: 128, pattern: None };
const VALUE: Text = Text { least: 0, most: 256, pattern: None };

/// TagResource.
pub(super) async fn tag(call: &Call<'_>) -> Answer {
    let request: TagRequest = parse(&call.body)?;
    let mut found = Violations::default();
    found.required("tags", request.tags.is_some());
    let tags = checked(&mut found, request.tags.unwrap_or_default());
    let name = tagged(call, request.resource_arn.as_deref(), found)?;
    change(call, name, move |all| all.extend(tags)).await
}

/// UntagResource.
pub(super) async fn untag(call: &Call<'_>) -> Answer {
    let request: TagRequest = parse(&call.body)?;
    let mut found = Violations::default();
    found.required("tagKeys", request.tag_keys.is_some());
    let keys = request.tag_keys.unwrap_or_default();
    found.each_text("tagKeys", Some(&keys), KEY);
    let name = tagged(call, request.resource_arn.as_deref(), found)?;
    change(call, name, move |all| all.retain(|key, _| !keys.contains(key))).await
}

/// ListTagsForResource.
pub(super) fn list(call: &Call<'_>) -> Answer {
    let request: TagRequest = parse(&call.body)?;
    let name = tagged(call, request.resource_arn.as_deref(), Violations::default())?;
    let snapshot = call.api.store.snapshot();
    let rule = snapshot.schedules().rule(&name).ok_or_else(|| no_rule(&name))?;
    let tag = |(key, value): (&String, &String)| Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    json(&TagList { tags: rule.tags.iter().map(tag).collect() })
}

async fn change(
    call: &Call<'_>,
    name: String,
    change: impl FnOnce(&mut BTreeMap<String, String>) + Send + 'static,
) -> Answer {
    let changed = call.api.store.tag_rule(name.clone(), change).await;
    changed.map_err(|err| refused(err, &name))?;
    json(&serde_json::Map::new())
}

/// The rule of an ARN that is one of ours.
fn tagged(call: &Call<'_>, arn: Option<&str>, found: Violations) -> Result<String, AwsError> {
    let mut all = Violations::default();
    all.required("resourceARN", arn.is_some());
    all.text("resourceARN", arn, Text { least: 1, most: 1600, pattern: None });
    all.append(found);
    all.finish()?;
    let arn = arn.unwrap_or_default();
    let name = arn.rsplit('/').next().unwrap_or_default();
    match arn == rule_arn(&call.api.home, name) {
        true => Ok(name.to_owned()),
        false => Err(not_found(format!("Resource {arn} does not exist."))),
    }
}

/// Tags of a request, after a look at each.
pub(super) fn checked(found: &mut Violations, tags: Vec<Tag>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (number, tag) in (1..).zip(tags) {
        let at = |member| format!("tags.{number}.member.{member}");
        found.required(&at("key"), tag.key.is_some());
        found.text(&at("key"), tag.key.as_deref(), KEY);
        found.required(&at("value"), tag.value.is_some());
        found.text(&at("value"), tag.value.as_deref(), VALUE);
        if let (Some(key), Some(value)) = (tag.key, tag.value) {
            all.insert(key, value);
        }
    }
    all
}
