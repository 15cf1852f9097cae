//! How cells are kept ready, given out and given up.

use std::collections::HashSet;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use wire::spawner::{CellId, MAX_MESSAGE, Reply, Request, Subject};

use images::manifest::{Kind, Spare, Start};
use images::{Catalogue, Manifest};
use model::Digest;

use super::shelves::Shelves;
use super::{Stock, Stocking, Taken, TemplateSharing};
use crate::phases::Rung;
use crate::socket::Datagrams;
use crate::spawner::{Cell, Spawner, SpawnerError};

const A: [u8; 32] = [1; 32];
const B: [u8; 32] = [2; 32];

/// What a spawner that is played has done.
#[derive(Debug, Default)]
struct Played {
    living: HashSet<CellId>,
    most: usize,
    made: u32,
    /// How many `Make`s are refused from now on.
    refuse: u32,
}

struct Rig {
    stock: Arc<Stock>,
    played: Arc<Mutex<Played>>,
    spawner: Arc<Spawner>,
    playing: tokio::task::JoinHandle<()>,
}

impl Rig {
    async fn new(images: &[[u8; 32]], target: usize, capacity: u32) -> Self {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .expect("a pair");
        let played = Arc::new(Mutex::new(Played::default()));
        let socket = Datagrams::new(theirs).expect("a socket");
        let playing = tokio::spawn(play(socket, Arc::clone(&played), capacity));
        let (spawner, capacity) = Spawner::connect(ours).await.expect("connected");
        let stocking = stocking(target, capacity);
        let stock = Stock::open(Arc::clone(&spawner), &catalogue(images), stocking);
        Self { stock, played, spawner, playing }
    }

    async fn take(&self, image: [u8; 32]) -> Result<(Cell, Rung), SpawnerError> {
        take(&self.stock, image).await
    }

    fn made(&self) -> u32 {
        self.played.lock().expect("no panic").made
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..5_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("not within ten seconds: {what}");
    }
}

/// So many empty cells and no spares.
fn stocking(cells: usize, capacity: u32) -> Stocking {
    Stocking {
        cells,
        spares: 0,
        spare_memory: None,
        reserve: 0,
        ceiling: None,
        estimate: 1 << 20,
        capacity,
        sharing: TemplateSharing::Image,
        templates: 2,
    }
}

/// A cell; there are no spares here.
async fn take(stock: &Stock, image: [u8; 32]) -> Result<(Cell, Rung), SpawnerError> {
    match stock.take(image, None, true).await? {
        Taken::Cell(cell, rung) => Ok((cell, rung)),
        Taken::Spare(spare) => panic!("{spare:?}"),
    }
}

/// Images that each serve a runtime of their own.
fn catalogue(images: &[[u8; 32]]) -> Catalogue {
    let manifest = |image: &[u8; 32]| Manifest {
        digest: Digest(*image),
        recipe: "none".to_owned(),
        runtimes: [(format!("python3.{}", image[0]), Start::executed(Kind::Python, vec![]))].into(),
        files: 0,
        bytes: 0,
        left_out: vec![],
    };
    let manifests: Vec<Manifest> = images.iter().map(manifest).collect();
    Catalogue::new(&manifests, &[].into()).expect("a catalogue")
}

async fn play(socket: Datagrams, played: Arc<Mutex<Played>>, capacity: u32) {
    let hello = Reply::Hello { version: wire::VERSION, uid_base: 0, capacity };
    socket.send(&hello.encode(), &[]).await.expect("sent");
    let mut buffer = [0; MAX_MESSAGE];
    while let Ok(got) = socket.receive(&mut buffer).await {
        if got.length == 0 {
            return;
        }
        match Request::decode(&buffer[..got.length]).expect("a request") {
            Request::Make { ticket, .. } => {
                let reply = {
                    let mut played = played.lock().expect("no panic");
                    if played.refuse > 0 {
                        played.refuse -= 1;
                        let detail = "refused".to_owned();
                        Reply::Failed { subject: Subject::Ticket(ticket), detail }
                    } else {
                        played.made += 1;
                        let cell = CellId(played.made);
                        played.living.insert(cell);
                        played.most = played.most.max(played.living.len());
                        Reply::Made { ticket, cell, uid: 0, freezer: false, kills: false }
                    }
                };
                let files: Vec<OwnedFd> = (0..4)
                    .map(|_| std::fs::File::open("/dev/null").expect("a file").into())
                    .collect();
                // The runner's socket is watched, which a file cannot be.
                let pair = rustix::net::socketpair(
                    AddressFamily::UNIX,
                    SocketType::SEQPACKET,
                    SocketFlags::CLOEXEC,
                    None,
                )
                .expect("a pair");
                let mut fds: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
                fds[0] = pair.0.as_fd();
                let fds = if matches!(reply, Reply::Made { .. }) { &fds[..] } else { &[] };
                socket.send(&reply.encode(), fds).await.expect("sent");
            }
            Request::End { cell } => {
                played.lock().expect("no panic").living.remove(&cell);
                let reply = Reply::Ended { cell, memory_kills: 0, peak_bytes: 0 };
                socket.send(&reply.encode(), &[]).await.expect("sent");
            }
            other => panic!("{other:?}: nobody asks for that here"),
        }
    }
}

#[tokio::test]
async fn as_many_as_wanted_stand_ready_of_each_image_and_no_more() {
    let rig = Rig::new(&[A, B], 3, 100).await;
    rig.until("six stand ready", |rig| rig.stock.ready() == 6).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(rig.made(), 6);
    let (_, rung) = rig.take(A).await.expect("a cell");
    assert_eq!(rung, Rung::Exec);
    rig.until("the sixth is made again", |rig| rig.stock.ready() == 6).await;
}

#[tokio::test]
async fn where_none_stands_ready_one_is_made_for_each_who_waits() {
    let rig = Rig::new(&[A], 0, 100).await;
    let mut tasks = Vec::new();
    for _ in 0..40 {
        let stock = Arc::clone(&rig.stock);
        tasks.push(tokio::spawn(async move { take(&stock, A).await.expect("a cell") }));
    }
    let mut seen = HashSet::new();
    for task in tasks {
        let (cell, rung) = task.await.expect("no panic");
        assert_eq!(rung, Rung::Make);
        assert!(seen.insert(cell.id), "one cell for one");
    }
    assert_eq!(rig.made(), 40);
}

#[tokio::test]
async fn what_nobody_waits_for_takes_nothing_that_stands_ready_while_there_may_be_more() {
    let rig = Rig::new(&[A], 2, 4).await;
    rig.until("two stand ready", |rig| rig.stock.ready() == 2).await;
    for _ in 0..2 {
        let taken = rig.stock.take(A, None, false).await.expect("a cell");
        assert!(matches!(taken, Taken::Cell(_, Rung::Make)), "{taken:?}");
        assert_eq!((rig.stock.ready(), rig.take(A).await.expect("a cell").1), (2, Rung::Exec));
        rig.stock.returned();
        rig.until("two stand ready", |rig| rig.stock.ready() == 2).await;
    }
    // All that there can be live; the last of them is better used than ended for another.
    let taken = rig.stock.take(A, None, false).await.expect("a cell");
    assert!(matches!(taken, Taken::Cell(_, Rung::Exec)), "{taken:?}");
}

#[tokio::test]
async fn a_cell_goes_to_who_is_waited_for_before_all_others() {
    let rig = Rig::new(&[A], 0, 4).await;
    let mut shelves = Shelves::new([A], [], stocking(0, 4));
    let now = Duration::ZERO;
    let mut wait = |waited_for| shelves.take(now, A, None, waited_for).expect_err("none is ready");
    let (mut patient, mut called) = (wait(false), wait(true));
    for first in [true, false] {
        let (cell, _) = rig.take(A).await.expect("a cell");
        shelves.made(now, A, false, Ok(cell));
        assert!(first || patient.try_recv().is_ok_and(|made| made.is_ok()));
        assert!(!first || called.try_recv().is_ok_and(|made| made.is_ok()));
    }
}

#[tokio::test]
async fn no_more_cells_live_than_the_spawner_can_keep() {
    let rig = Rig::new(&[A], 2, 4).await;
    let mut tasks = Vec::new();
    for _ in 0..12 {
        let (stock, spawner) = (Arc::clone(&rig.stock), Arc::clone(&rig.spawner));
        tasks.push(tokio::spawn(async move {
            let (cell, _) = take(&stock, A).await.expect("a cell");
            tokio::time::sleep(Duration::from_millis(2)).await;
            spawner.end(cell.id).await.expect("asked");
            cell.ended.await.expect("ended");
            stock.returned();
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    assert!(rig.played.lock().expect("no panic").most <= 4);
}

#[tokio::test]
async fn ready_cells_of_an_image_make_room_for_one_that_is_wanted() {
    let rig = Rig::new(&[A], 2, 2).await;
    rig.until("both stand ready", |rig| rig.stock.ready() == 2).await;
    rig.take(B).await.expect("a cell of the other image");
    assert!(rig.played.lock().expect("no panic").most <= 2);
}

#[tokio::test]
async fn a_cell_that_cannot_be_made_is_an_error_for_one_who_waits() {
    let rig = Rig::new(&[A], 0, 10).await;
    rig.played.lock().expect("no panic").refuse = 1;
    let refused = rig.take(A).await.expect_err("refused");
    assert!(matches!(refused, SpawnerError::NoRoom { .. }));
    rig.take(A).await.expect("the next one");
}

#[tokio::test]
async fn cells_made_for_those_who_gave_up_are_kept_as_far_as_wanted_and_else_given_up() {
    let rig = Rig::new(&[A], 1, 10).await;
    for round in 0..60 {
        let patience = Duration::from_micros(round % 7 * 300);
        // Some get a cell and give it back, some give up at every point on the way.
        if let Ok(taken) = tokio::time::timeout(patience, rig.take(A)).await {
            let (cell, _) = taken.expect("a cell");
            rig.stock.discard(cell).await;
        }
    }
    rig.until("one stands ready and no other lives", |rig| {
        rig.stock.ready() == 1 && rig.played.lock().expect("no panic").living.len() == 1
    })
    .await;
}

#[tokio::test]
async fn whoever_waits_when_the_spawner_goes_learns_it() {
    let rig = Rig::new(&[A], 0, 0).await;
    let stock = Arc::clone(&rig.stock);
    let waiting = tokio::spawn(async move { take(&stock, A).await.map(drop) });
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(!waiting.is_finished(), "there is no room for one");
    rig.playing.abort();
    assert_eq!(waiting.await.expect("no panic"), Err(SpawnerError::Closed));
    assert!(rig.take(A).await.is_err());
}

#[tokio::test]
async fn functions_that_a_second_template_suits_better_have_spares_of_their_own() {
    let rig = Rig::new(&[], 0, 10).await;
    let how = Spare { argv: vec!["/python".to_owned()], env: vec![] };
    let start = |template, heavy| Start {
        spare: Some(how.clone()),
        template,
        heavy,
        ..Start::executed(Kind::Python, vec![])
    };
    let runtimes = [
        ("python3.11".to_owned(), start(Some(0), Some(1))),
        ("python3.12".to_owned(), start(Some(2), None)),
        ("nodejs22.x".to_owned(), start(None, None)),
    ];
    let manifest = Manifest {
        digest: Digest(A),
        recipe: "none".to_owned(),
        runtimes: runtimes.into(),
        files: 0,
        bytes: 0,
        left_out: vec![],
    };
    let images = Catalogue::new([&manifest], &[].into()).expect("a catalogue");
    let stock = Stock::open(Arc::clone(&rig.spawner), &images, stocking(0, 10));
    let template =
        |runtime, wanted| stock.breed(runtime, wanted).map(|breed| stock.breeds[breed.0].template);
    assert_eq!(template("python3.11", Some(0)), Some(Some(0)));
    assert_eq!(template("python3.11", Some(1)), Some(Some(1)));
    assert_eq!(template("python3.12", Some(2)), Some(Some(2)));
    assert_eq!(template("python3.12", None), Some(Some(2)), "what suits everybody");
    assert_eq!(template("nodejs22.x", None), Some(None));
    assert_eq!(template("provided.al2023", None), None);
}
