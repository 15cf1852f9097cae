"""Capabilities: that there are none, and that what needs one is refused.

Event: `scratch`, a folder that may be written.
"""

SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
PR_GET_SECUREBITS, PR_SET_SECUREBITS, PR_CAP_AMBIENT = 27, 28, 47


def status(path="/proc/self/status"):
    with open(path) as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def mount(scratch, kind):
    def act():
        result = libc.mount(b"none", scratch.encode(), kind, 0, None)
        if result:
            raise OSError(ctypes.get_errno(), "mount")
        libc.umount2(scratch.encode(), 2)

    return in_a_child(act)


def device(scratch):
    path = f"{scratch}/device"
    os.mknod(path, 0o20666, os.makedev(1, 3))
    os.unlink(path)
    return path


def foreign(scratch):
    path = f"{scratch}/owned"
    open(path, "w").close()
    try:
        os.chown(path, 0, 0)
        os.chown(path, 65534, 65534)
    finally:
        os.unlink(path)
    return path


def low_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 1))
    return 1


def host_name():
    before = socket.gethostname()
    socket.sethostname("taken")
    socket.sethostname(before)
    return before


def handler(event, context):
    scratch = event["scratch"]
    own = status()
    for name in SETS[1:4]:
        claim(f"hold {name}", int(own[name], 16) == 0, own[name])
    claim("gain privileges by executing", own["NoNewPrivs"] == "1", own["NoNewPrivs"])
    bits = libc.prctl(PR_GET_SECUREBITS)
    # Each bit of the first, second and fourth pair with its lock, and the third's lock.
    claim("have root's identity mean something", bits & 0b1110_1111 == 0b1110_1111, bits)
    attack("unlock what root's identity means", lambda: in_a_child(unlock))
    attack("hand a capability on to what it executes", lambda: in_a_child(hand_on))
    for kind in (b"tmpfs", b"proc", b"cgroup2"):
        attack(f"mount a {kind.decode()}", lambda: mount(scratch, kind))
    attack("make a device", lambda: device(scratch))
    attack("give a file away", lambda: foreign(scratch))
    attack("listen on a low port", low_port)
    attack("rename the host", host_name)
    attack("set the clock", lambda: in_a_child(set_clock))
    attack("be nicer than others", lambda: in_a_child(lambda: os.nice(-5)))
    attack("read the kernel's log", lambda: syscall(103, 10, 0, 0))
    attack("lock much memory", lambda: in_a_child(lock_memory))
    return findings


def checked(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")


def unlock():
    checked(libc.prctl(PR_SET_SECUREBITS, 0, 0, 0, 0))


def hand_on():
    """Makes CAP_CHOWN inheritable and ambient: the two sets that are empty for everybody at first."""
    header = struct.pack("II", 0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    checked(libc.capget(header, sets))
    for half in (0, 3):
        sets[half + 2] = sets[half + 1]
    sets[2] |= 1
    checked(libc.capset(header, sets))
    checked(libc.prctl(PR_CAP_AMBIENT, 2, 0, 0, 0))


def set_clock():
    import time

    # To what it is, to the second: a success changes next to nothing.
    time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))


def lock_memory():
    size = 64 << 20
    buffer = ctypes.create_string_buffer(size)
    if libc.mlock(buffer, ctypes.c_size_t(size)):
        raise OSError(ctypes.get_errno(), "mlock")
