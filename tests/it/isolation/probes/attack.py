"""What the probes share: trying something and writing down what came of it.

A probe is the same program inside a sandbox, where every attack must fail, and outside it, where
every attack must succeed: otherwise its failing inside would prove nothing.
"""

import ctypes
import errno
import os
import signal
import socket
import struct

findings = {}
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def attack(name, action):
    """Tries `action`: "broken" if it goes through, "held" if the kernel refuses."""
    try:
        result = action()
    except OSError as error:
        findings[name] = f"held: {errno.errorcode.get(error.errno, error.errno)}"
    else:
        findings[name] = f"broken: {result!r}"


def claim(name, holds, seen):
    """Writes down whether something that was looked at is as it should be."""
    findings[name] = f"{'held' if holds else 'broken'}: {seen!r}"


def syscall(number, *arguments):
    """A raw system call; an error becomes OSError."""
    # As wide as a register: what is passed on the stack would keep whatever stood beside it.
    wide = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = libc.syscall(ctypes.c_long(number), *wide)
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def in_a_child(action):
    """Runs `action` in a child, so that what it changes is gone with it; how the child ended."""
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno)
        finally:
            os._exit(255)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        raise OSError(errno.EPERM, signal.Signals(os.WTERMSIG(status)).name)
    if os.WEXITSTATUS(status):
        raise OSError(os.WEXITSTATUS(status), "in a child")
    return "done"
