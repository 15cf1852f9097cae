"""Budgets that the kernel keeps per user: using them up, and looking at what is left.

Event: `pipes`, how many to hold; `processes`, among how many; `watches`, how many inotify instances;
`timers`, how many. Answers with the size of a fresh pipe, and how many of the others there were.
"""

import fcntl

F_GETPIPE_SZ = 1032
# As long as the instance lives.
instances = []
timers = []


def hold_pipes(count):
    held = []
    try:
        while len(held) < count:
            held.append(os.pipe())
    except OSError:
        pass
    return held


def in_processes(pipes, processes):
    """Each holds its part and says so; they end with their standing on."""
    read, write = os.pipe()
    started = []
    for _ in range(processes):
        child = os.fork()
        if child == 0:
            held = hold_pipes(pipes // processes)
            os.write(write, b"x" if held else b"-")
            signal.pause()
            os._exit(0)
        started.append(child)
    for _ in started:
        os.read(read, 1)
    os.close(read), os.close(write)
    return started


def handler(event, context):
    children = in_processes(event["pipes"], event["processes"])
    fresh, other = os.pipe()
    size = fcntl.fcntl(fresh, F_GETPIPE_SZ)
    os.close(fresh), os.close(other)
    while len(instances) < event["watches"]:
        one = libc.inotify_init()
        if one == -1:
            break
        instances.append(one)
    while len(timers) < event["timers"]:
        timer = ctypes.c_void_p()
        if libc.timer_create(1, None, ctypes.byref(timer)) == -1:
            break
        timers.append(timer)
    if not event.get("keep"):
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return {"pipe": size, "watches": len(instances), "timers": len(timers)}
