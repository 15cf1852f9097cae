//! Promises about the source itself, checked from the workspace's own files.
//!
//! What a reviewer would otherwise have to remember stands here as data: which crate may use which,
//! what may be linked into the privileged programs, where `unsafe` may stand. A rule that must be
//! broken is changed here, in the same commit, where the change is seen.
//!
//! Source is looked at as text with comments and literals blanked out ([`code_of`]); that is crude
//! beside a parser and enough for words that have no other meaning in Rust.

// What documents claim, beside the tests they name.
mod documents;
// What docs/benchmarks.md shows.
mod figures;
// Every operation of AWS's model, in docs/compatibility.md and in the code.
mod operations;
// The promises of docs/security.md, one by one.
mod promises;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// Which of our crates uses which (normal dependencies). A new arrow is a decision: it is recorded
/// in `docs/decisions/` and added here.
const ARROWS: &[(&str, &[&str])] = &[
    ("hearth", &["api", "archive", "dispatch", "events", "gateway", "httpd", "images"]),
    ("hearth", &["model", "pool", "runtime_api", "sandbox", "schedules", "sigv4", "store"]),
    ("hearth", &["telemetry"]),
    ("api", &["archive", "events", "httpd", "images", "lambda", "model", "pool", "sigv4"]),
    ("api", &["schedules", "store", "telemetry"]),
    ("runtime_api", &["httpd", "model", "pool", "telemetry"]),
    ("gateway", &["httpd", "model", "pool", "sigv4", "store", "telemetry"]),
    ("httpd", &["model", "telemetry"]),
    ("sigv4", &[]),
    ("pool", &["dispatch", "images", "model", "store", "telemetry", "wire"]),
    ("dispatch", &["model"]),
    ("schedules", &["model", "store"]),
    ("events", &["model", "store", "telemetry"]),
    ("store", &["model", "telemetry"]),
    ("images", &["model"]),
    ("lambda", &[]),
    ("archive", &["model"]),
    ("model", &[]),
    ("telemetry", &["model"]),
    // ═══ the privilege line ═══
    ("wire", &[]),
    ("spawner", &["sandbox", "wire"]),
    ("sandbox", &[]),
    ("runner", &["wire"]),
];

/// What stands below the privilege line: it runs as root, or as PID 1 beside a stranger's code.
const BELOW_THE_LINE: [&str; 4] = ["spawner", "sandbox", "wire", "runner"];

/// Most packages in the closure of `spawner`. Measured: 29 with cgroups-rs 0.3.4, 81 with 0.5.
const SPAWNER_BUDGET: usize = 40;

/// What must not be linked into anything below the line, beside our own crates above it: runtimes,
/// HTTP, storage, TLS, serialisation of what strangers send.
const FORBIDDEN_BELOW: [&str; 22] = [
    "async-io",
    "async-std",
    "axum",
    "clap",
    "futures-util",
    "h2",
    "http",
    "hyper",
    "libsqlite3-sys",
    "mio",
    "native-tls",
    "openssl",
    "reqwest",
    "ring",
    "rusqlite",
    "rustls",
    "serde_json",
    "tokio",
    "tower",
    "tracing",
    "zbus",
    "zip",
];

/// What the top level may hold: the product, and what tools insist on.
const TOP_LEVEL: &str = "
    Cargo.toml src runner rootfs tests README.md
    Cargo.lock build.rs docs examples benches .cargo .ci
    .git .gitignore .github CHANGELOG.md LICENSE clippy.toml deny.toml rust-toolchain.toml
    rustfmt.toml target
";

/// Longest file. Past it, a file is two files.
const MOST_LINES: usize = 500;

// ------------------------------------------------------------------------------- crates

#[test]
fn the_arrows_between_crates_are_the_ones_in_the_table() {
    let mut table: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in ARROWS {
        table.entry(from).or_default().extend(*to);
    }
    let packages = workspace_packages();
    let ours: BTreeSet<&str> = packages.keys().map(String::as_str).collect();
    let listed: BTreeSet<&str> = table.keys().copied().collect();
    assert_eq!(ours, listed, "every crate of the workspace has a row in the table, and no other");

    for (name, dependencies) in &packages {
        let arrows: BTreeSet<&str> = dependencies
            .iter()
            .filter(|(target, kind)| ours.contains(target.as_str()) && kind.is_none())
            .map(|(target, _)| target.as_str())
            .collect();
        let surplus: Vec<_> = arrows.difference(&table[name.as_str()]).collect();
        assert!(surplus.is_empty(), "{name} uses {surplus:?}, which is not in the table of arrows");
    }
}

#[test]
fn nothing_above_the_privilege_line_is_linked_below_it() {
    let above: BTreeSet<&str> = ARROWS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !BELOW_THE_LINE.contains(name))
        .collect();
    for name in BELOW_THE_LINE {
        let closure = closure_of(name);
        let strays: Vec<_> = closure
            .iter()
            .filter(|package| {
                FORBIDDEN_BELOW.contains(&package.as_str()) || above.contains(package.as_str())
            })
            .collect();
        assert!(strays.is_empty(), "{name} links {strays:?}");
    }
}

#[test]
fn the_privileged_program_stays_within_its_budget_of_packages() {
    let closure = closure_of("spawner");
    assert!(
        closure.len() <= SPAWNER_BUDGET,
        "the spawner links {} packages, {SPAWNER_BUDGET} are allowed: {closure:?}",
        closure.len()
    );
}

/// Points at which a test stops the privileged program (`sandbox::failpoint`) are for tests alone. That
/// none is in the program itself, the spawner's own tests look at.
#[test]
fn what_is_shipped_is_built_without_points_to_stop_at() {
    let build = fs::read_to_string(root().join("build.rs")).expect("the workspace is readable");
    assert!(!build.contains("failpoints"), "build.rs builds what is shipped");
    let switches_on = |package: &Value| {
        let mut others = package["features"].as_object().into_iter().flatten();
        others.any(|(name, more)| name != "failpoints" && more.to_string().contains("failpoints"))
    };
    let packages = metadata()["packages"].as_array().expect("a list of packages");
    let strays = packages.iter().filter(|package| switches_on(package));
    let strays: Vec<_> = strays.map(|package| &package["name"]).collect();
    assert!(strays.is_empty(), "another feature of {strays:?} switches them on");
}

// ------------------------------------------------------------------------------- source

#[test]
fn unsafe_stands_only_where_it_may() {
    let allowed = |path: &str| {
        path == "src/sandbox/sys.rs"
            || path.starts_with("src/sandbox/sys/")
            || path == "runner/sys.rs"
    };
    complain_about("`unsafe` outside the modules that may hold it", |path, source| {
        if allowed(path) || !path.ends_with(".rs") {
            return Vec::new();
        }
        lines_with_word(&code_of(source), "unsafe")
    });
}

#[test]
fn every_rust_file_opens_with_its_purpose() {
    complain_about("file does not open with `//!`", |path, source| {
        let opens = source.trim_start().starts_with("//!");
        if path.ends_with(".rs") && !opens { vec![1] } else { Vec::new() }
    });
}

/// The bootstraps are one file each on purpose: every further module is another file to find, read
/// and unmarshal in every cold start.
const BOOTSTRAPS: [&str; 2] = ["runner/node/bootstrap.cjs", "runner/python/bootstrap.py"];

/// What a program wrote is read by nobody from end to end. Each such file says at its head which program,
/// and a test of the suite compares the two.
const GENERATED: &str = "src/lambda/generated/";

#[test]
fn no_file_is_longer_than_it_may_be() {
    complain_about("file has more than 500 lines", |path, source| {
        if BOOTSTRAPS.contains(&path) {
            return Vec::new();
        }
        if path.starts_with(GENERATED)
            && source.contains("\n//! Generated by `src/lambda/generate.py`")
        {
            return Vec::new();
        }
        let lines = source.lines().count();
        if lines > MOST_LINES { vec![lines] } else { Vec::new() }
    });
}

#[test]
fn modules_are_named_after_themselves() {
    complain_about("`foo.rs` beside `foo/`, never `mod.rs`", |path, _| {
        if path.ends_with("/mod.rs") { vec![1] } else { Vec::new() }
    });
}

#[test]
fn nothing_is_left_for_later_and_no_test_is_skipped() {
    complain_about("unfinished work, or a test that does not run", |path, source| {
        if !path.ends_with(".rs") {
            return Vec::new();
        }
        let code = code_of(source);
        let macros = ["todo", "unimplemented", "dbg"].into_iter().flat_map(|name| {
            let call = format!("{name}!");
            lines_where(&code, move |line| line.contains(&call))
        });
        macros.chain(lines_where(&code, |line| line.contains("#[ignore"))).collect()
    });
}

#[test]
fn every_lint_that_is_switched_off_says_why() {
    complain_about("`allow` or `expect` without a reason", |path, source| {
        if !path.ends_with(".rs") {
            return Vec::new();
        }
        // Attributes may span lines, and a reason is a literal: only its presence is looked at.
        let code = code_of(source);
        let mut found = Vec::new();
        for opening in ["[allow(", "[expect("] {
            for (at, _) in code.match_indices(opening) {
                let attribute = code[at..].split(")]").next().unwrap_or_default();
                if !attribute.contains("reason") {
                    found.push(code[..at].lines().count());
                }
            }
        }
        found
    });
}

#[test]
fn the_top_level_holds_only_what_it_may() {
    let allowed: BTreeSet<&str> = TOP_LEVEL.split_whitespace().collect();
    let found = fs::read_dir(root()).expect("the workspace is readable");
    let strays: Vec<String> = found
        .map(|entry| entry.expect("the workspace is readable").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| !allowed.contains(name.as_str()))
        .collect();
    assert!(strays.is_empty(), "unexpected at the top level: {strays:?}");
}

// ------------------------------------------------------------------------------- reading it

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file of ours: path from the root, and text.
fn sources() -> &'static [(String, String)] {
    static SOURCES: OnceLock<Vec<(String, String)>> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let mut files = vec![root().join("build.rs")];
        for folder in ["src", "runner", "tests", "benches", "examples", "rootfs"] {
            collect(&root().join(folder), &mut files);
        }
        let known = ["rs", "py", "mjs", "cjs", "js", "c", "sh"];
        files.retain(|path| {
            path.extension()
                .and_then(|text| text.to_str())
                .is_some_and(|text| known.contains(&text))
        });
        files.sort();
        files.into_iter().map(read).collect()
    })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("the workspace is readable").path();
        if path.is_dir() {
            // What an example builds or vendors is not ours to judge.
            if !path.ends_with("target") && !path.ends_with("vendor") {
                collect(&path, files);
            }
        } else {
            files.push(path);
        }
    }
}

fn read(path: PathBuf) -> (String, String) {
    let source = fs::read_to_string(&path)
        .unwrap_or_else(|err| panic!("{} cannot be read: {err}", path.display()));
    let name = path.strip_prefix(root()).expect("found below the root");
    (name.to_string_lossy().into_owned(), source)
}

/// Fails with every place that `judge` (path, source → line numbers) objects to.
fn complain_about(rule: &str, judge: impl Fn(&str, &str) -> Vec<usize>) {
    let mut places = Vec::new();
    for (path, source) in sources() {
        places.extend(judge(path, source).into_iter().map(|line| format!("{path}:{line}")));
    }
    assert!(places.is_empty(), "{rule}:\n{}", places.join("\n"));
}

/// The source with comments, strings and character literals blanked out, line for line.
fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) = raw_string(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = hashes + 2;
            rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len())
        } else if next == '"' {
            string(rest)
        } else if let Some(length) = character(rest) {
            length
        } else {
            code.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
        code.push(' ');
        rest = &rest[skipped..];
    }
    code
}

/// The number of `#` if a raw string starts here.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

/// Bytes of the string that starts here.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Bytes of the character literal that starts here; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    if let Some(escape) = inside.strip_prefix('\\') {
        let kind = escape.chars().next()?;
        let from = 2 + kind.len_utf8();
        return text[from..].find('\'').map(|at| from + at + 1);
    }
    let one = inside.chars().next()?;
    inside[one.len_utf8()..].starts_with('\'').then_some(one.len_utf8() + 2)
}

fn lines_where(code: &str, holds: impl Fn(&str) -> bool) -> Vec<usize> {
    code.lines().enumerate().filter(|(_, line)| holds(line)).map(|(at, _)| at + 1).collect()
}

/// Numbers of the lines that hold `word` as a word of its own.
fn lines_with_word(code: &str, word: &str) -> Vec<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    lines_where(code, |line| {
        line.match_indices(word).any(|(at, _)| {
            !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part)
        })
    })
}

// ------------------------------------------------------------------------------- cargo metadata

fn metadata() -> &'static Value {
    static METADATA: OnceLock<Value> = OnceLock::new();
    METADATA.get_or_init(|| {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
            .current_dir(root())
            .output()
            .expect("cargo starts");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo metadata: {complaint}");
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
    })
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("cargo metadata has no `{key}` here"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("cargo metadata has no list `{key}` here"))
}

/// Name of each package of the workspace, with its dependencies: name and kind (`None` is normal).
fn workspace_packages() -> BTreeMap<String, Vec<(String, Option<String>)>> {
    let members: BTreeSet<&str> =
        list(metadata(), "workspace_members").iter().filter_map(Value::as_str).collect();
    let packages = list(metadata(), "packages").iter();
    let ours = packages.filter(|package| members.contains(text(package, "id")));
    ours.map(|package| {
        let dependencies = list(package, "dependencies").iter().map(|dependency| {
            (text(dependency, "name").to_owned(), dependency["kind"].as_str().map(str::to_owned))
        });
        (text(package, "name").to_owned(), dependencies.collect())
    })
    .collect()
}

/// Names of all packages that `package` reaches by normal dependencies, itself included.
fn closure_of(package: &str) -> BTreeSet<String> {
    let names: BTreeMap<&str, &str> = list(metadata(), "packages")
        .iter()
        .map(|package| (text(package, "id"), text(package, "name")))
        .collect();
    let mut uses: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in list(&metadata()["resolve"], "nodes") {
        let normal = list(node, "deps").iter().filter(|dependency| {
            list(dependency, "dep_kinds").iter().any(|kind| kind["kind"].is_null())
        });
        uses.insert(text(node, "id"), normal.map(|dependency| text(dependency, "pkg")).collect());
    }
    let start = names.iter().find(|(_, name)| **name == package).map(|(id, _)| *id);
    let mut open = vec![start.unwrap_or_else(|| panic!("{package} is in the workspace"))];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(uses.get(id).into_iter().flatten());
        }
    }
    seen.into_iter().map(|id| names[id].to_owned()).collect()
}
