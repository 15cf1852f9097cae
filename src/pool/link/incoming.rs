//! Frames out of a stream, whatever pieces it comes in.
//!
//! A frame that arrives whole is copied once, out of a buffer of the thread into its own bytes. One
//! that does not is read straight to where it will stay, and that place is only made once the header
//! has been found to be of a known kind and within its kind's limit; its pages are the kernel's zero
//! page until something arrives to fill them.

use std::cell::RefCell;
use std::io;
use std::os::fd::BorrowedFd;

use bytes::Bytes;
use wire::link::{HEADER, Header};

use super::LinkError;

/// How much is read while it is unknown what comes: most answers whole.
const SCRATCH: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// A frame in the making.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    head: [u8; HEADER],
    /// Bytes of `head` that have arrived.
    have: usize,
    /// The header, once all of it has arrived.
    header: Option<Header>,
    body: Vec<u8>,
    /// Bytes of `body` that have arrived.
    filled: usize,
    /// What arrived behind the frame.
    rest: Vec<u8>,
}

/// What one read came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filled {
    /// Bytes that were read; 0 at the end of the stream.
    pub(super) count: usize,
    /// Whether more could have been read and was not there.
    pub(super) emptied: bool,
}

// === impl Incoming ===

impl Incoming {
    /// The frame, if all of it has arrived.
    ///
    /// # Errors
    /// If what has arrived cannot become a frame.
    pub(crate) fn take(&mut self) -> Result<Option<(Header, Bytes)>, LinkError> {
        if self.header.is_none() && !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            self.feed(&rest)?;
        }
        match self.header {
            Some(header) if self.filled == header.length => {
                let body = Bytes::from(std::mem::take(&mut self.body));
                (self.header, self.have, self.filled) = (None, 0, 0);
                Ok(Some((header, body)))
            }
            Some(_) => Ok(None),
            None => {
                // Complete and still no header: it was refused.
                if self.have == HEADER {
                    Header::parse(self.head)?;
                }
                Ok(None)
            }
        }
    }

    /// Whether bytes have arrived behind the last frame taken.
    pub(crate) fn has_more(&self) -> bool {
        self.have > 0 || !self.rest.is_empty()
    }

    /// Reads once from a socket that does not block.
    pub(super) fn fill(&mut self, socket: BorrowedFd<'_>) -> io::Result<Filled> {
        if self.header.is_some() {
            let room = &mut self.body[self.filled..];
            let (_, count) = rustix::net::recv(socket, &mut *room, super::FLAGS)?;
            let emptied = count < room.len();
            self.filled += count;
            return Ok(Filled { count, emptied });
        }
        BUFFER.with_borrow_mut(|buffer| {
            let (_, count) = rustix::net::recv(socket, &mut buffer[..], super::FLAGS)?;
            // What is wrong with it is said by `take`, which looks at the same header again.
            let _said_later = self.feed(&buffer[..count]);
            Ok(Filled { count, emptied: count < buffer.len() })
        })
    }

    /// Takes in bytes that begin where the last ones ended.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), LinkError> {
        let missing = HEADER - self.have;
        let (head, after) = bytes.split_at(missing.min(bytes.len()));
        self.head[self.have..self.have + head.len()].copy_from_slice(head);
        self.have += head.len();
        bytes = after;
        if self.have < HEADER {
            return Ok(());
        }
        let header = Header::parse(self.head)?;
        self.header = Some(header);
        let (body, after) = bytes.split_at(header.length.min(bytes.len()));
        self.filled = body.len();
        if body.len() == header.length {
            self.body = body.to_vec();
            self.rest = after.to_vec();
        } else {
            self.body = vec![0; header.length];
            self.body[..body.len()].copy_from_slice(body);
        }
        Ok(())
    }
}
