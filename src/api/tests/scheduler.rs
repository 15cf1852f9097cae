//! EventBridge Scheduler: schedules, groups, tags, and everything that is refused.

use http::StatusCode;
use schedules::Changed;
use serde_json::{Value, json};

use super::server::{ARN, ROLE, Server};
use crate::server::now_ms;

const SCHEDULE: &str = "arn:aws:scheduler:us-east-1:000000000000:schedule";
const GROUP: &str = "arn:aws:scheduler:us-east-1:000000000000:schedule-group";

/// What creates a schedule.
fn hourly() -> Value {
    json!({
        "ScheduleExpression": "rate(1 hour)",
        "Target": { "Arn": format!("{ARN}:f"), "RoleArn": ROLE },
        "FlexibleTimeWindow": { "Mode": "OFF" },
    })
}

/// The same with other members; `null` takes one away. A path goes into objects: `Target.Arn`.
fn with(members: Value) -> Value {
    let mut all = hourly();
    for (path, value) in members.as_object().unwrap() {
        let (object, member) = match path.split_once('.') {
            None => (&mut all, path.as_str()),
            Some((object, member)) => (&mut all[object], member),
        };
        match value {
            Value::Null => drop(object.as_object_mut().unwrap().remove(member)),
            value => object[member] = value.clone(),
        }
    }
    all
}

async fn create(server: &Server, name: &str, body: Value) {
    let created = server.call("POST", &format!("/schedules/{name}"), body).await;
    assert_eq!(created.status, StatusCode::OK, "{created:?}");
}

#[tokio::test]
async fn a_schedule_is_shown_as_it_was_made_with_aws_s_defaults() {
    let server = Server::open();
    let created = server.call("POST", "/schedules/tea", hourly()).await;
    assert_eq!(created.json(), json!({ "ScheduleArn": format!("{SCHEDULE}/default/tea") }));
    assert_eq!(server.changes(), [Changed::Schedule("default/tea".to_owned())]);
    let mut shown = server.get("/schedules/tea").await.json();
    let made = shown["CreationDate"].as_f64().unwrap();
    assert!((now_ms() as f64 / 1000.0 - made).abs() < 60.0);
    assert_eq!(shown["LastModificationDate"], shown["CreationDate"]);
    shown.as_object_mut().unwrap().retain(|name, _| !name.ends_with("ionDate"));
    assert_eq!(
        shown,
        json!({
            "Arn": format!("{SCHEDULE}/default/tea"),
            "GroupName": "default",
            "Name": "tea",
            "ScheduleExpression": "rate(1 hour)",
            "ScheduleExpressionTimezone": "UTC",
            "State": "ENABLED",
            "Target": {
                "Arn": format!("{ARN}:f"),
                "RoleArn": ROLE,
                "RetryPolicy": { "MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185 },
            },
            "FlexibleTimeWindow": { "Mode": "OFF" },
            "ActionAfterCompletion": "NONE",
        })
    );
}

#[tokio::test]
async fn an_update_says_everything_anew() {
    let server = Server::open();
    let start = now_ms() / 1000 + 60;
    let rich = with(json!({
        "ScheduleExpression": "cron(0 8 ? * MON-FRI *)",
        "ScheduleExpressionTimezone": "Europe/Berlin",
        "StartDate": start as f64 + 0.5,
        "EndDate": start + 3600,
        "Description": "tea",
        "State": "DISABLED",
        "FlexibleTimeWindow": { "Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1440 },
        "ActionAfterCompletion": "DELETE",
        "Target.Input": "{\"at\": \"<aws.scheduler.scheduled-time>\"}",
        "Target.Arn": format!("{ARN}:f:live"),
        "Target.RetryPolicy": { "MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0 },
    }));
    create(&server, "tea", rich.clone()).await;
    let shown = server.get("/schedules/tea").await.json();
    for (name, value) in rich.as_object().unwrap() {
        // Dates are fractions everywhere; the numbers are the same.
        let same = match value.as_f64() {
            Some(number) => shown[name].as_f64() == Some(number),
            None => shown[name] == *value,
        };
        assert!(same, "{name}: {}", shown[name]);
    }
    let updated = server.call("PUT", "/schedules/tea", hourly()).await;
    assert_eq!(updated.json(), json!({ "ScheduleArn": format!("{SCHEDULE}/default/tea") }));
    let shown = server.get("/schedules/tea").await.json();
    for gone in ["StartDate", "EndDate", "Description"] {
        assert_eq!(shown.get(gone), None);
    }
    assert_eq!(shown["State"], "ENABLED");
    assert_eq!(shown["Target"]["RetryPolicy"]["MaximumRetryAttempts"], 185);
    assert_eq!(server.changes().len(), 2);
}

#[tokio::test]
async fn a_deleted_schedule_is_gone_and_another_may_have_its_name() {
    let server = Server::open();
    create(&server, "tea", hourly()).await;
    let deleted = server.call("DELETE", "/schedules/tea?clientToken=t", Value::Null).await;
    assert_eq!((deleted.status, deleted.json()), (StatusCode::OK, json!({})));
    for (method, body) in [("GET", Value::Null), ("DELETE", Value::Null), ("PUT", hourly())] {
        let gone = server.call(method, "/schedules/tea", body).await;
        gone.refused(404, "ResourceNotFoundException", "Schedule tea does not exist.");
        assert!(gone.json()["Message"].is_string(), "as the model spells it");
    }
    create(&server, "tea", hourly()).await;
    let again = server.call("POST", "/schedules/tea", hourly()).await;
    again.refused(409, "ConflictException", "Schedule tea already exists.");
}

#[tokio::test]
async fn the_same_request_again_is_answered_like_the_first() {
    let server = Server::open();
    let marked = with(json!({ "ClientToken": "one" }));
    create(&server, "tea", marked.clone()).await;
    create(&server, "tea", marked).await;
    let other = server.call("POST", "/schedules/tea", with(json!({ "ClientToken": "two" }))).await;
    assert_eq!(other.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn groups_hold_schedules_and_take_them_along() {
    let server = Server::open();
    let tagged = json!({ "Tags": [{ "Key": "a", "Value": "b" }], "ClientToken": "t" });
    let created = server.call("POST", "/schedule-groups/g", tagged).await;
    assert_eq!(created.json(), json!({ "ScheduleGroupArn": format!("{GROUP}/g") }));
    let again = server.call("POST", "/schedule-groups/g", json!({})).await;
    again.refused(409, "ConflictException", "Schedule group g already exists.");
    create(&server, "tea", with(json!({ "GroupName": "g" }))).await;
    create(&server, "tea", hourly()).await;
    let shown = server.get("/schedules/tea?groupName=g").await.json();
    assert_eq!(shown["Arn"], format!("{SCHEDULE}/g/tea"));
    let group = server.get("/schedule-groups/g").await.json();
    assert_eq!((&group["Name"], &group["State"]), (&json!("g"), &json!("ACTIVE")));
    let groups = server.get("/schedule-groups").await.json();
    let names: Vec<_> = groups["ScheduleGroups"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 2);
    assert_eq!(names[0]["Name"], "default");
    let some = server.get("/schedule-groups?NamePrefix=g").await.json();
    assert_eq!(some["ScheduleGroups"].as_array().unwrap().len(), 1);

    server.changes();
    let deleted = server.call("DELETE", "/schedule-groups/g", Value::Null).await;
    assert_eq!((deleted.status, deleted.json()), (StatusCode::OK, json!({})));
    assert_eq!(server.changes(), [Changed::Group("g".to_owned())]);
    let gone = server.get("/schedules/tea?groupName=g").await;
    gone.refused(404, "ResourceNotFoundException", "Schedule group g does not exist.");
    assert_eq!(server.get("/schedules/tea").await.status, StatusCode::OK);
    let gone = server.call("POST", "/schedules/x", with(json!({ "GroupName": "g" }))).await;
    gone.refused(404, "ResourceNotFoundException", "Schedule group g does not exist.");
    let default = server.call("DELETE", "/schedule-groups/default", Value::Null).await;
    let message = "The default schedule group can not be deleted.";
    default.refused(400, "ValidationException", message);
}

#[tokio::test]
async fn only_groups_have_tags() {
    let server = Server::open();
    server.call("POST", "/schedule-groups/g", json!({})).await;
    // One client encodes the slash, another does not.
    let encoded = format!("/tags/{}", format!("{GROUP}/g").replace('/', "%2F"));
    let plain = format!("/tags/{GROUP}/g");
    let tags = json!({ "Tags": [{ "Key": "a", "Value": "1" }, { "Key": "b", "Value": "2" }] });
    let tagged = server.call("POST", &encoded, tags.clone()).await;
    assert_eq!((tagged.status, tagged.json()), (StatusCode::OK, json!({})));
    assert_eq!(server.get(&plain).await.json(), tags);
    let untag = format!("{encoded}?TagKeys=a&TagKeys=none");
    server.call("DELETE", &untag, Value::Null).await;
    let left = server.get(&encoded).await.json();
    assert_eq!(left, json!({ "Tags": [{ "Key": "b", "Value": "2" }] }));

    let schedule = server.get(&format!("/tags/{SCHEDULE}%2Fdefault%2Ftea")).await;
    assert_eq!(schedule.error().0, 400);
    assert!(schedule.error().2.contains("schedule-group\\/[0-9a-zA-Z-_.]+"));
    let other = format!("{GROUP}/none");
    let none = server.get(&format!("/tags/{other}")).await;
    none.refused(404, "ResourceNotFoundException", "Schedule group none does not exist.");
    let empty = json!({ "Tags": [{ "Key": "", "Value": "" }] });
    let refused = server.call("POST", &encoded, empty).await;
    let message = refused.error().2;
    assert!(message.starts_with("2 validation errors detected: Value '' at 'tags.1.member.key'"));
}

#[tokio::test]
async fn lists_go_page_by_page_and_by_group_prefix_and_state() {
    let server = Server::open();
    server.call("POST", "/schedule-groups/g", json!({})).await;
    for number in 0..5 {
        create(&server, &format!("a{number}"), hourly()).await;
    }
    create(&server, "b", with(json!({ "State": "DISABLED" }))).await;
    create(&server, "a9", with(json!({ "GroupName": "g" }))).await;
    let names = |page: &Value| -> Vec<String> {
        let all = page["Schedules"].as_array().unwrap().iter();
        all.map(|one| one["Name"].as_str().unwrap().to_owned()).collect()
    };
    let of = async |query: &str| names(&server.get(&format!("/schedules{query}")).await.json());
    assert_eq!(of("").await.len(), 7);
    assert_eq!(of("?NamePrefix=a").await.len(), 6);
    assert_eq!(of("?ScheduleGroup=g").await, ["a9"]);
    assert_eq!(of("?State=DISABLED").await, ["b"]);
    assert_eq!(of("?State=ENABLED&ScheduleGroup=default&NamePrefix=a4").await, ["a4"]);
    let mut found = Vec::new();
    let mut query = "?MaxResults=2".to_owned();
    loop {
        let page = server.get(&format!("/schedules{query}")).await.json();
        found.extend(names(&page));
        let Some(token) = page["NextToken"].as_str() else { break };
        query = format!("?MaxResults=2&NextToken={token}");
    }
    assert_eq!(found.len(), 7);
    let first = server.get("/schedules?MaxResults=1").await.json();
    let mut members: Vec<_> = first["Schedules"][0].as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(
        members,
        ["Arn", "CreationDate", "GroupName", "LastModificationDate", "Name", "State", "Target"]
    );

    for (query, at) in [
        ("?MaxResults=0", "maxResults"),
        ("?MaxResults=101", "maxResults"),
        ("?State=OTHER", "state"),
        ("?NamePrefix=%20", "namePrefix"),
        ("?ScheduleGroup=a/b", "groupName"),
    ] {
        let refused = server.get(&format!("/schedules{query}")).await.error();
        assert_eq!((refused.0, refused.1.as_str()), (400, "ValidationException"));
        assert!(refused.2.contains(&format!("at '{at}'")), "{}", refused.2);
    }
    for query in ["?MaxResults=x", "?NextToken=~"] {
        assert_eq!(server.get(&format!("/schedules{query}")).await.error().0, 400, "{query}");
    }
    let none = server.get("/schedules?ScheduleGroup=none").await;
    none.refused(404, "ResourceNotFoundException", "Schedule group none does not exist.");
}

#[tokio::test]
async fn expressions_of_every_wrong_shape_are_refused_in_aws_s_words() {
    let server = Server::open();
    for expression in [
        "cron(0 1 * * * *)",
        "cron(7 20 * * NOT *)",
        "cron(71 8 1 * ? *)",
        "cron()",
        "rate(10 seconds)",
        "rate(0 minutes)",
        "rate( 10 minutes )",
        " rate(10 minutes)",
        "at(2021-12-31T23:59:59Z)",
        "at(2021-12-31)",
        "every day",
    ] {
        let body = with(json!({ "ScheduleExpression": expression }));
        let refused = server.call("POST", "/schedules/tea", body).await;
        let message = format!("Invalid Schedule Expression {expression}.");
        refused.refused(400, "ValidationException", &message);
    }
    // In the past, and taken: AWS does so.
    create(&server, "past", with(json!({ "ScheduleExpression": "at(2021-12-31T23:59:59)" }))).await;
    let elsewhere = with(json!({ "ScheduleExpressionTimezone": "Europe/Atlantis" }));
    let refused = server.call("POST", "/schedules/tea", elsewhere).await;
    let message = "Invalid Schedule Expression Timezone Europe/Atlantis.";
    refused.refused(400, "ValidationException", message);
}

#[tokio::test]
async fn everything_that_breaks_the_model_is_told_at_once() {
    let server = Server::open();
    let refused = server.call("POST", "/schedules/a%20b", json!({})).await;
    let pattern = "Member must satisfy regular expression pattern: [0-9a-zA-Z-_.]+";
    let null = "failed to satisfy constraint: Member must not be null";
    refused.refused(
        400,
        "ValidationException",
        &format!(
            "4 validation errors detected: Value 'a b' at 'name' failed to satisfy constraint: \
             {pattern}; Value null at 'scheduleExpression' {null}; Value null at 'target' {null}; \
             Value null at 'flexibleTimeWindow' {null}"
        ),
    );
    let long = "x".repeat(2000);
    for (members, at) in [
        (json!({ "GroupName": "a/b" }), "groupName"),
        (json!({ "ScheduleExpression": long }), "scheduleExpression"),
        (json!({ "ScheduleExpression": "" }), "scheduleExpression"),
        (json!({ "Description": long }), "description"),
        (json!({ "ScheduleExpressionTimezone": long }), "scheduleExpressionTimezone"),
        (json!({ "State": "ON" }), "state"),
        (json!({ "ActionAfterCompletion": "KEEP" }), "actionAfterCompletion"),
        (json!({ "ClientToken": "a b" }), "clientToken"),
        (json!({ "Target.Arn": null }), "target.arn"),
        (json!({ "Target.Arn": long }), "target.arn"),
        (json!({ "Target.RoleArn": null }), "target.roleArn"),
        (json!({ "Target.RoleArn": "r" }), "target.roleArn"),
        (json!({ "Target.Input": "" }), "target.input"),
        (json!({ "FlexibleTimeWindow": {} }), "flexibleTimeWindow.mode"),
        (json!({ "FlexibleTimeWindow": { "Mode": "ON" } }), "flexibleTimeWindow.mode"),
        (
            json!({ "FlexibleTimeWindow": { "Mode": "FLEXIBLE", "MaximumWindowInMinutes": 0 } }),
            "flexibleTimeWindow.maximumWindowInMinutes",
        ),
        (
            json!({ "FlexibleTimeWindow": { "Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1441 } }),
            "flexibleTimeWindow.maximumWindowInMinutes",
        ),
        (
            json!({ "Target.RetryPolicy": { "MaximumEventAgeInSeconds": 59 } }),
            "target.retryPolicy.maximumEventAgeInSeconds",
        ),
        (
            json!({ "Target.RetryPolicy": { "MaximumEventAgeInSeconds": 86401 } }),
            "target.retryPolicy.maximumEventAgeInSeconds",
        ),
        (
            json!({ "Target.RetryPolicy": { "MaximumRetryAttempts": 186 } }),
            "target.retryPolicy.maximumRetryAttempts",
        ),
    ] {
        let refused = server.call("POST", "/schedules/tea", with(members)).await.error();
        assert_eq!((refused.0, refused.1.as_str()), (400, "ValidationException"), "{at}");
        assert!(refused.2.starts_with("1 validation error detected: "), "{}", refused.2);
        assert!(refused.2.contains(&format!(" at '{at}' ")), "{at}: {}", refused.2);
    }
    let number = server.call("POST", "/schedules/tea", with(json!({ "State": 1 }))).await;
    assert_eq!(number.error().1, "SerializationException");
}

#[tokio::test]
async fn what_this_server_has_not_is_refused_and_not_ignored() {
    let server = Server::open();
    let now = now_ms() / 1000;
    let queue = "arn:aws:sqs:us-east-1:000000000000:q";
    let served = "targets are functions of its account and region.";
    for (members, says) in [
        (json!({ "Target.Arn": queue }), served),
        (json!({ "Target.Arn": "arn:aws:scheduler:::aws-sdk:lambda:invoke" }), served),
        (json!({ "Target.Arn": "f" }), "Provided Arn is not in correct format."),
        (json!({ "Target.Arn": format!("{ARN}:f:a:b") }), "Provided Arn is not in correct format."),
        (
            json!({ "Target.Arn": "arn:aws:lambda:eu-west-1:000000000000:function:f" }),
            "Provided Arn is not in the account and region of this server",
        ),
        (json!({ "Target.DeadLetterConfig": { "Arn": queue } }), "it has no queues."),
        (json!({ "Target.SqsParameters": { "MessageGroupId": "m" } }), "other services"),
        (json!({ "KmsKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k" }), "it has no KMS."),
        (json!({ "Target.Input": "no JSON" }), "Input is not valid JSON"),
        (json!({ "Target.Input": "[<aws.scheduler.schedule-arn>]" }), "Input is not valid JSON"),
        (json!({ "FlexibleTimeWindow": { "Mode": "FLEXIBLE" } }), "MaximumWindowInMinutes must be"),
        (
            json!({ "FlexibleTimeWindow": { "Mode": "OFF", "MaximumWindowInMinutes": 1 } }),
            "MaximumWindowInMinutes must not be",
        ),
        (json!({ "StartDate": now - 301 }), "cannot be earlier than 5 minutes ago."),
        (json!({ "StartDate": now + 10, "EndDate": now + 10 }), "must come after the StartDate."),
        (json!({ "EndDate": now - 1 }), "cannot be in the past."),
    ] {
        let refused = server.call("POST", "/schedules/tea", with(members)).await.error();
        assert_eq!((refused.0, refused.1.as_str()), (400, "ValidationException"), "{says}");
        assert!(refused.2.contains(says), "{says}: {}", refused.2);
    }
    assert!(server.changes().is_empty());
    // From the other side.
    create(&server, "a", with(json!({ "StartDate": now - 290, "EndDate": now + 60 }))).await;
    create(&server, "b", with(json!({ "Target.DeadLetterConfig": {} }))).await;
    create(&server, "c", with(json!({ "Target.Input": "<aws.scheduler.attempt-number>" }))).await;
    // One that runs once has no use for dates, as on AWS.
    let once = json!({ "ScheduleExpression": "at(2030-01-01T00:00:00)", "EndDate": 1 });
    create(&server, "d", with(once)).await;
}
