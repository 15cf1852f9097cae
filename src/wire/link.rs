//! Control plane ↔ the function's process: events down; results up.
//!
//! A frame is an 8-byte header and a body:
//!
//! ```text
//!   0        4      5      8
//!   ├ length ┼ kind ┼ seq. ┼ body, `length` bytes …
//!     u32 LE   u8    u24 LE
//! ```
//!
//! The sequence number says which event an answer is for. The control plane draws one per event, never
//! the same twice in a row; the bootstrap writes it under its answer. Without it an answer that is said
//! twice, or by a child process beside its parent, would be taken for that of whichever event comes next.
//! Frames that belong to no event carry 0.
//!
//! The bootstraps in `runner/` read and write the same bytes in Python and JavaScript, which is why
//! the layout is plain enough for one `struct.unpack_from`.
//!
//! ```text
//!   control plane                        bootstrap
//!        │ ◄──────────── Hello ────────────│   the interpreter is up, nothing of the user's has run
//!        ┆ ◄──────────── Spare ────────────┆ ╮ only where it was started ahead of time: warmed, and
//!        ┆── Assign ─────────────────────► ┆ ╯ later whose it is, once
//!        │ ◄──────── Ready | InitFailed ───│   the handler is imported, or could not be
//!        ┆ ◄ Pages … Snapshot | Unfit ─────┆   instead, from one that is initialised to be restored: what
//!        ┆                                 ┆   is restored from it says Hello, is sent Assign, is Ready
//!        │── Invoke ─────────────────────► │   one at a time
//!        │ ◄ Response | Failed | Oversize ─│   or Fatal, which is the last word
//! ```
//!
//! The peer runs a stranger's code and may write anything at any time: [`Header::parse`] decides from
//! eight bytes whether a frame may be read at all, before anything is allocated for it.

use crate::codec::{DecodeError, Reader};

/// Bytes of a header.
pub const HEADER: usize = 8;
/// Largest answer: AWS's 6 MiB and the 100 bytes it grants on top.
pub const MAX_RESPONSE: usize = 6 * 1024 * 1024 + 100;
/// Largest event, the same.
pub const MAX_EVENT: usize = MAX_RESPONSE;
/// Largest sequence number: three bytes.
pub const MAX_SEQUENCE: u32 = (1 << 24) - 1;
/// Largest error document; stack traces are cut by the bootstraps well before.
pub const MAX_ERROR: usize = 256 * 1024;
/// Largest part of a snapshot.
pub const MAX_PAGES: usize = 256 * 1024;
/// Longest reason why there is none.
pub const MAX_UNFIT: usize = 1024;
/// Largest [`Assign`]. A function's own variables are 4 KiB at most (an AWS limit), ours are less; the
/// rest is room for names that become longer.
pub const MAX_ASSIGN: usize = 64 * 1024;

/// Where a frame goes and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Up: the interpreter runs; body: `u16` protocol version.
    Hello = 1,
    /// Up: the handler can be called; no body.
    Ready = 2,
    /// Up: the handler could not be loaded; body: AWS's error JSON.
    InitFailed = 3,
    /// Up: what the handler returned, as JSON.
    Response = 4,
    /// Up: the handler failed; body: AWS's error JSON.
    Failed = 5,
    /// Up: the handler's answer is above [`MAX_RESPONSE`]; body: `u64`, its size.
    Oversize = 6,
    /// Up: the handler failed in a way that ends its process too; body: AWS's error JSON. No event may
    /// follow.
    Fatal = 7,
    /// Up: started ahead of time, without a function, and warmed; nothing of a user's has run. No body.
    Spare = 8,
    /// Up: of a process that is initialised for a snapshot, the next part of what it is made of.
    Pages = 9,
    /// Up: that was the last part; the process ends. No body.
    Snapshot = 10,
    /// Up: instead of all that, why it cannot be restored; body: text.
    Unfit = 11,
    /// Down: call the handler; body: [`Invoke`].
    Invoke = 64,
    /// Down: to a spare, once: whose it is from now on; body: [`Assign`].
    Assign = 65,
}

/// A checked header: the frame is of a known kind and its body may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What follows.
    pub kind: Kind,
    /// Bytes of body.
    pub length: usize,
    /// Which event it belongs to, at most [`MAX_SEQUENCE`]; 0 exactly if [`Kind::has_event`] is not
    /// so.
    pub sequence: u32,
}

/// One event on its way to a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invoke<'a> {
    /// When the caller gives up, milliseconds since the epoch.
    pub deadline_ms: u64,
    /// The request id the caller sees, 36 bytes of text.
    pub request_id: &'a str,
    /// The ARN as invoked: qualified if and only if the caller qualified it.
    pub invoked_arn: &'a str,
    /// X-Ray trace header; empty if there is none.
    pub trace_id: &'a str,
    /// Client context as JSON; empty if there is none.
    pub client_context: &'a str,
    /// Cognito identity as JSON; empty if there is none.
    pub cognito_identity: &'a str,
    /// The event as JSON.
    pub payload: &'a [u8],
}

/// What makes a spare a function's: the code is mounted by then, and this is the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assign<'a> {
    /// The whole environment, `NAME=value` each, in place of whatever the process had.
    pub env: Vec<&'a [u8]>,
}

// === impl Kind ===

impl Kind {
    /// The kind a byte stands for.
    ///
    /// # Errors
    /// If there is none.
    pub fn parse(byte: u8) -> Result<Self, DecodeError> {
        Ok(match byte {
            1 => Self::Hello,
            2 => Self::Ready,
            3 => Self::InitFailed,
            4 => Self::Response,
            5 => Self::Failed,
            6 => Self::Oversize,
            7 => Self::Fatal,
            8 => Self::Spare,
            9 => Self::Pages,
            10 => Self::Snapshot,
            11 => Self::Unfit,
            64 => Self::Invoke,
            65 => Self::Assign,
            tag => return Err(DecodeError::UnknownTag { what: "frame", tag }),
        })
    }

    /// Whether a frame of this kind is an event or the answer to one, and so has a sequence number.
    pub fn has_event(self) -> bool {
        match self {
            Self::Response | Self::Failed | Self::Fatal | Self::Oversize | Self::Invoke => true,
            Self::Hello | Self::Ready | Self::InitFailed | Self::Spare | Self::Assign => false,
            Self::Pages | Self::Snapshot | Self::Unfit => false,
        }
    }

    /// Largest body of a frame of this kind.
    pub fn limit(self) -> usize {
        match self {
            Self::Hello => 2,
            Self::Ready | Self::Spare | Self::Snapshot => 0,
            Self::Pages => MAX_PAGES,
            Self::Unfit => MAX_UNFIT,
            Self::InitFailed | Self::Failed | Self::Fatal => MAX_ERROR,
            Self::Response => MAX_RESPONSE,
            Self::Oversize => 8,
            // The event plus its metadata: 8 fixed bytes, five length fields, strings that AWS
            // bounds at a few KiB (client context: 3,583 bytes before base64).
            Self::Invoke => MAX_EVENT + 16 * 1024,
            Self::Assign => MAX_ASSIGN,
        }
    }
}

// === impl Header ===

impl Header {
    /// Checks the eight bytes before anything is allocated for what they announce.
    ///
    /// # Errors
    /// Unknown kind, a sequence number where none belongs or none where one does, a length above the
    /// kind's limit.
    pub fn parse(bytes: [u8; HEADER]) -> Result<Self, DecodeError> {
        let [a, b, c, d, kind, x, y, z] = bytes;
        let kind = Kind::parse(kind)?;
        let sequence = u32::from_le_bytes([x, y, z, 0]);
        let (min, max) = if kind.has_event() { (1, MAX_SEQUENCE) } else { (0, 0) };
        if !(min..=max).contains(&sequence) {
            return Err(DecodeError::OutOfRange {
                field: "sequence",
                value: sequence.into(),
                min: min.into(),
                max: max.into(),
            });
        }
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > kind.limit() {
            return Err(DecodeError::TooLong {
                field: "body",
                length: length as u64,
                limit: kind.limit() as u64,
            });
        }
        Ok(Self { kind, length, sequence })
    }

    /// The eight bytes. Of a sequence number above [`MAX_SEQUENCE`] only what fits would be written;
    /// whoever draws them stays below.
    pub fn encode(self) -> [u8; HEADER] {
        debug_assert!(self.sequence <= MAX_SEQUENCE, "{} does not fit", self.sequence);
        let [a, b, c, d] = (self.length as u32).to_le_bytes();
        let [x, y, z, _] = self.sequence.to_le_bytes();
        [a, b, c, d, self.kind as u8, x, y, z]
    }
}

// === impl Invoke ===

impl<'a> Invoke<'a> {
    /// Header and metadata, to be followed on the link by [`Invoke::payload`] itself, so that a
    /// large event is never copied. `sequence` is what the answer must carry, 1 to [`MAX_SEQUENCE`].
    pub fn encode_head(&self, sequence: u32) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_head_into(sequence, &mut out);
        out
    }

    /// The same into a buffer that is kept for it; `out` must be empty.
    ///
    /// # Panics
    /// If a string is 4 GiB or longer; every caller's own limit is far below.
    pub fn encode_head_into(&self, sequence: u32, out: &mut Vec<u8>) {
        let texts = [
            self.request_id,
            self.invoked_arn,
            self.trace_id,
            self.client_context,
            self.cognito_identity,
        ];
        out.extend_from_slice(&[0; HEADER]);
        out.extend_from_slice(&self.deadline_ms.to_le_bytes());
        for text in texts {
            let length = u32::try_from(text.len()).expect("a field is shorter than 4 GiB");
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        let length = out.len() - HEADER + self.payload.len();
        out[..HEADER].copy_from_slice(&Header { kind: Kind::Invoke, length, sequence }.encode());
    }

    /// Reads a body.
    ///
    /// # Errors
    /// Truncated fields, or text that is not UTF-8.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let limit = body.len();
        let mut from = Reader::new(body);
        Ok(Self {
            deadline_ms: from.u64("deadline_ms")?,
            request_id: from.text("request_id", limit)?,
            invoked_arn: from.text("invoked_arn", limit)?,
            trace_id: from.text("trace_id", limit)?,
            client_context: from.text("client_context", limit)?,
            cognito_identity: from.text("cognito_identity", limit)?,
            payload: from.rest(),
        })
    }
}

// === impl Assign ===

impl<'a> Assign<'a> {
    /// The whole frame.
    ///
    /// # Panics
    /// If there are more variables than a `u16` counts, or one of 4 GiB; an environment that the runner
    /// would take is far below.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; HEADER];
        let count = u16::try_from(self.env.len()).expect("variables are counted in two bytes");
        out.extend_from_slice(&count.to_le_bytes());
        for variable in &self.env {
            let length = u32::try_from(variable.len()).expect("a variable is shorter than 4 GiB");
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(variable);
        }
        let header = Header { kind: Kind::Assign, length: out.len() - HEADER, sequence: 0 };
        out[..HEADER].copy_from_slice(&header.encode());
        out
    }

    /// Reads a body.
    ///
    /// # Errors
    /// Truncated or trailing bytes; a variable without a name, without `=`, or with a NUL.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::new(body);
        let count = usize::from(from.u16("env")?);
        // Each takes at least its own length field, so a lying count cannot reserve much.
        let mut env = Vec::with_capacity(count.min(from.remaining() / 4));
        for _ in 0..count {
            let variable = from.bytes("env", MAX_ASSIGN)?;
            // A name has a character at least.
            let named = variable.iter().skip(1).any(|byte| *byte == b'=') && variable[0] != b'=';
            if !named || variable.contains(&0) {
                return Err(DecodeError::NotText { field: "env" });
            }
            env.push(variable);
        }
        from.finish()?;
        Ok(Self { env })
    }
}

#[cfg(test)]
mod tests;
