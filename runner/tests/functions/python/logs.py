"""Handlers that print and log."""

import sys


def prints(event, context):
    print("one line")
    print("to stderr", file=sys.stderr)
    print("no end", end="")
    return "printed"


def waits(event, context):
    print("before")
    with open(event) as fifo:
        return fifo.read()


def unprintable(event, context):
    print("half \ud83d of it")


def context_log(event, context):
    context.log("as it is")
    context.log(5)


def writes(event, context):
    print("x" * event)


def logs(event, context):
    import logging

    logger = logging.getLogger("mine")
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(logger, level)("a %s", level)
    logging.basicConfig(level="DEBUG")
    return len(logging.getLogger().handlers)


def raises(event, context):
    import logging

    try:
        1 / 0
    except ZeroDivisionError:
        logging.getLogger("mine").exception("it failed", extra={"order": 5})


def plain(event, context):
    import logging

    logging.warning("%s", event)


def structured(event, context):
    import logging

    logging.warning({"key": "value"})


def replaced(event, context):
    import io

    sys.stdout = io.StringIO()
    print("nowhere")
    return "answered"
