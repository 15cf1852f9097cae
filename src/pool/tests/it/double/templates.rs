//! The double's templates: names to fork from, and the programs that are forked.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wire::spawner::{CellId, Reply, Subject, TemplateId};

use super::{Double, Guest, Program, Shared, variables};

/// What there is of them.
#[derive(Debug, Default)]
pub struct Templates {
    alive: BTreeSet<TemplateId>,
    started: u32,
    forked: u32,
}

// === impl Double ===

impl Double {
    /// Templates started so far, and those alive.
    pub fn templates(&self) -> (u32, usize) {
        let templates = self.shared.templates.lock().unwrap();
        (templates.started, templates.alive.len())
    }

    /// Forks so far.
    pub fn forked(&self) -> u32 {
        self.shared.templates.lock().unwrap().forked
    }

    /// Ends all templates, as a kill does.
    pub fn kill_templates(&self) {
        let alive = std::mem::take(&mut self.shared.templates.lock().unwrap().alive);
        for template in alive {
            self.shared.say(&Reply::TemplateEnded { template }, &[]);
        }
    }
}

// === impl Shared ===

impl Shared {
    pub(super) fn template(&self, ticket: u64) {
        if self.behaviour.refuse_templates.load(Ordering::SeqCst) {
            let detail = "no template".to_owned();
            return self.say(&Reply::Failed { subject: Subject::Ticket(ticket), detail }, &[]);
        }
        let template = {
            let mut templates = self.templates.lock().unwrap();
            templates.started += 1;
            let template = TemplateId(templates.started);
            templates.alive.insert(template);
            template
        };
        self.say(&Reply::TemplateReady { ticket, template }, &[]);
    }

    pub(super) fn end_template(&self, template: TemplateId) {
        let was = self.templates.lock().unwrap().alive.remove(&template);
        let reply = match was {
            true => Reply::TemplateEnded { template },
            false => Reply::Failed {
                subject: Subject::Template(template),
                detail: "no such template".to_owned(),
            },
        };
        self.say(&reply, &[]);
    }

    pub(super) fn fork(
        self: &Arc<Self>,
        id: CellId,
        template: TemplateId,
        fds: Vec<OwnedFd>,
        program: Program,
    ) {
        if self.behaviour.templates_hang.load(Ordering::SeqCst) {
            return;
        }
        let alive = self.templates.lock().unwrap().alive.contains(&template);
        let cell = self.cells.lock().unwrap().get(&id).map(Arc::clone);
        let (Some(cell), true, false) =
            (cell, alive, self.behaviour.forks_fail.load(Ordering::SeqCst))
        else {
            let detail = "not forked".to_owned();
            return self.say(&Reply::Failed { subject: Subject::Cell(id), detail }, &[]);
        };
        self.templates.lock().unwrap().forked += 1;
        let [output, link] = <[OwnedFd; 2]>::try_from(fds).expect("output and link");
        let link = UnixStream::from(link);
        *cell.link.lock().unwrap() = Some(link.try_clone().expect("a descriptor"));
        self.say(&Reply::Forked { cell: id }, &[]);
        let shared = Arc::clone(self);
        std::thread::spawn(move || {
            let argv = ["/usr/bin/python3.11", "/var/runtime/bootstrap.py", "spare"];
            let status = program(Guest {
                link: Some(link),
                out: File::from(output),
                env: variables([&b"TZ=:UTC"[..]]),
                argv: argv.map(str::to_owned).to_vec(),
                behaviour: Arc::clone(&shared.behaviour),
                cell: Arc::clone(&cell),
            });
            if let Some(link) = cell.link.lock().unwrap().take() {
                let _gone = link.shutdown(std::net::Shutdown::Both);
            }
            // Of a cell that was ended everything has been said.
            if shared.cells.lock().unwrap().contains_key(&id) {
                shared.say(&Reply::Exited { cell: id, status }, &[]);
                shared.end(id);
            }
        });
    }
}
