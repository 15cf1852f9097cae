//! What is mounted beside the code: at its place, as harmless as the code, and for one function only.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use wire::spawner::{Digest, Place, Trees};

use crate::harness::image::{CODE, IMAGE};
use crate::harness::{Cell, LIMITS, Spawner, World};

/// Names of two trees of layers; no file was ever hashed for them.
const LAYERS: Digest = [0xDD; 32];
const OTHERS: Digest = [0xDE; 32];

/// A store with code and layers: what is written there is what cells see.
struct Store {
    folder: tempfile::TempDir,
}

impl Store {
    fn new() -> Self {
        // Beside the build's own files: /tmp may be mounted so that nobody's bits have an effect.
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = tempfile::Builder::new().prefix("layers-").tempdir_in(scratch).unwrap();
        let store = Self { folder };
        for digest in [CODE, LAYERS, OTHERS] {
            fs::create_dir_all(store.tree(digest)).unwrap();
        }
        fs::write(store.tree(CODE).join("hello.txt"), "hello from the code\n").unwrap();
        fs::write(store.tree(LAYERS).join("hello.txt"), "hello from a layer\n").unwrap();
        fs::write(store.tree(OTHERS).join("hello.txt"), "hello from another\n").unwrap();
        store
    }

    fn tree(&self, digest: Digest) -> PathBuf {
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.path().join("sha256").join(hex).join("tree")
    }

    fn world(&self) -> World {
        World::with_code(self.folder.path().to_owned())
    }
}

/// A cell with code, and these layers.
fn cell_with(spawner: &mut Spawner, layers: Option<Digest>) -> Cell {
    let mut cell = spawner.make();
    spawner.settle(&mut cell);
    spawner.assign_trees(&cell, Trees::of(CODE).with(Place::Layers, layers), LIMITS).unwrap();
    cell
}

#[test]
fn layers_are_in_opt_of_the_cell_they_belong_to_and_of_no_other() {
    let store = Store::new();
    let world = store.world();
    let mut spawner = world.start(4);
    let look = "import os\n\
                print(open('/var/task/hello.txt').read().strip())\n\
                print(open('/opt/hello.txt').read().strip() if os.path.exists('/opt/hello.txt') else '-')";
    for (layers, seen) in [
        (Some(LAYERS), "hello from the code\nhello from a layer\n"),
        (Some(OTHERS), "hello from the code\nhello from another\n"),
        (None, "hello from the code\n-\n"),
    ] {
        let cell = cell_with(&mut spawner, layers);
        assert_eq!(cell.python(look), seen);
        // A cell ends with its program.
        spawner.ended(&cell);
    }
}

#[test]
fn a_function_without_layers_has_what_the_image_has_in_opt() {
    let store = Store::new();
    let world = store.world();
    let mut spawner = world.start(2);
    let cell = cell_with(&mut spawner, None);
    assert_eq!(cell.python("import os; print(os.listdir('/opt'))"), "['lib']\n");
}

#[test]
fn nothing_in_opt_can_be_changed_and_it_lends_nobody_any_power() {
    let store = Store::new();
    let tree = store.tree(LAYERS);
    // What no archive gets in, and what must be harmless all the same.
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(tree.join("hello.txt"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::copy("/bin/cat", tree.join("suid")).unwrap();
    fs::set_permissions(tree.join("suid"), fs::Permissions::from_mode(0o6755)).unwrap();
    mknod(&tree.join("zero"), SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 5))
        .unwrap();
    fs::set_permissions(tree.join("zero"), fs::Permissions::from_mode(0o666)).unwrap();
    let probe = |root: &str| {
        format!(
            "import os, errno, subprocess\n\
             def attempt(f, *a):\n\
             \x20   try: f(*a); return 'done'\n\
             \x20   except OSError as e: return errno.errorcode[e.errno]\n\
             print(attempt(open, '{root}/hello.txt', 'a'), attempt(open, '{root}/new', 'w'),\n\
             \x20     attempt(os.unlink, '{root}/gone'), attempt(os.chmod, '{root}/hello.txt', 0o600),\n\
             \x20     attempt(open, '{root}/zero', 'rb'))\n"
        )
    };
    fs::write(tree.join("gone"), "").unwrap();
    let world = store.world();
    let mut spawner = world.start(2);
    let cell = cell_with(&mut spawner, Some(LAYERS));
    let flags = "for line in open('/proc/self/mountinfo'):\n\
                 \x20   fields = line.split()\n\
                 \x20   if fields[4] == '/opt': print(','.join(f for f in fields[5].split(',') if f != 'relatime'))\n\
                 print(subprocess.run(['/opt/suid', '/proc/self/status'], capture_output=True, text=True).stdout.split('Uid:')[1].split()[:4])\n";
    let seen = cell.python(&format!("{}{flags}", probe("/opt")));
    assert_eq!(
        seen,
        "EROFS EROFS EROFS EROFS EACCES\nro,nosuid,nodev\n['1000', '1000', '1000', '1000']\n"
    );
    // The control: by the same names, on the host, everybody may.
    let outside = std::process::Command::new("python3")
        .arg("-c")
        .arg(probe(tree.to_str().unwrap()))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(outside.stdout).unwrap(), "done done done done done\n");
}

#[test]
fn layers_that_are_not_there_leave_the_cell_as_it_was() {
    let store = Store::new();
    let world = store.world();
    let mut spawner = world.start(2);
    let mut cell = spawner.make();
    spawner.settle(&mut cell);
    let trees = Trees::of(CODE);
    let refused = spawner.assign_trees(&cell, trees.with(Place::Layers, Some([1; 32])), LIMITS);
    let detail = refused.unwrap_err();
    assert!(
        detail.starts_with("layers sha256:0101") && detail.ends_with("is not there"),
        "{detail}"
    );
    // Not even the code is there; with layers that are, both come.
    spawner.assign_trees(&cell, trees.with(Place::Layers, Some(LAYERS)), LIMITS).unwrap();
    assert_eq!(cell.python("print(open('/opt/hello.txt').read().strip())"), "hello from a layer\n");
}

#[test]
fn what_was_compiled_of_code_comes_with_it_into_cells_of_the_image_it_was_compiled_for() {
    let store = Store::new();
    let compiled = store.tree(CODE).parent().unwrap().join("compiled");
    let hex = |digest: Digest| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let look = "import os\n\
                root = '/var/lang/compiled'\n\
                def attempt(*a):\n\
                \x20   try: open(*a); return 'done'\n\
                \x20   except OSError as e: return e.errno\n\
                print(os.listdir(root), attempt(root + '/python', 'a'), attempt(root + '/new', 'w'))\n\
                for line in open('/proc/self/mountinfo'):\n\
                \x20   fields = line.split()\n\
                \x20   if fields[4] == root: print(','.join(f for f in fields[5].split(',') if f != 'relatime'))";
    let world = store.world();
    let mut spawner = world.start(3);
    let mut seen = || {
        let cell = cell_with(&mut spawner, None);
        let seen = cell.python(look);
        spawner.ended(&cell);
        seen
    };
    // Read-only as the image is: what it has there is empty.
    assert_eq!(seen(), "[] 30 30\n");
    // Another image's.
    fs::create_dir_all(compiled.join(hex([1; 32]))).unwrap();
    fs::write(compiled.join(hex([1; 32])).join("python"), "other").unwrap();
    assert_eq!(seen(), "[] 30 30\n");
    let own = compiled.join(hex(IMAGE));
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("python"), "own").unwrap();
    fs::set_permissions(own.join("python"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(seen(), "['python'] 30 30\nro,nosuid,nodev\n");
    // A link there leads nowhere.
    fs::rename(&own, compiled.join("aside")).unwrap();
    std::os::unix::fs::symlink("aside", &own).unwrap();
    let mut cell = spawner.make();
    spawner.settle(&mut cell);
    let refused = spawner.assign_trees(&cell, Trees::of(CODE), LIMITS).unwrap_err();
    assert!(refused.contains("what is compiled of"), "{refused}");
}

on_forked_cells! {
    what_was_compiled_of_code_comes_with_it_into_cells_of_the_image_it_was_compiled_for,
    layers_are_in_opt_of_the_cell_they_belong_to_and_of_no_other,
    nothing_in_opt_can_be_changed_and_it_lends_nobody_any_power,
}
