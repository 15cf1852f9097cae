//! A control plane in miniature: starts the program, speaks its protocol, runs things in cells.

pub(crate) mod door;
pub(crate) mod forked;
pub(crate) mod groups;
pub(crate) mod image;
pub(crate) mod programs;
pub(crate) mod rungs;

use std::fs::File;
use std::io::{PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sandbox::failpoint::Point;
use sandbox::sys::socket;
use tempfile::TempDir;
use wire::runner;
use wire::spawner::{CellId, Limits, Reply, Request, Subject, TemplateId, Trees};

use rungs::{Mailbox, Start, Waiting};

pub(crate) use door::Door;
pub(crate) use groups::{control_groups_of, slot_of};
pub(crate) use image::{BROKEN_IMAGE, CODE, IMAGE, LEAN};

/// Nothing here takes a tenth of it; a test that waits longer is stuck. On a machine that is known to
/// be slow, such as an interpreted one, as many times as much as `HEARTH_TEST_PATIENCE` says.
pub(crate) fn patience() -> Duration {
    let times = std::env::var("HEARTH_TEST_PATIENCE").ok();
    Duration::from_secs(20) * times.map_or(1, |times| times.parse().expect("a number"))
}

/// Limits of an ordinary function.
pub(crate) const LIMITS: Limits =
    Limits { memory_mib: 256, tmp_mib: 512, pids: 256, cpu_weight: 100 };

/// Slots from here on are the tests': real daemons take the lowest that are free.
const FIRST_SLOT: u32 = 2_048;

/// Who we are to the machine: spawners of one test, one after the other, are the same instance, in a
/// slot of their own that its state directory says they had before.
pub(crate) struct World {
    state: TempDir,
    /// Instead of the code that all tests share.
    code: Option<PathBuf>,
    /// Most processes of its user that the host allows it.
    processes: Option<u64>,
    /// Control groups of its own that it is started in, instead of ours.
    groups: Vec<PathBuf>,
}

/// A running spawner and our end of its socket.
pub(crate) struct Spawner {
    process: Child,
    mailbox: Option<Arc<Mailbox>>,
    /// What cells are forked from, where that is how programs are started.
    template: Option<TemplateId>,
    pub(crate) uid_base: u32,
    pub(crate) capacity: u32,
}

/// A cell, and what came with it.
pub(crate) struct Cell {
    pub(crate) number: CellId,
    pub(crate) uid: u32,
    pub(crate) runner: OwnedFd,
    pub(crate) listener: OwnedFd,
    pub(crate) pidfd: OwnedFd,
    pub(crate) statistics: OwnedFd,
    pub(crate) freezer: Option<OwnedFd>,
    pub(crate) kills: Option<OwnedFd>,
    /// Where a template was forked into it: what is to run its program.
    pub(crate) waiting: Option<Waiting>,
}

/// What a program in a cell wrote, and how it ended as `wait(2)` says.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) output: String,
    pub(crate) status: u32,
}

// === impl World ===

impl World {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = std::process::id().wrapping_mul(64) + NEXT.fetch_add(1, Ordering::Relaxed);
        Self::at(FIRST_SLOT + number % (sandbox::plan::SLOTS - FIRST_SLOT))
    }

    pub(crate) fn at(slot: u32) -> Self {
        let state = tempfile::Builder::new().prefix("hearth-spawner-").tempdir().unwrap();
        std::fs::write(state.path().join(format!("slot-{slot}")), "test\n").unwrap();
        Self { state, code: None, processes: None, groups: Vec::new() }
    }

    /// One whose code is in a directory of the test's own.
    pub(crate) fn with_code(code: PathBuf) -> Self {
        let mut world = Self::new();
        world.code = Some(code);
        world
    }

    /// One whose host has few processes to give.
    pub(crate) fn with_processes(most: u64) -> Self {
        let mut world = Self::new();
        world.processes = Some(most);
        world
    }

    /// The same slot, said by another state directory, to a spawner in another control group: nothing
    /// but the machine's own locks is in common with whoever else has that slot.
    pub(crate) fn elsewhere(slot: u32) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hearth-test-{}-{number}", std::process::id());
        let ours = groups::own_control_groups().into_iter().map(|group| group.join(&name));
        let groups: Vec<PathBuf> = ours.collect();
        groups.iter().for_each(|group| std::fs::create_dir(group).unwrap());
        let mut world = Self::at(slot);
        world.groups = groups;
        world
    }

    /// Whether it has control groups of its own to be started in: not where there is only version 2.
    pub(crate) fn has_groups(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Its state directory, over which a spawner mounts its root.
    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    pub(crate) fn command(&self, capacity: u32) -> Command {
        self.command_of(&programs::get().spawner, capacity)
    }

    fn command_of(&self, program: &Path, capacity: u32) -> Command {
        let shared = image::shared();
        // The two descriptors travel as standard streams and are put where they belong by the shell:
        // nothing else is inherited, however many tests start programs at once.
        let mut command = match self.processes {
            None => Command::new("/bin/sh"),
            Some(most) => {
                let mut command = Command::new("/usr/bin/prlimit");
                command.arg(format!("--nproc={most}:{most}")).arg("/bin/sh");
                command
            }
        };
        let mut script = String::new();
        for group in &self.groups {
            script.push_str(&format!("echo $$ > {}/cgroup.procs; ", group.display()));
        }
        script.push_str("exec \"$@\" 3<&0 4<&1 0</dev/null 1>/dev/null");
        command.args(["-c", &script, "sh"]);
        command.arg(program);
        command.arg("--images").arg(&shared.images);
        command.arg("--code").arg(self.code.as_ref().unwrap_or(&shared.code));
        command.arg("--state").arg(self.state.path());
        command.args(["--instance", "test", "--runner-fd", "4"]);
        command.arg(format!("--capacity={capacity}"));
        command
    }

    pub(crate) fn start(&self, capacity: u32) -> Spawner {
        let mut spawner = Spawner::spawn(self.command(capacity), Stdio::inherit());
        spawner.hello();
        spawner
    }

    /// The same; what it says, of what it swept for instance, is not for people.
    pub(crate) fn start_quietly(&self, capacity: u32) -> Spawner {
        let mut spawner = Spawner::spawn(self.command(capacity), Stdio::null());
        spawner.hello();
        spawner
    }

    /// Starts the program that stops at a point, perhaps before it says hello. What it says about
    /// being killed is not for people.
    pub(crate) fn start_at(&self, point: Point, capacity: u32) -> (Spawner, Door) {
        let door = Door::new(point);
        let mut command = self.command_of(&programs::get().failpoints, capacity);
        door.arm(&mut command);
        (Spawner::spawn(command, Stdio::null()), door)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for group in &self.groups {
            // Whoever was in it may still be on its way out.
            eventually("its control group is empty", || std::fs::remove_dir(group).is_ok());
        }
    }
}

// === impl Spawner ===

impl Spawner {
    fn spawn(mut command: Command, stderr: Stdio) -> Self {
        let (ours, theirs) = socket::pair().unwrap();
        command.stdin(theirs).stdout(programs::sealed_runner()).stderr(stderr);
        // With the command its copies of the descriptors go.
        let (process, mailbox) = (command.spawn().unwrap(), Some(Mailbox::new(ours)));
        Self { process, mailbox, template: None, uid_base: 0, capacity: 0 }
    }

    /// Hears the first word.
    pub(crate) fn hello(&mut self) {
        match self.receive().0 {
            Reply::Hello { version, uid_base, capacity } => {
                assert_eq!(version, wire::VERSION);
                (self.uid_base, self.capacity) = (uid_base, capacity);
            }
            other => panic!("{other:?} instead of Hello"),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The spawner proper: the first child of the outer process.
    pub(crate) fn inner_pid(&self) -> u32 {
        children_of(self.pid())[0]
    }

    /// The second, made a moment later.
    pub(crate) fn sweeper_pid(&self) -> u32 {
        eventually("there is a sweeper", || children_of(self.pid()).len() == 2);
        children_of(self.pid())[1]
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.mailbox.as_ref().expect("the socket is open").socket()
    }

    pub(crate) fn send(&self, request: &Request) {
        socket::send(self.socket(), &request.encode(), &[], true).unwrap();
    }

    pub(crate) fn receive(&mut self) -> (Reply, Vec<OwnedFd>) {
        let next = self.mailbox.as_ref().expect("the socket is open").receive();
        next.unwrap_or_else(|| panic!("the spawner closed its socket: {:?}", self.process.wait()))
    }

    pub(crate) fn make(&mut self) -> Cell {
        self.send(&Request::Make { ticket: 7, image: IMAGE });
        self.made()
    }

    pub(crate) fn made(&mut self) -> Cell {
        let (reply, descriptors) = self.receive();
        let Reply::Made { cell: number, uid, freezer, kills, .. } = reply else {
            panic!("{reply:?}")
        };
        Cell::of(number, uid, (freezer, kills), descriptors)
    }

    pub(crate) fn assign(&mut self, cell: &Cell, limits: Limits) -> Result<(), String> {
        self.assign_trees(cell, Trees::of(CODE), limits)
    }

    /// The same with more than code, or with other code.
    pub(crate) fn assign_trees(
        &mut self,
        cell: &Cell,
        trees: Trees,
        limits: Limits,
    ) -> Result<(), String> {
        self.send(&Request::Assign { cell: cell.number, trees, limits });
        match self.receive().0 {
            Reply::Assigned { cell: number } if number == cell.number => Ok(()),
            Reply::Failed { subject: Subject::Cell(number), detail } if number == cell.number => {
                Err(detail)
            }
            other => panic!("{other:?}"),
        }
    }

    /// A cell with code in it.
    pub(crate) fn ready(&mut self) -> Cell {
        self.ready_with(LIMITS)
    }

    /// The same with other limits.
    pub(crate) fn ready_with(&mut self, limits: Limits) -> Cell {
        let mut cell = self.make();
        self.settle(&mut cell);
        self.assign(&cell, limits).unwrap();
        cell
    }

    /// Puts the process into an empty cell that is to run its program, where that comes from a template.
    pub(crate) fn settle(&mut self, cell: &mut Cell) {
        if rungs::start() == Start::Executed {
            return;
        }
        let template = self.template.unwrap_or_else(|| self.template(LEAN));
        self.template = Some(template);
        let forked = self.fork(cell, template).unwrap();
        let mailbox = self.mailbox.as_ref().expect("the socket is open");
        cell.waiting = Some(Waiting::new(mailbox, cell.number, forked));
    }

    pub(crate) fn end(&mut self, cell: &Cell) -> (u32, u64) {
        self.send(&Request::End { cell: cell.number });
        self.ended(cell)
    }

    pub(crate) fn ended(&mut self, cell: &Cell) -> (u32, u64) {
        match self.receive().0 {
            Reply::Ended { cell: number, memory_kills, peak_bytes } if number == cell.number => {
                (memory_kills, peak_bytes)
            }
            other => panic!("{other:?} instead of Ended"),
        }
    }

    pub(crate) fn close_socket(&mut self) {
        self.mailbox = None;
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < patience(), "the spawner does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        self.mailbox = None;
        // Closing the socket ends it; a test that killed it before finds it gone here.
        let _ended_before = self.process.wait();
    }
}

// === impl Cell ===

impl Cell {
    /// A cell as the spawner said it.
    pub(crate) fn of(
        number: CellId,
        uid: u32,
        (freezer, kills): (bool, bool),
        mut descriptors: Vec<OwnedFd>,
    ) -> Self {
        let kills = if kills { descriptors.pop() } else { None };
        let freezer = if freezer { descriptors.pop() } else { None };
        let [runner, listener, pidfd, statistics] = descriptors.try_into().unwrap();
        let waiting = None;
        Self { number, uid, runner, listener, pidfd, statistics, freezer, kills, waiting }
    }

    /// Starts a program; what it writes can be read.
    pub(crate) fn start(&self, argv: &[&str]) -> PipeReader {
        self.try_start(argv).unwrap_or_else(|report| panic!("{report:?}"))
    }

    /// The same, where it may be refused.
    pub(crate) fn try_start(&self, argv: &[&str]) -> Result<PipeReader, runner::Report> {
        if let Some(waiting) = &self.waiting {
            return Ok(waiting.run(argv));
        }
        let (output, log) = std::io::pipe().unwrap();
        let bytes = |text: &str| text.as_bytes().to_vec();
        let request = runner::Request::Execute {
            argv: argv.iter().copied().map(bytes).collect(),
            env: ["PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8"].map(bytes).to_vec(),
            cwd: b"/var/task".to_vec(),
        };
        socket::send(self.runner.as_fd(), &request.encode(), &[log.as_fd()], true).unwrap();
        drop(log);
        match self.report() {
            runner::Report::Executed { .. } => Ok(output),
            other => Err(other),
        }
    }

    /// Runs a program and waits until it and everything that could write to its output is gone.
    pub(crate) fn run(&self, argv: &[&str]) -> Ran {
        let mut output = self.start(argv);
        let status = match &self.waiting {
            Some(waiting) => waiting.status(),
            None => match self.report() {
                runner::Report::Exited { status } => status,
                other => panic!("{other:?}"),
            },
        };
        wait_for(output.as_fd(), "output");
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        Ran { output: text, status }
    }

    /// Starts Python source that says "away" and stays.
    pub(crate) fn stay(&self, source: &str) {
        let mut output = self.start(&["/usr/bin/python3", "-I", "-c", source]);
        wait_for(output.as_fd(), "output");
        let mut said = [0; 5];
        output.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"away\n");
    }

    /// Runs Python source and returns what it printed; it must succeed.
    pub(crate) fn python(&self, source: &str) -> String {
        let ran = self.run(&["/usr/bin/python3", "-I", "-c", source]);
        assert_eq!(ran.status, 0, "{}", ran.output);
        ran.output
    }

    /// The runner's number on the host.
    pub(crate) fn pid(&self) -> u32 {
        let number = std::os::fd::AsRawFd::as_raw_fd(&self.pidfd);
        let facts = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
        let pid = facts.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap();
        pid.trim().parse().unwrap()
    }

    pub(crate) fn report(&self) -> runner::Report {
        wait_for(self.runner.as_fd(), "a report of the runner");
        let mut buffer = [0; 64];
        let datagram = socket::receive(self.runner.as_fd(), &mut buffer, 0, true).unwrap();
        assert_ne!(datagram.length, 0, "the runner is gone");
        runner::Report::decode(&buffer[..datagram.length]).unwrap()
    }

    pub(crate) fn statistics(&self) -> String {
        text_of(&self.statistics)
    }

    /// None where nobody counts, and when the cell is gone.
    pub(crate) fn kills(&self) -> Option<String> {
        let mut text = String::new();
        let file = self.kills.as_ref()?.try_clone().unwrap();
        File::from(file).read_to_string(&mut text).ok().map(|_| text)
    }
}

/// Waits until there is something to read, or the end.
pub(crate) fn wait_for(fd: BorrowedFd<'_>, what: &str) {
    let timeout = PollTimeout::try_from(patience()).unwrap();
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    assert_eq!(poll(&mut fds, timeout).unwrap(), 1, "{what} does not come");
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < patience(), "{what}: never");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Children of a process, in the order they were born.
pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Processes of the host whose user is in a range of ids.
pub(crate) fn processes_of(ids: std::ops::Range<u32>) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let Ok(pid) = entry.unwrap().file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
        if uids.split_whitespace().any(|id| ids.contains(&id.parse().unwrap_or(0))) {
            found.push(pid);
        }
    }
    found
}

fn text_of(file: &OwnedFd) -> String {
    let mut text = String::new();
    File::from(file.try_clone().unwrap()).read_to_string(&mut text).unwrap();
    text
}
