"""What Python functions are forked from: the bootstrap, with modules imported ahead of time.

    template.py MODULE...

Runs no function's code, ever: a copy of this process, in a sandbox of its own, is what becomes a
function's process, and it takes up where `hearth_fork` returns 0. The forking itself is `fork.c`, which
is loaded as a library; the spawner talks to it on descriptor 3, where a function has its link.

One thread, or it refuses to start: a copy has only the thread that made it, and would wait for ever for
whatever another one held.

What a copy shares with all others of this template: where things are in memory, the seed of `hash()`,
and nothing that is random otherwise (`bootstrap.reseed`). So templates are replaced now and then.
"""

# Before anything else: it notes what an ordinary start has imported by then.
import bootstrap

import os
import sys

# Beside this file, in the image.
LIBRARY = "fork.so"


def main():
    bootstrap.be_copied([*sys.argv[1:], "ctypes"])
    ctypes, gc = bootstrap.there("ctypes"), bootstrap.there("gc")
    # Called with the interpreter's lock held: nothing else runs while one of these does.
    library = ctypes.PyDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), LIBRARY))
    for name in ("hearth_prepare", "hearth_ready", "hearth_receive", "hearth_fork"):
        getattr(library, name).restype = ctypes.c_long
    check("prepare", library.hearth_prepare(*restartable_sequence(ctypes)))
    # What is garbage by now is not copied; what is not, is never looked at again by a collection,
    # which would write to its pages.
    gc.collect()
    gc.freeze()
    check("be ready, with one thread", library.hearth_ready())
    while check("receive an order", library.hearth_receive()):
        ctypes.pythonapi.PyOS_BeforeFork()
        result = library.hearth_fork()
        if result == 0:
            ctypes.pythonapi.PyOS_AfterFork_Child()
            break
        ctypes.pythonapi.PyOS_AfterFork_Parent()
        check("answer", result)
    else:
        return
    bootstrap.spare()


def restartable_sequence(ctypes):
    """Where the C library keeps what it shares with the kernel about this thread, from the thread
    pointer; nowhere before glibc 2.35."""
    program = ctypes.CDLL(None)
    try:
        size = ctypes.c_uint.in_dll(program, "__rseq_size").value
        offset = ctypes.c_ssize_t.in_dll(program, "__rseq_offset").value
    except ValueError:
        return ctypes.c_long(0), ctypes.c_uint(0)
    return ctypes.c_long(offset), ctypes.c_uint(size)


def check(what, result):
    if result < 0:
        sys.stderr.write("template: cannot %s: %s\n" % (what, os.strerror(-result)))
        sys.stderr.flush()
        # Not an exit, which would wait for threads: they may be what is wrong.
        os._exit(1)
    return result


if __name__ == "__main__":
    main()
