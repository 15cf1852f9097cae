"""One function's whole life through boto3, waiting as boto3's own waiters wait.

Arguments: a name, a runtime identifier, a handler, two deployment packages. Both packages answer
{"name": "Ada"} with a greeting that holds "Ada"; the second one's greeting differs.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

import boto3

name, runtime, handler, first, second = sys.argv[1:]
first, second = Path(first).read_bytes(), Path(second).read_bytes()
client = boto3.client("lambda")


def digest(package):
    return base64.b64encode(hashlib.sha256(package).digest()).decode()


def invoke(**more):
    answer = client.invoke(FunctionName=name, Payload=json.dumps({"name": "Ada"}), **more)
    body = answer["Payload"].read().decode()
    assert "FunctionError" not in answer, (answer, body)
    assert answer["StatusCode"] == 200, answer
    return answer, body


# Create, and wait as a deployment tool does.
created = client.create_function(
    FunctionName=name,
    Runtime=runtime,
    Handler=handler,
    Role="arn:aws:iam::000000000000:role/any",
    Code={"ZipFile": first},
    Environment={"Variables": {"COLOUR": "green"}},
    MemorySize=256,
    Timeout=20,
    Tags={"team": "tests"},
)
assert created["ResponseMetadata"]["HTTPStatusCode"] == 201, created
assert created["State"] == "Pending", created
assert created["StateReasonCode"] == "Creating", created
assert "LastUpdateStatus" not in created, created
assert created["CodeSha256"] == digest(first), created
assert created["CodeSize"] == len(first), created
assert created["Version"] == "$LATEST", created
client.get_waiter("function_exists").wait(FunctionName=name)
client.get_waiter("function_active_v2").wait(FunctionName=name)
active = client.get_function(FunctionName=name)
assert active["Configuration"]["LastUpdateStatus"] == "Successful", active
assert active["Configuration"]["RevisionId"] != created["RevisionId"], active
assert active["Tags"] == {"team": "tests"}, active

answer, greeting = invoke()
assert "Ada" in greeting, greeting
assert answer["ExecutedVersion"] == "$LATEST", answer

# Publish, then change: the version keeps what it was.
published = client.publish_version(FunctionName=name, CodeSha256=digest(first))
assert published["Version"] == "1", published
assert published["FunctionArn"].endswith(f":function:{name}:1"), published
again = client.publish_version(FunctionName=name)
assert again["Version"] == "1", "nothing changed, so there is nothing to publish"

updated = client.update_function_code(FunctionName=name, ZipFile=second)
assert updated["LastUpdateStatus"] == "InProgress", updated
client.get_waiter("function_updated_v2").wait(FunctionName=name)
_, changed = invoke()
assert changed != greeting, (changed, greeting)
answer, kept = invoke(Qualifier="1")
assert kept == greeting, (kept, greeting)
assert answer["ExecutedVersion"] == "1", answer

client.update_function_configuration(FunctionName=name, MemorySize=320, Description="described")
client.get_waiter("function_updated_v2").wait(FunctionName=name)
configuration = client.get_function_configuration(FunctionName=name)
assert configuration["MemorySize"] == 320, configuration
assert configuration["Description"] == "described", configuration
assert configuration["Environment"] == {"Variables": {"COLOUR": "green"}}, configuration

# List.
versions = client.list_versions_by_function(FunctionName=name)["Versions"]
assert [version["Version"] for version in versions] == ["$LATEST", "1"], versions
pages = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1})
assert name in [function["FunctionName"] for page in pages for function in page["Functions"]]

# Tag.
arn = active["Configuration"]["FunctionArn"]
client.tag_resource(Resource=arn, Tags={"stage": "beta"})
assert client.list_tags(Resource=arn)["Tags"] == {"team": "tests", "stage": "beta"}
client.untag_resource(Resource=arn, TagKeys=["team"])
assert client.list_tags(Resource=arn)["Tags"] == {"stage": "beta"}

# What Terraform asks beside all that.
reserved = client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=5)
assert reserved["ReservedConcurrentExecutions"] == 5, reserved
signing = client.get_function_code_signing_config(FunctionName=name)
assert signing["FunctionName"] == name, signing
dry = client.invoke(FunctionName=name, InvocationType="DryRun")
assert dry["StatusCode"] == 204, dry

# Delete.
gone = client.delete_function(FunctionName=name)
assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204, gone
try:
    client.get_function(FunctionName=name)
    raise AssertionError("the function is still there")
except client.exceptions.ResourceNotFoundException as error:
    message = error.response["Error"]["Message"]
    assert message == f"Function not found: {arn}", message

print(json.dumps({"first": greeting, "second": changed}))
