//! PutTargets, RemoveTargets, ListTargetsByRule, ListRuleNamesByTarget.
//!
//! Of a request with several targets all are put or none: AWS's `FailedEntries`, for when its own parts
//! fail one by one, is always empty.

use httpd::AwsError;
use model::RequestId;
use model::schedule::{Rule, RuleInput, RuleTarget};
use schedules::event::{self, Run};
use schedules::{Changed, transform};
use serde::de::IgnoredAny;
use store::TargetChange;

use super::shapes::{
    Failed, PutTargetsRequest, RemoveTargetsRequest, RuleNames, RuleNamesRequest, TargetList,
    TargetRequest, TargetShape, TargetsRequest,
};
use super::{NAME, Page, invalid, named, no_rule, only_bus, refused};
use crate::callee::{self, Callee};
use crate::json_rpc::{json, parse};
use crate::listing;
use crate::patterns::{Pattern, every};
use crate::respond::Answer;
use crate::router::Call;
use crate::server::now_ms;
use crate::validate::{Text, Violations};

/// ARNs.
const ARN: Text = Text { least: 1, most: 1600, pattern: None };

/// Names of placeholders.
const PLACEHOLDER: Text = Text {
    least: 1,
    most: 256,
    pattern: Some(Pattern { text: r"[A-Za-z0-9\_\-]+", matches: |text| every(text, b"_-") }),
};

/// PutTargets.
pub(super) async fn put(call: &Call<'_>) -> Answer {
    let request: PutTargetsRequest = parse(&call.body)?;
    let mut found = named(request.rule.as_deref(), "rule");
    found.required("targets", request.targets.is_some());
    let targets = request.targets.unwrap_or_default();
    size(&mut found, "targets", targets.len());
    for (number, target) in (1..).zip(&targets) {
        check(&mut found, &format!("targets.{number}.member"), target);
    }
    only_bus(call, request.event_bus_name.as_deref(), found)?;
    let name = request.rule.unwrap_or_default();
    let there = call.api.store.snapshot().schedules().rule(&name).cloned();
    let rule = there.ok_or_else(|| no_rule(&name))?;
    let since_ms = now_ms().cast_signed();
    let targets = targets.into_iter().map(|target| read(call, &rule, target, since_ms));
    let targets: Vec<RuleTarget> = targets.collect::<Result<_, _>>()?;
    change(call, name, TargetChange::Put(targets)).await
}

/// RemoveTargets: those that are not there do not matter.
pub(super) async fn remove(call: &Call<'_>) -> Answer {
    let request: RemoveTargetsRequest = parse(&call.body)?;
    let mut found = named(request.rule.as_deref(), "rule");
    found.required("ids", request.ids.is_some());
    let ids = request.ids.unwrap_or_default();
    size(&mut found, "ids", ids.len());
    found.each_text("ids", Some(&ids), NAME);
    only_bus(call, request.event_bus_name.as_deref(), found)?;
    change(call, request.rule.unwrap_or_default(), TargetChange::Remove(ids)).await
}

/// ListTargetsByRule.
pub(super) fn list(call: &Call<'_>) -> Answer {
    let request: TargetsRequest = parse(&call.body)?;
    let found = named(request.rule.as_deref(), "rule");
    let page = Page::read(request.next_token.as_deref(), request.limit, found)?;
    only_bus(call, request.event_bus_name.as_deref(), Violations::default())?;
    let name = request.rule.unwrap_or_default();
    let snapshot = call.api.store.snapshot();
    let rule = snapshot.schedules().rule(&name).ok_or_else(|| no_rule(&name))?;
    // There are five at most, in the order in which they were put.
    let before = page.after.as_deref().map_or(0, |after| {
        rule.targets.iter().position(|target| target.id == after).map_or(0, |at| at + 1)
    });
    let rest = rule.targets.iter().skip(before);
    let (targets, next_token) = listing::take(rest, page.size, |target| target.id.clone());
    json(&TargetList { targets: targets.into_iter().map(TargetShape::of).collect(), next_token })
}

/// ListRuleNamesByTarget.
pub(super) fn rules(call: &Call<'_>) -> Answer {
    let request: RuleNamesRequest = parse(&call.body)?;
    let mut found = Violations::default();
    found.required("targetArn", request.target_arn.is_some());
    found.text("targetArn", request.target_arn.as_deref(), ARN);
    let page = Page::read(request.next_token.as_deref(), request.limit, found)?;
    only_bus(call, request.event_bus_name.as_deref(), Violations::default())?;
    let arn = request.target_arn.unwrap_or_default();
    let snapshot = call.api.store.snapshot();
    let rules = snapshot.schedules().rules(page.after.as_deref());
    let rules = rules.filter(|rule| rule.targets.iter().any(|target| target.arn == arn));
    let (rules, next_token) = listing::take(rules, page.size, |rule| rule.name.clone());
    let rule_names = rules.into_iter().map(|rule| rule.name.clone()).collect();
    json(&RuleNames { rule_names, next_token })
}

async fn change(call: &Call<'_>, name: String, change: TargetChange) -> Answer {
    let changed = call.api.store.change_targets(name.clone(), change).await;
    changed.map_err(|err| refused(err, &name))?;
    call.api.schedules.changed(Changed::Rule(name));
    json(&Failed { failed_entry_count: 0, failed_entries: [] })
}

/// One to a hundred entries, though only five have room.
fn size(found: &mut Violations, at: &str, entries: usize) {
    let entries = i64::try_from(entries).unwrap_or(i64::MAX);
    found.length(at, entries, 1, 100);
}

/// What the model says of a target.
fn check(found: &mut Violations, at: &str, target: &TargetRequest) {
    let at = |member: &str| format!("{at}.{member}");
    let some = |least, most| Text { least, most, pattern: None };
    found.required(&at("id"), target.id.is_some());
    found.text(&at("id"), target.id.as_deref(), NAME);
    found.required(&at("arn"), target.arn.is_some());
    found.text(&at("arn"), target.arn.as_deref(), ARN);
    found.text(&at("roleArn"), target.role_arn.as_deref(), ARN);
    found.text(&at("input"), target.input.as_deref(), some(0, 8192));
    found.text(&at("inputPath"), target.input_path.as_deref(), some(0, 256));
    if let Some(transformer) = &target.input_transformer {
        let template = transformer.input_template.as_deref();
        found.required(&at("inputTransformer.inputTemplate"), template.is_some());
        found.text(&at("inputTransformer.inputTemplate"), template, some(1, 8192));
        let paths: Vec<_> = transformer.input_paths_map.clone().into_iter().flatten().collect();
        found.length(&at("inputTransformer.inputPathsMap"), paths.len() as i64, 0, 100);
        found.map(&at("inputTransformer.inputPathsMap"), &paths, PLACEHOLDER, some(0, 256));
    }
    if let Some(retry) = &target.retry_policy {
        let attempts = retry.maximum_retry_attempts;
        found.number(&at("retryPolicy.maximumRetryAttempts"), attempts, 0, Some(185));
        let age = retry.maximum_event_age_in_seconds;
        found.number(&at("retryPolicy.maximumEventAgeInSeconds"), age, 60, Some(86_400));
    }
}

/// A target, after everything else that can be wrong with it.
fn read(
    call: &Call<'_>,
    rule: &Rule,
    target: TargetRequest,
    since_ms: i64,
) -> Result<RuleTarget, AwsError> {
    let (id, arn) = (target.id.unwrap_or_default(), target.arn.unwrap_or_default());
    match Callee::of(&arn, &call.api.home) {
        Callee::Function => {}
        Callee::Elsewhere => {
            return Err(invalid(format!(
                "Parameter {arn} is not valid. Reason: Provided Arn is not in the account and \
                 region of this server."
            )));
        }
        Callee::Other => return Err(invalid(callee::not_served(&arn))),
        Callee::NoArn => {
            return Err(invalid(format!(
                "Parameter {arn} is not valid. Reason: Provided Arn is not in correct format."
            )));
        }
    }
    let parameters = [
        target.kinesis_parameters.is_some(),
        target.run_command_parameters.is_some(),
        target.ecs_parameters.is_some(),
        target.batch_parameters.is_some(),
        target.sqs_parameters.is_some(),
        target.http_parameters.is_some(),
        target.redshift_data_parameters.is_some(),
        target.sage_maker_pipeline_parameters.is_some(),
        target.app_sync_parameters.is_some(),
    ];
    if parameters.contains(&true) {
        return Err(invalid(format!(
            "Parameters of other services do not go with a function, as which target {id} is."
        )));
    }
    if target.dead_letter_config.is_some_and(|config| config.arn.is_some()) {
        return Err(invalid(
            "DeadLetterConfig is not available on this server: it has no queues. Leave it out.",
        ));
    }
    let input = match (target.input, target.input_path, target.input_transformer) {
        (None, None, None) => RuleInput::Event,
        (Some(text), None, None) => RuleInput::Constant(text),
        (None, Some(path), None) => RuleInput::Part(path),
        (None, None, Some(transformer)) => RuleInput::Template {
            paths: transformer.input_paths_map.unwrap_or_default(),
            template: transformer.input_template.unwrap_or_default(),
        },
        _ => {
            return Err(invalid(format!(
                "Only one of Input, InputPath, or InputTransformer must be provided for target {id}."
            )));
        }
    };
    let retry = target.retry_policy.unwrap_or_default();
    let number = |given: Option<i64>| given.and_then(|number| u32::try_from(number).ok());
    let target = RuleTarget {
        id,
        arn,
        role: target.role_arn,
        input,
        max_age_s: number(retry.maximum_event_age_in_seconds),
        max_attempts: number(retry.maximum_retry_attempts),
        since_ms,
    };
    understood(call, rule, &target)?;
    Ok(target)
}

/// Whether what a target would be called with is JSON, tried out with an event.
fn understood(call: &Call<'_>, rule: &Rule, target: &RuleTarget) -> Result<(), AwsError> {
    let id = &target.id;
    match &target.input {
        RuleInput::Event | RuleInput::Constant(_) => {}
        RuleInput::Part(path) => {
            if !transform::is_path(path) {
                return Err(invalid(format!("Invalid InputPath for target {id}: '{path}'.")));
            }
        }
        RuleInput::Template { paths, template } => {
            if let Some(path) = paths.values().find(|path| !transform::is_path(path)) {
                return Err(invalid(format!("Invalid InputPathsMap for target {id}: '{path}'.")));
            }
            if let Some(name) = transform::unknown(template, paths) {
                return Err(invalid(format!(
                    "InputTemplate for target {id} contains placeholder {name} which is not defined \
                     in InputPathsMap."
                )));
            }
        }
    }
    let run = Run { instant_ms: 0, id: RequestId::random(), attempt: 1 };
    let sent = event::of_rule(&call.api.home, rule, target, run);
    match serde_json::from_str::<IgnoredAny>(&sent) {
        Ok(_) => Ok(()),
        Err(err) => {
            let what = match target.input {
                RuleInput::Template { .. } => "InputTemplate",
                _ => "Input",
            };
            Err(invalid(format!("JSON syntax error in {what} for target {id}: {err}.")))
        }
    }
}
