//! Promises about the store as a whole: what is appended is read, whatever happens in between.

mod damage;
mod limits;
mod pages;

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tempfile::TempDir;

use super::*;

/// 20 November 2026.
const NOW: u64 = 1_795_132_800_000;
const GROUP: &str = "/aws/lambda/echo";
const STREAM: &str = "2026/11/20/[$LATEST]0123456789abcdef0123456789abcdef";

/// A machine whose time stands still and whose disk is as free as a test says.
#[derive(Debug)]
struct Bench {
    now_ms: AtomicU64,
    free_bytes: AtomicU64,
}

/// A store in a directory of its own, which can be closed and opened again.
struct Fixture {
    dir: TempDir,
    limits: Limits,
    bench: Arc<Bench>,
    store: Option<LogStore>,
}

// === impl Bench ===

impl Machine for Bench {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(SeqCst)
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(self.free_bytes.load(SeqCst))
    }
}

// === impl Fixture ===

impl Fixture {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let bench = Bench { now_ms: NOW.into(), free_bytes: u64::MAX.into() };
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut fixture = Self { dir, limits, bench: Arc::new(bench), store: None };
        fixture.open();
        fixture
    }

    fn open(&mut self) {
        let bench: Arc<dyn Machine> = self.bench.clone();
        let store = LogStore::open_on(self.dir.path(), self.limits.clone(), bench);
        self.store = Some(store.expect("the store opens"));
    }

    fn close(&mut self) {
        self.store = None;
    }

    fn reopen(&mut self) {
        self.close();
        self.open();
    }

    /// Forgets what a clean end leaves behind for a faster start.
    fn remove_indexes(&self) {
        for path in self.files("idx") {
            std::fs::remove_file(path).expect("it was there");
        }
    }

    fn store(&self) -> &LogStore {
        self.store.as_ref().expect("the store is open")
    }

    fn append(&self, message: &str) {
        self.append_to(GROUP, STREAM, NOW, message);
    }

    fn append_to(&self, group: &str, stream: &str, timestamp_ms: u64, message: &str) {
        self.store().append(&group.into(), &stream.into(), timestamp_ms, message.as_bytes());
    }

    fn messages(&self) -> Vec<String> {
        self.messages_of(GROUP)
    }

    fn messages_of(&self, group: &str) -> Vec<String> {
        let mut query = Query::of(group);
        let mut all = Vec::new();
        loop {
            let page = self.store().events(&query).expect("the group is there");
            all.extend(texts(&page));
            if !page.more {
                return all;
            }
            query.start = Some(page.next);
        }
    }

    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut dirs = vec![self.dir.path().to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).expect("readable") {
                let path = entry.expect("readable").path();
                if path.is_dir() {
                    dirs.push(path);
                } else if path.extension().is_some_and(|found| found == extension) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    fn bytes_on_disk(&self) -> u64 {
        let files = self.files("log").into_iter().chain(self.files("idx"));
        files.map(|path| std::fs::metadata(path).expect("it is there").len()).sum()
    }
}

fn texts(page: &Page) -> Vec<String> {
    let text = |event: &Event| String::from_utf8(event.message.clone()).expect("it was text");
    page.events.iter().map(text).collect()
}

#[test]
fn what_is_appended_can_be_read_with_all_that_belongs_to_it() {
    let logs = Fixture::new();
    logs.append_to(GROUP, STREAM, NOW - 5, "hello\n");
    logs.store().flush();
    let page = logs.store().events(&Query::of(GROUP)).expect("the group is there");
    let [event] = &page.events[..] else { panic!("one event, not {:?}", page.events) };
    assert_eq!((event.timestamp_ms, event.ingestion_ms), (NOW - 5, NOW));
    assert_eq!((&*event.stream, &event.message[..]), (STREAM, &b"hello\n"[..]));
    assert!(!page.more);
}

#[test]
fn a_line_can_be_read_soon_without_anybody_asking() {
    let logs = Fixture::new();
    logs.append("soon");
    let begun = std::time::Instant::now();
    while logs.store().groups("").is_empty() || logs.messages().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(5), "nothing was written");
        std::thread::yield_now();
    }
}

#[test]
fn messages_are_bytes_and_are_not_altered() {
    let logs = Fixture::new();
    let message: Vec<u8> = (0..=255).collect();
    logs.store().append(&GROUP.into(), &STREAM.into(), NOW, &message);
    logs.store().append(&GROUP.into(), &STREAM.into(), NOW, b"");
    logs.store().flush();
    let page = logs.store().events(&Query::of(GROUP)).expect("the group is there");
    assert_eq!(page.events[0].message, message);
    assert_eq!(page.events[1].message, b"");
}

#[test]
fn groups_are_listed_by_prefix_and_sorted() {
    let logs = Fixture::new();
    for group in ["/aws/lambda/b", "/custom/x", "/aws/lambda/a"] {
        logs.append_to(group, STREAM, NOW, "x");
    }
    logs.store().flush();
    let names = |prefix| -> Vec<_> {
        logs.store().groups(prefix).iter().map(|group| group.name.to_string()).collect()
    };
    assert_eq!(names("/aws/"), ["/aws/lambda/a", "/aws/lambda/b"]);
    assert_eq!(names(""), ["/aws/lambda/a", "/aws/lambda/b", "/custom/x"]);
    let group = &logs.store().groups("/custom")[0];
    assert_eq!(group.created_ms, NOW);
    assert!(group.stored_bytes > 0);
}

#[test]
fn streams_know_their_first_and_last_events() {
    let mut logs = Fixture::new();
    logs.append_to(GROUP, "b", NOW - 10, "1");
    logs.append_to(GROUP, "a", NOW - 9, "2");
    logs.append_to(GROUP, "b", NOW - 8, "3");
    logs.store().flush();
    let expected = [
        Stream { name: "a".into(), first_ms: NOW - 9, last_ms: NOW - 9, last_ingestion_ms: NOW },
        Stream { name: "b".into(), first_ms: NOW - 10, last_ms: NOW - 8, last_ingestion_ms: NOW },
    ];
    let streams = |logs: &Fixture| logs.store().streams(GROUP, "").expect("the group is there");
    assert_eq!(streams(&logs), expected);
    logs.reopen();
    assert_eq!(streams(&logs), expected);
    logs.close();
    logs.remove_indexes();
    logs.open();
    assert_eq!(streams(&logs), expected);
    assert_eq!(logs.store().streams(GROUP, "b").expect("it is there"), expected[1..]);
}

#[test]
fn a_group_nobody_wrote_to_is_an_error() {
    let logs = Fixture::new();
    let err = logs.store().events(&Query::of("/none")).expect_err("there is no such group");
    assert_eq!(err.to_string(), "there is no log group /none");
    assert!(logs.store().streams("/none", "").is_err());
}

#[test]
fn names_that_are_paths_stay_inside_the_directory() {
    let mut logs = Fixture::new();
    let long = "x/".repeat(256);
    let names = ["../../../tmp/evil", "..", "a/../b", "/", &long];
    for group in names {
        logs.append_to(group, "../stream", NOW, group);
    }
    logs.append_to(&"x".repeat(513), STREAM, NOW, "a name no group can have");
    logs.append_to("", STREAM, NOW, "nor this");
    logs.reopen();
    for group in names {
        assert_eq!(logs.messages_of(group), [group]);
    }
    assert_eq!(logs.store().groups("").len(), names.len());
    assert_eq!(logs.files("log").len(), names.len());
}

#[test]
fn a_restart_keeps_everything_and_goes_on() {
    let mut logs = Fixture::new();
    logs.append("1");
    logs.reopen();
    assert_eq!(logs.messages(), ["1"]);
    logs.append("2");
    logs.reopen();
    logs.append("3");
    logs.store().flush();
    assert_eq!(logs.messages(), ["1", "2", "3"]);
    assert_eq!(logs.files("log").len(), 1);
}

#[test]
fn dropping_the_store_writes_what_waits() {
    let mut logs = Fixture::new();
    for number in 0..1_000 {
        logs.append(&number.to_string());
    }
    logs.reopen();
    assert_eq!(logs.messages().len(), 1_000);
}

#[test]
fn readers_and_appenders_do_not_disturb_each_other() {
    let segment_bytes = 16 * 1024;
    let logs = Fixture::with(Limits { segment_bytes, ..Limits::default() });
    const LINES: usize = 2_000;
    logs.append("first");
    logs.store().flush();
    std::thread::scope(|scope| {
        let appenders: Vec<_> = (0..4)
            .map(|thread| {
                let logs = &logs;
                scope.spawn(move || {
                    for number in 0..LINES {
                        logs.append_to(GROUP, &thread.to_string(), NOW, &format!("{number:06}"));
                    }
                })
            })
            .collect();
        let mut query = Query { limit: 100, ..Query::of(GROUP) };
        let mut next = [0; 4];
        let mut done = false;
        loop {
            let page = logs.store().events(&query).expect("the group is there");
            for event in &page.events {
                // Whole records only, every one of them, in the order of each stream.
                if let Ok(thread) = event.stream.parse::<usize>() {
                    assert_eq!(event.message, format!("{:06}", next[thread]).into_bytes());
                    next[thread] += 1;
                }
            }
            query.start = Some(page.next);
            if done && page.events.is_empty() {
                break;
            }
            if !done && appenders.iter().all(|appender| appender.is_finished()) {
                logs.store().flush();
                done = true;
            }
        }
        assert_eq!(next, [LINES; 4]);
    });
    assert!(logs.files("log").len() > 10);
}

#[test]
fn sync_waits_until_the_lines_are_there() {
    let logs = Fixture::new();
    logs.append("kept");
    logs.store().sync();
    assert_eq!(logs.messages(), ["kept"]);
}
