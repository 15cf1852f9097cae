//! The walls, from inside: each probe runs as a function's program would, in a cell with code in it.
//!
//! Where a probe could fail for another reason than the wall, the same probe runs on the host, where
//! it must succeed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;

use wire::runner;

use crate::harness::{Cell, LIMITS, Spawner, World, wait_for};

/// A world, a spawner and a cell with code in it.
fn cell() -> (World, Spawner, Cell) {
    let world = World::new();
    let mut spawner = world.start(4);
    let cell = spawner.ready();
    (world, spawner, cell)
}

/// The same Python source on the host, as root.
fn on_the_host(source: &str) -> String {
    let output = Command::new("/usr/bin/python3").args(["-I", "-c", source]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_program_is_one_user_of_its_own_and_nobody_else() {
    let world = World::new();
    let mut spawner = world.start(4);
    let (one, two) = (spawner.ready(), spawner.ready());
    assert_ne!(one.uid, two.uid);
    let seen = one.python(
        "import os\nprint(open('/proc/self/uid_map').read().split(), \
         open('/proc/self/gid_map').read().split(), os.getresuid(), os.getresgid(), \
         os.getgroups())\n",
    );
    // The parent namespace, in whose numbers a map is shown, is the nursery.
    let id = one.uid - spawner.uid_base;
    let expected = format!(
        "['1000', '{id}', '1'] ['1000', '{id}', '1'] (1000, 1000, 1000) (1000, 1000, 1000) []"
    );
    assert_eq!(seen.trim(), expected);
}

#[test]
fn a_program_has_no_capability_in_any_set_and_cannot_gain_one() {
    let (_world, _spawner, cell) = cell();
    let seen = cell.python(
        "import ctypes\n\
         for line in open('/proc/self/status'):\n\
         \x20   if line.split(':')[0] in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb',\n\
         \x20                             'NoNewPrivs', 'Seccomp'): print(*line.split())\n\
         print(ctypes.CDLL(None).prctl(27, 0, 0, 0, 0))\n",
    );
    let none = "0000000000000000";
    let expected = format!(
        "CapInh: {none}\nCapPrm: {none}\nCapEff: {none}\nCapBnd: {none}\nCapAmb: {none}\n\
         NoNewPrivs: 1\nSeccomp: 2\n{}\n",
        // Everything but KEEP_CAPS itself (0x10), which is locked at off.
        0xEF
    );
    assert_eq!(seen, expected);
}

#[test]
fn a_program_sees_only_processes_of_its_own_sandbox() {
    let (_world, spawner, cell) = cell();
    let host = spawner.pid();
    let source = format!(
        "import os\n\
         print(sorted(int(n) for n in os.listdir('/proc') if n.isdigit()), os.getpid())\n\
         try: os.kill({host}, 0); print('reached')\n\
         except ProcessLookupError: print('no such process')\n"
    );
    let seen = cell.python(&source);
    assert!(matches!(seen.as_str(), "[2] 2\nno such process\n" | "[1, 2] 2\nno such process\n"));
    assert!(on_the_host(&source).ends_with("reached\n"));
}

#[test]
fn every_namespace_is_a_new_one() {
    let (_world, _spawner, cell) = cell();
    let source = "import os\n\
        for name in ('user', 'pid', 'mnt', 'net', 'ipc', 'uts', 'cgroup'):\n\
        \x20   print(os.readlink('/proc/self/ns/' + name))\n";
    let (inside, outside) = (cell.python(source), on_the_host(source));
    assert_eq!((inside.lines().count(), outside.lines().count()), (7, 7));
    for (one, other) in inside.lines().zip(outside.lines()) {
        assert_ne!(one, other);
    }
}

#[test]
fn the_mount_table_holds_five_mounts_with_these_flags() {
    let (_world, _spawner, cell) = cell();
    let seen = cell.python(
        "for line in open('/proc/self/mountinfo'):\n\
         \x20   left, right = line.split(' - ')\n\
         \x20   flags = [f for f in left.split()[5].split(',') if f != 'relatime']\n\
         \x20   print(left.split()[4], ','.join(flags), right.split()[0])\n",
    );
    let mut lines: Vec<&str> = seen.lines().collect();
    lines.sort_unstable();
    let (root, task) = (lines[0].rsplit_once(' ').unwrap(), lines[4].rsplit_once(' ').unwrap());
    assert_eq!(root.0, "/ ro,nosuid,nodev");
    assert_eq!(lines[1], "/dev ro,nosuid,noexec tmpfs");
    assert_eq!(lines[2], "/proc ro,nosuid,nodev,noexec proc");
    assert_eq!(lines[3], "/tmp rw,nosuid,nodev tmpfs");
    assert_eq!(task.0, "/var/task ro,nosuid,nodev");
    assert_eq!(lines.len(), 5);
}

#[test]
fn descriptors_control_groups_and_names_tell_nothing_of_the_host() {
    let (_world, _spawner, cell) = cell();
    let seen = cell.python(
        "import os, socket\n\
         print(sorted(int(n) for n in os.listdir('/proc/self/fd')))\n\
         print(os.readlink('/proc/self/fd/0'), os.getcwd(), socket.gethostname())\n\
         print({line.strip().split(':', 2)[2] for line in open('/proc/self/cgroup')})\n\
         print(sorted(os.listdir('/dev')))\n\
         print(sorted(k for k in os.environ))\n\
         print(os.path.exists('/proc/sys'), os.path.exists('/sys'), os.path.exists('/proc/kcore'))\n",
    );
    let lines: Vec<&str> = seen.lines().collect();
    // 3 is the directory that is being listed.
    assert_eq!(lines[0], "[0, 1, 2, 3]");
    assert_eq!(lines[1], "/dev/null /var/task sandbox");
    assert_eq!(lines[2], "{'/'}");
    assert_eq!(
        lines[3],
        "['fd', 'full', 'null', 'random', 'stderr', 'stdin', 'stdout', 'urandom', 'zero']"
    );
    assert_eq!(lines[4], "['HOME', 'LANG', 'PATH']");
    assert_eq!(lines[5], "False False False");
}

#[test]
fn nothing_but_tmp_can_be_written_and_tmp_fills_up_without_a_kill() {
    let (_world, mut spawner, cell) = cell();
    let seen = cell.python(
        "import os, errno\n\
         for path in ('/x', '/etc/x', '/var/task/x', '/dev/x', '/usr/bin/sh'):\n\
         \x20   try: open(path, 'w'); print(path, 'written')\n\
         \x20   except OSError as e: print(path, errno.errorcode[e.errno])\n\
         s = os.statvfs('/tmp')\n\
         print(s.f_blocks * s.f_frsize >> 20, s.f_files)\n\
         f = open('/tmp/full', 'wb', buffering=0)\n\
         try:\n\
         \x20   while True: f.write(bytes(1 << 20))\n\
         except OSError as e: print(errno.errorcode[e.errno])\n\
         f.close(); os.unlink('/tmp/full')\n\
         try:\n\
         \x20   for n in range(40000): open(f'/tmp/{n}', 'w').close()\n\
         except OSError as e: print(errno.errorcode[e.errno], n > 30000)\n",
    );
    assert_eq!(
        seen,
        "/x EROFS\n/etc/x EROFS\n/var/task/x EROFS\n/dev/x EROFS\n/usr/bin/sh EROFS\n\
         512 32768\nENOSPC\nENOSPC True\n"
    );
    assert_eq!(spawner.end(&cell).0, 0);
}

#[test]
fn limits_of_a_process_are_what_the_plan_says_and_the_core_limit_stays() {
    let (_world, _spawner, cell) = cell();
    let seen = cell.python(
        "import resource as r, os\n\
         print(r.getrlimit(r.RLIMIT_NOFILE), r.getrlimit(r.RLIMIT_CORE),\n\
         \x20     r.getrlimit(r.RLIMIT_MEMLOCK), r.getrlimit(r.RLIMIT_MSGQUEUE),\n\
         \x20     r.getrlimit(r.RLIMIT_RTPRIO), r.getrlimit(r.RLIMIT_STACK)[0])\n\
         try: r.setrlimit(r.RLIMIT_CORE, (0, 0)); print('set')\n\
         except (ValueError, PermissionError): print('refused')\n\
         print(open('/proc/self/oom_score_adj').read().strip())\n\
         try: open('/proc/self/oom_score_adj', 'w').write('0'); print('lowered')\n\
         except OSError: print('stays')\n\
         print(oct(os.umask(0)), os.getsid(0) > 0)\n",
    );
    assert_eq!(
        seen,
        "(1024, 1024) (1, 1) (65536, 65536) (0, 0) (0, 0) 8388608\nrefused\n1000\nstays\n\
         0o22 True\n"
    );
}

#[test]
fn signals_have_their_defaults() {
    let (_world, _spawner, cell) = cell();
    let ran = cell.run(&["/bin/cat", "/proc/self/status"]);
    let lines = |name| ran.output.lines().find(|line: &&str| line.starts_with(name)).unwrap();
    assert_eq!(lines("SigBlk:"), "SigBlk:\t0000000000000000");
    assert_eq!(lines("SigIgn:"), "SigIgn:\t0000000000000000");
}

#[test]
fn the_network_is_a_loopback_of_its_own() {
    let (_world, _spawner, cell) = cell();
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let source = format!(
        "import socket, errno\n\
         print([line.split(':')[0].strip() for line in open('/proc/self/net/dev') if ':' in line])\n\
         for address in (('127.0.0.1', {port}), ('10.0.0.1', 80), ('169.254.169.254', 80)):\n\
         \x20   s = socket.socket(); s.settimeout(2)\n\
         \x20   print(errno.errorcode.get(s.connect_ex(address), 'connected'))\n"
    );
    assert_eq!(cell.python(&source), "['lo']\nECONNREFUSED\nENETUNREACH\nENETUNREACH\n");
    assert!(on_the_host(&source).contains("connected"));
}

#[test]
fn the_listener_is_reached_from_inside_and_from_nowhere_else() {
    let (_world, _spawner, cell) = cell();
    let listener = TcpListener::from(cell.listener.try_clone().unwrap());
    let answering = std::thread::spawn(move || {
        wait_for(listener.as_fd(), "a connection");
        let (mut stream, _) = listener.accept().unwrap();
        let mut said = [0; 5];
        stream.read_exact(&mut said).unwrap();
        stream.write_all(b"there").unwrap();
        said
    });
    let seen = cell.python(
        "import socket, errno\n\
         s = socket.create_connection(('127.0.0.1', 9001)); s.sendall(b'hello')\n\
         print(s.recv(5).decode())\n\
         for address in ('127.0.0.1', '0.0.0.0'):\n\
         \x20   t = socket.socket()\n\
         \x20   try: t.bind((address, 9001)); print('taken')\n\
         \x20   except OSError as e: print(errno.errorcode[e.errno])\n",
    );
    assert_eq!(seen, "there\nEADDRINUSE\nEADDRINUSE\n");
    assert_eq!(&answering.join().unwrap(), b"hello");
    // Whether or not the host has such a listener of its own: this one hears nothing of it.
    let _refused_or_not_ours = TcpStream::connect("127.0.0.1:9001");
    let listener = TcpListener::from(cell.listener.try_clone().unwrap());
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn calls_are_refused_as_the_table_says() {
    use sandbox::seccomp::{Decision, Policy, Verdict};
    let (_world, _spawner, cell) = cell();
    let policy = Policy::complete();
    // Two trampolines of the kernel itself, which it lets through every filter and answers with
    // SIGILL anywhere but in their place.
    let trampolines = [335, 336];
    let refused =
        |number: &u32| matches!(policy.decide(*number), Decision::Always(Verdict::Refuse(_)));
    let numbers: Vec<u32> =
        (0..600).filter(|number| !trampolines.contains(number)).filter(refused).collect();
    assert!(numbers.len() > 200);
    let source = format!(
        "import ctypes\n\
         call = ctypes.CDLL(None, use_errno=True).syscall\n\
         for number in {numbers:?}:\n\
         \x20   print(number, end=' ', flush=True)\n\
         \x20   result = call(number, -1, -1, -1, -1, -1, -1)\n\
         \x20   print(result, ctypes.get_errno())\n"
    );
    let seen = cell.python(&source);
    for (line, number) in seen.lines().zip(&numbers) {
        let Decision::Always(Verdict::Refuse(errno)) = policy.decide(*number) else {
            unreachable!()
        };
        let wanted = match errno {
            // Success, although the kernel was not asked.
            0 => format!("{number} 0 "),
            errno => format!("{number} -1 {errno}"),
        };
        assert!(line.starts_with(&wanted), "{line} instead of {wanted}");
    }
    assert_eq!(seen.lines().count(), numbers.len());
}

#[test]
fn arguments_are_refused_as_the_rules_say() {
    let (_world, _spawner, cell) = cell();
    let source = "import socket, os, errno, ctypes, fcntl\n\
        def attempt(f, *a):\n\
        \x20   try: f(*a); return 'done'\n\
        \x20   except OSError as e: return errno.errorcode[e.errno]\n\
        print(attempt(socket.socket, 40, 1), attempt(socket.socket, 38, 5),\n\
        \x20     attempt(socket.socket, 17, 3), attempt(socket.socket, 2, 3, 1),\n\
        \x20     attempt(socket.socket, 2, 1, 262), attempt(socket.socket, 16, 3, 12),\n\
        \x20     attempt(socket.socket, 16, 3, 0))\n\
        libc = ctypes.CDLL(None, use_errno=True)\n\
        print(libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0), ctypes.get_errno())\n\
        print(libc.unshare(0x10000000), ctypes.get_errno())\n\
        print(attempt(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1)))\n\
        print(attempt(os.mkfifo, '/tmp/fifo'), attempt(os.mknod, '/tmp/null', 0o20666, 0x103))\n\
        s = socket.socket(); print(attempt(s.setsockopt, 6, 31, b'tls'))\n\
        print(attempt(fcntl.ioctl, 0, 0x5412, b'x'))\n";
    assert_eq!(
        cell.python(source),
        "EAFNOSUPPORT EAFNOSUPPORT EAFNOSUPPORT EPERM EPROTONOSUPPORT EAFNOSUPPORT EAFNOSUPPORT\n\
         -1 1\n-1 1\nEPERM\ndone EPERM\nEPERM\nEPERM\n"
    );
    let unshare = "import ctypes\nprint(ctypes.CDLL(None).unshare(0x10000000))\n";
    assert_eq!(on_the_host(unshare), "0\n");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_foreign_call_convention_ends_the_process() {
    const SIGSYS: u32 = 31;
    let (_world, mut spawner, cell) = cell();
    // mov eax, 20 (getpid of i386); int 0x80; ret
    let i386 = "import ctypes, mmap\n\
        m = mmap.mmap(-1, 4096, prot=7); m.write(bytes.fromhex('b814000000cd80c3'))\n\
        f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\n\
        print(f() > 0)\n";
    let ran = cell.run(&["/usr/bin/python3", "-I", "-c", i386]);
    assert_eq!((ran.status & 0x7F, ran.output.as_str()), (SIGSYS, ""));
    assert_eq!(on_the_host(i386), "True\n");
    spawner.ended(&cell);
    let cell = spawner.ready();
    let x32 = "import ctypes\nctypes.CDLL(None).syscall(0x40000000 + 39)\nprint('alive')\n";
    let ran = cell.run(&["/usr/bin/python3", "-I", "-c", x32]);
    assert_eq!((ran.status & 0x7F, ran.output.as_str()), (SIGSYS, ""));
}

#[test]
fn allocating_without_end_is_killed_and_counted_and_others_live() {
    let (_world, mut spawner, hungry) = cell();
    let other = spawner.ready();
    let endless = "x = []\nwhile True: x.append(bytearray(1 << 24))";
    let ends_as_a_whole = !hungry.statistics().contains("total_rss ");
    assert_eq!(hungry.kills().is_none(), ends_as_a_whole);
    let _output = hungry.start(&["/usr/bin/python3", "-I", "-c", endless]);
    let (kills, peak) = match ends_as_a_whole {
        // Version 2 ends the runner with it.
        true => spawner.ended(&hungry),
        false => {
            let report = hungry.report();
            let killed = matches!(report, runner::Report::Exited { status } if status & 0x7F == 9);
            assert!(killed, "{report:?}");
            // Counted before anybody could hear of it, where the control plane looks; unless the cell
            // is gone by now, as it is soon without its program.
            if let Some(counted) = hungry.kills() {
                assert!(!counted.contains("oom_kill 0"), "{counted}");
            }
            spawner.end(&hungry)
        }
    };
    assert!(kills > 0);
    let limit = u64::from(LIMITS.memory_mib + LIMITS.tmp_mib) << 20;
    assert!(peak > limit / 10 * 9 && peak <= limit, "{peak} of {limit}");
    assert_eq!(other.python("print('here')"), "here\n");
}

#[test]
fn processes_are_bounded() {
    let world = World::new();
    let mut spawner = world.start(4);
    let cell = spawner.ready_with(wire::spawner::Limits { pids: 20, ..LIMITS });
    let seen = cell.python(
        "import os, errno, time\n\
         n = 0\n\
         try:\n\
         \x20   while True:\n\
         \x20       if os.fork() == 0: time.sleep(60); os._exit(0)\n\
         \x20       n += 1\n\
         except OSError as e: print(n, errno.errorcode[e.errno])\n\
         os.kill(-1, 9)\n",
    );
    // The runner and Python itself count too.
    assert_eq!(seen, "18 EAGAIN\n");
}

#[test]
fn one_sandbox_cannot_use_up_anothers_inotify_instances() {
    let world = World::new();
    let mut spawner = world.start(8);
    let (greedy, other) = (spawner.ready(), spawner.ready());
    let source = "import ctypes\n\
        libc = ctypes.CDLL(None)\n\
        n = 0\n\
        while libc.inotify_init1(0) >= 0: n += 1\n\
        print(n)\n";
    let first: u32 = greedy.python(source).trim().parse().unwrap();
    let second: u32 = other.python(source).trim().parse().unwrap();
    assert!((1..=16).contains(&first) && first == second, "{first} and {second}");
}

#[test]
fn the_runner_cannot_be_traced_or_changed() {
    let (_world, _spawner, cell) = cell();
    let seen = cell.python(
        "import errno\n\
         for path, mode in (('/proc/1/mem', 'rb'), ('/proc/1/exe', 'wb'), ('/proc/1/environ', 'rb')):\n\
         \x20   try: open(path, mode).read(1); print(path, 'open')\n\
         \x20   except OSError as e: print(errno.errorcode[e.errno])\n",
    );
    for line in seen.lines() {
        assert!(matches!(line, "EACCES" | "ENOENT" | "EROFS" | "EPERM"), "{seen}");
    }
}

// All but what the kernel kills for memory, of which a runner and the spawner tell in different ways:
// `forking` has that.
on_forked_cells! {
    a_program_is_one_user_of_its_own_and_nobody_else,
    a_program_has_no_capability_in_any_set_and_cannot_gain_one,
    a_program_sees_only_processes_of_its_own_sandbox,
    every_namespace_is_a_new_one,
    the_mount_table_holds_five_mounts_with_these_flags,
    descriptors_control_groups_and_names_tell_nothing_of_the_host,
    nothing_but_tmp_can_be_written_and_tmp_fills_up_without_a_kill,
    limits_of_a_process_are_what_the_plan_says_and_the_core_limit_stays,
    signals_have_their_defaults,
    the_network_is_a_loopback_of_its_own,
    the_listener_is_reached_from_inside_and_from_nowhere_else,
    calls_are_refused_as_the_table_says,
    arguments_are_refused_as_the_rules_say,
    a_foreign_call_convention_ends_the_process,
    processes_are_bounded,
    one_sandbox_cannot_use_up_anothers_inotify_instances,
    the_runner_cannot_be_traced_or_changed,
}
