"""The files of the machine, as one archive in the kernel's format (cpio, "newc").

Everything has the path it has on the host: the binaries of tests have paths compiled into them, and
the host image is made of what lies at the usual places. What is taken:

* of Debian's packages: the shell, the usual tools, Python and its library, with compiled modules;
* every shared library that any of these needs, as the loader finds it;
* of Cargo's: the daemon, the two binaries of tests, the programs these start; without symbols;
* of the kernel's modules: swap in memory, and a network interface.
"""

import os
import pathlib
import shutil
import stat
import subprocess
import tempfile

PACKAGES = [
    "base-files", "base-passwd", "bash", "coreutils", "dash", "debianutils", "findutils", "grep",
    "gzip", "hostname", "libc-bin", "mawk", "mount", "procps", "sed", "tar", "tzdata", "util-linux",
    "python3-minimal", "python3.11", "python3.11-minimal", "libpython3.11-minimal",
    "libpython3.11-stdlib", "media-types",
    # What runs the services.
    "systemd", "passwd", "uidmap", "libpam-modules", "libpam-runtime",
]
# Parts of those that nothing there reads.
LEFT_OUT = (
    "/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/info/",
    "/usr/share/lintian/", "/usr/share/bash-completion/", "/usr/share/zoneinfo/right/",
    "/usr/share/zoneinfo/posix/", "/usr/lib/python3.11/test/", "/usr/lib/python3.11/idlelib/",
    "/usr/lib/python3.11/tkinter/", "/usr/lib/python3.11/lib2to3/", "/usr/lib/python3.11/ensurepip/",
    "/usr/lib/python3.11/pydoc_data/", "/usr/lib/python3.11/distutils/",
)
# The roots of a merged /usr, beside what packages list.
LINKS = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr/bin/python3"]
# For what Python and the daemon look up.
PLAIN = ["/etc/nsswitch.conf", "/etc/ld.so.conf", "/etc/ld.so.cache", "/etc/ssl/certs/ca-certificates.crt"]
# Swap in memory; a network interface beside the loopback.
MODULES = [
    "crypto/lzo-rle.ko", "mm/zsmalloc.ko", "drivers/block/zram/zram.ko", "drivers/net/dummy.ko",
]
GUEST = ["init.py", "suites.py", "layouts.py"]


def make(archive, root, built, kernel):
    """Writes the archive; its size in bytes."""
    files = Files()
    for path in LINKS + PLAIN:
        files.add(path)
    listed = subprocess.run(["dpkg-query", "-L", *PACKAGES], capture_output=True, text=True)
    for line in listed.stdout.splitlines():
        if line.startswith("/") and not line.startswith(LEFT_OUT):
            files.add(line)
            files.add_compiled(line)
    files.programs += map(str, built.values())
    files.add_libraries()
    with tempfile.TemporaryDirectory() as scratch:
        add_built(files, root, built, pathlib.Path(scratch))
        for name in MODULES:
            files.put(f"/modules/{pathlib.Path(name).name}", kernel.modules / "kernel" / name)
        for name in GUEST:
            files.put(f"/vm/{name}", root / "tests/vm" / name)
        files.link("/init", "/vm/init.py")
        with open(archive, "wb") as out:
            return files.write(out)


def add_built(files, root, built, scratch):
    """What Cargo built, at its own paths. Cargo itself is a program that does nothing, well: whatever
    a test would have it build is there. The compiler is a script that copies what it would make."""
    target = built["hearth bin"].parents[1]
    privileged = target / "privileged/x86_64-unknown-linux-gnu/privileged"
    static = target / "tests/custom-runtime/x86_64-unknown-linux-gnu/release/bootstrap"
    programs = [*built.values(), *privileged.glob("hearth-spawner*"), privileged / "hearth-runner"]
    programs = [path for path in programs if path.suffix != ".d"]
    if static.exists():
        programs.append(static)
    files.put("/usr/bin/cc", root / "tests/vm/cc")
    for source in (root / "src/spawner/tests/it/programs").glob("*.c"):
        made = scratch / source.stem
        subprocess.run(["cc", "-static", "-O1", "-o", str(made), str(source)], check=True)
        files.put(f"/vm/compiled/{source.stem}", made)
    # What forks are made with is compiled for the tests' own images too.
    source, made = root / "runner/python/fork.c", scratch / "fork"
    flags = [(root / f"runner/python/{of}.flags").read_text().split() for of in ("freestanding", "library")]
    subprocess.run(["cc", *sum(flags, []), "-o", str(made), str(source)], check=True)
    files.put(f"/vm/compiled/{source.stem}", made)
    for program in programs:
        stripped = scratch / str(len(files.entries))
        subprocess.run(["strip", "-o", str(stripped), str(program)], check=True)
        files.put(program, stripped)
    for name in ("hearth bin", "hearth test", "spawner test"):
        files.link(f"/vm/{name.replace(' ', '-')}", built[name])
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], cwd=root, capture_output=True, text=True)
    for cargo in {f"{sysroot.stdout.strip()}/bin/cargo", shutil.which("cargo")}:
        files.link(cargo, "/usr/bin/true")
    # The host's own are among its packages; these were fetched for it.
    for name in ("newuidmap", "newgidmap"):
        helper = target / "tests/uidmap/bin" / name
        if helper.exists():
            files.put(f"/usr/bin/{name}", helper)
    for folder in (target / "tmp", target / "tests"):
        files.folder(folder)
    for path in sorted((root / "examples").rglob("*")):
        if "target" not in path.parts[len(root.parts):]:
            files.add(path)


class Files:
    """Paths of the machine, each with where its content comes from."""

    def __init__(self):
        # Path → (file to read, or None; target of a link, or None).
        self.entries = {}
        self.programs = []

    def add(self, path):
        """A file, link or directory of the host's, where it really is."""
        path = str(path)
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if real in self.entries or not os.path.lexists(real) or real == "/":
            return
        facts = os.lstat(real)
        if stat.S_ISLNK(facts.st_mode):
            self.link(real, os.readlink(real))
            self.add(os.path.join(os.path.dirname(real), os.readlink(real)))
        elif stat.S_ISDIR(facts.st_mode):
            self.folder(real)
        elif stat.S_ISREG(facts.st_mode):
            self.put(real, real)
            if facts.st_mode & 0o111 or ".so" in os.path.basename(real):
                self.programs.append(real)

    def add_compiled(self, path):
        """Python's compiled form of a module, which no package lists."""
        folder, name = os.path.split(path)
        if name.endswith(".py"):
            self.add(f"{folder}/__pycache__/{name[:-3]}.cpython-311.pyc")

    def add_libraries(self):
        """What the loader would map for every program so far."""
        done = subprocess.run(["ldd", *self.programs], capture_output=True, text=True)
        for word in set(done.stdout.split()):
            if word.startswith("/") and not word.endswith(":"):
                self.add(word)

    def put(self, path, source):
        self.folder(os.path.dirname(path))
        self.entries[str(path)] = (str(source), None)

    def link(self, path, target):
        self.folder(os.path.dirname(path))
        self.entries[str(path)] = (None, str(target))

    def folder(self, path):
        path = os.path.realpath(path)
        if path != "/" and path not in self.entries:
            self.folder(os.path.dirname(path))
            self.entries[path] = (None, None)

    def write(self, out):
        """Sorted, so that a directory comes before what is in it."""
        for number, path in enumerate(sorted(self.entries), start=1):
            source, target = self.entries[path]
            if target is not None:
                record(out, number, path, stat.S_IFLNK | 0o777, 0, target.encode())
            elif source is None:
                mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.isdir(path) else 0o755
                record(out, number, path, stat.S_IFDIR | mode, 0, b"")
            else:
                facts = os.stat(source)
                mode = stat.S_IFREG | stat.S_IMODE(facts.st_mode)
                with open(source, "rb") as content:
                    record(out, number, path, mode, int(facts.st_mtime), content.read())
        record(out, 0, "TRAILER!!!", 0, 0, b"")
        return out.tell()


def record(out, number, path, mode, modified, content):
    """One file: a header of hexadecimal numbers, the path, the content, each padded to four bytes."""
    name = path.lstrip("/").encode() + b"\0"
    # inode, mode, user, group, links, time, size, device (2), its own device (2), name, checksum.
    fields = [number, mode, 0, 0, 1, modified, len(content), 0, 0, 0, 0, len(name), 0]
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    for part in (header + name, content):
        out.write(part + b"\0" * (-len(part) % 4))
