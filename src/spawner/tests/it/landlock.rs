//! The second layer by itself: each probe meets a wall that was opened on purpose, and only Landlock is
//! left. The control is the same probe as the same user in the same namespaces, but started from
//! outside, where there is no domain.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use sandbox::landlock::Abi;
use sandbox::sys::socket;

use crate::harness::{Cell, Spawner, World};

fn cell() -> (Spawner, Cell) {
    let mut spawner = World::new().start(4);
    let cell = spawner.ready();
    (spawner, cell)
}

/// The number the host knows a cell's first process by.
fn pid(cell: &Cell) -> u32 {
    let info = format!("/proc/self/fdinfo/{}", cell.pidfd.as_raw_fd());
    let text = fs::read_to_string(info).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap();
    line.trim().parse().unwrap()
}

/// Does something as root in a cell's mount namespace.
fn among_its_mounts(cell: &Cell, act: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A thread that shares its working directory with others cannot change its mounts.
            unshare(CloneFlags::CLONE_FS).unwrap();
            setns(cell.pidfd.as_fd(), CloneFlags::CLONE_NEWNS).unwrap();
            act();
        });
    });
}

/// Python beside a function: its user and namespaces, and no domain. Ends when its input does.
struct Outsider {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Outsider {
    fn start(cell: &Cell, source: &str) -> Self {
        let (pid, uid) = (pid(cell).to_string(), cell.uid.to_string());
        let mut process = Command::new("nsenter")
            .args(["--mount", "--net", "--pid", "--target", &pid])
            .args(["--setgid", &uid, "--setuid", &uid])
            .args(["--", "/usr/bin/python3", "-I", "-c", source])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    /// All it says from here on.
    fn end(mut self) -> String {
        drop(self.process.stdin.take());
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        assert!(self.process.wait().unwrap().success());
        text
    }
}

impl Drop for Outsider {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // A cell that has ended took it along.
        let _ended_before = self.process.wait();
    }
}

fn outside(cell: &Cell, source: &str) -> String {
    Outsider::start(cell, source).end()
}

#[test]
fn a_mount_that_is_writable_by_mistake_is_not_written() {
    let (_spawner, cell) = cell();
    let writable = |name: &str| {
        fs::set_permissions(name, fs::Permissions::from_mode(0o666)).unwrap();
    };
    among_its_mounts(&cell, || {
        let options = Some("mode=777");
        mount(Some("none"), "/opt", Some("tmpfs"), MsFlags::empty(), options).unwrap();
        for name in ["/opt/inside", "/opt/outside"] {
            fs::write(name, "text").unwrap();
            writable(name);
        }
        mknod("/opt/zero", SFlag::S_IFCHR, Mode::empty(), makedev(1, 5)).unwrap();
        writable("/opt/zero");
    });
    let source = |name: &str| {
        format!(
            "import os, errno\n\
             def attempt(f, *a):\n\
             \x20   try: f(*a); return 'done'\n\
             \x20   except OSError as e: return errno.errorcode[e.errno]\n\
             print(attempt(open, '/opt/{name}'), attempt(open, '/opt/{name}', 'a'),\n\
             \x20     attempt(open, '/opt/new-{name}', 'w'), attempt(os.mkdir, '/opt/dir-{name}'),\n\
             \x20     attempt(os.symlink, '/', '/opt/link-{name}'),\n\
             \x20     attempt(open, '/opt/zero', 'wb'), attempt(os.unlink, '/opt/{name}'))\n"
        )
    };
    assert_eq!(outside(&cell, &source("outside")), "done done done done done done done\n");
    let refused = "done EACCES EACCES EACCES EACCES EACCES EACCES\n";
    assert_eq!(cell.python(&source("inside")), refused);
}

#[test]
fn a_directory_of_the_host_that_leaks_in_leads_nowhere() {
    let (_spawner, cell) = cell();
    let host = tempfile::tempdir().unwrap();
    fs::set_permissions(host.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(host.path().join("secret"), "of the host").unwrap();
    let leaked = File::open(host.path()).unwrap();
    let leak_through = |door: &str| {
        let path = format!("/proc/{}/root/tmp/{door}", pid(&cell));
        let stream = UnixStream::connect(path).unwrap();
        socket::send(stream.as_fd(), b"x", &[leaked.as_fd()], true).unwrap();
    };
    let source = |door: &str| {
        format!(
            "import os, errno, socket\n\
             s = socket.socket(socket.AF_UNIX); s.bind('/tmp/{door}'); s.listen()\n\
             os.chmod('/tmp/{door}', 0o777)\n\
             print('away', flush=True)\n\
             c, _ = s.accept()\n\
             _, (leaked,), _, _ = socket.recv_fds(c, 1, 1)\n\
             try: print(os.read(os.open('secret', os.O_RDONLY, dir_fd=leaked), 20).decode())\n\
             except OSError as e: print(errno.errorcode[e.errno])\n"
        )
    };
    let mut outsider = Outsider::start(&cell, &source("outside"));
    assert_eq!(outsider.line(), "away\n");
    leak_through("outside");
    assert_eq!(outsider.end(), "of the host\n");

    let inside = source("inside");
    let mut output = BufReader::new(cell.start(&["/usr/bin/python3", "-I", "-c", &inside]));
    let mut said = String::new();
    output.read_line(&mut said).unwrap();
    assert_eq!(said, "away\n");
    leak_through("inside");
    output.read_to_string(&mut said).unwrap();
    assert_eq!(said, "away\nEACCES\n");
}

#[test]
fn signals_and_abstract_sockets_end_at_the_domain_where_the_kernel_has_that() {
    let (_spawner, cell) = cell();
    // Of the same user, in the same pid and network namespaces: nothing else keeps them apart.
    let mut victim = Outsider::start(
        &cell,
        "import os, socket, sys\n\
         s = socket.socket(socket.AF_UNIX); s.bind('\\0victim'); s.listen()\n\
         print(os.getpid(), flush=True); sys.stdin.read()\n",
    );
    let number = victim.line();
    let probe = format!(
        "import os, errno, socket\n\
         def attempt(f, *a):\n\
         \x20   try: f(*a); return 'done'\n\
         \x20   except OSError as e: return errno.errorcode[e.errno]\n\
         print(attempt(os.kill, {}, 0),\n\
         \x20     attempt(socket.socket(socket.AF_UNIX).connect, '\\0victim'))\n",
        number.trim()
    );
    let scoped = Abi::of_kernel().has_scopes();
    assert_eq!(outside(&cell, &probe), "done done\n");
    // Its runner ends with it, and the victim with the runner.
    assert_eq!(cell.python(&probe), if scoped { "EPERM EPERM\n" } else { "done done\n" });
}

#[test]
fn within_its_own_a_function_notices_nothing_of_it() {
    let (_spawner, cell) = cell();
    let seen = cell.python(
        "import os, socket, sqlite3, subprocess, signal, time\n\
         os.makedirs('/tmp/a/b'); os.makedirs('/tmp/c')\n\
         open('/tmp/a/file', 'w').write('x' * 100)\n\
         os.rename('/tmp/a/file', '/tmp/c/file'); os.rename('/tmp/a/b', '/tmp/c/b')\n\
         os.link('/tmp/c/file', '/tmp/a/link'); os.symlink('link', '/tmp/a/soft')\n\
         os.truncate('/tmp/a/soft', 3); os.ftruncate(os.open('/tmp/c/file', os.O_RDWR), 2)\n\
         db = sqlite3.connect('/tmp/c/db'); db.execute('pragma journal_mode = wal')\n\
         db.execute('create table t (x)'); db.execute('insert into t values (1)'); db.commit()\n\
         open('/tmp/run', 'w').write('#!/bin/sh\\necho ran\\n'); os.chmod('/tmp/run', 0o755)\n\
         print(subprocess.run(['/tmp/run'], capture_output=True).stdout)\n\
         s = socket.socket(socket.AF_UNIX); s.bind('\\0own'); s.listen()\n\
         socket.socket(socket.AF_UNIX).connect('\\0own')\n\
         p = subprocess.Popen(['/bin/sleep', '60']); p.terminate(); print(p.wait())\n\
         print(open('/var/task/hello.txt').read().strip(), os.listdir('/var/task'))\n\
         for name in ('null', 'zero', 'full', 'random', 'urandom'):\n\
         \x20   os.close(os.open('/dev/' + name, os.O_RDWR))\n\
         print(open('/dev/null').isatty(), os.path.exists(f'/proc/{os.getpid()}/status'))\n",
    );
    let expected = "b'ran\\n'\n-15\nhello from the code ['hello.txt']\nFalse True\n";
    assert_eq!(seen, expected);
}

on_forked_cells! {
    a_mount_that_is_writable_by_mistake_is_not_written,
    a_directory_of_the_host_that_leaks_in_leads_nowhere,
    signals_and_abstract_sockets_end_at_the_domain_where_the_kernel_has_that,
    within_its_own_a_function_notices_nothing_of_it,
}
