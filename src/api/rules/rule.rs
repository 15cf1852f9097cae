//! PutRule, DescribeRule, ListRules, EnableRule, DisableRule, DeleteRule.

use httpd::AwsError;
use schedules::event::rule_arn;
use schedules::{Changed, Dialect, Expression};
use store::NewRule;

use super::shapes::{
    DescribedRule, PutRuleRequest, RuleArn, RuleList, RuleRequest, RuleShape, RulesRequest,
};
use super::tags::checked;
use super::{BUS, NAME, Page, invalid, named, no_rule, only_bus, refused};
use crate::json_rpc::{empty, json, parse};
use crate::listing;
use crate::respond::Answer;
use crate::router::Call;
use crate::server::now_ms;
use crate::validate::Text;

/// States a rule can have, as AWS lists them; the last is about events, which rules here have not.
const STATES: [&str; 3] = ["ENABLED", "DISABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"];

/// PutRule.
pub(super) async fn put(call: &Call<'_>) -> Answer {
    let request: PutRuleRequest = parse(&call.body)?;
    let some = |least, most| Text { least, most, pattern: None };
    let mut found = named(request.name.as_deref(), "name");
    found.text("scheduleExpression", request.schedule_expression.as_deref(), some(0, 256));
    found.text("eventPattern", request.event_pattern.as_deref(), some(0, 4096));
    found.one_of("state", request.state.as_deref(), &STATES);
    found.text("description", request.description.as_deref(), some(0, 512));
    found.text("roleArn", request.role_arn.as_deref(), some(1, 1600));
    let tags = checked(&mut found, request.tags.unwrap_or_default());
    let bus = request.event_bus_name.as_deref();
    let is_other = bus.is_some_and(|bus| bus.rsplit('/').next() != Some(BUS));
    if is_other && request.schedule_expression.is_some() {
        found.finish()?;
        return Err(invalid("ScheduleExpression is supported only on the default event bus."));
    }
    only_bus(call, bus, found)?;
    if request.event_pattern.is_some_and(|pattern| !pattern.is_empty()) {
        return Err(invalid(
            "EventPattern is not available on this server: nothing sends events to its event bus. \
             Use ScheduleExpression.",
        ));
    }
    let expression = request.schedule_expression.filter(|text| !text.is_empty());
    let expression = expression.ok_or_else(|| {
        invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
    })?;
    if Expression::parse(&expression, Dialect::Rule).is_none() {
        return Err(invalid("Parameter ScheduleExpression is not valid."));
    }
    if request.state.as_deref() == Some(STATES[2]) {
        return Err(invalid(
            "The state ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS is not available on this \
             server. Use ENABLED.",
        ));
    }
    let name = request.name.unwrap_or_default();
    let new = NewRule {
        name: name.clone(),
        expression,
        // AWS shows an empty one as none.
        description: request.description.filter(|text| !text.is_empty()),
        role: request.role_arn,
        enabled: request.state.as_deref() != Some(STATES[1]),
        tags,
        at_ms: now_ms(),
    };
    let put = call.api.store.put_rule(new).await;
    put.map_err(|err| refused(err, &name))?;
    let rule_arn = rule_arn(&call.api.home, &name);
    call.api.schedules.changed(Changed::Rule(name));
    json(&RuleArn { rule_arn })
}

/// DescribeRule.
pub(super) fn describe(call: &Call<'_>) -> Answer {
    let name = read(call)?;
    let snapshot = call.api.store.snapshot();
    let rule = snapshot.schedules().rule(&name).ok_or_else(|| no_rule(&name))?;
    let rule = RuleShape::of(&call.api.home, rule);
    json(&DescribedRule { rule, created_by: call.api.home.account.to_string() })
}

/// ListRules.
pub(super) fn list(call: &Call<'_>) -> Answer {
    let request: RulesRequest = parse(&call.body)?;
    let prefix = request.name_prefix.as_deref();
    let mut found = crate::validate::Violations::default();
    found.text("namePrefix", prefix, NAME);
    let page = Page::read(request.next_token.as_deref(), request.limit, found)?;
    only_bus(call, request.event_bus_name.as_deref(), Default::default())?;
    let snapshot = call.api.store.snapshot();
    let rules = snapshot.schedules().rules(page.after.as_deref());
    let rules = rules.filter(|rule| prefix.is_none_or(|prefix| rule.name.starts_with(prefix)));
    let (rules, next_token) = listing::take(rules, page.size, |rule| rule.name.clone());
    let rules = rules.into_iter().map(|rule| RuleShape::of(&call.api.home, rule)).collect();
    json(&RuleList { rules, next_token })
}

/// EnableRule, DisableRule.
pub(super) async fn enable(call: &Call<'_>, enabled: bool) -> Answer {
    let name = read(call)?;
    let changed = call.api.store.enable_rule(name.clone(), enabled, now_ms()).await;
    changed.map_err(|err| refused(err, &name))?;
    call.api.schedules.changed(Changed::Rule(name));
    empty()
}

/// DeleteRule: of a rule that is not there, too.
pub(super) async fn delete(call: &Call<'_>) -> Answer {
    let name = read(call)?;
    let deleted = call.api.store.delete_rule(name.clone()).await;
    deleted.map_err(|err| refused(err, &name))?;
    call.api.schedules.changed(Changed::Rule(name));
    empty()
}

/// The rule that a request names.
fn read(call: &Call<'_>) -> Result<String, AwsError> {
    let request: RuleRequest = parse(&call.body)?;
    let found = named(request.name.as_deref(), "name");
    only_bus(call, request.event_bus_name.as_deref(), found)?;
    Ok(request.name.unwrap_or_default())
}
