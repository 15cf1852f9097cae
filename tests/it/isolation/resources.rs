//! Memory, processes, processors, and what else runs out: for whoever takes it, and for nobody else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Probe;
use super::answers::resident;
use crate::harness::leftovers::Process;
use crate::harness::{Daemon, Deployed, Function, eventually, shared};

/// More than a function of 128 MiB is given, `/tmp` included, and less than any machine has.
const TOO_MUCH: u64 = 900;

/// A neighbour that behaves.
fn echo(daemon: &Daemon) -> Deployed<'_> {
    Function::python("def handler(event, context):\n    return event\n").deploy(daemon)
}

/// Swap in use on the host, KiB.
fn swapped() -> u64 {
    let table = fs::read_to_string("/proc/meminfo").expect("/proc is mounted");
    let number = |name: &str| {
        let line = table.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
    };
    number("SwapTotal:") - number("SwapFree:")
}

#[test]
fn memory_beyond_the_limit_ends_the_function_and_nobody_else() {
    let daemon = shared();
    let probe = Probe::new(include_str!("probes/memory.py"));
    let neighbour =
        Function::python("def handler(event, context):\n    return event\n").deploy(&daemon);
    assert_eq!(neighbour.answer(&json!(1)), 1);
    let before = swapped();
    let function = probe.function().memory(128).deploy(&daemon);
    for how in ["alone", "in children"] {
        let event = json!({"how": how, "mebibytes": TOO_MUCH});
        let called = function.invoke(&event);
        let failure = called.failure();
        assert_eq!(failure["errorType"], "Runtime.OutOfMemory", "{how}: {failure}");
        let message = failure["errorMessage"].as_str().unwrap_or_default();
        assert!(message.ends_with("Runtime exited with error: signal: killed"), "{how}: {failure}");
        assert_eq!(probe.outside(&event)["taken"].as_u64().map(|taken| taken > 0), Some(true));
        assert_eq!(neighbour.answer(&json!(2)), 2, "{how}");
    }
    let little = function.answer(&json!({"how": "alone", "mebibytes": 40}));
    assert_eq!(little["taken"], 40, "what it is given it may use");
    assert!(swapped() <= before + 1024, "the rest did not go to swap");
}

#[test]
fn memory_in_socket_buffers_is_limited_like_any_other() {
    let daemon = shared();
    let probe = Probe::new(include_str!("probes/sockets.py"));
    let event = json!({"mebibytes": 160});
    // Version 2 of control groups counts it as memory, where 160 MiB fit beside /tmp.
    let function = probe.function().memory(128).deploy(&daemon);
    let inside = function.answer(&event)["held"].as_u64().expect("a number");
    let outside = probe.outside(&event)["held"].as_u64().expect("a number");
    assert!(outside >= 120, "the probe sees what is there without a limit: {outside} MiB");
    let version_1 = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists();
    assert!(!version_1 || inside <= 64, "{inside} MiB in socket buffers");
    assert_eq!(function.answer(&json!({"mebibytes": 1}))["held"], 1, "and a little may be held");
}

#[test]
fn memory_that_the_kernel_holds_for_a_function_is_limited_like_its_own() {
    let daemon = shared();
    let probe = Probe::new(include_str!("probes/hoard.py"));
    let neighbour = echo(&daemon);
    let function = probe.function().memory(128).deploy(&daemon);
    let before = (resident(daemon.pid), resident(daemon.spawner));
    for kind in ["pipes", "sockets", "datagrams", "files", "segments"] {
        let event = json!({"kind": kind, "mebibytes": TOO_MUCH});
        let called = function.invoke(&event);
        let answer = called.response.json();
        if called.error.is_some() {
            assert_eq!(answer["errorType"], "Runtime.OutOfMemory", "{kind}: {answer}");
        } else if answer["killed"] != json!(true) {
            // Never more than the function's memory and its /tmp together.
            let held = answer["held"].as_u64().expect("a number");
            assert!(held <= 128 + 512, "{kind}: {answer}");
        }
        let outside = probe.outside(&event);
        let held = outside["held"].as_u64().expect("a number");
        assert!(held >= TOO_MUCH - 32, "the probe sees what is there without limits: {outside}");
        assert_eq!(neighbour.answer(&json!(kind)), kind);
    }
    for (pid, before) in [(daemon.pid, before.0), (daemon.spawner, before.1)] {
        let grown = resident(pid).saturating_sub(before);
        assert!(grown < 64, "{grown} MiB more in process {pid}");
    }
}

#[test]
fn what_the_kernel_counts_by_process_user_and_owner_runs_out_for_the_one_that_takes_it() {
    type Counts = BTreeMap<String, u64>;
    let daemon = shared();
    let probe = Probe::new(include_str!("probes/exhaust.py"));
    let (greedy, modest) = (probe.function().deploy(&daemon), probe.function().deploy(&daemon));
    let neighbour = echo(&daemon);
    let most = 2_000;
    let event = json!({"most": most});
    let counts = |answer: Value| serde_json::from_value::<Counts>(answer).expect("numbers");
    let taken = counts(greedy.answer(&event));
    // The first has not given back what it holds.
    assert_eq!(counts(modest.answer(&event)), taken, "another has as much for itself");
    let outside = counts(probe.outside(&event));
    for (kind, count) in &taken {
        assert!(*count < most, "{kind} without end");
        assert!(outside[kind] > *count, "{kind}: the probe sees more outside: {outside:?}");
    }
    for kind in ["timer", "locked_page", "descriptor", "watcher", "connection"] {
        assert!(taken[kind] > 0, "{kind}: some there must be: {taken:?}");
    }
    assert_eq!(neighbour.answer(&json!(1)), 1);
}

#[test]
fn what_no_control_group_pays_for_is_refused() {
    let probe = Probe::new(include_str!("probes/commons.py"));
    let page = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a file");
    fs::write(&page, vec![7; 64 * 1024]).expect("our own file");
    let library = format!("/usr/lib/{}/typing.py", crate::harness::setup::python_runtime());
    // A temporary file may lie on a file system that is all cache.
    let directly = fs::File::options().read(true).custom_flags(libc::O_DIRECT).open(page.path());
    let direct = directly.is_ok();
    let image = json!({"file": library, "direct": direct});
    let host = json!({"file": super::text(page.path()), "direct": direct});
    probe.holds_inside_and_breaks_outside(&image, &host);
    // And what a database does to its own files goes on working.
    let daemon = shared();
    let source = include_str!("probes/commons.py").replace("def handler(", "def attacks(")
        + "\n\ndef handler(event, context):\n    return own_files_can_be_synced()\n";
    assert_eq!(Probe::new(&source).function().deploy(&daemon).answer(&json!({})), true);
}

#[test]
fn sixty_four_busy_processes_leave_a_neighbour_its_share_of_the_processors() {
    let daemon = shared();
    let busy = Function::python(
        "
        import os, time

        def handler(event, context):
            end = time.monotonic() + event
            for _ in range(63):
                if os.fork() == 0:
                    while time.monotonic() < end:
                        pass
                    os._exit(0)
            while time.monotonic() < end:
                pass
            return 'tired'
        ",
    )
    .timeout(60)
    .deploy(&daemon);
    let neighbour = echo(&daemon);
    assert_eq!(neighbour.answer(&json!("warm")), "warm");
    thread::scope(|scope| {
        let tired = scope.spawn(|| busy.answer(&json!(4)));
        busy.called(1);
        let mut longest = Duration::ZERO;
        for number in 0..40 {
            let begin = Instant::now();
            assert_eq!(neighbour.answer(&json!(number)), number);
            longest = longest.max(begin.elapsed());
        }
        assert!(longest < Duration::from_secs(2), "{longest:?} for one answer");
        assert_eq!(tired.join().expect("answered"), "tired");
    });
}

/// Fills its /tmp with files and its sandbox with processes that end for no signal that can be ignored.
const SQUATTER: &str = "
    import os, signal, time

    def stay():
        os.setsid()
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        time.sleep(600)
        os._exit(0)

    def handler(event, context):
        for folder in range(100):
            os.mkdir(f'/tmp/{folder}')
            for number in range(event['files'] // 100):
                os.close(os.open(f'/tmp/{folder}/{number}', os.O_CREAT | os.O_WRONLY))
        for _ in range(event['processes']):
            if os.fork() == 0:
                stay()
        if event['stuck']:
            while True:
                time.sleep(600)
        return len(os.listdir('/tmp'))
    ";

#[test]
fn a_sandbox_full_of_files_and_stubborn_processes_is_gone_at_once_and_holds_nobody_up() {
    let daemon = shared();
    let neighbour = echo(&daemon);
    assert_eq!(neighbour.answer(&json!("warm")), "warm");
    // 128 files to a MiB of /tmp are not to be had; 64 are.
    let squatter = Function::python(SQUATTER)
        .memory(1024)
        .timeout(120)
        .with("EphemeralStorage", json!({"Size": 2048}))
        .deploy(&daemon);
    let event = json!({"files": 100_000, "processes": 500, "stuck": false});
    assert_eq!(squatter.answer(&event), 100);
    let before = daemon.trace();
    let stubborn: Vec<Process> = before.sandboxed().into_iter().cloned().collect();
    assert!(stubborn.len() >= 500, "{}", stubborn.len());
    drop(squatter);
    let begin = Instant::now();
    let mut longest = Duration::ZERO;
    let gone = eventually("the squatter is gone", Duration::from_secs(20), || {
        let asked = Instant::now();
        assert_eq!(neighbour.answer(&json!(1)), 1);
        longest = longest.max(asked.elapsed());
        let left = alive(&stubborn);
        (left + 500 <= stubborn.len()).then(|| begin.elapsed())
    });
    assert!(gone < Duration::from_secs(10), "{gone:?} until it was gone");
    assert!(longest < Duration::from_secs(2), "{longest:?} for an answer meanwhile");
}

#[test]
fn what_ignores_every_signal_is_gone_a_moment_after_its_timeout() {
    // One of its own, where nobody else's processes come and go.
    let daemon = Daemon::start();
    let stuck = Function::python(SQUATTER).memory(256).timeout(2).deploy(&daemon);
    let sandboxed =
        || -> Vec<Process> { daemon.trace().sandboxed().into_iter().cloned().collect() };
    let event = json!({"files": 0, "processes": 40, "stuck": true});
    let stubborn = thread::scope(|scope| {
        let called = scope.spawn(|| stuck.invoke(&event).failure());
        let seen = eventually("it has forked", Duration::from_secs(20), || {
            let all = sandboxed();
            (all.len() > 40).then_some(all)
        });
        assert_eq!(called.join().expect("answered")["errorType"], "Sandbox.Timedout");
        seen
    });
    let begin = Instant::now();
    // What stays are the runners of cells that stand ready.
    eventually("all of it is gone", Duration::from_secs(20), || {
        (alive(&stubborn) + 30 <= stubborn.len()).then_some(())
    });
    // A tenth of a second is what it takes; ten times that is what a busy machine may.
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
}

/// How many of them there still are.
fn alive(processes: &[Process]) -> usize {
    processes.iter().filter(|one| Process::find(one.pid).as_ref() == Some(one)).count()
}

#[test]
fn processes_and_threads_beyond_the_limit_are_refused_and_the_function_lives() {
    let daemon = shared();
    let probe = Probe::new(include_str!("probes/count.py"));
    // One process of room is the runtime's own; AWS's limit is 1,024.
    for (kind, wanted) in [("processes", 1_200), ("threads", 1_200)] {
        let event = json!({"kind": kind, "wanted": wanted});
        let function = probe.function().memory(1024).deploy(&daemon);
        let inside = function.answer(&event);
        assert_eq!(inside["error"], "EAGAIN", "{kind}: {inside}");
        let count = inside["count"].as_u64().expect("a number");
        assert!((100..=1_024).contains(&count), "{kind}: {inside}");
        assert_eq!(probe.outside(&event), json!({"count": wanted, "error": "none"}), "{kind}");
        assert_eq!(
            function.answer(&event)["error"],
            "EAGAIN",
            "{kind}: it lives and is limited still"
        );
    }
}

#[test]
fn a_function_that_forks_without_end_leaves_its_neighbours_alone() {
    let daemon = shared();
    let source = "
        import os, time

        def handler(event, context):
            end = time.monotonic() + 2
            while time.monotonic() < end:
                try:
                    if os.fork() == 0:
                        time.sleep(600)
                        os._exit(0)
                except OSError:
                    pass
            return 'full'
        ";
    let bomb = Function::python(source).memory(1024).timeout(30).deploy(&daemon);
    let neighbour =
        Function::python("def handler(event, context):\n    return event\n").deploy(&daemon);
    std::thread::scope(|scope| {
        let bomb = scope.spawn(|| bomb.invoke(&json!({})));
        for number in 0..20 {
            assert_eq!(neighbour.answer(&json!(number)), number);
        }
        bomb.join().expect("answered");
    });
    daemon.api("GET", "/2015-03-31/functions", &Value::Null).expect(200);
}
