"""Schedules and groups through boto3.

Arguments: name and ARN of a function that tells what it was called with.
"""

import datetime
import json
import sys

import boto3
from botocore.exceptions import ClientError

name, arn = sys.argv[1:]
client = boto3.client("scheduler")
role = "arn:aws:iam::000000000000:role/any"
off = {"Mode": "OFF"}


def refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError as err:
        return err.response["Error"]
    raise AssertionError(f"{call} was not refused")


# A group, its tags, and what is in it.
group = f"group-{name}"
made = client.create_schedule_group(Name=group, Tags=[{"Key": "team", "Value": "a"}])
group_arn = made["ScheduleGroupArn"]
assert client.get_schedule_group(Name=group)["State"] == "ACTIVE"
client.tag_resource(ResourceArn=group_arn, Tags=[{"Key": "more", "Value": "b"}])
client.untag_resource(ResourceArn=group_arn, TagKeys=["team"])
tags = client.list_tags_for_resource(ResourceArn=group_arn)["Tags"]
assert tags == [{"Key": "more", "Value": "b"}], tags
groups = client.get_paginator("list_schedule_groups").paginate(NamePrefix=group)
assert [one["Name"] for page in groups for one in page["ScheduleGroups"]] == [group]

# A schedule: made, looked at, changed, listed. It runs at once, and then every day.
target = {"Arn": arn, "RoleArn": role}
start = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
made = client.create_schedule(
    Name="daily",
    GroupName=group,
    ScheduleExpression="cron(0 8 ? * MON-FRI *)",
    ScheduleExpressionTimezone="Europe/Berlin",
    StartDate=start,
    Target=target,
    FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
    State="DISABLED",
)
shown = client.get_schedule(Name="daily", GroupName=group)
assert shown["Arn"] == made["ScheduleArn"], shown
assert abs(shown["StartDate"] - start) < datetime.timedelta(seconds=1), shown
assert shown["FlexibleTimeWindow"]["MaximumWindowInMinutes"] == 15, shown
conflict = refused(
    client.create_schedule,
    Name="daily",
    GroupName=group,
    ScheduleExpression="rate(1 day)",
    Target=target,
    FlexibleTimeWindow=off,
)
assert conflict["Code"] == "ConflictException", conflict
rate = client.update_schedule(
    Name="daily",
    GroupName=group,
    ScheduleExpression="rate(1 day)",
    Target=target,
    FlexibleTimeWindow=off,
)["ScheduleArn"]
pages = client.get_paginator("list_schedules").paginate(GroupName=group, State="ENABLED")
assert [one["Name"] for page in pages for one in page["Schedules"]] == ["daily"]

# One that runs once and deletes itself.
at = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)).strftime(
    "%Y-%m-%dT%H:%M:%S"
)
told = {
    "I": "was told",
    "by": "<aws.scheduler.schedule-arn>",
    "at": "<aws.scheduler.scheduled-time>",
}
once = client.create_schedule(
    Name="once-of-boto3",
    ScheduleExpression=f"at({at})",
    Target={**target, "Input": json.dumps(told)},
    FlexibleTimeWindow=off,
    ActionAfterCompletion="DELETE",
)["ScheduleArn"]

wrong = refused(
    client.create_schedule,
    Name="wrong",
    ScheduleExpression="rate(10 seconds)",
    Target=target,
    FlexibleTimeWindow=off,
)
assert wrong == {
    "Code": "ValidationException",
    "Message": "Invalid Schedule Expression rate(10 seconds).",
}, wrong

print(json.dumps({"rate": rate, "once": once, "at": at + "Z"}))
