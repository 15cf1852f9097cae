//! Every system call by number, from a static program in a real cell, against the golden list.
//!
//! The list says of each number what the filter answers when every argument is -1: an error (`done` is
//! the error 0: as if it had been done), or `passes`, after which the kernel answers, whatever that is.
//! The same program outside is the control: it shows which refusals are the filter's.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use nix::errno::Errno;
use wire::spawner::{Digest, Reply, Request, Trees};

use crate::harness::{Cell, LIMITS, Spawner, World, image};

/// Name of the code that the program is.
const CODE: Digest = [0xCA; 32];
const GOLDEN: &str = include_str!("../../../sandbox/seccomp/golden/function.txt");
const SOURCE: &str = include_str!("programs/calls.c");

/// Where the program lies on the host; as code, `/var/task/calls` in a cell.
///
/// It is compiled once for every state of its source and kept beside what else the tests make, so that
/// a machine without a compiler can be given it.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("tests/calls");
        let sum = SOURCE
            .bytes()
            .fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let compiled = kept.join(format!("{sum:08x}"));
        let hex: String = CODE.iter().map(|byte| format!("{byte:02x}")).collect();
        let tree = image::shared().code.join("sha256").join(hex).join("tree");
        for folder in [&kept, &tree] {
            fs::create_dir_all(folder).unwrap();
        }
        // Under names of their own first: other runs may execute the ones that are there.
        let new =
            |folder: &Path| tempfile::Builder::new().prefix("new-").tempdir_in(folder).unwrap();
        if !compiled.exists() {
            let draft = new(&kept);
            let (source, made) = (draft.path().join("calls.c"), draft.path().join("calls"));
            fs::write(&source, SOURCE).unwrap();
            let mut compiler = Command::new("cc");
            compiler.args(["-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]);
            assert!(compiler.arg(&made).arg(&source).status().unwrap().success());
            fs::rename(made, &compiled).unwrap();
        }
        let (draft, program) = (new(&tree), tree.join("calls"));
        let copy = draft.path().join("calls");
        fs::copy(&compiled, &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(copy, &program).unwrap();
        program
    })
}

fn cell() -> (World, Spawner, Cell) {
    program();
    let world = World::new();
    let mut spawner = world.start(2);
    let mut cell = spawner.make();
    spawner.settle(&mut cell);
    spawner.send(&Request::Assign { cell: cell.number, trees: Trees::of(CODE), limits: LIMITS });
    assert!(matches!(spawner.receive().0, Reply::Assigned { .. }));
    (world, spawner, cell)
}

/// Runs it on the host as nobody, in namespaces where it finds nobody and leaves nothing.
fn outside(arguments: &[&str]) -> String {
    let mut command = Command::new("unshare");
    command.args(["--ipc", "--pid", "--net", "--fork", "--kill-child", "setpriv"]);
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    let output = command.arg(program()).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What came of each number.
fn seen(output: &str) -> BTreeMap<u32, String> {
    let lines = output.lines().map(|line| line.split_once(' ').unwrap());
    lines.map(|(number, result)| (number.parse().unwrap(), result.to_owned())).collect()
}

/// The list: what is to be seen of each number.
fn golden() -> BTreeMap<u32, String> {
    let mut rows = BTreeMap::new();
    for line in GOLDEN.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (from, to) = fields[0].split_once("..").unwrap_or((fields[0], fields[0]));
        for number in from.parse::<u32>().unwrap()..=to.parse().unwrap() {
            rows.insert(number, fields[3].to_owned());
        }
    }
    rows
}

fn is(result: &str, errno: Errno) -> bool {
    result == (errno as i32).to_string()
}

#[test]
fn every_number_up_to_1023_is_answered_in_a_cell_as_the_golden_list_says() {
    let (_world, _spawner, cell) = cell();
    let ran = cell.run(&["/var/task/calls"]);
    assert_eq!(ran.status, 0, "{}", ran.output);
    let (inside, unfiltered, golden) = (seen(&ran.output), seen(&outside(&[])), golden());
    assert_eq!(golden.keys().copied().collect::<Vec<_>>(), (0..1024).collect::<Vec<_>>());
    let mut wrong = Vec::new();
    let mut filtered = 0;
    for (number, expected) in &golden {
        let (result, control) = (&inside[number], &unfiltered[number]);
        let refusal = is(result, Errno::EPERM) || is(result, Errno::ENOSYS);
        let as_listed = match expected.as_str() {
            // The kernel answers: as it does without a filter, where its answer is a filter's, too.
            "passes" => result != "signal 31" && (!refusal || result == control),
            // Asked or not, it does nothing.
            "done" => result == "success",
            // Past every filter, and answered only where it stands in for an instruction.
            "trampoline" => is(result, Errno::ENOSYS) || result == control,
            errno => [Errno::EPERM, Errno::ENOSYS, Errno::EINVAL, Errno::ENOMEM]
                .into_iter()
                .chain([Errno::EAFNOSUPPORT, Errno::EOPNOTSUPP])
                .any(|known| format!("{known:?}") == errno && is(result, known)),
        };
        if !as_listed {
            wrong.push(format!("{number}: {expected} listed, {result} seen ({control} outside)"));
        }
        filtered += usize::from(expected != "passes" && result != control);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The control: it is the filter that refuses these, not the kernel for its own reasons.
    assert!(filtered > 90, "only {filtered} numbers are answered otherwise outside");
    for (number, name) in [(101, "ptrace"), (275, "splice"), (425, "io_uring_setup")] {
        assert_ne!(inside[&number], unfiltered[&number], "{name}");
    }
}

#[test]
fn a_static_program_is_ended_for_a_foreign_call_convention() {
    for convention in ["int80", "x32"] {
        let (_world, _spawner, cell) = cell();
        // Killed by SIGSYS, as wait(2) says.
        let ran = cell.run(&["/var/task/calls", convention]);
        assert_eq!((ran.status & 0x7f, ran.output.as_str()), (31, ""), "{convention}");
    }
    // The control: outside they are answered, by those that the kernel has.
    for convention in ["int80", "x32"] {
        let said = outside(&[convention]);
        assert!(["done\n", "not built in\n"].contains(&said.as_str()), "{convention}: {said}");
    }
}

on_forked_cells! {
    every_number_up_to_1023_is_answered_in_a_cell_as_the_golden_list_says,
    a_static_program_is_ended_for_a_foreign_call_convention,
}
