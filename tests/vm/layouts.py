"""Daemons in control groups as service managers, people at a shell and containers make them.

Each scenario is a function whose name is a promise. It makes groups of its own, starts `hearth serve`
in one of them, looks at what the daemon made of it, and checks that nothing is left. What a scenario
sees it compares with `expect`, which ends it with both values.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time
import traceback

ROOT = pathlib.Path("/sys/fs/cgroup")
HEARTH = "/vm/hearth-bin"
# The host image is made once for all daemons in here, those of the tests included.
IMAGES = pathlib.Path(os.path.realpath(HEARTH)).parents[1] / "tests/images"
CONTROLLERS = "memory pids cpu"
MIB = 1 << 20
# As the binaries of tests have it: nothing here takes a tenth of it.
PATIENCE = 300
# Exit statuses of `serve`, from the table in the README.
LOST, REFUSED = 70, 78
# A shell's script that runs its arguments where no control groups are mounted.
HIDDEN = 'umount /sys/fs/cgroup && exec "$@"'

FUNCTION = '''
import os

hoard = []

def handler(event, context):
    for _ in range(event.get("mebibytes", 0)):
        hoard.append(bytearray(os.urandom(1 << 10) * (1 << 10)))
    return len(hoard)
'''


class Broken(Exception):
    """A promise does not hold."""


def expect(what, seen, wanted):
    if seen != wanted:
        raise Broken(f"{what}: {seen!r}, not {wanted!r}")


def eventually(what, look):
    begin = time.monotonic()
    while not look():
        if time.monotonic() - begin > PATIENCE:
            raise Broken(f"{what}: never")
        time.sleep(0.02)


def read(path):
    return pathlib.Path(path).read_text().strip()


def write(path, text):
    pathlib.Path(path).write_text(text)


def handed_down(group):
    return sorted(read(group / "cgroup.subtree_control").split())


@contextlib.contextmanager
def group(path, controllers=CONTROLLERS):
    """A group whose parents hand these controllers down to it, as a service manager makes one."""
    made, parent = [], ROOT
    before = handed_down(ROOT)
    for name in path.split("/"):
        write(parent / "cgroup.subtree_control", " ".join(f"+{one}" for one in controllers.split()))
        parent = parent / name
        parent.mkdir()
        made.append(parent)
    try:
        yield parent
    finally:
        # After a failure there may be anything in it.
        write(made[0] / "cgroup.kill", "1")
        eventually("it is empty", lambda: read(made[0] / "cgroup.events").startswith("populated 0"))
        for folder, _, _ in os.walk(made[0], topdown=False):
            os.rmdir(folder)
        surplus = set(handed_down(ROOT)) - set(before)
        write(ROOT / "cgroup.subtree_control", " ".join(f"-{one}" for one in surplus))


def start_in(where, command, **options):
    """Starts a program as a member of a group, the way a service manager does."""
    door = os.open(where / "cgroup.procs", os.O_WRONLY)
    try:
        return subprocess.Popen(command, preexec_fn=lambda: os.write(door, b"0"), **options)
    finally:
        os.close(door)


class Daemon:
    """`hearth serve` in a group; its data outlives it, as a service's does."""

    def __init__(self, where, home, *arguments, through=()):
        self.home, self.log = home, home / "log"
        ready = home / "ready"
        ready.unlink(missing_ok=True)
        command = [*through, HEARTH, "serve", "--data-dir", str(home / "data")]
        command += ["--image-dir", str(IMAGES)]
        command += ["--api-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
        command += ["--ready-file", str(ready), *arguments]
        with open(self.log, "a") as log:
            self.process = start_in(where, command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually("it serves", lambda: self.process.poll() is not None or self.is_ready(ready))
        self.facts = json.loads(read(ready)) if self.process.poll() is None else None

    @staticmethod
    def is_ready(ready):
        return ready.exists() and ready.read_text().endswith("\n")

    def verb(self, *arguments):
        environment = os.environ | {
            "HEARTH_ENDPOINT": self.facts["api"], "HEARTH_CREDENTIALS": self.facts["credentials"]
        }
        done = subprocess.run([HEARTH, *arguments], env=environment, capture_output=True, text=True)
        return done.stdout + done.stderr

    def answers(self):
        """A function is served."""
        folder = self.home / "function"
        folder.mkdir(exist_ok=True)
        write(folder / "app.py", FUNCTION)
        self.verb("deploy", str(folder), "--name", "f", "--timeout", "60", "--memory", "128")
        expect("a call", self.invoke(1), "1")

    def invoke(self, mebibytes):
        return self.verb("invoke", "f", "--data", json.dumps({"mebibytes": mebibytes})).strip()

    def directories(self):
        return sorted(ROOT.glob("**/hearth-[0-9]*"))

    def directory(self):
        (only,) = self.directories()
        return only

    def group(self):
        """Where the control plane is."""
        lines = read(f"/proc/{self.facts['pid']}/cgroup").splitlines()
        # Beside it is the hierarchy that makes joining groups quick.
        return ROOT / next(line for line in lines if line.startswith("0::/")).removeprefix("0::/")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        expect("its status", self.process.wait(PATIENCE), 0)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
            nothing_left()
        else:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def home():
    """A directory that the unprivileged control plane can reach."""
    folder = pathlib.Path("/tmp") / f"layout-{time.monotonic_ns()}"
    folder.mkdir(mode=0o755)
    try:
        yield folder
    except Exception:
        log = folder / "log"
        print(log.read_text() if log.exists() else "no log", flush=True)
        raise
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def nothing_left():
    expect("hearth's groups", sorted(ROOT.glob("**/hearth-*")), [])


# --------------------------------------------------------------------------------- scenarios


def in_the_root_group_every_limit_is_set_on_every_sandbox(place):
    before = handed_down(ROOT)
    with Daemon(ROOT, place) as daemon:
        daemon.answers()
        expect("its directory", daemon.directory().parent, ROOT)
        leaves = [leaf for leaf in daemon.directory().glob("c[0-9]*") if read(leaf / "cgroup.procs")]
        limits = [read(leaf / "memory.max") for leaf in leaves]
        # Those that are ready for a function have the smallest one's.
        expect("limits of sandboxes", set(limits), {str((128 + 512) * MIB)})
        for leaf in leaves:
            expect("processes are limited", read(leaf / "pids.max").isdigit(), True)
            expect("swap", read(leaf / "memory.swap.max"), "0")
            expect("all of it dies at once", read(leaf / "memory.oom.group"), "1")
    expect("what the root hands down afterwards", handed_down(ROOT), before)


def a_service_is_moved_to_a_leaf_of_its_own_and_back(place):
    with group("system.slice/hearth.service") as service:
        for _ in range(2):
            with Daemon(service, place) as daemon:
                daemon.answers()
                expect("its directory", daemon.directory().parent, service)
                expect("the daemon", daemon.group(), service / "hearth-main")
                expect("processes of the service itself", read(service / "cgroup.procs"), "")
            expect("what the service hands down", handed_down(service), [])


def beside_others_the_directory_lies_beneath_the_nearest_group_that_hands_down(place):
    with group("user.slice/session.scope") as session:
        start_in(session, ["sleep", "600"])
        with Daemon(session, place) as daemon:
            daemon.answers()
            expect("its directory", daemon.directory().parent, ROOT / "user.slice")
            expect("the daemon", daemon.group(), session)


def a_controller_that_is_not_handed_down_is_refused_by_name_or_left_out(place):
    with group("system.slice/hearth.service", "memory pids") as service:
        above = [ROOT, ROOT / "system.slice"]
        before = [handed_down(one) for one in above]
        for _ in range(2):
            refused = Daemon(service, place)
            expect("its status", refused.process.poll(), REFUSED)
            said = refused.log.read_text()
            if "cpu cannot be enforced" not in said or "--allow-unenforced=cpu" not in said:
                raise Broken("it did not say why")
            nothing_left()
            with Daemon(service, place, "--allow-unenforced=cpu") as daemon:
                daemon.answers()
                expect("its directory", daemon.directory().parent, service)
        expect("what is handed down above", [handed_down(one) for one in above], before)


def kill_nine_of_the_spawner_leaves_a_group_in_which_it_can_be_started_again(place):
    with group("system.slice/hearth.service") as service:
        for _ in range(2):
            daemon = Daemon(service, place)
            daemon.answers()
            expect("its directory", daemon.directory().parent, service)
            os.kill(daemon.facts["spawner_pid"], signal.SIGKILL)
            expect("the daemon's status", daemon.process.wait(PATIENCE), LOST)
            eventually("it is cleaned up", lambda: not list(service.glob("hearth-*")))
            expect("what the service hands down", handed_down(service), [])


def without_the_version_2_tree_it_says_so_and_does_not_start(place):
    refused = Daemon(ROOT, place, through=["unshare", "--mount", "sh", "-c", HIDDEN, "sh"])
    expect("its status", refused.process.poll(), REFUSED)
    if "no cgroup2 file system is mounted" not in refused.log.read_text():
        raise Broken("it did not say why")


def memory_beyond_the_limit_is_a_memory_kill_and_nothing_goes_to_swap(place):
    write("/sys/block/zram0/disksize", "256M")
    subprocess.run(["mkswap", "/dev/zram0"], check=True, capture_output=True)
    subprocess.run(["swapon", "/dev/zram0"], check=True)
    try:
        with group("system.slice/hearth.service") as service, Daemon(service, place) as daemon:
            daemon.answers()
            # Above all that the group may hold, which the kernel ends; and above MemorySize alone.
            for mebibytes in (800, 300):
                said = daemon.invoke(mebibytes)
                if "Runtime.OutOfMemory" not in said:
                    raise Broken(f"{mebibytes} MiB: {said}")
            used = read("/proc/swaps").splitlines()[1].split()[3]
            expect("swap in use", used, "0")
    finally:
        subprocess.run(["swapoff", "/dev/zram0"], check=True)


SCENARIOS = [
    without_the_version_2_tree_it_says_so_and_does_not_start,
    in_the_root_group_every_limit_is_set_on_every_sandbox,
    a_service_is_moved_to_a_leaf_of_its_own_and_back,
    beside_others_the_directory_lies_beneath_the_nearest_group_that_hands_down,
    a_controller_that_is_not_handed_down_is_refused_by_name_or_left_out,
    kill_nine_of_the_spawner_leaves_a_group_in_which_it_can_be_started_again,
    memory_beyond_the_limit_is_a_memory_kill_and_nothing_goes_to_swap,
]


def run(scenario):
    """Whether it holds; said in the words of the other suites."""
    try:
        with home() as place:
            scenario(place)
    except Exception as err:
        print(f"test layouts::{scenario.__name__} ... FAILED", flush=True)
        traceback.print_exception(err)
        return False
    print(f"test layouts::{scenario.__name__} ... ok", flush=True)
    return True
