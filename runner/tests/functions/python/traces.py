"""Tells everything by which a function could find out how its process was started, but for /proc."""

import sys

# What a template's copy has of its template, and nobody else.
OF_TEMPLATES = ("ahead", "closures", "tops", "spent", "heavy", "filler")
# What is there before this module imports anything.
MODULES = sorted(sys.modules)
HOOKS = [type(hook).__name__ for hook in sys.meta_path]
CACHED = sorted(sys.path_importer_cache)

import builtins
import os


def everything(event, context):
    import gc
    import signal
    import time
    import warnings

    program = sys.modules["__main__"]
    return {
        "modules": MODULES,
        "finders": HOOKS,
        "path importers": CACHED,
        "path": sys.path,
        "path hooks": list(map(repr_of, sys.path_hooks)),
        "environment": dict(os.environ),
        "of the C library": environment_of_the_c_library(),
        "folder": os.getcwd(),
        "arguments": sys.argv,
        "all arguments": getattr(sys, "orig_argv", None),
        "flags": repr(sys.flags),
        "options": [sys.warnoptions, {key: str(it) for key, it in sys._xoptions.items()}],
        "program": {
            name: repr_of(value)
            for name, value in sorted(vars(program).items())
            if name not in (*OF_TEMPLATES, "settings", "__doc__")
            and not isinstance(value, frozenset)
        },
        "of the program": sorted(
            {
                value.__module__
                for value in vars(program).values()
                if isinstance(getattr(value, "__module__", None), str)
            }
        ),
        "builtins": sorted(vars(builtins)),
        "context": [type(context).__module__, sorted(vars(context))],
        "filters": [(action, kind.__name__) for action, _, kind, *_ in warnings.filters],
        "collector": [gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.callbacks],
        "signals": [repr(signal.getsignal(number)) for number in (1, 2, 13, 15, 17)],
        "masked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "zone": [time.tzname, time.timezone, time.strftime("%H %Z", time.localtime(0))],
        "streams": [
            [it.fileno(), it.encoding, it.errors, it.line_buffering, it.name, it.mode]
            for it in (sys.stdout, sys.stderr, sys.stdin)
        ],
        "same streams": [sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
        "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))[:4],
        "mask": "%o" % os.umask(0o22),
        "recursion": sys.getrecursionlimit(),
        "switching": sys.getswitchinterval(),
        "hooks": [sys.gettrace(), sys.getprofile(), sys.excepthook is sys.__excepthook__],
        "import": repr_of(builtins.__import__),
        "error": list(map(repr, sys.exc_info())),
        "last": hasattr(sys, "last_type"),
        "compiled": sys.dont_write_bytecode,
    }


def repr_of(value):
    return repr(value).partition(" at 0x")[0]


def environment_of_the_c_library():
    import ctypes

    def get(name):
        call = ctypes.CDLL(None).getenv
        call.restype = ctypes.c_char_p
        value = call(name)
        return value and value.decode()

    return [get(name) for name in (b"TZ", b"TABLE", b"PATH", b"REHEARSAL_1", b"_HANDLER")]


def imports(event, context):
    """Imports a module; what is there then and was not before, and where it comes from."""
    before = set(sys.modules)
    __import__(event)
    module = sys.modules[event]
    after = {name: sys.modules[name] for name in sorted(set(sys.modules) - before)}
    return {
        "new": list(after),
        "files": {name: getattr(it, "__file__", None) for name, it in after.items()},
        "specs": {
            name: [repr_of(it.__spec__), type(it.__spec__.loader).__name__]
            for name, it in after.items()
            if getattr(it, "__spec__", None) is not None
        },
        "attributes": sorted(vars(module)),
    }


def looks(event, context):
    """Looks for a module without importing it."""
    import importlib.util

    spec = importlib.util.find_spec(event)
    return [spec.name, spec.origin, spec.cached, spec.has_location, bool(spec.loader.get_code(event))]


def logging(event, context):
    import logging

    record = logging.makeLogRecord({})
    record = logging.LogRecord("n", 10, "p", 1, "m", (), None)
    handlers = [type(it).__name__ for it in logging.root.handlers]
    return [handlers, record.relativeCreated < 5000, logging.root.level]


def random(event, context):
    """What must be another function's in no case."""
    import multiprocessing
    import random
    import ssl
    import tempfile
    import uuid

    return {
        "random": random.getrandbits(64),
        "name": next(tempfile._get_candidate_names()),
        "key": multiprocessing.current_process().authkey.hex(),
        "node": uuid._node,
        "openssl": ssl.RAND_bytes(8).hex(),
        "uuid": str(uuid.uuid4()),
    }


def own(event, context):
    import ctypes
    import time

    call = ctypes.CDLL(None).getenv
    call.restype = ctypes.c_char_p
    return {
        "bytes": list(os.environb[b"BYTES"]),
        "of c": list(call(b"BYTES")),
        "empty": os.environ["EMPTY"],
        "long": len(os.environ["LONG"]),
        "hour": time.localtime(0).tm_hour,
        "zone": time.tzname[0],
    }
