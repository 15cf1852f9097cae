"""Prints without end, for so many seconds: short lines, empty lines, one line that never ends."""

import os
import time

PIECES = (b"x" * 99 + b"\n") * 655, b"\n" * 65536, b"y" * 65536


def handler(event, context):
    end = time.monotonic() + event["seconds"]
    while time.monotonic() < end:
        for piece in PIECES:
            for _ in range(16):
                os.write(1, piece)
    return "said"
