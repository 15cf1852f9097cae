//! Builds archives byte by byte: every field can lie.

use flate2::{Compression, Crc, write::DeflateEncoder};
use std::io::Write;

/// One entry; the central directory and the local header are written from the same fields unless
/// the ones named `local_*` say otherwise.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) name: Vec<u8>,
    pub(crate) local_name: Option<Vec<u8>>,
    pub(crate) data: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) local_method: Option<u16>,
    pub(crate) flags: u16,
    pub(crate) crc: u32,
    pub(crate) size: u32,
    pub(crate) packed: u32,
    pub(crate) mode: u32,
    pub(crate) host: u8,
    pub(crate) extra: Vec<u8>,
    /// Where the central directory says the local header is; where it really is by default.
    pub(crate) offset: Option<u32>,
}

/// The end of an archive; fields that are `None` are true.
#[derive(Clone, Default)]
pub(crate) struct End {
    pub(crate) count: Option<u16>,
    pub(crate) disk: u16,
    pub(crate) length: Option<u32>,
    pub(crate) offset: Option<u32>,
    pub(crate) comment: Vec<u8>,
    /// Write zip64 records and leave markers in the end record.
    pub(crate) zip64: bool,
    /// Entries announced by the zip64 record.
    pub(crate) count64: Option<u64>,
}

pub(crate) const REGULAR: u32 = 0o100_644;
pub(crate) const SYMLINK: u32 = 0o120_777;

// === impl Member ===

impl Member {
    /// Stored, made on Unix.
    pub(crate) fn file(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        let length = u32::try_from(content.len()).expect("a small file");
        Self {
            name: name.as_ref().to_vec(),
            local_name: None,
            data: content.to_vec(),
            method: 0,
            local_method: None,
            flags: 0,
            crc: crc(content),
            size: length,
            packed: length,
            mode: REGULAR,
            host: 3,
            extra: Vec::new(),
            offset: None,
        }
    }

    /// Deflated, made on Unix.
    pub(crate) fn deflated(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content.as_ref()).expect("deflate into memory");
        let data = encoder.finish().expect("deflate into memory");
        let packed = u32::try_from(data.len()).expect("a small file");
        Self { data, packed, method: 8, ..Self::file(name, content) }
    }

    pub(crate) fn link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self::file(name, target).mode(SYMLINK)
    }

    pub(crate) fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }
}

pub(crate) fn crc(content: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(content);
    crc.sum()
}

/// An honest archive of these members.
pub(crate) fn zip(members: &[Member]) -> Vec<u8> {
    zip_with(b"", members, &End::default())
}

pub(crate) fn zip_with(prefix: &[u8], members: &[Member], end: &End) -> Vec<u8> {
    let mut out = prefix.to_vec();
    let offsets: Vec<u32> = members.iter().map(|member| local(&mut out, prefix, member)).collect();
    let start = out.len();
    for (member, offset) in members.iter().zip(offsets) {
        central(&mut out, member, member.offset.unwrap_or(offset));
    }
    finish(&mut out, prefix, start, members.len(), end);
    out
}

/// Appends a local header and its data; its offset.
pub(crate) fn local(out: &mut Vec<u8>, prefix: &[u8], member: &Member) -> u32 {
    let offset = u32::try_from(out.len() - prefix.len()).expect("a small archive");
    let name = member.local_name.as_ref().unwrap_or(&member.name);
    u32s(out, &[0x0403_4b50]);
    u16s(out, &[20, member.flags, member.local_method.unwrap_or(member.method), 0, 33]);
    u32s(out, &[member.crc, member.packed, member.size]);
    u16s(out, &[short(name.len()), short(member.extra.len())]);
    out.extend_from_slice(name);
    out.extend_from_slice(&member.extra);
    out.extend_from_slice(&member.data);
    offset
}

/// Appends a record of the central directory.
pub(crate) fn central(out: &mut Vec<u8>, member: &Member, offset: u32) {
    u32s(out, &[0x0201_4b50]);
    u16s(out, &[u16::from(member.host) << 8 | 20, 20, member.flags, member.method, 0, 33]);
    u32s(out, &[member.crc, member.packed, member.size]);
    u16s(out, &[short(member.name.len()), short(member.extra.len()), 0, 0, 0]);
    u32s(out, &[member.mode << 16, offset]);
    out.extend_from_slice(&member.name);
    out.extend_from_slice(&member.extra);
}

/// Appends the end of an archive whose central directory begins at `start`.
pub(crate) fn finish(out: &mut Vec<u8>, prefix: &[u8], start: usize, members: usize, end: &End) {
    let length = u32::try_from(out.len() - start).expect("a small archive");
    let offset = u32::try_from(start - prefix.len()).expect("a small archive");
    if end.zip64 {
        let record_at = out.len() - prefix.len();
        let count = end.count64.unwrap_or(members as u64);
        u32s(out, &[0x0606_4b50]);
        u64s(out, &[44]);
        u16s(out, &[45, 45]);
        u32s(out, &[0, 0]);
        u64s(out, &[count, count, length.into(), offset.into()]);
        u32s(out, &[0x0706_4b50, 0]);
        u64s(out, &[record_at as u64]);
        u32s(out, &[1]);
    }
    let marker = |value: u32| if end.zip64 { u32::MAX } else { value };
    let count = if end.zip64 { u16::MAX } else { end.count.unwrap_or(members as u16) };
    u32s(out, &[0x0605_4b50]);
    u16s(out, &[end.disk, end.disk, count, count]);
    u32s(out, &[end.length.unwrap_or(marker(length)), end.offset.unwrap_or(marker(offset))]);
    u16s(out, &[short(end.comment.len())]);
    out.extend_from_slice(&end.comment);
}

fn short(length: usize) -> u16 {
    u16::try_from(length).expect("a field of 16 bits")
}

fn u16s(out: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}

fn u32s(out: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}

fn u64s(out: &mut Vec<u8>, values: &[u64]) {
    values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}
