//! Zips written field by field, so that any of them can be a lie.
//!
//! [`Package`](super::Package) is for packages that are meant to work; its library refuses to write
//! most of what strangers send.

/// Stored, not compressed.
pub const STORED: u16 = 0;
/// Compressed with deflate.
pub const DEFLATED: u16 = 8;

/// One entry; what is not set is the honest value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name, any bytes.
    pub name: Vec<u8>,
    /// Unix mode with file type, as in `st_mode`.
    pub mode: u32,
    /// How `data` is compressed.
    pub method: u16,
    /// What is stored.
    pub data: Vec<u8>,
    /// The size it claims to have when unpacked.
    pub size: u32,
    /// The checksum it claims to have.
    pub crc: u32,
}

// === impl Entry ===

impl Entry {
    /// A regular file with text in it.
    pub fn new(name: impl Into<Vec<u8>>, content: &str) -> Self {
        Self {
            name: name.into(),
            mode: 0o100_644,
            method: STORED,
            data: content.into(),
            size: content.len() as u32,
            crc: crc32(content.as_bytes()),
        }
    }

    /// Another mode.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }
}

/// An archive of these entries.
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        let offset = out.len() as u32;
        out.extend_from_slice(b"PK\x03\x04\x14\x00\x00\x00");
        common(&mut out, entry);
        out.extend_from_slice(&[0, 0]); // no extra field
        out.extend_from_slice(&entry.name);
        out.extend_from_slice(&entry.data);
        central(&mut directory, entry, offset);
    }
    close(out, &directory, entries.len())
}

/// An archive of `count` empty files that all share one local header, as small as it can be.
pub fn crowd(count: usize) -> Vec<u8> {
    let mut name = *b"0000";
    let mut entry = Entry::new(name, "");
    let mut out = Vec::from(b"PK\x03\x04\x14\x00\x00\x00");
    common(&mut out, &entry);
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&entry.name);
    let mut directory = Vec::with_capacity(count * 50);
    for _ in 0..count {
        central(&mut directory, &entry, 0);
        for byte in name.iter_mut().rev() {
            *byte = match *byte {
                b'9' => b'a',
                b'z' => b'0',
                byte => byte + 1,
            };
            if *byte != b'0' {
                break;
            }
        }
        entry.name.copy_from_slice(&name);
    }
    close(out, &directory, count)
}

/// Flags, method, time, checksum, sizes and the length of the name.
fn common(out: &mut Vec<u8>, entry: &Entry) {
    out.extend_from_slice(&entry.method.to_le_bytes());
    out.extend_from_slice(&[0, 0, 0x21, 0]); // midnight, 1 January 1980
    out.extend_from_slice(&entry.crc.to_le_bytes());
    out.extend_from_slice(&(entry.data.len() as u32).to_le_bytes());
    out.extend_from_slice(&entry.size.to_le_bytes());
    out.extend_from_slice(&(entry.name.len() as u16).to_le_bytes());
}

fn central(directory: &mut Vec<u8>, entry: &Entry, offset: u32) {
    directory.extend_from_slice(b"PK\x01\x02\x14\x03\x14\x00\x00\x00"); // made on Unix
    common(directory, entry);
    directory.extend_from_slice(&[0; 8]); // extra field, comment, disk, internal attributes
    directory.extend_from_slice(&(entry.mode << 16).to_le_bytes());
    directory.extend_from_slice(&offset.to_le_bytes());
    directory.extend_from_slice(&entry.name);
}

fn close(mut out: Vec<u8>, directory: &[u8], count: usize) -> Vec<u8> {
    let offset = out.len() as u64;
    out.extend_from_slice(directory);
    let (count, size) = (count as u64, directory.len() as u64);
    let many = count >= 0xffff;
    if many {
        let record = out.len() as u64;
        out.extend_from_slice(b"PK\x06\x06");
        out.extend_from_slice(&44_u64.to_le_bytes()); // what follows of this record
        out.extend_from_slice(&[45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]); // versions, disks
        for number in [count, count, size, offset] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(b"PK\x06\x07\x00\x00\x00\x00");
        out.extend_from_slice(&record.to_le_bytes());
        out.extend_from_slice(&1_u32.to_le_bytes());
    }
    let short = if many { 0xffff } else { count as u16 };
    out.extend_from_slice(b"PK\x05\x06\x00\x00\x00\x00");
    out.extend_from_slice(&short.to_le_bytes());
    out.extend_from_slice(&short.to_le_bytes());
    out.extend_from_slice(&(size as u32).to_le_bytes());
    out.extend_from_slice(&(offset as u32).to_le_bytes());
    out.extend_from_slice(&[0, 0]); // no comment
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}
