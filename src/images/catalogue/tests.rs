//! The catalogue: who serves what, and what is said where nobody does.

use std::collections::BTreeMap;

use model::Digest;

use super::{BadAlias, Catalogue};
use crate::manifest::{CUSTOM, Kind, Manifest, Start};

fn manifest(byte: u8, interpreters: &[(&str, &str)]) -> Manifest {
    let mut runtimes = BTreeMap::from(CUSTOM.map(|name| (name.to_owned(), Start::custom())));
    for (name, program) in interpreters {
        let argv = vec![(*program).to_owned()];
        let start = Start::executed(Kind::Python, argv);
        runtimes.insert((*name).to_owned(), start);
    }
    let (digest, recipe) = (Digest([byte; 32]), "host".to_owned());
    Manifest { digest, recipe, runtimes, files: 0, bytes: 0, left_out: Vec::new() }
}

fn aliases(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(alias, target)| ((*alias).to_owned(), (*target).to_owned())).collect()
}

#[test]
fn the_first_image_that_serves_an_identifier_wins() {
    let images = [
        manifest(1, &[("python3.11", "/usr/bin/python3.11")]),
        manifest(2, &[("python3.11", "/other"), ("nodejs22.x", "/usr/bin/node")]),
    ];
    let catalogue = Catalogue::new(&images, &aliases(&[])).expect("a catalogue");
    let python = catalogue.resolve("python3.11").expect("served");
    assert_eq!(
        (python.image, python.start.argv[0].as_str()),
        (Digest([1; 32]), "/usr/bin/python3.11")
    );
    assert_eq!(catalogue.resolve("nodejs22.x").expect("served").image, Digest([2; 32]));
    assert_eq!(catalogue.resolve("provided.al2023").expect("served").start, Start::custom());
    assert_eq!(catalogue.resolve("python3.12"), None);
    assert_eq!(
        catalogue.identifiers().collect::<Vec<_>>(),
        ["nodejs22.x", "provided", "provided.al2", "provided.al2023", "python3.11"]
    );
}

#[test]
fn an_alias_serves_one_identifier_with_anothers_interpreter() {
    let images = [manifest(1, &[("python3.11", "/p311"), ("python3.13", "/p313")])];
    let given = aliases(&[("python3.12", "python3.11"), ("python3.13", "python3.11")]);
    let catalogue = Catalogue::new(&images, &given).expect("a catalogue");
    let served = catalogue.resolve("python3.12").expect("served");
    assert_eq!((served.runtime.as_str(), served.start.argv[0].as_str()), ("python3.11", "/p311"));
    // What is there is not replaced by something like it.
    assert_eq!(catalogue.resolve("python3.13").expect("served").start.argv[0], "/p313");
}

#[test]
fn an_alias_to_nothing_is_refused_at_start() {
    let images = [manifest(1, &[("python3.11", "/p311")])];
    for given in [[("a", "python3.9"), ("b", "a")], [("b", "a"), ("a", "python3.11")]] {
        let err = Catalogue::new(&images, &aliases(&given)).expect_err("refused");
        assert!(matches!(err, BadAlias { .. }), "{err:?}");
    }
}

#[test]
fn a_refusal_names_what_there_is_and_what_to_do() {
    let images = [manifest(1, &[("python3.9", "/p39"), ("python3.11", "/p311")])];
    let catalogue = Catalogue::new(&images, &aliases(&[])).expect("a catalogue");
    let said = |runtime| catalogue.require(runtime).expect_err("unserved").to_string();
    assert_eq!(
        said("python3.12"),
        "runtime python3.12 is not served here; served are provided, provided.al2, \
         provided.al2023, python3.11, python3.9. To add it, install the interpreter on the server \
         or start with --runtime-path python3.12=/path/to/interpreter; to serve it with python3.11 \
         instead, set runtime_alias python3.12 = python3.11."
    );
    assert!(said("nodejs22.x").ends_with(
        "install the interpreter on the server or start with --runtime-path \
         nodejs22.x=/path/to/interpreter."
    ));
    assert!(
        said("java21").ends_with("Runtimes without an interpreter here run as provided.al2023.")
    );
}

#[test]
fn a_function_gets_the_template_that_has_imported_what_it_imports() {
    let mut heavy = manifest(1, &[("python3.11", "/p311"), ("python3.12", "/p312")]);
    let start = heavy.runtimes.get_mut("python3.11").expect("a runtime");
    (start.template, start.heavy) = (Some(0), Some(1));
    start.packages = vec!["numpy".to_owned()];
    heavy.runtimes.get_mut("python3.12").expect("a runtime").template = Some(2);
    let catalogue = Catalogue::new([&heavy], &aliases(&[])).expect("a catalogue");
    let tree = tempfile::tempdir().expect("a directory");
    let (light, code) = (Digest([1; 32]), Digest([2; 32]));
    catalogue.learn(light, tree.path()).expect("a look");
    std::fs::write(tree.path().join("app.py"), "import numpy").expect("a file");
    // Whoever learns and whoever asks hold a copy each.
    catalogue.clone().learn(code, tree.path()).expect("a look");
    let template =
        |runtime, code| catalogue.template(catalogue.resolve(runtime).expect("served"), code, None);
    assert_eq!(template("python3.11", code), Some(1));
    assert_eq!(template("python3.11", light), Some(0));
    assert_eq!(template("python3.11", Digest([3; 32])), Some(0), "nobody has looked at it");
    assert_eq!(template("python3.12", code), Some(2));
    assert_eq!(template("provided.al2023", code), None);
    // Layers that nobody has looked at may bring a numpy of their own; so do some that somebody has.
    let served = catalogue.resolve("python3.11").expect("served");
    let (layers, others) = (Digest([4; 32]), tempfile::tempdir().expect("a directory"));
    let with_layers = || catalogue.template(served, code, Some(layers));
    assert_eq!(with_layers(), Some(0));
    catalogue.learn_layers(layers, others.path()).expect("a look");
    assert_eq!(with_layers(), Some(1));
    catalogue.forget(layers);
    std::fs::create_dir_all(others.path().join("python/numpy")).expect("a directory");
    catalogue.learn_layers(layers, others.path()).expect("a look");
    assert_eq!(with_layers(), Some(0));
    catalogue.forget(code);
    assert_eq!(template("python3.11", code), Some(0));
}
