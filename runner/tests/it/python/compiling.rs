//! What `python/compile.py` makes of a function's modules, and that a function cannot tell that it was
//! loaded from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::instance::{interpreter, path};

/// Modules of a function, and what was compiled of them.
struct Code {
    folder: TempDir,
}

/// One module that has everything a traceback and a look at its source show.
const MODULE: &str = "\
'''What it is for.'''

import sys
VALUE = 'from the source'

def fail():
    numbers = [1, 2]
    return numbers[0] + undefined
";

// === impl Code ===

impl Code {
    fn new(files: &[(&str, &str)]) -> Self {
        let code = Self { folder: tempfile::tempdir().unwrap() };
        for (name, text) in files {
            let path = code.root().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        code
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("task")
    }

    fn pack(&self) -> PathBuf {
        self.folder.path().join("pack")
    }

    fn compile(self) -> Self {
        self.compile_with(&[])
    }

    fn compile_with(self, limits: &[(&str, &str)]) -> Self {
        let pack = self.pack();
        self.run(&["pack"], &pack, &[], limits);
        self
    }

    fn run(
        &self,
        what: &[&str],
        pack: &Path,
        more: &[&str],
        environment: &[(&str, &str)],
    ) -> String {
        let output = Command::new(interpreter("HEARTH_PYTHON", "/usr/bin/python3"))
            .args(["-s", "-B"])
            .arg(path("tests/compiled.py"))
            .args(what)
            .arg(self.root())
            .arg(pack)
            .args(more)
            .env("PYTHONHASHSEED", "0")
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a function sees that imports `module`.
    fn seen(&self, module: &str) -> Value {
        self.seen_with(&self.pack(), module, &[])
    }

    fn seen_without(&self, module: &str) -> Value {
        self.seen_with(Path::new("/nowhere"), module, &[])
    }

    fn seen_with(&self, pack: &Path, module: &str, environment: &[(&str, &str)]) -> Value {
        let text = self.run(&["probe"], pack, &[module], environment);
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }

    fn is_packed(&self, module: &str) -> bool {
        self.seen(module)["module"]["packed"].as_bool().unwrap()
    }
}

#[test]
fn a_function_sees_no_difference_between_what_was_compiled_and_what_was_not() {
    let files = [
        ("app.py", MODULE),
        ("package/__init__.py", "VALUE = 1\n"),
        ("package/deep/__init__.py", MODULE),
        ("package/deep/module.py", MODULE),
    ];
    let code = Code::new(&files).compile();
    for module in ["app", "package", "package.deep", "package.deep.module"] {
        let (mut with, without) = (code.seen(module), code.seen_without(module));
        assert_eq!(with["module"]["packed"].take(), true, "{module}");
        with["module"]["packed"] = json!(false);
        assert_eq!(with, without);
    }
}

#[test]
fn the_same_code_gives_the_same_bytes() {
    let sets =
        "A = {'x', 'y', 'z'} | frozenset({'p', 'q'})\ndef f(a): return a in {'u', 'v', 'w'}\n";
    let code = Code::new(&[("app.py", sets), ("b/c.py", MODULE)]).compile();
    let first = fs::read(code.pack()).unwrap();
    let code = code.compile();
    assert!(first.len() > 500);
    assert_eq!(fs::read(code.pack()).unwrap(), first);
}

#[test]
fn what_does_not_compile_is_left_out_and_fails_at_its_import_as_it_always_did() {
    let deep = format!("x = {}1{}\n", "(".repeat(100_000), ")".repeat(100_000));
    let files = [
        ("app.py", MODULE),
        ("syntax.py", "def f(:\n"),
        ("nul.py", "x = 1\0\n"),
        ("coding.py", "# coding: no-such-thing\nx = 1\n"),
        ("deep.py", &deep),
    ];
    let code = Code::new(&files).compile();
    assert!(code.is_packed("app"));
    for module in ["syntax", "nul", "coding", "deep"] {
        let (with, without) = (code.seen(module), code.seen_without(module));
        assert!(without["failed"].is_string(), "{module}");
        assert_eq!(with, without);
    }
}

#[test]
fn what_does_not_fit_is_left_out_and_loads_all_the_same() {
    let code = Code::new(&[("a.py", MODULE), ("b.py", MODULE), ("c.py", MODULE)]).compile();
    let whole = fs::metadata(code.pack()).unwrap().len();
    // Just enough for everything, and a third less.
    let code = code.compile_with(&[("LARGEST_PACK", &(whole + 1_000).to_string())]);
    assert!(["a", "b", "c"].iter().all(|module| code.is_packed(module)));
    let limit = whole * 2 / 3 + 200;
    let code = code.compile_with(&[("LARGEST_PACK", &limit.to_string())]);
    assert!(fs::metadata(code.pack()).unwrap().len() <= limit);
    assert_eq!(["a", "b", "c"].map(|module| code.is_packed(module)), [true, true, false]);
}

#[test]
fn a_source_may_be_as_large_as_is_said() {
    let size = MODULE.len().to_string();
    let code = Code::new(&[("app.py", MODULE)]).compile_with(&[("LARGEST_SOURCE", &size)]);
    assert!(code.is_packed("app"));
    let less = (MODULE.len() - 1).to_string();
    let code = code.compile_with(&[("LARGEST_SOURCE", &less)]);
    assert!(!code.is_packed("app"));
}

#[test]
fn when_the_time_is_over_what_there_is_is_kept_and_what_is_seldom_imported_comes_last() {
    let files = [("zebra.py", MODULE), ("tests/a.py", MODULE), ("package/m.py", MODULE)];
    let code = Code::new(&files).compile_with(&[("SECONDS", "0")]);
    let packed = ["zebra", "package.m", "tests.a"].map(|module| code.is_packed(module));
    assert_eq!(packed, [true, false, false]);
    let code = code.compile();
    assert!(["zebra", "package.m", "tests.a"].iter().all(|module| code.is_packed(module)));
}

#[test]
fn a_module_that_was_packed_compiled_is_loaded_as_it_was_packed() {
    let code = Code::new(&[("app.py", MODULE), ("other.py", MODULE)]);
    // As `compileall --invalidation-mode unchecked-hash` leaves it, of another source.
    let script = "
import importlib.util, os, py_compile, sys
folder = sys.argv[1]
source = os.path.join(folder, 'source')
with open(source, 'w') as file:
    file.write('VALUE = \"brought along\"\\n')
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
to = importlib.util.cache_from_source(os.path.join(folder, 'app.py'))
py_compile.compile(source, to, invalidation_mode=mode)
";
    let done = Command::new(interpreter("HEARTH_PYTHON", "/usr/bin/python3"))
        .args(["-c", script])
        .arg(code.root())
        .status()
        .unwrap();
    assert!(done.success());
    let code = code.compile();
    let app = code.seen("app");
    assert_eq!(app["module"]["packed"], false);
    assert_eq!(app["module"]["values"]["VALUE"], "brought along");
    assert!(code.is_packed("other"));
}

#[test]
fn links_lead_to_nothing_but_modules_and_no_folder_is_walked_twice() {
    let code = Code::new(&[("app.py", MODULE)]);
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, code.root().join(at)).unwrap();
    link("app.py", "alias.py");
    link(".", "loop");
    link("/dev/zero", "endless.py");
    link("nowhere", "broken.py");
    let code = code.compile();
    assert!(code.is_packed("app") && code.is_packed("alias"));
    assert_eq!(code.seen("alias")["module"]["file"], json!(code.root().join("alias.py")));
    assert!(fs::metadata(code.pack()).unwrap().len() < 3_000);
}

#[test]
fn an_interpreter_that_compiles_otherwise_or_is_to_warn_does_so() {
    let code = Code::new(&[("app.py", "VALUE = 1\nassert False\n")]).compile();
    let seen = code.seen_with(&code.pack(), "app", &[("PYTHONOPTIMIZE", "1")]);
    assert_eq!(seen["module"]["packed"], false);
    assert_eq!(seen["module"]["values"]["VALUE"], 1);
    assert!(code.seen("app")["failed"].as_str().unwrap().contains("AssertionError"));
    let code = Code::new(&[("app.py", "VALUE = 1 is 1\n")]).compile();
    let seen = code.seen_with(&code.pack(), "app", &[("PYTHONWARNINGS", "error")]);
    assert!(seen["failed"].as_str().unwrap().contains("SyntaxError"), "{seen}");
    assert!(code.is_packed("app"));
}

#[test]
fn rubbish_instead_of_a_pack_is_as_no_pack() {
    let code = Code::new(&[("app.py", MODULE)]).compile();
    let pack = fs::read(code.pack()).unwrap();
    let without = code.seen_without("app");
    let (head, magic) = (pack[..8].to_vec(), pack[..4].to_vec());
    let other = [b"\0\0\0\0", &pack[4..]].concat();
    let endless = [&magic[..], b"\xff\xff\xff\x7f", &pack[8..]].concat();
    let nonsense = [&magic[..], b"\x04\0\0\0", b"\xff\xff\xff\xff"].concat();
    // A number where the index is.
    let number = [&magic[..], b"\x05\0\0\0", b"i\x01\0\0\0"].concat();
    for rubbish in [vec![], magic, head, other, endless, nonsense, number] {
        fs::write(code.pack(), &rubbish).unwrap();
        let mut seen = code.seen("app");
        seen["module"]["packed"] = json!(false);
        assert_eq!(seen, without, "{rubbish:?}");
    }
    // An index of code that is not there.
    let end = 8 + u32::from_le_bytes(pack[4..8].try_into().unwrap()) as usize;
    fs::write(code.pack(), &pack[..end]).unwrap();
    let mut cut = code.seen("app");
    cut["module"]["packed"] = json!(false);
    assert_eq!(cut, without);
}
