"""A runtime client of a few lines, for tests that do what a real one would not.

`call` sends one request to the Runtime API; what follows this file in the package uses it.
"""

import http.client
import os

api = os.environ["AWS_LAMBDA_RUNTIME_API"]


def call(method, path, body=None, headers=None):
    """Status, headers (names in lower case) and body of one exchange."""
    connection = http.client.HTTPConnection(api)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content


def next_event():
    """Id and event of the next invocation."""
    _, headers, event = call("GET", "/2018-06-01/runtime/invocation/next")
    return headers["lambda-runtime-aws-request-id"], headers, event


def respond(request, body):
    """Status and body of posting an answer."""
    path = f"/2018-06-01/runtime/invocation/{request}/response"
    status, _, content = call("POST", path, body)
    return status, content
