"""Writes and syncs without end, for so many seconds, and leaves a full /tmp and stubborn processes behind."""

import os
import signal
import time


def stay():
    os.setsid()
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    time.sleep(600)
    os._exit(0)


def handler(event, context):
    end = time.monotonic() + event["seconds"]
    library = os.open(os.__file__, os.O_RDONLY)
    number = 0
    while time.monotonic() < end:
        try:
            with open(f"/tmp/{number}", "wb") as file:
                file.write(bytes(8192))
                file.flush()
                os.fsync(file.fileno())
            number += 1
        except OSError:
            pass
        os.fsync(library)
        try:
            os.sync()
        except OSError:
            pass
    for _ in range(200):
        if os.fork() == 0:
            stay()
    os._exit(1)
