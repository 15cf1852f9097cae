"""InvokeWithResponseStream through boto3.

Arguments: the name of a function that answers its event, and fails for 'fail'.
"""

import base64
import json
import sys

import boto3

(name,) = sys.argv[1:]
client = boto3.client("lambda")


def call(event, **arguments):
    """The payload, how many chunks it came in, and the event at the end."""
    payload = json.dumps(event)
    answer = client.invoke_with_response_stream(FunctionName=name, Payload=payload, **arguments)
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST"), answer
    chunks, ends = [], []
    for one in answer["EventStream"]:
        if "PayloadChunk" in one:
            chunks.append(one["PayloadChunk"]["Payload"])
        else:
            ends.append(one["InvokeComplete"])
    assert len(ends) == 1, ends
    return b"".join(chunks), len(chunks), ends[0]


event = "x" * 1_000_000
payload, count, complete = call(event)
assert count > 1, count
_, _, logged = call(1, LogType="Tail")
_, of_failed, failed = call("fail")

print(
    json.dumps(
        {
            "answered": json.loads(payload) == event,
            "complete": complete,
            "failed": failed,
            "chunks_of_failed": of_failed,
            "log": base64.b64decode(logged["LogResult"]).decode(),
        }
    )
)
