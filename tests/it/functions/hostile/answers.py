"""Says what is no answer, on the link itself, and hangs up."""

import os


def handler(event, context):
    try:
        os.write(3, os.urandom(65536))
        os.close(3)
    finally:
        os._exit(1)
