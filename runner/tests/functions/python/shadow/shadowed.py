"""Lies beside files named like modules of the standard library."""

import decimal
import json
import logging
import queue
import traceback


def handler(event, context):
    logging.error("logged")
    return [json.dumps(event), str(decimal.Decimal("1.5")), queue.OWN, traceback.__name__]


def fails(event, context):
    raise ValueError("reported")
