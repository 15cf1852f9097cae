//! Spawner ↔ maker: bear a cell or a template; it is born, or it is not.
//!
//! Both ends are this very program, one forked from the other; the messages are checked like any
//! other, because a maker that was taken over must find nothing to talk into.

use wire::codec::{DecodeError, Reader, Writer};

/// Longest message.
pub(crate) const MAX_MESSAGE: usize = 512;
/// Longest explanation, in bytes.
const MAX_DETAIL: usize = 256;
/// Descriptors beside every order, before the doors: image, devices, its socket, report.
pub(crate) const FIXED_DESCRIPTORS: usize = 4;
/// Those, a template's words, and at most one door per hierarchy: three controllers and the version-2
/// tree.
pub(crate) const MOST_DESCRIPTORS: usize = FIXED_DESCRIPTORS + 1 + 4;

/// Whose process it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A cell's first.
    Cell(u32),
    /// A template's.
    Template(u32),
}

/// Spawner → maker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Bear a cell.
    Cell {
        /// Which it is; returned in the answer.
        cell: u32,
        /// Its id in the nursery.
        id: u32,
    },
    /// Bear a template; its words' pipe is behind the fixed descriptors.
    Template {
        /// Which it is; returned in the answer.
        template: u32,
        /// Which of its image's.
        index: u8,
    },
}

/// Maker → spawner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It exists and waits; its pidfd is beside this.
    Born {
        /// From the order.
        whose: Whose,
        /// Its number in the spawner's pid namespace.
        pid: i32,
    },
    /// It does not, or will not for long.
    Failed {
        /// From the order.
        whose: Whose,
        /// Step and reason.
        detail: String,
    },
}

// === impl Order ===

impl Order {
    pub(crate) fn encode(self) -> Vec<u8> {
        match self {
            Self::Cell { cell, id } => Writer::tagged(1).u32(cell).u32(id).done(),
            Self::Template { template, index } => Writer::tagged(2).u32(template).u8(index).done(),
        }
    }

    /// Reads an order for a cell whose id is within these bounds.
    pub(crate) fn decode(datagram: &[u8], (least, most): (u32, u32)) -> Result<Self, DecodeError> {
        let mut from = Reader::new(datagram);
        let order = match from.u8("order")? {
            1 => Self::Cell { cell: from.u32("cell")?, id: from.u32_in("id", least, most)? },
            2 => Self::Template { template: from.u32("template")?, index: from.u8("index")? },
            tag => return Err(DecodeError::UnknownTag { what: "order", tag }),
        };
        from.finish()?;
        Ok(order)
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let begin = |whose: &Whose, [cells, templates]: [u8; 2]| match whose {
            Whose::Cell(cell) => {
                let mut out = Writer::tagged(cells);
                out.u32(*cell);
                out
            }
            Whose::Template(template) => {
                let mut out = Writer::tagged(templates);
                out.u32(*template);
                out
            }
        };
        match self {
            Self::Born { whose, pid } => begin(whose, [1, 3]).u32(pid.cast_unsigned()).done(),
            Self::Failed { whose, detail } => {
                let cut = detail.floor_char_boundary(MAX_DETAIL);
                begin(whose, [2, 4]).bytes(&detail.as_bytes()[..cut]).done()
            }
        }
    }

    pub(crate) fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::new(datagram);
        let tag = from.u8("answer")?;
        let whose = match tag {
            1 | 2 => Whose::Cell(from.u32("cell")?),
            3 | 4 => Whose::Template(from.u32("template")?),
            tag => return Err(DecodeError::UnknownTag { what: "answer", tag }),
        };
        let answer = if tag % 2 == 1 {
            let pid = from.u32_in("pid", 2, i32::MAX.cast_unsigned())?;
            Self::Born { whose, pid: pid.cast_signed() }
        } else {
            Self::Failed { whose, detail: from.text("detail", MAX_DETAIL)?.to_owned() }
        };
        from.finish()?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
