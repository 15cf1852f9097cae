//! Bodies of EventBridge's requests and answers.

use std::collections::BTreeMap;

use model::Home;
use model::schedule::{Rule, RuleInput, RuleTarget};
use schedules::event::rule_arn;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// PutRule.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PutRuleRequest {
    pub(super) name: Option<String>,
    pub(super) schedule_expression: Option<String>,
    pub(super) event_pattern: Option<String>,
    pub(super) state: Option<String>,
    pub(super) description: Option<String>,
    pub(super) role_arn: Option<String>,
    pub(super) tags: Option<Vec<Tag>>,
    pub(super) event_bus_name: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Tag {
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
}

/// PutRule.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RuleArn {
    pub(super) rule_arn: String,
}

/// DescribeRule, EnableRule, DisableRule, DeleteRule.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RuleRequest {
    pub(super) name: Option<String>,
    pub(super) event_bus_name: Option<String>,
}

/// ListRules.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RulesRequest {
    pub(super) name_prefix: Option<String>,
    pub(super) event_bus_name: Option<String>,
    pub(super) next_token: Option<String>,
    pub(super) limit: Option<i64>,
}

/// An entry of ListRules, and most of DescribeRule.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RuleShape {
    name: String,
    arn: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    schedule_expression: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_arn: Option<String>,
    event_bus_name: &'static str,
}

/// DescribeRule.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribedRule {
    #[serde(flatten)]
    pub(super) rule: RuleShape,
    pub(super) created_by: String,
}

/// ListRules.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RuleList {
    pub(super) rules: Vec<RuleShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_token: Option<String>,
}

/// PutTargets.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PutTargetsRequest {
    pub(super) rule: Option<String>,
    pub(super) event_bus_name: Option<String>,
    pub(super) targets: Option<Vec<TargetRequest>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TargetRequest {
    pub(super) id: Option<String>,
    pub(super) arn: Option<String>,
    pub(super) role_arn: Option<String>,
    pub(super) input: Option<String>,
    pub(super) input_path: Option<String>,
    pub(super) input_transformer: Option<Transformer>,
    pub(super) dead_letter_config: Option<DeadLetter>,
    pub(super) retry_policy: Option<Retry>,
    pub(super) kinesis_parameters: Option<IgnoredAny>,
    pub(super) run_command_parameters: Option<IgnoredAny>,
    pub(super) ecs_parameters: Option<IgnoredAny>,
    pub(super) batch_parameters: Option<IgnoredAny>,
    pub(super) sqs_parameters: Option<IgnoredAny>,
    pub(super) http_parameters: Option<IgnoredAny>,
    pub(super) redshift_data_parameters: Option<IgnoredAny>,
    pub(super) sage_maker_pipeline_parameters: Option<IgnoredAny>,
    pub(super) app_sync_parameters: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Transformer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input_paths_map: Option<BTreeMap<String, String>>,
    pub(super) input_template: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct DeadLetter {
    pub(super) arn: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Retry {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) maximum_retry_attempts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) maximum_event_age_in_seconds: Option<i64>,
}

/// RemoveTargets.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RemoveTargetsRequest {
    pub(super) rule: Option<String>,
    pub(super) event_bus_name: Option<String>,
    pub(super) ids: Option<Vec<String>>,
}

/// PutTargets and RemoveTargets: here all of them or none.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Failed {
    pub(super) failed_entry_count: u32,
    pub(super) failed_entries: [(); 0],
}

/// ListTargetsByRule.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TargetsRequest {
    pub(super) rule: Option<String>,
    pub(super) event_bus_name: Option<String>,
    pub(super) next_token: Option<String>,
    pub(super) limit: Option<i64>,
}

/// ListTargetsByRule.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TargetList {
    pub(super) targets: Vec<TargetShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TargetShape {
    id: String,
    arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_transformer: Option<Transformer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_policy: Option<Retry>,
}

/// ListRuleNamesByTarget.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RuleNamesRequest {
    pub(super) target_arn: Option<String>,
    pub(super) event_bus_name: Option<String>,
    pub(super) next_token: Option<String>,
    pub(super) limit: Option<i64>,
}

/// ListRuleNamesByTarget.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RuleNames {
    pub(super) rule_names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_token: Option<String>,
}

/// TagResource, UntagResource, ListTagsForResource.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TagRequest {
    #[serde(rename = "ResourceARN")]
    pub(super) resource_arn: Option<String>,
    pub(super) tags: Option<Vec<Tag>>,
    pub(super) tag_keys: Option<Vec<String>>,
}

/// ListTagsForResource.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagList {
    pub(super) tags: Vec<Tag>,
}

// === impl RuleShape ===

impl RuleShape {
    /// A rule as lists show it.
    pub(super) fn of(home: &Home, rule: &Rule) -> Self {
        Self {
            name: rule.name.clone(),
            arn: rule_arn(home, &rule.name),
            state: if rule.enabled { "ENABLED" } else { "DISABLED" },
            description: rule.description.clone(),
            schedule_expression: rule.expression.clone(),
            role_arn: rule.role.clone(),
            event_bus_name: super::BUS,
        }
    }
}

impl TargetShape {
    /// A target as it was put.
    pub(super) fn of(target: &RuleTarget) -> Self {
        let (mut input, mut input_path, mut input_transformer) = (None, None, None);
        match target.input.clone() {
            RuleInput::Event => {}
            RuleInput::Constant(text) => input = Some(text),
            RuleInput::Part(path) => input_path = Some(path),
            RuleInput::Template { paths, template } => {
                input_transformer = Some(Transformer {
                    input_paths_map: Some(paths).filter(|paths| !paths.is_empty()),
                    input_template: Some(template),
                });
            }
        }
        let retry = Retry {
            maximum_retry_attempts: target.max_attempts.map(i64::from),
            maximum_event_age_in_seconds: target.max_age_s.map(i64::from),
        };
        let said = target.max_attempts.is_some() || target.max_age_s.is_some();
        Self {
            id: target.id.clone(),
            arn: target.arn.clone(),
            role_arn: target.role.clone(),
            input,
            input_path,
            input_transformer,
            retry_policy: said.then_some(retry),
        }
    }
}
