//! `hearth doctor`: what this machine can enforce, and what to do about the rest.
//!
//! It reads and asks, and changes nothing; it can be run by anybody, beside a running daemon.

use std::net::TcpListener;
use std::path::Path;

use anyhow::Result;
use images::HostImage;
use sandbox::budget::{Budget, HostLimits};
use sandbox::cgroup::Controller;
use sandbox::landlock::Abi;
use sandbox::{Plan, Spec, checks};
use serde_json::{Value, json};

use crate::args::{Doctor, Format};
use crate::exit::Exit;
use crate::{config, output, rootless};

/// Descriptors one idle sandbox costs each of our processes, at most.
const DESCRIPTORS: u64 = 6;
/// What the processes need beside their sandboxes: listeners, connections, databases.
const SPARE_DESCRIPTORS: u64 = 512;

/// One thing looked at.
struct Finding {
    what: String,
    good: bool,
    /// A finding that stops `serve`.
    needed: bool,
    said: String,
    remedy: Option<String>,
}

/// Prints the findings, or the plan.
///
/// # Errors
/// If standard output is closed, or a `--runtime-path` makes no sense.
pub fn run(args: &Doctor, format: Format) -> Result<Exit> {
    if args.plan {
        return plan(format).map(|()| Exit::Done);
    }
    let by_group = nix::unistd::geteuid().is_root() || checks::kills_by_group();
    let walls = checks::findings(&[std::process::id()]).into_iter();
    // Without a group there is another way to kill, which is said below.
    let walls = walls.filter(|found| found.need != checks::Need::Kill || by_group);
    let mut findings: Vec<Finding> = walls.map(wall).collect();
    findings.push(landlock(Abi::of_kernel()));
    findings.push(freezing(checks::freezes()));
    findings.extend(siblings());
    match nix::unistd::geteuid().is_root() {
        true => findings.extend([root(), user()]),
        false => findings.extend(rootless::findings().into_iter().map(note)),
    }
    findings.extend(capacity());
    findings.extend(interpreters(args)?);
    findings.extend([port(9000, "--api-listen"), port(8080, "--http-listen")]);
    let broken = findings.iter().any(|finding| finding.needed && !finding.good);
    match format {
        Format::Json => {
            let list: Vec<Value> = findings.iter().map(Finding::json).collect();
            output::json(&json!({ "findings": list, "ready": !broken }))?;
        }
        Format::Text => {
            for finding in &findings {
                let mark = match (finding.good, finding.needed) {
                    (true, _) => "ok  ",
                    (false, true) => "MISS",
                    (false, false) => "note",
                };
                output::line(&format!("{mark}  {:<22} {}", finding.what, finding.said))?;
                if let Some(remedy) = &finding.remedy {
                    output::line(&format!("      {:<22} → {remedy}", ""))?;
                }
            }
        }
    }
    Ok(if broken { Exit::Unenforceable } else { Exit::Done })
}

/// Walls and limits that are missing here and that an operator may go without.
pub fn waivable() -> Vec<String> {
    let missing = checks::findings(&[std::process::id()])
        .into_iter()
        .filter(|finding| finding.missing.is_some());
    missing
        .filter(|finding| finding.need.may_be_missing())
        .map(|finding| finding.need.name().to_owned())
        .collect()
}

fn plan(format: Format) -> Result<()> {
    let budget = Budget::share(&HostLimits::read(), 1_024);
    let enforced = [Controller::Memory, Controller::Pids, Controller::Cpu];
    let lines = Plan::new(&Spec::new(budget, &enforced, Abi::of_kernel())).lines();
    if format == Format::Json {
        let list: Vec<Value> = lines
            .iter()
            .map(|line| {
                let actor = format!("{:?}", line.actor).to_lowercase();
                json!({ "phase": line.phase, "actor": actor, "what": line.what, "why": line.why })
            })
            .collect();
        return output::json(&Value::Array(list));
    }
    let mut phase = "";
    for line in &lines {
        if line.phase != phase {
            phase = line.phase;
            output::line(&format!("\n{phase}"))?;
        }
        let actor = format!("{:?}", line.actor).to_lowercase();
        output::line(&format!("  {actor:<8} {}", line.what))?;
        output::line(&format!("           {}", line.why))?;
    }
    Ok(())
}

fn wall(found: checks::Finding) -> Finding {
    let (said, remedy) = match found.missing {
        None => ("can be enforced".to_owned(), None),
        Some(missing) if found.need.may_be_missing() => {
            let waive =
                format!("{}; or go without: --allow-unenforced={}", missing.remedy, found.need);
            (missing.what, Some(waive))
        }
        Some(missing) => (missing.what, Some(missing.remedy)),
    };
    let good = remedy.is_none();
    Finding { what: found.need.to_string(), good, needed: true, said, remedy }
}

/// The second layer: never a reason to refuse.
fn landlock(abi: Abi) -> Finding {
    let lacks = abi.lacks();
    let said = match (abi.is_there(), lacks.is_empty()) {
        (false, _) => "the kernel has none of use: no second layer beneath the mounts".to_owned(),
        (true, true) => format!("{abi}: {}", abi.covers().join(", ")),
        (true, false) => {
            let lacks: Vec<String> =
                lacks.iter().map(|(what, kernel)| format!("{what} (Linux {kernel})")).collect();
            format!("{abi}: {}; not: {}", abi.covers().join(", "), lacks.join(", "))
        }
    };
    let remedy = (!abi.is_there()).then(|| {
        "use a kernel built with CONFIG_SECURITY_LANDLOCK, and name landlock in lsm= at boot".into()
    });
    Finding { what: "landlock".to_owned(), good: lacks.is_empty(), needed: false, said, remedy }
}

/// Without it an idle instance goes on with whatever its function left running.
fn freezing(there: bool) -> Finding {
    let said = match there {
        true => "idle instances are stopped until they are called",
        false => "idle instances keep running: this user has no version-2 control group",
    };
    let remedy = "start in a delegated group (systemd-run --user --scope -p Delegate=yes hearth …)";
    Finding {
        what: "freezing".to_owned(),
        good: there,
        needed: false,
        said: said.to_owned(),
        remedy: (!there).then(|| remedy.to_owned()),
    }
}

fn root() -> Finding {
    let said = "root, until requests are served".to_owned();
    Finding { what: "privilege".to_owned(), good: true, needed: false, said, remedy: None }
}

fn note(note: rootless::Note) -> Finding {
    let rootless::Note { what, good, said, remedy } = note;
    Finding { what: what.to_owned(), good, needed: false, said, remedy }
}

fn user() -> Finding {
    let there = matches!(nix::unistd::User::from_name("hearth"), Ok(Some(_)));
    let said = match there {
        true => "requests are served as `hearth`",
        false => "requests are served under a reserved id, because there is no user `hearth`",
    };
    Finding {
        what: "user".to_owned(),
        good: true,
        needed: false,
        said: said.to_owned(),
        remedy: None,
    }
}

/// Two threads of one core see traces of each other in its caches and buffers, whoever they belong to.
fn siblings() -> Option<Finding> {
    // Not there: the kernel knows no such thing as simultaneous threads.
    let active = std::fs::read_to_string("/sys/devices/system/cpu/smt/active").ok()?;
    let shared = active.trim() == "1";
    Some(Finding {
        what: "shared cores".to_owned(),
        good: !shared,
        needed: false,
        said: match shared {
            true => {
                "two functions may run on one core at once and learn from its caches".to_owned()
            }
            false => "no two functions run on one core at once".to_owned(),
        },
        remedy: shared
            .then(|| "if tenants must not: boot with nosmt, or switch SMT off".to_owned()),
    })
}

/// How many sandboxes the limits in force allow, and which limit it is.
fn capacity() -> Vec<Finding> {
    use nix::sys::resource::{Resource, getrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1_024, 1_024));
    let fit = hard.saturating_sub(SPARE_DESCRIPTORS) / DESCRIPTORS;
    let mut out = vec![Finding {
        what: "descriptors".to_owned(),
        good: fit >= 1_024,
        needed: false,
        said: format!("room for {fit} sandboxes at once (limit {hard})"),
        remedy: (fit < 1_024).then(|| "raise the hard limit: ulimit -Hn 65536".to_owned()),
    }];
    let host = HostLimits::read();
    for (sysctl, wanted) in Budget::share(&host, 1_024).shortfall(&host, 1_024) {
        out.push(Finding {
            what: "shared budgets".to_owned(),
            good: false,
            needed: false,
            said: format!(
                "{sysctl} is too low for 1024 sandboxes: each gets less, or takes it from others"
            ),
            remedy: Some(match sysctl.strip_prefix("sysctl ") {
                Some(name) => format!(
                    "as root: sysctl -w {name}={wanted}; `hearth service install` sees to it for good"
                ),
                None => format!("raise the hard limit: ulimit -Hi {wanted}"),
            }),
        });
    }
    out
}

fn interpreters(args: &Doctor) -> Result<Vec<Finding>> {
    let paths = config::runtime_paths(&args.host)?;
    let usual = || config::Places::usual().map(|places| places.images);
    let directory = args.host.image_dir.clone().map_or_else(usual, Ok)?;
    let finding = |good, said: String, remedy: Option<&str>| Finding {
        what: "interpreters".to_owned(),
        good,
        needed: false,
        said,
        remedy: remedy.map(str::to_owned),
    };
    let mut out = Vec::new();
    let host = match HostImage::survey(&paths, args.host.python_packages.as_deref()) {
        Ok(host) => host,
        Err(err) => return Ok(vec![finding(false, chain(&err), Some("name another interpreter"))]),
    };
    let image = match directory.exists() {
        true => images::Cache::open(&directory).ok().and_then(|cache| host.find(&cache).ok()?),
        false => None,
    };
    for (identifier, version, path) in host.interpreters() {
        let said = format!("{identifier} is served by {} ({version})", path.display());
        out.push(finding(true, said, None));
    }
    let said = match image {
        Some(image) => format!("copied into image {}", &image.manifest.digest.hex()[..12]),
        None => "copied into an image at the next start".to_owned(),
    };
    out.push(finding(true, said, None));
    for (program, package) in [("/usr/bin/python3", "python3"), ("/usr/bin/node", "nodejs")] {
        if !Path::new(program).exists() {
            let remedy = format!("apt install {package}, or --runtime-path");
            out.push(finding(false, format!("{program} is not there"), Some(&remedy)));
        }
    }
    out.extend(host.left_out().iter().map(|reason| finding(false, reason.clone(), None)));
    Ok(out)
}

fn chain(err: &dyn std::error::Error) -> String {
    let mut out = err.to_string();
    let mut cause = err.source();
    while let Some(err) = cause {
        out.push_str(&format!(": {err}"));
        cause = err.source();
    }
    out
}

fn port(number: u16, flag: &str) -> Finding {
    let taken = TcpListener::bind(("127.0.0.1", number)).err();
    Finding {
        what: format!("port {number}"),
        good: taken.is_none(),
        needed: false,
        said: taken.as_ref().map_or_else(|| "free".to_owned(), ToString::to_string),
        remedy: taken.map(|_| format!("unless that is Hearth itself: choose another with {flag}")),
    }
}

// === impl Finding ===

impl Finding {
    fn json(&self) -> Value {
        json!({
            "what": self.what, "ok": self.good, "needed": self.needed, "said": self.said,
            "remedy": self.remedy,
        })
    }
}
