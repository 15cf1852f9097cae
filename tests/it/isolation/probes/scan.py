"""Looks for a secret in everything that can be read: environments, command lines, memory, descriptors,
files, shared memory, names of sockets.

Event: `begins`, how a secret of the wanted kind begins, in two halves; `hash`, the SHA-256 of the one
that is looked for; `keep`, a secret to hold on to from now on. The secret itself is never in the
event, or the scan would find its own question.
"""

import hashlib
import re

kept = []
# What follows the beginning: 32 hexadecimal digits.
DIGITS = b"([0-9a-f]{32})"
CHUNK = 1 << 20


def readable(path, most=64 << 20):
    """Pieces of a file, overlapping, so that what lies across a border is found."""
    try:
        with open(path, "rb", buffering=0) as file:
            before = b""
            while most > 0 and (piece := file.read(CHUNK)):
                yield before + piece
                before, most = piece[-64:], most - len(piece)
    except OSError:
        return


def memory(process):
    """Every mapping of a process that may be read."""
    try:
        with open(f"/proc/{process}/maps") as table, open(f"/proc/{process}/mem", "rb", 0) as content:
            for line in table:
                borders, rights = line.split()[:2]
                start, end = (int(number, 16) for number in borders.split("-"))
                if not rights.startswith("r") or line.rstrip().endswith(("[vvar]", "[vsyscall]")):
                    continue
                for at in range(start, end, CHUNK):
                    try:
                        content.seek(at)
                        yield content.read(min(CHUNK + 64, end - at))
                    except (OSError, ValueError):
                        break
    except OSError:
        return


def places():
    """Everywhere, by name."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            for name in ("environ", "cmdline"):
                yield f"{name} of a process", readable(f"/proc/{entry}/{name}")
            yield "memory of a process", memory(entry)
            try:
                for number in os.listdir(f"/proc/{entry}/fd"):
                    link = os.readlink(f"/proc/{entry}/fd/{number}")
                    yield "name of a descriptor", [link.encode()]
                    # Reading from a pipe or a socket would take what is not ours to take.
                    if not link.startswith(("pipe:", "socket:", "anon_inode:", "/dev/")):
                        yield "descriptor", readable(f"/proc/{entry}/fd/{number}", CHUNK)
            except OSError:
                pass
    yield "names of sockets", readable("/proc/self/net/unix")
    for folder in ("/tmp", "/dev/shm", "/var/task", "/opt", "/run", "/var/tmp", "/etc"):
        for parent, _, names in os.walk(folder):
            for name in names:
                path = f"{parent}/{name}"
                if os.path.isfile(path):
                    yield "file", readable(path, CHUNK)


def handler(event, context):
    if "keep" in event:
        kept.append(event["keep"])
        with open("/tmp/kept", "w") as file:
            file.write(event["keep"])
        one = socket.socket(socket.AF_UNIX)
        one.bind("\0" + event["keep"])
        kept.append(one)
        return []
    wanted = re.compile("".join(event["begins"]).encode() + DIGITS)
    found = set()
    for place, pieces in places():
        for piece in pieces:
            for match in wanted.finditer(piece):
                if hashlib.sha256(match.group()).hexdigest() == event["hash"]:
                    found.add(place)
    return sorted(found)
