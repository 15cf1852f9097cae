"""Memory that no allocator hands out: what the kernel holds for a process.

Event: `kind`, one of `KINDS`; `mebibytes` to hold in all. Answers with how many could be held, and whether
the kernel ended somebody for it.
"""

import select

# How many processes share the work: a process has 1,024 descriptors.
HANDS = 32
BLOCK = bytes(1 << 16)
SO_MEMINFO = 55


def pipes(wanted):
    """Full pipes that nobody reads."""
    held = 0
    while held < wanted:
        read, write = os.pipe()
        os.set_blocking(write, False)
        held += filled(lambda: os.write(write, BLOCK))
        yield held, (read, write)


def sockets(wanted):
    """Full local sockets that nobody reads."""
    held = 0
    while held < wanted:
        one, other = socket.socketpair()
        one.setblocking(False)
        held += filled(lambda: one.send(BLOCK))
        yield held, (one, other)


def datagrams(wanted):
    """Datagrams to ourselves that nobody reads; one that finds no room is dropped and not counted."""
    held = 0
    while held < wanted:
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("127.0.0.1", 0))
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(6):
            sender.sendto(BLOCK[:32768], receiver.getsockname())
        held += waiting(receiver)
        sender.close()
        yield held, receiver


def files(wanted):
    """A file of memory that has no name."""
    file = os.memfd_create("hoard")
    for held in range(0, wanted, len(BLOCK)):
        os.write(file, BLOCK)
        yield held, file


def segments(wanted):
    """Shared memory that stays when its maker goes."""
    libc.shmat.restype = ctypes.c_void_p
    held = 0
    while held < wanted:
        size = 4 << 20
        segment = libc.shmget(0, size, 0o600)
        address = libc.shmat(segment, None, 0)
        # It is counted from when it is written to, and goes with the last process that has it.
        libc.shmctl(segment, 0, None)
        ctypes.memset(address, 1, size)
        held += size
        yield held, address


KINDS = {"pipes": pipes, "sockets": sockets, "datagrams": datagrams, "files": files, "segments": segments}


def filled(write):
    held = 0
    try:
        while True:
            held += write()
    except BlockingIOError:
        return held


def waiting(receiver):
    """Bytes that wait in a socket, with what the kernel needs to hold them."""
    return struct.unpack_from("I", receiver.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[0]


def handler(event, context):
    part = (event["mebibytes"] << 20) // HANDS
    read, write = os.pipe()
    hands = []
    for _ in range(HANDS):
        hand = os.fork()
        if hand == 0:
            held, hoard = 0, []
            try:
                for held, one in KINDS[event["kind"]](part):
                    hoard.append(one)
            except OSError:
                pass
            os.write(write, struct.pack("Q", held))
            signal.pause()
            os._exit(len(hoard))
        hands.append(hand)
    said, killed = b"", False
    while len(said) < 8 * HANDS and not killed:
        if select.select([read], [], [], 0.1)[0]:
            said += os.read(read, 8 * HANDS)
        # Nobody ends by itself: if somebody does, it was the kernel, for memory.
        ended = os.waitpid(-1, os.WNOHANG)[0]
        if ended:
            hands.remove(ended)
            killed = True
    for hand in hands:
        os.kill(hand, signal.SIGKILL)
        os.waitpid(hand, 0)
    return {"held": sum(one for (one,) in struct.iter_unpack("Q", said)) >> 20, "killed": killed}
