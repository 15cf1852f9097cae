//! The `host` image of the machine these tests run on: made once, looked at, and entered.
//!
//! Root is needed, as it is for what is tested. The image lies under `target/tmp` and is made anew by
//! every run.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use images::{Cache, Catalogue, HostError, HostImage, Image, Kind, RuntimePath};

/// What functions start with.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("LANG", "en_US.UTF-8"),
    ("TZ", ":UTC"),
    ("PATH", "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"),
    (
        "LD_LIBRARY_PATH",
        "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
    ),
    ("PYTHONDONTWRITEBYTECODE", "1"),
];

fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        fs::remove_dir_all(&path).expect("what an earlier run left");
    }
    fs::create_dir_all(&path).expect("a directory");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    path
}

fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let cache = Cache::open(&scratch("images")).expect("a cache");
        let host = HostImage::survey(&[], None).expect("a survey");
        let mut last = None;
        let image = host.ensure(&cache, &mut |progress| last = Some(progress)).expect("an image");
        let last = last.expect("progress");
        assert_eq!((last.files_done, last.bytes_done), (last.files, last.bytes));
        image
    })
}

/// Runs a program with the image as its root.
fn enter(tree: &Path, argv: &[&str]) -> Output {
    let chroot =
        ["/usr/sbin/chroot", "/usr/bin/chroot"].into_iter().find(|it| Path::new(it).exists());
    Command::new(chroot.expect("chroot"))
        .arg(tree)
        .args(argv)
        .env_clear()
        .envs(ENVIRONMENT)
        .output()
        .expect("chroot")
}

#[track_caller]
fn succeeds(argv: &[&str]) -> String {
    let output = enter(&image().tree, argv);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{argv:?}: {error}");
    assert_eq!(error, "", "{argv:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The interpreter of the first runtime of a kind, if the image has one.
fn interpreter(kind: Kind) -> Option<&'static str> {
    let starts = image().manifest.runtimes.values();
    starts.filter(|it| it.kind == kind).map(|it| it.argv[0].as_str()).next()
}

fn python(script: &str) -> String {
    let python = interpreter(Kind::Python).expect("this machine has a Python");
    succeeds(&[python, "-c", script])
}

fn walk(root: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).expect("a listing") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_dir() {
                waiting.push(entry.path());
            }
            out.push(entry.path());
        }
    }
    out
}

#[test]
fn python_finds_its_libraries() {
    let script = "import ssl, sqlite3, ctypes, json, zoneinfo, hashlib, bz2, lzma, asyncio, uuid, \
                  decimal, readline, multiprocessing, xml.etree.ElementTree; \
                  print(zoneinfo.ZoneInfo('Europe/Berlin'), hashlib.sha256(b'').hexdigest()[:8])";
    assert_eq!(python(script), "Europe/Berlin e3b0c442\n");
}

#[test]
fn every_module_of_pythons_that_is_there_can_be_imported() {
    let script = r#"
import importlib, io, pkgutil, sys
sys.stdout, out = io.StringIO(), sys.stdout
wrong = []
for module in pkgutil.iter_modules():
    # Opens a browser, the other prints; and the bootstrap starts by writing to a link.
    if module.name not in ("antigravity", "this", "bootstrap"):
        try:
            importlib.import_module(module.name)
        except BaseException as err:
            wrong.append("%s: %s" % (module.name, err))
print(wrong, file=out)
"#;
    let python = interpreter(Kind::Python).expect("this machine has a Python");
    assert_eq!(succeeds(&[python, "-W", "ignore", "-c", script]), "[]\n");
}

#[test]
fn every_module_of_pythons_is_compiled_and_its_compiled_form_is_valid() {
    let script = r#"
import importlib.util, os, struct
wrong, seen = [], 0
for root, _, names in os.walk(os.path.dirname(os.__file__)):
    for name in names:
        if name.endswith(".py"):
            path = os.path.join(root, name)
            seen += 1
            try:
                head = open(importlib.util.cache_from_source(path), "rb").read(16)
            except OSError as err:
                wrong.append(str(err))
                continue
            magic, flags, time, size = struct.unpack("<4sIII", head)
            found = os.stat(path)
            timed = flags == 0 and (time, size) == (int(found.st_mtime), found.st_size)
            if magic != importlib.util.MAGIC_NUMBER or not (timed or flags == 1):
                wrong.append(path)
print(wrong, seen > 300)
"#;
    assert_eq!(python(script), "[] True\n");
}

#[test]
fn the_bootstrap_is_compiled_for_the_python_that_runs_it() {
    let start = image().manifest.runtimes.values().find(|it| it.kind == Kind::Python);
    let start = start.expect("this machine has a Python");
    let (python, compiled) = (start.argv[0].as_str(), start.argv.last().expect("arguments"));
    assert!(compiled.ends_with(".pyc"), "{:?}", start.argv);
    let mut script = "import marshal, sys; head = open(sys.argv[1], 'rb').read(); ".to_owned();
    script += "print(marshal.loads(head[16:]).co_filename)";
    assert_eq!(succeeds(&[python, "-c", &script, compiled]), "/var/runtime/bootstrap.py\n");
    // Without a link it has nothing to say anything on; that it says so itself proves that it ran.
    let argv: Vec<_> = start.argv.iter().map(String::as_str).collect();
    let output = enter(&image().tree, &argv);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("/var/runtime/bootstrap.py\", line"), "{error}");
}

#[test]
fn an_interpreter_without_a_function_is_started_with_what_every_function_finds() {
    for (identifier, start) in &image().manifest.runtimes {
        let Some(spare) = &start.spare else {
            assert_eq!(start.kind, Kind::Custom, "{identifier}");
            continue;
        };
        assert_eq!(spare.argv, [&start.argv[..], &["spare".to_owned()]].concat());
        let expected = images::environment::constants(start.kind, identifier);
        let expected: Vec<_> = expected.iter().map(|(name, it)| format!("{name}={it}")).collect();
        assert_eq!(spare.env, expected, "{identifier}");
    }
}

/// Arguments and environment that the image has for a template.
fn template(image: &Image, index: u8) -> (Vec<String>, Vec<String>) {
    let path = format!("{}/{index}", images::manifest::TEMPLATES.trim_start_matches('/'));
    let text = fs::read_to_string(image.tree.join(path)).expect("a template");
    let entries: Vec<_> = text.split('\0').map(str::to_owned).collect();
    let (last, entries) = entries.split_last().expect("a NUL behind each");
    assert_eq!(last, "");
    let end = entries.iter().position(String::is_empty).expect("an end of the arguments");
    (entries[..end].to_vec(), entries[end + 1..].to_vec())
}

#[test]
fn every_python_has_a_template_that_imports_what_the_recipe_says() {
    let image = image();
    let pythons = image.manifest.runtimes.values().filter(|it| it.kind == Kind::Python);
    let mut seen = Vec::new();
    for start in pythons {
        let index = start.template.expect("a template");
        let (argv, env) = template(image, index);
        assert_eq!(argv[0], start.argv[0]);
        assert!(argv.contains(&"/var/runtime/template.py".to_owned()), "{argv:?}");
        assert!(argv.ends_with(&start.preimport), "{argv:?}");
        assert_eq!(Some(&env), start.spare.as_ref().map(|it| &it.env));
        assert_eq!((start.heavy, start.packages.len()), (None, 0), "nothing was added");
        seen.push(index);
    }
    seen.dedup();
    let files = fs::read_dir(image.tree.join("var/runtime/templates")).expect("a listing");
    assert_eq!(files.count(), seen.len());
}

#[test]
fn packages_that_are_added_can_be_imported_by_every_python_and_have_a_template_of_their_own() {
    let root = scratch("images-packages");
    let packages = root.join("packages");
    for (path, text) in [
        ("requests/__init__.py", "from . import deeper"),
        ("requests/deeper/__init__.py", "VALUE = 'found'"),
        ("boto3.py", "import requests"),
        ("unheard_of.py", ""),
    ] {
        let path = packages.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    let cache = Cache::open(&root.join("images")).expect("a cache");
    let host = HostImage::survey(&[], Some(&packages)).expect("a survey");
    assert_ne!(host.digest(), image().manifest.digest);
    let image = host.ensure(&cache, &mut |_| {}).expect("an image");
    let (name, start) = image
        .manifest
        .runtimes
        .iter()
        .find(|(_, it)| it.kind == Kind::Python)
        .expect("this machine has a Python");
    assert_eq!(start.packages, ["boto3", "requests"]);
    let (lean, _) = template(&image, start.template.expect("a template"));
    let (heavy, env) = template(&image, start.heavy.expect("a second one"));
    assert_eq!(heavy, [&lean[..], &start.packages[..]].concat());
    assert!(env.contains(&"OPENBLAS_NUM_THREADS=1".to_owned()), "{env:?}");
    let place = format!("/var/lang/lib/{name}/site-packages");
    let script = format!(
        "import sys; sys.path.append('{place}'); import boto3, os; \
         print(boto3.requests.deeper.VALUE, os.path.exists(boto3.requests.deeper.__cached__))"
    );
    let output = enter(&image.tree, &[&start.argv[0], "-c", &script]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "found True\n", "{output:?}");

    let err = HostImage::survey(&[], Some(&packages.join("boto3.py"))).expect_err("no directory");
    assert!(matches!(err, HostError::NoPackages { .. }), "{err}");
    let err = HostImage::survey(&[], Some(&packages.join("nowhere"))).expect_err("not there");
    assert!(matches!(err, HostError::Look { .. }), "{err}");
    fs::remove_dir_all(root).expect("cleaning up");
}

#[test]
fn the_locale_of_functions_is_there() {
    let script = "import locale, sys; locale.setlocale(locale.LC_ALL, ''); \
                  print(locale.getlocale(), sys.stdout.encoding, sys.getfilesystemencoding(), 'ä')";
    assert_eq!(python(script), "('en_US', 'UTF-8') utf-8 utf-8 ä\n");
}

#[test]
fn names_are_resolved() {
    let script = "import pwd, grp, socket; print(pwd.getpwuid(1000).pw_name, pwd.getpwuid(1000).pw_dir, \
                  grp.getgrgid(1000).gr_name, socket.getaddrinfo('localhost', 80)[0][4], \
                  socket.gethostbyname('sandbox'))";
    assert_eq!(python(script), "sandbox /tmp sandbox ('127.0.0.1', 80) 127.0.0.1\n");
}

#[test]
fn certificates_are_found_if_the_server_has_any() {
    let script = "import ssl; print(len(ssl.create_default_context().get_ca_certs()) > 20)";
    let has = Path::new("/etc/ssl/certs/ca-certificates.crt").exists();
    assert_eq!(python(script), if has { "True\n" } else { "False\n" });
}

#[test]
fn node_runs_if_the_server_has_one() {
    let Some(node) = interpreter(Kind::Node) else {
        assert!(!Path::new("/usr/bin/node").exists() && !Path::new("/usr/local/bin/node").exists());
        return;
    };
    let script = "const c = require('crypto'); import('node:url').then(u => console.log( \
                  c.createHash('sha256').digest('hex').slice(0, 8), typeof u.URL, \
                  new Date(0).toLocaleString('en-US', {timeZone: 'Asia/Tokyo'})))";
    let said = succeeds(&[node, "-e", script]).replace('\u{202f}', " ");
    assert_eq!(said, "e3b0c442 function 1/1/1970, 9:00:00 AM\n");
}

#[test]
fn the_shell_and_every_utility_find_their_libraries() {
    assert_eq!(
        succeeds(&["/bin/sh", "-c", "echo ok | cat | tr o O; [ -d /tmp ] && ls /var"]),
        "Ok\nlang\nruntime\ntask\n"
    );
    for entry in fs::read_dir(image().tree.join("usr/bin")).expect("a listing") {
        let name = entry.expect("an entry").file_name();
        let path = format!("/usr/bin/{}", name.to_string_lossy());
        let output = enter(&image().tree, &[&path, "--version"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !error.contains("shared librar") && !error.contains("not found"),
            "{path}: {error}"
        );
        assert!(!matches!(output.status.code(), None | Some(126 | 127)), "{path}: {error}");
    }
}

#[test]
fn search_paths_and_mount_points_are_there_and_empty() {
    for path in ["dev", "proc", "tmp", "opt/lib", "opt/python", "var/task/lib", "var/lang/lib"] {
        let path = image().tree.join(path);
        assert_eq!(fs::read_dir(&path).expect("a directory").count(), 0, "{}", path.display());
    }
    for (link, target) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        assert_eq!(fs::read_link(image().tree.join(link)).expect("a link"), Path::new(target));
    }
    assert!(!image().tree.join("sys").exists() && !image().tree.join("home").exists());
}

#[test]
fn the_image_shares_no_inode_with_the_server_and_nothing_in_it_has_privilege() {
    let (mut files, mut bytes) = (0, 0);
    for path in walk(&image().tree) {
        let found = fs::symlink_metadata(&path).expect("metadata");
        let mode = found.permissions().mode() & 0o7777;
        let shown = path.display();
        assert_eq!((found.uid(), found.gid()), (0, 0), "{shown}");
        if found.is_file() {
            assert_eq!(found.nlink(), 1, "{shown}");
            assert!(mode == 0o644 || mode == 0o755, "{shown}: {mode:o}");
            files += 1;
            bytes += found.len();
        } else if found.is_dir() {
            assert_eq!(mode, 0o755, "{shown}");
        } else {
            assert!(found.is_symlink(), "{shown}");
            let target = fs::read_link(&path).expect("a target");
            assert!(target.is_relative(), "{shown}");
            let real = path.canonicalize().expect("a link to something");
            assert!(real.starts_with(&image().tree), "{shown} leads to {}", real.display());
        }
    }
    // What was compiled beside what was copied.
    assert!(files >= image().manifest.files && bytes >= image().manifest.bytes);
    let python = interpreter(Kind::Python).expect("this machine has a Python");
    let inode = |path: &Path| fs::metadata(path).map(|it| (it.dev(), it.ino())).expect("metadata");
    let inside = image().tree.join(python.trim_start_matches('/'));
    assert_ne!(inode(&inside), inode(Path::new(python)));
}

#[test]
fn a_second_start_finds_the_image_by_looking() {
    let root = image().tree.ancestors().nth(3).expect("the cache");
    let cache = Cache::open(root).expect("a cache");
    let host = HostImage::survey(&[], None).expect("a survey");
    assert_eq!(host.digest(), image().manifest.digest);
    let again = host.ensure(&cache, &mut |_| panic!("nothing is made")).expect("the image");
    assert_eq!(again, *image());
    let catalogue = Catalogue::new([&again.manifest], &BTreeMap::new()).expect("a catalogue");
    assert!(catalogue.resolve("provided.al2023").is_some());
}

#[test]
fn of_several_daemons_one_makes_the_image() {
    let root = scratch("images-together");
    let makers: usize = std::thread::scope(|scope| {
        let start = || {
            let cache = Cache::open(&root).expect("a cache");
            let host = HostImage::survey(&[], None).expect("a survey");
            let mut made = false;
            let image = host.ensure(&cache, &mut |_| made = true).expect("an image");
            assert!(image.tree.join("usr/bin/sh").exists());
            usize::from(made)
        };
        let daemons: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
        daemons.into_iter().map(|it| it.join().expect("a daemon")).sum()
    });
    assert_eq!(makers, 1);
    let names = walk(&root).into_iter().filter(|it| it.parent() == Some(&root.join("sha256")));
    assert_eq!(names.count(), 1);
    fs::remove_dir_all(root).expect("cleaning up");
}

fn named(identifier: &str, path: &Path) -> RuntimePath {
    format!("{identifier}={}", path.display()).parse().expect("a runtime path")
}

#[test]
fn an_interpreter_from_elsewhere_serves_its_identifier() {
    let root = scratch("images-elsewhere");
    // A Python in a prefix of its own, as one built from source has it: without compiled modules.
    let Some(host) = interpreter(Kind::Python) else { return };
    let name = Path::new(host).file_name().expect("a name").to_str().expect("text");
    let (bin, lib) = (root.join("prefix/bin"), root.join("prefix/lib").join(name));
    fs::create_dir_all(&bin).expect("a directory");
    fs::copy(host, bin.join("python")).expect("a copy");
    let library = image().tree.join("usr/lib").join(name);
    for from in walk(&library) {
        let rest = from.strip_prefix(&library).expect("beneath it");
        let to = lib.join(rest);
        let compiled = rest.components().any(|it| it.as_os_str() == "__pycache__");
        // Enough to start and to compile with; the rest would only take time.
        let wanted = !["lib2to3", "distutils", "encodings/mac_", "encodings/cp"]
            .iter()
            .any(|it| rest.to_string_lossy().starts_with(it));
        if from.is_file() && !compiled && wanted {
            fs::create_dir_all(to.parent().expect("a parent")).expect("a directory");
            fs::copy(&from, to).expect("a copy");
        }
    }
    let cache = Cache::open(&root.join("images")).expect("a cache");
    let survey = HostImage::survey(&[named(name, &bin.join("python"))], None).expect("a survey");
    assert_ne!(survey.digest(), image().manifest.digest);
    let image = survey.ensure(&cache, &mut |_| {}).expect("an image");
    let start = &image.manifest.runtimes[name];
    assert_eq!(start.argv[0], format!("/usr/lib/runtimes/{name}/bin/{name}"));
    // Not the server's prefix, nothing of the prefix's path, and compiled although the source was not.
    let script = "import json, os, sys; print(sys.prefix, os.path.exists(json.__cached__))";
    let by_name = format!("/usr/local/bin/{name}");
    for program in [start.argv[0].as_str(), by_name.as_str()] {
        let output = enter(&image.tree, &[program, "-c", script]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, format!("/usr/lib/runtimes/{name} True\n"), "{output:?}");
    }
    assert!(!walk(&lib).iter().any(|it| it.ends_with("__pycache__")), "the source was changed");
    fs::remove_dir_all(root).expect("cleaning up");
}

#[test]
fn an_interpreter_that_is_not_what_it_is_to_be_is_refused() {
    let root = scratch("images-refused");
    let cache = Cache::open(&root.join("images")).expect("a cache");
    let refuse = |identifier: &str, path: &Path| {
        HostImage::survey(&[named(identifier, path)], None)
            .and_then(|host| host.ensure(&cache, &mut |_| panic!("nothing is copied")))
            .expect_err("refused")
    };
    let shell = Path::new("/bin/sh").canonicalize().expect("a shell");
    let err = refuse("nodejs99.x", &shell);
    assert!(
        matches!(&err, HostError::WrongVersion { expected, .. } if expected == "nodejs99.x"),
        "{err}"
    );

    let shim = root.join("shim");
    fs::write(&shim, "#!/bin/sh\nexec python3 \"$@\"\n").expect("a file");
    fs::set_permissions(&shim, fs::Permissions::from_mode(0o755)).expect("a mode");
    let err = refuse("python3.11", &shim);
    assert!(matches!(err, HostError::NotAProgram { .. }), "{err}");

    let lonely = root.join("lonely/bin/python3.11");
    fs::create_dir_all(lonely.parent().expect("a parent")).expect("a directory");
    fs::copy(&shell, &lonely).expect("a copy");
    let err = refuse("python3.11", &lonely);
    assert!(matches!(err, HostError::NoStandardLibrary { .. }), "{err}");
    let err = refuse("python3.11", &root.join("nowhere"));
    assert!(matches!(err, HostError::Read { .. }), "{err}");
    let left = walk(&root.join("images"));
    assert_eq!(left.iter().filter(|it| it.is_dir()).count(), 1, "{left:?}");
    fs::remove_dir_all(root).expect("cleaning up");
}

#[test]
fn a_file_that_changes_while_it_is_copied_fails_the_attempt() {
    let root = scratch("images-changed");
    let cache = Cache::open(&root.join("images")).expect("a cache");
    let places = ["/usr/bin/node", "/usr/local/bin/node"];
    let Some(node) = places.into_iter().map(Path::new).find(|it| it.exists()) else { return };
    let copy = root.join("node");
    fs::copy(node, &copy).expect("a copy");
    // Another test's child may hold open for a moment what was just written.
    let output = loop {
        match Command::new(&copy).arg("--version").output() {
            Err(err) if err.kind() == ErrorKind::ExecutableFileBusy => {}
            it => break it.expect("its version"),
        }
    };
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some(major) = version.strip_prefix('v').and_then(|it| it.split('.').next()) else {
        fs::remove_dir_all(root).expect("cleaning up");
        return;
    };
    let host =
        HostImage::survey(&[named(&format!("nodejs{major}.x"), &copy)], None).expect("a survey");
    let other = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    File::open(&copy).and_then(|file| file.set_modified(other)).expect("a time");
    let err = host.ensure(&cache, &mut |_| {}).expect_err("changed");
    assert!(matches!(&err, HostError::Changed { path } if *path == copy), "{err}");
    assert!(host.find(&cache).expect("a look").is_none());
    let left = walk(&root.join("images"));
    assert_eq!(left.iter().filter(|it| it.is_dir()).count(), 1, "{left:?}");
    fs::remove_dir_all(root).expect("cleaning up");
}
