"""EventBridge's rules through boto3.

Arguments: name and ARN of a function.
"""

import json
import sys

import boto3
from botocore.exceptions import ClientError

name, arn = sys.argv[1:]
client = boto3.client("events")
rule = f"rule-{name}"


def refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError as err:
        return err.response["Error"]
    raise AssertionError(f"{call} was not refused")


made = client.put_rule(
    Name=rule,
    ScheduleExpression="cron(0/15 * * * ? *)",
    State="DISABLED",
    Description="every quarter",
    Tags=[{"Key": "team", "Value": "a"}],
)
rule_arn = made["RuleArn"]
shown = client.describe_rule(Name=rule)
assert shown["State"] == "DISABLED" and shown["Description"] == "every quarter", shown
assert client.list_tags_for_resource(ResourceARN=rule_arn)["Tags"] == [
    {"Key": "team", "Value": "a"}
]
client.tag_resource(ResourceARN=rule_arn, Tags=[{"Key": "more", "Value": ""}])
client.untag_resource(ResourceARN=rule_arn, TagKeys=["team"])
client.enable_rule(Name=rule)
client.disable_rule(Name=rule)
rules = client.get_paginator("list_rules").paginate(NamePrefix=rule)
assert [one["State"] for page in rules for one in page["Rules"]] == ["DISABLED"]

targets = [
    {"Id": "plain", "Arn": arn},
    {"Id": "input", "Arn": arn, "Input": json.dumps({"a": 1})},
    {
        "Id": "template",
        "Arn": arn,
        "InputTransformer": {
            "InputPathsMap": {"at": "$.time"},
            "InputTemplate": '{"at": <at>}',
        },
        "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 600},
    },
]
put = client.put_targets(Rule=rule, Targets=targets)
assert put["FailedEntryCount"] == 0, put
pages = client.get_paginator("list_targets_by_rule").paginate(Rule=rule)
assert [one for page in pages for one in page["Targets"]] == targets
assert client.list_rule_names_by_target(TargetArn=arn)["RuleNames"] == [rule]

invalid = refused(client.put_rule, Name=rule, ScheduleExpression="rate(1 hours)")
pattern = refused(client.put_rule, Name=rule, EventPattern='{"source": ["aws.s3"]}')
in_use = refused(client.delete_rule, Name=rule)
assert in_use["Code"] == "ValidationException", in_use
removed = client.remove_targets(Rule=rule, Ids=[one["Id"] for one in targets])
assert removed["FailedEntryCount"] == 0, removed
client.delete_rule(Name=rule)
gone = refused(client.describe_rule, Name=rule)
assert gone["Code"] == "ResourceNotFoundException", gone

print(json.dumps({"invalid": invalid, "pattern": pattern}))
