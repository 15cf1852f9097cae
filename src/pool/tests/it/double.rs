//! A spawner, its cells and the programs in them, played by threads of the test.
//!
//! It speaks the real protocols over real sockets and pipes, so that the whole pool is under test; only
//! the sandbox is missing. What a program does is chosen by the function's handler, as `name` or
//! `name:argument`; see [`programs`](crate::programs).

#[path = "double/templates.rs"]
mod templates;

use std::collections::HashMap;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use wire::runner::{Report, Request as Execute};
use wire::spawner::{CellId, Limits, Reply, Request, Subject};

use templates::Templates;

/// How a double behaves; a test may change it while it runs.
#[derive(Debug, Default)]
pub struct Behaviour {
    /// Answer every `Make` with a failure.
    pub refuse_make: AtomicBool,
    /// Never answer a `Make`.
    pub ignore_make: AtomicBool,
    /// Answer every `Assign` with a failure.
    pub refuse_assign: AtomicBool,
    /// Say of every `Assign` that the machine is short of something.
    pub short_of_files: AtomicBool,
    /// Answer `Execute` with this errno, if it is not 0.
    pub refuse_execute: AtomicU32,
    /// Execute nothing that is to be a spare.
    pub refuse_spares: AtomicBool,
    /// Spares print a line while they start.
    pub spares_print: AtomicBool,
    /// Spares end as soon as something is written to them, unread.
    pub spares_are_deaf: AtomicBool,
    /// Spares end without a word when they are to be ready.
    pub spares_do_not_warm: AtomicBool,
    /// Start no template.
    pub refuse_templates: AtomicBool,
    /// Never answer a `Fork`.
    pub templates_hang: AtomicBool,
    /// Answer every `Fork` with a failure.
    pub forks_fail: AtomicBool,
    /// Say these many memory kills in every last word.
    pub memory_kills: AtomicU32,
}

/// The spawner's side, as a test sees it.
pub struct Double {
    pub behaviour: Arc<Behaviour>,
    shared: Arc<Shared>,
}

struct Shared {
    control: OwnedFd,
    behaviour: Arc<Behaviour>,
    cells: Mutex<HashMap<CellId, Arc<CellState>>>,
    made: AtomicU32,
    ended: AtomicU32,
    assigned: Mutex<Vec<Limits>>,
    hung_up: AtomicBool,
    templates: Mutex<Templates>,
}

/// One cell from inside.
pub struct CellState {
    /// The runner's end of its socket; `None` once the cell is gone.
    runner: Mutex<Option<OwnedFd>>,
    /// The function's end of its link, to be shut when the cell ends.
    link: Mutex<Option<UnixStream>>,
    killed: Mutex<bool>,
    kill: Condvar,
    memory: File,
    kills: File,
    /// What was written into its freezer, from the first `1`.
    freezer: File,
}

/// What a program is given.
pub struct Guest {
    /// Its end of the link, if it has one.
    pub link: Option<UnixStream>,
    /// Its standard output.
    pub out: File,
    /// Its environment.
    pub env: HashMap<String, String>,
    /// How it was called.
    pub argv: Vec<String>,
    pub behaviour: Arc<Behaviour>,
    cell: Arc<CellState>,
}

/// What a program does; returns its wait status.
pub type Program = fn(Guest) -> u32;

// === impl Double ===

impl Double {
    /// A spawner that can keep `capacity` cells; beside it the control plane's end.
    pub fn start(capacity: u32, program: Program) -> (Self, OwnedFd) {
        let (ours, theirs) = seqpacket();
        let behaviour = Arc::new(Behaviour::default());
        let shared = Arc::new(Shared {
            control: ours,
            behaviour: Arc::clone(&behaviour),
            cells: Mutex::default(),
            made: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            assigned: Mutex::default(),
            hung_up: AtomicBool::new(false),
            templates: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || serving.serve(capacity, program));
        (Self { behaviour, shared }, theirs)
    }

    /// Cells made so far.
    pub fn made(&self) -> u32 {
        self.shared.made.load(Ordering::SeqCst)
    }

    /// Cells that live.
    pub fn living(&self) -> u32 {
        self.made() - self.shared.ended.load(Ordering::SeqCst)
    }

    /// What was written into the freezer of every living cell, one after the other.
    pub fn freezers(&self) -> Vec<String> {
        let cells = self.shared.cells.lock().unwrap();
        cells.values().map(|cell| cell.freezer()).collect()
    }

    /// The limits of every assignment so far.
    pub fn assigned(&self) -> Vec<Limits> {
        self.shared.assigned.lock().unwrap().clone()
    }

    /// Ends the functions' processes in all cells that have one, and leaves the cells.
    pub fn kill_programs(&self) {
        for cell in self.shared.cells.lock().unwrap().values() {
            let running = cell.link.lock().unwrap().is_some();
            if running {
                cell.kill_program();
            }
        }
    }

    /// Ends the functions' processes in all cells, whether they have a link or not.
    pub fn crash(&self) {
        self.shared.cells.lock().unwrap().values().for_each(|cell| cell.kill_program());
    }

    /// Whether the pool has ended the conversation.
    pub fn hung_up(&self) -> bool {
        self.shared.hung_up.load(Ordering::SeqCst)
    }

    /// Ends as a spawner that was killed does: the socket closes and everything dies.
    pub fn die(&self) {
        for cell in self.shared.cells.lock().unwrap().drain() {
            cell.1.kill();
        }
        // The worst order there is: everything is dead before the socket says so.
        std::thread::sleep(Duration::from_millis(20));
        let _gone = rustix::net::shutdown(&self.shared.control, rustix::net::Shutdown::Both);
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.die();
    }
}

// === impl Shared ===

impl Shared {
    fn serve(self: Arc<Self>, capacity: u32, program: Program) {
        self.say(&Reply::Hello { version: wire::VERSION, uid_base: 0, capacity }, &[]);
        let mut buffer = [0; wire::spawner::MAX_MESSAGE];
        while let Ok((length, fds)) = receive(self.control.as_fd(), &mut buffer) {
            if length == 0 {
                self.hung_up.store(true, Ordering::SeqCst);
                return;
            }
            match Request::decode(&buffer[..length]).expect("a request of the pool's") {
                Request::Make { ticket, .. } => self.make(ticket, capacity, program),
                Request::Assign { cell, limits, .. } => {
                    self.assigned.lock().unwrap().push(limits);
                    if self.behaviour.short_of_files.load(Ordering::SeqCst) {
                        self.say(&Reply::Short { cell, detail: "EMFILE".to_owned() }, &[]);
                    } else if self.behaviour.refuse_assign.load(Ordering::SeqCst) {
                        let detail = "no such code".to_owned();
                        self.say(&Reply::Failed { subject: Subject::Cell(cell), detail }, &[]);
                    } else {
                        self.say(&Reply::Assigned { cell }, &[]);
                    }
                }
                Request::End { cell } => self.end(cell),
                Request::Template { ticket, .. } => self.template(ticket),
                Request::EndTemplate { template } => self.end_template(template),
                Request::Fork { cell, template } => self.fork(cell, template, fds, program),
            }
        }
    }

    fn make(self: &Arc<Self>, ticket: u64, capacity: u32, program: Program) {
        if self.behaviour.ignore_make.load(Ordering::SeqCst) {
            return;
        }
        let living = self.made.load(Ordering::SeqCst) - self.ended.load(Ordering::SeqCst);
        let detail = if self.behaviour.refuse_make.load(Ordering::SeqCst) {
            "out of order"
        } else if living >= capacity {
            "full"
        } else {
            ""
        };
        if !detail.is_empty() {
            let (subject, detail) = (Subject::Ticket(ticket), detail.to_owned());
            return self.say(&Reply::Failed { subject, detail }, &[]);
        }
        let id = CellId(self.made.fetch_add(1, Ordering::SeqCst) + 1);
        let (runner, theirs) = seqpacket();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let pidfd = File::open("/dev/null").expect("a descriptor");
        let mut memory = tempfile::tempfile().expect("a file");
        memory.write_all(b"anon 1048576\n").expect("written");
        let mut kills = tempfile::tempfile().expect("a file");
        kills.write_all(b"oom_kill_disable 0\nunder_oom 0\noom_kill 0\n").expect("written");
        let freezer = tempfile::tempfile().expect("a file");
        let cell = Arc::new(CellState {
            runner: Mutex::new(Some(runner.try_clone().expect("a descriptor"))),
            link: Mutex::default(),
            killed: Mutex::default(),
            kill: Condvar::new(),
            memory: memory.try_clone().expect("a descriptor"),
            kills: kills.try_clone().expect("a descriptor"),
            freezer: freezer.try_clone().expect("a descriptor"),
        });
        self.cells.lock().unwrap().insert(id, Arc::clone(&cell));
        let behaviour = Arc::clone(&self.behaviour);
        std::thread::spawn(move || run(&runner, &cell, &behaviour, program));
        let fds = [
            theirs.as_fd(),
            listener.as_fd(),
            pidfd.as_fd(),
            memory.as_fd(),
            freezer.as_fd(),
            kills.as_fd(),
        ];
        self.say(&Reply::Made { ticket, cell: id, uid: 0, freezer: true, kills: true }, &fds);
    }

    fn end(&self, id: CellId) {
        let Some(cell) = self.cells.lock().unwrap().remove(&id) else { return };
        cell.kill();
        self.ended.fetch_add(1, Ordering::SeqCst);
        let memory_kills = self.behaviour.memory_kills.load(Ordering::SeqCst);
        self.say(&Reply::Ended { cell: id, memory_kills, peak_bytes: 0 }, &[]);
    }

    fn say(&self, reply: &Reply, fds: &[BorrowedFd<'_>]) {
        send(self.control.as_fd(), &reply.encode(), fds);
    }
}

// === impl CellState ===

impl CellState {
    fn freezer(&self) -> String {
        let mut bytes = [0; 64];
        let count = self.freezer.read_at(&mut bytes, 0).expect("our own file");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    fn kill_program(&self) {
        *self.killed.lock().unwrap() = true;
        self.kill.notify_all();
        if let Some(link) = self.link.lock().unwrap().take() {
            let _gone = link.shutdown(std::net::Shutdown::Both);
        }
    }

    fn kill(&self) {
        self.kill_program();
        if let Some(runner) = self.runner.lock().unwrap().take() {
            let _gone = rustix::net::shutdown(&runner, rustix::net::Shutdown::Both);
        }
    }
}

// === impl Guest ===

impl Guest {
    /// The handler's name and its argument.
    pub fn handler(&self) -> (String, String) {
        let handler = self.env.get("_HANDLER").cloned().unwrap_or_default();
        let (name, argument) = handler.split_once(':').unwrap_or((&handler, ""));
        (name.to_owned(), argument.to_owned())
    }

    /// Blocks until the sandbox is killed.
    pub fn forever(&self) {
        let mut killed = self.cell.killed.lock().unwrap();
        while !*killed {
            killed = self.cell.kill.wait(killed).unwrap();
        }
    }

    /// Blocks for a while, or until the sandbox is killed; whether it was.
    pub fn sleep(&self, duration: Duration) -> bool {
        let killed = self.cell.killed.lock().unwrap();
        let waited = self.cell.kill.wait_timeout_while(killed, duration, |killed| !*killed);
        *waited.unwrap().0
    }

    /// Waits for something to read and ends without having read it.
    pub fn end_unread(&self, link: UnixStream) {
        let mut byte = [0; 1];
        let _seen = rustix::net::recv(&link, &mut byte[..], RecvFlags::PEEK);
        // Not shut, as a killed sandbox's is, but closed, as a process's is that ends.
        drop((self.cell.link.lock().unwrap().take(), link));
    }

    /// Whether the sandbox was killed.
    pub fn killed(&self) -> bool {
        *self.cell.killed.lock().unwrap()
    }

    /// Pretends to use memory, bytes.
    pub fn use_memory(&self, bytes: u64) {
        use std::os::unix::fs::FileExt as _;
        let text = format!("anon {bytes:<12}\n");
        self.cell.memory.write_all_at(text.as_bytes(), 0).expect("written");
    }

    /// Pretends that the kernel has killed a child of it for memory.
    pub fn lose_a_child(&self) {
        use std::os::unix::fs::FileExt as _;
        let text = b"oom_kill_disable 0\nunder_oom 0\noom_kill 1\n";
        self.cell.kills.write_all_at(text, 0).expect("written");
    }

    /// Prints.
    pub fn print(&mut self, text: &str) {
        // A pipe nobody reads any more is what a killed sandbox finds.
        let _gone = self.out.write_all(text.as_bytes());
    }
}

/// PID 1 of one cell.
fn run(runner: &OwnedFd, cell: &Arc<CellState>, behaviour: &Arc<Behaviour>, program: Program) {
    let mut buffer = vec![0; wire::runner::MAX_MESSAGE];
    let Ok((length, fds)) = receive(runner.as_fd(), &mut buffer) else { return };
    if length == 0 {
        return;
    }
    let errno = behaviour.refuse_execute.load(Ordering::SeqCst);
    if errno != 0 {
        return send(runner.as_fd(), &Report::Refused { errno }.encode(), &[]);
    }
    let Ok(Execute::Execute { argv, env, cwd }) = Execute::decode(&buffer[..length]) else {
        panic!("not a program to execute");
    };
    let spare = argv.last().is_some_and(|last| last == b"spare");
    if spare && behaviour.refuse_spares.load(Ordering::SeqCst) {
        return send(runner.as_fd(), &Report::Refused { errno: 12 }.encode(), &[]);
    }
    let compiler = argv.last().is_some_and(|last| last == b"compile");
    assert_eq!(cwd, if spare || compiler { &b"/"[..] } else { b"/var/task" });
    let mut fds = fds.into_iter();
    let out = File::from(fds.next().expect("the log pipe"));
    let link = fds.next().map(UnixStream::from);
    *cell.link.lock().unwrap() = link.as_ref().map(|link| link.try_clone().expect("a descriptor"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let env = variables(env.iter().map(Vec::as_slice));
    let argv = argv.into_iter().map(text).collect();
    send(runner.as_fd(), &Report::Executed { pid: 2 }.encode(), &[]);
    let status = program(Guest {
        link,
        out,
        env,
        argv,
        behaviour: Arc::clone(behaviour),
        cell: Arc::clone(cell),
    });
    // The program's descriptors are closed with it; the one kept for killing must be, too.
    if let Some(link) = cell.link.lock().unwrap().take() {
        let _gone = link.shutdown(std::net::Shutdown::Both);
    }
    send(runner.as_fd(), &Report::Exited { status }.encode(), &[]);
}

/// `NAME=value` by name.
pub fn variables<'a>(env: impl IntoIterator<Item = &'a [u8]>) -> HashMap<String, String> {
    let split = |entry: &[u8]| {
        let entry = String::from_utf8(entry.to_vec()).expect("text");
        let (name, value) = entry.split_once('=').expect("NAME=value");
        (name.to_owned(), value.to_owned())
    };
    env.into_iter().map(split).collect()
}

fn seqpacket() -> (OwnedFd, OwnedFd) {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .expect("a socket pair")
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(6))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(fds)));
    // The other end may be gone by now, in most tests at their end.
    let bytes = [IoSlice::new(bytes)];
    let _gone = rustix::net::sendmsg(socket, &bytes, &mut control, SendFlags::NOSIGNAL);
}

fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> rustix::io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(6))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let mut bytes = [IoSliceMut::new(buffer)];
    let got = rustix::net::recvmsg(socket, &mut bytes, &mut control, flags)?;
    let fds = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect();
    Ok((got.bytes, fds))
}
