//! Templates, as the control plane asks for them.

use std::os::fd::BorrowedFd;

use tokio::sync::oneshot;
use wire::spawner::{CellId, Digest, Request, TemplateId};

use super::{Spawner, SpawnerError};

// === impl Spawner ===

impl Spawner {
    /// Starts the template of an image that has this index there.
    pub(crate) async fn template(
        &self,
        image: Digest,
        index: u8,
    ) -> Result<TemplateId, SpawnerError> {
        let (sender, receiver) = oneshot::channel();
        let ticket = {
            let mut waiting = self.waiting();
            if waiting.closed {
                return Err(SpawnerError::Closed);
            }
            waiting.next_ticket += 1;
            let ticket = waiting.next_ticket;
            waiting.templating.insert(ticket, sender);
            waiting.ask();
            ticket
        };
        self.send(&Request::Template { ticket, image, index }, &[]).await?;
        receiver.await.unwrap_or(Err(SpawnerError::Closed))
    }

    /// Asks for a template's end; [`Spawner::gone_templates`] tells when it has come.
    pub(crate) async fn end_template(&self, template: TemplateId) -> Result<(), SpawnerError> {
        self.send(&Request::EndTemplate { template }, &[]).await
    }

    /// Forks a template into an empty cell. The process gets `output` and `link`.
    pub(crate) async fn fork(
        &self,
        cell: CellId,
        template: TemplateId,
        output: BorrowedFd<'_>,
        link: BorrowedFd<'_>,
    ) -> Result<(), SpawnerError> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            if waiting.closed {
                return Err(SpawnerError::Closed);
            }
            waiting.forking.insert(cell, sender);
            waiting.ask();
        }
        self.send(&Request::Fork { cell, template }, &[output, link]).await?;
        receiver.await.unwrap_or(Err(SpawnerError::Closed))
    }

    /// Templates that have ended, each told once.
    pub(crate) fn gone_templates(&self) -> Vec<TemplateId> {
        std::mem::take(&mut self.waiting().gone)
    }

    /// A template is gone, or there never was one of that name.
    pub(super) fn template_gone(&self, template: TemplateId) {
        self.waiting().gone.push(template);
        self.room.notify_one();
    }
}
