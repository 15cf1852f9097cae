"""Memory: taking more than one is given, in one process or in many.

Event: `how`, and `mebibytes` to take in all.
"""


def take(mebibytes):
    hoard = [bytearray(1 << 20) for _ in range(mebibytes)]
    return len(hoard)


def in_children(mebibytes, children):
    """Each takes its part and holds it until all have theirs."""
    read, write = os.pipe()
    started = []
    for _ in range(children):
        child = os.fork()
        if child == 0:
            hoard = [bytearray(1 << 20) for _ in range(mebibytes // children)]
            os.write(write, b"x")
            signal.pause()
            os._exit(len(hoard))
        started.append(child)
    taken = 0
    while taken < children:
        taken += len(os.read(read, children))
    for child in started:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return taken


def handler(event, context):
    mebibytes = event["mebibytes"]
    if event["how"] == "alone":
        return {"taken": take(mebibytes)}
    if event["how"] == "in children":
        return {"taken": in_children(mebibytes, 8)}
    return {"taken": 0}
