//! Identifiers and `--runtime-path`.

use super::{BadRuntimePath, Identifier, Language, RuntimePath};

#[test]
fn identifiers_are_read_and_written_alike() {
    for text in ["python3.9", "python3.11", "python3.0", "nodejs18.x", "nodejs26.x"] {
        assert_eq!(Identifier::parse(text).expect(text).to_string(), text);
    }
    for text in [
        "",
        "python",
        "python3",
        "python2.7",
        "python3.",
        "python3.x",
        "python3.011",
        "python3.+1",
        "python3.11 ",
        "nodejs",
        "nodejs22",
        "nodejs.x",
        "nodejs022.x",
        "nodejs22.y",
        "provided",
        "java21",
        "PYTHON3.11",
        "python3.11-config",
        "python3.99999999999",
    ] {
        assert_eq!(Identifier::parse(text), None, "{text}");
    }
}

#[test]
fn an_interpreter_says_what_it_is() {
    let python = |text| Identifier::from_version(Language::Python, text).map(|it| it.0.to_string());
    let node = |text| Identifier::from_version(Language::Node, text).map(|it| it.0.to_string());
    assert_eq!(python("Python 3.11.2\n").as_deref(), Some("python3.11"));
    assert_eq!(python("Python 3.15.0rc1+\n").as_deref(), Some("python3.15"));
    assert_eq!(python("Python 2.7.18\n"), None);
    assert_eq!(python("v22.1.0\n"), None);
    assert_eq!(node("v22.1.0\n").as_deref(), Some("nodejs22.x"));
    assert_eq!(node("v22.1.0; rm -rf /\n"), None);
    assert_eq!(node("Python 3.11.2\n"), None);
}

#[test]
fn a_runtime_path_names_an_identifier_and_a_program() {
    let path: RuntimePath = "nodejs22.x=/opt/a=b/node".parse().expect("a good one");
    assert_eq!(path.identifier.to_string(), "nodejs22.x");
    assert_eq!(path.path.to_str(), Some("/opt/a=b/node"));

    let refuse = |text: &str| text.parse::<RuntimePath>().expect_err(text);
    assert!(matches!(refuse("nodejs22.x"), BadRuntimePath::Form { .. }));
    assert!(matches!(refuse("ruby3.3=/usr/bin/ruby"), BadRuntimePath::Identifier { .. }));
    assert!(matches!(refuse("provided.al2023=/bin/sh"), BadRuntimePath::Identifier { .. }));
    assert!(matches!(refuse("nodejs22.x=node"), BadRuntimePath::Relative { .. }));
    assert!(matches!(refuse("nodejs22.x="), BadRuntimePath::Relative { .. }));
}
