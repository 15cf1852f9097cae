"""The network: the host's listeners, its other addresses, and everything that is not an address.

Event: `ports`, TCP ports on which the host listens on every address; `udp`, one for datagrams;
`abstract`, the name of an abstract Unix socket of the host; `address`, another address of the host.
"""

AF_VSOCK, AF_ALG, AF_PACKET = 40, 38, 17
IPPROTO_MPTCP = 262

# One address, spelled in the ways that filters of text have overlooked.
SPELLINGS = (
    "127.0.0.1",
    "127.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0",
    "0.0.0.0",
    "localhost",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "0:0:0:0:0:ffff:127.0.0.1",
)


def resolved(spelling, port, kind):
    """Every address that the C library takes it for."""
    try:
        return socket.getaddrinfo(spelling, port, type=kind)
    except socket.gaierror:
        raise OSError(errno.EHOSTUNREACH, "no such name") from None


def connect(address, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
    with socket.socket(family, kind, protocol) as one:
        one.settimeout(3)
        try:
            one.connect(address)
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, "nobody answers") from None
    return address


def reach(spelling, port):
    """Through the first of its addresses that lets us."""
    refused = OSError(errno.EHOSTUNREACH, "no address")
    for family, kind, _, _, address in resolved(spelling, port, socket.SOCK_STREAM):
        try:
            return connect(address, family, kind)
        except OSError as error:
            refused = error
    raise refused


def datagram(spelling, port):
    """Sent, and answered by whoever is there."""
    refused = OSError(errno.EHOSTUNREACH, "no address")
    for family, kind, _, _, address in resolved(spelling, port, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as one:
            one.settimeout(1)
            try:
                one.connect(address)
                one.send(b"probe")
                return one.recv(16)
            except TimeoutError:
                refused = OSError(errno.ETIMEDOUT, "nobody answers")
            except OSError as error:
                refused = error
    raise refused


def unconnected(port):
    """Sent without connecting, which takes another way through the kernel."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(1)
        one.sendto(b"probe", ("127.0.0.1", port))
        try:
            return one.recv(16)
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, "nobody answers") from None


def interfaces():
    with open("/proc/self/net/dev") as table:
        return sorted(line.split(":")[0].strip() for line in table if ":" in line)


def handler(event, context):
    for number, port in enumerate(event["ports"]):
        for spelling in SPELLINGS:
            attack(f"reach port {number} at {spelling}", lambda: reach(spelling, port))
        if event["address"]:
            attack(f"reach port {number} at {event['address']}", lambda: reach(event["address"], port))
            mapped = f"::ffff:{event['address']}"
            attack(f"reach port {number} at {mapped}", lambda: reach(mapped, port))
    for spelling in ("127.0.0.1", "127.1", "0.0.0.0", "::1", "::ffff:127.0.0.1"):
        attack(f"exchange datagrams with {spelling}", lambda: datagram(spelling, event["udp"]))
    attack("exchange datagrams unconnected", lambda: unconnected(event["udp"]))
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        multipath = lambda: connect((address, event["ports"][0]), family, protocol=IPPROTO_MPTCP)
        attack(f"reach {address} over many paths", multipath)
    attack("reach an abstract socket", lambda: connect("\0" + event["abstract"], socket.AF_UNIX))
    attack("read packets off the wire", lambda: socket.socket(AF_PACKET, socket.SOCK_RAW, 3).close())
    attack("write packets onto the wire", lambda: socket.socket(AF_PACKET, socket.SOCK_DGRAM, 8).close())
    for family, protocol in ((socket.AF_INET, 1), (socket.AF_INET, 255), (socket.AF_INET6, 58)):
        raw = lambda: socket.socket(family, socket.SOCK_RAW, protocol).close()
        attack(f"make packets of protocol {protocol} by hand", raw)
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        name = socket.SocketKind(kind).name
        attack(f"talk to the hypervisor by {name}", lambda: socket.socket(AF_VSOCK, kind).close())
    attack("load the firewall", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12).close())
    attack("listen to the kernel", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15).close())
    attack("ask for routes", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close())
    names = interfaces()
    claim("have an interface", names == ["lo"], names)
    return findings
