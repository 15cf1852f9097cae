"""Compiles the modules named on standard input, while an image is made.

One per line: source, where the result goes, the path that tracebacks will show; separated by tabs.
The results are never checked against their sources again: in an image, neither changes.
"""

import py_compile
import sys

for line in sys.stdin:
    source, result, shown = line.rstrip("\n").split("\t")
    try:
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(source, result, shown, doraise=True, invalidation_mode=mode)
    except py_compile.PyCompileError as err:
        # Nothing that does not compile can be imported, by whomever: it is left as it is.
        print("%s: %s" % (shown, err.msg.strip().splitlines()[-1]), file=sys.stderr)
