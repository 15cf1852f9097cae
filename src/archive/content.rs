//! The contents of one entry, chunk by chunk.
//!
//! What the archive says about an entry is a claim. A chunk is handed on only after it has been
//! counted against the declared size, so that no entry ever yields a byte more than it declared, and
//! the sum of what was declared bounds what a whole archive can write. Memory is one buffer and one
//! inflater, whatever the archive holds.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::directory::Entry;

/// Contents that are not what the archive declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadContent {
    /// Not a stream of the declared method.
    #[error("its contents are damaged")]
    Damaged,
    /// Ends before its stream does.
    #[error("its contents are cut short")]
    CutShort,
    /// More than declared.
    #[error("it holds more than the {declared} bytes it declares")]
    MoreThanDeclared {
        /// By the central directory.
        declared: u64,
    },
    /// Less than declared.
    #[error("it holds {found} bytes, not the {declared} it declares")]
    LessThanDeclared {
        /// By the central directory.
        declared: u64,
        /// When its stream ended.
        found: u64,
    },
    /// Bytes between the end of its stream and the end of its place.
    #[error("bytes follow the end of its contents")]
    Trailing,
    /// The checksum disagrees.
    #[error("its checksum is wrong")]
    WrongChecksum,
}

/// Stored as it is.
pub(crate) const STORED: u16 = 0;
/// Deflated.
pub(crate) const DEFLATED: u16 = 8;
/// How much is inflated and written at a time.
const CHUNK: usize = 64 * 1024;

/// Reads contents; one serves a whole archive.
pub(crate) struct Contents {
    inflater: Decompress,
    buffer: Vec<u8>,
}

// === impl Contents ===

impl Contents {
    pub(crate) fn new() -> Self {
        Self { inflater: Decompress::new(false), buffer: vec![0; CHUNK] }
    }

    /// Hands the contents of `entry`, packed in `data`, to `sink` in order.
    ///
    /// # Errors
    /// [`BadContent`], or what `sink` returned first. The last chunks may have been handed over by
    /// the time the contents turn out to be wrong.
    pub(crate) fn read<E: From<BadContent>>(
        &mut self,
        entry: &Entry<'_>,
        data: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let declared = entry.size;
        let mut crc = Crc::new();
        let mut take = |chunk: &[u8], before: u64| {
            if before + chunk.len() as u64 > declared {
                return Err(BadContent::MoreThanDeclared { declared }.into());
            }
            crc.update(chunk);
            sink(chunk)
        };
        let found = if entry.method == STORED {
            let mut found = 0;
            for chunk in data.chunks(CHUNK) {
                take(chunk, found)?;
                found += chunk.len() as u64;
            }
            found
        } else {
            self.inflate(data, take)?
        };
        if found < declared {
            return Err(BadContent::LessThanDeclared { declared, found }.into());
        }
        if crc.sum() != entry.crc {
            return Err(BadContent::WrongChecksum.into());
        }
        Ok(())
    }

    fn inflate<E: From<BadContent>>(
        &mut self,
        data: &[u8],
        mut take: impl FnMut(&[u8], u64) -> Result<(), E>,
    ) -> Result<u64, E> {
        self.inflater.reset(false);
        loop {
            let (read, before) = (self.inflater.total_in(), self.inflater.total_out());
            // What has been read is no more than `data` holds, so it fits.
            let rest = &data[read as usize..];
            let status = self
                .inflater
                .decompress(rest, &mut self.buffer, FlushDecompress::None)
                .map_err(|_damaged| BadContent::Damaged)?;
            let produced = self.inflater.total_out() - before;
            // What was produced fits the buffer it was produced into.
            take(&self.buffer[..produced as usize], before)?;
            let used = self.inflater.total_in();
            if status == Status::StreamEnd {
                if used != data.len() as u64 {
                    return Err(BadContent::Trailing.into());
                }
                return Ok(self.inflater.total_out());
            }
            if produced == 0 && used == read {
                return Err(BadContent::CutShort.into());
            }
        }
    }
}
