//! Plans: what goes where, and what changes an image's name.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Item, Plan, between};
use crate::host::recipe::Recipe;

fn patterns(texts: &[&str]) -> Vec<crate::host::recipe::Pattern> {
    let list = serde_json::to_string(texts).expect("JSON");
    serde_json::from_str(&list).expect("patterns")
}

fn paths(plan: &Plan) -> Vec<String> {
    plan.iter().map(|(path, _)| path.display().to_string()).collect()
}

#[test]
fn everything_lies_in_a_merged_usr() {
    let mut plan = Plan::default();
    for path in ["/bin", "/bin/sh", "/lib/x/libc.so.6", "/lib64/ld.so", "/etc/passwd", "/library"] {
        plan.add(Path::new(path), Item::Text(String::new()));
    }
    assert_eq!(
        paths(&plan),
        [
            "bin",
            "etc",
            "etc/passwd",
            "library",
            "usr",
            "usr/bin",
            "usr/bin/sh",
            "usr/lib",
            "usr/lib/x",
            "usr/lib/x/libc.so.6",
            "usr/lib64",
            "usr/lib64/ld.so",
        ]
    );
}

#[test]
fn no_path_leads_out_of_the_image() {
    let mut plan = Plan::default();
    plan.add(Path::new("/../../etc/./passwd"), Item::Directory);
    assert_eq!(paths(&plan), ["etc", "etc/passwd"]);
}

#[test]
fn what_was_planned_first_stays() {
    let mut plan = Plan::default();
    plan.add(Path::new("/a"), Item::Text("first".to_owned()));
    plan.add(Path::new("/a"), Item::Text("second".to_owned()));
    assert_eq!(plan.get(Path::new("a")), Some(&Item::Text("first".to_owned())));
    plan.remove(Path::new("/a"));
    assert_eq!(plan.get(Path::new("a")), None);
}

#[test]
fn a_tree_is_taken_without_what_is_excluded_and_without_what_lies_outside() {
    let root = tempfile::tempdir().expect("a directory");
    let (tree, outside) = (root.path().join("tree"), root.path().join("outside"));
    for directory in ["tree/sub/test", "tree/only/here", "outside"] {
        fs::create_dir_all(root.path().join(directory)).expect("a directory");
    }
    for file in ["a.py", "sub/b.py", "sub/test/t.py", "only/here/c.py", "only/d.py", "_test_x.so"] {
        fs::write(tree.join(file), file).expect("a file");
    }
    fs::write(outside.join("secret"), "secret").expect("a file");
    symlink("a.py", tree.join("relative")).expect("a link");
    symlink(tree.join("sub/b.py"), tree.join("only/absolute")).expect("a link");
    symlink("../outside/secret", tree.join("file-outside")).expect("a link");
    symlink("../outside", tree.join("directory-outside")).expect("a link");
    symlink("nowhere", tree.join("dangling")).expect("a link");
    nix::unistd::mkfifo(&tree.join("pipe"), nix::sys::stat::Mode::S_IRUSR).expect("a pipe");

    let mut plan = Plan::default();
    let exclude = patterns(&["test", "_test*", "only/here"]);
    let files = plan.add_tree(Path::new("/t"), &tree, &exclude).expect("a tree");
    assert_eq!(files.len(), 4);
    assert_eq!(
        paths(&plan),
        [
            "t",
            "t/a.py",
            "t/file-outside",
            "t/only",
            "t/only/absolute",
            "t/only/d.py",
            "t/relative",
            "t/sub",
            "t/sub/b.py",
        ]
    );
    let link = |path: &str| match plan.get(Path::new(path)) {
        Some(Item::Link(target)) => target.display().to_string(),
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(
        (link("t/relative").as_str(), link("t/only/absolute").as_str()),
        ("a.py", "../sub/b.py")
    );
    assert!(matches!(plan.get(Path::new("t/file-outside")), Some(Item::File(_))));
}

#[test]
fn a_pattern_means_a_name_anywhere_or_a_path() {
    let matches = |pattern, name, path| patterns(&[pattern])[0].matches(name, path);
    assert!(matches("test", "test", "a/test"));
    assert!(!matches("test", "tests", "tests"));
    assert!(matches("_test*", "_testcapi.so", "lib/_testcapi.so"));
    assert!(matches("*.opt-1.pyc", "a.opt-1.pyc", "a.opt-1.pyc"));
    assert!(matches("a/b", "b", "a/b"));
    assert!(!matches("a/b", "b", "x/a/b"));
}

#[test]
fn the_digest_changes_with_everything_that_changes_the_image() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("file");
    fs::write(&path, "text").expect("a file");
    let digest = |more: &[&str], change: &dyn Fn(&mut Plan)| {
        let mut plan = Plan::default();
        plan.add_file(Path::new("/file"), &path).expect("a file");
        change(&mut plan);
        plan.digest(more)
    };
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    let mut seen = vec![digest(&["recipe"], &|_| {})];
    assert_eq!(digest(&["recipe"], &|_| {}), seen[0]);
    seen.push(digest(&["another"], &|_| {}));
    seen.push(digest(&["rec", "ipe"], &|_| {}));
    seen.push(digest(&["recipe"], &|plan| plan.add(Path::new("/x"), Item::Directory)));
    seen.push(digest(&["recipe"], &|plan| plan.add(Path::new("/x"), Item::Text("y".into()))));
    seen.push(digest(&["recipe"], &|plan| plan.add(Path::new("/x"), Item::Link("y".into()))));
    mode(0o755);
    seen.push(digest(&["recipe"], &|_| {}));
    mode(0o644);
    fs::write(&path, "longer").expect("a file");
    seen.push(digest(&["recipe"], &|_| {}));
    File::open(&path).and_then(|file| file.set_modified(time)).expect("a time");
    seen.push(digest(&["recipe"], &|_| {}));
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), all);
}

#[test]
fn links_are_relative() {
    let way = |from: &str, to: &str| between(Path::new(from), Path::new(to));
    assert_eq!(way("/usr/lib64", "/usr/lib/x/ld.so"), PathBuf::from("../lib/x/ld.so"));
    assert_eq!(way("/usr/bin", "/usr/bin/busybox"), PathBuf::from("busybox"));
    assert_eq!(way("/usr/local/bin", "/usr/lib/r/node"), PathBuf::from("../../lib/r/node"));
}

#[test]
fn the_recipe_names_only_absolute_paths_and_links_that_stay_inside() {
    let recipe = Recipe::parse(crate::host::recipe::TEXT).expect("a recipe");
    let named =
        recipe.directories.empty.iter().chain(recipe.links.keys()).chain(recipe.files.keys());
    for path in named.chain(recipe.copy.iter().map(|it| &it.to)) {
        assert!(path.is_absolute(), "{}", path.display());
    }
    for (path, target) in &recipe.links {
        let depth = path.components().count() - 2;
        let up = target.components().filter(|it| it.as_os_str() == "..").count();
        assert!(target.is_relative() && up <= depth, "{}", path.display());
    }
}
