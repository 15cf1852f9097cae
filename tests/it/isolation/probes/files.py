"""Other files: reading what is not ours, writing what is ours to read only.

Event: `secrets`, files on the host; `system` and `task`, folders that must not be writable.
"""

MOUNT_FLAGS = ("nosuid", "nodev")


def read(path):
    with open(path, "rb") as file:
        return len(file.read(64))


def write(path):
    with open(path, "w") as file:
        file.write("x")
    os.unlink(path)
    return path


def unnamed(folder):
    os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR))
    return folder


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
    for name in ("system", "task"):
        folder = event[name]
        attack(f"write into {name}", lambda: write(f"{folder}/written"))
        attack(f"make a folder in {name}", lambda: os.rmdir(os.mkdir(f"{folder}/made") or f"{folder}/made"))
        attack(f"link into {name}", lambda: os.unlink(os.symlink("x", f"{folder}/link") or f"{folder}/link"))
        attack(f"hold an unnamed file in {name}", lambda: unnamed(folder))
        attack(f"change the mode of {name}", lambda: os.chmod(folder, 0o755))
        attack(f"change the times of {name}", lambda: os.utime(folder))
    attack("leave through a descriptor", through_a_descriptor)
    lacking = mounts_without(MOUNT_FLAGS)
    claim("find a mount with setuid or devices", not lacking, lacking)
    return findings
