"""As many processes as it gets, for so many seconds; then it leaves them behind."""

import os
import time


def handler(event, context):
    end = time.monotonic() + event["seconds"]
    while time.monotonic() < end:
        try:
            if os.fork() == 0:
                time.sleep(600)
                os._exit(0)
        except OSError:
            pass
    os._exit(1)
