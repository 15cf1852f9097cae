"""Which tests run in the machine, in which control groups, and what became of them.

Every suite is one call of a binary of tests, or the scenarios of layouts.py. What is not run is in
the table `LEFT_OUT`, each with its reason; everything that is added to a suite's modules later runs
here without being named.
"""

import contextlib
import os
import re
import subprocess
import time

import layouts

# The interpreted processor is some fifteen times slower than a real one.
SLOWNESS = "15"
# Words in names of tests, and why they are not run in here.
LEFT_OUT = {
    "a_thousand_cells_leave_nothing_behind": "says nothing about a kernel that 200 cells do not",
    "a_burst_is_made_in_a_pipeline": "200 cells at once outlast the spawner's patience in here",
    "hostile::": "frames and floods say nothing about a kernel",
    "kills::the_control_plane_gone": "as killing the spawner proper, which is run",
    "kills::the_spawner_and_the_control_plane": "as killing the outer process, which is run",
    "what_no_control_group_pays_for_is_refused": "its control needs a file on a disk; there is none",
    "isolation::answers::": "what the control plane makes of answers says nothing about a kernel",
    "isolation::uploads::": "nor does what it makes of uploads",
    "node_does_what_it_does_elsewhere": "no Node in here: 100 MB, and the kernel's part is the same",
    "a_node_example_is_served": "no Node in here",
}


# A binary of tests and the tests' common prefix; or none, for the scenarios of layouts.py.
SUITES = {
    "layouts": None,
    "spawner": ["/vm/spawner-test"],
    "isolation": ["/vm/hearth-test", "isolation::"],
    "lifecycle": ["/vm/hearth-test", "lifecycle::"],
    # The units, with every controller handed down to them; what is quick or slow, and who hangs, is
    # seen better where a second is one.
    "service": ["/vm/hearth-test", "service::systemd::a_real_systemd"],
    "rootless": ["/vm/hearth-test", "rootless::"],
}
# Only when named: seven minutes more than there is time for.
BY_NAME = ["rootless"]


def main():
    words = open("/proc/cmdline").read()
    only, test = (re.search(rf"{name}=(\S*)", words)[1] for name in ("hearth_only", "hearth_test"))
    chosen = [name for name in SUITES if only in name and (only or name not in BY_NAME)]
    verdicts = [run(name, test) for name in chosen]
    good = bool(verdicts) and all(verdicts)
    print(f"hearth-vm: {'passed' if good else 'failed'}", flush=True)


def run(name, test):
    """Runs one; whether anything ran and everything passed."""
    print(f"\n=== {name}", flush=True)
    begin = time.monotonic()
    command = SUITES[name]
    # A host's service manager has the root hand its controllers down, for as long as it runs.
    with layouts.group("host") if name == "service" else contextlib.nullcontext():
        passed, failed = run_binary(command, test) if command else run_scenarios(test)
    took = time.monotonic() - begin
    print(f"=== {name}: {passed} passed, {failed} failed, {took:.0f} s", flush=True)
    return passed > 0 and failed == 0


def run_scenarios(test):
    chosen = [scenario for scenario in layouts.SCENARIOS if test in scenario.__name__]
    verdicts = [layouts.run(scenario) for scenario in chosen]
    return verdicts.count(True), verdicts.count(False)


def run_binary(command, test):
    # libtest runs what any of its words is in; a word of one's own takes the place of the modules'.
    command = [command[0], test, "--test-threads=2"] if test else [*command, "--test-threads=2"]
    for word in LEFT_OUT:
        command += ["--skip", word]
    environment = os.environ | {"HEARTH_TEST_PATIENCE": SLOWNESS, "HEARTH_TEST_NODE": "none"}
    # As Cargo starts its tests: one looks for it where nothing of a spawner's environment is to be.
    environment["CARGO_MANIFEST_DIR"] = "/"
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
    )
    passed, failed = 0, 1
    begin = time.monotonic()
    for line in process.stdout:
        if line.startswith("test ") and line.endswith((" ok\n", " FAILED\n")):
            line = f"{line[:-1]} at {time.monotonic() - begin:.0f} s\n"
        print(line, end="", flush=True)
        if found := re.match(r"test result: .* (\d+) passed; (\d+) failed;", line):
            passed, failed = map(int, found.groups())
    # A binary that breaks off has said no result, and has failed.
    return passed, failed if process.wait() == 0 else max(failed, 1)
