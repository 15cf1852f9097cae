"""Ignores every signal and never answers."""

import signal

for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)


def handler(event, context):
    while True:
        signal.pause()
