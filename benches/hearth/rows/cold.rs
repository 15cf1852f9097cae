//! First calls ever: what stands ready, and how long it takes to become somebody's function.
//!
//! Functions are made before and deleted after what is timed. Each is called once, then its floor is
//! taken, then the pool gets time to put back what was taken: nobody's first call finds it empty, but
//! where that is the point. Which rung served is asked of the daemon for every single one: those of
//! another rung than the row's are counted and left out, and where they are many the row is not met.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::client::{Connection, Shot};
use crate::daemon::Daemon;
use crate::floors;
use crate::functions::{BODY, ECHO};
use crate::kernel::Meter;
use crate::lab::Lab;
use crate::metrics::{Metrics, between};
use crate::report::{Finding, Starts, Target, Unmeasured, percentiles};
use crate::tools;

/// Functions that are called once each.
const COLD: usize = 200;
/// Where each takes longer.
const FEWER: usize = 40;
/// Longest wait for the pool between two of them.
const REFILLED: Duration = Duration::from_secs(5);
/// The kernel takes namespaces apart after their last user is gone; what one turn leaves is not the
/// next one's.
const REST: Duration = Duration::from_millis(10);

/// What is measured cold.
pub(super) struct Cold<'c> {
    /// What served starts must be, one of these.
    pub rungs: &'c [&'c str],
    /// The interpreter that is to stand ready, if one is.
    pub spare: Option<&'c str>,
    /// How many, and how many in the short run.
    pub count: (usize, usize),
    /// For the median and the tail.
    pub targets: [Option<Target>; 2],
    /// Makes one that has not run.
    pub make: &'c dyn Fn(&str) -> Result<Shot>,
    /// Measures the floor once.
    pub floor: &'c mut dyn FnMut() -> Result<Duration>,
}

/// Row `cold-python`.
pub fn python(lab: &Lab) -> Result<Finding> {
    let (daemon, python) = (lab.daemon()?, tools::python()?);
    Cold {
        rungs: &["spare"],
        spare: Some("python"),
        count: (COLD, 40),
        targets: [Some(Target::AtMost(0.12)), Some(Target::AtMost(0.5))],
        make: &|name| daemon.python(name, ECHO),
        floor: &mut || floors::run(&python, &["-S", "-c", "pass"]),
    }
    .measure(lab, daemon, "python")
}

/// Row `cold-fork`. The daemon has room for three sandboxes and so for one spare: that is another
/// interpreter's, or somebody else's first call takes it a moment before.
pub fn fork(lab: &Lab) -> Result<Finding> {
    let python = tools::python()?;
    let daemon = lab.another("fork", "max_instances = 3\nready_cells = 1\nready_spares = 1\n")?;
    let templates = |metrics: &Metrics| metrics.get("hearth_templates").unwrap_or(0.0) > 0.0;
    // Should there never be one, what serves instead is told by the starts.
    let _none = daemon.until("there is a template", templates);
    let (mut ours, mut others, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    let mut starts = BTreeMap::new();
    let mut connection = Connection::open(daemon.http)?;
    for n in 0..lab.much(COLD, 40) {
        let names = [format!("bench-taker-{n}"), format!("bench-fork-{n}")];
        let [taker, shot] = [daemon.python(&names[0], ECHO)?, daemon.python(&names[1], ECHO)?];
        refilled(&daemon, None)?;
        std::thread::sleep(REST);
        let before = daemon.metrics()?;
        if before.labelled("hearth_spares_ready", "python").unwrap_or(0.0) > 0.0 {
            connection.fire(&taker)?;
        }
        let before = before.starts();
        let (took, body) = connection.fire(&shot)?;
        ensure!(body == BODY, "a cold function answered {}", String::from_utf8_lossy(body));
        let mut by = between(&before, &daemon.metrics()?.starts());
        // That of the other one.
        if let Some(spares) = by.remove("spare").filter(|spares| *spares > 1) {
            by.insert("spare".to_owned(), spares - 1);
        }
        match by.keys().eq(["fork"]) {
            true => ours.push(took),
            false => others.push(took),
        }
        add(&mut starts, by);
        daemon.delete(&names)?;
        std::thread::sleep(REST);
        floor.push(floors::run(&python, &["-S", "-c", "pass"])?);
    }
    daemon.stop()?;
    let targets = [Some(Target::AtMost(0.5)), Some(Target::AtMost(2.0))];
    judged([ours, others], floor, targets, starts, &["fork"])
}

/// Row `cold-node`.
pub fn node(lab: &Lab) -> Result<Finding> {
    let daemon = lab.daemon()?;
    daemon.node_runtime()?;
    let node = tools::node_program()?;
    Cold {
        rungs: &["spare"],
        spare: Some("nodejs"),
        count: (60, 10),
        targets: [Some(Target::AtMost(0.05)), Some(Target::AtMost(0.1))],
        make: &|name| daemon.node(name),
        floor: &mut || floors::run(&node, &["-e", "0"]),
    }
    .measure(lab, daemon, "node")
}

/// Row `cold-native`.
pub fn native(lab: &Lab) -> Result<Finding> {
    let (daemon, program) = (lab.daemon()?, tools::echo()?);
    let mut meter = Meter::start("floor-namespaces")?;
    Cold {
        rungs: &["exec"],
        spare: None,
        count: (COLD, 40),
        targets: [Some(Target::AtMost(3.0)), None],
        make: &|name| daemon.native(name, &program),
        floor: &mut || meter.measure(),
    }
    .measure(lab, daemon, "native")
}

/// Row `imports`. Its floor is `cold-python`, measured in turns with it on the same daemon.
pub fn imports(lab: &Lab) -> Result<Finding> {
    const SOURCE: &str = "import boto3\nimport numpy\n\ndef handler(event, context):\n    \
        assert numpy.arange(3).sum() == 3 and boto3.__version__\n    \
        return {'statusCode': 200, 'body': event['body']}\n";
    let packages = tools::packages()?;
    let config = format!("python_packages = \"{}\"\n", packages.display());
    let daemon = lab
        .another("imports", &config)
        .map_err(|err| Unmeasured::NotThere(format!("`python_packages` is not served: {err:#}")))?;
    let plain: Vec<String> = (0..FEWER).map(|n| format!("bench-plain-{n}")).collect();
    let shots = plain.iter().map(|name| daemon.python(name, ECHO)).collect::<Result<Vec<_>>>()?;
    let mut shots = shots.iter().cycle();
    let found = Cold {
        rungs: &["spare", "fork"],
        spare: Some("python"),
        count: (FEWER, 10),
        targets: [Some(Target::AtMost(2.0)), None],
        make: &|name| daemon.python(name, SOURCE),
        floor: &mut || {
            refilled(&daemon, Some("python"))?;
            let shot = shots.next().expect("it goes round");
            Ok(Connection::open(shot.address)?.fire(shot)?.0)
        },
    }
    .measure(lab, &daemon, "imports");
    daemon.stop()?;
    found
}

// === impl Cold ===

impl Cold<'_> {
    /// Makes functions, calls each once, and deletes them.
    pub(super) fn measure(&mut self, lab: &Lab, daemon: &Daemon, kind: &str) -> Result<Finding> {
        let count = lab.much(self.count.0, self.count.1);
        let names: Vec<String> = (0..count).map(|n| format!("bench-{kind}-{n}")).collect();
        let shots = names.iter().map(|name| (self.make)(name)).collect::<Result<Vec<_>>>()?;
        let measured = self.turns(daemon, &shots);
        daemon.delete(&names)?;
        measured
    }

    fn turns(&mut self, daemon: &Daemon, shots: &[Shot]) -> Result<Finding> {
        let (mut ours, mut others, mut floor) = (Vec::new(), Vec::new(), Vec::new());
        let mut starts = BTreeMap::new();
        // The daemon's first call ever is nobody's cold start.
        (self.floor)()?;
        let mut connection = Connection::open(daemon.http)?;
        for shot in shots {
            refilled(daemon, self.spare)?;
            let before = daemon.metrics()?.starts();
            std::thread::sleep(REST);
            let (took, body) = connection.fire(shot)?;
            ensure!(body == BODY, "a cold function answered {}", String::from_utf8_lossy(body));
            let by = between(&before, &daemon.metrics()?.starts());
            std::thread::sleep(REST);
            floor.push((self.floor)()?);
            match by.keys().all(|rung| self.rungs.contains(&rung.as_str())) {
                true => ours.push(took),
                false => others.push(took),
            }
            add(&mut starts, by);
        }
        judged([ours, others], floor, self.targets, starts, self.rungs)
    }
}

/// Adds what was counted to what was before.
pub(super) fn add(all: &mut Starts, more: Starts) {
    for (rung, count) in more {
        *all.entry(rung).or_insert(0) += count;
    }
}

/// Figures of the starts that the row is about. Where more than a tenth were others, the figures are
/// those of all, and of something else.
fn judged(
    [mut ours, others]: [Vec<Duration>; 2],
    floor: Vec<Duration>,
    targets: [Option<Target>; 2],
    starts: Starts,
    rungs: &[&str],
) -> Result<Finding> {
    let of = ours.len() + others.len();
    let mut something_else = None;
    if others.len() * 10 > of {
        let by: Vec<String> =
            starts.iter().map(|(rung, count)| format!("{count} {rung}")).collect();
        something_else = Some(format!(
            "{} of {of} not by {}: {}",
            others.len(),
            rungs.join(" or "),
            by.join(", ")
        ));
        ours.extend(others);
    }
    Ok(Finding { figures: percentiles(ours, floor, targets), starts, something_else })
}

/// Waits until nothing is being made and the pool has a cell, and a spare of that interpreter. Where it
/// never has one, what serves instead is told by the starts.
pub(super) fn refilled(daemon: &Daemon, spare: Option<&str>) -> Result<()> {
    let deadline = Instant::now() + REFILLED;
    let mut last = None;
    while Instant::now() < deadline {
        let metrics = daemon.metrics()?;
        let spares = |runtime| metrics.labelled("hearth_spares_ready", runtime);
        let ready = [metrics.get("hearth_cells_ready"), spares("python"), spares("nodejs")];
        let there = spare.is_none_or(|runtime| spares(runtime).is_none_or(|count| count > 0.0));
        if there && ready[0].is_none_or(|cells| cells > 0.0) && last == Some(ready) {
            return Ok(());
        }
        last = Some(ready);
        // Longer than one takes to be made.
        std::thread::sleep(Duration::from_millis(15));
    }
    Ok(())
}
