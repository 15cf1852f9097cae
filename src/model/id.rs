//! Identifiers that are drawn at random: requests and revisions.
//!
//! Both are UUIDs of version 4, as AWS's are. Random bytes are fetched from the kernel 4 KiB at a
//! time per thread, because a request id is on the path of every invocation.

use std::cell::RefCell;
use std::fmt;

/// Names one invocation; the caller sees it as `x-amzn-RequestId`, the function in its context.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId([u8; 36]);

/// Changes whenever what it names does.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RevisionId([u8; 36]);

// === impl RequestId ===

impl RequestId {
    /// A new one.
    pub fn random() -> Self {
        Self(uuid4())
    }

    /// Reads 36 characters of the form of a UUID.
    pub fn parse(text: &str) -> Option<Self> {
        parse(text).map(Self)
    }

    /// Its 36 characters.
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl RevisionId ===

impl RevisionId {
    /// A new one.
    pub fn random() -> Self {
        Self(uuid4())
    }

    /// Reads 36 characters of the form of a UUID.
    pub fn parse(text: &str) -> Option<Self> {
        parse(text).map(Self)
    }

    /// Its 36 characters.
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }
}

impl fmt::Debug for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Sixteen bytes nobody can predict.
///
/// # Panics
/// If the kernel has no randomness to give, which it always has once it has started.
pub fn random_bytes() -> [u8; 16] {
    /// One call for 256 identifiers; large enough to vanish from a profile, small enough to waste.
    const BATCH: usize = 4096;
    thread_local! {
        static POOL: RefCell<(Box<[u8; BATCH]>, usize)> =
            RefCell::new((Box::new([0; BATCH]), BATCH));
    }
    POOL.with_borrow_mut(|(bytes, used)| {
        if *used == BATCH {
            getrandom::fill(&mut bytes[..]).expect("the kernel gives random bytes");
            *used = 0;
        }
        let mut out = [0; 16];
        out.copy_from_slice(&bytes[*used..*used + 16]);
        *used += 16;
        out
    })
}

fn uuid4() -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut raw = random_bytes();
    raw[6] = raw[6] & 0x0f | 0x40;
    raw[8] = raw[8] & 0x3f | 0x80;
    let mut out = [b'-'; 36];
    let mut at = 0;
    for (index, byte) in raw.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            at += 1;
        }
        out[at] = DIGITS[usize::from(byte >> 4)];
        out[at + 1] = DIGITS[usize::from(byte & 15)];
        at += 2;
    }
    out
}

fn parse(text: &str) -> Option<[u8; 36]> {
    let bytes: [u8; 36] = text.as_bytes().try_into().ok()?;
    let fits = bytes.iter().enumerate().all(|(index, byte)| match index {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    fits.then_some(bytes)
}

fn ascii(bytes: &[u8; 36]) -> &str {
    std::str::from_utf8(bytes).expect("only ASCII is ever stored")
}

#[cfg(test)]
mod tests;
