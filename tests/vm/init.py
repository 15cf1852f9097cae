#!/usr/bin/python3 -IB
"""PID 1 of the machine: makes it look like a host, runs the suites, and switches it off.

The first root is the kernel's own (`rootfs`), which has no parent and which `pivot_root` therefore
refuses to leave. A bind mount of it, moved over it, has one: the same files without a copy.

Version-2 control groups are mounted as systemd mounts them. PID 1 stays in the root group and reaps
whatever is left to it; the suites are a child.
"""

import ctypes
import os
import resource
import signal
import socket
import struct
import sys

sys.path.insert(0, "/vm")

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_MOVE = 2, 4, 8, 4096, 8192
SYS_FINIT_MODULE = 313
POWER_OFF = 0x4321FEDC
MOUNTS = [
    ("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""),
    ("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""),
    ("devtmpfs", "/dev", MS_NOSUID, "mode=0755"),
    ("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0600,ptmxmode=0666"),
    ("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777"),
    ("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755"),
    ("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777,size=60%"),
    ("tmpfs", "/var", MS_NOSUID | MS_NODEV, "mode=0755"),
    ("cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, "nsdelegate,memory_recursiveprot"),
]
# In the order in which one needs the other.
MODULES = ["lzo-rle.ko", "zsmalloc.ko", "zram.ko", "dummy.ko"]

# What a host has there; probes look for the hashes, and must not find them.
ETC = {
    "shadow": "root:*:20000:0:99999:7:::\n",
    "passwd": "root:x:0:0::/root:/bin/sh\n",
    "group": "root:x:0:\n",
    "hosts": "127.0.0.1 localhost\n",
    "hostname": "vm\n",
    "subuid": "",
    "subgid": "",
}

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)


def mount(kind, source, target, flags, data=""):
    texts = [text.encode() for text in (source, target, kind)]
    check(libc.mount(*texts, ctypes.c_ulong(flags), data.encode()), f"mount {target}")


def settle():
    """From a bare kernel to a host."""
    os.makedirs("/newroot", exist_ok=True)
    mount("", "/", "/newroot", MS_BIND)
    os.chdir("/newroot")
    mount("", ".", "/", MS_MOVE)
    os.chroot(".")
    os.chdir("/")
    for kind, target, flags, data in MOUNTS:
        os.makedirs(target, exist_ok=True)
        mount(kind, kind, target, flags, data)
    for folder in ("/var/tmp", "/var/lib", "/root", "/usr/local/bin"):
        os.makedirs(folder, exist_ok=True)
    os.chmod("/var/tmp", 0o1777)
    for name, text in ETC.items():
        with open(f"/etc/{name}", "w") as file:
            file.write(text)
    os.chmod("/etc/shadow", 0o640)
    # By itself it is a share of this small machine's memory, less than a probe outside must hold.
    with open("/proc/sys/net/ipv4/udp_mem", "w") as limits:
        limits.write("400000 500000 600000")
    socket.sethostname("vm")
    loopback_up()
    for name in MODULES:
        with open(f"/modules/{name}", "rb") as module:
            check(libc.syscall(SYS_FINIT_MODULE, module.fileno(), b"", 0), name)


def loopback_up():
    SIOCSIFFLAGS, IFF_UP = 0x8914, 1
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def speak_to(path):
    """Output goes to the second serial line; the first is the kernel's."""
    line = os.open(path, os.O_RDWR | os.O_NOCTTY)
    null = os.open("/dev/null", os.O_RDONLY)
    for number, descriptor in ((0, null), (1, line), (2, line)):
        os.dup2(descriptor, number)


def run_suites():
    import suites

    # As systemd has it, for itself and for services.
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 524_288))
    os.environ.clear()
    os.environ.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", HOME="/root", LANG="C.UTF-8")
    suites.main()


def main():
    settle()
    speak_to("/dev/ttyS1")
    child = os.fork()
    if child == 0:
        # What PID 1 is never sent, its children must be.
        os.setsid()
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        status = 1
        try:
            run_suites()
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    while os.waitpid(-1, 0)[0] != child:
        pass
    # The line is slow, and what is in it would be lost.
    import termios

    termios.tcdrain(1)
    os.sync()
    libc.reboot(ctypes.c_int(POWER_OFF))


main()
