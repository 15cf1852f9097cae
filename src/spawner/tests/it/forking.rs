//! Templates: how they come to be and end, and what is forked from them into cells.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use wire::spawner::{CellId, Reply, Request, Subject, TemplateId};

use crate::harness::forked::Forked;
use crate::harness::image::{FAILING, SEEDED, THREADED};
use crate::harness::{
    BROKEN_IMAGE, Cell, IMAGE, LEAN, LIMITS, Spawner, World, children_of, control_groups_of,
    eventually, processes_of, wait_for,
};

/// What is refused about a cell, and why.
fn refusal(reply: &Reply, cell: CellId) -> &str {
    match reply {
        Reply::Failed { subject: Subject::Cell(number), detail } if *number == cell => detail,
        other => panic!("{other:?}"),
    }
}

/// The status of what was forked into a cell, and then that cell's end.
fn exited(spawner: &mut Spawner, cell: &Cell) -> u32 {
    let status = match spawner.receive().0 {
        Reply::Exited { cell: number, status } if number == cell.number => status,
        other => panic!("{other:?}"),
    };
    spawner.ended(cell);
    status
}

/// Where the spawner's only template is.
fn template_pid(spawner: &Spawner) -> u32 {
    children_of(spawner.inner_pid())[1]
}

/// A field of `/proc/<pid>/status`.
fn status(pid: u32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').trim().to_owned()
}

#[test]
fn what_is_forked_looks_to_the_kernel_like_what_is_executed() {
    // Filters: the template's is beneath the last one. What has happened to it is its own.
    let of_its_own = ["Name", "VmPeak", "VmSize", "VmHWM", "VmRSS", "RssAnon", "RssFile", "VmData"];
    let also = ["RssShmem", "VmStk", "VmExe", "VmLib", "VmPTE", "Seccomp_filters", "PPid"];
    let switches = ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches", "Cpus_allowed"];
    let source = "print(open('/proc/self/status').read(), end='')";
    let mut spawner = World::new().start(4);
    let cell = spawner.ready();
    let executed = cell.python(source);
    spawner.ended(&cell);
    let template = spawner.template(LEAN);
    let cell = spawner.make();
    let mut forked = spawner.fork(&cell, template).unwrap();
    spawner.assign(&cell, LIMITS).unwrap();
    forked.send(source);
    let seen = forked.output();
    let lines = |text: &str| -> Vec<String> {
        let name = |line: &&str| {
            let name = line.split(':').next().unwrap_or_default();
            !of_its_own.iter().chain(&also).chain(&switches).any(|own| *own == name)
        };
        text.lines().filter(name).map(str::to_owned).collect()
    };
    assert_eq!(lines(&seen), lines(&executed));
    assert!(seen.contains("Seccomp_filters:\t3\n"), "{seen}");
    assert_eq!(exited(&mut spawner, &cell), 0);
}

#[test]
fn a_template_has_the_owners_id_and_nothing_else() {
    let mut spawner = World::new().start(2);
    spawner.template(LEAN);
    let (pid, owner) = (template_pid(&spawner), spawner.uid_base + 1);
    for field in ["Uid", "Gid"] {
        assert_eq!(status(pid, field), [owner.to_string().as_str(); 4].join("\t"));
    }
    assert_eq!(status(pid, "Groups"), "");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status(pid, set), "0000000000000000", "{set}");
    }
    let fields = ["NoNewPrivs", "Seccomp", "Seccomp_filters", "Threads"];
    assert_eq!(fields.map(|field| status(pid, field)), ["1", "2", "2", "1"]);
    // Namespaces of its own, but for users and processes: those are the maker's.
    let maker = children_of(spawner.inner_pid())[0];
    let namespace = |pid: u32, kind: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    for (kind, shared) in [
        ("user", true),
        ("pid", true),
        ("mnt", false),
        ("net", false),
        ("ipc", false),
        ("uts", false),
        ("cgroup", false),
    ] {
        assert_eq!(namespace(pid, kind) == namespace(maker, kind), shared, "{kind}");
    }
    // An environment that its image names, whole; two mounts, neither to be written to; and nothing
    // open but its socket and where it speaks.
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    assert_eq!(environment, "HOME=/tmp\0LANG=C.UTF-8\0PATH=/usr/bin:/bin\0");
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let mounts: Vec<Vec<&str>> = mounts.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(mounts.iter().map(|fields| fields[4]).collect::<Vec<_>>(), ["/", "/dev"]);
    assert!(mounts.iter().all(|fields| fields[5].starts_with("ro,nosuid,")), "{mounts:?}");
    assert_eq!(fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(), 4);
}

#[test]
fn nothing_of_the_template_can_be_reached_from_a_fork() {
    let mut spawner = World::new().start(2);
    let template = spawner.template(LEAN);
    let cell = spawner.make();
    let mut forked = spawner.fork(&cell, template).unwrap();
    spawner.assign(&cell, LIMITS).unwrap();
    forked.send(
        "import os, ctypes\n\
         print(os.getpid(), os.getppid(), os.getsid(0), sorted(os.listdir('/proc/self/fd')))\n\
         reached = []\n\
         for number in range(3, 3000):\n\
         \x20   try: os.kill(number, 0); reached.append(number)\n\
         \x20   except ProcessLookupError: pass\n\
         print(reached, [n for n in os.listdir('/proc') if n.isdigit() and n != '1'])\n\
         call = ctypes.CDLL(None, use_errno=True).syscall\n\
         for number in (308, 272, 250, 317):\n\
         \x20   print(call(number, 1, 0, 0, 0, 0), ctypes.get_errno(), end=' ')\n\
         print(os.path.exists('/proc/self/ns/user'), os.getcwd())\n",
    );
    assert_eq!(
        forked.output(),
        "2 0 2 ['0', '1', '2', '3']\n[] ['2']\n-1 1 -1 1 -1 1 -1 38 True /var/task\n"
    );
    // The control: by then it had no more descriptors than it closed itself.
    assert_eq!(exited(&mut spawner, &cell), 0);
    eventually("the template has let go", || {
        fs::read_dir(format!("/proc/{}/fd", template_pid(&spawner))).unwrap().count() == 4
    });
}

#[test]
fn how_a_fork_ended_is_told_as_wait_says_and_its_cell_goes_with_it() {
    let mut spawner = World::new().start(8);
    let template = spawner.template(LEAN);
    for (source, expected) in [
        ("import os; os._exit(3)", 3 << 8),
        ("raise SystemExit(0)", 0),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 9),
        ("import os; os.abort()", 6),
        // What it leaves behind goes as well.
        ("import os, time\nif os.fork() == 0: time.sleep(600)\nos._exit(4)", 4 << 8),
    ] {
        let cell = spawner.make();
        let mut forked = spawner.fork(&cell, template).unwrap();
        forked.send(source);
        assert_eq!(exited(&mut spawner, &cell), expected, "{source}");
        assert_eq!(processes_of(cell.uid..cell.uid + 1), []);
    }
    // Whose link is closed before it was told anything ends too.
    let cell = spawner.make();
    drop(spawner.fork(&cell, template).unwrap());
    assert_eq!(exited(&mut spawner, &cell), 0);
}

#[test]
fn a_fork_goes_only_into_a_cell_that_is_empty_and_of_the_templates_image() {
    let mut spawner = World::new().start(4);
    let template = spawner.template(LEAN);
    let ask = |spawner: &mut Spawner, cell: &Cell, template: TemplateId| -> String {
        let (_forked, reply) = spawner.ask_to_fork(cell, template);
        refusal(&reply, cell.number).to_owned()
    };
    let mut cell = spawner.make();
    assert_eq!(ask(&mut spawner, &cell, TemplateId(77)), "no such template");
    let number = std::mem::replace(&mut cell.number, CellId(77));
    assert_eq!(ask(&mut spawner, &cell, template), "no such cell");
    cell.number = number;
    let _forked = spawner.fork(&cell, template).unwrap();
    assert_eq!(ask(&mut spawner, &cell, template), "the cell is not empty");
    let assigned = spawner.ready();
    assert_eq!(ask(&mut spawner, &assigned, template), "the cell is not empty");
    spawner.end(&assigned);
    spawner.end(&cell);
    assert_eq!(ask(&mut spawner, &cell, template), "no such cell");
}

#[test]
fn what_cannot_be_a_template_is_refused_with_its_own_words_and_leaves_nothing() {
    let mut spawner = World::new().start_quietly(2);
    for (index, expected) in [
        (FAILING, "it exited with status 1; it said: template: it cannot be"),
        (
            THREADED,
            "it exited with status 1; it said: template: cannot be ready, with one thread: \
                    Invalid argument",
        ),
        (99, "read its program from /var/runtime/templates: ENOENT: No such file or directory"),
    ] {
        assert_eq!(spawner.try_template(index).unwrap_err(), expected);
    }
    spawner.send(&Request::Template { ticket: 9, image: [9; 32], index: 0 });
    let (reply, _) = spawner.receive();
    assert!(matches!(reply, Reply::Failed { subject: Subject::Ticket(9), .. }), "{reply:?}");
    // One that has nowhere to put its /dev.
    spawner.send(&Request::Template { ticket: 9, image: BROKEN_IMAGE, index: 0 });
    let (reply, _) = spawner.receive();
    assert!(matches!(reply, Reply::Failed { subject: Subject::Ticket(9), .. }), "{reply:?}");
    spawner.send(&Request::EndTemplate { template: TemplateId(1) });
    let (reply, _) = spawner.receive();
    assert!(matches!(reply, Reply::Failed { subject: Subject::Template(_), .. }), "{reply:?}");
    let beneath = |group: &std::path::PathBuf| {
        let entries = fs::read_dir(group).unwrap().flatten();
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count()
    };
    eventually("the maker is alone", || children_of(spawner.inner_pid()).len() == 1);
    eventually("no group is left", || {
        control_groups_of(spawner.uid_base).iter().map(beneath).sum::<usize>() == 0
    });
    spawner.template(LEAN);
}

#[test]
fn what_was_forked_goes_on_when_its_template_ends() {
    let mut spawner = World::new().start(2);
    let template = spawner.template(LEAN);
    let cell = spawner.make();
    let mut forked = spawner.fork(&cell, template).unwrap();
    spawner.send(&Request::EndTemplate { template });
    assert_eq!(spawner.receive().0, Reply::TemplateEnded { template });
    forked.send("print('still here')");
    assert_eq!(forked.output(), "still here\n");
    assert_eq!(exited(&mut spawner, &cell), 0);
    let another = spawner.template(LEAN);
    assert_ne!(another, template);
    // One that dies unasked is told of as well.
    kill(Pid::from_raw(template_pid(&spawner).cast_signed()), Signal::SIGKILL).unwrap();
    assert_eq!(spawner.receive().0, Reply::TemplateEnded { template: another });
}

#[test]
fn a_template_that_hangs_is_killed_and_what_it_was_to_do_fails() {
    let mut spawner = World::new().start(4);
    let template = spawner.template(LEAN);
    let cells = [spawner.make(), spawner.make()];
    kill(Pid::from_raw(template_pid(&spawner).cast_signed()), Signal::SIGSTOP).unwrap();
    let ask = |cell: &Cell| -> Forked {
        let (forked, request) = Forked::asked(cell, template);
        request.send(&spawner);
        forked
    };
    let _ends = [ask(&cells[0]), ask(&cells[1])];
    let mut said = Vec::new();
    while said.len() < 4 {
        said.push(spawner.receive().0);
    }
    // The first was being forked into, and may have something in it; the second is as it was.
    let failed = |cell: &Cell| {
        said.iter().any(|reply| {
            matches!(reply, Reply::Failed { subject: Subject::Cell(it), .. } if *it == cell.number)
        })
    };
    assert!(cells.iter().all(failed), "{said:?}");
    let ended =
        |reply: &Reply| matches!(reply, Reply::Ended { cell, .. } if *cell == cells[0].number);
    assert!(said.iter().any(ended), "{said:?}");
    assert!(said.contains(&Reply::TemplateEnded { template }), "{said:?}");
    let another = spawner.template(LEAN);
    let mut forked = spawner.fork(&cells[1], another).unwrap();
    forked.send("print('in the second')");
    assert_eq!(forked.output(), "in the second\n");
}

#[test]
fn there_are_only_so_many_templates() {
    let mut spawner = World::new().start_quietly(2);
    // None of these is ever ready; they are asked for faster than they end.
    for ticket in 0..200 {
        spawner.send(&Request::Template { ticket, image: IMAGE, index: FAILING });
    }
    let mut refused = 0;
    for _ in 0..200 {
        match spawner.receive().0 {
            Reply::Failed { subject: Subject::Ticket(_), detail } => {
                refused += usize::from(detail.contains("too many templates"));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 0);
    spawner.template(LEAN);
}

/// How long it takes, and what one more costs in memory, are measured and printed. What is promised is
/// which of the two is faster, and that copies share most of what they have.
#[test]
fn a_fork_says_its_first_word_before_an_interpreter_has_started_and_shares_its_memory() {
    const TIMES: usize = 30;
    let world = World::new();
    let mut spawner = world.start(2 * TIMES as u32);
    let template = spawner.template(LEAN);
    let first_word = |output: &mut std::io::PipeReader, began: Instant| {
        wait_for(output.as_fd(), "a word");
        let took = began.elapsed();
        assert_eq!(output.read(&mut [0; 16]).unwrap(), 5);
        took
    };
    let stays = "import time\nprint('here', flush=True)\ntime.sleep(600)\n";
    let (mut forks, mut starts, mut living) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let cell = spawner.make();
        let began = Instant::now();
        let mut forked = spawner.fork(&cell, template).unwrap();
        forked.send(stays);
        forks.push(first_word(&mut forked.output, began));
        let other = spawner.make();
        let began = Instant::now();
        let mut output = other.start(&["/usr/bin/python3", "-I", "-S", "-c", stays]);
        starts.push(first_word(&mut output, began));
        living.push((cell, other, forked, output));
    }
    forks.sort_unstable();
    starts.sort_unstable();
    let (half, most) = (TIMES / 2, TIMES - 1);
    println!("forked: {:?} (most {:?})", forks[half], forks[most]);
    println!("executed: {:?} (most {:?})", starts[half], starts[most]);
    assert!(forks[half] < starts[half], "{forks:?} {starts:?}");

    // Kilobytes that are a process's own share of what it uses.
    let share = |pid: u32| -> u64 {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
        line.trim_start_matches(char::is_whitespace).split(' ').next().unwrap().parse().unwrap()
    };
    let youngest = |cell: &Cell| *processes_of(cell.uid..cell.uid + 1).iter().max().unwrap();
    let of = |pids: Vec<u32>| pids.iter().map(|pid| share(*pid)).sum::<u64>() / TIMES as u64;
    let forked = of(living.iter().map(|(cell, ..)| youngest(cell)).collect());
    let executed = of(living.iter().map(|(_, cell, ..)| youngest(cell)).collect());
    println!("each: {forked} kB forked, {executed} kB executed");
    assert!(forked < executed, "{forked} kB, {executed} kB");
}

/// What copies of one template would all draw, if nobody saw to it.
const DRAW: &str = "import os, random, ssl, tempfile, uuid\n\
    print(os.getpid())\n\
    print(ssl.RAND_bytes(16).hex())\n\
    print(random.random())\n\
    print(uuid.uuid4())\n\
    print(uuid.getnode(), uuid.uuid1().clock_seq)\n\
    print(next(tempfile._get_candidate_names()))\n";

#[test]
fn forks_of_one_template_with_one_process_id_draw_different_numbers_once_they_are_reseeded() {
    let mut spawner = World::new().start(8);
    let template = spawner.template(SEEDED);
    let mut draw = |before: &str| -> Vec<String> {
        let cell = spawner.make();
        let mut forked = spawner.fork(&cell, template).unwrap();
        forked.send(&format!("{before}{DRAW}"));
        let text = forked.output();
        assert_eq!(exited(&mut spawner, &cell), 0, "{text}");
        text.lines().map(str::to_owned).collect()
    };
    let reseed =
        "import sys\nsys.path.insert(0, '/var/runtime')\nimport product\nproduct.reseed()\n";
    let (one, other) = (draw(reseed), draw(reseed));
    assert_eq!((one.len(), &one[0], &other[0]), (6, &"2".to_owned(), &"2".to_owned()));
    for (one, other) in one[1..].iter().zip(&other[1..]) {
        assert_ne!(one, other);
    }
    // The control: what nobody reseeds, all copies draw alike. (OpenSSL looks at its process id, which
    // is never a template's: the maker has that one.)
    let unseeded = "import random\nprint(random.nobodys.random(), hash('x'))\n";
    assert_eq!(draw(unseeded)[0], draw(unseeded)[0]);
}

#[test]
fn nothing_of_the_spawners_environment_is_in_a_fork() {
    // In halves, so that what looks for it is not what is found.
    let look = |before: &str| {
        format!(
            "{before}import os\n\
             wanted = 'CARGO_MANI' + 'FEST_DIR='\n\
             found = [n for n in os.environ if n + '=' == wanted]\n\
             with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb', 0) as memory:\n\
             \x20   for line in maps:\n\
             \x20       start, end = (int(it, 16) for it in line.split()[0].split('-'))\n\
             \x20       if ' rw-p ' not in line: continue\n\
             \x20       memory.seek(start)\n\
             \x20       count = memory.read(end - start).count(wanted.encode())\n\
             \x20       found += [line] * (count > 0 and '[heap]' not in line and '[' in line)\n\
             print(len(found))\n"
        )
    };
    let mut spawner = World::new().start(4);
    let inner = fs::read(format!("/proc/{}/environ", spawner.inner_pid())).unwrap();
    assert!(String::from_utf8_lossy(&inner).contains("CARGO_MANIFEST_DIR="), "the spawner has it");
    let template = spawner.template(LEAN);
    let mut run = |source: &str| {
        let cell = spawner.make();
        let mut forked = spawner.fork(&cell, template).unwrap();
        forked.send(source);
        let text = forked.output();
        exited(&mut spawner, &cell);
        text
    };
    assert_eq!(run(&look("")), "0\n");
    // The control: in its own environment it finds it.
    let own = "import os\nos.environ['CARGO_MANI' + 'FEST_DIR'] = 'x'\n";
    assert_ne!(run(&look(own)), "0\n");
}

#[test]
fn a_fork_that_is_killed_for_memory_is_counted_and_its_template_lives() {
    let mut spawner = World::new().start(4);
    let template = spawner.template(LEAN);
    let cell = spawner.make();
    let mut forked = spawner.fork(&cell, template).unwrap();
    spawner.assign(&cell, LIMITS).unwrap();
    forked.send("x = []\nwhile True: x.append(bytearray(1 << 24))");
    let kills = loop {
        match spawner.receive().0 {
            Reply::Exited { status, .. } => assert_eq!(status, 9),
            Reply::Ended { memory_kills, .. } => break memory_kills,
            other => panic!("{other:?}"),
        }
    };
    assert!(kills > 0);
    let cell = spawner.make();
    let mut forked = spawner.fork(&cell, template).unwrap();
    forked.send("print('here')");
    assert_eq!(forked.output(), "here\n");
}

#[test]
fn a_fork_makes_no_child_of_the_spawners() {
    // clone(2) with CLONE_PARENT and a signal for the end, and then the control: without the flag.
    let source = "
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for flags in (0x8000 | 17, 17):
    pid = libc.syscall(56, flags, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    print(ctypes.get_errno() if pid < 0 else 'made', end=' ')
    if pid > 0:
        os.waitpid(pid, 0)
";
    let mut spawner = World::new().start(4);
    let template = spawner.template(LEAN);
    let cell = spawner.make();
    let mut forked = spawner.fork(&cell, template).unwrap();
    spawner.assign(&cell, LIMITS).unwrap();
    forked.send(source);
    assert_eq!(forked.output(), "1 made ");
    assert_eq!(exited(&mut spawner, &cell), 0);
}

#[test]
fn the_keyring_of_a_fork_counts_against_its_own_id() {
    // `uid: usage …`, of those that have any key.
    let keys = |uid: u32| -> u32 {
        let table = fs::read_to_string("/proc/key-users").unwrap();
        let of = |line: &str| {
            let (id, rest) = line.trim_start().split_once(':')?;
            (id == uid.to_string()).then(|| rest.split_whitespace().next()?.parse().ok())?
        };
        table.lines().find_map(of).unwrap_or(0)
    };
    let mut spawner = World::new().start(4);
    let template = spawner.template(LEAN);
    let owner = spawner.uid_base + 1;
    let before = keys(owner);
    let forks: Vec<(Cell, Forked)> = (0..3)
        .map(|_| {
            let cell = spawner.make();
            let mut forked = spawner.fork(&cell, template).unwrap();
            forked.send("print('in', flush=True)\nimport time\ntime.sleep(600)");
            let mut word = [0; 2];
            forked.output.read_exact(&mut word).unwrap();
            (cell, forked)
        })
        .collect();
    assert_eq!(keys(owner), before, "the kernel lets an id have two hundred");
    for (cell, _) in &forks {
        assert_eq!(keys(cell.uid), 2, "its runner's and its own");
    }
    for (cell, _) in &forks {
        spawner.end(cell);
    }
}
