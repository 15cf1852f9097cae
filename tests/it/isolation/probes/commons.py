"""What all sandboxes share with the host and no limit of a group covers: the disk, the page cache,
the budget for compiled filters, merged pages.

Event: `file`, one that can be read and not written, of more than a page; `direct`, whether its file system
can be read past the page cache.
"""

import fcntl
import mmap

FSYNC, FDATASYNC, SYNC_FILE_RANGE, FADVISE = 74, 75, 277, 221
SYNCFS, SECCOMP, OPENAT2, CACHESTAT = 306, 317, 437, 451
DONTNEED, MS_SYNC, MADV_MERGEABLE, MADV_PAGEOUT = 4, 4, 12, 21
PR_SET_SECCOMP, PR_SET_MEMORY_MERGE = 22, 67
SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF, SO_ZEROCOPY = 26, 51, 60
UDP_CORK, MSG_MORE, IPV6_2292PKTOPTIONS = 1, 0x8000, 6

# Calls that came with a version of Linux; before it there is nothing to attack.
LINUX = tuple(int(part) for part in os.uname().release.split(".")[:2])

# As much as one socket may keep; less before Linux 6.7.
OPTIONS_FIT = LINUX >= (6, 7)

libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]


def reaches_the_kernel(name, call):
    """A call that the kernel refuses whatever the file is: who hears that has asked it."""
    try:
        call()
    except OSError as error:
        claim(name, False, errno.errorcode.get(error.errno, error.errno))
    else:
        claim(name, True, "done, without the kernel")


def mapped(path):
    """The address of a shared mapping of the file's first pages."""
    descriptor = os.open(path, os.O_RDONLY)
    address = libc.mmap(None, 2 * mmap.PAGESIZE, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    return descriptor, address


def cached(path):
    """Whether it can be learned that a page of the file is not in memory."""
    descriptor, _ = mapped(path)
    os.posix_fadvise(descriptor, 0, 0, DONTNEED)
    _, address = mapped(path)
    seen = ctypes.create_string_buffer(2)
    if libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(2 * mmap.PAGESIZE), seen):
        raise OSError(ctypes.get_errno(), "mincore")
    return [page & 1 for page in seen.raw[:2]]


def read_if_cached(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.preadv(descriptor, [bytearray(16)], 0, os.RWF_NOWAIT)
    except BlockingIOError:
        return "not cached"
    finally:
        os.close(descriptor)


def read_directly(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        return os.preadv(descriptor, [mmap.mmap(-1, mmap.PAGESIZE)], 0)
    finally:
        os.close(descriptor)


def turn_direct(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_DIRECT)
    finally:
        os.close(descriptor)


def open_directly(path):
    """By the call whose flags a filter cannot read."""
    how = struct.pack("QQQ", os.O_RDONLY | os.O_DIRECT, 0, 0)
    os.close(syscall(OPENAT2, -100, path.encode(), how, len(how)))


def statistics(path):
    descriptor = os.open(path, os.O_RDONLY)
    part, answer = struct.pack("QQ", 0, 4096), ctypes.create_string_buffer(40)
    return syscall(CACHESTAT, descriptor, part, answer, 0)


# One instruction: everything is allowed.
ALLOW = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000))
PROGRAM = struct.pack("HxxxxxxP", 1, ctypes.addressof(ALLOW))


def prctl(*arguments):
    if libc.prctl(*arguments):
        raise OSError(ctypes.get_errno(), "prctl")


def filter_a_socket(option):
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", 0))
        one.setsockopt(socket.SOL_SOCKET, option, PROGRAM)


def join_a_group():
    """Two thousand would fit into one socket, and nobody counts their memory."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
        group = socket.inet_pton(socket.AF_INET6, "ff01::1:7070") + struct.pack("I", 1)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)


def keep_options():
    """For every packet, up to 64 KiB, of a kind that nothing is done with."""
    kept = struct.pack("QII", 60_000, 99, 0).ljust(60_000, b"\0")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.IPPROTO_IPV6, IPV6_2292PKTOPTIONS, kept)


def send_without_copying():
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)


def keep_a_datagram(flags, corked):
    """Kept until more follows, in memory that nobody counts."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("127.0.0.1", 9))
        one.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 1) if corked else None
        one.send(bytes(60_000), flags)


def keep_a_message():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendmsg([bytes(60_000)], [], MSG_MORE, ("127.0.0.1", 9))


def page_out(path):
    """Of a file of one's own, that is everybody's cache."""
    _, address = mapped(path)
    if libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), MADV_PAGEOUT):
        raise OSError(ctypes.get_errno(), "madvise")


def merge_pages():
    page = mmap.mmap(-1, mmap.PAGESIZE)
    page.madvise(MADV_MERGEABLE)


def handler(event, context):
    path = event["file"]
    none = os.open("/dev/null", os.O_RDONLY)
    os.close(none)
    reaches_the_kernel("flush the disk", lambda: syscall(FSYNC, none))
    reaches_the_kernel("flush the disk's data", lambda: syscall(FDATASYNC, none))
    reaches_the_kernel("flush a part of a file", lambda: syscall(SYNC_FILE_RANGE, none, 0, 0, 0))
    reaches_the_kernel("throw pages out of the cache", lambda: syscall(FADVISE, none, 0, 0, DONTNEED))
    _, address = mapped(path)
    libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(2 * mmap.PAGESIZE))
    reaches_the_kernel("flush a mapping", lambda: syscall(26, address, mmap.PAGESIZE, MS_SYNC))
    attack("flush a file system", lambda: syscall(SYNCFS, os.open(path, os.O_RDONLY)))
    attack("read only what others have read", lambda: read_if_cached(path))
    if event["direct"]:
        attack("read past the cache", lambda: read_directly(path))
        attack("turn to reading past the cache", lambda: turn_direct(path))
        attack("open past the cache", lambda: open_directly(path))
    pages = cached(path)
    claim("learn what is cached", pages == [1, 1], pages)
    attack("filter a socket", lambda: filter_a_socket(SO_ATTACH_FILTER))
    attack("filter a group of sockets", lambda: filter_a_socket(SO_ATTACH_REUSEPORT_CBPF))
    attack("join a group", join_a_group)
    if OPTIONS_FIT:
        attack("keep options for every packet", keep_options)
    attack("send without copying", send_without_copying)
    attack("keep a datagram unsent", lambda: keep_a_datagram(MSG_MORE, False))
    attack("keep all datagrams unsent", lambda: keep_a_datagram(0, True))
    attack("keep a message unsent", keep_a_message)
    attack("load a filter", lambda: in_a_child(lambda: loaded(lambda: syscall(SECCOMP, 1, 0, PROGRAM))))
    attack("load a filter, the old way", lambda: in_a_child(lambda: loaded(lambda: prctl(PR_SET_SECCOMP, 2, PROGRAM))))
    attack("page a file out", lambda: page_out(path))
    attack("merge pages", merge_pages)
    if LINUX >= (6, 4):
        attack("merge all pages", lambda: in_a_child(lambda: prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0)))
    if LINUX >= (6, 5):
        attack("count what is cached", lambda: statistics(path))
    return findings


def loaded(load):
    prctl(38, 1, 0, 0, 0)
    load()


def own_files_can_be_synced():
    """What a database does to its own file goes on working."""
    with open("/tmp/own", "wb") as file:
        file.write(bytes(8192))
        file.flush()
        os.fsync(file.fileno())
        os.fdatasync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, DONTNEED)
    with open("/tmp/own", "r+b") as file, mmap.mmap(file.fileno(), 8192) as content:
        content[0] = 1
        content.flush()
    with open("/tmp/own", "rb") as file:
        return file.read(1) == b"\x01"
