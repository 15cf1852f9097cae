"""Handlers that return things."""

import collections
import decimal
import enum
import typing


class Point(typing.NamedTuple):
    x: int
    y: int


Pair = collections.namedtuple("Pair", "left right")


class Color(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Record:
    def _asdict(self):
        return {"kind": "record"}


VALUES = {
    "nothing": None,
    "text": "grüße \u2028 \U0001f642",
    "half": "\ud83d",
    "numbers": [1, -2.5, 1e100, 10**30, True],
    "not_numbers": [float("nan"), float("inf"), -float("inf")],
    "decimals": [decimal.Decimal("1.10"), decimal.Decimal("NaN"), {"deep": decimal.Decimal("1E+5")}],
    "named": [Point(1, 2), {"pair": Pair("a", Point(3, 4))}],
    "tuples": (1, (2, ())),
    "enums": {Color.RED: Level.LOW, "list": [Color.RED]},
    "record": Record(),
    "bytes_inside": {b"key": b"value"},
    "keys": {1: 1, 2.5: 2, True: 3, None: 4},
    "ordered": collections.OrderedDict(b=1, a=2),
    "bytes": b"\x00\xffanything",
    "a_set": {"deep": [{1, 2}]},
    "a_key": {(1, 2): 3},
    "an_object": object,
    "broken_bytes": [b"\xff"],
    "a_generator": (i for i in ()),
}
VALUES["a_larger_circle"] = {"decimal": decimal.Decimal(1)}
VALUES["a_larger_circle"]["list"] = [VALUES["a_larger_circle"]]
VALUES["a_circle"] = []
VALUES["a_circle"].append(VALUES["a_circle"])


def value(event, context):
    return VALUES[event]


def letters(event, context):
    """As many as are asked for; asked for nothing, the most memory there ever was, KiB."""
    import resource

    if event is None:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return "x" * event


def echo(event, context):
    return event


def length(event, context):
    return len(event)


def size(event, context):
    # The quotation marks belong to the answer's size.
    return "x" * (event - 2)


def deep(event, context):
    value = []
    for _ in range(event):
        value = [value]
    return value


async def coroutine(event, context):
    return event


not_callable = 5
