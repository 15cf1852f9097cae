"""Reserved concurrency through boto3.

Arguments: the name of a function that answers its event.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

(name,) = sys.argv[1:]
# A throttle is to be seen, not waited for.
client = boto3.client("lambda", config=Config(retries={"total_max_attempts": 1}))


def unreserved():
    limit = client.get_account_settings()["AccountLimit"]
    return limit["UnreservedConcurrentExecutions"]


def refused(call, **arguments):
    try:
        call(FunctionName=name, **arguments)
    except ClientError as err:
        return err.response
    raise AssertionError(f"{call} was not refused")


before = unreserved()
put = client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=3)
assert put["ReservedConcurrentExecutions"] == 3, put
assert unreserved() == before - 3
got = client.get_function_concurrency(FunctionName=name)
assert got["ReservedConcurrentExecutions"] == 3, got
shown = client.get_function(FunctionName=name)["Concurrency"]
assert shown == {"ReservedConcurrentExecutions": 3}, shown

answer = client.invoke(FunctionName=name, Payload=b"1")
assert answer["StatusCode"] == 200, answer

client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
throttled = refused(client.invoke, Payload=b"1")
beyond = refused(client.put_function_concurrency, ReservedConcurrentExecutions=10_000)

client.delete_function_concurrency(FunctionName=name)
assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)
assert "Concurrency" not in client.get_function(FunctionName=name)
assert unreserved() == before
answer = client.invoke(FunctionName=name, Payload=b"1")
assert answer["StatusCode"] == 200, answer

print(
    json.dumps(
        {
            "throttled": throttled["Error"],
            "reason": throttled.get("Reason"),
            "status": throttled["ResponseMetadata"]["HTTPStatusCode"],
            "retry_after": throttled["ResponseMetadata"]["HTTPHeaders"]["retry-after"],
            "beyond": beyond["Error"],
        }
    )
)
