"""What a spare is warmed up with: a function that answers, and one that fails."""


def handler(event, context):
    if event == "fail":
        raise ValueError("a part of the rehearsal")
    return {"id": context.aws_request_id, "event": event}
