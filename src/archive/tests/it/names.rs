//! Evil archives: names, paths and links that lead elsewhere.

use std::fs::{self, File};

use archive::unpack;
use archive::unpack::Answer;

use crate::raw::{Member, zip};
use crate::verdict::Outcome::{Because, Tree};
use crate::verdict::{AWS, check, file, leak};

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for (name, why) in [
        ("../evil", r#""../evil": its name climbs out with "..""#),
        ("a/../../evil", r#""a/../../evil": its name climbs out with "..""#),
        ("a/..", r#""a/..": its name climbs out with "..""#),
        ("..", r#""..": its name climbs out with "..""#),
        ("./../evil", r#""./../evil": its name climbs out with "..""#),
        ("/etc/passwd", r#""/etc/passwd": its name is absolute"#),
        ("//evil", r#""//evil": its name is absolute"#),
        ("/", r#""/": its name is absolute"#),
        (".//etc/evil", r#"".//etc/evil": its name has a component that is empty or ".""#),
        ("a//b", r#""a//b": its name has a component that is empty or ".""#),
        ("a/./b", r#""a/./b": its name has a component that is empty or ".""#),
        (".", r#"".": its name has a component that is empty or ".""#),
        ("", r#""": its name is empty"#),
        ("a\0.py", r#""a\0.py": its name holds a NUL byte"#),
        ("..\\evil", r#""..\\evil": its name holds a backslash; the separator in a zip is "/""#),
        ("C:\\evil", r#""C:\\evil": its name holds a backslash; the separator in a zip is "/""#),
        (
            "\\\\host\\share",
            r#""\\\\host\\share": its name holds a backslash; the separator in a zip is "/""#,
        ),
    ] {
        check(name, &zip(&[file("good"), file(name)]), Because(why));
    }
    let raw = Member::file(b"a\xff\xfe/../../b", "x");
    check(
        "not text",
        &zip(&[raw]),
        Because("\"a\u{fffd}\u{fffd}/../../b\": its name climbs out with \"..\""),
    );
}

#[test]
fn names_too_long_or_too_deep_are_refused() {
    let long = "n".repeat(256);
    let why = format!(
        "\"{}…\": its name is longer than 2048 bytes, or a part of it than 255",
        &long[..120]
    );
    check("a component of 256", &zip(&[file(&long)]), Because(leak(why)));
    let deep = "d/".repeat(128) + "f";
    let why = format!("\"{}…\": it lies more than 128 directories deep", &deep[..120]);
    check("129 deep", &zip(&[file(&deep)]), Because(leak(why)));
    let long = format!("{0}/{0}/{0}/{0}/{0}/{0}/{0}/{0}/{0}", "n".repeat(250));
    let why = format!(
        "\"{}…\": its name is longer than 2048 bytes, or a part of it than 255",
        &long[..120]
    );
    check("2,258 bytes", &zip(&[file(&long)]), Because(leak(why)));
}

#[test]
fn a_path_has_one_meaning() {
    let twice = Because(r#""a": its name is given twice"#);
    check("a file twice", &zip(&[file("a"), Member::file("a", "y")]), twice);
    let twice = Because(r#""./a": its name is given twice"#);
    check("a file twice in two spellings", &zip(&[file("a"), file("./a")]), twice);
    let twice = Because(r#""a/": its name is given twice"#);
    check("a file, then a directory", &zip(&[file("a"), Member::file("a/", "")]), twice);
    let twice = Because(r#""a": its name is given twice"#);
    check("a directory, then a file", &zip(&[Member::file("a/", ""), file("a")]), twice);
    let twice = Because(r#""a": its name is given twice"#);
    check("a file where another implied a directory", &zip(&[file("a/b"), file("a")]), twice);
    let below = Because(r#""a/b": it lies beneath a file or symbolic link"#);
    check("a file beneath a file", &zip(&[file("a"), file("a/b")]), below);
    let twice = Because(r#""a": its name is given twice"#);
    check("a link over a file", &zip(&[file("a"), Member::link("a", "b")]), twice);
    let twice = Because(r#""l": its name is given twice"#);
    check("a link twice", &zip(&[Member::link("l", "a"), Member::link("l", "b")]), twice);
    check(
        "names that differ in case are two names",
        &zip(&[file("a"), file("A")]),
        Tree(&["A 644 x", "a 644 x"]),
    );
}

#[test]
fn nothing_is_written_through_a_link() {
    let below = || Because(r#""l/evil": it lies beneath a file or symbolic link"#);
    check("the link first", &zip(&[Member::link("l", "."), file("l/evil")]), below());
    let late = [file("l/evil"), Member::link("l", ".")];
    check("the link last", &zip(&late), Because(r#""l": its name is given twice"#));
    check(
        "deeper",
        &zip(&[Member::link("d/l", "."), file("d/l/a/evil")]),
        Because(r#""d/l/a/evil": it lies beneath a file or symbolic link"#),
    );
}

#[test]
fn links_that_leave_the_tree_are_refused() {
    for (name, target, why) in [
        ("l", "/etc/passwd", r#""l": it is a symbolic link to an absolute path"#),
        ("l", "..", r#""l": it is a symbolic link out of the archive"#),
        ("l", "../secret", r#""l": it is a symbolic link out of the archive"#),
        ("d/l", "../../secret", r#""d/l": it is a symbolic link out of the archive"#),
        ("d/l", "./.././../secret", r#""d/l": it is a symbolic link out of the archive"#),
        ("l", "d/../../secret", r#""l": its target climbs after it has descended"#),
        ("l", "d/..", r#""l": its target climbs after it has descended"#),
        ("l", "", r#""l": it is a symbolic link to nothing"#),
        ("l", "a\0b", r#""l": its target holds a NUL byte"#),
    ] {
        check(target, &zip(&[file("d/f"), Member::link(name, target)]), Because(why));
    }
    let long = Member::link("l", "t".repeat(4096));
    check(
        "a target of 4,096 bytes",
        &zip(&[long]),
        Because(r#""l": its target is longer than 4095 bytes"#),
    );
    // Behind the shallow link, one ".." climbs further than it reads.
    let pair =
        [file("t/f"), Member::link("a/b/c/x", "../../../t"), Member::link("y", "a/b/c/x/../..")];
    check(
        "two links that climb together",
        &zip(&pair),
        Because(r#""y": its target climbs after it has descended"#),
    );
}

#[test]
fn links_within_the_tree_are_kept() {
    check(
        "as package managers make them",
        &zip(&[
            Member::link("node_modules/.bin/tool", "../tool/cli.js"),
            file("node_modules/tool/cli.js"),
            Member::link("current", "node_modules/tool"),
            Member::link("dangling", "not/there"),
            Member::link("loop", "loop"),
            Member::deflated("node_modules/self", ".").mode(0o120_777),
        ]),
        Tree(&[
            "current -> node_modules/tool",
            "dangling -> not/there",
            "loop -> loop",
            "node_modules/ 755",
            "node_modules/.bin/ 755",
            "node_modules/.bin/tool -> ../tool/cli.js",
            "node_modules/self -> .",
            "node_modules/tool/ 755",
            "node_modules/tool/cli.js 644 x",
        ]),
    );
}

#[test]
fn a_destination_that_is_not_empty_is_left_as_it_is() {
    let outer = tempfile::tempdir().expect("a directory");
    let (root, victim) = (outer.path().join("root"), outer.path().join("victim"));
    fs::create_dir(&root).expect("a directory");
    fs::write(&victim, "alive").expect("a file");
    std::os::unix::fs::symlink(&victim, root.join("a")).expect("a link");
    std::os::unix::fs::symlink(outer.path(), root.join("d")).expect("a link");
    for name in ["a", "d/evil"] {
        let result = unpack(&zip(&[file(name)]), File::open(&root).expect("the root"), &AWS);
        assert_eq!(result.map_err(|err| err.answer()), Err(Answer::Internal), "{name}");
    }
    assert_eq!(fs::read_to_string(&victim).expect("the file"), "alive");
    assert!(!outer.path().join("evil").exists());
}
