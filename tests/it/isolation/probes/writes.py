"""Writing: every call that changes a file or a folder, wherever nothing may change.

Event: `places`, each with a `folder`, a `file` in it, and whether that is a `device`, which takes
bytes without changing; `mounts`, what to make writable.
"""

MS_REMOUNT, MS_BIND = 0x20, 0x1000
MOUNT_SETATTR, AT_FDCWD, MOUNT_ATTR_RDONLY = 442, -100, 1


def undone(act, undo):
    act()
    undo()
    return "done and undone"


def listen(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path)


def opened(path, flags):
    os.close(os.open(path, flags))
    return path


def try_all(number, folder, file, device):
    new = f"{folder}/made"
    gone = lambda: os.unlink(new)

    def at(what, action):
        attack(f"{number}: {what}", action)

    at("create a file", lambda: undone(lambda: open(new, "w").close(), gone))
    at("make a folder", lambda: undone(lambda: os.mkdir(new), lambda: os.rmdir(new)))
    at("make a link", lambda: undone(lambda: os.symlink("x", new), gone))
    at("make a second name", lambda: undone(lambda: os.link(file, new), gone))
    at("make a pipe", lambda: undone(lambda: os.mkfifo(new), gone))
    at("make a socket", lambda: undone(lambda: listen(new), gone))
    at("hold an unnamed file", lambda: opened(folder, os.O_TMPFILE | os.O_RDWR))
    at("change the mode of the folder", lambda: os.chmod(folder, 0o755))
    at("change the times of the folder", lambda: os.utime(folder))
    at("change the mode", lambda: os.chmod(file, 0o755))
    at("change the times", lambda: os.utime(file))
    at("change the owner", lambda: os.chown(file, os.getuid(), os.getgid()))
    at("give it an attribute", lambda: os.setxattr(file, "security.hearth", b"x"))
    if not device:
        at("write", lambda: opened(file, os.O_WRONLY))
        at("append", lambda: opened(file, os.O_WRONLY | os.O_APPEND))
        at("empty it", lambda: os.truncate(file, 0))
        at("empty it by opening", lambda: opened(file, os.O_RDONLY | os.O_TRUNC))
    at("rename", lambda: undone(lambda: os.rename(file, new), lambda: os.rename(new, file)))
    at("remove", lambda: os.unlink(file))


def remount(point):
    if libc.mount(None, point.encode(), None, MS_REMOUNT | MS_BIND, None):
        raise OSError(ctypes.get_errno(), "mount")
    return point


def change_flags(point):
    attributes = (ctypes.c_uint64 * 4)(0, MOUNT_ATTR_RDONLY, 0, 0)
    return syscall(MOUNT_SETATTR, AT_FDCWD, point.encode(), 0, attributes, 32)


def handler(event, context):
    for number, place in enumerate(event["places"]):
        try_all(number, **place)
    for number, point in enumerate(event["mounts"]):
        attack(f"make mount {number} writable", lambda: remount(point))
        attack(f"change the flags of mount {number}", lambda: change_flags(point))
    return findings
