"""The kernel and QEMU, from Debian's archive, without changing the host.

Packages are downloaded with `apt-get`, which checks their signatures, and unpacked with `dpkg-deb`
under target/tests/vm/. apt's lists are kept there too: those of the host may be missing or name
versions that are gone, and renewing them would be a change. Each part is fetched once; its stamp
names what it was made of. Deleting target/tests/vm fetches anew.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess

KERNEL = "linux-image-cloud-amd64"
QEMU = "qemu-system-x86"
PROGRAM = "qemu-system-x86_64"


class Unavailable(Exception):
    """Something is neither here nor to be had; the text says how to go on."""


@dataclasses.dataclass
class Kernel:
    image: pathlib.Path
    modules: pathlib.Path
    release: str


@dataclasses.dataclass
class Qemu:
    command: list
    environment: dict


def kernel(folder, say):
    """A stock kernel and its modules."""
    home = folder / "kernel"

    def work(draft):
        apt = Apt(folder, say)
        # What the meta package stands for today.
        depends = apt.run("apt-cache", "depends", KERNEL, remedy=network(KERNEL))
        found = re.search(r"Depends: (linux-image-\S+)", depends)
        if not found:
            raise Unavailable(f"apt knows no {KERNEL}: this needs Debian's archive in its sources")
        say(f"fetching {found[1]} (once, under {home})")
        apt.run("apt-get", "download", found[1], cwd=draft, remedy=network(found[1]))
        (package,) = draft.glob("*.deb")
        unpack(package, draft)
        return package.name

    once(home, KERNEL, work)
    (image,) = home.glob("boot/vmlinuz-*")
    release = image.name.removeprefix("vmlinuz-")
    return Kernel(image, home / "lib/modules" / release, release)


def qemu(folder, say):
    """The host's QEMU, or one that was unpacked."""
    if found := shutil.which(PROGRAM):
        return Qemu([found], {})
    home = folder / "qemu"

    def work(draft):
        apt = Apt(folder, say)
        say(f"fetching {QEMU} and what it needs, because this host has none (once, under {home})")
        (draft / "partial").mkdir()
        # Everything that the host's packages do not provide already.
        apt.run(
            "apt-get", "install", "--download-only", "--yes", "--no-install-recommends",
            "-o", f"Dir::Cache::archives={draft}", "-o", "Debug::NoLocking=true", QEMU,
            remedy=f"{network(QEMU)}, or `apt install {QEMU}`",
        )
        packages = sorted(draft.glob("*.deb"))
        for package in packages:
            unpack(package, draft)
        return "\n".join(package.name for package in packages)

    once(home, QEMU, work)
    libraries = [*home.glob("usr/lib/*-linux-gnu"), *home.glob("lib/*-linux-gnu")]
    libraries += [path / "pulseaudio" for path in libraries if (path / "pulseaudio").is_dir()]
    data = [home / "usr/share" / name for name in ("qemu", "seabios", "ipxe", "vgabios")]
    command = [str(home / "usr/bin" / PROGRAM)]
    for path in filter(pathlib.Path.is_dir, data):
        command += ["-L", str(path)]
    environment = {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}
    modules = [path / "qemu" for path in libraries if (path / "qemu").is_dir()]
    if modules:
        environment["QEMU_MODULE_DIR"] = str(modules[0])
    return Qemu(command, environment)


def network(package):
    return f"{package} comes from Debian's archive: give this machine a network or an apt proxy"


def unpack(package, folder):
    subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
    package.unlink()


def once(home, key, work):
    """Fills a folder, unless its stamp says that it was filled for the same purpose."""
    stamp = home / "stamp"
    if stamp.exists() and stamp.read_text().startswith(f"{key}\n"):
        return
    shutil.rmtree(home, ignore_errors=True)
    draft = home.with_name(f"{home.name}.{os.getpid()}")
    draft.mkdir(parents=True)
    try:
        made_of = work(draft)
        (draft / "stamp").write_text(f"{key}\n{made_of}\n")
        # Another run may have been faster; theirs is as good.
        if not home.exists():
            draft.rename(home)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


class Apt:
    """apt with lists of its own and the host's sources, keys and installed packages."""

    def __init__(self, folder, say):
        state = folder / "apt"
        for part in ("lists/partial", "cache/archives/partial"):
            (state / part).mkdir(parents=True, exist_ok=True)
        self.options = [
            "-o", f"Dir::State::lists={state}/lists", "-o", f"Dir::Cache={state}/cache",
            # Its unprivileged helper may not reach this folder.
            "-o", "APT::Sandbox::User=root",
        ]
        if not shutil.which("apt-get"):
            raise Unavailable(f"no apt-get here: install {PROGRAM}, or run this on a Debian")
        say("asking Debian's archive what there is")
        self.run("apt-get", "update", remedy=network("this"))

    def run(self, program, *arguments, remedy, cwd=None):
        command = [program, *self.options, *arguments]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
        if done.returncode != 0:
            raise Unavailable(f"{' '.join(command)} failed; {remedy}\n{done.stdout}{done.stderr}")
        return done.stdout
