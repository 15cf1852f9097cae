"""Aliases through boto3, from the first version to the end.

Arguments: the name of a function that answers with its version and the ARN it was invoked by, and a
package with the same code and one more comment.
"""

import base64
import json
import sys
from urllib.request import Request, urlopen

import boto3
from botocore.exceptions import ClientError

name, package, triggers = sys.argv[1:]
client = boto3.client("lambda")


def refused(call, **arguments):
    try:
        call(**{"FunctionName": name, **arguments})
    except ClientError as err:
        error = err.response["Error"]
        return [error["Code"], error["Message"]]
    raise AssertionError(f"{call} was not refused")


def call(qualified, **arguments):
    answer = client.invoke(FunctionName=qualified, Payload=b"{}", **arguments)
    version, arn = json.loads(answer["Payload"].read())
    assert answer["ExecutedVersion"] == version, answer
    return version, arn.split(":function:")[1]


first = client.publish_version(FunctionName=name)
again = client.publish_version(FunctionName=name)
assert again["Version"] == first["Version"] == "1", again
assert again["RevisionId"] == first["RevisionId"], again
code = base64.b64decode(package)
changed = client.update_function_code(FunctionName=name, ZipFile=code)
client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
second = client.publish_version(FunctionName=name, CodeSha256=changed["CodeSha256"])
assert second["Version"] == "2" and second["CodeSha256"] != first["CodeSha256"], second
versions = client.get_paginator("list_versions_by_function").paginate(
    FunctionName=name, PaginationConfig={"PageSize": 1}
)
versions = [one["Version"] for page in versions for one in page["Versions"]]
assert versions == ["$LATEST", "1", "2"], versions

live = client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
assert live["ResponseMetadata"]["HTTPStatusCode"] == 201, live
assert live["AliasArn"].endswith(f":function:{name}:live"), live
assert live["Description"] == "" and "RoutingConfig" not in live, live
for qualified in (f"{name}:live", live["AliasArn"]):
    assert call(qualified) == ("1", f"{name}:live")
assert call(name, Qualifier="live") == ("1", f"{name}:live")
assert call(name) == ("$LATEST", name)
shown = client.get_function_configuration(FunctionName=name, Qualifier="live")
assert shown["FunctionArn"] == live["AliasArn"] and shown["Version"] == "1", shown

divided = client.update_alias(
    FunctionName=name,
    Name="live",
    RevisionId=live["RevisionId"],
    RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}},
)
assert divided["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.5}}, divided
# A fair coin would fall on one side every time once in 10^30 runs.
assert {call(f"{name}:live")[0] for _ in range(100)} == {"1", "2"}
stale = refused(client.update_alias, Name="live", RevisionId=live["RevisionId"])
deleting = refused(client.delete_function, Qualifier="2")
tagging = refused(lambda FunctionName: client.tag_resource(Resource=live["AliasArn"], Tags={"a": "b"}))
two = refused(
    client.update_alias,
    Name="live",
    RoutingConfig={"AdditionalVersionWeights": {"2": 0.1, "3": 0.1}},
)
moved = client.update_alias(FunctionName=name, Name="live", FunctionVersion="2", RoutingConfig={})
assert moved["FunctionVersion"] == "2" and "RoutingConfig" not in moved, moved
assert call(f"{name}:live") == ("2", f"{name}:live")

client.add_permission(
    FunctionName=name,
    Qualifier="live",
    StatementId="public",
    Action="lambda:InvokeFunctionUrl",
    Principal="*",
    FunctionUrlAuthType="NONE",
)
url = client.create_function_url_config(FunctionName=name, Qualifier="live", AuthType="NONE")
assert url["FunctionArn"] == live["AliasArn"], url
host = url["FunctionUrl"].removeprefix("http://").rstrip("/")
answer = json.load(urlopen(Request(f"http://{triggers}/", headers={"host": host})))
assert answer == ["2", live["AliasArn"]], answer

for other in ("beta", "gamma"):
    client.create_alias(FunctionName=name, Name=other, FunctionVersion="1", Description="d")
pages = client.get_paginator("list_aliases").paginate(
    FunctionName=name, PaginationConfig={"PageSize": 2}
)
listed = [alias["Name"] for page in pages for alias in page["Aliases"]]
assert listed == ["beta", "gamma", "live"], listed
only = client.list_aliases(FunctionName=name, FunctionVersion="2")["Aliases"]
assert [alias["Name"] for alias in only] == ["live"], only

client.delete_alias(FunctionName=name, Name="live")
gone = refused(client.get_alias, Name="live")
calling = refused(client.invoke, Qualifier="live")
client.delete_function(FunctionName=name, Qualifier="2")

print(
    json.dumps(
        {
            "stale": stale,
            "deleting": deleting,
            "tagging": tagging,
            "two": two,
            "gone": gone,
            "calling": calling,
        }
    )
)
