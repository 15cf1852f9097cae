//! What is found in a function's files, and what is left alone.

use std::fs;

use model::Digest;

use super::{Looks, imported};
use crate::manifest::{Kind, Start};

const CODE: Digest = Digest([1; 32]);

fn looks() -> Looks {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let heavy = Start {
        preimport: names(&["json", "urllib.request"]),
        packages: names(&["boto3", "numpy"]),
        template: Some(0),
        heavy: Some(1),
        ..Start::executed(Kind::Python, vec![])
    };
    Looks::new([&Start::custom(), &heavy])
}

/// Which of the packages code of these files is found to import.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let tree = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    let looks = looks();
    looks.learn(CODE, tree.path()).expect("a look");
    let found = |name: &String| looks.imports(CODE, std::slice::from_ref(name));
    looks.packages.iter().filter(|name| found(name)).cloned().collect()
}

#[test]
fn every_form_of_import_is_understood() {
    let text = "import a\nimport b.c as d, e\n  from f.g import h\nfrom i import (j,\n k)\n\
                \timport\tl;x = 1\nfrom . import m\nfrom .n import o\nimport p # q\nimportant = 1\n";
    let names: Vec<_> = imported(text).filter(|name| !name.is_empty()).collect();
    assert_eq!(names, ["a", "b", "e", "f", "i", "l", "p"]);
}

#[test]
fn code_is_known_by_the_packages_it_imports_wherever_it_does() {
    assert_eq!(found(&[("app.py", "import numpy as np")]), ["numpy"]);
    assert_eq!(
        found(&[("app.py", ""), ("deep/er/part.py", "from boto3 import client")]),
        ["boto3"]
    );
    assert_eq!(found(&[("app.py", "import json, requests")]), [""; 0]);
    assert_eq!(found(&[("readme.txt", "import numpy")]), [""; 0]);
}

#[test]
fn code_with_a_module_of_a_name_that_is_imported_already_is_left_alone() {
    let app = ("app.py", "import numpy");
    for own in ["numpy/__init__.py", "numpy.py", "json.py", "urllib/x.py", "boto3.so"] {
        assert_eq!(found(&[app, (own, "")]), [""; 0], "{own}");
    }
    assert_eq!(found(&[app, ("lib/json.py", "")]), ["numpy"], "further down it is another name");
}

#[test]
fn text_that_is_no_text_is_looked_at_all_the_same() {
    let tree = tempfile::tempdir().expect("a directory");
    fs::write(tree.path().join("app.py"), b"\xff\xfe\nimport numpy\n\xff").expect("a file");
    let looks = looks();
    looks.learn(CODE, tree.path()).expect("a look");
    assert!(looks.imports(CODE, &["numpy".to_owned()]));
    looks.forget(CODE);
    assert!(!looks.imports(CODE, &["numpy".to_owned()]));
}

#[test]
fn links_are_not_followed() {
    let tree = tempfile::tempdir().expect("a directory");
    std::os::unix::fs::symlink(".", tree.path().join("loop")).expect("a link");
    std::os::unix::fs::symlink("/dev/zero", tree.path().join("zero.py")).expect("a link");
    looks().learn(CODE, tree.path()).expect("a look that ends");
}

#[test]
fn where_no_template_has_packages_nothing_is_read() {
    let looks = Looks::new([&Start::custom()]);
    looks.learn(CODE, std::path::Path::new("/not/there")).expect("nothing to do");
}

// === layers ===

/// Whether layers of these files may be used with a template that has more imported.
fn is_harmless(files: &[&str]) -> bool {
    let tree = tempfile::tempdir().expect("a directory");
    for path in files {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, "").expect("a file");
    }
    let looks = looks();
    assert!(!looks.are_harmless(CODE), "nobody has looked");
    looks.learn_layers(CODE, tree.path()).expect("a look");
    let harmless = looks.are_harmless(CODE);
    looks.forget(CODE);
    assert!(!looks.are_harmless(CODE), "forgotten");
    harmless
}

#[test]
fn layers_are_harmless_unless_they_bring_what_is_imported_already() {
    assert!(is_harmless(&[]));
    assert!(is_harmless(&[
        "bin/json.py",
        "numpy/__init__.py",
        "nodejs/node_modules/json/index.js"
    ]));
    assert!(is_harmless(&["python/requests/__init__.py", "python/requests/json.py"]));
    for name in ["numpy/__init__.py", "numpy.py", "json.py", "urllib/x.py", "boto3.so"] {
        assert!(!is_harmless(&[&format!("python/{name}")]), "{name}");
        let deep = format!("python/lib/python3.11/site-packages/{name}");
        assert!(!is_harmless(&["python/requests.py", &deep]), "{name}");
    }
}

#[test]
fn layers_where_a_directory_should_be_are_looked_at_all_the_same() {
    assert!(is_harmless(&["python"]));
    assert!(is_harmless(&["python/lib"]));
    assert!(is_harmless(&["python/lib/python3.11"]));
}
