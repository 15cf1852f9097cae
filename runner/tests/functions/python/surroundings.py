"""Handlers that tell what they see."""

import os
import sys


def context(event, context):
    names = (
        "function_name",
        "function_version",
        "invoked_function_arn",
        "memory_limit_in_mb",
        "aws_request_id",
        "log_group_name",
        "log_stream_name",
        "tenant_id",
    )
    seen = {name: getattr(context, name) for name in names}
    seen["identity"] = [
        context.identity.cognito_identity_id,
        context.identity.cognito_identity_pool_id,
    ]
    client = context.client_context
    seen["client_context"] = client and {"custom": client.custom, "env": client.env}
    if client and client.client:
        fields = (
            "installation_id",
            "app_title",
            "app_version_name",
            "app_version_code",
            "app_package_name",
        )
        seen["client"] = {name: getattr(client.client, name) for name in fields}
    return seen


def remaining(event, context):
    return context.get_remaining_time_in_millis()


def shown(event, context):
    return repr(context)


def trace(event, context):
    return os.environ.get("_X_AMZN_TRACE_ID")


def path(event, context):
    return sys.path


def modules(event, context):
    return sorted(sys.modules)


def builtins(event, context):
    return [callable(exit), callable(quit), callable(help)]
