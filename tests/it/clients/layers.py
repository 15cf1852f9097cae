"""Layers through boto3: published, listed, given to a function, called, deleted.

Arguments: a name for the layers and the function, a runtime of Python.
"""

import io
import json
import sys
import zipfile

import boto3
from botocore.exceptions import ClientError

name, runtime = sys.argv[1:]
client = boto3.client("lambda")


def archive(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as writer:
        for path, (text, mode) in files.items():
            info = zipfile.ZipInfo(path)
            info.external_attr = (0o100000 | mode) << 16
            writer.writestr(info, text)
    return out.getvalue()


def refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError as err:
        return err.response["Error"]["Code"], err.response["Error"]["Message"]
    raise AssertionError(f"{call} was not refused")


first = {
    "python/shared_by_both.py": ("WHICH = 'first'\n", 0o644),
    f"python/lib/{runtime}/site-packages/deep/__init__.py": ("WHICH = 'first'\n", 0o644),
    "bin/tool-of-a-layer": ("#!/bin/sh\nprintf first\n", 0o755),
    "hidden/below": ("first", 0o644),
    # Nobody starts extensions here; nothing fails because there are some.
    "extensions/agent": ("#!/bin/sh\nexit 1\n", 0o755),
}
second = {
    "python/shared_by_both.py": ("WHICH = 'second'\n", 0o644),
    "hidden": ("a file now", 0o644),
}
arns = []
for layer, files in (("first", first), ("second", second)):
    published = client.publish_layer_version(
        LayerName=f"{name}-{layer}",
        Description=f"the {layer} one",
        Content={"ZipFile": archive(files)},
        CompatibleRuntimes=[runtime],
        CompatibleArchitectures=["x86_64"],
    )
    assert published["ResponseMetadata"]["HTTPStatusCode"] == 201, published
    assert published["Version"] == 1, published
    got = client.get_layer_version(LayerName=f"{name}-{layer}", VersionNumber=1)
    assert got["Content"]["CodeSha256"] == published["Content"]["CodeSha256"], got
    assert got["Description"] == f"the {layer} one", got
    arns.append(published["LayerVersionArn"])

pages = client.get_paginator("list_layers").paginate(PaginationConfig={"PageSize": 1})
listed = [layer["LayerName"] for page in pages for layer in page["Layers"]]
assert {f"{name}-first", f"{name}-second"} <= set(listed), listed

source = f"""
import os
import subprocess

try:
    import deep
    import shared_by_both
except ImportError:
    shared_by_both = None

def handler(event, context):
    if shared_by_both is None:
        return "no layer"
    tool = subprocess.run(["tool-of-a-layer"], capture_output=True, text=True).stdout
    hidden = "file" if os.path.isfile("/opt/hidden") else "folder"
    return {{"shared": shared_by_both.WHICH, "deep": deep.WHICH, "tool": tool, "hidden": [hidden]}}
"""
created = client.create_function(
    FunctionName=name,
    Runtime=runtime,
    Handler="app.handler",
    Role="arn:aws:iam::000000000000:role/r",
    Code={"ZipFile": archive({"app.py": (source, 0o644)})},
    Layers=arns,
)
assert [layer["Arn"] for layer in created["Layers"]] == arns, created
client.get_waiter("function_active_v2").wait(FunctionName=name)


def call():
    answer = client.invoke(FunctionName=name, Payload=b"{}")
    assert "FunctionError" not in answer, answer["Payload"].read()
    return json.loads(answer["Payload"].read())


said = call()

# Deleted is for those who would use it now; who does already, goes on.
for layer in ("first", "second"):
    client.delete_layer_version(LayerName=f"{name}-{layer}", VersionNumber=1)
    gone = refused(client.get_layer_version, LayerName=f"{name}-{layer}", VersionNumber=1)
    assert gone[0] == "ResourceNotFoundException", gone
code, message = refused(
    client.update_function_configuration, FunctionName=name, Layers=[arns[0]]
)
assert (code, message) == (
    "InvalidParameterValueException",
    f"Layer version {arns[0]} does not exist.",
), message
client.update_function_configuration(FunctionName=name, Timeout=9)
client.get_waiter("function_updated_v2").wait(FunctionName=name)
said["after deletion"] = call()["shared"]

client.update_function_configuration(FunctionName=name, Layers=[])
client.get_waiter("function_updated_v2").wait(FunctionName=name)
assert "Layers" not in client.get_function_configuration(FunctionName=name)
said["without"] = call()

client.delete_function(FunctionName=name)
print(json.dumps(said))
