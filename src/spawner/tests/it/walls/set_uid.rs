//! Programs that would lend their powers to whoever executes them: set-user-id, and file capabilities.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::on_the_host;
use crate::harness::World;
use crate::harness::image::CODE;

/// Makes two copies of `cat`: one that makes whoever runs it root, one that gives him capabilities.
fn make(tree: &Path) {
    for name in ["suid", "capable"] {
        fs::copy("/bin/cat", tree.join(name)).unwrap();
    }
    fs::set_permissions(tree.join("suid"), fs::Permissions::from_mode(0o6755)).unwrap();
    let capable = tree.join("capable");
    // Version 2 of the attribute, effective, with CAP_CHOWN: one that no host is without.
    on_the_host(&format!(
        "import os, struct\n\
         value = struct.pack('<5I', 0x02000001, 1, 0, 0, 0)\n\
         os.setxattr({capable:?}, 'security.capability', value)\n"
    ));
}

/// What such a program is when it runs: effective user, and whether it holds a capability.
fn identity(status: &str) -> (u32, bool) {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let effective = u64::from_str_radix(&field("CapEff:")[0], 16).unwrap();
    (field("Uid:")[1].parse().unwrap(), effective != 0)
}

#[test]
fn set_uid_programs_and_file_capabilities_have_no_effect() {
    let hex: String = CODE.iter().map(|byte| format!("{byte:02x}")).collect();
    // Beside the build's own files: /tmp may be mounted so that nobody's bits have an effect.
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let code = tempfile::Builder::new().prefix("set-uid-").tempdir_in(scratch).unwrap();
    let tree = code.path().join("sha256").join(hex).join("tree");
    fs::create_dir_all(&tree).unwrap();
    make(&tree);
    let world = World::with_code(code.path().to_owned());
    let mut spawner = world.start(2);
    let cell = spawner.ready();
    let seen = cell.python(
        "import subprocess\n\
         for name in ('suid', 'capable'):\n\
         \x20   print(subprocess.check_output(['/var/task/' + name, '/proc/self/status']).decode(), '===')\n",
    );
    let statuses: Vec<&str> = seen.split("===").collect();
    assert_eq!(identity(statuses[0]), (1000, false), "{seen}");
    assert_eq!(identity(statuses[1]), (1000, false), "{seen}");
    // The control: nobody, on the host. By descriptor, since nobody may not get as far by path.
    let run = |name: &str| {
        let program = tree.join(name);
        let source = format!(
            "import os\n\
             program = os.open({program:?}, os.O_RDONLY)\n\
             os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n\
             os.execve(program, ['{name}', '/proc/self/status'], {{}})\n"
        );
        identity(&on_the_host(&source))
    };
    assert_eq!(run("suid"), (0, true));
    assert_eq!(run("capable"), (65_534, true));
}

/// The third wall, beside `nosuid` and the ids that are not mapped.
#[test]
fn nothing_executed_gains_privileges_whatever_it_is_mounted_on() {
    let world = World::new();
    let mut spawner = world.start(2);
    let cell = spawner.ready();
    let status = fs::read_to_string(format!("/proc/{}/status", cell.pid())).unwrap();
    assert!(status.lines().any(|line| line == "NoNewPrivs:\t1"));
    // The control: what the host starts has it off.
    let ours = Command::new("/bin/cat").arg("/proc/self/status").output().unwrap();
    assert!(String::from_utf8(ours.stdout).unwrap().contains("NoNewPrivs:\t0"));
}
