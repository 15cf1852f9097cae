"""What the kernel shows of itself and of the machine: files below /proc and /sys, device nodes.

Event: `paths`, all of which are there on the host.
"""

# What every program may expect, and nothing that does anything.
DEVICES = {"fd", "full", "null", "random", "stderr", "stdin", "stdout", "urandom", "zero"}


def handler(event, context):
    for path in event["paths"]:
        attack(f"see {path}", lambda: os.stat(path).st_mode)
    others = sorted(set(os.listdir("/dev")) - DEVICES)
    claim("find another device", not others, others)
    shown = sorted(name for name in os.listdir("/proc") if not name.isdigit())
    claim("find anything but processes", shown == ["self", "thread-self"], shown)
    return findings
