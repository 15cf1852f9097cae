"""Handlers that end, fork and start things."""

import os
import signal
import subprocess
import sys
import threading
import time


def exits(event, context):
    print("leaving")
    sys.exit(event)


def leaves(event, context):
    os._exit(event)


def interrupts(event, context):
    raise KeyboardInterrupt


def aborts(event, context):
    os.kill(os.getpid(), signal.SIGSEGV)


def forks(event, context):
    child = os.fork()
    if child == 0:
        print("child")
        return "the child's answer"
    return os.waitpid(child, 0)[1]


def forks_and_fails(event, context):
    child = os.fork()
    if child == 0:
        raise ValueError("the child's failure")
    return os.waitpid(child, 0)[1]


def starts(event, context):
    # Without closing anything in between: what is inherited is seen.
    script = "for fd in /proc/$$/fd/*; do readlink $fd; done"
    found = subprocess.run(["/bin/sh", "-c", script], close_fds=False, capture_output=True)
    found = found.stdout.decode().splitlines()
    return [len(found) >= 3, os.readlink("/proc/self/fd/3") in found]


def keeps_running(event, context):
    threading.Thread(target=time.sleep, args=(1000,)).start()


def threads(event, context):
    seen = []
    thread = threading.Thread(target=lambda: seen.append(os.environ.get("_HANDLER")))
    thread.start()
    thread.join()
    return seen


COUNT = 0


def counts(event, context):
    global COUNT
    COUNT += 1
    return COUNT


def answer_elsewhere(connection, value):
    connection.send(value * 2)


def spawns(event, context):
    import multiprocessing

    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=answer_elsewhere, args=(theirs, event))
    process.start()
    answer = ours.recv()
    process.join()
    return [answer, process.exitcode]
