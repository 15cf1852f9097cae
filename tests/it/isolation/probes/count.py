"""The number of processes: making more than one may.

Event: `wanted`, how many to try; `kind`, processes or threads.
"""

import threading


def processes(wanted):
    started = []
    try:
        while len(started) < wanted:
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            started.append(child)
    except OSError as error:
        return len(started), errno.errorcode[error.errno]
    finally:
        for child in started:
            os.kill(child, signal.SIGKILL)
        for child in started:
            os.waitpid(child, 0)
    return len(started), "none"


def threads(wanted):
    done = threading.Event()
    threading.stack_size(64 << 10)
    started = []
    try:
        while len(started) < wanted:
            thread = threading.Thread(target=done.wait)
            thread.start()
            started.append(thread)
    except RuntimeError:
        return len(started), "EAGAIN"
    finally:
        done.set()
        for thread in started:
            thread.join()
    return len(started), "none"


def handler(event, context):
    count, error = (processes if event["kind"] == "processes" else threads)(event["wanted"])
    return {"count": count, "error": error}
