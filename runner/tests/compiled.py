"""Packs the modules in a folder, or says what a function sees that imports one, with a pack or without.

    compiled.py pack FOLDER PACK
    compiled.py probe FOLDER PACK MODULE
"""

import importlib.util
import inspect
import json
import os
import sys
import traceback

PYTHON = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "python")


def load(name):
    """A program of ours, without its part that runs."""
    spec = importlib.util.spec_from_file_location(name, os.path.join(PYTHON, name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pack(folder, path):
    compiler = load("compile")
    # Large enough is what takes the machine a moment; these are what a test waits for.
    compiler.LARGEST_PACK = int(os.environ.get("LARGEST_PACK", compiler.LARGEST_PACK))
    compiler.LARGEST_SOURCE = int(os.environ.get("LARGEST_SOURCE", compiler.LARGEST_SOURCE))
    compiler.SECONDS = float(os.environ.get("SECONDS", compiler.SECONDS))
    with open(path, "wb") as file:
        file.writelines(compiler.pack(folder))


def shown(err):
    lines = traceback.format_exception(type(err), err, err.__traceback__)
    return "".join(lines).replace(__file__, "PROBE")


def probe(folder, path, name):
    bootstrap = load("bootstrap")
    bootstrap.settings.task_root = folder
    sys.path.insert(0, folder)
    bootstrap.use_compiled(path)
    listing = sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)
    answer = {"descriptors": len(os.listdir("/proc/self/fd")), "listing": listing}
    try:
        module = importlib.import_module(name)
    except BaseException as err:
        return {**answer, "failed": shown(err)}
    loader = module.__loader__
    # The only thing that may tell: whose code gave the module's.
    packed = loader.get_code.__code__.co_filename.endswith("bootstrap.py")
    answer["module"] = {
        "packed": packed,
        "file": module.__file__,
        "cached": module.__cached__,
        "origin": module.__spec__.origin,
        "parent": module.__spec__.parent,
        "path": list(getattr(module, "__path__", ())),
        "loader": [type(loader).__name__, type(loader).__qualname__, type(loader).__module__],
        "is": [cls.__name__ for cls in type(loader).__mro__ if cls.__name__ != "SourceFileLoader"],
        "source": inspect.getsource(module),
        "doc": module.__doc__,
        "values": {key: it for key, it in vars(module).items() if type(it) in (int, str, list)},
        "descriptors": len(os.listdir("/proc/self/fd")),
    }
    try:
        module.fail()
    except Exception as err:
        answer["traceback"] = shown(err)
    return answer


if sys.argv[1] == "pack":
    pack(*sys.argv[2:])
else:
    print(json.dumps(probe(*sys.argv[2:])))
