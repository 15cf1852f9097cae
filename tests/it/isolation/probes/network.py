"""The network: the host's listeners, its other addresses, and everything that is not an address.

Event: `ports`, TCP ports on which the host listens at 127.0.0.1; `udp`, one for datagrams; `abstract`,
the name of an abstract Unix socket of the host; `address`, another address of the host.
"""

AF_VSOCK, AF_ALG, AF_PACKET = 40, 38, 17
IPPROTO_MPTCP = 262


def connect(address, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
    with socket.socket(family, kind, protocol) as one:
        one.settimeout(3)
        try:
            one.connect(address)
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, "nobody answers") from None
    return address


def datagram(port):
    """Sent, and answered by whoever is there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(3)
        one.connect(("127.0.0.1", port))
        try:
            one.send(b"probe")
            return one.recv(16)
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, "nobody answers") from None


def interfaces():
    with open("/proc/self/net/dev") as table:
        return sorted(line.split(":")[0].strip() for line in table if ":" in line)


def routes():
    with open("/proc/net/route") as table:
        return table.read().splitlines()[1:]


def handler(event, context):
    for number, port in enumerate(event["ports"]):
        attack(f"reach port {number} at 127.0.0.1", lambda: connect(("127.0.0.1", port)))
        attack(f"reach port {number} at 0.0.0.0", lambda: connect(("0.0.0.0", port)))
        mapped = ("::ffff:127.0.0.1", port)
        attack(f"reach port {number} through IPv6", lambda: connect(mapped, socket.AF_INET6))
        if event["address"]:
            attack(f"reach port {number} at {event['address']}", lambda: connect((event["address"], port)))
    multipath = lambda: connect(("127.0.0.1", event["ports"][0]), protocol=IPPROTO_MPTCP)
    attack("reach a port over many paths", multipath)
    attack("exchange datagrams", lambda: datagram(event["udp"]))
    attack("reach an abstract socket", lambda: connect("\0" + event["abstract"], socket.AF_UNIX))
    attack("read packets off the wire", lambda: socket.socket(AF_PACKET, socket.SOCK_RAW, 3).close())
    attack("make packets by hand", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close())
    attack("talk to the hypervisor", lambda: socket.socket(AF_VSOCK, socket.SOCK_STREAM).close())
    attack("load the firewall", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12).close())
    attack("listen to the kernel", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15).close())
    names = interfaces()
    claim("have an interface", names == ["lo"], names)
    return findings
