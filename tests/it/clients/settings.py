"""Code signing, runtime management and recursion through boto3.

Arguments: the name of a function.
"""

import io
import json
import sys
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

(name,) = sys.argv[1:]
# What the server refuses is to be refused by the server.
client = boto3.client("lambda", config=Config(parameter_validation=False))


def refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError as err:
        return err.response
    raise AssertionError(f"{call} was not refused")


def code(response):
    return response["Error"]["Code"]


# Code signing.
publisher = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/profile/version"
config = client.create_code_signing_config(
    Description="who signs",
    AllowedPublishers={"SigningProfileVersionArns": [publisher]},
    CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"},
    Tags={"team": "a"},
)["CodeSigningConfig"]
arn = config["CodeSigningConfigArn"]
assert client.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"] == config
assert client.list_tags(Resource=arn)["Tags"] == {"team": "a"}
pages = client.get_paginator("list_code_signing_configs").paginate(PaginationConfig={"PageSize": 1})
assert config in [one for page in pages for one in page["CodeSigningConfigs"]]
client.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=arn)
got = client.get_function_code_signing_config(FunctionName=name)
assert (got["FunctionName"], got["CodeSigningConfigArn"]) == (name, arn), got
pages = client.get_paginator("list_functions_by_code_signing_config")
listed = [one for page in pages.paginate(CodeSigningConfigArn=arn) for one in page["FunctionArns"]]
assert listed == [client.get_function_configuration(FunctionName=name)["FunctionArn"]], listed
package = io.BytesIO()
with zipfile.ZipFile(package, "w") as archive:
    archive.writestr("app.py", "def handler(event, context):\n    return 2\n")
update = {"FunctionName": name, "ZipFile": package.getvalue()}
unsigned = refused(client.update_function_code, **update)
used = refused(client.delete_code_signing_config, CodeSigningConfigArn=arn)
changed = client.update_code_signing_config(
    CodeSigningConfigArn=arn, CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Warn"}
)["CodeSigningConfig"]
assert changed["AllowedPublishers"] == config["AllowedPublishers"], changed
client.update_function_code(**update)
client.get_waiter("function_updated_v2").wait(FunctionName=name)
client.delete_function_code_signing_config(FunctionName=name)
assert "CodeSigningConfigArn" not in client.get_function_code_signing_config(FunctionName=name)
client.delete_code_signing_config(CodeSigningConfigArn=arn)
gone = refused(client.get_code_signing_config, CodeSigningConfigArn=arn)

# Runtime management.
shown = client.get_runtime_management_config(FunctionName=name)
assert shown["UpdateRuntimeOn"] == "Auto" and "RuntimeVersionArn" not in shown, shown
configuration = client.get_function_configuration(FunctionName=name)
there = configuration["RuntimeVersionConfig"]["RuntimeVersionArn"]
put = client.put_runtime_management_config(
    FunctionName=name, UpdateRuntimeOn="Manual", RuntimeVersionArn=there
)
assert put["RuntimeVersionArn"] == there, put
shown = client.get_runtime_management_config(FunctionName=name)
assert (shown["UpdateRuntimeOn"], shown["RuntimeVersionArn"]) == ("Manual", there), shown
other_version = refused(
    client.put_runtime_management_config,
    FunctionName=name,
    UpdateRuntimeOn="Manual",
    RuntimeVersionArn="arn:aws:lambda:us-east-1::runtime:" + "0" * 64,
)

# Recursion.
assert client.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Terminate"
client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
assert client.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Allow"
wrong = refused(client.put_function_recursion_config, FunctionName=name, RecursiveLoop="Maybe")

print(
    json.dumps(
        {
            "unsigned": code(unsigned),
            "used": code(used),
            "gone": [code(gone), gone["ResponseMetadata"]["HTTPStatusCode"]],
            "other_version": code(other_version),
            "wrong_loop": code(wrong),
        }
    )
)
