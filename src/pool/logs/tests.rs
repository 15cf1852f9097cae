//! Promises about the output of an instance that is being ended.

use std::io::Write as _;

use model::{Digest, FunctionId, FunctionName, Generation, Version};

use super::*;

/// What was written.
#[derive(Default)]
struct Written(Mutex<String>);

impl LogSink for Written {
    fn append(&self, _group: &Arc<str>, _stream: &Arc<str>, _at_ms: u64, message: &[u8]) {
        self.0.lock().expect("no panic").push_str(&String::from_utf8_lossy(message));
    }
}

fn runnable() -> Runnable {
    Runnable {
        function: FunctionId(1),
        generation: Generation(1),
        name: FunctionName::parse("echo").expect("a name"),
        version: Version::Latest,
        runtime: "provided.al2023".to_owned(),
        handler: String::new(),
        code: Digest([7; 32]),
        layers: None,
        memory_mib: 128,
        tmp_mib: 512,
        timeout: Duration::from_secs(3),
        environment: vec![],
        log_group: "/aws/lambda/echo".to_owned(),
        reserved_concurrency: None,
        concurrency: 2,
    }
}

#[tokio::test]
async fn what_is_printed_after_the_last_end_of_an_instance_that_is_being_ended_is_nobodys() {
    let (pipe, output) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).expect("a pipe");
    let mut output = std::fs::File::from(output);
    let mut print = |line: &str| output.write_all(line.as_bytes()).expect("there is room");
    let budget = Arc::new(Budget::new(LogBudget::default()));
    let journal = Journal::new(&runnable(), "stream".into(), pipe, budget).expect("a journal");
    let now = Duration::ZERO;
    let ids = [RequestId::random(), RequestId::random()];
    let end = |request_id| End {
        request_id,
        duration: now,
        init: None,
        restored: false,
        status: None,
        trace: None,
    };
    for id in ids {
        journal.start(id, false, 0);
    }
    journal.end(end(ids[0]), now, 0);
    print("before\n");
    journal.seal(now, 0);
    print("while an event is open\n");
    journal.end(end(ids[1]), now, 0);
    print("its own last words\n");
    journal.drain_last(now, 0);
    let written = Written::default();
    for piece in journal.take().expect("lines").pieces() {
        journal.write(&written, &piece, 0);
    }
    let written = written.0.into_inner().expect("no panic");
    let words = written.lines().map(|line| line.split(' ').next().unwrap_or_default());
    let expected = ["START", "START", "END", "REPORT", "before", "while", "END", "REPORT"];
    assert_eq!(words.filter(|word| !word.is_empty()).collect::<Vec<_>>(), expected);
}
