"""Addresses of a network that is not there: metadata services, the LAN, the internet, everybody.

Event: `addresses`; `present`, whether to give them to ourselves first, in a network namespace of our
own: the negative control, where each of them can be reached.
"""

import fcntl

PORT = 80
CLONE_NEWNET = 0x40000000
SIOCSIFADDR, SIOCSIFFLAGS = 0x8916, 0x8914
IFF_UP = 1


def have(addresses):
    """A loopback of our own that has these addresses, with somebody listening at each."""
    syscall(272, CLONE_NEWNET)
    four, six = socket.socket(), socket.socket(socket.AF_INET6)
    fcntl.ioctl(four, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    held = [four, six]
    for number, address in enumerate(addresses):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        packed = socket.inet_pton(family, address)
        if family == socket.AF_INET:
            name = f"lo:{number}".encode()
            fcntl.ioctl(four, SIOCSIFADDR, struct.pack("16sHH4s8x", name, family, 0, packed))
        else:
            fcntl.ioctl(six, SIOCSIFADDR, struct.pack("16sIi", packed, 128, 1))
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            one = socket.socket(family, kind)
            # An address that is being looked for on the wire cannot be bound without this.
            one.setsockopt(socket.SOL_IP, 15, 1)
            one.bind((address, PORT))
            if kind == socket.SOCK_STREAM:
                one.listen()
            held.append(one)
    return held


def reach(address, kind):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as one:
        one.settimeout(2)
        try:
            one.connect((address, PORT))
            return one.send(b"probe")
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, "nobody answers") from None


def handler(event, context):
    held = have(event["addresses"]) if event["present"] else []
    for address in event["addresses"]:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            attack(f"reach {address} by {socket.SocketKind(kind).name}", lambda: reach(address, kind))
    return findings if event["present"] is (len(held) > 0) else {}
