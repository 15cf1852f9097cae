"""Compiles a function's modules when its code is taken in, in a sandbox where nothing else happens.

Executed instead of the bootstrap, with the code at `/var/task` and nothing of its function known: no
name, no environment, no event. Nothing of the code runs; what the compiler makes of it goes to
descriptor 3 as one *pack*, and that is the end of the sandbox. Instances of functions with this code
find the pack at `/var/lang/compiled`, and `bootstrap.py` loads modules from it.

    link   8 bytes length of the pack (little endian) ── the pack ── end of file
    pack   4 bytes the interpreter's magic number ── 4 bytes length of the index ── index ── code
    index  marshalled: path of the source → (where from the end of the index, how many bytes)

A pack may lack any module: whoever imports one compiles it then, as if there were no pack. So a source
that does not compile is left out (its importer gets the error, with the words he knows), and so is what
does not fit. Whatever else happens to this process, there is simply no pack.

The interpreter runs with a fixed hash seed: the same code gives the same bytes.
"""

import marshal
import os
import stat
import sys
import time
import warnings
from importlib.util import MAGIC_NUMBER

LINK = 3
ROOT = "/var/task"
# `pool::compile::LARGEST`: most that is taken from us.
LARGEST_PACK = 64 << 20
# What the compiler makes of a source takes up to four hundred times its size of memory while it does
# (measured), and there are 512 MiB; a source of this size is a table that somebody generated.
LARGEST_SOURCE = 512 << 10
# Less than the ten seconds we are given: what has been compiled by then is worth having.
SECONDS = 8
# Imported last, if ever.
SELDOM = frozenset(("test", "tests", "testing", "examples", "docs"))


def sources(root):
    """Paths of all modules, those first that are imported most likely."""
    found = []
    for folder, _, names in os.walk(root):
        seldom = not SELDOM.isdisjoint(folder[len(root) :].split("/"))
        for name in names:
            if name.endswith(".py"):
                found.append((seldom, folder.count("/"), os.path.join(folder, name)))
    return [path for _, _, path in sorted(found)]


def brings_its_own(path):
    """Whether whoever packed the code compiled this module himself; that is then what he wants."""
    folder, name = os.path.split(path)
    compiled = "%s.%s.pyc" % (name[:-3], sys.implementation.cache_tag)
    return os.path.exists(os.path.join(folder, "__pycache__", compiled))


def code_of(path):
    """A module's code as it is kept; nothing if there is none."""
    if brings_its_own(path):
        return None
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_SOURCE:
                return None
            source = file.read()
        return marshal.dumps(compile(source, path, "exec", dont_inherit=True, optimize=0))
    except Exception:
        # Not Python, too deep, too large, in no known encoding: not ours to report.
        return None


def pack(root):
    """The parts of a pack of everything beneath `root` that fits."""
    until = time.monotonic() + SECONDS
    index, bodies, at, size = {}, [], 0, 0
    for path in sources(root):
        body = code_of(path)
        if body is not None:
            # An entry of the index takes its path and less than this beside it.
            size += len(body) + len(os.fsencode(path)) + 64
            if size > LARGEST_PACK - 64:
                break
            index[path] = at, len(body)
            bodies.append(body)
            at += len(body)
        if time.monotonic() > until:
            break
    table = marshal.dumps(index)
    return [MAGIC_NUMBER, len(table).to_bytes(4, "little"), table, *bodies]


def send(parts):
    """Everything, with its length before it."""
    for part in (sum(map(len, parts)).to_bytes(8, "little"), *parts):
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(LINK, rest) :]


if __name__ == "__main__":
    # Nobody would read them.
    warnings.simplefilter("ignore")
    send(pack(ROOT))
