"""Traces: what one function can leave behind, and looking for what another has left.

Event: `do`, "leave" or "find"; `marker`, a name; `port`, a number.
"""

KEY = 0x48454152
CREATE = 0o1666
KEYCTL, KEYRING_SEARCH, SESSION, PROCESS, USER_SESSION = 250, 10, -3, -2, -5
held = []


def writable():
    return [folder for folder in ("/tmp", "/dev/shm", "/dev/mqueue", "/var/tmp", "/run", "/opt", ".")]


def leave(marker, port):
    for folder in writable():
        try:
            with open(f"{folder}/{marker}", "w") as file:
                file.write(marker)
        except OSError:
            pass
    for address, family in (("\0" + marker, socket.AF_UNIX), (("127.0.0.1", port), socket.AF_INET)):
        one = socket.socket(family)
        one.bind(address)
        one.listen()
        held.append(one)
    libc.shmget(KEY, 4096, CREATE)
    libc.semget(KEY, 1, CREATE)
    libc.msgget(KEY, CREATE)
    libc.syscall(248, b"user", marker.encode(), b"x", 1, SESSION)
    os.environ[marker] = marker
    # A process that outlives the call, and carries the name.
    if os.fork() == 0:
        libc.prctl(15, marker.encode(), 0, 0, 0)
        signal.pause()
        os._exit(0)


def connects(family, address):
    with socket.socket(family) as one:
        return one.connect_ex(address) == 0


def named_processes(marker):
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/comm") as file:
                if file.read().strip() == marker[:15]:
                    return True
        except OSError:
            pass
    return False


def find(marker, port):
    found = []
    for folder, folders, files in os.walk("/"):
        if folder == "/":
            folders.remove("proc")
        found += [f"{folder}/{name}" for name in files if name == marker]
    seen = {
        "abstract socket": connects(socket.AF_UNIX, "\0" + marker),
        "listener": connects(socket.AF_INET, ("127.0.0.1", port)),
        "shared memory": libc.shmget(KEY, 0, 0) != -1,
        "semaphore": libc.semget(KEY, 0, 0) != -1,
        "message queue": libc.msgget(KEY, 0) != -1,
        "environment": marker in os.environ,
        "process": named_processes(marker),
    }
    for keyring in (SESSION, PROCESS, USER_SESSION):
        if libc.syscall(KEYCTL, KEYRING_SEARCH, keyring, b"user", marker.encode(), 0) != -1:
            seen["key"] = True
    return sorted(found + [name for name, there in seen.items() if there])


def handler(event, context):
    if event["do"] == "leave":
        leave(event["marker"], event["port"])
    return find(event["marker"], event["port"])
