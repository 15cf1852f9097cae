//! Promises about what functions are called with.

use std::collections::BTreeMap;

use model::schedule::{RetryPolicy, ScheduleContent, ScheduleId, ScheduleTarget, Timing};
use model::{AccountId, Region};
use serde_json::json;

use super::*;
use crate::transform::{is_path, unknown};

fn home() -> Home {
    Home {
        region: Region::parse("us-east-1").unwrap(),
        account: AccountId::parse("000000000000").unwrap(),
    }
}

fn run() -> Run {
    let id = RequestId::parse("01234567-89ab-4def-8123-456789abcdef").unwrap();
    Run { instant_ms: 1_804_377_600_000, id, attempt: 3 }
}

fn schedule(input: Option<&str>) -> Schedule {
    Schedule {
        id: ScheduleId::random(),
        path: "default/tea".to_owned(),
        created_ms: 0,
        modified_ms: 0,
        content: ScheduleContent {
            expression: "rate(1 hour)".to_owned(),
            zone: None,
            start_ms: None,
            end_ms: None,
            description: None,
            enabled: true,
            window_minutes: None,
            delete_after: false,
            target: ScheduleTarget {
                arn: String::new(),
                role: String::new(),
                input: input.map(str::to_owned),
                retry: RetryPolicy::default(),
            },
        },
        timing: Timing { anchor_ms: 0, since_ms: 0 },
        client_token: None,
    }
}

fn called_with(input: RuleInput) -> String {
    let target = RuleTarget {
        id: "t".to_owned(),
        arn: String::new(),
        role: None,
        input,
        max_age_s: None,
        max_attempts: None,
        since_ms: 0,
    };
    let rule = Rule {
        id: ScheduleId::random(),
        name: "tea".to_owned(),
        expression: "rate(1 hour)".to_owned(),
        description: None,
        role: None,
        enabled: true,
        tags: BTreeMap::new(),
        timing: Timing { anchor_ms: 0, since_ms: 0 },
        targets: Vec::new(),
    };
    of_rule(&home(), &rule, &target, run())
}

fn template(paths: &[(&str, &str)], template: &str) -> String {
    let paths = paths.iter().map(|(name, path)| ((*name).into(), (*path).into())).collect();
    called_with(RuleInput::Template { paths, template: template.to_owned() })
}

#[test]
fn a_rule_sends_aws_s_event_to_the_letter() {
    assert_eq!(
        called_with(RuleInput::Event),
        r#"{"version":"0","id":"01234567-89ab-4def-8123-456789abcdef","#.to_owned()
            + r#""detail-type":"Scheduled Event","source":"aws.events","account":"000000000000","#
            + r#""time":"2027-03-07T00:00:00Z","region":"us-east-1","#
            + r#""resources":["arn:aws:events:us-east-1:000000000000:rule/tea"],"detail":{}}"#
    );
}

#[test]
fn a_schedule_without_an_input_sends_an_event_whose_detail_is_a_string() {
    let event: Value = serde_json::from_str(&of_schedule(&home(), &schedule(None), run())).unwrap();
    assert_eq!(event["source"], "aws.scheduler");
    assert_eq!(event["detail"], "{}");
    let arn = "arn:aws:scheduler:us-east-1:000000000000:schedule/default/tea";
    assert_eq!(event["resources"], json!([arn]));
}

#[test]
fn a_schedule_s_input_is_sent_as_it_is_but_for_its_context_attributes() {
    let sent = |input| of_schedule(&home(), &schedule(Some(input)), run());
    assert_eq!(sent("{ \"a\":  1}"), "{ \"a\":  1}");
    let all = "[\"<aws.scheduler.schedule-arn>\", \"<aws.scheduler.scheduled-time>\", \
               \"<aws.scheduler.execution-id>\", <aws.scheduler.attempt-number>, \"<other>\"]";
    let sent: Value = serde_json::from_str(&sent(all)).unwrap();
    assert_eq!(
        sent,
        json!([
            "arn:aws:scheduler:us-east-1:000000000000:schedule/default/tea",
            "2027-03-07T00:00:00Z",
            "01234567-89ab-4def-8123-456789abcdef",
            3,
            "<other>"
        ])
    );
}

#[test]
fn a_rule_sends_a_constant_or_a_part_of_the_event() {
    assert_eq!(called_with(RuleInput::Constant("[1,  2]".to_owned())), "[1,  2]");
    let part = |path: &str| called_with(RuleInput::Part(path.to_owned()));
    assert_eq!(part("$.detail-type"), "\"Scheduled Event\"");
    assert_eq!(part("$['detail-type']"), "\"Scheduled Event\"");
    assert_eq!(part("$.detail"), "{}");
    assert_eq!(part("$.resources[0]"), "\"arn:aws:events:us-east-1:000000000000:rule/tea\"");
    assert_eq!(part("$.resources[1]"), "null");
    assert_eq!(part("$.nothing.here"), "null");
    let whole: Value = serde_json::from_str(&part("$")).unwrap();
    assert_eq!(whole["version"], "0");
}

#[test]
fn a_template_is_filled_as_text_within_strings_and_as_json_elsewhere() {
    let paths = [("time", "$.time"), ("all", "$.resources"), ("none", "$.nothing")];
    let filled =
        template(&paths, r#"{"at": <time>, "said": "at <time>: \"<all>\"", "no": <none>}"#);
    let filled: Value = serde_json::from_str(&filled).unwrap();
    let said = "at 2027-03-07T00:00:00Z: \
                \"[\"arn:aws:events:us-east-1:000000000000:rule/tea\"]\"";
    assert_eq!(filled, json!({"at": "2027-03-07T00:00:00Z", "said": said, "no": ""}));
    let reserved = template(
        &[],
        r#"[<aws.events.rule-arn>, "<aws.events.rule-name>", <aws.events.event>, "<aws.events.event.ingestion-time>"]"#,
    );
    let reserved: Value = serde_json::from_str(&reserved).unwrap();
    assert_eq!(reserved[0], "arn:aws:events:us-east-1:000000000000:rule/tea");
    assert_eq!(reserved[1], "tea");
    assert_eq!(reserved[2]["source"], "aws.events");
    assert_eq!(reserved[3], "2027-03-07T00:00:00Z");
    assert_eq!(template(&[], "\"1 < 2 <not one > <>\""), "\"1 < 2 <not one > <>\"");
}

#[test]
fn a_placeholder_without_a_value_and_a_path_that_is_none_are_found() {
    let paths = BTreeMap::from([("known".to_owned(), "$".to_owned())]);
    assert_eq!(unknown("<known> <aws.events.event>", &paths), None);
    assert_eq!(unknown("<known> <other> <third>", &paths), Some("other"));
    assert_eq!(unknown("<aws.events.other>", &paths), Some("aws.events.other"));
    for path in ["$", "$.a", "$.a.b[0].c", "$['a b'].c", "$[3]"] {
        assert!(is_path(path), "{path}");
    }
    for path in ["", "a", "$a", "$.", "$..a", "$.a[", "$.a[x]", "$.a[-1]", "$.*", "$['a", "$.a[]"] {
        assert!(!is_path(path), "{path}");
    }
}
