//! EventBridge's rules: from PutRule to DeleteRule, and everything that is refused.

use axum::body::Body;
use http::{Request, StatusCode};
use schedules::Changed;
use serde_json::{Value, json};

use super::server::{ARN, ROLE, Reply, Server};

const RULE: &str = "arn:aws:events:us-east-1:000000000000:rule";

async fn call(server: &Server, operation: &str, body: Value) -> Reply {
    let request = Request::builder()
        .method("POST")
        .uri("/")
        .header("host", "localhost")
        .header("x-amz-target", format!("AWSEvents.{operation}"))
        .header("content-type", "application/x-amz-json-1.1");
    server.send(request.body(Body::from(body.to_string())).unwrap()).await
}

async fn put(server: &Server, name: &str) {
    let body = json!({ "Name": name, "ScheduleExpression": "rate(5 minutes)" });
    let put = call(server, "PutRule", body).await;
    assert_eq!(put.json(), json!({ "RuleArn": format!("{RULE}/{name}") }));
}

fn target(id: &str) -> Value {
    json!({ "Id": id, "Arn": format!("{ARN}:f") })
}

/// Puts one target with these members on the rule `r`.
async fn put_target(server: &Server, members: Value) -> Reply {
    let mut target = target("t");
    for (name, value) in members.as_object().unwrap() {
        target[name] = value.clone();
    }
    call(server, "PutTargets", json!({ "Rule": "r", "Targets": [target] })).await
}

#[tokio::test]
async fn a_rule_goes_through_its_life() {
    let server = Server::open();
    let rich = json!({
        "Name": "r", "ScheduleExpression": "cron(0 12 * * ? *)", "Description": "noon",
        "State": "DISABLED", "RoleArn": ROLE, "EventBusName": "default",
        "Tags": [{ "Key": "a", "Value": "" }],
    });
    let put = call(&server, "PutRule", rich).await;
    assert_eq!(put.header("content-type"), Some("application/x-amz-json-1.1"));
    assert_eq!(put.json(), json!({ "RuleArn": format!("{RULE}/r") }));
    let shown = json!({
        "Name": "r", "Arn": format!("{RULE}/r"), "State": "DISABLED", "Description": "noon",
        "ScheduleExpression": "cron(0 12 * * ? *)", "RoleArn": ROLE, "EventBusName": "default",
        "CreatedBy": "000000000000",
    });
    assert_eq!(call(&server, "DescribeRule", json!({ "Name": "r" })).await.json(), shown);
    let arn = json!({ "ResourceARN": format!("{RULE}/r") });
    let tags = call(&server, "ListTagsForResource", arn.clone()).await.json();
    assert_eq!(tags, json!({ "Tags": [{ "Key": "a", "Value": "" }] }));

    let enabled = call(&server, "EnableRule", json!({ "Name": "r" })).await;
    assert_eq!((enabled.status, enabled.body.len()), (StatusCode::OK, 0));
    let listed = call(&server, "ListRules", json!({ "NamePrefix": "r" })).await.json();
    assert_eq!(listed["Rules"][0]["State"], "ENABLED");
    assert_eq!(listed.get("NextToken"), None);
    call(&server, "DisableRule", json!({ "Name": "r" })).await;

    // What is left out is gone, but for tags.
    let again = json!({ "Name": "r", "ScheduleExpression": "rate(1 day)" });
    call(&server, "PutRule", again).await;
    let shown = call(&server, "DescribeRule", json!({ "Name": "r" })).await.json();
    assert_eq!((shown.get("Description"), shown.get("RoleArn")), (None, None));
    assert_eq!(shown["State"], "ENABLED");
    let more = json!({ "ResourceARN": arn["ResourceARN"], "Tags": [{ "Key": "b", "Value": "1" }] });
    assert_eq!(call(&server, "TagResource", more).await.json(), json!({}));
    let less = json!({ "ResourceARN": arn["ResourceARN"], "TagKeys": ["a"] });
    assert_eq!(call(&server, "UntagResource", less).await.json(), json!({}));
    let tags = call(&server, "ListTagsForResource", arn).await.json();
    assert_eq!(tags, json!({ "Tags": [{ "Key": "b", "Value": "1" }] }));

    let deleted = call(&server, "DeleteRule", json!({ "Name": "r", "Force": true })).await;
    assert_eq!((deleted.status, deleted.body.len()), (StatusCode::OK, 0));
    // Of one that is not there, as AWS does.
    assert_eq!(call(&server, "DeleteRule", json!({ "Name": "r" })).await.status, StatusCode::OK);
    assert!(server.changes().iter().all(|changed| *changed == Changed::Rule("r".to_owned())));
}

#[tokio::test]
async fn targets_are_put_shown_and_taken_away() {
    let server = Server::open();
    put(&server, "r").await;
    let targets = json!([
        { "Id": "plain", "Arn": format!("{ARN}:f"), "RoleArn": ROLE },
        { "Id": "input", "Arn": format!("{ARN}:f:live"), "Input": "{\"a\": 1}" },
        { "Id": "path", "Arn": format!("{ARN}:f"), "InputPath": "$.detail" },
        { "Id": "template", "Arn": format!("{ARN}:f"), "InputTransformer": {
            "InputPathsMap": { "at": "$.time" }, "InputTemplate": "{\"at\": <at>}" } },
        { "Id": "retry", "Arn": format!("{ARN}:f"),
          "RetryPolicy": { "MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60 } },
    ]);
    let done = json!({ "FailedEntryCount": 0, "FailedEntries": [] });
    let body = json!({ "Rule": "r", "Targets": targets });
    assert_eq!(call(&server, "PutTargets", body).await.json(), done);
    let listed = call(&server, "ListTargetsByRule", json!({ "Rule": "r" })).await.json();
    assert_eq!(listed, json!({ "Targets": targets }));
    let mut found = Vec::new();
    let mut token = Value::Null;
    loop {
        let mut body = json!({ "Rule": "r", "Limit": 2 });
        if !token.is_null() {
            body["NextToken"] = token;
        }
        let page = call(&server, "ListTargetsByRule", body).await.json();
        found.extend(page["Targets"].as_array().unwrap().clone());
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(Value::from(found), targets);

    let sixth = json!({ "Rule": "r", "Targets": [target("sixth")] });
    let refused = call(&server, "PutTargets", sixth).await.json();
    assert_eq!(refused["__type"], "LimitExceededException");
    assert_eq!(refused["message"], "The requested resource exceeds the maximum number allowed.");
    let in_use = call(&server, "DeleteRule", json!({ "Name": "r" })).await;
    in_use.refused(400, "ValidationException", "Rule can't be deleted since it has targets.");

    put(&server, "other").await;
    let by = json!({ "TargetArn": format!("{ARN}:f") });
    let names = call(&server, "ListRuleNamesByTarget", by).await.json();
    assert_eq!(names, json!({ "RuleNames": ["r"] }));
    let ids = json!({ "Rule": "r", "Ids": ["plain", "input", "path", "template", "none"] });
    assert_eq!(call(&server, "RemoveTargets", ids).await.json(), done);
    let left = call(&server, "ListTargetsByRule", json!({ "Rule": "r" })).await.json();
    assert_eq!(left["Targets"][0]["Id"], "retry");
    assert_eq!(left["Targets"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn lists_of_rules_go_page_by_page() {
    let server = Server::open();
    for number in 0..5 {
        put(&server, &format!("r{number}")).await;
    }
    let first = call(&server, "ListRules", json!({ "Limit": 3 })).await.json();
    assert_eq!(first["Rules"].as_array().unwrap().len(), 3);
    let rest = json!({ "Limit": 3, "NextToken": first["NextToken"] });
    let rest = call(&server, "ListRules", rest).await.json();
    assert_eq!(rest["Rules"][1]["Name"], "r4");
    assert_eq!(rest.get("NextToken"), None);
    let strange = call(&server, "ListRules", json!({ "NextToken": "~" })).await;
    strange.refused(400, "ValidationException", "Parameter NextToken is not valid.");
    for limit in [0, 101] {
        let refused = call(&server, "ListRules", json!({ "Limit": limit })).await.error();
        assert!(refused.2.contains("at 'limit'"), "{}", refused.2);
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_not_to_be() {
    let server = Server::open();
    let not_found = "ResourceNotFoundException";
    let message = "Rule none does not exist on EventBus default.";
    for operation in ["DescribeRule", "EnableRule", "DisableRule"] {
        let none = call(&server, operation, json!({ "Name": "none" })).await;
        none.refused(400, not_found, message);
        assert_eq!(none.json()["__type"], not_found);
    }
    for (operation, body) in [
        ("PutTargets", json!({ "Rule": "none", "Targets": [target("t")] })),
        ("RemoveTargets", json!({ "Rule": "none", "Ids": ["t"] })),
        ("ListTargetsByRule", json!({ "Rule": "none" })),
        ("ListTagsForResource", json!({ "ResourceARN": format!("{RULE}/none") })),
        ("TagResource", json!({ "ResourceARN": format!("{RULE}/none"), "Tags": [] })),
    ] {
        call(&server, operation, body).await.refused(400, not_found, message);
    }
    let other = json!({ "ResourceARN": "arn:aws:events:us-east-1:000000000000:event-bus/default" });
    let other = call(&server, "ListTagsForResource", other).await.error();
    assert_eq!((other.0, other.1.as_str()), (400, not_found));
    for operation in ["ListRules", "DescribeRule"] {
        let body = json!({ "Name": "r", "EventBusName": "mine" });
        let refused = call(&server, operation, body).await;
        refused.refused(400, not_found, "Event bus mine does not exist.");
    }
    let unknown = call(&server, "PutEvents", json!({})).await.json();
    assert_eq!(unknown["__type"], "UnknownOperationException");
}

#[tokio::test]
async fn rules_that_cannot_be_are_refused_in_aws_s_words() {
    let server = Server::open();
    let refuse = async |members: Value| -> String {
        let mut body = json!({ "Name": "r", "ScheduleExpression": "rate(1 minute)" });
        for (name, value) in members.as_object().unwrap() {
            match value {
                Value::Null => drop(body.as_object_mut().unwrap().remove(name)),
                value => body[name] = value.clone(),
            }
        }
        let refused = call(&server, "PutRule", body).await.error();
        assert_eq!((refused.0, refused.1.as_str()), (400, "ValidationException"), "{members}");
        refused.2
    };
    for expression in [
        "rate(1 minutes)",
        "rate(10 minute)",
        "rate(10 MINUTES)",
        "rate(10 seconds)",
        "rate( 10 minutes )",
        " rate(10 minutes)",
        "cron(0 1 * * * *)",
        "cron(*/60 * * * ? *)",
        "cron(15 12 ? * -1 *)",
        "at(2030-01-01T00:00:00)",
        "x",
    ] {
        let said = refuse(json!({ "ScheduleExpression": expression })).await;
        assert_eq!(said, "Parameter ScheduleExpression is not valid.", "{expression}");
    }
    let nothing = "Parameter(s) EventPattern or ScheduleExpression must be specified.";
    assert_eq!(refuse(json!({ "ScheduleExpression": null })).await, nothing);
    assert_eq!(refuse(json!({ "ScheduleExpression": "" })).await, nothing);
    let pattern = "{\"source\": [\"aws.s3\"]}";
    let both = refuse(json!({ "EventPattern": pattern })).await;
    assert!(both.starts_with("EventPattern is not available on this server"), "{both}");
    let alone = refuse(json!({ "EventPattern": pattern, "ScheduleExpression": null })).await;
    assert_eq!(both, alone);
    let elsewhere = refuse(json!({ "EventBusName": "mine" })).await;
    assert_eq!(elsewhere, "ScheduleExpression is supported only on the default event bus.");
    let trail = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS";
    assert!(refuse(json!({ "State": trail })).await.contains("Use ENABLED."));
    let long = "x".repeat(2000);
    for (members, at) in [
        (json!({ "Name": null }), "name"),
        (json!({ "Name": "a b" }), "name"),
        (json!({ "Name": "x".repeat(65) }), "name"),
        (json!({ "ScheduleExpression": long }), "scheduleExpression"),
        (json!({ "Description": long }), "description"),
        (json!({ "RoleArn": long }), "roleArn"),
        (json!({ "RoleArn": "" }), "roleArn"),
        (json!({ "State": "ON" }), "state"),
        (json!({ "Tags": [{ "Key": "", "Value": "v" }] }), "tags.1.member.key"),
        (json!({ "Tags": [{ "Key": "k" }] }), "tags.1.member.value"),
        (json!({ "EventBusName": "a b", "ScheduleExpression": null }), "eventBusName"),
    ] {
        let said = refuse(members).await;
        assert!(said.starts_with("1 validation error detected: Value"), "{said}");
        assert!(said.contains(&format!(" at '{at}' ")), "{at}: {said}");
    }
    let broken = call(&server, "PutRule", json!({ "Name": 1 })).await.json();
    assert_eq!(broken["__type"], "SerializationException");
}

#[tokio::test]
async fn targets_that_cannot_be_are_refused_and_none_is_put() {
    let server = Server::open();
    put(&server, "r").await;
    let queue = "arn:aws:sqs:us-east-1:000000000000:q";
    let many: serde_json::Map<_, _> = (0..101).map(|n| (format!("n{n}"), json!("$"))).collect();
    let transformer = |paths: Value, template: &str| json!({ "InputTransformer": { "InputPathsMap": paths, "InputTemplate": template } });
    for (members, says) in [
        (json!({ "Arn": queue }), "targets are functions of its account and region."),
        (json!({ "Arn": "f" }), "Parameter f is not valid. Reason: Provided Arn is not in correct"),
        (
            json!({ "Arn": "arn:aws:lambda:us-east-1:111111111111:function:f" }),
            "Provided Arn is not in the account and region of this server.",
        ),
        (json!({ "DeadLetterConfig": { "Arn": queue } }), "it has no queues."),
        (json!({ "EcsParameters": { "TaskDefinitionArn": "t" } }), "of other services"),
        (json!({ "Input": "{" }), "JSON syntax error in Input for target t"),
        (json!({ "Input": "{}", "InputPath": "$" }), "Only one of Input, InputPath, or"),
        (json!({ "InputPath": "detail" }), "Invalid InputPath for target t: 'detail'."),
        (transformer(json!({ "a": "time" }), "<a>"), "Invalid InputPathsMap for target t"),
        (transformer(json!({}), "\"<a>\""), "contains placeholder a which is not defined"),
        (transformer(json!({}), "no JSON"), "JSON syntax error in InputTemplate for target t"),
        (transformer(json!({ "a b": "$" }), "1"), "Map keys must satisfy constraint"),
        (transformer(Value::Object(many), "1"), "less than or equal to 100"),
        (transformer(json!({}), ""), "inputTransformer.inputTemplate"),
        (json!({ "Id": "a b" }), "'targets.1.member.id'"),
        (json!({ "Input": "1".repeat(8193) }), "'targets.1.member.input'"),
        (json!({ "RetryPolicy": { "MaximumRetryAttempts": 186 } }), "maximumRetryAttempts"),
        (json!({ "RetryPolicy": { "MaximumEventAgeInSeconds": 59 } }), "maximumEventAgeInSeconds"),
    ] {
        let refused = put_target(&server, members).await.error();
        assert_eq!((refused.0, refused.1.as_str()), (400, "ValidationException"), "{says}");
        assert!(refused.2.contains(says), "{says}: {}", refused.2);
    }
    for body in [json!({ "Rule": "r" }), json!({ "Rule": "r", "Targets": [] })] {
        let refused = call(&server, "PutTargets", body).await.error();
        assert!(refused.2.contains("at 'targets'"), "{}", refused.2);
    }
    let good_and_bad = json!([target("good"), { "Id": "bad", "Arn": queue }]);
    let body = json!({ "Rule": "r", "Targets": good_and_bad });
    assert_eq!(call(&server, "PutTargets", body).await.error().0, 400);
    let listed = call(&server, "ListTargetsByRule", json!({ "Rule": "r" })).await.json();
    assert_eq!(listed, json!({ "Targets": [] }));
    // From the other side.
    let most = json!({ "Input": format!("{}1", " ".repeat(8191)) });
    assert_eq!(put_target(&server, most).await.status, StatusCode::OK);
}
