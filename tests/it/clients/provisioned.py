"""Provisioned concurrency through boto3.

Arguments: the name of a function with a version 1 that answers with its initialisation type.
"""

import json
import sys
import time

import boto3
from botocore.exceptions import ClientError

(name,) = sys.argv[1:]
client = boto3.client("lambda")


def refused(call, **arguments):
    try:
        call(FunctionName=name, **arguments)
    except ClientError as err:
        return err.response["Error"]["Code"]
    raise AssertionError(f"{call} was not refused")


def ready():
    deadline = time.monotonic() + 60
    while True:
        got = client.get_provisioned_concurrency_config(FunctionName=name, Qualifier="1")
        if got["Status"] == "READY":
            return got
        assert got["Status"] == "IN_PROGRESS", got
        assert time.monotonic() < deadline, got
        time.sleep(0.02)


latest = refused(
    client.put_provisioned_concurrency_config,
    Qualifier="$LATEST",
    ProvisionedConcurrentExecutions=1,
)
put = client.put_provisioned_concurrency_config(
    FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=2
)
assert put["ResponseMetadata"]["HTTPStatusCode"] == 202, put
assert put["RequestedProvisionedConcurrentExecutions"] == 2, put
got = ready()
assert got["AvailableProvisionedConcurrentExecutions"] == 2, got
assert got["AllocatedProvisionedConcurrentExecutions"] == 2, got
assert "StatusReason" not in got, got

pages = client.get_paginator("list_provisioned_concurrency_configs").paginate(FunctionName=name)
listed = [one for page in pages for one in page["ProvisionedConcurrencyConfigs"]]
assert [one["Status"] for one in listed] == ["READY"], listed
assert listed[0]["FunctionArn"].endswith(f":function:{name}:1"), listed

answer = client.invoke(FunctionName=name, Qualifier="1", LogType="Tail", Payload=b"{}")
kind = json.loads(answer["Payload"].read())

client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="1")
gone = refused(client.get_provisioned_concurrency_config, Qualifier="1")
pages = client.get_paginator("list_provisioned_concurrency_configs").paginate(FunctionName=name)
assert [one for page in pages for one in page["ProvisionedConcurrencyConfigs"]] == []

print(json.dumps({"latest": latest, "gone": gone, "kind": kind, "log": answer["LogResult"]}))
