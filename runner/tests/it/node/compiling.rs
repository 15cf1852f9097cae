//! What `node/compile.cjs` makes of a function's modules, and that a function cannot tell that it was
//! loaded from it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::instance::{interpreter, path};

/// Modules of a function, and what was compiled of them.
struct Code {
    folder: TempDir,
}

/// One module that shows what of its surroundings could differ; its failure is on its first line, where
/// a wrapper around it would show.
const MODULE: &str = "exports.fail = () => { const one = 1; return one + missing; };
'use strict';
exports.value = __filename + ' ' + __dirname + ' ' + typeof this + ' ' + (this === exports);
exports.same = module.exports === exports && module.filename === __filename;
exports.arguments = arguments.length;
exports.require = require;
exports.text = function named(first) { /* said */ return first; };
";

/// Modules that import others when they run, each in its own way.
const IMPORTERS: [&str; 5] = [
    "exports.later = async () => (await import('node:path')).sep;\n",
    "exports.later = async () => (await import // now\n('node:path')).sep;\n",
    "exports.later = async () => (await eval(\"imp\" + \"ort('node:path')\")).sep;\n",
    "exports.later = async () => (await new Function('return imp' + 'ort(\"node:path\")')()).sep;\n",
    "exports.later = async () => (await (() => 0).constructor('return imp' + 'ort(\"node:path\")')()).sep;\n",
];

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
        self.compile_with(json!({}))
    }

    fn compile_with(self, limits: Value) -> Self {
        self.run("pack", &[&limits.to_string()], &[]);
        self
    }

    fn run(&self, what: &str, more: &[&str], options: &[&str]) -> String {
        let output = Command::new(interpreter("HEARTH_NODE", "/usr/bin/node"))
            .args(options)
            .arg(path("tests/compiled.cjs"))
            .arg(what)
            .arg(self.root())
            .arg(self.pack())
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a function sees that requires `module`.
    fn seen(&self, module: &str) -> Value {
        self.seen_after(module, "", &[])
    }

    /// The same after a script, in a Node with these options.
    fn seen_after(&self, module: &str, before: &str, options: &[&str]) -> Value {
        let text = self.run("probe", &[module, before], options);
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }

    /// What it sees without a pack.
    fn seen_without(&self, module: &str) -> Value {
        let (pack, aside) = (self.pack(), self.folder.path().join("aside"));
        fs::rename(&pack, &aside).unwrap();
        let seen = self.seen(module);
        fs::rename(&aside, &pack).unwrap();
        assert_eq!(seen["given"], 0);
        seen
    }

    /// How many modules came from the pack.
    fn packed(&self, module: &str) -> Value {
        self.seen(module)["given"].clone()
    }
}

#[test]
fn a_function_sees_no_difference_between_what_was_compiled_and_what_was_not() {
    let files = [
        ("app.js", MODULE),
        ("other.cjs", MODULE),
        ("node_modules/dep/index.js", "exports.inner = require('./inner');\n"),
        ("node_modules/dep/inner.js", MODULE),
        (
            "uses.js",
            "exports.dep = require('dep').inner.value;\nexports.fail = require('dep').inner.fail;\n",
        ),
        ("throws.js", "require('dep');\nthrow new Error('at once');\n"),
    ];
    let code = Code::new(&files).compile();
    for (module, given) in [("app.js", 1), ("other.cjs", 1), ("uses.js", 3), ("throws.js", 3)] {
        let (with, without) = (code.seen(module), code.seen_without(module));
        assert_eq!((&with["given"], &with["refused"]), (&json!(given), &json!(0)), "{module}");
        assert_eq!(with["answer"], without["answer"]);
    }
}

#[test]
fn modules_that_import_others_when_they_run_do_so() {
    let names = ["a.js", "b.js", "c.js", "d.js", "e.js"];
    let files: Vec<_> = names.into_iter().zip(IMPORTERS).collect();
    let code = Code::new(&files).compile();
    for name in names {
        let seen = code.seen(name);
        assert_eq!((&seen["given"], &seen["later"]), (&json!(0), &json!("/")), "{name}");
    }
}

#[test]
fn what_is_no_common_module_is_left_out_and_loads_or_fails_as_it_always_did() {
    let files = [
        ("app.js", MODULE),
        ("broken.js", "exports.x = ;\n"),
        ("module/package.json", r#"{"type": "module"}"#),
        ("module/index.js", "export const x = 1;\n"),
        ("data.json", r#"{"x": 1}"#),
    ];
    let code = Code::new(&files).compile();
    assert_eq!(code.packed("app.js"), 1);
    for module in ["broken.js", "module/index.js", "data.json"] {
        let (with, without) = (code.seen(module), code.seen_without(module));
        assert_eq!(with, without);
    }
}

#[test]
fn whoever_changes_sources_on_their_way_gets_his_own() {
    let same_length = MODULE.replace("one + missing", "missing + one");
    assert_eq!(same_length.len(), MODULE.len());
    let code = Code::new(&[("app.js", MODULE), ("changed.js", &same_length)]).compile();
    let hooks = [
        // As `pirates`, which Babel and ts-node stand on, and as others do it.
        "const old = require.extensions['.js'];
         require.extensions['.js'] = (module, file) => {
           const plain = module._compile;
           module._compile = (text, name) => plain.call(module, text, name);
           old(module, file);
         };",
        "const Module = require('module'); const old = Module.prototype._compile;
         Module.prototype._compile = function (text, name) { return old.call(this, text, name); };",
        "const Module = require('module'); const { wrap } = Module; Module.wrap = (text) => wrap(text);",
        "process.setSourceMapsEnabled(true);",
        // A file system of one's own, whose file is as long.
        "const fs = require('fs'); const { readFileSync } = fs; const path = require('path');
         fs.readFileSync = (name, ...more) => {
           const other = path.join(path.dirname(String(name)), 'changed.js');
           return readFileSync(String(name).endsWith('app.js') ? other : name, ...more);
         };",
    ];
    for hook in hooks {
        let seen = code.seen_after("app.js", hook, &[]);
        assert_eq!(seen["given"], 0, "{hook}");
        assert!(seen["answer"]["failed"].as_str().unwrap().contains("missing is not defined"));
    }
    for option in ["--enable-source-maps", "--max-lazy"] {
        assert_eq!(code.seen_after("app.js", "", &[option])["given"], 0);
    }
    assert_eq!(code.packed("app.js"), 1);
}

#[test]
fn a_module_that_is_compiled_again_by_hand_gets_what_it_is_given() {
    let code = Code::new(&[
        ("app.js", MODULE),
        (
            "again.js",
            "
        const Module = require('module'); const path = require('path'); const fs = require('fs');
        const name = path.join(__dirname, 'app.js');
        const text = fs.readFileSync(name, 'utf8').replace('one + missing', 'one + one    ');
        const module_ = new Module(name); module_.filename = name; module_.paths = module.paths;
        module_._compile(text, name);
        exports.two = module_.exports.fail();
        ",
        ),
    ])
    .compile();
    assert_eq!(code.seen("again.js")["answer"]["values"], r#"{"two":2}"#);
}

#[test]
fn what_does_not_fit_is_left_out_and_loads_all_the_same() {
    let files = [("a.js", MODULE), ("b.js", MODULE), ("c.js", MODULE)];
    let code = Code::new(&files).compile();
    let whole = fs::metadata(code.pack()).unwrap().len();
    let code = code.compile_with(json!({ "pack": whole + 1_000 }));
    assert_eq!(["a", "b", "c"].map(|it| code.packed(&format!("{it}.js"))), [1, 1, 1]);
    let limit = whole * 2 / 3 + 250;
    let code = code.compile_with(json!({ "pack": limit }));
    assert!(fs::metadata(code.pack()).unwrap().len() <= limit);
    assert_eq!(["a", "b", "c"].map(|it| code.packed(&format!("{it}.js"))), [1, 1, 0]);
}

#[test]
fn a_source_may_be_as_large_as_is_said() {
    let code = Code::new(&[("app.js", MODULE)]).compile_with(json!({ "source": MODULE.len() }));
    assert_eq!(code.packed("app.js"), 1);
    let code = code.compile_with(json!({ "source": MODULE.len() - 1 }));
    assert_eq!(code.packed("app.js"), 0);
}

#[test]
fn when_the_time_is_over_what_there_is_is_kept_and_what_is_seldom_required_comes_last() {
    let files = [("zebra.js", MODULE), ("test/a.js", MODULE), ("lib/m.js", MODULE)];
    let code = Code::new(&files).compile_with(json!({ "milliseconds": 0 }));
    assert_eq!(["zebra", "lib/m", "test/a"].map(|it| code.packed(&format!("{it}.js"))), [1, 0, 0]);
    let code = code.compile();
    assert_eq!(["zebra", "lib/m", "test/a"].map(|it| code.packed(&format!("{it}.js"))), [1, 1, 1]);
}

#[test]
fn links_are_not_followed() {
    let code = Code::new(&[("app.js", MODULE)]);
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, code.root().join(at)).unwrap();
    link("app.js", "alias.js");
    link(".", "loop");
    link("/dev/zero", "endless.js");
    let code = code.compile();
    // Node knows it by the name of what it leads to.
    assert_eq!(code.packed("alias.js"), 1);
}

#[test]
fn rubbish_instead_of_a_pack_is_as_no_pack() {
    let code = Code::new(&[("app.js", MODULE)]).compile();
    let pack = fs::read(code.pack()).unwrap();
    let without = code.seen_without("app.js");
    let end = 4 + u32::from_le_bytes(pack[..4].try_into().unwrap()) as usize;
    let index = |text: &str| {
        let length = u32::try_from(text.len()).unwrap().to_le_bytes();
        [&length[..], text.as_bytes(), &pack[end..]].concat()
    };
    let file = code.root().join("app.js").display().to_string();
    let entry = |value: &str| index(&format!("{{\"{file}\": {value}}}"));
    let mark = serde_json::from_slice::<Value>(&pack[4..end]).unwrap()[&file][2].clone();
    let flipped =
        pack.iter().enumerate().map(|(at, it)| if at >= end { !it } else { *it }).collect();
    for rubbish in [
        vec![],
        pack[..3].to_vec(),
        pack[..end].to_vec(),
        b"\xff\xff\xff\x7f{}".to_vec(),
        index("null"),
        index("7"),
        index("{\"x\":"),
        entry("null"),
        entry("[]"),
        entry("[0, -1, 0]"),
        entry(&format!("[0, 4294967296, {mark}]")),
        entry(&format!("[4294967296, 8, {mark}]")),
        entry(&format!("[0, 40, {mark}]")),
        entry("[0, 40, \"x\"]"),
        flipped,
    ] {
        fs::write(code.pack(), &rubbish).unwrap();
        let mut seen = code.seen("app.js");
        // V8 refuses what it is given, or it is given nothing.
        assert_eq!(seen["given"], seen["refused"], "{rubbish:?}");
        (seen["given"], seen["refused"]) = (json!(0), json!(0));
        assert_eq!(seen, without, "{rubbish:?}");
    }
}
