"""The host's root: becoming it, acting as it, leaving the root folder.

Event: `scratch`, a folder that may be written.
"""

UNSHARE, CLONE, SETNS = 272, 56, 308
SIGCHLD = 17
# Those of which the kernel has a kind, with the flag that makes a new one.
NAMESPACES = {
    "cgroup": 0x02000000,
    "ipc": 0x08000000,
    "mnt": 0x00020000,
    "net": 0x40000000,
    "pid": 0x20000000,
    "time": 0x00000080,
    "user": 0x10000000,
    "uts": 0x04000000,
}


def mapped(kind):
    with open(f"/proc/self/{kind}_map") as file:
        return [[int(field) for field in line.split()] for line in file]


def leave_the_root(scratch):
    """The classic: a second chroot leaves the working folder outside of the first."""

    def escape():
        os.makedirs(f"{scratch}/jail", exist_ok=True)
        os.chroot(f"{scratch}/jail")
        for _ in range(100):
            os.chdir("..")
        os.chroot(".")
        os.stat("/etc/shadow")

    return in_a_child(escape)


def become_root_by_program(scratch):
    """A setuid program of our own making, executed."""
    path = f"{scratch}/suid"
    with open("/bin/sh", "rb") as source, open(path, "wb") as target:
        target.write(source.read())
    os.chown(path, 0, 0)
    os.chmod(path, 0o4755)
    os.unlink(path)
    return path


def cloned(flag):
    child = syscall(CLONE, flag | SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def joined(kind):
    home = os.open(f"/proc/self/ns/{kind}", os.O_RDONLY)
    return syscall(SETNS, home, 0)


def handler(event, context):
    scratch = event["scratch"]
    for kind in ("uid", "gid"):
        table = mapped(kind)
        inside, outside, count = table[0]
        # The second number is the id one namespace further out, which is not the host's yet.
        alone = len(table) == 1 and count == 1 and inside == 1000 and outside != 0
        claim(f"be an ordinary {kind} of the host", alone, table)
    attack("become uid 0", lambda: in_a_child(lambda: os.setuid(0)))
    attack("become gid 0", lambda: in_a_child(lambda: os.setgid(0)))
    attack("become another user", lambda: in_a_child(lambda: os.setresuid(65534, 65534, 65534)))
    attack("join a group", lambda: in_a_child(lambda: os.setgroups([0])))
    attack("leave the root folder", lambda: leave_the_root(scratch))
    attack("make a setuid program of root", lambda: become_root_by_program(scratch))
    for kind, flag in NAMESPACES.items():
        attack(f"make a {kind} namespace", lambda: in_a_child(lambda: syscall(UNSHARE, flag)))
        # The flag of time namespaces is part of the signal's number there.
        if kind != "time":
            attack(f"start a process in a {kind} namespace", lambda: in_a_child(lambda: cloned(flag)))
        # One may not join the user namespace one is in, whoever one is; nor that of one's children.
        if kind not in ("user", "mnt", "pid", "time"):
            attack(f"join a {kind} namespace", lambda: in_a_child(lambda: joined(kind)))
    attack("set the handler of core dumps", lambda: open("/proc/sys/kernel/core_pattern", "r+").close())
    attack("drop the kernel's caches", lambda: open("/proc/sys/vm/drop_caches", "w").close())
    attack("read the kernel's addresses", lambda: open("/proc/kallsyms").close())
    attack("read the kernel's log", lambda: open("/dev/kmsg").close())
    attack("run as a real-time process", lambda: in_a_child(real_time))
    return findings


def real_time():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
