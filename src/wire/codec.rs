//! Little-endian fields in, little-endian fields out.
//!
//! [`Reader`] never reads past its slice and never allocates more than the slice holds;
//! [`Writer`] appends to a `Vec`. No derive and no schema: the formats are small, and what the
//! privileged process parses should be readable in one sitting.

/// Why some bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The message ended before the field did.
    #[error("message ends inside {field}")]
    Truncated {
        /// Field that was being read.
        field: &'static str,
    },
    /// Bytes follow the last field.
    #[error("{count} bytes follow the end of the message")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// A tag that no message has.
    #[error("unknown {what} {tag}")]
    UnknownTag {
        /// What the tag selects.
        what: &'static str,
        /// The tag received.
        tag: u8,
    },
    /// A length above the field's limit.
    #[error("{field} has {length} bytes, at most {limit} are allowed")]
    TooLong {
        /// Field that was being read.
        field: &'static str,
        /// Length it claims.
        length: u64,
        /// Largest permitted length.
        limit: u64,
    },
    /// A value outside the field's range.
    #[error("{field} is {value}, outside {min}..={max}")]
    OutOfRange {
        /// Field that was being read.
        field: &'static str,
        /// Value received.
        value: u64,
        /// Smallest permitted value.
        min: u64,
        /// Largest permitted value.
        max: u64,
    },
    /// Text that is not UTF-8, or an argument that holds a NUL.
    #[error("{field} is not valid text")]
    NotText {
        /// Field that was being read.
        field: &'static str,
    },
}

/// Reads fields from the front of a slice.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// Appends fields to a buffer.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    /// Reads from the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Reads one datagram of at most `limit` bytes.
    ///
    /// # Errors
    /// If it is longer: a receiver that offers the kernel exactly `limit` bytes never sees such a
    /// one, and one that offers more must not get further.
    pub fn datagram(bytes: &'a [u8], limit: usize) -> Result<Self, DecodeError> {
        if bytes.len() > limit {
            let length = bytes.len() as u64;
            return Err(DecodeError::TooLong { field: "datagram", length, limit: limit as u64 });
        }
        Ok(Self::new(bytes))
    }

    /// Exactly `count` bytes.
    pub fn take(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], DecodeError> {
        if count > self.rest.len() {
            return Err(DecodeError::Truncated { field });
        }
        let (head, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(head)
    }

    /// A fixed-size array.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(field, N)?);
        Ok(out)
    }

    /// One byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(field)?[0])
    }

    /// Two bytes.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    /// Four bytes.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    /// Eight bytes.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    /// Four bytes, within `min..=max`.
    pub fn u32_in(&mut self, field: &'static str, min: u32, max: u32) -> Result<u32, DecodeError> {
        let value = self.u32(field)?;
        if (min..=max).contains(&value) {
            return Ok(value);
        }
        Err(DecodeError::OutOfRange {
            field,
            value: value.into(),
            min: min.into(),
            max: max.into(),
        })
    }

    /// A `u32` length, then that many bytes, at most `limit`.
    pub fn bytes(&mut self, field: &'static str, limit: usize) -> Result<&'a [u8], DecodeError> {
        let length = self.u32(field)?;
        if length as usize > limit {
            return Err(DecodeError::TooLong { field, length: length.into(), limit: limit as u64 });
        }
        self.take(field, length as usize)
    }

    /// Like [`Reader::bytes`], as UTF-8 text.
    pub fn text(&mut self, field: &'static str, limit: usize) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(field, limit)?).map_err(|_| DecodeError::NotText { field })
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Refuses bytes after the last field.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(DecodeError::Trailing { count }),
        }
    }
}

// === impl Writer ===

impl Writer {
    /// A buffer that starts with a message's tag.
    pub fn tagged(tag: u8) -> Self {
        Self { bytes: vec![tag] }
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// Two bytes.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Bytes without a length.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A `u32` length, then the bytes.
    ///
    /// # Panics
    /// If `bytes` is 4 GiB or longer; every caller's own limit is far below.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let length = u32::try_from(bytes.len()).expect("a field is shorter than 4 GiB");
        self.u32(length).raw(bytes)
    }

    /// The finished message.
    pub fn done(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}
