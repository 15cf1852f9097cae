"""Asynchronous invocation through boto3.

Arguments: the names of two functions; the second is told how events of the first ended.
"""

import json
import sys

import boto3
from botocore.exceptions import ClientError

first, second = sys.argv[1:]
client = boto3.client("lambda")
arns = {
    name: client.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    for name in (first, second)
}


def refused(call, **arguments):
    try:
        call(FunctionName=first, **arguments)
    except ClientError as err:
        return err.response["Error"]
    raise AssertionError(f"{call} was not refused")


def invoke(event):
    answer = client.invoke(FunctionName=first, InvocationType="Event", Payload=json.dumps(event))
    assert answer["StatusCode"] == 202, answer
    assert answer["Payload"].read() == b"", answer
    assert "ExecutedVersion" not in answer and "FunctionError" not in answer, answer
    return answer["ResponseMetadata"]["RequestId"]


def told(on, name):
    return {on: {"Destination": arns[name]}}


gone = refused(client.get_function_event_invoke_config)["Code"]
itself = refused(
    client.put_function_event_invoke_config, DestinationConfig=told("OnSuccess", first)
)["Message"]
both = told("OnSuccess", second) | told("OnFailure", second)
put = client.put_function_event_invoke_config(
    FunctionName=first, MaximumRetryAttempts=0, DestinationConfig=both
)
assert put["DestinationConfig"] == both, put
assert put["FunctionArn"] == arns[first] + ":$LATEST", put
assert put["LastModified"].year >= 2024, put
update = client.update_function_event_invoke_config(
    FunctionName=first, MaximumEventAgeInSeconds=3600
)
assert (update["MaximumRetryAttempts"], update["MaximumEventAgeInSeconds"]) == (0, 3600), update
listed = client.list_function_event_invoke_configs(FunctionName=first)
assert len(listed["FunctionEventInvokeConfigs"]) == 1, listed

success = invoke({"ok": True})
failure = invoke({"fail": True})
answer = client.invoke_async(FunctionName=first, InvokeArgs=b'{"other": 1}')
assert answer["Status"] == 202, answer
by_another_name = answer["ResponseMetadata"]["RequestId"]

too_long = refused(client.invoke, InvocationType="Event", Payload=json.dumps("x" * 1048576))
assert too_long["Code"] == "RequestEntityTooLargeException", too_long
assert "for the Event invocation type (limit 1048576 bytes)" in too_long["Message"], too_long

# What was accepted before is delivered before the function is closed: it ends in its log.
waits = boto3.client("logs")
while True:
    events = waits.filter_log_events(logGroupName=f"/aws/lambda/{first}")["events"]
    text = "".join(event["message"] for event in events)
    if all(f"END RequestId: {id}" in text for id in (success, failure, by_another_name)):
        break
client.put_function_concurrency(FunctionName=first, ReservedConcurrentExecutions=0)
closed = invoke({"never": True})
print(
    json.dumps(
        {
            "success": success,
            "failure": failure,
            "closed": closed,
            "by_another_name": by_another_name,
            "gone": gone,
            "itself": itself,
        }
    )
)
