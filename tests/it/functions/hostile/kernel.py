"""Everything that the kernel keeps for a process: pipes, sockets, timers, signals, locks; for so many
seconds, again and again.
"""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import time

libc = ctypes.CDLL(None, use_errno=True)
TIMER_CREATE = 222


def pipes():
    held = []
    try:
        while True:
            read, write = os.pipe()
            held += (read, write)
            os.set_blocking(write, False)
            try:
                while True:
                    os.write(write, bytes(4096))
            except BlockingIOError:
                pass
    except OSError:
        for one in held:
            os.close(one)


def sockets():
    held = []
    try:
        while len(held) < 800:
            held += socket.socketpair()
            held[-1].setblocking(False)
            try:
                while True:
                    held[-1].send(bytes(4096))
            except BlockingIOError:
                pass
    except OSError:
        pass


def timers():
    while libc.syscall(TIMER_CREATE, 1, struct.pack("Qii48x", 0, 0, 1), ctypes.create_string_buffer(8)) == 0:
        pass


def signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    for _ in range(1000):
        os.kill(os.getpid(), signal.SIGUSR1)


def locks():
    with open("/tmp/locked", "w") as file:
        for number in range(2000):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 2 * number)


def handler(event, context):
    end = time.monotonic() + event["seconds"]
    while time.monotonic() < end:
        for take in (pipes, sockets, timers, signals, locks):
            take()
    return "given back"
