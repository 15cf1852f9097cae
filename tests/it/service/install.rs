//! `hearth service`: what it puts in place, and that nothing of it stays.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// Everything that is installed: path, and mode.
const INSTALLED: [(&str, u32); 13] = [
    ("etc/hearth/hearth.toml", 0o644),
    ("etc/sysctl.d/60-hearth.conf", 0o644),
    ("etc/systemd/system/hearth-api.socket", 0o644),
    ("etc/systemd/system/hearth-http.socket", 0o644),
    ("etc/systemd/system/hearth-spawner.service", 0o644),
    ("etc/systemd/system/hearth-spawner.socket", 0o644),
    ("etc/systemd/system/hearth.service", 0o644),
    ("etc/systemd/system/multi-user.target.wants/hearth.service", 0o644),
    ("etc/systemd/system/sockets.target.wants/hearth-api.socket", 0o644),
    ("etc/systemd/system/sockets.target.wants/hearth-http.socket", 0o644),
    ("etc/systemd/system/sockets.target.wants/hearth-spawner.socket", 0o644),
    ("etc/sysusers.d/hearth.conf", 0o644),
    ("usr/local/bin/hearth", 0o755),
];

fn service(root: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.arg("service").args(words).arg("--root").arg(root);
    let out = command.output().expect("hearth starts");
    assert!(out.status.success(), "{out:?}");
    out
}

fn installed() -> TempDir {
    let root = tempfile::tempdir().expect("a folder");
    service(root.path(), &["install"]);
    root
}

/// Every file beneath a folder with its mode; of a link, that of what it leads to in there.
fn files(root: &Path) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("readable").flatten() {
            let path = entry.path();
            let kind = entry.file_type().expect("readable");
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root).expect("beneath").display().to_string();
            let target = match kind.is_symlink() {
                false => path,
                true => {
                    let target = fs::read_link(&path).expect("a link");
                    root.join(target.strip_prefix("/").expect("absolute"))
                }
            };
            let facts = fs::metadata(&target).unwrap_or_else(|err| panic!("{name}: {err}"));
            found.insert(name, facts.permissions().mode() & 0o7777);
        }
    }
    found
}

/// Runs one of systemd's own tools; `None` where there is none.
fn systemd(program: &str, words: &[&str]) -> Option<Output> {
    match Command::new(program).args(words).output() {
        Ok(out) => Some(out),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => None,
        Err(err) => panic!("{program}: {err}"),
    }
}

#[test]
fn installing_puts_every_file_in_place_and_uninstalling_takes_all_away() {
    let root = installed();
    let expected = INSTALLED.iter().map(|(path, mode)| ((*path).to_owned(), *mode)).collect();
    assert_eq!(files(root.path()), expected);
    let program = fs::read(root.path().join("usr/local/bin/hearth")).expect("copied");
    assert!(program == fs::read(env!("CARGO_BIN_EXE_hearth")).expect("built"), "this very program");

    service(root.path(), &["uninstall"]);
    assert_eq!(files(root.path()), BTreeMap::new());
    assert!(!root.path().join("etc/hearth").exists());
}

#[test]
fn doing_it_again_changes_nothing() {
    let root = installed();
    let read = |name: &String| fs::read(root.path().join(name)).unwrap_or_default();
    let before: Vec<_> = files(root.path()).keys().map(read).collect();
    service(root.path(), &["install"]);
    let after: Vec<_> = files(root.path()).keys().map(read).collect();
    assert!(before == after);
    service(root.path(), &["uninstall"]);
    service(root.path(), &["uninstall"]);
    assert_eq!(files(root.path()), BTreeMap::new());
}

#[test]
fn a_dry_run_names_every_file_and_writes_none() {
    let root = tempfile::tempdir().expect("a folder");
    let out = service(root.path(), &["install", "--dry-run"]);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    for (path, _) in INSTALLED {
        let name = path.rsplit('/').next().expect("a name");
        assert!(said.contains(name), "{path} is not named in\n{said}");
    }
    let out = service(root.path(), &["install", "--dry-run", "--output", "json"]);
    let document: Value = serde_json::from_slice(&out.stdout).expect("one JSON document");
    let steps = document["steps"].as_array().expect("a list").iter().filter_map(Value::as_str);
    assert_eq!(steps.collect::<Vec<_>>(), said.lines().collect::<Vec<_>>());
    assert_eq!(files(root.path()), BTreeMap::new());
}

#[test]
fn what_the_operator_wrote_and_what_functions_are_made_of_stays_without_purge() {
    let root = installed();
    let config = root.path().join("etc/hearth/hearth.toml");
    let data = root.path().join("var/lib/hearth/data/control.db");
    fs::write(&config, "region = \"eu-west-1\"\n").expect("ours");
    fs::create_dir_all(data.parent().expect("a folder")).expect("ours");
    fs::write(&data, "functions").expect("ours");
    service(root.path(), &["install"]);
    assert!(fs::read_to_string(&config).expect("there").contains("eu-west-1"));
    service(root.path(), &["uninstall"]);
    assert_eq!(files(root.path()).len(), 2);
    service(root.path(), &["uninstall", "--purge"]);
    assert_eq!(files(root.path()), BTreeMap::new());
}

#[test]
fn links_in_another_systems_tree_lead_to_no_file_of_this_one() {
    let (root, host) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let there = host.path().join("hearth/data");
    fs::create_dir_all(&there).expect("ours");
    let tried = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
        command.arg("service").args(words).arg("--root").arg(root.path());
        command.output().expect("hearth starts")
    };
    for (link, words) in
        [("usr/local", &["install"][..]), ("var/lib", &["uninstall", "--purge"][..])]
    {
        let link = root.path().join(link);
        fs::create_dir_all(link.parent().expect("a folder")).expect("ours");
        symlink(host.path(), &link).expect("a link");
        let out = tried(words);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success() && said.contains("outside of"), "{said}");
        assert_eq!(fs::read_dir(host.path()).expect("ours").count(), 1, "nothing was put there");
        assert!(there.exists(), "and nothing deleted");
        // The same place, by a link that stays in the tree.
        fs::remove_file(&link).expect("ours");
        fs::create_dir_all(root.path().join("elsewhere/hearth")).expect("ours");
        symlink("../elsewhere", &link).expect("a link");
        assert!(tried(words).status.success());
    }
    assert!(!root.path().join("elsewhere/hearth").exists(), "there it is deleted");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let root = installed();
    let units: Vec<&str> = INSTALLED
        .iter()
        .filter_map(|(path, _)| path.strip_prefix("etc/systemd/system/"))
        .filter(|name| !name.contains('/'))
        .collect();
    let folder = root.path().join("etc/systemd/system");
    // As it would on a machine: the program is where the units say.
    let program = root.path().join("usr/local/bin/hearth").display().to_string();
    for name in &units {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).expect("installed");
        fs::write(&path, text.replace("/usr/local/bin/hearth", &program)).expect("ours");
    }
    let paths: Vec<String> =
        units.iter().map(|name| folder.join(name).display().to_string()).collect();
    let words: Vec<&str> = ["verify", "--recursive-errors=no"]
        .into_iter()
        .chain(paths.iter().map(String::as_str))
        .collect();
    let Some(out) = systemd("systemd-analyze", &words) else { return };
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.trim().is_empty(), "{said}");
}

#[test]
fn systemd_rates_the_control_planes_exposure_below_two() {
    let root = installed();
    let unit = root.path().join("etc/systemd/system/hearth.service").display().to_string();
    let words = ["security", "--offline=true", "--threshold=20", "--no-pager", &unit];
    let Some(out) = systemd("systemd-analyze", &words) else { return };
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}");
    // The same question about a unit without its defences is answered differently.
    let plain = root.path().join("etc/systemd/system/plain.service");
    fs::write(&plain, "[Service]\nExecStart=/bin/true\n").expect("ours");
    let plain = plain.display().to_string();
    let words = ["security", "--offline=true", "--threshold=20", "--no-pager", &plain];
    let out = systemd("systemd-analyze", &words).expect("it was there before");
    assert!(!out.status.success(), "an unprotected unit is exposed");
}

#[test]
fn where_no_systemd_runs_it_says_so_and_does_nothing() {
    if Path::new("/run/systemd/system").exists() {
        return; // It would be installed, on the machine that runs the tests.
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    let out = command.args(["service", "install"]).output().expect("hearth starts");
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("not run by systemd") && said.contains("hearth serve"), "{said}");
    assert!(!Path::new("/etc/systemd/system/hearth.service").exists());
}
