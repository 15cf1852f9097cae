"""Takes the snapshot of an initialised function that its instances are restored from.

Loaded by the bootstrap, as a part of it that no other start has to pay for, where it was executed with
the argument `snapshot`. The work is `snapshot.c`, which is loaded as a library; here is what Python
knows better: whether the process is one that can be restored at all, and the hooks of
`snapshot_restore_py`.

What is restored is memory, signals and the working directory, and nothing else. So whatever else a
function may have made while it initialised is looked for here, and named: threads, processes, open
files and connections, files in /tmp, timers. Such a function is not restored; each of its instances
initialises, and the version's state says why.
"""

# Beside this file, in the image.
LIBRARY = "snapshot.so"
# Standard streams, and the link.
OURS = 4
# What the control plane would not keep anyway; the sandbox's own limit is below.
MOST = 1 << 34


class Unfit(Exception):
    """Why this process cannot be restored."""


class Snapshots:
    """The library, loaded before a line of the function's has run."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        bootstrap.import_ahead(["ctypes"])
        ctypes = self.ctypes = bootstrap.there("ctypes")
        os = self.os = bootstrap.os
        self.signal = bootstrap.sys.modules["_signal"]
        # Called with the interpreter's lock held: nothing else runs while one of these does.
        library = self.library = ctypes.PyDLL(os.path.join(bootstrap.OWN, LIBRARY))
        library.hearth_prepare.restype = library.hearth_snapshot.restype = ctypes.c_long
        library.hearth_snapshot.argtypes = (ctypes.c_int, ctypes.c_ulong)
        library.hearth_obstacle.restype = ctypes.c_char_p
        program = ctypes.CDLL(None)
        try:
            size = ctypes.c_uint.in_dll(program, "__rseq_size").value
            offset = ctypes.c_ssize_t.in_dll(program, "__rseq_offset").value
        except ValueError:
            # No such thing before glibc 2.35.
            size = offset = 0
        library.hearth_prepare(ctypes.c_long(offset), ctypes.c_uint(size))
        # What an interpreter that has done nothing has open, there is again in another.
        self.entries = list(os.environb.items())

    def take(self, link):
        """Takes one; false here, and true in every process that is restored from it.

        Raises `Unfit`, and whatever a hook of the function's raises.
        """
        os, ctypes = self.os, self.ctypes
        run_hooks("before_snapshot")
        self.bootstrap.flush()
        self.look()
        result = self.library.hearth_snapshot(link.sink, MOST)
        if result < 0:
            obstacle = self.library.hearth_obstacle().decode("utf-8", "backslashreplace")
            raise Unfit("it has " + obstacle if obstacle else os.strerror(-result))
        if result:
            return False
        # What hooks into a fork, hooks into this: locks and random numbers of whoever thought of it.
        ctypes.pythonapi.PyOS_BeforeFork()
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return True

    def look(self):
        """Raises `Unfit` if there is something that another process would not have."""
        os = self.os
        if len(os.listdir("/proc/self/task")) != 1:
            raise Unfit("it has more than one thread after initialization")
        own, first = str(os.getpid()), "1"
        others = [it for it in os.listdir("/proc") if it.isdigit() and it not in (own, first)]
        if others:
            raise Unfit("it has started processes that are still there after initialization")
        if os.listdir("/tmp"):
            raise Unfit("it has files in /tmp after initialization")
        for name in os.listdir("/proc/self/fd"):
            number = int(name)
            if number < OURS:
                continue
            try:
                target = os.readlink("/proc/self/fd/" + name)
            except OSError:
                # The directory's own, which is closed by now.
                continue
            kind = "connections" if target.startswith("socket:") else "files"
            raise Unfit("it has %s open after initialization (%s)" % (kind, target))
        with open("/proc/self/timers") as timers:
            if timers.read():
                raise Unfit("it has timers running after initialization")
        # Those of the old kind are not in that list. (Built in: no file of the function's is in its way.)
        signal = self.signal
        kinds = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
        if any(signal.getitimer(kind)[0] for kind in kinds):
            raise Unfit("it has timers running after initialization")

    def adopt(self, entries):
        """Gives this process what is its own of an environment: what differs from the one that the
        snapshot was taken with. What the function has changed stays changed."""
        os = self.os
        before = dict(self.entries)
        for entry in entries:
            name, value = entry.split(b"=", 1)
            if before.get(name) != value:
                os.environb[name] = value


def run_hooks(which):
    """Runs what the function has registered with AWS's package, if it has imported it."""
    import sys

    package = sys.modules.get("snapshot_restore_py")
    hooks = getattr(package, "get_" + which, list)()
    # The last one to be registered is the first to be told, and the other way round afterwards.
    for function, args, kwargs in reversed(hooks) if which == "before_snapshot" else list(hooks):
        function(*args, **kwargs)
