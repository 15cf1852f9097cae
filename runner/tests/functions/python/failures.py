"""Handlers that fail."""

import resource


class Custom(Exception):
    pass


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("no text")


def divide(event, context):
    return inner(event)


def inner(value):
    return value / 0


def custom(event, context):
    raise Custom(event)


def unspeakable(event, context):
    raise Unspeakable


def endless(event, context):
    return endless(event, context)


def long(event, context):
    raise Custom("\x01" * event)


def caused(event, context):
    try:
        inner(1)
    except ZeroDivisionError as err:
        raise Custom("outer") from err


def without_descriptors(event, context):
    # As when a handler has used up all that it may open.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        open("/dev/null")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))


def silent(event, context):
    import sys

    sys.stdout.close()
    raise Custom("nobody reads it")
