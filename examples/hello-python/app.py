"""A function in Python: it greets whoever the event or the URL's query names."""

import json


def handler(event, context):
    query = event.get("queryStringParameters") or {}
    name = query.get("name") or event.get("name") or "world"
    print(f"greeting {name}")
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"message": f"Hello, {name}!"}),
    }
