"""Other processes: seeing them, reading them, signalling them, taking them over.

Event: `victims`, process ids on the host; `marker`, which stands in the environment of one of them;
`first`, the process that watches over the probe (PID 1 of a sandbox).
"""

PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
PIDFD_OPEN, PIDFD_GETFD = 434, 438


def read(path):
    with open(path, "rb") as file:
        return file.read()[:4096]


def ptrace(victim):
    syscall(101, PTRACE_SEIZE, victim, 0, 0)
    return "seized"


def memory(victim):
    start = int(read(f"/proc/{victim}/maps").split(b"-")[0], 16)
    buffer = ctypes.create_string_buffer(16)
    local = struct.pack("PN", ctypes.addressof(buffer), 16)
    remote = struct.pack("PN", start, 16)
    return syscall(310, victim, local, 1, remote, 1, 0)


def descriptor(victim):
    taken = syscall(PIDFD_GETFD, syscall(PIDFD_OPEN, victim, 0), 0, 0)
    os.close(taken)
    return taken


def everything(marker):
    """Whether any process that can be seen carries the marker."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                if marker.encode() in read(f"/proc/{entry}/environ"):
                    return entry
            except OSError:
                pass
    return None


def strangers():
    """Processes that are shown and are neither us nor who watches over us."""
    shown = {int(entry) for entry in os.listdir("/proc") if entry.isdigit()}
    return sorted(shown - {1, os.getpid()})


def handler(event, context):
    for number, victim in enumerate(event["victims"]):
        attack(f"{number}: signal it", lambda: os.kill(victim, 0))
        attack(f"{number}: see it", lambda: os.stat(f"/proc/{victim}").st_uid)
        attack(f"{number}: read its command line", lambda: read(f"/proc/{victim}/cmdline"))
        attack(f"{number}: read its environment", lambda: read(f"/proc/{victim}/environ"))
        attack(f"{number}: look into its root", lambda: os.listdir(f"/proc/{victim}/root/"))
        attack(f"{number}: trace it", lambda: in_a_child(lambda: ptrace(victim)))
        attack(f"{number}: read its memory", lambda: memory(victim))
        attack(f"{number}: take its descriptor", lambda: descriptor(victim))
        attack(f"{number}: change its limits", lambda: resource_limit(victim))
        attack(f"{number}: change its priority", lambda: os.getpriority(os.PRIO_PROCESS, victim))
    first = event["first"]
    attack("open the memory of the first process", lambda: open(f"/proc/{first}/mem", "rb").close())
    attack("read the environment of the first process", lambda: read(f"/proc/{first}/environ"))
    attack("trace the first process", lambda: in_a_child(lambda: ptrace(first)))
    # Whoever else is there: PID 1 is spared by this call, and so is who calls.
    attack("signal everybody", lambda: os.kill(-1, 0))
    others = strangers()
    claim("see a process of somebody else", not others, others[:5])
    seen = everything(event["marker"])
    claim("find the marker in any process", seen is None, seen)
    return findings


def resource_limit(victim):
    import resource

    return resource.prlimit(victim, resource.RLIMIT_NOFILE)
