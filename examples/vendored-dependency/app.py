"""A function that uses a package lying beside it in the same zip."""

from greeting import greet


def handler(event, context):
    query = event.get("queryStringParameters") or event
    return {"message": greet(query.get("name", "world"), query.get("language", "en"))}
