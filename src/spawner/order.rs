//! Spawner ↔ maker: bear a cell; it is born, or it is not.
//!
//! Both ends are this very program, one forked from the other; the messages are checked like any
//! other, because a maker that was taken over must find nothing to talk into.

use wire::codec::{DecodeError, Reader, Writer};

/// Longest message.
pub(crate) const MAX_MESSAGE: usize = 512;
/// Longest explanation, in bytes.
const MAX_DETAIL: usize = 256;
/// Descriptors beside an order, before the doors: image, devices, runner's socket, report.
pub(crate) const FIXED_DESCRIPTORS: usize = 4;
/// At most one door per hierarchy: three controllers and the version-2 tree.
pub(crate) const MOST_DESCRIPTORS: usize = FIXED_DESCRIPTORS + 4;

/// Spawner → maker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// Which cell it is for; returned in the answer.
    pub(crate) cell: u32,
    /// Its id in the nursery.
    pub(crate) id: u32,
}

/// Maker → spawner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It exists and waits; its pidfd is beside this.
    Born {
        /// From the order.
        cell: u32,
        /// Its number in the spawner's pid namespace.
        pid: i32,
    },
    /// It does not, or will not for long.
    Failed {
        /// From the order.
        cell: u32,
        /// Step and reason.
        detail: String,
    },
}

// === impl Order ===

impl Order {
    pub(crate) fn encode(self) -> Vec<u8> {
        Writer::tagged(1).u32(self.cell).u32(self.id).done()
    }

    /// Reads an order for a cell whose id is within these bounds.
    pub(crate) fn decode(datagram: &[u8], (least, most): (u32, u32)) -> Result<Self, DecodeError> {
        let mut from = Reader::new(datagram);
        match from.u8("order")? {
            1 => {}
            tag => return Err(DecodeError::UnknownTag { what: "order", tag }),
        }
        let order = Self { cell: from.u32("cell")?, id: from.u32_in("id", least, most)? };
        from.finish()?;
        Ok(order)
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Born { cell, pid } => {
                Writer::tagged(1).u32(*cell).u32(pid.cast_unsigned()).done()
            }
            Self::Failed { cell, detail } => {
                let cut = detail.floor_char_boundary(MAX_DETAIL);
                Writer::tagged(2).u32(*cell).bytes(&detail.as_bytes()[..cut]).done()
            }
        }
    }

    pub(crate) fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::new(datagram);
        let answer = match from.u8("answer")? {
            1 => {
                let cell = from.u32("cell")?;
                let pid = from.u32_in("pid", 2, i32::MAX.cast_unsigned())?;
                Self::Born { cell, pid: pid.cast_signed() }
            }
            2 => Self::Failed {
                cell: from.u32("cell")?,
                detail: from.text("detail", MAX_DETAIL)?.to_owned(),
            },
            tag => return Err(DecodeError::UnknownTag { what: "answer", tag }),
        };
        from.finish()?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
