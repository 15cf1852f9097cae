//! The walls: each is attacked from inside, and each attack is shown to work where the wall is not.
//!
//! A probe (`probes/*.py`) is one program. Run as a function it must find every attack refused; run by
//! root outside of any sandbox, the *negative control*, it must find every attack succeed, or its
//! failing inside would prove nothing. Inside means twice: in an instance that was started as most are,
//! and in one that was restored from a snapshot. The modules stand beside the promises of `docs/security.md`.

// Other processes: seeing, reading, signalling, tracing them.
pub mod processes;
// Other files: reading what is not ours, writing what is read-only, leaving by a descriptor.
pub mod files;
// Host root: becoming it, acting as it, leaving the root folder.
pub mod root;
// Network: the host's listeners, packets, the firewall, the hypervisor.
pub mod network;
// Memory, processes, processors and the rest: taking more than one is given.
mod resources;
// Memory: what ends a function, and what does not.
mod memory_kills;
// Answers: what a function says to the platform, on its link and through the Runtime API.
mod answers;
// Secrets: of the daemon, of other functions, of the processor.
mod secrets;
// Capabilities, and what needs one.
pub mod capabilities;
// System calls that are not there.
pub mod syscalls;
// Between functions: what both are shown.
mod neighbours;
// Between functions: what one leaves behind.
mod traces;
// Between functions: what one uses up.
mod budgets;
// Uploads that would lead set-up astray.
mod uploads;
// Our own processes, beside the functions they hold.
mod ours;
// Descriptors pushed at the control plane.
mod descriptors;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::daemon::require_root;
use crate::harness::tools::run;
use crate::harness::{Daemon, Function, Package, setup};

/// A program that attacks.
struct Probe(String);

/// What came of each attack, in the probe's words.
type Findings = BTreeMap<String, String>;

/// What the kernel says of things that were not built into it.
const ABSENT: [&str; 3] = [": EAFNOSUPPORT", ": EPROTONOSUPPORT", ": ENOSYS"];

// === impl Probe ===

impl Probe {
    fn new(source: &str) -> Self {
        Self(format!("{}\n\n{source}", include_str!("isolation/probes/attack.py")))
    }

    /// It as a function.
    fn function(&self) -> Function {
        let package = Package::new().file("app.py", &self.0).build();
        Function::new(setup::python_runtime(), "app.handler", package).timeout(60)
    }

    /// Runs it by root, outside of any sandbox. What it does to mounts, host name and shared memory is
    /// done in namespaces of its own, so that an attack that succeeds does no harm.
    fn outside(&self, event: &Value) -> Value {
        require_root();
        let script = format!(
            "{}\n\nimport json, sys\n\nout = handler(json.loads(sys.argv[1]), None)\nprint(json.dumps(out))\n",
            self.0
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--uts", "--ipc", "/usr/bin/python3", "-c", &script]);
        let ran = run(command.arg(event.to_string()), "");
        ran.json()
    }

    /// The promise and its control: every attack is refused inside and succeeds outside. What came of
    /// them inside.
    #[track_caller]
    fn holds_inside_and_breaks_outside(&self, inside: &Value, outside: &Value) -> Findings {
        self.holds_in(&crate::harness::shared(), inside, outside)
    }

    /// The same in a sandbox of this daemon.
    #[track_caller]
    fn holds_in(&self, daemon: &Daemon, inside: &Value, outside: &Value) -> Findings {
        let function = self.function().deploy(daemon);
        let held = findings(&function.answer(inside));
        let restored = findings(&crate::snapshots::restored(self.function(), daemon, inside));
        let broken = findings(&self.outside(outside));
        let names = |findings: &Findings| findings.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&held), names(&broken), "the same attacks");
        assert_eq!(names(&held), names(&restored), "the same attacks");
        let wrong = |findings: &Findings, word: &str| {
            let others = findings.iter().filter(|(_, found)| !found.starts_with(word));
            others.map(|(name, found)| format!("{name}: {found}")).collect::<Vec<_>>()
        };
        for (way, found) in [("forked or executed", &held), ("restored", &restored)] {
            let fallen = wrong(found, "held: ");
            assert!(fallen.is_empty(), "a wall does not stand ({way}):\n{}", fallen.join("\n"));
        }
        let mut blind = wrong(&broken, "broken: ");
        // A host without vsock or IPv6 has nothing there to attack; a newer one does.
        blind.retain(|line| !ABSENT.iter().any(|error| line.ends_with(error)));
        assert!(blind.is_empty(), "the probe cannot see these:\n{}", blind.join("\n"));
        held
    }
}

#[track_caller]
fn findings(answer: &Value) -> Findings {
    serde_json::from_value(answer.clone()).unwrap_or_else(|err| panic!("{err}: {answer}"))
}

/// A path as text.
fn text(path: &Path) -> String {
    path.display().to_string()
}
