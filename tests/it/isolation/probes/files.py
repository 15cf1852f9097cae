"""Other files: reading what is not ours, leaving by a descriptor, changing what is executed.

Event: `secrets`, files on the host; `program`, what it runs.
"""

import stat

MOUNT_FLAGS = ("nosuid", "nodev")


def read(path):
    with open(path, "rb") as file:
        return len(file.read(64))


def rewrite(path):
    with open(path, "r+b") as file:
        return file.fileno()


def through_a_descriptor():
    """An open folder of the host is a way out of any root: tries every descriptor there could be."""
    for number in range(3, 1024):
        for path in ("../etc/shadow", "../../etc/shadow", "../../../../../etc/shadow", "etc/shadow"):
            try:
                os.close(os.open(path, os.O_RDONLY, dir_fd=number))
                return number
            except OSError:
                pass
    raise OSError(errno.ENOENT, "no descriptor leads out")


def through_proc():
    """The same by the names that /proc gives to descriptors, roots and working folders."""
    ways = [f"fd/{number}" for number in range(3, 1024)] + ["root", "cwd"]
    for way in ways:
        for up in ("", "/..", "/../..", "/../../../.."):
            try:
                os.close(os.open(f"/proc/self/{way}{up}/etc/shadow", os.O_RDONLY))
                return way
            except OSError:
                pass
    raise OSError(errno.ENOENT, "no name leads out")


def open_folders():
    """Descriptors of folders, other than the one by which they are listed."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISDIR(os.fstat(int(name)).st_mode):
                found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            pass
    return found


def mounts_without(flags):
    """Mount points that lack one of the flags; the devices are files of their own."""
    lacking = []
    with open("/proc/self/mountinfo") as table:
        for line in table:
            fields = line.split()
            point, options = fields[4], fields[5].split(",")
            if not point.startswith("/dev") and not all(flag in options for flag in flags):
                lacking.append(point)
    return lacking


def handler(event, context):
    for number, secret in enumerate(event["secrets"]):
        attack(f"read secret {number}", lambda: read(secret))
        attack(f"see secret {number}", lambda: os.stat(secret).st_ino)
    attack("read the password hashes", lambda: read("/etc/shadow"))
    attack("list the home of root", lambda: os.listdir("/root"))
    attack("list what the system runs on", lambda: os.listdir("/sys/kernel"))
    attack("list the boot loader", lambda: os.listdir("/boot"))
    attack("leave through a descriptor", through_a_descriptor)
    attack("leave through a name of a descriptor", through_proc)
    attack("rewrite the program it runs", lambda: rewrite(event["program"]))
    folders = open_folders()
    claim("hold a folder open", not folders, folders)
    lacking = mounts_without(MOUNT_FLAGS)
    claim("find a mount with setuid or devices", not lacking, lacking)
    return findings
